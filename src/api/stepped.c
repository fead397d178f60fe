/* SPDX-License-Identifier: Apache-2.0 */
#include "api/stepped.h"

#include "store/idempotency.h"

static struct stepped_job *stepped_of(struct general_job *general)
{
    return PH_CONTAINER_OF(general, struct stepped_job, general);
}

/* A request that was answered before must not do anything again: the job gives that answer. */
static enum ph_error is_answered(const struct api_job *job, struct writer_txn *txn,
                                 struct diag *diag, bool *ret_is_answered)
{
    struct idempotency_row row;
    *ret_is_answered = false;
    if (!job->has_key) {
        return PH_OK;
    }
    enum ph_error error =
        idempotency_find(txn->store, job->key_hash, txn->now_us, job->call->arena, diag, &row);
    *ret_is_answered = error == PH_OK;
    return error == PH_NOT_FOUND ? PH_OK : error;
}

static enum ph_error run_step(struct general_job *general, struct writer_txn *txn,
                              struct diag *diag)
{
    struct stepped_job *stepped = stepped_of(general);
    bool is_over = false;
    enum ph_error error = PH_OK;
    stepped->next = stepped->position;
    stepped->has_more = false;
    if (stepped->position == 0) {
        error = is_answered(&stepped->job, txn, diag, &is_over);
    }
    return error == PH_OK && !is_over ? stepped->step(stepped, txn, diag) : error;
}

/* The answer is an error; the job goes with the request. */
static void give_up(struct stepped_job *stepped, const struct diag *diag)
{
    struct api_job *job = &stepped->job;
    struct http_request *request = job->call->request;
    void (*respond_error)(struct http_request * request, const struct diag *diag) =
        job->call->respond_error;
    struct diag copy = *diag;
    if (job->ended != NULL) {
        job->ended(job);
    }
    respond_error(request, &copy);
}

static void submit_step(struct stepped_job *stepped)
{
    struct diag diag;
    struct writer *writer = flow_writer(stepped->job.call->api->flow);
    if (writer_submit(writer, &stepped->general, &diag) != PH_OK) {
        give_up(stepped, &diag);
    }
}

static void finish_step(struct general_job *general, enum ph_error error, const struct diag *diag)
{
    struct stepped_job *stepped = stepped_of(general);
    if (error != PH_OK) {
        give_up(stepped, diag);
        return;
    }
    stepped->position = stepped->next;
    if (stepped->job.committed != NULL) {
        stepped->job.committed(&stepped->job);
    }
    if (stepped->has_more) {
        submit_step(stepped);
    } else {
        api_enqueue(&stepped->job);
    }
}

enum ph_error stepped_submit(struct api_call *call, struct stepped_job *stepped,
                             enum ph_error (*step)(struct stepped_job *stepped,
                                                   struct writer_txn *txn, struct diag *diag),
                             enum ph_error (*run)(struct api_job *job, struct writer_txn *txn,
                                                  struct diag *diag))
{
    stepped->step = step;
    stepped->general.run = run_step;
    stepped->general.done = finish_step;
    stepped->general.messages = STEPPED_ROWS_MAX;
    api_suspend(call, &stepped->job, run);
    submit_step(stepped);
    return PH_OK;
}
