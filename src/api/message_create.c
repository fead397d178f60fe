/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message create, the hot path: no query, no tree, no general job. The http thread reads the body
 * and hands one ingest job to the writer; the writer thread answers after the commit. The job, its
 * slices and the request's arena live until that answer.
 */
#include "api/idempotency.h"
#include "api/message.h"
#include "api/message_input.h"
#include "base/clock.h"
#include "core/schema.h"

/* Of a MessageOut beside payload, channels and names. */
#define ANSWER_FRAME_BYTES 256

struct create_job {
    struct ingest_job ingest;
    struct general_job replay;
    struct api_call *call;
    struct application_input application;
    struct slice path_application; /* the path's own text */
    struct message_submission submission;
    struct message_item replayed;
};

static void answer_message(struct create_job *create, const struct message_row *row,
                           struct slice payload)
{
    BUF_AUTO struct buf body;
    buf_init(&body, API_ANSWER_MAX);
    struct slice content = create->submission.with_content ? payload : MESSAGE_NO_CONTENT;
    (void)buf_reserve(&body, content.len + row->channels.len + row->event_type.len +
                                 row->event_id.len + ANSWER_FRAME_BYTES);
    struct json_out out;
    json_out_init(&out, &body);
    json_out_begin_object(&out);
    message_write_members(&out, create->call->codec, row, content);
    json_out_end_object(&out);
    http_respond_json(create->call->request, create->submission.status, &body);
}

/* --- an idempotency key that was answered before ---------------------------------------------- */

/* Reads the message again: the key's hash covers the URI, so it is of the same application. */
static enum ph_error run_replay(struct general_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct create_job *create = PH_CONTAINER_OF(job, struct create_job, replay);
    struct api_call *call = create->call;
    struct message_query query = {.with_payload = create->submission.with_content,
                                  .now_us = txn->now_us};
    enum ph_error error = application_resolve(
        txn->store, call->principal.org, create->path_application, diag, &query.application_id);
    if (error == PH_OK) {
        error = message_item_find(txn->store, &query, create->ingest.message_id, call->arena, diag,
                                  &create->replayed);
    }
    return error;
}

static void finish_replay(struct general_job *job, enum ph_error error, const struct diag *diag)
{
    struct create_job *create = PH_CONTAINER_OF(job, struct create_job, replay);
    if (error != PH_OK) {
        http_respond_error(create->call->request, diag);
        return;
    }
    answer_message(create, &create->replayed.row, create->replayed.payload);
}

static void replay(struct create_job *create)
{
    create->replay = (struct general_job){.run = run_replay, .done = finish_replay};
    struct diag diag;
    if (writer_submit(flow_writer(create->call->api->flow), &create->replay, &diag) != PH_OK) {
        http_respond_error(create->call->request, &diag);
    }
}

struct message_row message_row_of(const struct ingest_job *job)
{
    return (struct message_row){
        .id = job->message_id,
        .event_type = job->event_type,
        .event_id = job->event_id,
        .channels = job->channels_json,
        .tags = job->tags_json,
        .deliver_at_us = job->deliver_at_us > id_time_us(job->message_id) ? job->deliver_at_us : 0,
    };
}

/* --- after the commit: the writer thread ------------------------------------------------------ */

static void finish_create(struct ingest_job *job)
{
    struct create_job *create = PH_CONTAINER_OF(job, struct create_job, ingest);
    message_body_unref(job->body);
    job->body = NULL;
    if (job->error != PH_OK) {
        if (job->error == PH_NOT_FOUND) {
            (void)diag_set(&job->diag, PH_NOT_FOUND, NULL, "Application not found");
        }
        http_respond_error(create->call->request, &job->diag);
        return;
    }
    if (job->is_replayed) {
        replay(create);
        return;
    }
    const struct message_row row = message_row_of(job);
    answer_message(create, &row, job->payload);
}

