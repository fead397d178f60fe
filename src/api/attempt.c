/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts: lists by endpoint and by message, get, expunge (svix-api spec section 10). */
#include "api/attempt.h"

#include "api/message.h"
#include "base/clock.h"

/* Attempts are successes or failures: nothing of theirs is expanded. */
static enum ph_error check_expanded_statuses(struct http_request *request, struct diag *diag)
{
    bool ignored;
    return query_bool(request, "expanded_statuses", false, diag, &ignored);
}

static enum ph_error read_query(struct api_call *call, struct diag *diag,
                                struct attempt_query *ret_query)
{
    struct http_request *request = call->request;
    struct attempt_query query = {0};
    enum ph_error error =
        paging_read_timed(request, call->codec, ID_ATTEMPT, clock_wall_us(), diag, &query.page);
    if (error == PH_OK) {
        error = message_filter_read(request, diag, &query.filter.message);
    }
    if (error == PH_OK) {
        error = query_int(request, "status", 0, ATTEMPT_STATUS_COUNT - 1, ATTEMPT_ANY_STATUS, diag,
                          &query.filter.status);
    }
    if (error == PH_OK) {
        error = query_int(request, "status_code_class", 0, 500, ATTEMPT_ANY_CLASS, diag,
                          &query.filter.code_class);
    }
    if (error == PH_OK && query.filter.code_class > 0 && query.filter.code_class % 100 != 0) {
        error = diag_set(diag, PH_BAD_REQUEST, NULL,
                         "Invalid query parameter `status_code_class`: expected 0, 100, 200, 300,"
                         " 400 or 500");
    }
    if (error == PH_OK) {
        error = query_bool(request, "with_content", true, diag, &query.with_response);
    }
    if (error == PH_OK) {
        error = query_bool(request, "with_msg", false, diag, &query.with_message);
    }
    if (error == PH_OK) {
        error = check_expanded_statuses(request, diag);
    }
    if (error == PH_OK) {
        *ret_query = query;
    }
    return error;
}

void attempt_write_members(struct json_out *out, const struct id_codec *codec,
                           const struct attempt_row *row, bool with_content)
{
    char id[ID_TEXT_MAX];
    char message_id[ID_TEXT_MAX];
    char endpoint_id[ID_TEXT_MAX];
    (void)id_format(codec, ID_ATTEMPT, row->id, id);
    (void)id_format(codec, ID_MESSAGE, row->message_id, message_id);
    (void)id_format(codec, ID_ENDPOINT, row->endpoint_id, endpoint_id);
    json_out_member_text(out, "id", id);
    json_out_member_string(out, "url", row->url);
    json_out_key(out, "response");
    if (with_content) {
        attempt_write_response(out, row->response);
    } else {
        json_out_string(out, SLICE_LITERAL("{}"));
    }
    json_out_member_int(out, "responseStatusCode", row->response_code);
    json_out_member_int(out, "responseDurationMs", row->duration_ms);
    attempt_write_status(out, row->status == ATTEMPT_SUCCESS ? ATTEMPT_STATUS_SUCCESS
                                                             : ATTEMPT_STATUS_FAIL);
    json_out_member_int(out, "triggerType", row->is_manual ? 1 : 0);
    json_out_member_text(out, "msgId", message_id);
    json_out_member_text(out, "endpointId", endpoint_id);
    json_out_member_time(out, "timestamp", id_time_us(row->id));
    if (row->message.id != 0) {
        /* Never with the payload, whatever with_content says. */
        json_out_key(out, "msg");
        json_out_begin_object(out);
        message_write_members(out, codec, &row->message, MESSAGE_NO_CONTENT);
        json_out_end_object(out);
    }
}

static void write_attempt(struct json_out *out, const struct id_codec *codec,
                          const struct attempt_row *row, bool with_content)
{
    json_out_begin_object(out);
    attempt_write_members(out, codec, row, with_content);
    json_out_end_object(out);
}

