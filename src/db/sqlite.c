/* SPDX-License-Identifier: Apache-2.0 */
/* The SQLite driver. Bytes are bound without a copy (SQLITE_STATIC): db.h makes the caller keep
 * them, and every statement is reset with its bindings cleared before control returns. */
#include "db/sqlite_int.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 5000
#define CACHE_WRITER_KIB 8192
#define CACHE_READER_KIB 2048
#define PAGE_BYTES 4096
#define WAL_FRAME_HEADER_BYTES 24

struct sqlite_statement {
    struct db_statement base;
    sqlite3_stmt *handle;
    char *sql;      /* kept while `handle` is NULL: it could not be prepared yet */
    int index_of[]; /* [n] is SQLite's index of $n, 0 when the text has no such one */
};

static struct sqlite *sqlite_of(struct db *db)
{
    return PH_CONTAINER_OF(db, struct sqlite, base);
}

static struct sqlite_statement *statement_of(struct db_statement *statement)
{
    return PH_CONTAINER_OF(statement, struct sqlite_statement, base);
}

static void configure_library(void)
{
    /* Both only save time; they are refused when somebody has used the library before us. */
    (void)sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* After a failed fsync the kernel may have dropped the pages: nothing that was acknowledged can be
 * relied on by this process. After a restart SQLite reads what is really there. */
static void end_after_failed_sync(int code, sqlite3 *handle)
{
    if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC) {
        (void)fprintf(stderr,
                      "posthorn: the disk reported an error when it was asked to keep data "
                      "(fsync): %s\n",
                      strerror(sqlite3_system_errno(handle)));
        abort();
    }
}

static enum ph_error error_of(int code, sqlite3 *handle)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
        return PH_STORE_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return PH_STORE_BUSY;
    case SQLITE_NOMEM:
        return PH_NO_MEMORY;
    case SQLITE_IOERR: {
        int system_error = sqlite3_system_errno(handle);
        return system_error == ENOSPC || system_error == EDQUOT ? PH_STORE_FULL : PH_STORE;
    }
    default:
        return PH_STORE;
    }
}

enum ph_error sqlite_fail(struct db *db, int code, struct diag *diag)
{
    sqlite3 *handle = sqlite_of(db)->handle;
    end_after_failed_sync(code, handle);
    bool is_unique_violation = code == SQLITE_CONSTRAINT_UNIQUE ||
                               code == SQLITE_CONSTRAINT_PRIMARYKEY ||
                               code == SQLITE_CONSTRAINT_ROWID;
    enum ph_error error = is_unique_violation ? PH_CONFLICT : error_of(code, handle);
    /* What is wrong with a file is told with its name. */
    const char *path =
        error == PH_STORE || error == PH_STORE_FULL ? sqlite3_db_filename(handle, "main") : NULL;
    bool has_path = path != NULL && path[0] != '\0';
    return diag_set(diag, error, NULL, "SQLite: %s (%d)%s%s", sqlite3_errmsg(handle), code,
                    has_path ? " in " : "", has_path ? path : "");
}

