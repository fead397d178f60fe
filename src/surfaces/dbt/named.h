/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Projects, environments and jobs: what runs named, for clients that list them. Thread: the store's
 * owner; what writes runs inside the writer's transaction.
 */
#ifndef PH_SURFACES_DBT_NAMED_H
#define PH_SURFACES_DBT_NAMED_H

#include "base/arena.h"
#include "store/store.h"
#include "surfaces/dbt/report.h"

enum dbt_named_kind { DBT_PROJECT, DBT_ENVIRONMENT, DBT_JOB, DBT_NAMED_KIND_COUNT };

struct dbt_named {
    int64_t number;
    struct slice name;
    int64_t project_id;     /* 0 = none */
    int64_t environment_id; /* of a job */
    struct slice dbt_version;
    struct slice job_type;
    int64_t created_at_us;
    int64_t updated_at_us;
};

/* Takes note of what a report names. */
PH_NODISCARD enum ph_error dbt_named_note(struct store *store, int64_t account,
                                          const struct dbt_report *report, int64_t now_us,
                                          struct diag *diag);

/* Lists of numbers are texts ",1,22,". What is SLICE_NONE does not narrow. */
struct dbt_named_query {
    int64_t account;
    enum dbt_named_kind kind;
    struct slice numbers;
    struct slice project_ids;
    struct slice environment_ids;
    struct slice name;
    struct slice name_pattern; /* of LIKE, whose ! stands before %, _ and ! themselves */
    int64_t offset;
    int64_t limit;
};

/* By number. `rows` has room for the limit; *ret_total counts all that fit. */
PH_NODISCARD enum ph_error dbt_named_page(struct store *store, const struct dbt_named_query *query,
                                          struct arena *arena, struct diag *diag,
                                          struct dbt_named *rows, size_t *ret_count,
                                          int64_t *ret_total);
/* PH_NOT_FOUND. */
PH_NODISCARD enum ph_error dbt_named_find(struct store *store, int64_t account,
                                          enum dbt_named_kind kind, int64_t number,
                                          struct arena *arena, struct diag *diag,
                                          struct dbt_named *ret_named);

#define DBT_NAMED_PRUNE_STEP 100

/* Deletes at most DBT_NAMED_PRUNE_STEP that no run has named since `before_us`. */
PH_NODISCARD enum ph_error dbt_named_prune(struct store *store, int64_t before_us,
                                           struct diag *diag, int64_t *ret_deleted);

#endif
