/* SPDX-License-Identifier: Apache-2.0 */
/* The connection of the PostgreSQL driver: opening, transactions, errors. */
#include "db/postgres_int.h"

/* The oldest server that has pg_current_xact_id(). */
#define SERVER_VERSION_MIN 130000

struct state_row {
    const char *state; /* SQLSTATE, or its class */
    enum ph_error error;
};

/* Appendix A of PostgreSQL's manual. What is not here is PH_STORE. */
static const struct state_row states[] = {
    {"23505", PH_CONFLICT},   /* unique_violation */
    {"53100", PH_STORE_FULL}, /* disk_full */
    {"53200", PH_NO_MEMORY},  /* out_of_memory */
    {"53300", PH_STORE_BUSY}, /* too_many_connections */
    {"55P03", PH_STORE_BUSY}, /* lock_not_available */
    {"57014", PH_STORE_BUSY}, /* query_canceled: a timeout that the administrator set */
    {"57P03", PH_STORE_BUSY}, /* cannot_connect_now: it starts or stops */
    {"40", PH_STORE_BUSY},    /* serialization_failure, deadlock_detected */
};

static const char *state_of(const PGresult *result)
{
    const char *state = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return state == NULL ? "" : state;
}

bool postgres_is_wrong_sql(const PGresult *result)
{
    /* 42501, a missing privilege, is the administrator's doing. */
    const char *state = state_of(result);
    return strncmp(state, "42", 2) == 0 && strcmp(state, "42501") != 0;
}

enum ph_error postgres_fail(struct db *db, const PGresult *result, struct diag *diag)
{
    const char *state = state_of(result);
    enum ph_error error = PH_STORE;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(states); index++) {
        if (strncmp(state, states[index].state, strlen(states[index].state)) == 0) {
            error = states[index].error;
            break;
        }
    }
    const char *words = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (words == NULL) {
        words = PQerrorMessage(postgres_of(db)->connection);
    }
    /* The detail line is left out: it shows values. */
    struct slice first_line = slice_trim(slice_of(words));
    first_line.len = slice_find(first_line, '\n');
    return diag_set(diag, error, NULL, "PostgreSQL: %.*s%s%s%s", SLICE_ARG(first_line),
                    state[0] == '\0' ? "" : " (", state, state[0] == '\0' ? "" : ")");
}

static enum ph_error run(struct db *db, const char *sql, struct diag *diag)
{
    PGresult *result = PQexec(postgres_of(db)->connection, sql);
    ExecStatusType status = PQresultStatus(result);
    enum ph_error error = PH_OK;
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY) {
        error = postgres_fail(db, result, diag);
    }
    PQclear(result);
    return error;
}

static enum ph_error commit(struct db *db, struct diag *diag)
{
    PH_ASSERT(db_in_transaction(db) || db_is_broken(db));
    PGresult *result = PQexec(postgres_of(db)->connection, "COMMIT");
    enum ph_error error = PH_OK;
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        error = postgres_fail(db, result, diag);
    } else if (strcmp(PQcmdStatus(result), "COMMIT") != 0) {
        /* COMMIT of a transaction with a failed statement "succeeds" as ROLLBACK. */
        error = diag_set(diag, PH_STORE, NULL, "PostgreSQL: the transaction was rolled back");
    }
    PQclear(result);
    return error;
}

static bool in_transaction(const struct db *db)
{
    const struct postgres *postgres = (const struct postgres *)db;
    switch ((int)PQtransactionStatus(postgres->connection)) {
    case PQTRANS_INTRANS:
    case PQTRANS_INERROR:
        return true;
    case PQTRANS_ACTIVE:
        /* A pipeline is open, and those are opened inside of transactions only. */
        return true;
    default:
        return false;
    }
}

static bool is_broken(const struct db *db)
{
    return PQstatus(((const struct postgres *)db)->connection) == CONNECTION_BAD;
}

static enum ph_error checkpoint(PH_UNUSED struct db *db, PH_UNUSED struct diag *diag,
                                int64_t *ret_left_bytes)
{
    *ret_left_bytes = 0;
    return PH_OK;
}

static void close_connection(struct db *db)
{
    struct postgres *postgres = postgres_of(db);
    PQfinish(postgres->connection);
    free(postgres->sent);
    free(postgres);
}

