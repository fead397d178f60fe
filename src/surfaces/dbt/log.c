/* SPDX-License-Identifier: Apache-2.0 */
/* The delivery log (dbt spec section 3.7): events, each of one subscription, and a receipt for each
 * attempt. All their values are texts. */
#include "base/clock.h"
#include "core/hex.h"
#include "store/attempt_list.h"
#include "store/endpoint_secret.h"
#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/delivery_log.h"
#include "surfaces/dbt/format.h"
#include "surfaces/dbt/webhook.h"

#define BODY_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define HEADERS_BYTES_MAX 8192
#define RECEIPTS_MAX 250 /* of one event, the oldest */
#define HMAC_BYTES 32

/* A webhook, and what its events are shown with. */
struct view {
    struct api_call *call;
    const struct dbt_caller *caller;
    struct store *store;
    struct arena *arena;
    struct dbt_settings settings;
    struct dbt_subscription webhook;
    struct endpoint_options options;
    char webhook_id[DBT_ID_TEXT_MAX];
};

static enum ph_error read_view(struct view *view, struct diag *diag)
{
    view->settings = dbt_settings_of(view->caller->dbt);
    dbt_id_format(view->call->codec, DBT_ID_SUBSCRIPTION, view->webhook.endpoint.id,
                  view->webhook_id);
    return endpoint_options_read(view->webhook.endpoint.options, view->arena, diag, &view->options);
}

static struct dbt_log_query query_of(const struct view *view)
{
    return (struct dbt_log_query){
        .application_id = view->caller->account.application_id,
        .endpoint_id = view->webhook.endpoint.id,
        .after_id = id_floor(clock_wall_us() - view->settings.log_us),
    };
}

static enum ph_error begin(struct api_call *call, struct arena *arena, struct diag *diag,
                           struct view *ret_view)
{
    *ret_view = (struct view){.call = call, .caller = dbt_caller_of(call), .arena = arena};
    return api_begin_read(call, diag, &ret_view->store);
}

/* The webhook of the path's `subscription_id`. */
static enum ph_error view_of_path(struct view *view, struct diag *diag)
{
    enum ph_error error = dbt_webhook_of_path(view->call, view->store, diag, &view->webhook);
    return error == PH_OK ? read_view(view, diag) : error;
}

/* An event by both its ids; the webhook must be the caller's. */
static enum ph_error find_event(struct view *view, int64_t message_id, int64_t endpoint_id,
                                struct diag *diag, struct dbt_log_event *ret_event)
{
    enum ph_error error = dbt_subscription_find(view->store, view->caller->account.application_id,
                                                endpoint_id, view->arena, diag, &view->webhook);
    if (error == PH_OK) {
        error = read_view(view, diag);
    }
    if (error == PH_OK) {
        const struct dbt_log_query query = query_of(view);
        error = dbt_log_find(view->store, &query, message_id, view->arena, diag, ret_event);
    }
    return error;
}

static enum ph_error event_of_path(struct view *view, struct diag *diag,
                                   struct dbt_log_event *ret_event)
{
    int64_t message_id;
    int64_t endpoint_id;
    return dbt_event_id_parse(view->call->codec, http_param(view->call->request, "event_id"),
                              &message_id, &endpoint_id)
               ? find_event(view, message_id, endpoint_id, diag, ret_event)
               : dbt_not_found(diag);
}

/* --- what is shown ---------------------------------------------------------------------------- */

static void write_number(struct json_out *out, const char *key, int64_t number)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", (long long)number);
    json_out_member_text(out, key, text);
}

/* The body that was sent; empty when the payload is gone, or was no run event. */
static struct buf body_of(const struct view *view, const struct dbt_log_event *event)
{
    struct buf body;
    buf_init(&body, BODY_BYTES_MAX);
    const struct format_event source = {
        .codec = view->call->codec,
        .message_id = event->message_id,
        .endpoint_id = event->endpoint_id,
        .event_type = event->event_type,
        .payload = event->payload,
        .config = view->options.format_config,
    };
    if (dbt_format_write(&source, view->arena, NULL, &body) != PH_OK) {
        buf_clear(&body);
    }
    return body;
}

/* "job.41" of the channels as "41". */
static struct slice job_of(const struct dbt_log_event *event)
{
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    if (event->channels.ptr == NULL) {
        return SLICE_LITERAL("");
    }
    scan_cursor_init(&cursor, event->channels);
    while (scan_next_element(&cursor, &type, &value)) {
        if (slice_starts_with(value, "\"job.")) {
            return (struct slice){value.ptr + 5, value.len - 6};
        }
    }
    return SLICE_LITERAL("");
}

static void write_event_id(const struct view *view, const struct dbt_log_event *event,
                           const char *key, struct json_out *out)
{
    char id[DBT_ID_TEXT_MAX];
    dbt_event_id_format(view->call->codec, event->message_id, event->endpoint_id, id);
    json_out_member_text(out, key, id);
}

