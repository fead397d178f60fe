/* SPDX-License-Identifier: Apache-2.0 */
/* Brings a store up to date. Each round takes the lock, looks what the newest migration is and
 * applies the next one, so that two processes that start at once take turns. */
#include "db/migrations.h"

#include <limits.h>

#include "base/clock.h"
#include "db/db_int.h"

#define MIGRATION_MAX_BYTES (4 << 20)

/* The advisory lock's number is arbitrary ("posthorn" in ASCII) and must never change. */
static const char lock_sql[] = "{if_postgres}SELECT pg_advisory_xact_lock(8101821198468346478)"
                               "{end}{if_sqlite}SELECT 1{end}";
static const char table_sql[] = "CREATE TABLE IF NOT EXISTS schema_migration ("
                                "number BIGINT NOT NULL PRIMARY KEY, "
                                "name TEXT NOT NULL, "
                                "applied_at BIGINT NOT NULL)";

/* Whether db_migrate was ever here. */
static const char has_table_sql[] =
    "{if_postgres}SELECT count(*) FROM pg_catalog.pg_class WHERE oid ="
    " to_regclass('schema_migration'){end}"
    "{if_sqlite}SELECT count(*) FROM sqlite_master WHERE type = 'table'"
    " AND name = 'schema_migration'{end}";

static enum ph_error check_table(struct db *db, struct diag *diag)
{
    struct db_statement *select = db_prepare(db, has_table_sql);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    PH_ASSERT(has_row);
    bool has_table = db_int64(select, 0) != 0;
    db_done(select);
    return has_table ? PH_OK
                     : diag_set(diag, PH_STORE, NULL,
                                "the database is no store of posthorn yet: run `posthorn serve` "
                                "or `posthorn migrate` once");
}

static enum ph_error read_newest(struct db *db, struct diag *diag, int64_t *ret_newest)
{
    struct db_statement *select =
        db_prepare(db, "SELECT COALESCE(max(number), 0) FROM schema_migration");
    return db_read_int64(select, diag, ret_newest);
}

static enum ph_error newer_version(int64_t newest, size_t count, struct diag *diag)
{
    return diag_set(diag, PH_STORE, NULL,
                    "the store has migration %lld, this program knows only %zu: it was made by a "
                    "newer version",
                    (long long)newest, count);
}

enum ph_error db_check_version(struct db *db, size_t count, struct diag *diag)
{
    int64_t newest = 0;
    enum ph_error error = check_table(db, diag);
    if (error == PH_OK) {
        error = read_newest(db, diag, &newest);
    }
    if (error == PH_OK && newest > (int64_t)count) {
        error = newer_version(newest, count, diag);
    } else if (error == PH_OK && newest < (int64_t)count) {
        error = diag_set(diag, PH_STORE, NULL,
                         "the store has migration %lld of %zu: run `posthorn migrate`",
                         (long long)newest, count);
    }
    return error;
}

static enum ph_error run_statements(struct db *db, const struct db_migration *migration,
                                    struct diag *diag)
{
    BUF_AUTO struct buf text;
    buf_init(&text, MIGRATION_MAX_BYTES);
    fragments_expand(db_kind(db), migration->text, &text);
    PH_ASSERT(!text.failed);
    const char *rest = buf_text(&text);
    int line = 1;
    struct slice statement;
    int statement_line;
    while (sql_next_statement(&rest, &line, &statement, &statement_line)) {
        PH_AUTO_FREE char *sql = slice_dup(statement);
        struct diag cause = {0};
        enum ph_error error = db->driver->run(db, sql, &cause);
        if (error != PH_OK) {
            return diag_set(diag, error, NULL, "migration %d (%s), line %d: %s", migration->number,
                            migration->name, statement_line, cause.text);
        }
    }
    return PH_OK;
}

static enum ph_error record(struct db *db, const struct db_migration *migration, struct diag *diag)
{
    struct db_statement *insert = db_prepare(
        db, "INSERT INTO schema_migration (number, name, applied_at) VALUES ($1, $2, $3)");
    db_bind_int64(insert, 1, migration->number);
    db_bind_text(insert, 2, slice_of(migration->name));
    db_bind_int64(insert, 3, clock_wall_us());
    return db_exec(insert, diag);
}

/* Inside a transaction: applies the migration after the newest one. */
static enum ph_error apply_next(struct db *db, const struct db_migration *migrations, size_t count,
                                struct diag *diag, bool *ret_was_newest)
{
    int64_t newest = 0;
    enum ph_error error = db_exec(db_prepare(db, lock_sql), diag);
    if (error == PH_OK) {
        error = db_run(db, table_sql, diag);
    }
    if (error == PH_OK) {
        error = read_newest(db, diag, &newest);
    }
    if (error != PH_OK) {
        return error;
    }
    if (newest > (int64_t)count) {
        return newer_version(newest, count, diag);
    }
    *ret_was_newest = newest == (int64_t)count;
    if (*ret_was_newest) {
        return PH_OK;
    }
    const struct db_migration *migration = &migrations[newest];
    error = run_statements(db, migration, diag);
    return error == PH_OK ? record(db, migration, diag) : error;
}

enum ph_error db_migrate(struct db *db, const struct db_migration *migrations, size_t count,
                         struct diag *diag, int *ret_applied)
{
    for (size_t index = 0; index < count; index++) {
        PH_ASSERT(migrations[index].number == (int)index + 1);
    }
    int applied = 0;
    for (;;) {
        bool was_newest = false;
        enum ph_error error = db_begin(db, diag);
        if (error != PH_OK) {
            return error;
        }
        error = apply_next(db, migrations, count, diag, &was_newest);
        if (error != PH_OK) {
            db_rollback(db);
            return error;
        }
        error = db_commit(db, diag);
        if (error != PH_OK) {
            return error;
        }
        if (was_newest) {
            *ret_applied = applied;
            return PH_OK;
        }
        applied++;
    }
}
