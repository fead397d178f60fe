/* SPDX-License-Identifier: Apache-2.0 */
/* Statements of the PostgreSQL driver: lazily prepared on the server, parameters and results in
 * binary, and the pipeline. */
#include "db/postgres_int.h"

#include <endian.h>

static struct postgres_statement *statement_of(struct db_statement *statement)
{
    return PH_CONTAINER_OF(statement, struct postgres_statement, base);
}

struct db_statement *postgres_prepare(struct db *db, const char *sql, int parameters)
{
    size_t count = (size_t)parameters;
    struct postgres_statement *statement = ph_calloc(1, sizeof *statement);
    statement->base = (struct db_statement){db, db->driver, parameters};
    statement->sql = ph_strdup(sql);
    statement->types = ph_calloc(count, sizeof(Oid));
    statement->prepared_types = ph_calloc(count, sizeof(Oid));
    statement->values = ph_calloc(count, sizeof(char *));
    statement->lengths = ph_calloc(count, sizeof(int));
    statement->formats = ph_calloc(count, sizeof(int));
    statement->numbers = ph_calloc(count, sizeof(uint64_t));
    for (size_t index = 0; index < count; index++) {
        statement->formats[index] = 1;
    }
    return &statement->base;
}

void postgres_statement_free(struct db_statement *base)
{
    struct postgres_statement *statement = statement_of(base);
    PQclear(statement->result);
    free(statement->sql);
    free(statement->types);
    free(statement->prepared_types);
    free(statement->values);
    free(statement->lengths);
    free(statement->formats);
    free(statement->numbers);
    free(statement);
}

static void bind(struct postgres_statement *statement, int parameter, Oid type, const char *value,
                 size_t length)
{
    PH_ASSERT(statement->result == NULL); /* else db_done is missing */
    size_t index = (size_t)parameter - 1;
    PH_ASSERT(statement->types[index] == POSTGRES_TYPE_UNKNOWN || statement->types[index] == type);
    statement->types[index] = type;
    statement->values[index] = value;
    statement->lengths[index] = (int)length;
}

static void bind_number(struct postgres_statement *statement, int parameter, Oid type,
                        uint64_t bits)
{
    uint64_t *number = &statement->numbers[parameter - 1];
    *number = htobe64(bits);
    bind(statement, parameter, type, (const char *)number, sizeof *number);
}

void postgres_bind_int64(struct db_statement *base, int parameter, int64_t value)
{
    bind_number(statement_of(base), parameter, POSTGRES_TYPE_INT8, (uint64_t)value);
}

void postgres_bind_double(struct db_statement *base, int parameter, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bind_number(statement_of(base), parameter, POSTGRES_TYPE_FLOAT8, bits);
}

void postgres_bind_text(struct db_statement *base, int parameter, struct slice value)
{
    bind(statement_of(base), parameter, POSTGRES_TYPE_TEXT, value.ptr, value.len);
}

void postgres_bind_blob(struct db_statement *base, int parameter, struct slice value)
{
    bind(statement_of(base), parameter, POSTGRES_TYPE_BYTEA, value.ptr, value.len);
}

void postgres_bind_null(struct db_statement *base, int parameter)
{
    struct postgres_statement *statement = statement_of(base);
    PH_ASSERT(statement->result == NULL);
    statement->values[parameter - 1] = NULL;
}

static void clear_bindings(struct postgres_statement *statement)
{
    for (int index = 0; index < statement->base.parameters; index++) {
        statement->values[index] = NULL;
    }
}

/*
 * Whether the server must be told (again). A parameter that was only NULL so far was left to the
 * server, whose guess (say, integer) may not fit the binary form of a later value. The statement
 * then gets a new name; the old one stays until the connection ends, at most once per parameter.
 */
static bool needs_prepare(const struct postgres_statement *statement)
{
    if (!statement->is_prepared) {
        return true;
    }
    for (int index = 0; index < statement->base.parameters; index++) {
        if (statement->types[index] != statement->prepared_types[index]) {
            return true;
        }
    }
    return false;
}

