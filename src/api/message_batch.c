/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batch publish: up to 1 000 messages in one request and one transaction, as if they were published
 * one after the other, each with an outcome of its own. The http thread reads the body once; a
 * general job emits what is valid; the answer lists all of them in their order.
 */
#include "api/input.h"
#include "api/message.h"
#include "api/message_input.h"
#include "base/clock.h"
#include "core/schema.h"

#define MESSAGES_MAX 1000
/* Beside the body's own bytes (decoded texts): what is kept about each message. */
#define MESSAGE_BYTES_MAX 8192

struct batch_item {
    struct batch_item *next;
    struct batch_job *batch;
    struct ingest_job ingest; /* `error` and `diag` are set when the message is not valid */
    struct application_input *application; /* NULL = it brings none */
};

struct batch_job {
    struct api_job job;
    struct arena arena; /* what is kept about the messages */
    struct batch_item *first;
    struct batch_item **end;
    struct list_node valid; /* ingest jobs */
    bool has_application;   /* one of them brings one along */
    bool with_content;
    int64_t started_boot_us;
    uint64_t accepted;
};

static struct batch_job *batch_of(struct api_job *job)
{
    return PH_CONTAINER_OF(job, struct batch_job, job);
}

/* --- the answer --------------------------------------------------------------------------------
 */

static void begin_result(struct json_out *out, int64_t index, int status)
{
    json_out_begin_object(out);
    json_out_member_int(out, "index", index);
    json_out_member_int(out, "status", status);
}

static void write_message(struct batch_job *batch, int64_t index, const struct message_row *row,
                          struct slice payload)
{
    struct json_out *out = &batch->job.answer.out;
    begin_result(out, index, 202);
    json_out_key(out, "message");
    json_out_begin_object(out);
    message_write_members(out, batch->job.call->codec, row,
                          batch->with_content ? payload : MESSAGE_NO_CONTENT);
    json_out_end_object(out);
    json_out_end_object(out);
}

static void write_error(struct json_out *out, int64_t index, const struct diag *diag)
{
    begin_result(out, index, ph_error_http_status(diag->error));
    json_out_key(out, "error");
    (void)http_error_write(diag, out);
    json_out_end_object(out);
}

static void write_results(struct batch_job *batch)
{
    struct json_out *out = &batch->job.answer.out;
    int64_t index = 0;
    batch->accepted = 0;
    json_out_begin_object(out);
    json_out_key(out, "results");
    json_out_begin_array(out);
    for (const struct batch_item *item = batch->first; item != NULL; item = item->next) {
        if (item->ingest.error == PH_OK) {
            const struct message_row row = message_row_of(&item->ingest);
            batch->accepted++;
            write_message(batch, index++, &row, item->ingest.payload);
        } else {
            write_error(out, index++, &item->ingest.diag);
        }
    }
    json_out_end_array(out);
    json_out_end_object(out);
}

/* --- an idempotency key keeps the outcomes -----------------------------------------------------
 */

/* An array: the number of a message, or what was answered in its place. */
static void keep_results(struct api_job *job, struct json_out *out)
{
    int64_t index = 0;
    json_out_begin_array(out);
    for (const struct batch_item *item = batch_of(job)->first; item != NULL; item = item->next) {
        if (item->ingest.error == PH_OK) {
            json_out_int(out, item->ingest.message_id);
        } else {
            write_error(out, index, &item->ingest.diag);
        }
        index++;
    }
    json_out_end_array(out);
}

static enum ph_error write_kept(struct batch_job *batch, struct writer_txn *txn, struct slice kept,
                                const struct message_query *query, struct diag *diag)
{
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    enum ph_error error = PH_OK;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_BODY_MAX * 2);
    scan_cursor_init(&cursor, kept);
    for (int64_t index = 0; error == PH_OK && scan_next_element(&cursor, &type, &value); index++) {
        int64_t message_id;
        if (!scan_int64(value, &message_id)) {
            json_out_raw(&batch->job.answer.out, value);
            continue;
        }
        struct message_item item;
        arena_reset(&arena);
        error = message_item_find(txn->store, query, message_id, &arena, diag, &item);
        if (error == PH_OK) {
            write_message(batch, index, &item.row, item.payload);
        }
    }
    return error;
}

