/* SPDX-License-Identifier: Apache-2.0 */
/* The envelopes of error answers (API specification, section 4). */
#include "base/json_out.h"
#include "http/server_int.h"

#define ERROR_BODY_MAX_BYTES ((size_t)16 * 1024)

struct status_row {
    int status;
    const char *code;
    const char *detail;
};

/* The defaults of the API specification, section 4; 503 and 507 are ours. */
static const struct status_row status_rows[] = {
    {400, "generic_error", "Generic error"},
    {401, "authentication_failed", "Incorrect authentication credentials."},
    {403, "insufficient access", "The credentials do not allow this."},
    {404, "not_found", "Entity not found"},
    {409, "conflict", "A conflict has occurred"},
    {413, "payload_too_large", "Request payload is too large."},
    {500, "server_error", "Internal Server Error"},
    {501, "not_implemented", "This API endpoint is not yet implemented."},
    {503, "service_unavailable", "The server is busy, try again soon."},
    {507, "insufficient_storage", "No space is left for the store."},
};

static const struct status_row *status_row_of(int status)
{
    for (size_t i = 0; i < PH_ARRAY_LENGTH(status_rows); i++) {
        if (status_rows[i].status == status) {
            return &status_rows[i];
        }
    }
    return &status_rows[6];
}

static void write_envelope(struct json_out *out, const char *code, const char *detail)
{
    json_out_begin_object(out);
    json_out_member_text(out, "code", code);
    json_out_member_text(out, "detail", detail);
    json_out_end_object(out);
}

/* {"detail":[{"loc":["body","eventTypes"],"msg":"…","type":"value_error"}]} */
static void write_validation(struct json_out *out, const struct diag *diag)
{
    json_out_begin_object(out);
    json_out_key(out, "detail");
    json_out_begin_array(out);
    json_out_begin_object(out);
    json_out_key(out, "loc");
    json_out_begin_array(out);
    struct slice rest = slice_of(diag->field[0] == '\0' ? "body" : diag->field);
    struct slice part;
    char separator = slice_find(rest, DIAG_PART) < rest.len ? DIAG_PART : '.';
    while (slice_next(&rest, separator, &part)) {
        json_out_string(out, part);
    }
    json_out_end_array(out);
    json_out_member_text(out, "msg", diag->text);
    json_out_member_text(out, "type", diag->code[0] == '\0' ? "value_error" : diag->code);
    json_out_end_object(out);
    json_out_end_array(out);
    json_out_end_object(out);
}

int http_error_write(const struct diag *diag, struct json_out *out)
{
    PH_ASSERT(diag->error != PH_OK);
    int status = ph_error_http_status(diag->error);
    /* What failed inside, and where, is for the log and not for the client. */
    bool is_ours = status >= 500 && status != 501;
    if (status == 422) {
        write_validation(out, diag);
    } else if (status == 500) {
        json_out_begin_object(out);
        json_out_end_object(out);
    } else {
        const struct status_row *row = status_row_of(status);
        write_envelope(out, diag->code[0] == '\0' ? row->code : diag->code,
                       is_ours || diag->text[0] == '\0' ? row->detail : diag->text);
    }
    return status;
}

static void respond(struct http_request *request, int status, struct json_out *out,
                    struct buf *body)
{
    json_out_end_document(out);
    if (status == 503 || status == 507) {
        http_add_header(request, "Retry-After", "1");
    }
    http_respond_json(request, status, body);
}

void http_answer_code(struct http_request *request, int status, const char *code,
                      const char *detail)
{
    const struct http_server_options *options = &request->daemon->server->options;
    if (options->refuse != NULL && options->refuse(request, status, detail)) {
        return;
    }
    BUF_AUTO struct buf body;
    struct json_out out;
    buf_init(&body, ERROR_BODY_MAX_BYTES);
    json_out_init(&out, &body);
    write_envelope(&out, code, detail);
    respond(request, status, &out, &body);
}

void http_respond_error(struct http_request *request, const struct diag *diag)
{
    BUF_AUTO struct buf body;
    struct json_out out;
    buf_init(&body, ERROR_BODY_MAX_BYTES);
    json_out_init(&out, &body);
    request->error_text = arena_dup(&request->arena, slice_of(diag->text));
    int status = http_error_write(diag, &out);
    respond(request, status, &out, &body);
}
