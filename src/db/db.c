/* SPDX-License-Identifier: Apache-2.0 */
/* Hands each call to the driver of the connection, after the checks that hold on both databases.
 * What only one database would refuse is refused here on both, so that no caller works by luck. */
#include "db/db.h"

#include <limits.h>

#include "db/db_int.h"

#define SQL_MAX_BYTES (4 << 20)

static const char savepoint_sql[] = "SAVEPOINT step";
static const char release_sql[] = "RELEASE SAVEPOINT step";
static const char rollback_to_sql[] = "ROLLBACK TO SAVEPOINT step";
static const char rollback_sql[] = "ROLLBACK";

void db_refuse_sql(const char *sql, const char *words)
{
    (void)fprintf(stderr, "posthorn: SQL that does not compile: %s\n%s\n", words, sql);
    abort();
}

enum ph_error db_open(const char *address, enum db_mode mode, struct diag *diag, struct db **ret_db)
{
    struct slice whole = slice_of(address);
    if (slice_starts_with(whole, "sqlite:")) {
        return sqlite_open(address + strlen("sqlite:"), mode, diag, ret_db);
    }
    if (slice_starts_with(whole, "postgres://") || slice_starts_with(whole, "postgresql://")) {
        return postgres_open(address, mode, diag, ret_db);
    }
    /* The address is not shown: it may be a mistyped URL with a password. */
    return diag_set(diag, PH_STORE, NULL,
                    "the store's address begins neither with sqlite: nor with postgres://");
}

void db_close(struct db *db)
{
    if (db == NULL) {
        return;
    }
    size_t position = 0;
    uint64_t key;
    void *statement;
    while (map_next(&db->statements, &position, &key, &statement)) {
        db->driver->statement_free(statement);
    }
    map_done(&db->statements);
    db->driver->close(db);
}

enum db_kind db_kind(const struct db *db)
{
    return db->driver->kind;
}

/* The text for this database. SQL is ours, so one that is too long is a programmer error. */
static const char *expand(const struct db *db, const char *sql, struct buf *text)
{
    buf_init(text, SQL_MAX_BYTES);
    fragments_expand(db->driver->kind, sql, text);
    PH_ASSERT(!text->failed);
    return buf_text(text);
}

enum ph_error db_run(struct db *db, const char *sql, struct diag *diag)
{
    PH_ASSERT(!db->is_pipeline);
    BUF_AUTO struct buf text;
    return db->driver->run(db, expand(db, sql, &text), diag);
}

struct db_statement *db_prepare(struct db *db, const char *sql)
{
    uint64_t key = (uint64_t)(uintptr_t)sql;
    struct db_statement *statement = map_get(&db->statements, key);
    if (PH_LIKELY(statement != NULL)) {
        return statement;
    }
    BUF_AUTO struct buf text;
    const char *expanded = expand(db, sql, &text);
    statement = db->driver->prepare(db, expanded, sql_count_parameters(expanded));
    (void)map_set(&db->statements, key, statement);
    return statement;
}

static void check_parameter(const struct db_statement *statement, int parameter)
{
    PH_ASSERT(parameter >= 1 && parameter <= statement->parameters);
}

void db_bind_int64(struct db_statement *statement, int parameter, int64_t value)
{
    check_parameter(statement, parameter);
    statement->driver->bind_int64(statement, parameter, value);
}

void db_bind_double(struct db_statement *statement, int parameter, double value)
{
    check_parameter(statement, parameter);
    statement->driver->bind_double(statement, parameter, value);
}

void db_bind_null(struct db_statement *statement, int parameter)
{
    check_parameter(statement, parameter);
    statement->driver->bind_null(statement, parameter);
}

void db_bind_text(struct db_statement *statement, int parameter, struct slice value)
{
    check_parameter(statement, parameter);
    PH_ASSERT(value.len <= INT_MAX);
    if (value.ptr == NULL) {
        statement->driver->bind_null(statement, parameter);
    } else {
        statement->driver->bind_text(statement, parameter, value);
    }
}

void db_bind_blob(struct db_statement *statement, int parameter, struct slice value)
{
    check_parameter(statement, parameter);
    PH_ASSERT(value.len <= INT_MAX);
    if (value.ptr == NULL) {
        statement->driver->bind_null(statement, parameter);
    } else {
        statement->driver->bind_blob(statement, parameter, value);
    }
}

enum ph_error db_step(struct db_statement *statement, struct diag *diag, bool *ret_row)
{
    PH_ASSERT(!statement->db->is_pipeline);
    return statement->driver->step(statement, diag, ret_row);
}

void db_done(struct db_statement *statement)
{
    statement->driver->done(statement);
}

enum ph_error db_find_row(struct db_statement *statement, const char *words, struct diag *diag)
{
    bool has_row;
    enum ph_error error = db_step(statement, diag, &has_row);
    if (error == PH_OK && !has_row) {
        error = diag_set(diag, PH_NOT_FOUND, NULL, "%s", words);
    }
    return error;
}

