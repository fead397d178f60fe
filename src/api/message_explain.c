/* SPDX-License-Identifier: Apache-2.0 */
/* Explain: for each endpoint of the application, why it got the message or did not. */
#include "api/attempt.h"
#include "api/explain.h"
#include "api/message.h"
#include "base/clock.h"
#include "core/scan.h"
#include "flow/endpoint_options.h"

#define WORDS_MAX 16384
#define CHANNELS_MAX 16

struct explain_call {
    struct api_call *call;
    struct message_row message;
    struct slice channels[CHANNELS_MAX]; /* decoded */
    size_t channel_count;
    int64_t now_us;
};

/* --- reading ---------------------------------------------------------------------------------- */

/* `endpoint_id` of the query narrows the page to one, a deleted one too. */
static enum ph_error read_endpoint(struct api_call *call, struct store *store, struct diag *diag,
                                   struct explain_query *query)
{
    struct slice name = http_query(call->request, "endpoint_id", 0);
    if (name.ptr == NULL) {
        return PH_OK;
    }
    int64_t id;
    enum ph_error error =
        endpoint_resolve(store, query->application_id, name, ENDPOINT_WITH_DELETED, diag, &id);
    if (error == PH_OK) {
        query->page.lower = id - 1 > query->page.lower ? id - 1 : query->page.lower;
        query->page.upper = id + 1 < query->page.upper ? id + 1 : query->page.upper;
        query->with_all_deleted = true;
    }
    return error;
}

static enum ph_error read_message(struct explain_call *explain_call, struct store *store,
                                  struct diag *diag, struct explain_query *query)
{
    struct api_call *call = explain_call->call;
    enum ph_error error = api_path_application(call, store, diag, &query->application_id);
    if (error == PH_OK) {
        error = message_path_id(call, store, query->application_id, diag, &query->message_id);
    }
    if (error == PH_OK) {
        error = message_find(store, query->application_id, query->message_id, call->arena, diag,
                             &explain_call->message);
    }
    if (error != PH_OK || explain_call->message.channels.ptr == NULL) {
        return error;
    }
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    scan_cursor_init(&cursor, explain_call->message.channels);
    while (explain_call->channel_count < CHANNELS_MAX &&
           scan_next_element(&cursor, &type, &value)) {
        error = scan_string(value, call->arena, diag,
                            &explain_call->channels[explain_call->channel_count++]);
        if (error != PH_OK) {
            return error;
        }
    }
    return PH_OK;
}

static enum ph_error find_facts(const struct explain_call *explain_call,
                                const struct explain_row *row, struct diag *diag,
                                struct explain_facts *ret_facts)
{
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    struct endpoint_options options;
    struct explain_facts facts = {
        .row = row,
        .message = &explain_call->message,
        .hold = holds_get(flow_holds(explain_call->call->api->flow), row->endpoint.id),
        .now_us = explain_call->now_us,
    };
    const struct endpoint_names names = {row->endpoint.id, row->endpoint.event_types,
                                         row->endpoint.channels};
    enum ph_error error =
        endpoint_match(&names, explain_call->message.event_type, explain_call->channels,
                       explain_call->channel_count, diag, &facts.match);
    if (error == PH_OK) {
        error = endpoint_options_read(row->endpoint.options, &arena, diag, &options);
    }
    if (error == PH_OK) {
        facts.has_filter = options.filter.ptr != NULL;
        facts.has_transform = options.transform.ptr != NULL && !options.is_transform_off;
        *ret_facts = facts;
    }
    return error;
}

/* --- the answer ------------------------------------------------------------------------------- */

static void write_message(struct json_out *out, const struct id_codec *codec,
                          const struct message_row *message)
{
    char id[ID_TEXT_MAX];
    size_t length = id_format(codec, ID_MESSAGE, message->id, id);
    json_out_member_string(out, "messageId", (struct slice){id, length});
    json_out_member_string(out, "eventType", message->event_type);
    json_out_member_raw(out, "channels",
                        message->channels.ptr == NULL ? SLICE_LITERAL("null") : message->channels);
    json_out_member_time(out, "timestamp", id_time_us(message->id));
}

static void write_latest(struct json_out *out, const struct id_codec *codec,
                         const struct explain_attempt *latest)
{
    json_out_key(out, "lastAttempt");
    if (latest->id == 0) {
        json_out_null(out);
        return;
    }
    char id[ID_TEXT_MAX];
    (void)id_format(codec, ID_ATTEMPT, latest->id, id);
    json_out_begin_object(out);
    json_out_member_text(out, "id", id);
    json_out_member_time(out, "timestamp", id_time_us(latest->id));
    attempt_write_status(out, latest->is_success ? ATTEMPT_STATUS_SUCCESS : ATTEMPT_STATUS_FAIL);
    json_out_member_int(out, "responseStatusCode", latest->response_code);
    json_out_member_int(out, "triggerType", latest->is_manual ? 1 : 0);
    json_out_key(out, "response");
    attempt_write_cut_response(out, latest->response, EXPLAIN_RESPONSE_BYTES);
    json_out_end_object(out);
}

