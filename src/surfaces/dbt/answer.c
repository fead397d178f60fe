/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes of answers and errors, and paging (dbt spec section 1). */
#include "surfaces/dbt/dbt_int.h"

#define ERROR_BODY_MAX ((size_t)16 * 1024)
#define FIELD_DEPTH_MAX 8

/* --- answers ---------------------------------------------------------------------------------- */

void dbt_answer_begin(struct json_out *out)
{
    json_out_begin_object(out);
    json_out_key(out, "data");
}

static void end(struct json_out *out, int status, bool with_success)
{
    json_out_key(out, "status");
    json_out_begin_object(out);
    json_out_member_int(out, "code", status);
    if (with_success) {
        json_out_member_bool(out, "is_success", true);
    }
    json_out_end_object(out);
}

void dbt_answer_end(struct json_out *out, int status)
{
    end(out, status, false);
    json_out_end_object(out);
}

void dbt_answer_end_success(struct json_out *out, int status)
{
    end(out, status, true);
    json_out_end_object(out);
}

void dbt_answer_end_list(struct json_out *out, const struct dbt_page *page, size_t count,
                         int64_t total)
{
    end(out, 200, false);
    json_out_key(out, "extra");
    json_out_begin_object(out);
    json_out_key(out, "pagination");
    json_out_begin_object(out);
    json_out_member_int(out, "total_count", total);
    json_out_member_int(out, "count", (int64_t)count);
    json_out_end_object(out);
    json_out_key(out, "filters");
    json_out_begin_object(out);
    json_out_member_int(out, "offset", page->offset);
    json_out_member_int(out, "limit", page->limit);
    json_out_end_object(out);
    json_out_end_object(out);
    json_out_end_object(out);
}

/* --- paging ----------------------------------------------------------------------------------- */

static enum ph_error read_number(struct http_request *request, const char *name, int64_t minimum,
                                 int64_t maximum, struct diag *diag, int64_t *number)
{
    struct slice text = http_query(request, name, 0);
    if (text.ptr == NULL) {
        return PH_OK;
    }
    if (!slice_to_int64(text, number) || *number < minimum) {
        return diag_set(diag, PH_BAD_REQUEST, name, "expected an integer of at least %lld",
                        (long long)minimum);
    }
    *number = *number > maximum ? maximum : *number;
    return PH_OK;
}

enum ph_error dbt_page_read(struct http_request *request, int64_t limit, struct diag *diag,
                            struct dbt_page *ret_page)
{
    *ret_page = (struct dbt_page){.limit = limit};
    enum ph_error error =
        read_number(request, "limit", 1, DBT_PAGE_LIMIT_MAX, diag, &ret_page->limit);
    return error != PH_OK
               ? error
               : read_number(request, "offset", 0, DBT_PAGE_OFFSET_MAX, diag, &ret_page->offset);
}

/* --- errors ----------------------------------------------------------------------------------- */

static const struct {
    int status;
    const char *user_message;
} messages[] = {
    {400, "The request was invalid. Please double check the provided data and try again."},
    {401, "Invalid token."},
    {403, "Forbidden: Access denied"},
    {404, "The requested resource was not found. Please check that you have the proper "
          "permissions."},
    {405, "The method is not allowed here."},
    {409, "The request conflicts with the state of the resource."},
    {413, "The request is too large."},
    {501, "This is not available here."},
    {503, "The service is busy. Please try again."},
    {507, "The service has no space left. Please try again later."},
};

static const char *message_of(int status)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(messages); index++) {
        if (messages[index].status == status) {
            return messages[index].user_message;
        }
    }
    return status < 500 ? messages[0].user_message : "Internal server error.";
}

enum ph_error dbt_not_found(struct diag *diag)
{
    return diag_set(diag, PH_NOT_FOUND, NULL, "no such resource");
}

void dbt_respond_not_found(struct http_request *request)
{
    struct diag diag;
    diag_set(&diag, PH_NOT_FOUND, NULL, "no such path");
    dbt_respond_error(request, &diag);
}