static void write_event(const struct view *view, const struct dbt_log_event *event,
                        struct json_out *out)
{
    struct buf body = body_of(view, event);
    json_out_begin_object(out);
    write_event_id(view, event, "id", out);
    json_out_member_text(out, "subscription_id", view->webhook_id);
    json_out_member_string(out, "account_identifier", view->caller->account.identifier);
    json_out_member_string(out, "job_id", job_of(event));
    json_out_member_string(out, "trigger_event_type", event->event_type);
    json_out_member_string(out, "payload", buf_slice(&body));
    write_number(out, "http_status_code", event->status_code);
    write_number(out, "account_id", view->caller->account.number);
    json_out_end_object(out);
    buf_done(&body);
}

/* As JSON text. The signature is told when the key that made it is still the present one. */
static void write_headers(const struct view *view, const struct attempt_row *attempt,
                          struct slice body, struct buf *text)
{
    const struct endpoint_signature *signature = &view->options.signature;
    int64_t since_us;
    struct signing_key *key = NULL;
    struct json_out out;
    json_out_init(&out, text);
    json_out_begin_object(&out);
    json_out_member_text(&out, "Content-Type", "application/json");
    if (signature->is_hmac &&
        dbt_log_key_since(view->store, attempt->endpoint_id, NULL, &since_us) == PH_OK &&
        since_us <= id_time_us(attempt->id) &&
        endpoint_secret_current(view->store, attempt->endpoint_id, NULL, &key) == PH_OK &&
        signing_key_scheme(key) == SIGNATURE_HMAC_SHA256) {
        uint8_t mac[HMAC_BYTES];
        char name[256];
        BUF_AUTO struct buf hex;
        buf_init(&hex, 2 * HMAC_BYTES + 1);
        signature_hmac(HMAC_BYTES * 8, signing_key_bytes(key), body, mac);
        hex_append(&hex, mac, sizeof mac);
        (void)snprintf(name, sizeof name, "%.*s", SLICE_ARG(signature->header));
        json_out_member_string(&out, name, buf_slice(&hex));
    }
    signing_key_free(key);
    json_out_end_object(&out);
    json_out_end_document(&out);
}

static void write_error(const struct attempt_row *attempt, struct json_out *out)
{
    char text[64] = "";
    json_out_key(out, "error_info");
    if (attempt->response_code == 0 && attempt->response.ptr != NULL) {
        json_out_string(out, attempt->response);
        return;
    }
    if (attempt->status != ATTEMPT_SUCCESS) {
        (void)snprintf(text, sizeof text, "the endpoint answered %lld",
                       (long long)attempt->response_code);
    }
    json_out_string(out, slice_of(text));
}

static void write_receipt(const struct view *view, const struct dbt_log_event *event,
                          const struct attempt_row *attempt, struct slice body,
                          struct json_out *out)
{
    char id[DBT_ID_TEXT_MAX];
    BUF_AUTO struct buf headers;
    bool has_answer = attempt->response_code != 0 && attempt->response.ptr != NULL;
    buf_init(&headers, HEADERS_BYTES_MAX);
    write_headers(view, attempt, body, &headers);
    dbt_id_format(view->call->codec, DBT_ID_RECEIPT, attempt->id, id);
    json_out_begin_object(out);
    json_out_member_text(out, "id", id);
    write_event_id(view, event, "event_id", out);
    json_out_member_text(out, "subscription_id", view->webhook_id);
    write_number(out, "dispatched_at",
                 id_time_us(attempt->id) - attempt->duration_ms * CLOCK_US_PER_MS);
    write_number(out, "http_status_code", attempt->response_code);
    write_error(attempt, out);
    json_out_member_string(out, "request_body", body);
    json_out_member_string(out, "request_headers", buf_slice(&headers));
    json_out_member_string(out, "response_body",
                           has_answer ? attempt->response : SLICE_LITERAL(""));
    json_out_end_object(out);
}

/* --- events ----------------------------------------------------------------------------------- */