static enum ph_error run(struct db *db, const char *sql, struct diag *diag)
{
    int code = sqlite3_exec(sqlite_of(db)->handle, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? PH_OK : sqlite_fail(db, code, diag);
}

/* SQLite numbers `$n` by first appearance, so the number in the name is what counts. */
static void map_parameters(struct sqlite_statement *statement)
{
    int count = sqlite3_bind_parameter_count(statement->handle);
    for (int index = 1; index <= count; index++) {
        const char *name = sqlite3_bind_parameter_name(statement->handle, index);
        int64_t number = 0;
        PH_ASSERT(name != NULL && name[0] == '$');
        PH_ASSERT(slice_to_int64(slice_of(name + 1), &number));
        PH_ASSERT(number >= 1 && number <= statement->base.parameters);
        statement->index_of[number] = index;
    }
}

/* Compiling reads the schema, which can fail like any read; only a wrong text asserts. */
static int compile(struct sqlite_statement *statement)
{
    sqlite3 *handle = sqlite_of(statement->base.db)->handle;
    int code = sqlite3_prepare_v3(handle, statement->sql, -1, SQLITE_PREPARE_PERSISTENT,
                                  &statement->handle, NULL);
    if (code == SQLITE_OK) {
        map_parameters(statement);
        free(statement->sql);
        statement->sql = NULL;
    } else if (code == SQLITE_ERROR) {
        db_refuse_sql(statement->sql, sqlite3_errmsg(handle));
    }
    return code;
}

static struct db_statement *prepare(struct db *db, const char *sql, int parameters)
{
    struct sqlite_statement *statement =
        ph_calloc(1, sizeof *statement + ((size_t)parameters + 1) * sizeof(int));
    statement->base = (struct db_statement){db, db->driver, parameters};
    statement->sql = ph_strdup(sql);
    (void)compile(statement); /* tried again by the first step */
    return &statement->base;
}

static void statement_free(struct db_statement *base)
{
    struct sqlite_statement *statement = statement_of(base);
    (void)sqlite3_finalize(statement->handle);
    free(statement->sql);
    free(statement);
}

/* The index to bind at, 0 when the statement could not be prepared yet. */
static int index_of(const struct sqlite_statement *statement, int parameter)
{
    int index = statement->index_of[parameter];
    PH_ASSERT(index > 0 || statement->handle == NULL);
    return index;
}

/* Refused only while the statement has rows left (db_done is missing) or for an impossible size. */
static void check_bound(const struct sqlite_statement *statement, int code)
{
    PH_ASSERT(code == SQLITE_OK || statement->handle == NULL);
}

static void bind_int64(struct db_statement *base, int parameter, int64_t value)
{
    struct sqlite_statement *statement = statement_of(base);
    int index = index_of(statement, parameter);
    check_bound(statement, sqlite3_bind_int64(statement->handle, index, value));
}

static void bind_double(struct db_statement *base, int parameter, double value)
{
    struct sqlite_statement *statement = statement_of(base);
    int index = index_of(statement, parameter);
    check_bound(statement, sqlite3_bind_double(statement->handle, index, value));
}

static void bind_text(struct db_statement *base, int parameter, struct slice value)
{
    struct sqlite_statement *statement = statement_of(base);
    int index = index_of(statement, parameter);
    check_bound(statement, sqlite3_bind_text(statement->handle, index, value.ptr, (int)value.len,
                                             SQLITE_STATIC));
}

static void bind_blob(struct db_statement *base, int parameter, struct slice value)
{
    struct sqlite_statement *statement = statement_of(base);
    int index = index_of(statement, parameter);
    check_bound(statement, sqlite3_bind_blob(statement->handle, index, value.ptr, (int)value.len,
                                             SQLITE_STATIC));
}

static void bind_null(struct db_statement *base, int parameter)
{
    struct sqlite_statement *statement = statement_of(base);
    int index = index_of(statement, parameter);
    check_bound(statement, sqlite3_bind_null(statement->handle, index));
}

static void done(struct db_statement *base)
{
    sqlite3_stmt *handle = statement_of(base)->handle;
    if (handle != NULL) {
        /* Gives the error of the last step once more, which has been reported. */
        (void)sqlite3_reset(handle);
        (void)sqlite3_clear_bindings(handle);
    }
}

/* A statement that db_prepare could not compile ran with nothing bound to it, so it is compiled
 * for the next call and this one fails. */
static enum ph_error fail_unprepared(struct sqlite_statement *statement, struct diag *diag)
{
    int code = compile(statement);
    if (code != SQLITE_OK) {
        return sqlite_fail(statement->base.db, code, diag);
    }
    return diag_set(diag, PH_STORE_BUSY, NULL, "SQLite: the statement could not be prepared");
}

static enum ph_error step(struct db_statement *base, struct diag *diag, bool *ret_row)
{
    struct sqlite_statement *statement = statement_of(base);
    if (PH_UNLIKELY(statement->handle == NULL)) {
        return fail_unprepared(statement, diag);
    }
    int code = sqlite3_step(statement->handle);
    if (code == SQLITE_ROW) {
        *ret_row = true;
        return PH_OK;
    }
    enum ph_error error = code == SQLITE_DONE ? PH_OK : sqlite_fail(base->db, code, diag);
    done(base);
    if (error == PH_OK) {
        *ret_row = false;
    }
    return error;
}

static enum ph_error exec(struct db_statement *base, struct diag *diag)
{
    bool has_row;
    do {
        enum ph_error error = step(base, diag, &has_row);
        if (error != PH_OK) {
            return error;
        }
    } while (has_row);
    base->db->changes = sqlite3_changes(sqlite_of(base->db)->handle);
    return PH_OK;
}

static bool is_null(struct db_statement *base, int column)
{
    return sqlite3_column_type(statement_of(base)->handle, column) == SQLITE_NULL;
}

static int64_t get_int64(struct db_statement *base, int column)
{
    return sqlite3_column_int64(statement_of(base)->handle, column);
}

static double get_double(struct db_statement *base, int column)
{
    return sqlite3_column_double(statement_of(base)->handle, column);
}

static struct slice get_bytes(struct db_statement *base, int column)
{
    sqlite3_stmt *handle = statement_of(base)->handle;
    if (sqlite3_column_type(handle, column) == SQLITE_NULL) {
        return SLICE_NONE;
    }
    const char *bytes = sqlite3_column_blob(handle, column);
    if (bytes == NULL) {
        return (struct slice){"", 0};
    }
    return (struct slice){bytes, (size_t)sqlite3_column_bytes(handle, column)};
}

static enum ph_error commit(struct db *db, struct diag *diag)
{
    static const char commit_sql[] = "COMMIT";
    if (sqlite3_get_autocommit(sqlite_of(db)->handle)) {
        return diag_set(diag, PH_STORE, NULL, "SQLite: the transaction was rolled back");
    }
    return exec(db_prepare(db, commit_sql), diag);
}

static bool in_transaction(const struct db *db)
{
    return !sqlite3_get_autocommit(((const struct sqlite *)db)->handle);
}

static bool is_broken(PH_UNUSED const struct db *db)
{
    return false;
}

static enum ph_error pipeline_begin(PH_UNUSED struct db *db, PH_UNUSED struct diag *diag)
{
    return PH_OK;
}

static enum ph_error pipeline_end(PH_UNUSED struct db *db, PH_UNUSED struct diag *diag)
{
    return PH_OK;
}

static enum ph_error checkpoint(struct db *db, struct diag *diag, int64_t *ret_left_bytes)
{
    struct sqlite *sqlite = sqlite_of(db);
    int frames = -1;
    int copied = -1;
    int code = sqlite3_wal_checkpoint_v2(sqlite->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames,
                                         &copied);
    /* Busy with a frame count: readers or a writer kept a part of it back. Without one another
     * checkpoint is running. */
    if (code != SQLITE_OK && !(code == SQLITE_BUSY && frames >= 0)) {
        return sqlite_fail(db, code, diag);
    }
    *ret_left_bytes = frames > copied ? (frames - copied) * sqlite->frame_bytes : 0;
    return PH_OK;
}

/* Called by SQLite after each commit of this connection. Having a hook also switches SQLite's own
 * checkpoints off: one inside a commit would hold up everybody who waits for it. */
static int note_wal(void *context, PH_UNUSED sqlite3 *handle, PH_UNUSED const char *name,
                    int frames)
{
    struct sqlite *sqlite = context;
    sqlite->base.wal_bytes = frames * sqlite->frame_bytes;
    return SQLITE_OK;
}

static void close_connection(struct db *db)
{
    struct sqlite *sqlite = sqlite_of(db);
    int code = sqlite3_close(sqlite->handle);
    PH_ASSERT(code == SQLITE_OK);
    free(sqlite);
}

static const struct db_driver sqlite_driver = {
    .kind = DB_SQLITE,
    .close = close_connection,
    .run = run,
    .prepare = prepare,
    .statement_free = statement_free,
    .bind_int64 = bind_int64,
    .bind_double = bind_double,
    .bind_text = bind_text,
    .bind_blob = bind_blob,
    .bind_null = bind_null,
    .step = step,
    .done = done,
    .exec = exec,
    .is_null = is_null,
    .get_int64 = get_int64,
    .get_double = get_double,
    .get_bytes = get_bytes,
    .begin_sql = "BEGIN IMMEDIATE",
    .begin_read_sql = "BEGIN",
    .commit = commit,
    .in_transaction = in_transaction,
    .is_broken = is_broken,
    .pipeline_begin = pipeline_begin,
    .pipeline_end = pipeline_end,
    .checkpoint = checkpoint,
};

/* WAL and shared memory take the file's mode. An existing file must not be opened and closed here:
 * that would drop this process's locks on it. */
void sqlite_create_private_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* First column of the first row of a pragma: its text, or its number. */
static enum ph_error read_pragma(struct sqlite *sqlite, const char *sql, struct diag *diag,
                                 bool *ret_is_wal, int64_t *ret_number)
{
    sqlite3_stmt *handle = NULL;
    int code = sqlite3_prepare_v2(sqlite->handle, sql, -1, &handle, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(handle);
    }
    if (code != SQLITE_ROW) {
        enum ph_error error = sqlite_fail(&sqlite->base, code, diag);
        (void)sqlite3_finalize(handle);
        return error;
    }
    const char *text = (const char *)sqlite3_column_text(handle, 0);
    *ret_is_wal = slice_equal_text(slice_of(text), "wal");
    *ret_number = sqlite3_column_int64(handle, 0);
    (void)sqlite3_finalize(handle);
    return PH_OK;
}

static enum ph_error configure(struct sqlite *sqlite, enum db_mode mode, struct diag *diag)
{
    char pragmas[512];
    /* page_size and auto_vacuum work only before the first table, and cost nothing later. */
    (void)snprintf(pragmas, sizeof pragmas,
                   "PRAGMA page_size=%d;%s PRAGMA synchronous=FULL; PRAGMA foreign_keys=OFF;"
                   "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-%d; PRAGMA mmap_size=0;"
                   "PRAGMA trusted_schema=OFF; PRAGMA query_only=%d",
                   PAGE_BYTES, mode == DB_READ_WRITE ? "PRAGMA auto_vacuum=INCREMENTAL;" : "",
                   mode == DB_READ_WRITE ? CACHE_WRITER_KIB : CACHE_READER_KIB,
                   mode == DB_READ_ONLY);
    /* "text" in double quotes is a name here too, as in PostgreSQL. */
    (void)sqlite3_db_config(sqlite->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    (void)sqlite3_db_config(sqlite->handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    enum ph_error error = run(&sqlite->base, pragmas, diag);
    bool is_wal = false;
    int64_t number = 0;
    if (error == PH_OK) {
        error = read_pragma(
            sqlite, mode == DB_READ_WRITE ? "PRAGMA journal_mode=WAL" : "PRAGMA journal_mode", diag,
            &is_wal, &number);
    }
    if (error == PH_OK && !is_wal) {
        error = diag_set(diag, PH_STORE, NULL, "the file system cannot hold a write-ahead log");
    }
    if (error == PH_OK) {
        bool ignored;
        error = read_pragma(sqlite, "PRAGMA page_size", diag, &ignored, &number);
    }
    if (error == PH_OK) {
        sqlite->frame_bytes = number + WAL_FRAME_HEADER_BYTES;
        (void)sqlite3_wal_hook(sqlite->handle, note_wal, sqlite);
    }
    return error;
}

enum ph_error sqlite_open(const char *directory, enum db_mode mode, struct diag *diag,
                          struct db **ret_db)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, configure_library);

    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/posthorn.db", directory);
    if (directory[0] == '\0' || length < 0 || (size_t)length >= sizeof path) {
        return diag_set(diag, PH_STORE, NULL, "the store's directory is empty or too long");
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (mode == DB_READ_WRITE) {
        sqlite_create_private_file(path);
        flags |= SQLITE_OPEN_CREATE;
    }
    struct sqlite *sqlite = ph_calloc(1, sizeof *sqlite);
    sqlite->base.driver = &sqlite_driver;
    sqlite->base.is_read_only = mode == DB_READ_ONLY;
    map_init(&sqlite->base.statements);
    int code = sqlite3_open_v2(path, &sqlite->handle, flags, NULL);
    PH_ASSERT(sqlite->handle != NULL);
    struct diag cause = {0};
    enum ph_error error;
    if (code != SQLITE_OK) {
        error = sqlite_fail(&sqlite->base, code, &cause);
    } else {
        (void)sqlite3_busy_timeout(sqlite->handle, BUSY_TIMEOUT_MS);
        error = configure(sqlite, mode, &cause);
    }
    if (error != PH_OK) {
        db_close(&sqlite->base);
        return diag_set(diag, error, NULL, "could not open %s: %s", path, cause.text);
    }
    *ret_db = &sqlite->base;
    return PH_OK;
}
