/* SPDX-License-Identifier: Apache-2.0 */
#include "db/care.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "base/clock.h"
#include "db/sqlite_int.h"

/* Instructions of SQLite's machine between two looks at the clock: well below a millisecond. */
#define PROGRESS_INSTRUCTIONS 1000

struct db_copy {
    struct db *source;
    sqlite3 *target;
    sqlite3_backup *backup;
    int64_t page_bytes;
};

static struct sqlite *sqlite_of(struct db *db)
{
    PH_ASSERT(db_kind(db) == DB_SQLITE);
    return PH_CONTAINER_OF(db, struct sqlite, base);
}

static enum ph_error read_number(struct db *db, const char *sql, struct diag *diag,
                                 int64_t *ret_number)
{
    struct db_statement *select = db_prepare(db, sql);
    return db_read_int64(select, diag, ret_number);
}

/* --- copies ---------------------------------------------------------------------------------- */

/* A copy keeps its error to itself until its end, so the words are those of the code. */
static enum ph_error fail_copy(const struct db_copy *copy, int code, struct diag *diag)
{
    int reason = sqlite3_system_errno(copy->target);
    bool is_full = (code & 0xff) == SQLITE_FULL || reason == ENOSPC || reason == EDQUOT;
    return diag_set(diag, is_full ? PH_STORE_FULL : PH_STORE, NULL,
                    "the store could not be copied: %s (%d)", sqlite3_errstr(code), code);
}

enum ph_error db_copy_begin(struct db *db, const char *directory, struct diag *diag,
                            struct db_copy **ret_copy)
{
    sqlite3 *handle = sqlite_of(db)->handle;
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/posthorn.db", directory);
    if (length < 0 || (size_t)length >= sizeof path) {
        return diag_set(diag, PH_INVALID, NULL, "the path %.200s is too long", directory);
    }
    if (access(path, F_OK) == 0) {
        return diag_set(diag, PH_CONFLICT, NULL, "%s exists already", path);
    }
    int64_t page_bytes = 0;
    enum ph_error error = read_number(db, "PRAGMA page_size", diag, &page_bytes);
    if (error != PH_OK) {
        return error;
    }
    sqlite_create_private_file(path);
    struct db_copy *copy = ph_calloc(1, sizeof *copy);
    copy->source = db;
    copy->page_bytes = page_bytes;
    int code =
        sqlite3_open_v2(path, &copy->target,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    /* A copy that is not finished is thrown away, so nothing has to be undone or synced in it. */
    if (code == SQLITE_OK) {
        code = sqlite3_exec(copy->target,
                            "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=OFF;"
                            "PRAGMA synchronous=OFF",
                            NULL, NULL, NULL);
    }
    if (code == SQLITE_OK) {
        copy->backup = sqlite3_backup_init(copy->target, "main", handle, "main");
        code = copy->backup == NULL ? sqlite3_errcode(copy->target) : SQLITE_OK;
    }
    if (code != SQLITE_OK) {
        error = fail_copy(copy, code, diag);
        db_copy_end(copy);
        return error;
    }
    *ret_copy = copy;
    return PH_OK;
}

enum ph_error db_copy_step(struct db_copy *copy, int pages, struct diag *diag,
                           struct db_copy_state *ret_state)
{
    PH_ASSERT(!db_in_transaction(copy->source));
    int code = sqlite3_backup_step(copy->backup, pages);
    bool is_locked = (code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED;
    if (code != SQLITE_OK && code != SQLITE_DONE && !is_locked) {
        return fail_copy(copy, code, diag);
    }
    *ret_state = (struct db_copy_state){
        .total_bytes = sqlite3_backup_pagecount(copy->backup) * copy->page_bytes,
        .left_bytes = sqlite3_backup_remaining(copy->backup) * copy->page_bytes,
        .is_done = code == SQLITE_DONE,
    };
    return PH_OK;
}

void db_copy_end(struct db_copy *copy)
{
    if (copy != NULL) {
        /* Both repeat errors that were reported. */
        (void)sqlite3_backup_finish(copy->backup);
        (void)sqlite3_close(copy->target);
        free(copy);
    }
}

/* --- checks and size -------------------------------------------------------------------------- */

struct time_limit {
    int64_t until_us; /* boot clock */
    bool is_over;
};

static int look_at_clock(void *context)
{
    struct time_limit *limit = context;
    limit->is_over = clock_boot_us() > limit->until_us;
    return limit->is_over;
}

enum ph_error db_quick_check(struct db *db, int64_t limit_ms, struct diag *diag,
                             enum db_soundness *ret_soundness)
{
    sqlite3 *handle = sqlite_of(db)->handle;
    struct time_limit limit = {.until_us = clock_boot_us() + limit_ms * CLOCK_US_PER_MS};
    if (limit_ms > 0) {
        sqlite3_progress_handler(handle, PROGRESS_INSTRUCTIONS, look_at_clock, &limit);
    }
    struct db_statement *check = db_prepare(db, "PRAGMA quick_check(1)");
    bool has_row = false;
    enum ph_error error = db_step(check, diag, &has_row);
    if (error == PH_OK) {
        struct slice words = has_row ? db_text(check, 0) : SLICE_LITERAL("no answer");
        bool is_whole = slice_equal_text(words, "ok");
        if (!is_whole) {
            (void)diag_set(diag, PH_STORE, NULL, "%.*s", SLICE_ARG(words));
        }
        *ret_soundness = is_whole ? DB_WHOLE : DB_DAMAGED;
    } else if (limit.is_over) {
        *ret_soundness = DB_NOT_ALL_CHECKED;
        error = PH_OK;
    }
    db_done(check);
    sqlite3_progress_handler(handle, 0, NULL, NULL);
    return error;
}

enum ph_error db_shrink(struct db *db, struct diag *diag, int64_t *ret_freed_bytes)
{
    PH_ASSERT(db_kind(db) == DB_SQLITE && DB_SHRINK_PAGES == 128);
    int64_t before_bytes = 0;
    int64_t after_bytes = 0;
    enum ph_error error = db_size(db, diag, &before_bytes);
    if (error == PH_OK) {
        error = db_exec(db_prepare(db, "PRAGMA incremental_vacuum(128)"), diag);
    }
    if (error == PH_OK) {
        error = db_size(db, diag, &after_bytes);
    }
    if (error == PH_OK) {
        *ret_freed_bytes = before_bytes - after_bytes;
    }
    return error;
}

enum ph_error db_size(struct db *db, struct diag *diag, int64_t *ret_bytes)
{
    PH_ASSERT(db_kind(db) == DB_SQLITE);
    int64_t pages = 0;
    int64_t page_bytes = 0;
    enum ph_error error = read_number(db, "PRAGMA page_count", diag, &pages);
    if (error == PH_OK) {
        error = read_number(db, "PRAGMA page_size", diag, &page_bytes);
    }
    if (error == PH_OK) {
        *ret_bytes = pages * page_bytes;
    }
    return error;
}
