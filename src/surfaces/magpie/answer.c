/* SPDX-License-Identifier: Apache-2.0 */
/* What every answer has: `code`, `type`, `detail` (magpie spec section 8). */
#include "surfaces/magpie/identity_int.h"

#define ERROR_BODY_MAX ((size_t)16 * 1024)

void magpie_answer_begin(struct json_out *out, int status, const char *detail)
{
    json_out_begin_object(out);
    json_out_member_int(out, "code", status);
    json_out_member_text(out, "type", "application/json");
    json_out_member_text(out, "detail", detail);
}

void magpie_answer_end(struct json_out *out)
{
    json_out_end_object(out);
    json_out_end_document(out);
}

void magpie_answer_job(struct api_job *job, int status, const char *detail)
{
    job->status = status;
    magpie_answer_begin(&job->answer.out, status, detail);
    magpie_answer_end(&job->answer.out);
}

void magpie_answer_init(struct api_answer *answer, const char *detail)
{
    api_answer_init(answer);
    magpie_answer_begin(&answer->out, 200, detail);
}

enum ph_error magpie_answer_send(struct api_call *call, struct api_answer *answer,
                                 enum ph_error error, struct diag *diag)
{
    if (error == PH_OK && answer->body.failed) {
        error = diag_set(diag, PH_TOO_LARGE, NULL, "the list is longer than an answer may be");
    }
    if (error != PH_OK) {
        buf_done(&answer->body);
        return error;
    }
    json_out_end_object(&answer->out);
    api_answer_send(call, 200, answer);
    return PH_OK;
}

/* --- errors ----------------------------------------------------------------------------------- */

/* What failed inside is for the log and not for the client. */
static const char *words_of(int status, const struct diag *diag)
{
    if (status == 503) {
        return "The server is busy, try again soon.";
    }
    if (status == 507) {
        return "No space is left for the store.";
    }
    return status >= 500 && status != 501 ? "Internal server error." : diag->text;
}

/* `field` may be empty. */
static void respond(struct http_request *request, int status, const char *words, const char *field)
{
    struct buf body;
    struct json_out out;
    buf_init(&body, ERROR_BODY_MAX);
    json_out_init(&out, &body);
    magpie_answer_begin(&out, status, words);
    if (field[0] != '\0') {
        json_out_key(&out, "param");
        json_out_begin_object(&out);
        json_out_member_text(&out, "name", field);
        json_out_end_object(&out);
    }
    magpie_answer_end(&out);
    if (status == 503 || status == 507) {
        http_add_header(request, "Retry-After", "1");
    }
    http_respond_json(request, status, &body);
}

void magpie_respond_error(struct http_request *request, const struct diag *diag)
{
    int status = ph_error_http_status(diag->error);
    http_note_error(request, diag->text);
    respond(request, status, words_of(status, diag), status < 500 ? diag->field : "");
}

bool magpie_refuse(struct http_request *request, int status, const char *detail)
{
    respond(request, status, detail, "");
    return true;
}

void magpie_not_found(struct http_request *request)
{
    struct diag diag;
    (void)diag_set(&diag, PH_NOT_FOUND, NULL, "there is no such path");
    magpie_respond_error(request, &diag);
}

enum ph_error magpie_missing(enum ph_error error, const char *field, const char *words,
                             struct diag *diag)
{
    return error == PH_NOT_FOUND ? diag_set(diag, PH_NOT_FOUND, field, "%s", words) : error;
}

/* --- requests --------------------------------------------------------------------------------- */

void magpie_body_of(struct api_call *call, enum ph_error type_error, struct diag *diag,
                    struct magpie_body *ret_body)
{
    magpie_body_open(ret_body, http_header(call->request, "content-type"), http_body(call->request),
                     type_error, call->arena, diag);
}

bool magpie_query_flag(struct api_call *call, const char *name)
{
    struct slice value = http_query(call->request, name, 0);
    return value.ptr != NULL && (value.len == 0 || slice_equal_text(value, "1") ||
                                 slice_equal_nocase(value, SLICE_LITERAL("true")));
}
