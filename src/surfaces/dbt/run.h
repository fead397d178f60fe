/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of runs. Thread: the store's owner; what writes runs inside the writer's transaction. Texts
 * are copied into the arena.
 */
#ifndef PH_SURFACES_DBT_RUN_H
#define PH_SURFACES_DBT_RUN_H

#include "base/arena.h"
#include "store/store.h"
#include "surfaces/dbt/event.h"

/* A bit for each kind of event: those that were emitted of a run. */
#define DBT_TOLD(type) (1u << (type))

struct dbt_run {
    int64_t id; /* ours, in order of time */
    int64_t account;
    int64_t number; /* the reporter's */
    int64_t job_id;
    int64_t environment_id;
    int64_t project_id;
    enum dbt_run_status status;
    struct slice report; /* report.h */
    struct slice steps;  /* JSON array; SLICE_NONE: not asked for */
    int64_t started_at_us;
    int64_t finished_at_us;
    int64_t created_at_us;
    int64_t updated_at_us;
    unsigned told;
    int64_t ingested_at_us;    /* 0 = not yet */
    struct slice failed_nodes; /* nodes.h; SLICE_NONE = not known */
    int64_t due_at_us;         /* when completed is told at the latest; 0 = it is not to be told */
};

/* PH_NOT_FOUND. */
PH_NODISCARD enum ph_error dbt_run_find(struct store *store, int64_t account, int64_t number,
                                        bool with_steps, struct arena *arena, struct diag *diag,
                                        struct dbt_run *ret_run);
PH_NODISCARD enum ph_error dbt_run_insert(struct store *store, const struct dbt_run *run,
                                          struct diag *diag);
/* All but id, account, number and created_at; the steps only when they are there. */
PH_NODISCARD enum ph_error dbt_run_update(struct store *store, const struct dbt_run *run,
                                          struct diag *diag);

/* What is due first, whenever that is, of any account, without its steps. PH_NOT_FOUND. */
PH_NODISCARD enum ph_error dbt_run_first_due(struct store *store, struct arena *arena,
                                             struct diag *diag, struct dbt_run *ret_run);

/* It is due later. */
PH_NODISCARD enum ph_error dbt_run_put_off(struct store *store, int64_t account, int64_t number,
                                           int64_t due_at_us, struct diag *diag);

/* --- lists ------------------------------------------------------------------------------------ */

enum dbt_run_order {
    DBT_RUN_BY_AGE, /* what clients mean by the order of ids, which here are the reporters' own */
    DBT_RUN_BY_STARTED,
    DBT_RUN_BY_FINISHED,
    DBT_RUN_BY_UPDATED,
};

#define DBT_RUN_COUNT_MAX 10000

/* Lists of numbers are texts ",1,22,". What is 0, false or SLICE_NONE does not narrow. */
struct dbt_run_query {
    int64_t account;
    struct slice job_ids;
    struct slice environment_ids;
    struct slice project_ids;
    struct slice statuses;
    int64_t created_from_us;
    int64_t created_to_us;
    int64_t finished_from_us;
    int64_t finished_to_us;
    enum dbt_run_order order;
    bool is_descending;
    bool with_steps;
    int64_t offset;
    int64_t limit;
};

/* `rows` has room for the limit. *ret_total counts all that fit, up to DBT_RUN_COUNT_MAX. */
PH_NODISCARD enum ph_error dbt_run_page(struct store *store, const struct dbt_run_query *query,
                                        struct arena *arena, struct diag *diag,
                                        struct dbt_run *rows, size_t *ret_count,
                                        int64_t *ret_total);

/* --- retention -------------------------------------------------------------------------------- */

#define DBT_RUN_PRUNE_STEP 50

/* Deletes at most DBT_RUN_PRUNE_STEP runs with id < before_id of which nothing is to be told; their
 * artifacts become unreadable, and the sweep takes them. */
PH_NODISCARD enum ph_error dbt_run_prune(struct store *store, int64_t before_id, int64_t now_us,
                                         struct diag *diag, int64_t *ret_deleted);

#endif