enum ph_error db_read_exists(struct db_statement *statement, struct diag *diag, bool *ret_exists)
{
    bool has_row;
    enum ph_error error = db_step(statement, diag, &has_row);
    if (error == PH_OK) {
        *ret_exists = has_row;
        db_done(statement);
    }
    return error;
}

enum ph_error db_read_int64(struct db_statement *statement, struct diag *diag, int64_t *ret_value)
{
    bool has_row;
    enum ph_error error = db_step(statement, diag, &has_row);
    if (error == PH_OK) {
        *ret_value = has_row ? db_int64(statement, 0) : 0;
        db_done(statement);
    }
    return error;
}

enum ph_error db_exec(struct db_statement *statement, struct diag *diag)
{
    return statement->driver->exec(statement, diag);
}

int64_t db_changes(const struct db *db)
{
    return db->changes;
}

bool db_is_null(struct db_statement *statement, int column)
{
    return statement->driver->is_null(statement, column);
}

int64_t db_int64(struct db_statement *statement, int column)
{
    return statement->driver->get_int64(statement, column);
}

double db_double(struct db_statement *statement, int column)
{
    return statement->driver->get_double(statement, column);
}

struct slice db_text(struct db_statement *statement, int column)
{
    return statement->driver->get_bytes(statement, column);
}

struct slice db_blob(struct db_statement *statement, int column)
{
    return statement->driver->get_bytes(statement, column);
}

static enum ph_error exec_sql(struct db *db, const char *sql, struct diag *diag)
{
    PH_ASSERT(!db->is_pipeline);
    return db_exec(db_prepare(db, sql), diag);
}

enum ph_error db_begin(struct db *db, struct diag *diag)
{
    PH_ASSERT(!db->is_read_only && !db_in_transaction(db));
    return exec_sql(db, db->driver->begin_sql, diag);
}

enum ph_error db_begin_read(struct db *db, struct diag *diag)
{
    PH_ASSERT(!db_in_transaction(db));
    return exec_sql(db, db->driver->begin_read_sql, diag);
}

enum ph_error db_commit(struct db *db, struct diag *diag)
{
    PH_ASSERT(!db->is_pipeline);
    enum ph_error error = db->driver->commit(db, diag);
    if (error != PH_OK) {
        db_rollback(db);
    }
    return error;
}

void db_rollback(struct db *db)
{
    if (db->is_pipeline) {
        /* Its answers must be read first; what they say no longer matters. */
        enum ph_error ignored = db_pipeline_end(db, NULL);
        (void)ignored;
    }
    if (db_in_transaction(db)) {
        /* Fails only when the transaction is gone already or the connection is. */
        enum ph_error ignored = exec_sql(db, rollback_sql, NULL);
        (void)ignored;
    }
}

enum ph_error db_savepoint(struct db *db, struct diag *diag)
{
    PH_ASSERT(db_in_transaction(db));
    return exec_sql(db, savepoint_sql, diag);
}

enum ph_error db_savepoint_release(struct db *db, struct diag *diag)
{
    if (!db_in_transaction(db)) {
        return diag_set(diag, PH_STORE, NULL, "the transaction was rolled back by the database");
    }
    return exec_sql(db, release_sql, diag);
}

void db_savepoint_rollback(struct db *db)
{
    if (!db_in_transaction(db)) {
        return;
    }
    enum ph_error error = exec_sql(db, rollback_to_sql, NULL);
    if (error == PH_OK) {
        error = exec_sql(db, release_sql, NULL);
    }
    if (error != PH_OK) {
        /* Neither kept nor undone would be worse than a transaction that is gone. */
        db_rollback(db);
    }
}

bool db_in_transaction(const struct db *db)
{
    return db->driver->in_transaction(db);
}

bool db_is_broken(const struct db *db)
{
    return db->driver->is_broken(db);
}

enum ph_error db_pipeline_begin(struct db *db, struct diag *diag)
{
    PH_ASSERT(!db->is_pipeline && db_in_transaction(db));
    enum ph_error error = db->driver->pipeline_begin(db, diag);
    db->is_pipeline = error == PH_OK;
    return error;
}

enum ph_error db_pipeline_end(struct db *db, struct diag *diag)
{
    PH_ASSERT(db->is_pipeline);
    db->is_pipeline = false;
    return db->driver->pipeline_end(db, diag);
}

enum ph_error db_checkpoint(struct db *db, struct diag *diag, int64_t *ret_left_bytes)
{
    PH_ASSERT(!db_in_transaction(db));
    return db->driver->checkpoint(db, diag, ret_left_bytes);
}

int64_t db_wal_bytes(const struct db *db)
{
    return db->wal_bytes;
}