static enum ph_error replay_results(struct api_job *job, struct writer_txn *txn, struct slice kept,
                                    struct diag *diag)
{
    struct batch_job *batch = batch_of(job);
    struct json_out *out = &job->answer.out;
    struct message_query query = {.with_payload = batch->with_content, .now_us = txn->now_us};
    enum ph_error error = api_path_application(job->call, txn->store, diag, &query.application_id);
    if (error != PH_OK) {
        return error;
    }
    json_out_begin_object(out);
    json_out_key(out, "results");
    json_out_begin_array(out);
    error = write_kept(batch, txn, kept, &query, diag);
    json_out_end_array(out);
    json_out_end_object(out);
    return error;
}

/* --- the transaction ---------------------------------------------------------------------------
 */

/* The application is missing and the message brings it along. */
static enum ph_error create_application(struct ingest_job *job, struct writer_txn *txn,
                                        struct diag *diag, int64_t *ret_application_id)
{
    const struct batch_item *item = PH_CONTAINER_OF(job, struct batch_item, ingest);
    return application_create_at(txn, job->org,
                                 http_param(item->batch->job.call->request, "app_id"),
                                 item->application, diag, ret_application_id);
}

static enum ph_error run_batch(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct batch_job *batch = batch_of(job);
    int64_t application_id;
    enum ph_error error = api_path_application(job->call, txn->store, diag, &application_id);
    if (error == PH_NOT_FOUND) {
        error = batch->has_application
                    ? PH_OK
                    : diag_set(diag, PH_NOT_FOUND, NULL, "Application not found");
    }
    if (error == PH_OK) {
        error = ingest_list_in(txn, &batch->valid, diag);
    }
    if (error == PH_OK) {
        job->status = 202;
        write_results(batch);
    }
    return error;
}

static void count_accepted(struct api_job *job)
{
    const struct batch_job *batch = batch_of(job);
    metrics_observe_many(job->call->api->metrics, METRIC_ACCEPT_SECONDS,
                         clock_boot_us() - batch->started_boot_us, batch->accepted);
}

static void free_batch(struct batch_job *batch)
{
    for (const struct batch_item *item = batch->first; item != NULL; item = item->next) {
        message_body_unref(item->ingest.body);
    }
    arena_done(&batch->arena);
}

static void end_batch(struct api_job *job)
{
    free_batch(batch_of(job));
}

/* --- on the http thread ------------------------------------------------------------------------
 */

struct batch_reader {
    struct batch_job *batch;
    struct message_target target;
    const struct trace *trace;
    int64_t default_retention_us;
    struct schema_budget *budget; /* shared by all of them */
};

static enum ph_error read_message(const struct batch_reader *reader,
                                  const struct scan_element *element, struct scan_member *members,
                                  struct diag *diag, struct message_input *message)
{
    struct batch_job *batch = reader->batch;
    enum ph_error error;
    if (element->value.len > API_BODY_MAX) {
        return diag_set(diag, PH_TOO_LARGE, NULL, "Request payload is too large.");
    }
    if (element->has_members) {
        error =
            message_input_read_members(members, element->member_count, reader->default_retention_us,
                                       &batch->arena, diag, message);
    } else {
        error = message_input_read(element->value, reader->default_retention_us, &batch->arena,
                                   diag, message);
    }
    if (error == PH_OK) {
        error = payload_check(batch->job.call, message->event_type, message->payload,
                              reader->budget, diag);
    }
    return error;
}

