/* SPDX-License-Identifier: Apache-2.0 */
/* The query: `application/x-www-form-urlencoded` pairs (WHATWG URL, section 5.1). */
#include "http/decode.h"
#include "http/server_int.h"

bool http_query_parse(struct http_request *request)
{
    if (request->query_text.len == 0) {
        return true;
    }
    size_t most = 1;
    for (size_t i = 0; i < request->query_text.len; i++) {
        most += request->query_text.ptr[i] == '&' ? 1 : 0;
    }
    request->query = arena_alloc(&request->arena, most * sizeof *request->query);
    if (request->query == NULL) {
        return false;
    }
    struct slice rest = request->query_text;
    struct slice pair;
    while (slice_next(&rest, '&', &pair)) {
        if (pair.len == 0) {
            continue;
        }
        size_t equals = slice_find(pair, '=');
        struct slice name = {pair.ptr, equals};
        struct slice value = {pair.ptr + pair.len, 0};
        if (equals < pair.len) {
            value = (struct slice){pair.ptr + equals + 1, pair.len - equals - 1};
        }
        struct http_field *field = &request->query[request->query_count];
        if (!http_decode(name, true, &request->arena, &field->name) ||
            !http_decode(value, true, &request->arena, &field->value)) {
            return false;
        }
        request->query_count++;
    }
    return true;
}

struct slice http_query_text(const struct http_request *request)
{
    return request->query_text;
}

struct slice http_query(const struct http_request *request, const char *name, size_t n)
{
    for (size_t i = 0; i < request->query_count; i++) {
        if (slice_equal_text(request->query[i].name, name) && n-- == 0) {
            return request->query[i].value;
        }
    }
    return SLICE_NONE;
}

bool http_query_at(const struct http_request *request, size_t index, struct slice *ret_name,
                   struct slice *ret_value)
{
    if (index >= request->query_count) {
        return false;
    }
    *ret_name = request->query[index].name;
    *ret_value = request->query[index].value;
    return true;
}
