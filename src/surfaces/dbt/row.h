/* SPDX-License-Identifier: Apache-2.0 */
/* Small things that queries of the surface's own tables share. Thread: the store's owner. */
#ifndef PH_SURFACES_DBT_ROW_H
#define PH_SURFACES_DBT_ROW_H

#include "db/db.h"
#include "surfaces/dbt/dbt_int.h"

/* Copies texts of the current row; the first one that does not fit sets `failed`, which sticks. */
struct dbt_row {
    struct db_statement *row;
    struct arena *arena;
    bool failed;
};

/* SLICE_NONE for NULL. */
static inline struct slice dbt_row_text(struct dbt_row *row, int column)
{
    struct slice text = db_text(row->row, column);
    struct slice copy = dbt_copy(row->arena, text);
    row->failed = row->failed || (text.ptr != NULL && copy.ptr == NULL);
    return copy;
}

PH_NODISCARD static inline enum ph_error dbt_row_end(const struct dbt_row *row, struct diag *diag)
{
    return row->failed ? api_no_memory(diag) : PH_OK;
}

/* 0 stands for NULL. */
static inline void dbt_bind_or_null(struct db_statement *statement, int parameter, int64_t value)
{
    if (value != 0) {
        db_bind_int64(statement, parameter, value);
    } else {
        db_bind_null(statement, parameter);
    }
}

/* For parameters where the empty text stands for none. */
static inline void dbt_bind_or_empty(struct db_statement *statement, int parameter,
                                     struct slice text)
{
    db_bind_text(statement, parameter, text.ptr == NULL ? SLICE_LITERAL("") : text);
}

#endif
