/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resend: one manual attempt, asked for by hand (svix-api spec section 10). It is a row of its own,
 * so that an acknowledged resend survives a crash; the deliverer makes it after the commit. Event
 * type and channel filters do not matter; a disabled endpoint is left alone.
 */
#include "api/message.h"
#include "base/clock.h"
#include "store/delivery.h"

static enum ph_error check_payload(struct store *store, const struct message_row *row,
                                   struct arena *arena, int64_t now_us, struct diag *diag)
{
    enum ph_error error = PH_NOT_FOUND;
    if (row->payload_expires_at_us > now_us) {
        error = message_payload(store, row->id, arena, diag, NULL);
    }
    if (error == PH_NOT_FOUND) {
        error = diag_set(diag, PH_BAD_REQUEST, NULL,
                         "Unable to resend message. Payload is missing (probably expired).");
        diag_code(diag, "missing_payload");
    }
    return error;
}

static enum ph_error run_resend(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct api_call *call = job->call;
    struct store *store = txn->store;
    int64_t application_id;
    int64_t endpoint_id;
    int64_t message_id;
    struct message_row message;
    struct endpoint_row endpoint;
    enum ph_error error = api_path_application(call, store, diag, &application_id);
    if (error == PH_OK) {
        error = message_path_id(call, store, application_id, diag, &message_id);
    }
    if (error == PH_OK) {
        error = message_find(store, application_id, message_id, call->arena, diag, &message);
    }
    if (error == PH_OK) {
        error = endpoint_resolve(store, application_id, http_param(call->request, "endpoint_id"),
                                 ENDPOINT_LIVE, diag, &endpoint_id);
    }
    if (error == PH_OK) {
        error = check_payload(store, &message, call->arena, txn->now_us, diag);
    }
    if (error == PH_OK) {
        error = endpoint_find(store, application_id, endpoint_id, ENDPOINT_LIVE, call->arena, diag,
                              &endpoint);
    }
    if (error == PH_OK && !endpoint.is_disabled) {
        error = manual_attempt_insert(store, writer_txn_new_id(txn), message_id, endpoint_id, diag);
        writer_txn_manual_added(txn, endpoint_id);
    }
    if (error == PH_OK) {
        job->status = 202;
        json_out_begin_object(&job->answer.out);
        json_out_end_object(&job->answer.out);
    }
    return error;
}

enum ph_error api_message_resend(struct api_call *call, struct diag *diag)
{
    struct api_job *job = api_job_new(call, sizeof *job, diag);
    return job == NULL ? PH_NO_MEMORY : api_submit(call, job, run_resend, diag);
}
