/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cancel-msgs: cancels what is pending for an endpoint of messages from before a time (svix-api
 * spec section 12). In steps of the writer, the next one asked for when the last one was committed;
 * the request is answered after the last. What is in flight ends as ever.
 *
 * Concurrency: the job is the writer thread's from the submit on, while the request is suspended.
 */
#include "api/api_int.h"
#include "api/input.h"
#include "store/delivery.h"

struct cancel_messages {
    struct general_job job;
    struct api_call *call;
    int64_t before_id;
    /* Where the walk stands, and of one step. */
    struct delivery_cursor cursor;
    int64_t in_this_walk;
    struct delivery_cursor next;
    bool is_end;
    int64_t cancelled;
};

static enum ph_error run_step(struct general_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct cancel_messages *cancel = PH_CONTAINER_OF(job, struct cancel_messages, job);
    int64_t application_id;
    int64_t endpoint_id;
    enum ph_error error = api_path_endpoint(cancel->call, txn->store, ENDPOINT_LIVE, diag,
                                            &application_id, &endpoint_id);
    if (error != PH_OK) {
        return error;
    }
    cancel->next = cancel->cursor;
    cancel->next.endpoint_id = endpoint_id;
    error = delivery_cancel_before(txn->store, cancel->before_id, txn->now_us, diag, &cancel->next,
                                   &cancel->cancelled, &cancel->is_end);
    if (error == PH_OK && cancel->cancelled > 0) {
        writer_txn_deliveries_cancelled(txn, endpoint_id);
    }
    return error;
}

static void end_step(struct general_job *job, enum ph_error error, const struct diag *diag)
{
    struct cancel_messages *cancel = PH_CONTAINER_OF(job, struct cancel_messages, job);
    struct api *api = cancel->call->api;
    struct http_request *request = cancel->call->request;
    struct diag words = *diag;
    if (error == PH_OK) {
        metrics_add(api->metrics, METRIC_DELIVERIES_CANCELLED, cancel->cancelled);
        cancel->cursor = cancel->next;
        cancel->in_this_walk += cancel->cancelled;
        if (cancel->is_end && cancel->in_this_walk > 0) {
            cancel->cursor = (struct delivery_cursor){0}; /* once more, see delivery.h */
            cancel->in_this_walk = 0;
        } else if (cancel->is_end) {
            http_respond_empty(request, 204);
            return;
        }
        if (writer_submit(flow_writer(api->flow), &cancel->job, &words) == PH_OK) {
            return;
        }
    }
    http_respond_error(request, &words);
}

enum ph_error api_endpoint_cancel_messages(struct api_call *call, struct diag *diag)
{
    struct cancel_messages *cancel = arena_calloc(call->arena, 1, sizeof *cancel);
    if (cancel == NULL) {
        return api_no_memory(diag);
    }
    struct input input;
    int64_t before_us;
    input_open(&input, http_body(call->request), call->arena, diag);
    (void)input_time(&input, "createdBefore", INPUT_REQUIRED, &before_us);
    enum ph_error error = input_end(&input);
    if (error != PH_OK) {
        return error;
    }
    cancel->before_id = id_floor(before_us);
    cancel->call = call;
    cancel->job.run = run_step;
    cancel->job.done = end_step;
    /* What is borrowed from the http thread's cache ends with the handler. */
    call->principal.feature_flags = NULL;
    call->principal.feature_flag_count = 0;
    http_suspend(call->request);
    if (writer_submit(flow_writer(call->api->flow), &cancel->job, diag) != PH_OK) {
        struct diag words = *diag;
        http_respond_error(call->request, &words);
    }
    return PH_OK;
}