enum ph_error dbt_log_list(struct api_call *call, struct diag *diag)
{
    struct view view;
    struct dbt_page page;
    size_t count;
    int64_t total;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    enum ph_error error = dbt_page_read(call->request, DBT_PAGE_LIMIT_DEFAULT, diag, &page);
    if (error == PH_OK) {
        error = begin(call, &arena, diag, &view);
    }
    if (error == PH_OK) {
        error = view_of_path(&view, diag);
    }
    if (error != PH_OK) {
        return error;
    }
    struct dbt_log_query query = query_of(&view);
    query.offset = page.offset;
    query.limit = page.limit;
    struct dbt_log_event *rows = arena_calloc(&arena, (size_t)page.limit, sizeof *rows);
    if (rows == NULL) {
        return api_no_memory(diag);
    }
    error = dbt_log_page(view.store, &query, &arena, diag, rows, &count, &total);
    if (error != PH_OK) {
        return error;
    }
    struct api_answer answer;
    api_answer_init(&answer);
    dbt_answer_begin(&answer.out);
    json_out_begin_array(&answer.out);
    for (size_t index = 0; index < count; index++) {
        write_event(&view, &rows[index], &answer.out);
    }
    json_out_end_array(&answer.out);
    dbt_answer_end_list(&answer.out, &page, count, total);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

enum ph_error dbt_log_event_get(struct api_call *call, struct diag *diag)
{
    struct view view;
    struct dbt_log_event event;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    enum ph_error error = begin(call, &arena, diag, &view);
    if (error == PH_OK) {
        error = event_of_path(&view, diag, &event);
    }
    if (error == PH_OK) {
        struct api_answer answer;
        api_answer_init(&answer);
        dbt_answer_begin(&answer.out);
        write_event(&view, &event, &answer.out);
        dbt_answer_end(&answer.out, 200);
        api_answer_send(call, 200, &answer);
    }
    return error;
}

/* --- receipts --------------------------------------------------------------------------------- */

static enum ph_error answer_receipts(struct view *view, const struct dbt_log_event *event,
                                     struct diag *diag)
{
    struct list_end end;
    const struct attempt_query query = {
        .application_id = view->caller->account.application_id,
        .filter = {.message_id = event->message_id,
                   .endpoint_id = event->endpoint_id,
                   .status = ATTEMPT_ANY_STATUS,
                   .code_class = ATTEMPT_ANY_CLASS},
        .page = {.upper = INT64_MAX, .limit = RECEIPTS_MAX},
        .with_response = true,
    };
    struct attempt_row *rows = arena_calloc(view->arena, RECEIPTS_MAX, sizeof *rows);
    if (rows == NULL) {
        return api_no_memory(diag);
    }
    enum ph_error error = attempt_page(view->store, &query, view->arena, diag, rows, &end);
    if (error != PH_OK) {
        return error;
    }
    struct buf body = body_of(view, event);
    struct api_answer answer;
    api_answer_init(&answer);
    dbt_answer_begin(&answer.out);
    json_out_begin_array(&answer.out);
    for (size_t index = 0; index < end.count; index++) {
        write_receipt(view, event, &rows[index], buf_slice(&body), &answer.out);
    }
    json_out_end_array(&answer.out);
    dbt_answer_end(&answer.out, 200);
    buf_done(&body);
    api_answer_send(view->call, 200, &answer);
    return PH_OK;
}

enum ph_error dbt_log_event_receipts(struct api_call *call, struct diag *diag)
{
    struct view view;
    struct dbt_log_event event;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    enum ph_error error = begin(call, &arena, diag, &view);
    if (error == PH_OK) {
        error = event_of_path(&view, diag, &event);
    }
    return error == PH_OK ? answer_receipts(&view, &event, diag) : error;
}

enum ph_error dbt_log_webhook_receipts(struct api_call *call, struct diag *diag)
{
    struct view view;
    struct dbt_log_event event;
    int64_t endpoint_id;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    enum ph_error error = begin(call, &arena, diag, &view);
    if (error == PH_OK) {
        error = event_of_path(&view, diag, &event);
    }
    if (error == PH_OK &&
        (!dbt_id_parse(call->codec, DBT_ID_SUBSCRIPTION,
                       http_param(call->request, "subscription_id"), &endpoint_id) ||
         endpoint_id != event.endpoint_id)) {
        error = dbt_not_found(diag);
    }
    return error == PH_OK ? answer_receipts(&view, &event, diag) : error;
}

enum ph_error dbt_log_receipt_get(struct api_call *call, struct diag *diag)
{
    struct view view;
    struct dbt_log_event event;
    struct attempt_row attempt;
    int64_t id;
    int64_t message_id;
    int64_t endpoint_id;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    if (!dbt_id_parse(call->codec, DBT_ID_RECEIPT, http_param(call->request, "receipt_id"), &id)) {
        return dbt_not_found(diag);
    }
    enum ph_error error = begin(call, &arena, diag, &view);
    if (error == PH_OK) {
        error = dbt_log_of_attempt(view.store, id, diag, &message_id, &endpoint_id);
    }
    if (error == PH_OK) {
        error = find_event(&view, message_id, endpoint_id, diag, &event);
    }
    if (error == PH_OK) {
        error = attempt_find(view.store, message_id, id, &arena, diag, &attempt);
    }
    if (error == PH_OK) {
        struct buf body = body_of(&view, &event);
        struct api_answer answer;
        api_answer_init(&answer);
        dbt_answer_begin(&answer.out);
        write_receipt(&view, &event, &attempt, buf_slice(&body), &answer.out);
        dbt_answer_end(&answer.out, 200);
        buf_done(&body);
        api_answer_send(call, 200, &answer);
    }
    return error;
}