static enum ph_error answer_list(struct api_call *call, struct store *store,
                                 const struct attempt_query *query, struct diag *diag)
{
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    struct attempt_row *rows = arena_calloc(call->arena, query->page.limit, sizeof *rows);
    if (rows == NULL) {
        return api_no_memory(diag);
    }
    struct list_end end;
    enum ph_error error = attempt_page(store, query, &arena, diag, rows, &end);
    if (error != PH_OK) {
        return error;
    }
    paging_arrange(&query->page, rows, sizeof rows[0], end.count);
    struct api_answer answer;
    api_answer_init(&answer);
    paging_begin_list(&answer.out);
    for (size_t index = 0; index < end.count; index++) {
        write_attempt(&answer.out, call->codec, &rows[index], query->with_response);
    }
    bool is_empty = end.count == 0;
    struct page_ends ends = message_page_ends(&query->page, &end, is_empty ? 0 : rows[0].id,
                                              is_empty ? 0 : rows[end.count - 1].id);
    paging_end_id_list(&answer.out, call->codec, ID_ATTEMPT, ends.first, ends.last, !end.has_more);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

/* --- lists ------------------------------------------------------------------------------------ */

enum ph_error api_attempt_list_by_endpoint(struct api_call *call, struct diag *diag)
{
    struct attempt_query query;
    struct store *store;
    enum ph_error error = read_query(call, diag, &query);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = api_path_endpoint(call, store, ENDPOINT_WITH_DELETED, diag, &query.application_id,
                                  &query.filter.endpoint_id);
    }
    return error == PH_OK ? answer_list(call, store, &query, diag) : error;
}

/* A message's attempts; `endpoint` is an id or uid, SLICE_NONE = of all endpoints. */
static enum ph_error list_by_message(struct api_call *call, struct slice endpoint,
                                     struct diag *diag)
{
    struct attempt_query query;
    struct store *store;
    enum ph_error error = read_query(call, diag, &query);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = message_path_resolve(call, store, diag, &query.application_id,
                                     &query.filter.message_id);
    }
    if (error == PH_OK && endpoint.ptr != NULL) {
        error = endpoint_resolve(store, query.application_id, endpoint, ENDPOINT_WITH_DELETED, diag,
                                 &query.filter.endpoint_id);
    }
    return error == PH_OK ? answer_list(call, store, &query, diag) : error;
}

enum ph_error api_attempt_list_by_message(struct api_call *call, struct diag *diag)
{
    return list_by_message(call, http_query(call->request, "endpoint_id", 0), diag);
}

enum ph_error api_attempt_list_of_message(struct api_call *call, struct diag *diag)
{
    return api_attempt_list_by_message(call, diag);
}

enum ph_error api_attempt_list_of_delivery(struct api_call *call, struct diag *diag)
{
    return list_by_message(call, http_param(call->request, "endpoint_id"), diag);
}

/* --- one attempt ------------------------------------------------------------------------------ */

static enum ph_error path_attempt(struct api_call *call, struct store *store, struct diag *diag,
                                  int64_t *ret_message_id, int64_t *ret_attempt_id)
{
    int64_t application_id;
    enum ph_error error = message_path_resolve(call, store, diag, &application_id, ret_message_id);
    if (error == PH_OK && !id_parse(call->codec, ID_ATTEMPT,
                                    http_param(call->request, "attempt_id"), ret_attempt_id)) {
        error = diag_set(diag, PH_NOT_FOUND, NULL, "Entity not found");
    }
    return error;
}

enum ph_error api_attempt_get(struct api_call *call, struct diag *diag)
{
    struct store *store;
    int64_t message_id;
    int64_t attempt_id;
    struct attempt_row row;
    enum ph_error error = check_expanded_statuses(call->request, diag);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = path_attempt(call, store, diag, &message_id, &attempt_id);
    }
    if (error == PH_OK) {
        error = attempt_find(store, message_id, attempt_id, call->arena, diag, &row);
    }
    if (error != PH_OK) {
        return error;
    }
    struct api_answer answer;
    api_answer_init(&answer);
    write_attempt(&answer.out, call->codec, &row, true);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

static enum ph_error run_expunge(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    int64_t message_id;
    int64_t attempt_id;
    enum ph_error error = path_attempt(job->call, txn->store, diag, &message_id, &attempt_id);
    if (error == PH_OK) {
        error = attempt_expunge(txn->store, message_id, attempt_id, diag);
    }
    job->status = 204;
    return error;
}

enum ph_error api_attempt_expunge(struct api_call *call, struct diag *diag)
{
    struct api_job *job = api_job_new(call, sizeof *job, diag);
    return job == NULL ? PH_NO_MEMORY : api_submit(call, job, run_expunge, diag);
}
