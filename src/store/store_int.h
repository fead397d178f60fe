/* SPDX-License-Identifier: Apache-2.0 */
/* Small things that the query modules share. Thread: the store's owner. */
#ifndef PH_STORE_STORE_INT_H
#define PH_STORE_STORE_INT_H

#include "base/arena.h"
#include "db/db.h"

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

#endif
