/* SPDX-License-Identifier: Apache-2.0 */
/* What handlers read from a request. */
#include "http/server_int.h"

enum http_method http_method_of(const struct http_request *request)
{
    return request->method;
}

const struct http_route *http_route_of(const struct http_request *request)
{
    return request->row == NULL ? NULL : request->row->route;
}

void *http_context(const struct http_request *request)
{
    return request->daemon->server->options.context;
}

void *http_thread_context(const struct http_request *request)
{
    return request->daemon->thread_context;
}

void http_note_error(struct http_request *request, const char *text)
{
    request->error_text = arena_dup(&request->arena, slice_of(text));
}

void http_hide_path(struct http_request *request)
{
    request->hides_path = true;
}

bool http_is_tls(const struct http_request *request)
{
    return request->daemon->server->is_tls;
}

struct slice http_path(const struct http_request *request)
{
    return request->path;
}

struct slice http_param(const struct http_request *request, const char *name)
{
    PH_ASSERT(request->row != NULL);
    for (size_t i = 0; i < request->row->parameter_count; i++) {
        const struct router_parameter *parameter = &request->row->parameters[i];
        if (slice_equal_text(parameter->name, name)) {
            return request->segments[parameter->segment];
        }
    }
    ph_assert_failed("the pattern has this parameter", __FILE__, __LINE__);
}

struct slice http_rest(struct http_request *request)
{
    const struct router_row *row = request->row;
    PH_ASSERT(row != NULL && row->parameter_count > 0);
    const struct router_parameter *last = &row->parameters[row->parameter_count - 1];
    PH_ASSERT(last->is_rest && last->segment < request->segment_count);
    size_t length = 0;
    for (size_t i = last->segment; i < request->segment_count; i++) {
        length += request->segments[i].len + 1;
    }
    char *text = arena_alloc(&request->arena, length);
    if (text == NULL) {
        return SLICE_NONE;
    }
    char *end = text;
    for (size_t i = last->segment; i < request->segment_count; i++) {
        memcpy(end, request->segments[i].ptr, request->segments[i].len);
        end += request->segments[i].len;
        *end++ = '/';
    }
    return (struct slice){text, length - 1};
}

struct slice http_header(const struct http_request *request, const char *name)
{
    struct slice wanted = slice_of(name);
    for (size_t i = 0; i < request->field_count; i++) {
        if (request->fields[i].name.len == wanted.len &&
            slice_equal_nocase(request->fields[i].name, wanted)) {
            return request->fields[i].value;
        }
    }
    return SLICE_NONE;
}

bool http_trace(const struct http_request *request, struct trace *ret_trace)
{
    static const struct slice name = {"traceparent", 11};
    const struct http_field *found = NULL;
    for (size_t i = 0; i < request->field_count; i++) {
        const struct http_field *field = &request->fields[i];
        if (field->name.len == name.len && slice_equal_nocase(field->name, name)) {
            if (found != NULL) {
                return false;
            }
            found = field;
        }
    }
    return found != NULL && trace_parse(found->value, ret_trace);
}

struct slice http_body(const struct http_request *request)
{
    if (request->body_length == 0) {
        return SLICE_LITERAL("");
    }
    return (struct slice){request->body, request->body_length};
}

struct arena *http_arena(struct http_request *request)
{
    return &request->arena;
}

void http_set_user(struct http_request *request, void *user)
{
    request->user = user;
}

void *http_user(const struct http_request *request)
{
    return request->user;
}