static const struct db_driver postgres_driver = {
    .kind = DB_POSTGRES,
    .close = close_connection,
    .run = run,
    .prepare = postgres_prepare,
    .statement_free = postgres_statement_free,
    .bind_int64 = postgres_bind_int64,
    .bind_double = postgres_bind_double,
    .bind_text = postgres_bind_text,
    .bind_blob = postgres_bind_blob,
    .bind_null = postgres_bind_null,
    .step = postgres_step,
    .done = postgres_done,
    .exec = postgres_exec,
    .is_null = postgres_is_null,
    .get_int64 = postgres_get_int64,
    .get_double = postgres_get_double,
    .get_bytes = postgres_get_bytes,
    /* The isolation is named, so that the administrator's default cannot change what ours means. */
    .begin_sql = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
    .begin_read_sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    .commit = commit,
    .in_transaction = in_transaction,
    .is_broken = is_broken,
    .pipeline_begin = postgres_pipeline_begin,
    .pipeline_end = postgres_pipeline_end,
    .checkpoint = checkpoint,
};

static void ignore_notice(PH_UNUSED void *context, PH_UNUSED const char *words)
{
}

/* User, host, port and database of the connection: the address without its password. */
static enum ph_error fail_open(struct postgres *postgres, struct diag *diag, const char *words)
{
    const PGconn *connection = postgres->connection;
    const char *host = PQhost(connection);
    const char *user = PQuser(connection);
    if (host == NULL || user == NULL) {
        /* The URL could not be read; libpq's words may repeat any part of it. */
        return diag_set(diag, PH_STORE, NULL, "the address is not a valid postgres:// URL");
    }
    struct slice first_line = slice_trim(slice_of(words));
    first_line.len = slice_find(first_line, '\n');
    return diag_set(diag, PH_STORE, NULL, "could not open postgres://%s@%s:%s/%s: %.*s", user, host,
                    PQport(connection), PQdb(connection), SLICE_ARG(first_line));
}

static enum ph_error configure(struct postgres *postgres, enum db_mode mode, struct diag *diag)
{
    if (PQserverVersion(postgres->connection) < SERVER_VERSION_MIN) {
        return fail_open(postgres, diag, "the server is older than PostgreSQL 13");
    }
    const char *encoding = PQparameterStatus(postgres->connection, "server_encoding");
    if (encoding == NULL || strcmp(encoding, "UTF8") != 0) {
        return fail_open(postgres, diag, "the database's encoding is not UTF8");
    }
    /* What is acknowledged must be on disk, whatever the server's default is. */
    struct diag cause = {0};
    enum ph_error error = run(&postgres->base,
                              "SELECT set_config('synchronous_commit', 'on', false) "
                              "WHERE current_setting('synchronous_commit') = 'off'; "
                              "SET standard_conforming_strings = on",
                              &cause);
    if (error == PH_OK && mode == DB_READ_ONLY) {
        error = run(&postgres->base, "SET default_transaction_read_only = on", &cause);
    }
    return error == PH_OK ? PH_OK : fail_open(postgres, diag, cause.text);
}

enum ph_error postgres_open(const char *url, enum db_mode mode, struct diag *diag,
                            struct db **ret_db)
{
    /* What stands before dbname can be changed by the URL, what stands behind cannot. */
    static const char *const names[] = {"connect_timeout", "application_name", "tcp_user_timeout",
                                        "dbname",          "client_encoding",  NULL};
    const char *const values[] = {"10", "posthorn", "30000", url, "UTF8", NULL};
    struct postgres *postgres = ph_calloc(1, sizeof *postgres);
    postgres->base.driver = &postgres_driver;
    postgres->base.is_read_only = mode == DB_READ_ONLY;
    map_init(&postgres->base.statements);
    postgres->connection = PQconnectdbParams(names, values, 1);
    enum ph_error error;
    if (PQstatus(postgres->connection) != CONNECTION_OK) {
        error = fail_open(postgres, diag, PQerrorMessage(postgres->connection));
    } else {
        (void)PQsetNoticeProcessor(postgres->connection, ignore_notice, NULL);
        error = configure(postgres, mode, diag);
    }
    if (error != PH_OK) {
        db_close(&postgres->base);
        return error;
    }
    *ret_db = &postgres->base;
    return PH_OK;
}