/* Gives the statement its next name and notes the types it is prepared with. */
static void name_statement(struct postgres_statement *statement)
{
    struct postgres *postgres = postgres_of(statement->base.db);
    (void)snprintf(statement->name, sizeof statement->name, "s%u", ++postgres->statement_names);
    for (int index = 0; index < statement->base.parameters; index++) {
        statement->prepared_types[index] = statement->types[index];
    }
}

static void check_compiled(const struct postgres_statement *statement, const PGresult *result)
{
    if (postgres_is_wrong_sql(result)) {
        db_refuse_sql(statement->sql, PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    }
}

static enum ph_error prepare_now(struct postgres_statement *statement, struct diag *diag)
{
    struct db *db = statement->base.db;
    name_statement(statement);
    PGresult *result = PQprepare(postgres_of(db)->connection, statement->name, statement->sql,
                                 statement->base.parameters, statement->types);
    statement->is_prepared = PQresultStatus(result) == PGRES_COMMAND_OK;
    enum ph_error error = PH_OK;
    if (!statement->is_prepared) {
        check_compiled(statement, result);
        error = postgres_fail(db, result, diag);
    }
    PQclear(result);
    return error;
}

/* Runs the statement with what is bound, which is forgotten. */
static enum ph_error run_now(struct postgres_statement *statement, struct diag *diag,
                             PGresult **ret_result)
{
    struct db *db = statement->base.db;
    enum ph_error error = needs_prepare(statement) ? prepare_now(statement, diag) : PH_OK;
    PGresult *result = NULL;
    if (error == PH_OK) {
        result =
            PQexecPrepared(postgres_of(db)->connection, statement->name, statement->base.parameters,
                           statement->values, statement->lengths, statement->formats, 1);
        ExecStatusType status = PQresultStatus(result);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
            error = postgres_fail(db, result, diag);
        }
    }
    clear_bindings(statement);
    if (error != PH_OK) {
        PQclear(result);
        return error;
    }
    *ret_result = result;
    return PH_OK;
}

enum ph_error postgres_step(struct db_statement *base, struct diag *diag, bool *ret_row)
{
    struct postgres_statement *statement = statement_of(base);
    if (statement->result == NULL) {
        enum ph_error error = run_now(statement, diag, &statement->result);
        if (error != PH_OK) {
            return error;
        }
        statement->row = -1;
    }
    statement->row++;
    *ret_row = statement->row < PQntuples(statement->result);
    if (!*ret_row) {
        postgres_done(base);
    }
    return PH_OK;
}

void postgres_done(struct db_statement *base)
{
    struct postgres_statement *statement = statement_of(base);
    PQclear(statement->result);
    statement->result = NULL;
    clear_bindings(statement);
}

static void note_sent(struct postgres_statement *statement, bool is_prepare)
{
    struct postgres *postgres = postgres_of(statement->base.db);
    if (postgres->sent_count == postgres->sent_capacity) {
        postgres->sent_capacity = postgres->sent_capacity == 0 ? 64 : postgres->sent_capacity * 2;
        postgres->sent =
            ph_realloc(postgres->sent, postgres->sent_capacity * sizeof *postgres->sent);
    }
    postgres->sent[postgres->sent_count++] = (struct postgres_sent){statement, is_prepare};
}

/* libpq copies the bytes and sends them when 64 KiB are together, reading answers meanwhile. */
static enum ph_error send(struct postgres_statement *statement, struct diag *diag)
{
    struct db *db = statement->base.db;
    PGconn *connection = postgres_of(db)->connection;
    int parameters = statement->base.parameters;
    bool is_sent = true;
    if (needs_prepare(statement)) {
        name_statement(statement);
        is_sent = PQsendPrepare(connection, statement->name, statement->sql, parameters,
                                statement->types) == 1;
        /* Taken back by db_pipeline_end when the server says otherwise. */
        statement->is_prepared = is_sent;
        if (is_sent) {
            note_sent(statement, true);
        }
    }
    if (is_sent) {
        is_sent = PQsendQueryPrepared(connection, statement->name, parameters, statement->values,
                                      statement->lengths, statement->formats, 1) == 1;
        if (is_sent) {
            note_sent(statement, false);
        }
    }
    clear_bindings(statement);
    return is_sent ? PH_OK : postgres_fail(db, NULL, diag);
}

