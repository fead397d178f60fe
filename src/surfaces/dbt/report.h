/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What somebody reports of a run: the whole run each time (choices, section dbt). Kept as JSON in
 * one form, so that a repetition is known by its text, and read back by the same reader. Pure; any
 * thread; slices into the text or the arena.
 */
#ifndef PH_SURFACES_DBT_REPORT_H
#define PH_SURFACES_DBT_REPORT_H

#include "api/input.h"
#include "base/json_out.h"
#include "surfaces/dbt/event.h"

#define DBT_STEPS_MAX 100
#define DBT_STEPS_BYTES_MAX ((size_t)4 * 1024 * 1024) /* as they are kept */
#define DBT_REPORT_BYTES_MAX ((size_t)256 * 1024)     /* likewise, without the steps */

/* Texts that may be left out are SLICE_NONE then, times 0. */
struct dbt_report {
    int64_t job_id;
    int64_t environment_id;
    int64_t project_id;
    struct slice job_name;
    struct slice environment_name;
    struct slice project_name;
    enum dbt_run_status status;
    struct slice dbt_version;
    struct slice reason;
    struct slice status_message;
    int64_t started_at_us;
    int64_t finished_at_us;
    struct slice git_branch;
    struct slice git_sha;
    struct slice href; /* http or https */
    struct slice job_type;
};

struct dbt_step {
    struct slice name;
    int64_t status;
    int64_t started_at_us;
    int64_t finished_at_us;
    struct slice logs; /* SLICE_NONE = none */
};

/* From a request's body; the steps go into `steps` as a JSON array in their one form. */
PH_NODISCARD enum ph_error dbt_report_read(struct input *input, struct buf *steps,
                                           struct dbt_report *ret_report);
void dbt_report_write(struct json_out *out, const struct dbt_report *report);
/* What dbt_report_write gave. PH_STORE when it is none of ours. */
PH_NODISCARD enum ph_error dbt_report_parse(struct slice json, struct arena *arena,
                                            struct diag *diag, struct dbt_report *ret_report);
/* One element of the kept steps. */
PH_NODISCARD enum ph_error dbt_step_parse(struct slice json, struct arena *arena, struct diag *diag,
                                          struct dbt_step *ret_step);

#endif
