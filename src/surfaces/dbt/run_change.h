/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to a run, and the events that it causes, in one transaction:
 *
 *      (new) ──► 1 Queued ──► 2 Starting ──► 3 Running ──┬──► 10 Success
 *                                                        ├──► 20 Error
 *                                                        └──► 30 Cancelled
 *
 * A report may jump forward, and the first one may be of any state; never back, and not from one
 * end to another. `started` is told when a run is known to have started: at Running, or when it
 * ends with a time of its start and was not told before. `errored` and `canceled` are told at once.
 * `completed` is told when the run has ended and its artifacts are ingested, whichever comes last,
 * or when the wait for them has passed. Thread: the writer's.
 */
#ifndef PH_SURFACES_DBT_RUN_CHANGE_H
#define PH_SURFACES_DBT_RUN_CHANGE_H

#include "flow/writer.h"
#include "surfaces/dbt/report.h"
#include "surfaces/dbt/run.h"

struct dbt_run_report {
    const struct dbt_settings *settings;
    int64_t account;
    int64_t number;
    const struct dbt_report *report;
    struct slice text;  /* of dbt_report_write */
    struct slice steps; /* JSON array */
};

/* What is known of the artifacts of a run that takes no more. */
struct dbt_run_artifacts {
    const struct dbt_settings *settings;
    int64_t account;
    int64_t number;
    struct slice failed_nodes; /* nodes.h; SLICE_NONE = not known */
};

/* Whether a run of `from` may be reported as `to`; `from` 0: it is new. */
bool dbt_run_may_move(int from, enum dbt_run_status to);

/* Takes a report in; the same one again changes nothing. PH_CONFLICT for a move that is not
 * allowed. The run is copied into `arena`. */
PH_NODISCARD enum ph_error dbt_run_report(struct writer_txn *txn,
                                          const struct dbt_run_report *given, struct arena *arena,
                                          struct diag *diag, struct dbt_run *ret_run,
                                          bool *ret_is_new);
/* The artifacts are complete; again changes nothing. PH_NOT_FOUND. */
PH_NODISCARD enum ph_error dbt_run_ingest(struct writer_txn *txn,
                                          const struct dbt_run_artifacts *given,
                                          struct arena *arena, struct diag *diag,
                                          struct dbt_run *ret_run);
/* Tells `completed` of a run whose wait has passed; nothing (*ret_is_told) when that is not so, or
 * not any more. */
PH_NODISCARD enum ph_error dbt_run_expire(struct writer_txn *txn,
                                          const struct dbt_run_artifacts *given,
                                          struct arena *arena, struct diag *diag,
                                          bool *ret_is_told);

#endif