enum ph_error postgres_exec(struct db_statement *base, struct diag *diag)
{
    struct postgres_statement *statement = statement_of(base);
    PH_ASSERT(statement->result == NULL);
    if (base->db->is_pipeline) {
        return send(statement, diag);
    }
    PGresult *result = NULL;
    enum ph_error error = run_now(statement, diag, &result);
    if (error != PH_OK) {
        return error;
    }
    /* Empty, and so 0, for statements that change no rows. */
    int64_t changes = 0;
    (void)slice_to_int64(slice_of(PQcmdTuples(result)), &changes);
    base->db->changes = changes;
    PQclear(result);
    return PH_OK;
}

enum ph_error postgres_pipeline_begin(struct db *db, struct diag *diag)
{
    struct postgres *postgres = postgres_of(db);
    postgres->sent_count = 0;
    return PQenterPipelineMode(postgres->connection) == 1 ? PH_OK : postgres_fail(db, NULL, diag);
}

/* One answer. After the first error the others only say that they were skipped. */
static enum ph_error check_answer(struct db *db, const struct postgres_sent *sent,
                                  const PGresult *result, struct diag *diag)
{
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        return PH_OK;
    }
    if (sent->is_prepare) {
        sent->statement->is_prepared = false;
        check_compiled(sent->statement, result);
    }
    return status == PGRES_PIPELINE_ABORTED ? PH_OK : postgres_fail(db, result, diag);
}

/* Reads all answers up to the one of the sync. NULL ends the answers of one command. */
static enum ph_error read_answers(struct db *db, struct diag *diag)
{
    struct postgres *postgres = postgres_of(db);
    enum ph_error error = PH_OK;
    size_t position = 0;
    for (;;) {
        PGresult *result = PQgetResult(postgres->connection);
        if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            return error;
        }
        if (result == NULL && PQstatus(postgres->connection) != CONNECTION_BAD &&
            position < postgres->sent_count) {
            position++;
            continue;
        }
        enum ph_error answer =
            result == NULL || position >= postgres->sent_count
                ? postgres_fail(db, result, error == PH_OK ? diag : NULL)
                : check_answer(db, &postgres->sent[position], result, error == PH_OK ? diag : NULL);
        if (error == PH_OK) {
            error = answer;
        }
        PQclear(result);
        if (result == NULL) {
            return error;
        }
    }
}

enum ph_error postgres_pipeline_end(struct db *db, struct diag *diag)
{
    PGconn *connection = postgres_of(db)->connection;
    if (postgres_of(db)->sent_count > 0) {
        enum ph_error error = PQpipelineSync(connection) == 1 ? read_answers(db, diag)
                                                              : postgres_fail(db, NULL, diag);
        if (error != PH_OK) {
            (void)PQexitPipelineMode(connection);
            return error;
        }
    }
    return PQexitPipelineMode(connection) == 1 ? PH_OK : postgres_fail(db, NULL, diag);
}

static const PGresult *result_of(const struct postgres_statement *statement, int column)
{
    PH_ASSERT(statement->result != NULL && column >= 0 && column < PQnfields(statement->result));
    return statement->result;
}

bool postgres_is_null(struct db_statement *base, int column)
{
    struct postgres_statement *statement = statement_of(base);
    return PQgetisnull(result_of(statement, column), statement->row, column) == 1;
}

int64_t postgres_get_int64(struct db_statement *base, int column)
{
    struct postgres_statement *statement = statement_of(base);
    return postgres_value_int64(result_of(statement, column), statement->row, column);
}

double postgres_get_double(struct db_statement *base, int column)
{
    struct postgres_statement *statement = statement_of(base);
    return postgres_value_double(result_of(statement, column), statement->row, column);
}

struct slice postgres_get_bytes(struct db_statement *base, int column)
{
    struct postgres_statement *statement = statement_of(base);
    return postgres_value_bytes(result_of(statement, column), statement->row, column);
}
