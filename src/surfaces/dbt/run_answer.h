/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a run looks in answers: the Admin API's object (dbt spec section 5), with the members that
 * public clients read. Pure; any thread.
 */
#ifndef PH_SURFACES_DBT_RUN_ANSWER_H
#define PH_SURFACES_DBT_RUN_ANSWER_H

#include "base/json_out.h"
#include "surfaces/dbt/named.h"
#include "surfaces/dbt/run.h"

/* What `include_related` asked for. */
struct dbt_related {
    bool steps;
    bool job;
    bool environment;
};

/* `run` has its steps when they are asked for. PH_STORE when the row is broken. */
PH_NODISCARD enum ph_error dbt_run_write(struct json_out *out, const struct dbt_run *run,
                                         const struct dbt_related *related, int64_t now_us,
                                         struct arena *arena, struct diag *diag);
/* "2024-05-06 07:08:09.123456+00:00", or null for 0. */
void dbt_time_write(struct json_out *out, const char *key, int64_t wall_us);
/* A project, an environment or a job. */
void dbt_named_write(struct json_out *out, enum dbt_named_kind kind, int64_t account,
                     const struct dbt_named *named);

#endif
