/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/magpie/format.h"

#include "core/scan.h"
#include "surfaces/magpie/user.h"

#define MEMBERS_MAX 16
#define BODY_BYTES_MAX ((size_t)4 * 1024 * 1024)

/* --- methods and formats ---------------------------------------------------------------------- */

const char *magpie_method_find(struct slice name)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(methods); index++) {
        if (slice_equal_text(name, methods[index])) {
            return methods[index];
        }
    }
    return NULL;
}

const struct magpie_body_format *magpie_body_format_find(struct slice name, bool *ret_is_known)
{
    static const struct magpie_body_format json = {"application/json", true};
    static const struct {
        const char *name;
        struct magpie_body_format format;
    } rows[] = {
        {"json", {"application/json", true}},  {"application/json", {"application/json", true}},
        {"html", {"text/html", false}},        {"text/html", {"text/html", false}},
        {"text", {"text/plain", false}},       {"plain", {"text/plain", false}},
        {"text/plain", {"text/plain", false}}, {"xml", {"text/xml", false}},
        {"text/xml", {"text/xml", false}},     {"application/xml", {"application/xml", false}},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        if (slice_equal_text(name, rows[index].name)) {
            *ret_is_known = true;
            return &rows[index].format;
        }
    }
    *ret_is_known = name.ptr == NULL;
    return &json;
}

/* --- the body --------------------------------------------------------------------------------- */

enum ph_error magpie_body_render(const struct magpie_request *request,
                                 const struct magpie_parameters *parameters, struct arena *arena,
                                 struct diag *diag, struct buf *ret_body)
{
    struct slice payload = request->payload;
    if (payload.ptr == NULL) {
        return PH_OK;
    }
    if (request->format->is_json) {
        return magpie_render_json(payload, parameters, arena, diag, ret_body);
    }
    if (slice_equal_text(payload, "{}") || slice_equal_text(payload, "[]")) {
        return PH_OK;
    }
    return magpie_render_text(payload, parameters, arena, diag, ret_body);
}

/* --- one delivery ----------------------------------------------------------------------------- */

static struct slice text_of(const struct scan_member *members, size_t count, const char *key,
                            struct arena *arena)
{
    const struct scan_member *member = scan_find(members, count, key);
    struct slice text = SLICE_NONE;
    return member != NULL && scan_string(member->value, arena, NULL, &text) == PH_OK ? text
                                                                                     : SLICE_NONE;
}

static enum ph_error read_config(struct slice config, struct arena *arena, struct diag *diag,
                                 struct magpie_request *ret_request)
{
    struct scan_member members[MEMBERS_MAX];
    size_t count = 0;
    bool is_known;
    if (config.ptr == NULL ||
        scan_object(config, members, MEMBERS_MAX, &count, NULL, NULL) != PH_OK) {
        count = 0;
    }
    const struct scan_member *payload = scan_find(members, count, "payload");
    *ret_request = (struct magpie_request){
        .method = magpie_method_find(text_of(members, count, "method", arena)),
        .format = magpie_body_format_find(text_of(members, count, "format", arena), &is_known),
        .payload = payload == NULL ? SLICE_NONE : payload->value,
    };
    return ret_request->method == NULL
               ? diag_set(diag, PH_STORE, NULL, "not sent: the hook's configuration is broken")
               : PH_OK;
}

static enum ph_error render(const struct format_event *event, struct arena *arena,
                            struct diag *diag, struct jq_transformed *ret_request)
{
    struct magpie_parameter items[MAGPIE_PARAMETERS_MAX];
    struct magpie_parameters parameters;
    struct magpie_request request;
    BUF_AUTO struct buf body;
    buf_init(&body, BODY_BYTES_MAX);
    enum ph_error error = read_config(event->config, arena, diag, &request);
    if (error == PH_OK) {
        error = magpie_event_read(event->payload, arena, items, diag, &parameters);
    }
    if (error == PH_OK) {
        error = magpie_body_render(&request, &parameters, arena, diag, &body);
    }
    if (error != PH_OK) {
        return error;
    }
    struct jq_header *header = arena_calloc(arena, 1, sizeof *header);
    const char *bytes = body.failed ? NULL : arena_dup(arena, buf_slice(&body));
    if (bytes == NULL || header == NULL) {
        return diag_set(diag, PH_NO_MEMORY, NULL, "not sent: no memory for the body");
    }
    *header =
        (struct jq_header){SLICE_LITERAL("Content-Type"), slice_of(request.format->content_type)};
    *ret_request = (struct jq_transformed){
        .body = {bytes, body.len},
        .is_body_json = request.format->is_json,
        .method = slice_of(request.method),
        .headers = header,
        .header_count = 1,
    };
    return PH_OK;
}

/* A user whose creation one of the hooks was not told of is marked, after the last attempt, and
 * nobody is told of that. Attempts by hand have somebody who sees for himself. */
static enum ph_error recorded(struct writer_txn *txn, const struct format_outcome *outcome,
                              struct diag *diag)
{
    int64_t user_id;
    if (outcome->state != DELIVERY_FAILED || outcome->is_manual || outcome->is_success) {
        return PH_OK;
    }
    enum ph_error error = magpie_event_user(txn->store, outcome->message_id, diag, &user_id);
    return error != PH_OK || user_id == 0 ? error
                                          : magpie_user_set_webhook_error(txn, user_id, diag);
}

const struct delivery_format magpie_format = {
    .name = "magpie",
    .render = render,
    .recorded = recorded,
};
