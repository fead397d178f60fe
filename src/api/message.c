/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: list, get, expunge (svix-api spec section 9). */
#include "api/message.h"

#include "base/clock.h"

/* --- shared ----------------------------------------------------------------------------------- */

enum ph_error message_resolve(struct api_call *call, struct store *store, int64_t application_id,
                              struct slice text, struct diag *diag, int64_t *ret_message_id)
{
    if (!id_has_prefix(ID_MESSAGE, text)) {
        return message_find_by_event_id(store, application_id, text, diag, ret_message_id);
    }
    if (!id_parse(call->codec, ID_MESSAGE, text, ret_message_id)) {
        return diag_set(diag, PH_NOT_FOUND, NULL, "Entity not found");
    }
    return PH_OK;
}

enum ph_error message_path_id(struct api_call *call, struct store *store, int64_t application_id,
                              struct diag *diag, int64_t *ret_message_id)
{
    return message_resolve(call, store, application_id, http_param(call->request, "msg_id"), diag,
                           ret_message_id);
}

enum ph_error message_path_resolve(struct api_call *call, struct store *store, struct diag *diag,
                                   int64_t *ret_application_id, int64_t *ret_message_id)
{
    enum ph_error error = api_path_application(call, store, diag, ret_application_id);
    if (error == PH_OK) {
        error = message_path_id(call, store, *ret_application_id, diag, ret_message_id);
    }
    if (error == PH_OK) {
        struct message_row row;
        error = message_find(store, *ret_application_id, *ret_message_id, call->arena, diag, &row);
    }
    return error;
}

void message_write_members(struct json_out *out, const struct id_codec *codec,
                           const struct message_row *row, struct slice payload)
{
    char id[ID_TEXT_MAX];
    size_t id_length = id_format(codec, ID_MESSAGE, row->id, id);
    json_out_member_string(out, "eventId", row->event_id);
    json_out_member_string(out, "eventType", row->event_type);
    json_out_member_raw(out, "payload",
                        payload.ptr == NULL ? SLICE_LITERAL("{\"expired\":true}") : payload);
    json_out_member_raw(out, "channels",
                        row->channels.ptr == NULL ? SLICE_LITERAL("null") : row->channels);
    json_out_member_string(out, "id", (struct slice){id, id_length});
    json_out_member_time(out, "timestamp", id_time_us(row->id));
    if (row->tags.ptr != NULL) {
        json_out_member_raw(out, "tags", row->tags);
    }
    if (row->deliver_at_us != 0) {
        json_out_member_time(out, "deliverAt", row->deliver_at_us);
    }
}

enum ph_error message_filter_read(struct http_request *request, struct diag *diag,
                                  struct message_filter *ret_filter)
{
    struct message_filter filter = {
        .channel = http_query(request, "channel", 0),
        .tag = http_query(request, "tag", 0),
    };
    struct slice *event_types;
    enum ph_error error = query_strings(request, "event_types", LIST_EVENT_TYPES_MAX, diag,
                                        &event_types, &filter.event_type_count);
    if (error == PH_OK) {
        filter.event_types = event_types;
        *ret_filter = filter;
    }
    return error;
}

struct page_ends message_page_ends(const struct id_page *page, const struct list_end *end,
                                   int64_t first, int64_t last)
{
    struct page_ends ends = {first, last};
    if (end->last_examined_id != 0) {
        *(page->is_reversed ? &ends.first : &ends.last) = end->last_examined_id;
    }
    return ends;
}

/* --- operations ------------------------------------------------------------------------------- */

static void answer_list(struct api_call *call, const struct message_query *query,
                        struct message_item *items, const struct list_end *end)
{
    paging_arrange(&query->page, items, sizeof items[0], end->count);
    struct api_answer answer;
    api_answer_init(&answer);
    paging_begin_list(&answer.out);
    for (size_t index = 0; index < end->count; index++) {
        json_out_begin_object(&answer.out);
        message_write_members(&answer.out, call->codec, &items[index].row,
                              query->with_payload ? items[index].payload : MESSAGE_NO_CONTENT);
        json_out_end_object(&answer.out);
    }
    bool is_empty = end->count == 0;
    struct page_ends ends = message_page_ends(&query->page, end, is_empty ? 0 : items[0].row.id,
                                              is_empty ? 0 : items[end->count - 1].row.id);
    paging_end_id_list(&answer.out, call->codec, ID_MESSAGE, ends.first, ends.last, !end->has_more);
    api_answer_send(call, 200, &answer);
}