/* The application is missing and the message brings it along. */
static enum ph_error create_application(struct ingest_job *job, struct writer_txn *txn,
                                        struct diag *diag, int64_t *ret_application_id)
{
    struct create_job *create = PH_CONTAINER_OF(job, struct create_job, ingest);
    return application_create_at(txn, job->org, create->path_application, &create->application,
                                 diag, ret_application_id);
}

/* --- on the http thread ----------------------------------------------------------------------- */

struct message_target message_target_of(const struct api_call *call)
{
    struct slice name = http_param(call->request, "app_id");
    struct message_target target = {.org = call->principal.org};
    /* A text that looks like an id and is none stays as a uid: nothing is found, as no uid begins
     * with the prefix of ids. */
    if (!id_parse(call->codec, ID_APPLICATION, name, &target.application_id)) {
        target.application_uid = name;
    }
    return target;
}

void message_fill_ingest(const struct message_target *target, const struct message_input *message,
                         const struct trace *trace, struct ingest_job *ret_job)
{
    *ret_job = (struct ingest_job){
        .org = target->org,
        .application_id = target->application_id,
        .application_uid = target->application_uid,
        .event_type = message->event_type,
        .event_id = message->event_id,
        .channels_json = message->channels_json,
        .channel_count = message->channel_count,
        .tags_json = message->tags_json,
        .ordering_key = message->ordering_key,
        .deliver_at_us = message->deliver_at_us,
        .payload = message->payload,
        .raw_body = message->raw_body,
        .payload_retention_us = message->payload_retention_us,
        .body = message_body_new(
            message->raw_body.ptr != NULL ? message->raw_body : message->payload, trace),
    };
    for (size_t index = 0; index < message->channel_count; index++) {
        ret_job->channels[index] = message->channels[index];
    }
}

static void fill_job(struct create_job *create, const struct message_input *message)
{
    struct ingest_job *job = &create->ingest;
    struct api_call *call = create->call;
    struct trace trace = {0};
    (void)http_trace(call->request, &trace);
    const struct message_target target = message_target_of(call);
    message_fill_ingest(&target, message, &trace, job);
    job->only_endpoint_id = create->submission.only_endpoint_id;
    job->done = finish_create;
    if (message->has_application) {
        create->application = message->application;
        job->create_application = create_application;
    }
    bool is_auto;
    if (api_idempotency_hash(call->request, call->codec, job->key_hash, &is_auto)) {
        job->key_kind = is_auto ? INGEST_KEY_AUTO : INGEST_KEY_CALLER;
    }
}

enum ph_error message_submit(struct api_call *call, const struct message_input *message,
                             const struct message_submission *submission, struct diag *diag)
{
    struct create_job *create = arena_alloc(call->arena, sizeof *create);
    if (create == NULL) {
        return api_no_memory(diag);
    }
    create->call = call;
    create->path_application = http_param(call->request, "app_id");
    create->submission = *submission;
    fill_job(create, message);
    struct http_request *request = call->request;
    http_suspend(request);
    enum ph_error error = writer_submit_ingest(flow_writer(call->api->flow), &create->ingest, diag);
    if (error != PH_OK) {
        message_body_unref(create->ingest.body);
        http_respond_error(request, diag);
    }
    return PH_OK;
}

enum ph_error api_message_create(struct api_call *call, struct diag *diag)
{
    struct message_submission submission = {.status = 202};
    struct message_input message;
    enum ph_error error =
        query_bool(call->request, "with_content", true, diag, &submission.with_content);
    if (error == PH_OK) {
        const struct flow_settings *settings = flow_settings_take(call->api->flow);
        error = message_input_read(http_body(call->request), settings->payload_retention_us,
                                   call->arena, diag, &message);
        flow_settings_drop(settings);
    }
    if (error == PH_OK) {
        struct schema_budget budget = schema_budget(message.payload.len);
        error = payload_check(call, message.event_type, message.payload, &budget, diag);
    }
    return error != PH_OK ? error : message_submit(call, &message, &submission, diag);
}
