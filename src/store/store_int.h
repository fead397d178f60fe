/* SPDX-License-Identifier: Apache-2.0 */
/* Small things that the query modules share. Thread: the store's owner. */
#ifndef PH_STORE_STORE_INT_H
#define PH_STORE_STORE_INT_H

#include "base/arena.h"
#include "db/db.h"
#include "store/page.h"
#include "store/store.h"

/* No row has the id or the name that the caller gave. */
PH_NODISCARD static inline enum ph_error entity_not_found(struct diag *diag)
{
    return diag_set(diag, PH_NOT_FOUND, NULL, "Entity not found");
}

/* Runs a bound query for the id of a row that is to be there. */
PH_NODISCARD static inline enum ph_error find_id(struct db_statement *select, struct diag *diag,
                                                 int64_t *ret_id)
{
    enum ph_error error = db_find_row(select, "Entity not found", diag);
    if (error == PH_OK) {
        *ret_id = db_int64(select, 0);
        db_done(select);
    }
    return error;
}

/* Runs a statement whose one parameter is an id. `sql` is a literal (db_prepare). */
PH_NODISCARD static inline enum ph_error exec_with_id(struct store *store, const char *sql,
                                                      int64_t id, struct diag *diag)
{
    struct db_statement *statement = db_prepare(store->db, sql);
    db_bind_int64(statement, 1, id);
    return db_exec(statement, diag);
}

/* Copies columns of the current row; the first one that does not fit sets `failed`, which sticks.
 */
struct row_copier {
    struct db_statement *row;
    struct arena *arena;
    bool failed;
};

/* A text column; SLICE_NONE for NULL. */
static inline struct slice row_copy_text(struct row_copier *copier, int column)
{
    struct slice text = db_text(copier->row, column);
    if (text.ptr == NULL) {
        return SLICE_NONE;
    }
    text.ptr = arena_dup(copier->arena, text);
    copier->failed = copier->failed || text.ptr == NULL;
    return text;
}

static inline struct slice row_copy_blob(struct row_copier *copier, int column)
{
    struct slice bytes = db_blob(copier->row, column);
    if (bytes.ptr == NULL) {
        return SLICE_NONE;
    }
    bytes.ptr = arena_dup(copier->arena, bytes);
    copier->failed = copier->failed || bytes.ptr == NULL;
    return bytes;
}

PH_NODISCARD static inline enum ph_error row_copier_end(const struct row_copier *copier,
                                                        struct diag *diag)
{
    if (copier->failed) {
        return diag_set(diag, PH_NO_MEMORY, NULL, "the rows need more memory than their limit");
    }
    return PH_OK;
}

/* 0 stands for NULL. */
static inline void bind_int64_or_null(struct db_statement *statement, int parameter, int64_t value)
{
    if (value != 0) {
        db_bind_int64(statement, parameter, value);
    } else {
        db_bind_null(statement, parameter);
    }
}

/* The bounds of a page, exclusive, and one row more than it has: parameters `first` and the two
 * that follow. */
static inline void bind_page(struct db_statement *select, int first, const struct id_page *page)
{
    db_bind_int64(select, first, page->lower);
    db_bind_int64(select, first + 1, page->upper);
    db_bind_int64(select, first + 2, (int64_t)page->limit + 1);
}

/*
 * Reads the rows of a bound statement into a page:
 *
 *     struct page_scan scan = page_scan(select, limit, arena, diag);
 *     while (page_scan_next(&scan)) {
 *         scan.error = read_row(select, arena, diag, &rows[scan.count]);
 *     }
 *     return page_scan_end(&scan, ret_count, ret_has_more);
 */
struct page_scan {
    struct db_statement *select;
    size_t limit;
    const struct arena *arena; /* where the rows are copied to */
    struct diag *diag;
    size_t count; /* of rows that were read */
    bool is_reading;
    bool has_row; /* the statement is at one */
    enum ph_error error;
};

static inline struct page_scan page_scan(struct db_statement *select, size_t limit,
                                         const struct arena *arena, struct diag *diag)
{
    return (struct page_scan){.select = select, .limit = limit, .arena = arena, .diag = diag};
}

/* False at the end of the rows, when the page is full, and after an error. */
static inline bool page_scan_next(struct page_scan *scan)
{
    if (scan->error != PH_OK) {
        return false;
    }
    scan->count += scan->is_reading ? 1 : 0;
    scan->error = db_step(scan->select, scan->diag, &scan->has_row);
    scan->is_reading = scan->error == PH_OK && scan->has_row &&
                       !page_is_full(scan->count, scan->limit, scan->arena);
    return scan->is_reading;
}

PH_NODISCARD static inline enum ph_error page_scan_end(struct page_scan *scan, size_t *ret_count,
                                                       bool *ret_has_more)
{
    db_done(scan->select);
    if (scan->error == PH_OK) {
        *ret_count = scan->count;
        *ret_has_more = scan->has_row;
    }
    return scan->error;
}

#endif
