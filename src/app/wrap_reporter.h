/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports a run of dbt beside it, so that the run never waits: a thread puts the first report into
 * the spool and sends what is there, older runs first. Nobody writes to standard error meanwhile.
 *
 * Concurrency: main thread and the reporter's own. `lock` guards what both see. Until `is_ready`
 * the facts are the thread's, then the main thread's; `run` is made before `is_ready` and stays as
 * it is until the thread has ended.
 */
#ifndef PH_APP_WRAP_REPORTER_H
#define PH_APP_WRAP_REPORTER_H

#include <pthread.h>

#include "app/wrap_artifact.h"
#include "app/wrap_report.h"
#include "app/wrap_send.h"

/* From dbt's end on. What is being sent is looked at once a second, so the wrapper waits for 10
 * seconds at most. */
#define WRAP_REPORTER_WAIT_US INT64_C(9000000)

struct wrap_reporter {
    /* Set before the start. */
    struct wrap_server server; /* url, account, token */
    struct wrap_spool *spool;
    const struct wrap_project *project;
    const char *program; /* that runs: dbt's version is found beside it */
    struct wrap_facts *facts;
    int64_t run_id;

    pthread_t thread;
    int done_fd; /* can be read when the thread is at its end */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_ready;       /* the run is in the spool, or cannot be there */
    bool is_ended;       /* so is its end */
    bool is_hurried;     /* nothing more is to be sent */
    int64_t deadline_us; /* boot time, when it is ended */

    /* The thread's, then the main thread's. */
    enum { WRAP_SENDING_OLDER, WRAP_SENDING_WHILE_IDLE, WRAP_SENDING_OWN } mode;
    int64_t older_until_us; /* boot time */
    bool has_run;
    struct wrap_spool *own_spool; /* where `run` is: `spool`, or the spare one */
    struct wrap_spool spare_spool;
    bool is_whole; /* its end is in the spool; the main thread's */
    struct wrap_run run;
    enum wrap_sent outcome;
    struct buf reason; /* why it is not WRAP_SENT */
    struct buf notes;  /* lines for people */
};

/* dbt runs already: nothing of this delays it. PH_IO when there can be no thread; then there is
 * nothing to finish. */
PH_NODISCARD enum ph_error wrap_reporter_start(struct wrap_reporter *reporter, struct diag *diag);
/* Until the thread has filled in the facts, which are the caller's from then on: 2 seconds at most,
 * or as long as the disk takes. */
void wrap_reporter_wait(struct wrap_reporter *reporter);
/* After that, when dbt has ended: puts the end and the artifacts into the spool, and lets the
 * thread send them. What could not be kept is added to `words`, in lines. */
void wrap_reporter_end(struct wrap_reporter *reporter, const struct wrap_artifacts *artifacts,
                       const struct wrap_end *end, struct buf *words);
/* Sends nothing more; what is being sent ends within a second. */
void wrap_reporter_hurry(struct wrap_reporter *reporter);
/* Waits for the thread. What became of the run is added to `words`, in lines; nothing when all is
 * well. */
void wrap_reporter_finish(struct wrap_reporter *reporter, struct buf *words);

#endif
