/* SPDX-License-Identifier: Apache-2.0 */
/* The artifacts that a run of dbt leaves in its target folder. Main thread. */
#ifndef PH_APP_WRAP_ARTIFACT_H
#define PH_APP_WRAP_ARTIFACT_H

#include "app/file.h"
#include "app/wrap_project.h"
#include "app/wrap_result.h"
#include "app/wrap_spool.h"

#define WRAP_ARTIFACT_COUNT 5

/* As they were before dbt ran: what has not changed since then is of another run. */
struct wrap_artifacts {
    char *paths[WRAP_ARTIFACT_COUNT];
    struct file_stamp before[WRAP_ARTIFACT_COUNT];
    bool are_old_results; /* run_results.json says that it is from before the start */
};

void wrap_artifacts_note(struct wrap_artifacts *artifacts, const struct wrap_project *project);
void wrap_artifacts_done(struct wrap_artifacts *artifacts);
/* Reads run_results.json, if this run has written one. Microseconds of wall clock. */
bool wrap_artifacts_read(struct wrap_artifacts *artifacts, int64_t started_at_us,
                         struct wrap_result *result);
/* Copies those that this run has written into its folder of the spool, for which the spool gives
 * up old runs if it has to. What was dropped or left out is added to `words`. */
void wrap_artifacts_attach(const struct wrap_artifacts *artifacts, const struct wrap_spool *spool,
                           const struct wrap_run *run, struct buf *words);

#endif
