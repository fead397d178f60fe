/* SPDX-License-Identifier: Apache-2.0 */
#include "core/trace.h"

#include "core/hex.h"

/* version "-" trace-id "-" parent-id "-" flags */
#define ID_AT 3
#define SPAN_AT 36
#define FLAGS_AT 53
#define LENGTH 55
#define FLAG_SAMPLED 1

/* Lower case only, which hex_decode does not ask for. */
static bool read_hex(struct slice text, size_t at, size_t bytes, uint8_t *ret_bytes)
{
    struct slice part = {text.ptr + at, 2 * bytes};
    size_t length;
    for (size_t index = 0; index < part.len; index++) {
        if (part.ptr[index] >= 'A' && part.ptr[index] <= 'F') {
            return false;
        }
    }
    return hex_decode(part, ret_bytes, bytes, &length);
}

static bool is_zero(const uint8_t *bytes, size_t length)
{
    for (size_t index = 0; index < length; index++) {
        if (bytes[index] != 0) {
            return false;
        }
    }
    return true;
}

bool trace_parse(struct slice text, struct trace *ret_trace)
{
    uint8_t version;
    uint8_t flags;
    uint8_t span[TRACE_SPAN_BYTES];
    struct trace trace;
    if (text.len < LENGTH || text.ptr[ID_AT - 1] != '-' || text.ptr[SPAN_AT - 1] != '-' ||
        text.ptr[FLAGS_AT - 1] != '-' || !read_hex(text, 0, 1, &version) || version == 0xff ||
        !read_hex(text, ID_AT, sizeof trace.id, trace.id) ||
        !read_hex(text, SPAN_AT, sizeof span, span) || !read_hex(text, FLAGS_AT, 1, &flags)) {
        return false;
    }
    bool is_end_right = text.len == LENGTH || (version > 0 && text.ptr[LENGTH] == '-');
    if (!is_end_right || is_zero(trace.id, sizeof trace.id) || is_zero(span, sizeof span)) {
        return false;
    }
    trace.is_sampled = (flags & FLAG_SAMPLED) != 0;
    *ret_trace = trace;
    return true;
}

bool trace_exists(const struct trace *trace)
{
    return !is_zero(trace->id, sizeof trace->id);
}

void trace_format_id(const struct trace *trace, char ret_text[TRACE_ID_TEXT_MAX])
{
    hex_encode(trace->id, sizeof trace->id, ret_text);
}

void trace_format_parent(const struct trace *trace, const uint8_t span[TRACE_SPAN_BYTES],
                         char ret_text[TRACE_PARENT_TEXT_MAX])
{
    char id_text[TRACE_ID_TEXT_MAX];
    char span_text[2 * TRACE_SPAN_BYTES + 1];
    trace_format_id(trace, id_text);
    hex_encode(span, TRACE_SPAN_BYTES, span_text);
    (void)snprintf(ret_text, TRACE_PARENT_TEXT_MAX, "00-%s-%s-0%d", id_text, span_text,
                   trace->is_sampled ? FLAG_SAMPLED : 0);
}

void trace_to_bytes(const struct trace *trace, uint8_t ret_bytes[TRACE_BYTES])
{
    memcpy(ret_bytes, trace->id, sizeof trace->id);
    ret_bytes[sizeof trace->id] = trace->is_sampled ? FLAG_SAMPLED : 0;
}

struct trace trace_from_bytes(struct slice bytes)
{
    struct trace trace = {0};
    if (bytes.len == TRACE_BYTES) {
        memcpy(trace.id, bytes.ptr, sizeof trace.id);
        trace.is_sampled = ((unsigned char)bytes.ptr[sizeof trace.id] & FLAG_SAMPLED) != 0;
    }
    return trace;
}