/* Reads one element into a new item. An error is one of the whole request. */
static enum ph_error read_item(const struct batch_reader *reader,
                               const struct scan_element *element, struct scan_member *members,
                               struct diag *diag)
{
    struct batch_job *batch = reader->batch;
    struct message_input message;
    struct batch_item *item = arena_alloc(&batch->arena, sizeof *item);
    if (item == NULL) {
        return api_no_memory(diag);
    }
    item->next = NULL;
    item->batch = batch;
    item->ingest.body = NULL; /* the rest is set below */
    *batch->end = item;
    batch->end = &item->next;
    enum ph_error error = read_message(reader, element, members, &item->ingest.diag, &message);
    item->ingest.error = error;
    if (error == PH_NO_MEMORY) {
        return api_no_memory(diag);
    }
    if (error != PH_OK) {
        if (ph_error_http_status(error) < 500) {
            return PH_OK; /* the message's outcome */
        }
        *diag = item->ingest.diag;
        return error;
    }
    message_fill_ingest(&reader->target, &message, reader->trace, &item->ingest);
    if (message.has_application) {
        item->application = arena_alloc(&batch->arena, sizeof *item->application);
        if (item->application == NULL) {
            return api_no_memory(diag);
        }
        *item->application = message.application;
        item->ingest.create_application = create_application;
        batch->has_application = true;
    }
    list_append(&batch->valid, &item->ingest.node);
    batch->job.job.messages++;
    return PH_OK;
}

/* No such array: in the words of the other inputs. */
static enum ph_error refuse_body(struct api_call *call, struct diag *diag)
{
    struct input input;
    struct slice messages;
    input_open(&input, http_body(call->request), call->arena, diag);
    (void)input_raw(&input, "messages", INPUT_REQUIRED, SCAN_ARRAY, &messages);
    PH_ASSERT(input_end(&input) != PH_OK);
    return input_end(&input);
}

static enum ph_error read_items(const struct batch_reader *reader, struct diag *diag)
{
    struct api_call *call = reader->batch->job.call;
    struct scan_member members[MESSAGE_MEMBERS_MAX];
    struct scan_elements elements;
    struct scan_element element;
    size_t count = 0;
    scan_elements_init(&elements, http_body(call->request), "messages");
    while (scan_elements_next(&elements, members, MESSAGE_MEMBERS_MAX, &element)) {
        if (count++ == MESSAGES_MAX) {
            return diag_set(diag, PH_INVALID, "body.messages", "at most %d messages at once",
                            MESSAGES_MAX);
        }
        enum ph_error error = read_item(reader, &element, members, diag);
        if (error != PH_OK) {
            return error;
        }
    }
    enum ph_error error = scan_elements_end(&elements, diag);
    if (error == PH_NOT_FOUND) {
        return refuse_body(call, diag);
    }
    if (error == PH_OK && count == 0) {
        error = diag_set(diag, PH_INVALID, "body.messages", "must have at least one message");
    }
    return error;
}

static struct batch_job *batch_new(struct api_call *call, struct diag *diag)
{
    struct batch_job *batch = api_job_new(call, sizeof *batch, diag);
    if (batch != NULL) {
        batch->job.call = call;
        batch->job.committed = count_accepted;
        batch->job.ended = end_batch;
        batch->job.keep = keep_results;
        batch->job.replay = replay_results;
        batch->end = &batch->first;
        batch->started_boot_us = clock_boot_us();
        arena_init(&batch->arena,
                   http_body(call->request).len + (size_t)MESSAGES_MAX * MESSAGE_BYTES_MAX);
        list_init(&batch->valid);
    }
    return batch;
}

enum ph_error api_message_create_batch(struct api_call *call, struct diag *diag)
{
    struct batch_job *batch = batch_new(call, diag);
    if (batch == NULL) {
        return PH_NO_MEMORY;
    }
    struct trace trace = {0};
    (void)http_trace(call->request, &trace);
    struct schema_budget budget = schema_budget(http_body(call->request).len);
    const struct flow_settings *settings = flow_settings_take(call->api->flow);
    const struct batch_reader reader = {batch, message_target_of(call), &trace,
                                        settings->payload_retention_us, &budget};
    flow_settings_drop(settings);
    enum ph_error error =
        query_bool(call->request, "with_content", true, diag, &batch->with_content);
    if (error == PH_OK) {
        error = read_items(&reader, diag);
    }
    if (error == PH_OK) {
        return api_submit(call, &batch->job, run_batch, diag);
    }
    free_batch(batch);
    return error;
}
