/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/dbt/format.h"

#include "core/scan.h"
#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/notice.h"
#include "surfaces/dbt/subscription.h"

#define MEMBERS_MAX 32
#define BODY_BYTES_MAX ((size_t)4 * 1024 * 1024)

struct members {
    struct scan_member items[MEMBERS_MAX];
    size_t count;
};

static bool read_members(struct slice json, struct members *ret_members)
{
    return json.ptr != NULL && scan_object(json, ret_members->items, MEMBERS_MAX,
                                           &ret_members->count, NULL, NULL) == PH_OK;
}

/* The JSON text of a member, SLICE_NONE when there is none. */
static struct slice value_of(const struct members *members, const char *key)
{
    const struct scan_member *member = scan_find(members->items, members->count, key);
    return member == NULL ? SLICE_NONE : member->value;
}

static void write_raw(struct json_out *out, const char *key, struct slice json)
{
    if (json.ptr != NULL) {
        json_out_member_raw(out, key, json);
    }
}

static void write_head(struct json_out *out, const struct format_event *event,
                       const struct members *payload, const struct members *config)
{
    char id[DBT_ID_TEXT_MAX];
    char timestamp[DBT_TIMESTAMP_MAX];
    struct slice id_key = value_of(config, "idKey");
    json_out_member_raw(out, "accountId", value_of(payload, "accountId"));
    dbt_id_format(event->codec, DBT_ID_SUBSCRIPTION, event->endpoint_id, id);
    if (!slice_equal_text(id_key, "\"webhookId\"")) {
        json_out_member_text(out, "webhooksID", id);
    }
    if (!slice_equal_text(id_key, "\"webhooksID\"")) {
        json_out_member_text(out, "webhookId", id);
    }
    dbt_event_id_format(event->codec, event->message_id, event->endpoint_id, id);
    dbt_timestamp_format(event->message_id, timestamp);
    json_out_member_text(out, "eventId", id);
    json_out_member_text(out, "timestamp", timestamp);
    json_out_member_string(out, "eventType", event->event_type);
    json_out_member_raw(out, "webhookName", value_of(config, "name"));
}

enum ph_error dbt_format_write(const struct format_event *event, struct arena *arena,
                               struct diag *diag, struct buf *body)
{
    struct members payload;
    struct members config;
    struct json_out out;
    (void)arena;
    if (!read_members(event->config, &config) || value_of(&config, "name").ptr == NULL) {
        return diag_set(diag, PH_STORE, NULL, "not sent: the webhook's configuration is broken");
    }
    if (!read_members(event->payload, &payload) || value_of(&payload, "accountId").ptr == NULL ||
        value_of(&payload, "data").ptr == NULL) {
        return diag_set(diag, PH_INVALID, NULL,
                        "not sent: the message is no run event (accountId and data)");
    }
    json_out_init(&out, body);
    json_out_begin_object(&out);
    write_head(&out, event, &payload, &config);
    json_out_member_raw(&out, "data", value_of(&payload, "data"));
    if (slice_equal_text(value_of(&config, "enrich"), "true")) {
        write_raw(&out, "run", value_of(&payload, "run"));
    }
    json_out_end_object(&out);
    json_out_end_document(&out);
    return body->failed ? diag_set(diag, PH_TOO_LARGE, NULL, "not sent: the body is too large")
                        : PH_OK;
}

static enum ph_error render(const struct format_event *event, struct arena *arena,
                            struct diag *diag, struct jq_transformed *ret_request)
{
    BUF_AUTO struct buf body;
    buf_init(&body, BODY_BYTES_MAX);
    enum ph_error error = dbt_format_write(event, arena, diag, &body);
    if (error != PH_OK) {
        return error;
    }
    struct slice bytes = dbt_copy(arena, buf_slice(&body));
    if (bytes.ptr == NULL) {
        return diag_set(diag, PH_NO_MEMORY, NULL, "not sent: no memory for the body");
    }
    *ret_request = (struct jq_transformed){.body = bytes, .is_body_json = true};
    return PH_OK;
}

/* --- outcomes --------------------------------------------------------------------------------- */

static enum ph_error deactivate(struct writer_txn *txn, int64_t endpoint_id,
                                const struct dbt_standing *standing, struct diag *diag)
{
    bool was_enabled;
    enum ph_error error =
        endpoint_disable(txn->store, endpoint_id, txn->now_us, diag, &was_enabled);
    if (error != PH_OK || !was_enabled) {
        return error; /* gone, or off by now */
    }
    writer_txn_endpoint_changed(txn, endpoint_id);
    error = dbt_subscription_deactivated(txn->store, endpoint_id, slice_of(standing->reason), diag);
    return error == PH_OK ? dbt_notice_emit(txn, endpoint_id, standing, diag) : error;
}

static enum ph_error recorded(struct writer_txn *txn, const struct format_outcome *outcome,
                              struct diag *diag)
{
    struct dbt_standing standing;
    const struct dbt_dispatch dispatch = {
        .endpoint_id = outcome->endpoint_id,
        .status_code = outcome->status_code,
        .is_success = outcome->is_success,
        .dispatched_at_us = txn->now_us - outcome->duration_ms * 1000,
        .now_us = txn->now_us,
    };
    enum ph_error error = dbt_subscription_dispatched(txn->store, &dispatch, diag, &standing);
    if (error == PH_OK && standing.reason != NULL) {
        error = deactivate(txn, outcome->endpoint_id, &standing, diag);
    } else if (error == PH_OK && standing.is_warning) {
        error = dbt_notice_emit(txn, outcome->endpoint_id, &standing, diag);
    }
    return error;
}

const struct delivery_format dbt_format = {
    .name = "dbt",
    .render = render,
    .recorded = recorded,
};
