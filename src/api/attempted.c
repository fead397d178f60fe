/* SPDX-License-Identifier: Apache-2.0 */
/* Attempted messages of an endpoint, attempted destinations of a message (svix-api spec section
 * 10). How a status comes about is drawn in store/attempt_list.h. */
#include "api/attempt.h"
#include "api/message.h"
#include "base/clock.h"

/* --- messages of an endpoint ------------------------------------------------------------------ */

struct status_filter {
    int64_t status; /* or ATTEMPT_ANY_STATUS */
    bool is_expanded;
};

static bool has_status(const void *context, const struct delivery_view *view)
{
    const struct status_filter *filter = context;
    return filter->status == ATTEMPT_ANY_STATUS ||
           (int64_t)attempt_status_of(view, filter->is_expanded) == filter->status;
}

/* `next_attempt_at` means something while the delivery is pending. */
static bool has_next_attempt(const struct delivery_view *view)
{
    return view->has_delivery && view->state == DELIVERY_PENDING && view->next_attempt_at_us != 0;
}

static enum ph_error read_query(struct api_call *call, struct diag *diag,
                                struct status_filter *ret_status, struct attempted_query *ret_query)
{
    struct http_request *request = call->request;
    enum ph_error error = message_query_read(call, diag, &ret_query->messages);
    if (error == PH_OK) {
        error = query_int(request, "status", 0, ATTEMPT_STATUS_COUNT - 1, ATTEMPT_ANY_STATUS, diag,
                          &ret_status->status);
    }
    if (error == PH_OK) {
        error = query_bool(request, "expanded_statuses", false, diag, &ret_status->is_expanded);
    }
    ret_query->is_wanted = has_status;
    ret_query->context = ret_status;
    return error;
}

static void write_message(struct json_out *out, const struct id_codec *codec,
                          const struct attempted_message *row, bool with_content, bool is_expanded)
{
    json_out_begin_object(out);
    message_write_members(out, codec, &row->message.row,
                          with_content ? row->message.payload : MESSAGE_NO_CONTENT);
    attempt_write_status(out, attempt_status_of(&row->view, is_expanded));
    if (has_next_attempt(&row->view)) {
        json_out_member_time(out, "nextAttempt", row->view.next_attempt_at_us);
    }
    json_out_end_object(out);
}

static enum ph_error answer_messages(struct api_call *call, struct store *store,
                                     const struct attempted_query *query, bool is_expanded,
                                     struct diag *diag)
{
    const struct id_page *page = &query->messages.page;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    struct attempted_message *rows = arena_calloc(call->arena, page->limit, sizeof *rows);
    if (rows == NULL) {
        return api_no_memory(diag);
    }
    struct list_end end;
    enum ph_error error = attempted_message_page(store, query, &arena, diag, rows, &end);
    if (error != PH_OK) {
        return error;
    }
    paging_arrange(page, rows, sizeof rows[0], end.count);
    struct api_answer answer;
    api_answer_init(&answer);
    paging_begin_list(&answer.out);
    for (size_t index = 0; index < end.count; index++) {
        write_message(&answer.out, call->codec, &rows[index], query->messages.with_payload,
                      is_expanded);
    }
    bool is_empty = end.count == 0;
    struct page_ends ends = message_page_ends(page, &end, is_empty ? 0 : rows[0].message.row.id,
                                              is_empty ? 0 : rows[end.count - 1].message.row.id);
    paging_end_id_list(&answer.out, call->codec, ID_MESSAGE, ends.first, ends.last, !end.has_more);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

enum ph_error api_attempted_messages(struct api_call *call, struct diag *diag)
{
    struct status_filter status;
    struct attempted_query query = {0};
    struct store *store;
    enum ph_error error = read_query(call, diag, &status, &query);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = api_path_endpoint(call, store, ENDPOINT_WITH_DELETED, diag,
                                  &query.messages.application_id, &query.endpoint_id);
    }
    return error == PH_OK ? answer_messages(call, store, &query, status.is_expanded, diag) : error;
}

/* --- destinations of a message ---------------------------------------------------------------- */

static void write_endpoint(struct json_out *out, const struct id_codec *codec,
                           const struct attempted_endpoint *row)
{
    char id[ID_TEXT_MAX];
    (void)id_format(codec, ID_ENDPOINT, row->endpoint.id, id);
    json_out_begin_object(out);
    json_out_member_text(out, "id", id);
    endpoint_write_common(out, &row->endpoint);
    attempt_write_status(out, attempt_status_of(&row->view, false));
    if (has_next_attempt(&row->view)) {
        json_out_member_time(out, "nextAttempt", row->view.next_attempt_at_us);
    } else {
        json_out_member_null(out, "nextAttempt");
    }
    json_out_end_object(out);
}

static enum ph_error answer_endpoints(struct api_call *call, struct store *store,
                                      int64_t message_id, const struct id_page *page,
                                      struct diag *diag)
{
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    struct attempted_endpoint *rows = arena_calloc(call->arena, page->limit, sizeof *rows);
    if (rows == NULL) {
        return api_no_memory(diag);
    }
    struct list_end end;
    enum ph_error error =
        attempted_endpoint_page(store, message_id, page, &arena, diag, rows, &end);
    if (error != PH_OK) {
        return error;
    }
    paging_arrange(page, rows, sizeof rows[0], end.count);
    struct api_answer answer;
    api_answer_init(&answer);
    paging_begin_list(&answer.out);
    for (size_t index = 0; index < end.count; index++) {
        write_endpoint(&answer.out, call->codec, &rows[index]);
    }
    bool is_empty = end.count == 0;
    paging_end_id_list(&answer.out, call->codec, ID_ENDPOINT, is_empty ? 0 : rows[0].endpoint.id,
                       is_empty ? 0 : rows[end.count - 1].endpoint.id, !end.has_more);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

enum ph_error api_attempted_endpoints(struct api_call *call, struct diag *diag)
{
    struct id_page page;
    struct store *store;
    int64_t application_id;
    int64_t message_id;
    enum ph_error error = paging_read(call->request, call->codec, ID_ENDPOINT, false, diag, &page);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = message_path_resolve(call, store, diag, &application_id, &message_id);
    }
    return error == PH_OK ? answer_endpoints(call, store, message_id, &page, diag) : error;
}