static void write_endpoint(struct json_out *out, const struct id_codec *codec,
                           const struct explain_endpoint *endpoint)
{
    char id[ID_TEXT_MAX];
    (void)id_format(codec, ID_ENDPOINT, endpoint->id, id);
    json_out_member_text(out, "endpointId", id);
    json_out_member_string(out, "endpointUid", endpoint->uid);
    json_out_member_string(out, "endpointUrl", endpoint->url);
    json_out_member_bool(out, "endpointDeleted", endpoint->is_deleted);
}

static void write_row(struct json_out *out, const struct id_codec *codec,
                      const struct explain_facts *facts)
{
    const struct explain_row *row = facts->row;
    const struct explanation explanation = explain(facts);
    BUF_AUTO struct buf words;
    buf_init(&words, WORDS_MAX);
    explain_append_words(facts, &explanation, codec, &words);
    json_out_begin_object(out);
    write_endpoint(out, codec, &row->endpoint);
    json_out_member_text(out, "decision", explain_decision_name(explanation.decision));
    json_out_member_string(out, "reason", slice_of(explain_reason_name(explanation.reason)));
    json_out_member_string(out, "detail", buf_slice(&words));
    json_out_member_bool(out, "changedSince", explanation.is_changed_since);
    json_out_member_int(out, "attempts", row->attempts);
    json_out_member_int(out, "resends", row->resends);
    bool has_next = explanation.decision == EXPLAIN_PENDING &&
                    explanation.reason != EXPLAIN_ORDER && row->delivery.exists;
    if (has_next) {
        json_out_member_time(out, "nextAttempt", row->delivery.next_attempt_at_us);
    } else {
        json_out_member_null(out, "nextAttempt");
    }
    if (explanation.reason == EXPLAIN_ORDER && row->delivery.waits_for_id != 0) {
        char first[ID_TEXT_MAX];
        (void)id_format(codec, ID_MESSAGE, row->delivery.waits_for_id, first);
        json_out_member_text(out, "waitsFor", first);
    } else {
        json_out_member_null(out, "waitsFor");
    }
    write_latest(out, codec, &row->latest);
    json_out_end_object(out);
}

static enum ph_error answer(const struct explain_call *explain_call,
                            const struct explain_query *query, struct explain_row *rows,
                            const struct list_end *end, struct diag *diag)
{
    struct api_call *call = explain_call->call;
    struct api_answer text;
    paging_arrange(&query->page, rows, sizeof rows[0], end->count);
    api_answer_init(&text);
    json_out_begin_object(&text.out);
    write_message(&text.out, call->codec, &explain_call->message);
    json_out_key(&text.out, "data");
    json_out_begin_array(&text.out);
    for (size_t index = 0; index < end->count; index++) {
        struct explain_facts facts;
        enum ph_error error = find_facts(explain_call, &rows[index], diag, &facts);
        if (error != PH_OK) {
            buf_done(&text.body);
            return error;
        }
        write_row(&text.out, call->codec, &facts);
    }
    bool is_empty = end->count == 0;
    struct page_ends ends = message_page_ends(&query->page, end, is_empty ? 0 : rows[0].endpoint.id,
                                              is_empty ? 0 : rows[end->count - 1].endpoint.id);
    paging_end_id_list(&text.out, call->codec, ID_ENDPOINT, ends.first, ends.last, !end->has_more);
    api_answer_send(call, 200, &text);
    return PH_OK;
}

enum ph_error api_message_explain(struct api_call *call, struct diag *diag)
{
    struct explain_call explain_call = {.call = call, .now_us = clock_wall_us()};
    struct explain_query query = {0};
    struct store *store;
    enum ph_error error =
        paging_read(call->request, call->codec, ID_ENDPOINT, false, diag, &query.page);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = read_message(&explain_call, store, diag, &query);
    }
    if (error == PH_OK) {
        error = read_endpoint(call, store, diag, &query);
    }
    if (error != PH_OK) {
        return error;
    }
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    struct explain_row *rows = arena_calloc(call->arena, query.page.limit, sizeof *rows);
    if (rows == NULL) {
        return api_no_memory(diag);
    }
    struct list_end end;
    error = explain_page(store, &query, &arena, diag, rows, &end);
    return error == PH_OK ? answer(&explain_call, &query, rows, &end, diag) : error;
}
