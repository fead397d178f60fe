/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of general jobs, and what a batch holds until it has ended. Writer thread. */
#include "base/json_out.h"
#include "flow/settings.h"
#include "flow/writer_int.h"

/* Ten names of 128 bytes, each byte escaped, and what stands between them. */
#define CHANNELS_JSON_MAX 16384

/* --- what a batch holds ------------------------------------------------------------------------
 */

static void hold(struct batch_effects *effects, struct batch_hold held)
{
    if (effects->hold_count == effects->hold_capacity) {
        effects->hold_capacity = effects->hold_capacity == 0 ? 16 : effects->hold_capacity * 2;
        effects->holds =
            ph_realloc(effects->holds, effects->hold_capacity * sizeof effects->holds[0]);
    }
    effects->holds[effects->hold_count++] = held;
}

void effects_hold_application(struct batch_effects *effects, struct application_config *config)
{
    if (effects->hold_count > 0 && effects->holds[effects->hold_count - 1].application == config) {
        return; /* the usual repetition */
    }
    hold(effects, (struct batch_hold){.application = application_config_ref(config)});
}

void effects_hold_body(struct batch_effects *effects, struct message_body *body)
{
    hold(effects, (struct batch_hold){.body = body});
}

static void release_from(struct batch_effects *effects, size_t first)
{
    for (size_t index = first; index < effects->hold_count; index++) {
        application_config_unref(effects->holds[index].application);
        message_body_unref(effects->holds[index].body);
    }
    effects->hold_count = first;
}

void effects_cut(struct writer *writer, const struct batch_effects *mark)
{
    struct batch_effects *effects = &writer->effects;
    effects->changed_endpoints.count = mark->changed_endpoints.count;
    effects->expunged_messages.count = mark->expunged_messages.count;
    effects->manual_endpoints.count = mark->manual_endpoints.count;
    effects->due_endpoints.count = mark->due_endpoints.count;
    effects->cancelled_endpoints.count = mark->cancelled_endpoints.count;
    effects->delivery_count = mark->delivery_count;
    effects->emitted = mark->emitted;
    /* A snapshot may carry a version number that another change will have. */
    for (size_t index = mark->hold_count; index < effects->hold_count; index++) {
        if (effects->holds[index].application != NULL) {
            application_cache_forget(&writer->applications, effects->holds[index].application);
        }
    }
    release_from(effects, mark->hold_count);
}

void effects_clear(struct batch_effects *effects)
{
    effects->changed_endpoints.count = 0;
    effects->expunged_messages.count = 0;
    effects->manual_endpoints.count = 0;
    effects->due_endpoints.count = 0;
    effects->cancelled_endpoints.count = 0;
    effects->delivery_count = 0;
    effects->emitted = 0;
    release_from(effects, 0);
}

void effects_done(struct batch_effects *effects)
{
    effects_clear(effects);
    free(effects->changed_endpoints.ids);
    free(effects->expunged_messages.ids);
    free(effects->manual_endpoints.ids);
    free(effects->due_endpoints.ids);
    free(effects->cancelled_endpoints.ids);
    free(effects->deliveries);
    free(effects->holds);
}

/* --- messages of general jobs ------------------------------------------------------------------
 */

enum ph_error ingest_list_in(struct writer_txn *txn, struct list_node *jobs, struct diag *diag)
{
    struct writer *writer = txn->writer;
    /* The job itself may have changed an endpoint since it was looked at. */
    application_cache_begin_batch(&writer->applications);
    enum ph_error error = ingest_batch(writer, jobs, diag);
    if (error != PH_OK) {
        return error;
    }
    LIST_FOR_EACH(node, next, jobs)
    {
        const struct ingest_job *job = LIST_ELEMENT(node, struct ingest_job, node);
        PH_ASSERT(job->key_kind == INGEST_KEY_NONE);
        writer->effects.emitted += job->error == PH_OK;
    }
    return PH_OK;
}

/* As the column is. */
static void write_channels(const struct ingest_message *message, struct buf *text)
{
    struct json_out out;
    json_out_init(&out, text);
    json_out_begin_array(&out);
    for (size_t index = 0; index < message->channel_count; index++) {
        json_out_string(&out, message->channels[index]);
    }
    json_out_end_array(&out);
    PH_ASSERT(!text->failed);
}

static int64_t retention_us(const struct writer *writer, const struct ingest_message *message)
{
    if (message->payload_retention_us != 0) {
        return message->payload_retention_us;
    }
    const struct flow_settings *settings = settings_take(writer->settings);
    int64_t default_us = settings->payload_retention_us;
    flow_settings_drop(settings);
    return default_us;
}

enum ph_error ingest_in(struct writer_txn *txn, const struct ingest_message *message,
                        struct diag *diag, int64_t *ret_message_id)
{
    PH_ASSERT(message->channel_count <= INGEST_CHANNELS_MAX && message->payload.len > 0);
    BUF_AUTO struct buf channels;
    buf_init(&channels, CHANNELS_JSON_MAX);
    struct slice sent = message->raw_body.ptr != NULL ? message->raw_body : message->payload;
    struct ingest_job job = {
        .org = message->org,
        .application_id = message->application_id,
        .application_uid = message->application_uid,
        .event_type = message->event_type,
        .event_id = message->event_id,
        .channel_count = message->channel_count,
        .ordering_key = message->ordering_key,
        .deliver_at_us = message->deliver_at_us,
        .payload = message->payload,
        .raw_body = message->raw_body,
        .payload_retention_us = retention_us(txn->writer, message),
        .only_endpoint_id = message->only_endpoint_id,
        .body = message_body_new(sent, message->trace),
    };
    effects_hold_body(&txn->writer->effects, job.body);
    for (size_t index = 0; index < message->channel_count; index++) {
        job.channels[index] = message->channels[index];
    }
    if (message->channel_count > 0) {
        write_channels(message, &channels);
        job.channels_json = buf_slice(&channels);
    }
    struct list_node jobs;
    list_init(&jobs);
    list_append(&jobs, &job.node);
    enum ph_error error = ingest_list_in(txn, &jobs, diag);
    if (error == PH_OK && job.error != PH_OK) {
        error = job.error;
        if (diag != NULL) {
            *diag = job.diag;
        }
    }
    if (error == PH_OK) {
        *ret_message_id = job.message_id;
    }
    return error;
}
