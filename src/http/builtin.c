/* SPDX-License-Identifier: Apache-2.0 */
/* What the server answers by itself: no such path, no such method, OPTIONS and CORS. */
#include "http/server_int.h"

void http_handle_not_found(struct http_request *request)
{
    http_answer_code(request, 404, "not_found", "Entity not found");
}

static void add_allow(struct http_request *request)
{
    static const char *const names[HTTP_METHOD_COUNT] = {"GET",   "HEAD",   "POST",   "PUT",
                                                         "PATCH", "DELETE", "OPTIONS"};
    BUF_AUTO struct buf text;
    buf_init(&text, 128);
    unsigned allowed = request->allowed | 1U << HTTP_OPTIONS;
    for (unsigned i = 0; i < HTTP_METHOD_COUNT; i++) {
        if ((allowed & (1U << i)) != 0) {
            buf_append_text(&text, text.len == 0 ? "" : ", ");
            buf_append_text(&text, names[i]);
        }
    }
    http_add_header(request, "Allow", buf_text(&text));
}

void http_handle_method_not_allowed(struct http_request *request)
{
    add_allow(request);
    http_answer_code(request, 405, "method_not_allowed", "Method not allowed");
}

void http_handle_too_large(struct http_request *request)
{
    http_answer_code(request, 413, "payload_too_large", "Request payload is too large.");
}

/*
 * Any origin may ask for any method with any header (Fetch standard, CORS preflight): the API
 * authenticates by a header, never by a cookie, so a foreign page gains nothing by it.
 */
void http_handle_options(struct http_request *request)
{
    if (http_header(request, "access-control-request-method").ptr != NULL) {
        struct slice headers = http_header(request, "access-control-request-headers");
        const char *text = headers.len == 0 ? NULL : arena_dup(&request->arena, headers);
        http_add_header(request, "Access-Control-Allow-Methods", "*");
        http_add_header(request, "Access-Control-Allow-Headers", text == NULL ? "*" : text);
        http_add_header(request, "Access-Control-Max-Age", "600");
        http_add_header(request, "Vary",
                        "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
    } else {
        add_allow(request);
    }
    http_respond_empty(request, 204);
}
