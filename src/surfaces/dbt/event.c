/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/dbt/event.h"

#include "base/clock.h"
#include "flow/ingest.h"
#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/delivery.h"
#include "surfaces/dbt/subscription.h"

#define PAYLOAD_BYTES_MAX ((size_t)2 * 1024 * 1024)
#define WAITING_ROWS 50 /* read at a time */
#define WAITING_ARENA_BYTES ((size_t)32 * 1024 * 1024)
#define CHANNEL_TEXT_MAX 32

static const char *const type_names[] = {
    [DBT_EVENT_STARTED] = "job.run.started",
    [DBT_EVENT_COMPLETED] = "job.run.completed",
    [DBT_EVENT_ERRORED] = "job.run.errored",
    [DBT_EVENT_CANCELED] = "job.run.canceled",
};
_Static_assert(PH_ARRAY_LENGTH(type_names) == DBT_EVENT_TYPE_COUNT, "one name each");

const char *dbt_event_type_name(enum dbt_event_type type)
{
    PH_ASSERT((unsigned)type < DBT_EVENT_TYPE_COUNT);
    return type_names[type];
}

const char *dbt_run_status_name(enum dbt_run_status status, bool is_american)
{
    switch (status) {
    case DBT_RUN_QUEUED:
        return "Queued";
    case DBT_RUN_STARTING:
        return "Starting";
    case DBT_RUN_RUNNING:
        return "Running";
    case DBT_RUN_SUCCESS:
        return "Success";
    case DBT_RUN_ERROR:
        return "Errored";
    case DBT_RUN_CANCELLED:
        break;
    }
    return is_american ? "Canceled" : "Cancelled";
}

/* --- the payload ------------------------------------------------------------------------------ */

static void write_id(struct json_out *out, const char *key, int64_t id)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", (long long)id);
    json_out_member_text(out, key, text);
}

static void write_text(struct json_out *out, const char *key, struct slice text)
{
    json_out_member_string(out, key, text.ptr == NULL ? SLICE_LITERAL("") : text);
}

/* Whole seconds. */
static void write_time(struct json_out *out, const char *key, int64_t wall_us)
{
    char text[CLOCK_TEXT_MAX] = "";
    if (wall_us != 0) {
        clock_format(wall_us, text);
        (void)snprintf(text + 19, sizeof text - 19, "Z"); /* behind the seconds */
    }
    json_out_member_text(out, key, text);
}

void dbt_event_write_data(enum dbt_event_type type, const struct dbt_run_facts *run,
                          const struct dbt_settings *settings, struct json_out *out)
{
    json_out_begin_object(out);
    write_id(out, "jobId", run->job_id);
    write_text(out, "jobName", run->job_name);
    write_id(out, "runId", run->run_id);
    write_id(out, "environmentId", run->environment_id);
    write_text(out, "environmentName", run->environment_name);
    write_text(out, "dbtVersion", run->dbt_version);
    write_text(out, "projectName", run->project_name);
    write_id(out, "projectId", run->project_id);
    json_out_member_text(out, "runStatus",
                         dbt_run_status_name(run->status, settings->is_canceled_completed));
    json_out_member_int(out, "runStatusCode", run->status);
    json_out_member_string(out, "runStatusMessage",
                           run->status_message.len > 0 ? run->status_message
                                                       : SLICE_LITERAL("None"));
    write_text(out, "runReason", run->reason);
    write_time(out, "runStartedAt", run->started_at_us);
    if (type == DBT_EVENT_COMPLETED || type == DBT_EVENT_CANCELED) {
        write_time(out, "runFinishedAt", run->finished_at_us);
    } else if (type == DBT_EVENT_ERRORED) {
        write_time(out, "runErroredAt", run->finished_at_us);
    }
    json_out_end_object(out);
}

/* As native endpoints get it; format.c makes what webhooks get of it. */
static void write_payload(struct writer_txn *txn, int64_t application_id, enum dbt_event_type type,
                          const struct dbt_run_facts *run, const struct dbt_settings *settings,
                          bool is_ready, struct buf *text)
{
    struct json_out out;
    char id_text[DBT_ID_TEXT_MAX];
    char timestamp[DBT_TIMESTAMP_MAX];
    int64_t id = writer_txn_new_id(txn);
    dbt_event_id_format(&txn->store->codec, id, application_id, id_text);
    dbt_timestamp_format(id, timestamp);
    json_out_init(&out, text);
    json_out_begin_object(&out);
    json_out_member_int(&out, "accountId", run->account);
    json_out_member_text(&out, "eventId", id_text);
    json_out_member_text(&out, "timestamp", timestamp);
    json_out_member_text(&out, "eventType", type_names[type]);
    json_out_key(&out, "data");
    dbt_event_write_data(type, run, settings, &out);
    if (run->details.ptr != NULL) {
        json_out_member_raw(&out, "run", run->details);
    }
    if (is_ready) {
        json_out_member_bool(&out, "isReady", true);
    }
    json_out_end_object(&out);
    json_out_end_document(&out);
}