/* `{"name":"required key not provided"}`, nested as the request is. */
static void write_field(struct json_out *out, const struct diag *diag)
{
    struct slice rest = slice_of(diag->field);
    struct slice part;
    size_t depth = 0;
    if (slice_starts_with(rest, "body.")) {
        rest = (struct slice){rest.ptr + 5, rest.len - 5};
    }
    /* The place in a list ("event_types.[0]") is not told. */
    while (depth < FIELD_DEPTH_MAX && slice_next(&rest, '.', &part) &&
           !slice_starts_with(part, "[")) {
        char key[sizeof diag->field];
        (void)snprintf(key, sizeof key, "%.*s", SLICE_ARG(part));
        json_out_begin_object(out);
        json_out_key(out, key);
        depth++;
    }
    bool is_missing = slice_starts_with(slice_of(diag->text), "missing field ");
    json_out_string(out,
                    is_missing ? SLICE_LITERAL("required key not provided") : slice_of(diag->text));
    while (depth-- > 0) {
        json_out_end_object(out);
    }
}

/* Who was refused, as the original says it. */
static void write_refused(struct json_out *out, const struct dbt_caller *caller)
{
    json_out_begin_object(out);
    json_out_member_int(out, "account_id", caller->token_account);
    json_out_key(out, "user_id");
    if (caller->user_id == 0) {
        json_out_null(out);
    } else {
        json_out_int(out, caller->user_id);
    }
    json_out_member_bool(out, "is_service_token", caller->is_service);
    json_out_end_object(out);
}

/* A whole body that is no JSON object has no field to hang the words on. */
static bool has_field(const struct diag *diag)
{
    return diag->field[0] != '\0' && strcmp(diag->field, "body") != 0;
}

static void write_data(struct json_out *out, int status, const struct dbt_caller *caller,
                       const struct diag *diag)
{
    json_out_key(out, "data");
    if (status == 400 && has_field(diag)) {
        write_field(out, diag);
    } else if (status == 403 && caller != NULL) {
        write_refused(out, caller);
    } else {
        json_out_null(out);
    }
}

/* Words for developers: of what the client can mend, and is not said in `data`. */
static void write_developer(struct json_out *out, int status, const struct diag *diag)
{
    json_out_key(out, "developer_message");
    bool is_plain = status == 401 || status == 403 || status == 404;
    if (status < 500 && !is_plain) {
        json_out_string(out, has_field(diag) && status == 400 ? SLICE_LITERAL("")
                                                              : slice_of(diag->text));
    } else {
        json_out_null(out);
    }
}

static void respond(struct http_request *request, int status, const struct diag *diag)
{
    struct buf body;
    struct json_out out;
    buf_init(&body, ERROR_BODY_MAX);
    json_out_init(&out, &body);
    json_out_begin_object(&out);
    json_out_key(&out, "status");
    json_out_begin_object(&out);
    json_out_member_int(&out, "code", status);
    json_out_member_bool(&out, "is_success", false);
    json_out_member_text(&out, "user_message", message_of(status));
    write_developer(&out, status, diag);
    json_out_end_object(&out);
    write_data(&out, status, http_user(request), diag);
    json_out_end_object(&out);
    json_out_end_document(&out);
    if (status == 503 || status == 507) {
        http_add_header(request, "Retry-After", "1");
    }
    http_respond_json(request, status, &body);
}

void dbt_respond_error(struct http_request *request, const struct diag *diag)
{
    int status = ph_error_http_status(diag->error);
    if (status >= 500) {
        http_note_error(request, diag->text);
    }
    respond(request, status == 422 ? 400 : status, diag);
}

bool dbt_refuse(struct http_request *request, int status, const char *detail)
{
    struct diag diag;
    (void)diag_set(&diag, PH_BAD_REQUEST, NULL, "%s", detail);
    respond(request, status, &diag);
    return true;
}
