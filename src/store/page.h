/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page of a list ordered by id: keyset bounds, never an offset. The API turns iterators, order
 * and times into one (api/paging.h); list queries read it. Pure.
 */
#ifndef PH_STORE_PAGE_H
#define PH_STORE_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

/* Bytes of rows after which a page ends early (with has_more), so that wide rows stay bounded. */
#define PAGE_BYTES_MAX ((size_t)8 * 1024 * 1024)

struct id_page {
    int64_t lower;      /* exclusive; 0 = from the first */
    int64_t upper;      /* exclusive; INT64_MAX = to the last */
    bool is_descending; /* the direction of the scan */
    bool is_reversed;   /* the scan runs against the list's order: turn the rows round at the end */
    size_t limit; /* rows wanted, 1..250; queries ask for one more to see whether there is one */
};

/* Whether a scan that has `count` rows, copied into `arena`, stops before the row at hand. */
static inline bool page_is_full(size_t count, size_t limit, const struct arena *arena)
{
    return count == limit || arena->used_bytes > PAGE_BYTES_MAX;
}

#endif
