/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One write of a thread that has time: goes through the writer, and the thread waits for its end.
 * Long work (retention, a backup, prune) is made of such steps, so that ingest waits for one of
 * them at most.
 *
 * Concurrency: a step belongs to the thread that runs it; `run` is called on the writer thread, as
 * writer.h says, while that thread waits.
 */
#ifndef PH_FLOW_STEP_H
#define PH_FLOW_STEP_H

#include <pthread.h>

#include "flow/writer.h"

struct step {
    struct general_job job;
    enum ph_error (*run)(struct step *step, struct writer_txn *txn, struct diag *diag);
    /* step.c's. */
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool is_done;
    enum ph_error error;
    struct diag diag;
};

void step_init(struct step *step,
               enum ph_error (*run)(struct step *step, struct writer_txn *txn, struct diag *diag));
void step_done(struct step *step);
/* Runs it in the transaction of a batch and waits for the commit; may be called again. PH_BUSY when
 * the writer's queue is full. */
PH_NODISCARD enum ph_error step_run(struct step *step, struct writer *writer, struct diag *diag);
/* Runs it between two batches, where no transaction is open. Never refused. */
PH_NODISCARD enum ph_error step_run_between(struct step *step, struct writer *writer,
                                            struct diag *diag);

#endif
