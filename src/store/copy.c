/* SPDX-License-Identifier: Apache-2.0 */
#include "store/copy.h"

#include "db/care.h"
#include "db/migrations.h"

#define ADDRESS_BYTES_MAX 8192

static const char jwt_secret_name[] = "backup.jwt_secret";
static const char taken_at_name[] = "backup.taken_at";

static enum ph_error open_copy(const char *directory, struct diag *diag, struct db **ret_db)
{
    BUF_AUTO struct buf address;
    buf_init(&address, ADDRESS_BYTES_MAX);
    buf_append_format(&address, "sqlite:%s", directory);
    if (address.failed) {
        return diag_set(diag, PH_INVALID, NULL, "the path %.200s is too long", directory);
    }
    enum ph_error error = db_open(buf_text(&address), DB_READ_WRITE, diag, ret_db);
    if (error == PH_OK) {
        /* The caller syncs the file as a whole; a disk that cannot is no reason to end a server. */
        error = db_run(*ret_db, "PRAGMA synchronous=OFF", diag);
        if (error != PH_OK) {
            db_close(*ret_db);
        }
    }
    return error;
}

/* Closes the copy. All of it must be in the one file: closing says nothing of what failed. */
static enum ph_error close_copy(struct db *db, enum ph_error error, struct diag *diag)
{
    int64_t left_bytes = 0;
    if (error == PH_OK) {
        error = db_checkpoint(db, diag, &left_bytes);
    }
    if (error == PH_OK && left_bytes > 0) {
        error = diag_set(diag, PH_STORE_BUSY, NULL, "another program reads the copy");
    }
    db_close(db);
    return error;
}

static enum ph_error put(struct db *db, const char *name, struct slice value, struct diag *diag)
{
    struct db_statement *insert =
        db_prepare(db, "INSERT INTO meta (name, value) VALUES ($1, $2)"
                       " ON CONFLICT (name) DO UPDATE SET value = excluded.value");
    db_bind_text(insert, 1, slice_of(name));
    db_bind_blob(insert, 2, value);
    return db_exec(insert, diag);
}

enum ph_error store_copy_seal(const char *directory, int64_t taken_at_us, struct slice jwt_secret,
                              struct diag *diag)
{
    struct db *db;
    enum ph_error error = open_copy(directory, diag, &db);
    if (error != PH_OK) {
        return error;
    }
    char taken_at[32];
    (void)snprintf(taken_at, sizeof taken_at, "%lld", (long long)taken_at_us);
    error = put(db, taken_at_name, slice_of(taken_at), diag);
    if (error == PH_OK && jwt_secret.ptr != NULL) {
        error = put(db, jwt_secret_name, jwt_secret, diag);
    }
    return close_copy(db, error, diag);
}

/* An empty file is a database without tables; nothing of it may be taken for a store. */
static enum ph_error check_tables(struct db *db, struct diag *diag)
{
    struct db_statement *select =
        db_prepare(db, "SELECT count(*) FROM sqlite_master WHERE type = 'table'"
                       " AND name IN ('schema_migration', 'meta', 'message')");
    int64_t count;
    enum ph_error error = db_read_int64(select, diag, &count);
    if (error == PH_OK && count != 3) {
        error = diag_set(diag, PH_STORE, NULL, "it is no store of posthorn");
    }
    return error;
}

static enum ph_error check_version(struct db *db, struct diag *diag)
{
    struct db_statement *select =
        db_prepare(db, "SELECT COALESCE(max(number), 0) FROM schema_migration");
    int64_t version;
    enum ph_error error = db_read_int64(select, diag, &version);
    if (error != PH_OK) {
        return error;
    }
    if (version < 1 || version > (int64_t)sql_migrations_count) {
        return diag_set(diag, PH_STORE, NULL,
                        "it has migration %lld, this program knows 1 to %zu: restore it with the "
                        "version that made it, or a newer one",
                        (long long)version, sql_migrations_count);
    }
    return PH_OK;
}

enum ph_error store_copy_check(const char *directory, struct diag *diag)
{
    struct db *db;
    struct diag cause = {0};
    enum ph_error error = open_copy(directory, diag, &db);
    if (error != PH_OK) {
        return error;
    }
    enum db_soundness soundness = DB_WHOLE;
    error = db_quick_check(db, 0, &cause, &soundness);
    if (error != PH_OK || soundness != DB_WHOLE) {
        error = diag_set(diag, PH_STORE, NULL, "it is damaged: %s", cause.text);
    }
    if (error == PH_OK) {
        error = check_tables(db, diag);
    }
    if (error == PH_OK) {
        error = check_version(db, diag);
    }
    db_close(db);
    return error;
}

/* Removes the row; its value is left in `value`, empty when there was none. */
static enum ph_error take(struct db *db, const char *name, struct buf *value, struct diag *diag)
{
    struct db_statement *statement =
        db_prepare(db, "DELETE FROM meta WHERE name = $1 RETURNING value");
    db_bind_text(statement, 1, slice_of(name));
    bool has_row = false;
    enum ph_error error = db_step(statement, diag, &has_row);
    if (error == PH_OK && has_row) {
        buf_append_slice(value, db_blob(statement, 0));
        error = db_step(statement, diag, &has_row);
    }
    db_done(statement);
    return error;
}

enum ph_error store_copy_open(const char *directory, struct diag *diag, int64_t *ret_taken_at_us,
                              struct buf *ret_jwt_secret)
{
    struct db *db;
    BUF_AUTO struct buf taken_at;
    buf_init(&taken_at, 64);
    enum ph_error error = open_copy(directory, diag, &db);
    if (error != PH_OK) {
        return error;
    }
    /* What is deleted is overwritten: a secret stays in its file alone. */
    error = db_run(db, "PRAGMA secure_delete=ON", diag);
    if (error == PH_OK) {
        error = take(db, taken_at_name, &taken_at, diag);
    }
    if (error == PH_OK) {
        error = take(db, jwt_secret_name, ret_jwt_secret, diag);
    }
    error = close_copy(db, error, diag);
    if (error == PH_OK && !slice_to_int64(buf_slice(&taken_at), ret_taken_at_us)) {
        *ret_taken_at_us = 0;
    }
    return error;
}
