/* SPDX-License-Identifier: Apache-2.0 */
/* Concurrency: `lock` guards `is_done`, `error` and `diag`. */
#include "flow/step.h"

static enum ph_error run_job(struct general_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct step *step = PH_CONTAINER_OF(job, struct step, job);
    return step->run(step, txn, diag);
}

static void finish_job(struct general_job *job, enum ph_error error, const struct diag *diag)
{
    struct step *step = PH_CONTAINER_OF(job, struct step, job);
    (void)pthread_mutex_lock(&step->lock);
    step->error = error;
    step->diag = *diag;
    step->is_done = true;
    (void)pthread_cond_signal(&step->ended);
    (void)pthread_mutex_unlock(&step->lock);
}

void step_init(struct step *step,
               enum ph_error (*run)(struct step *step, struct writer_txn *txn, struct diag *diag))
{
    step->run = run;
    step->job.run = run_job;
    step->job.done = finish_job;
    (void)pthread_mutex_init(&step->lock, NULL);
    (void)pthread_cond_init(&step->ended, NULL);
}

void step_done(struct step *step)
{
    (void)pthread_cond_destroy(&step->ended);
    (void)pthread_mutex_destroy(&step->lock);
}

static enum ph_error wait_for_end(struct step *step, struct diag *diag)
{
    (void)pthread_mutex_lock(&step->lock);
    while (!step->is_done) {
        (void)pthread_cond_wait(&step->ended, &step->lock);
    }
    (void)pthread_mutex_unlock(&step->lock);
    if (step->error != PH_OK) {
        *diag = step->diag;
    }
    return step->error;
}

enum ph_error step_run(struct step *step, struct writer *writer, struct diag *diag)
{
    step->is_done = false;
    enum ph_error error = writer_submit(writer, &step->job, diag);
    return error == PH_OK ? wait_for_end(step, diag) : error;
}

enum ph_error step_run_between(struct step *step, struct writer *writer, struct diag *diag)
{
    step->is_done = false;
    writer_submit_between(writer, &step->job);
    return wait_for_end(step, diag);
}
