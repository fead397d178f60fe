/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A migrated store with an arena, for the tests of the query modules. Inline, so that only they
 * link the store.
 */
#ifndef PH_TESTS_CONTRACT_STORE_RIG_H
#define PH_TESTS_CONTRACT_STORE_RIG_H

#include "base/arena.h"
#include "contract/contract.h"
#include "store/page.h"
#include "store/store.h"

#define TEXT(literal) SLICE_LITERAL(literal)
#define NOW_US INT64_C(1700000000000000)
#define LATER_US (NOW_US + INT64_C(86400000000))
#define RIG_ROWS_MAX 300
#define RIG_ARENA_BYTES ((size_t)32 * 1024 * 1024)

struct store_rig {
    struct store *store;
    struct arena arena;
};

static inline void store_rig_open(struct store_rig *rig, void **state)
{
    const struct contract_store *fresh = *state;
    struct diag diag = {0};
    int applied;
    CONTRACT_OK(store_migrate(fresh->address, &diag, &applied), &diag);
    CONTRACT_OK(store_open(fresh->address, DB_READ_WRITE, &diag, &rig->store), &diag);
    arena_init(&rig->arena, RIG_ARENA_BYTES);
}

static inline void store_rig_close(struct store_rig *rig)
{
    arena_done(&rig->arena);
    store_close(rig->store);
}

/* The first column of the first row of `sql`, a literal, with `id` as its $1 when not 0. */
static inline int64_t store_rig_number(struct store_rig *rig, const char *sql, int64_t id)
{
    return contract_number(rig->store->db, sql, id);
}

static inline void store_rig_run(struct store_rig *rig, const char *sql)
{
    struct diag diag = {0};
    CONTRACT_OK(db_run(rig->store->db, sql, &diag), &diag);
}

static inline void assert_text_is(struct slice text, const char *expected)
{
    assert_non_null(text.ptr);
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.ptr, expected, text.len);
}

static inline struct id_page newest_first(size_t limit)
{
    return (struct id_page){.upper = INT64_MAX, .is_descending = true, .limit = limit};
}

static inline struct id_page oldest_first(size_t limit)
{
    return (struct id_page){.upper = INT64_MAX, .limit = limit};
}

#endif
