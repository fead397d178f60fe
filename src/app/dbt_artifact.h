/* SPDX-License-Identifier: Apache-2.0 */
/* The artifacts that a run of dbt leaves in its target folder. Main thread. */
#ifndef PH_APP_DBT_ARTIFACT_H
#define PH_APP_DBT_ARTIFACT_H

#include "app/dbt_project.h"
#include "app/dbt_result.h"
#include "app/dbt_spool.h"
#include "app/file.h"

#define DBT_ARTIFACT_COUNT 5

/* As they were before dbt ran: what has not changed since then is of another run. */
struct dbt_artifacts {
    char *paths[DBT_ARTIFACT_COUNT];
    struct file_stamp before[DBT_ARTIFACT_COUNT];
    bool are_old_results; /* run_results.json says that it is from before the start */
};

void dbt_artifacts_note(struct dbt_artifacts *artifacts, const struct dbt_project *project);
void dbt_artifacts_done(struct dbt_artifacts *artifacts);
/* Reads run_results.json, if this run has written one. Microseconds of wall clock. */
bool dbt_artifacts_read(struct dbt_artifacts *artifacts, int64_t started_at_us,
                        struct dbt_result *result);
/* Copies those that this run has written into its folder of the spool, for which the spool gives
 * up old runs if it has to. What was dropped or left out is added to `words`. */
void dbt_artifacts_attach(const struct dbt_artifacts *artifacts, const struct dbt_spool *spool,
                          const struct dbt_run *run, struct buf *words);

#endif