/* --- emitting --------------------------------------------------------------------------------- */

static struct slice job_channel(const struct dbt_run_facts *run, char text[CHANNEL_TEXT_MAX])
{
    (void)snprintf(text, CHANNEL_TEXT_MAX, "job.%lld", (long long)run->job_id);
    return slice_of(text);
}

static enum ph_error emit(struct writer_txn *txn, int64_t application_id, enum dbt_event_type type,
                          const struct dbt_run_facts *run, const struct dbt_settings *settings,
                          int64_t only_endpoint_id, struct diag *diag)
{
    char channel_text[CHANNEL_TEXT_MAX];
    const struct slice channel = job_channel(run, channel_text);
    int64_t message_id;
    BUF_AUTO struct buf payload;
    buf_init(&payload, PAYLOAD_BYTES_MAX);
    write_payload(txn, application_id, type, run, settings, only_endpoint_id != 0, &payload);
    if (payload.failed) {
        return diag_set(diag, PH_TOO_LARGE, NULL, "the event of a run is too large");
    }
    const struct ingest_message message = {
        .org = slice_of(DEFAULT_ORGANISATION),
        .application_id = application_id,
        .event_type = slice_of(type_names[type]),
        .channels = &channel,
        .channel_count = 1,
        .payload = buf_slice(&payload),
        .only_endpoint_id = only_endpoint_id,
    };
    return ingest_in(txn, &message, diag, &message_id);
}

enum ph_error dbt_event_emit(struct writer_txn *txn, enum dbt_event_type type,
                             const struct dbt_run_facts *run, const struct dbt_settings *settings,
                             struct diag *diag)
{
    int64_t application_id;
    enum ph_error error = dbt_account_application(txn, run->account, diag, &application_id);
    return error != PH_OK ? error : emit(txn, application_id, type, run, settings, 0, diag);
}

/* Whether a JSON array of names has this one; an absent array has all. */
static bool has_name(struct slice names, struct slice name)
{
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    if (names.ptr == NULL) {
        return true;
    }
    scan_cursor_init(&cursor, names);
    while (scan_next_element(&cursor, &type, &value)) {
        if (value.len > 2 && slice_equal((struct slice){value.ptr + 1, value.len - 2}, name)) {
            return true;
        }
    }
    return false;
}

static enum ph_error waits(const struct dbt_subscription *row, const struct dbt_run_facts *run,
                           struct arena *arena, struct diag *diag, bool *ret_waits)
{
    struct dbt_delivery delivery;
    char channel[CHANNEL_TEXT_MAX];
    *ret_waits = false;
    enum ph_error error = dbt_delivery_parse(row->delivery, arena, diag, &delivery);
    if (error != PH_OK || !delivery.waits_for_artifacts || row->endpoint.is_disabled) {
        return error;
    }
    bool is_one = delivery.collapses &&
                  has_name(row->endpoint.event_types, SLICE_LITERAL("job.run.completed"));
    *ret_waits = !is_one && has_name(row->endpoint.event_types, SLICE_LITERAL("job.run.errored")) &&
                 has_name(row->endpoint.channels, job_channel(run, channel));
    return PH_OK;
}

/* One page of the account's subscriptions; *ret_count is how many there were. */
static enum ph_error emit_page(struct writer_txn *txn, int64_t application_id, int64_t offset,
                               const struct dbt_run_facts *run, const struct dbt_settings *settings,
                               struct diag *diag, size_t *ret_count)
{
    struct dbt_subscription rows[WAITING_ROWS];
    int64_t total;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, WAITING_ARENA_BYTES);
    enum ph_error error = dbt_subscription_page(txn->store, application_id, offset, WAITING_ROWS,
                                                &arena, diag, rows, ret_count, &total);
    for (size_t index = 0; error == PH_OK && index < *ret_count; index++) {
        bool is_waiting;
        error = waits(&rows[index], run, &arena, diag, &is_waiting);
        if (error == PH_OK && is_waiting) {
            error = emit(txn, application_id, DBT_EVENT_ERRORED, run, settings,
                         rows[index].endpoint.id, diag);
        }
    }
    return error;
}

enum ph_error dbt_event_emit_ready(struct writer_txn *txn, const struct dbt_run_facts *run,
                                   const struct dbt_settings *settings, struct diag *diag)
{
    int64_t application_id;
    int64_t offset = 0;
    size_t count = WAITING_ROWS;
    enum ph_error error = dbt_account_application(txn, run->account, diag, &application_id);
    while (error == PH_OK && count == WAITING_ROWS) {
        error = emit_page(txn, application_id, offset, run, settings, diag, &count);
        offset += WAITING_ROWS;
    }
    return error;
}