enum ph_error message_query_read(struct api_call *call, struct diag *diag,
                                 struct message_query *ret_query)
{
    struct http_request *request = call->request;
    struct message_query query = {.now_us = clock_wall_us()};
    enum ph_error error =
        paging_read_timed(request, call->codec, ID_MESSAGE, query.now_us, diag, &query.page);
    if (error == PH_OK) {
        error = message_filter_read(request, diag, &query.filter);
    }
    if (error == PH_OK) {
        error = query_bool(request, "with_content", true, diag, &query.with_payload);
    }
    if (error == PH_OK) {
        *ret_query = query;
    }
    return error;
}

enum ph_error api_message_list(struct api_call *call, struct diag *diag)
{
    struct message_query query;
    struct store *store;
    enum ph_error error = message_query_read(call, diag, &query);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = api_path_application(call, store, diag, &query.application_id);
    }
    if (error != PH_OK) {
        return error;
    }
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    struct message_item *items = arena_calloc(call->arena, query.page.limit, sizeof *items);
    if (items == NULL) {
        return api_no_memory(diag);
    }
    struct list_end end;
    error = message_page(store, &query, &arena, diag, items, &end);
    if (error == PH_OK) {
        answer_list(call, &query, items, &end);
    }
    return error;
}

enum ph_error api_message_get(struct api_call *call, struct diag *diag)
{
    struct message_query query = {.now_us = clock_wall_us()};
    struct store *store;
    int64_t message_id;
    struct message_item item;
    enum ph_error error =
        query_bool(call->request, "with_content", true, diag, &query.with_payload);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = api_path_application(call, store, diag, &query.application_id);
    }
    if (error == PH_OK) {
        error = message_path_id(call, store, query.application_id, diag, &message_id);
    }
    if (error == PH_OK) {
        error = message_item_find(store, &query, message_id, call->arena, diag, &item);
    }
    if (error != PH_OK) {
        return error;
    }
    struct api_answer answer;
    api_answer_init(&answer);
    json_out_begin_object(&answer.out);
    message_write_members(&answer.out, call->codec, &item.row,
                          query.with_payload ? item.payload : MESSAGE_NO_CONTENT);
    json_out_end_object(&answer.out);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

/* What receivers get, to the byte, as a text. */
enum ph_error api_message_raw(struct api_call *call, struct diag *diag)
{
    struct store *store;
    int64_t application_id;
    int64_t message_id;
    struct message_row row;
    struct slice sent;
    struct slice trace;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = api_path_application(call, store, diag, &application_id);
    }
    if (error == PH_OK) {
        error = message_path_id(call, store, application_id, diag, &message_id);
    }
    if (error == PH_OK) {
        error = message_find(store, application_id, message_id, call->arena, diag, &row);
    }
    if (error == PH_OK && row.payload_expires_at_us <= clock_wall_us()) {
        error = diag_set(diag, PH_NOT_FOUND, NULL, "the payload has expired or was expunged");
    }
    if (error == PH_OK) {
        error = message_sent(store, message_id, call->arena, diag, &sent, &trace);
    }
    if (error != PH_OK) {
        return error;
    }
    struct api_answer answer;
    api_answer_init(&answer);
    json_out_begin_object(&answer.out);
    json_out_member_string(&answer.out, "payload", sent);
    json_out_end_object(&answer.out);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

static enum ph_error run_expunge(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    int64_t application_id;
    int64_t message_id;
    enum ph_error error =
        message_path_resolve(job->call, txn->store, diag, &application_id, &message_id);
    if (error != PH_OK) {
        return error;
    }
    job->status = 204;
    bool was_pending = false;
    error = message_expunge(txn->store, message_id, txn->now_us, diag, &was_pending);
    if (error == PH_NOT_FOUND) {
        return PH_OK; /* gone before: what was asked for holds */
    }
    if (error == PH_OK && was_pending) {
        writer_txn_message_expunged(txn, message_id);
    }
    return error;
}

enum ph_error api_message_expunge(struct api_call *call, struct diag *diag)
{
    struct api_job *job = api_job_new(call, sizeof *job, diag);
    return job == NULL ? PH_NO_MEMORY : api_submit(call, job, run_expunge, diag);
}
