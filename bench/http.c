/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <string.h>
#include <strings.h>

enum { HEAD_BYTES_MAX = 65536 };

/* No body in a benchmark is larger; the bound keeps the sums below from overflowing. */
static const uint64_t body_bytes_max = (uint64_t)1 << 32;

bool http_slice_is(struct http_slice slice, const char *text)
{
    return slice.data != NULL && slice.bytes == strlen(text) &&
           memcmp(slice.data, text, slice.bytes) == 0;
}

static bool name_is(struct http_slice name, const char *text, size_t text_bytes)
{
    return name.bytes == text_bytes && strncasecmp(name.data, text, text_bytes) == 0;
}

/* Decimal digits only, nothing around them. */
static bool parse_decimal(struct http_slice text, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (text.bytes == 0 || text.bytes > 18) {
        return false;
    }
    for (size_t i = 0; i < text.bytes; i++) {
        const unsigned digit = (unsigned)(unsigned char)text.data[i] - '0';
        if (digit > 9) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}

static bool parse_request_line(struct http_slice line, struct http_message *m)
{
    char *space = memchr(line.data, ' ', line.bytes);
    if (space == NULL) {
        return false;
    }
    char *target = space + 1;
    const size_t rest = (size_t)(line.data + line.bytes - target);
    char *second = memchr(target, ' ', rest);
    if (second == NULL || line.data + line.bytes - second != 9) {
        return false;
    }
    m->method = (struct http_slice){line.data, (size_t)(space - line.data)};
    m->target = (struct http_slice){target, (size_t)(second - target)};
    m->is_keep_alive = memcmp(second, " HTTP/1.1", 9) == 0;
    return m->is_keep_alive || memcmp(second, " HTTP/1.0", 9) == 0;
}

static bool parse_status_line(struct http_slice line, struct http_message *m)
{
    uint64_t status = 0;
    if (line.bytes < 12 || memcmp(line.data, "HTTP/1.", 7) != 0) {
        return false;
    }
    if (!parse_decimal((struct http_slice){line.data + 9, 3}, &status) || status < 100) {
        return false;
    }
    m->is_keep_alive = line.data[7] == '1';
    m->status = (int)status;
    return true;
}

/* Framing and connection fields; false when they do not make sense. */
static bool use_framing(struct http_slice name, struct http_slice value, struct http_message *m)
{
    if (name_is(name, "content-length", 14)) {
        m->has_length = true;
        return parse_decimal(value, &m->length) && m->length <= body_bytes_max;
    }
    if (name_is(name, "transfer-encoding", 17)) {
        m->is_chunked = true;
        return name_is(value, "chunked", 7);
    }
    if (name_is(name, "connection", 10)) {
        if (name_is(value, "close", 5)) {
            m->is_keep_alive = false;
        } else if (name_is(value, "keep-alive", 10)) {
            m->is_keep_alive = true;
        }
    } else if (name_is(name, "expect", 6)) {
        m->wants_continue = true;
    }
    return true;
}

/* Most fields are not ours: the length of the name sorts them out before any comparison. */
static bool use_field(struct http_slice name, struct http_slice value, struct http_message *m)
{
    static const struct {
        const char *name;
        size_t bytes;
        enum http_field field;
    } known[] = {
        {"webhook-id", 10, HTTP_ID},
        {"svix-id", 7, HTTP_ID},
        {"webhook-timestamp", 17, HTTP_TIMESTAMP},
        {"svix-timestamp", 14, HTTP_TIMESTAMP},
        {"webhook-signature", 17, HTTP_SIGNATURE},
        {"svix-signature", 14, HTTP_SIGNATURE},
        {"retry-after", 11, HTTP_RETRY_AFTER},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (name.bytes == known[i].bytes && name_is(name, known[i].name, known[i].bytes)) {
            m->field[known[i].field] = value;
            return true;
        }
    }
    return use_framing(name, value, m);
}

static bool parse_field_line(struct http_slice line, struct http_message *m)
{
    char *colon = memchr(line.data, ':', line.bytes);
    if (colon == NULL || colon == line.data) {
        return false;
    }
    struct http_slice value = {colon + 1, (size_t)(line.data + line.bytes - colon - 1)};
    while (value.bytes > 0 && (value.data[0] == ' ' || value.data[0] == '\t')) {
        value.data++;
        value.bytes--;
    }
    while (value.bytes > 0 &&
           (value.data[value.bytes - 1] == ' ' || value.data[value.bytes - 1] == '\t')) {
        value.bytes--;
    }
    return use_field((struct http_slice){line.data, (size_t)(colon - line.data)}, value, m);
}

/* Cuts the line at `*position`, without its line end, and steps over it; false when unfinished. */
static bool next_line(char *data, size_t bytes, size_t *position, struct http_slice *ret_line)
{
    char *start = data + *position;
    char *end = memchr(start, '\n', bytes - *position);
    if (end == NULL) {
        return false;
    }
    size_t line_bytes = (size_t)(end - start);
    *position += line_bytes + 1;
    if (line_bytes > 0 && start[line_bytes - 1] == '\r') {
        line_bytes--;
    }
    *ret_line = (struct http_slice){start, line_bytes};
    return true;
}

static enum http_state parse_head(char *data, size_t bytes, enum http_kind kind,
                                  struct http_message *m)
{
    struct http_slice line;
    size_t position = 0;
    const enum http_state unfinished = bytes > HEAD_BYTES_MAX ? HTTP_BAD : HTTP_MORE;
    if (!next_line(data, bytes, &position, &line)) {
        return unfinished;
    }
    if (!(kind == HTTP_REQUEST ? parse_request_line(line, m) : parse_status_line(line, m))) {
        return HTTP_BAD;
    }
    for (;;) {
        if (!next_line(data, bytes, &position, &line)) {
            return unfinished;
        }
        if (line.bytes == 0) {
            m->head_bytes = position;
            return HTTP_DONE;
        }
        if (!parse_field_line(line, m)) {
            return HTTP_BAD;
        }
    }
}

/* The size of a chunk: hexadecimal digits, then perhaps an extension. */
static bool parse_chunk_size(struct http_slice line, uint64_t *ret_size)
{
    uint64_t size = 0;
    size_t i = 0;
    for (; i < line.bytes; i++) {
        const char c = line.data[i];
        unsigned digit;
        if (c >= '0' && c <= '9') {
            digit = (unsigned)(c - '0');
        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            digit = (unsigned)((c | 0x20) - 'a') + 10;
        } else {
            break;
        }
        size = size * 16 + digit;
        if (size > body_bytes_max) {
            return false;
        }
    }
    *ret_size = size;
    return i > 0 && (i == line.bytes || line.data[i] == ';' || line.data[i] == ' ');
}

/* Walks the chunks. With `join` it also moves their contents together, over the chunk heads; that
   happens only on a second walk, when the first has found the body complete. */
static enum http_state walk_chunks(char *data, size_t bytes, bool join, struct http_message *m)
{
    size_t position = m->head_bytes;
    size_t joined = 0;
    struct http_slice line;
    for (;;) {
        uint64_t size = 0;
        if (!next_line(data, bytes, &position, &line)) {
            return HTTP_MORE;
        }
        if (!parse_chunk_size(line, &size)) {
            return HTTP_BAD;
        }
        if (size == 0) {
            break;
        }
        if (size > bytes - position) {
            return HTTP_MORE;
        }
        if (join) {
            memmove(data + m->head_bytes + joined, data + position, (size_t)size);
        }
        joined += (size_t)size;
        position += (size_t)size;
        if (!next_line(data, bytes, &position, &line)) {
            return HTTP_MORE;
        }
        if (line.bytes != 0) {
            return HTTP_BAD;
        }
    }
    do { /* trailer fields, up to an empty line */
        if (!next_line(data, bytes, &position, &line)) {
            return HTTP_MORE;
        }
    } while (line.bytes != 0);
    m->body = (struct http_slice){data + m->head_bytes, joined};
    m->total_bytes = position;
    return HTTP_DONE;
}

enum http_state http_parse(char *data, size_t bytes, enum http_kind kind,
                           struct http_message *ret_message)
{
    struct http_message *m = ret_message;
    *m = (struct http_message){0};
    const enum http_state head = parse_head(data, bytes, kind, m);
    if (head != HTTP_DONE) {
        return head;
    }
    const bool is_bodiless =
        m->status == 204 || m->status == 304 || (m->status >= 100 && m->status < 200);
    if (m->is_chunked && !is_bodiless) {
        const enum http_state state = walk_chunks(data, bytes, false, m);
        return state == HTTP_DONE ? walk_chunks(data, bytes, true, m) : state;
    }
    if (kind == HTTP_RESPONSE && !m->has_length && !is_bodiless) {
        return HTTP_BAD; /* a body that ends with the connection: no keep-alive server does that */
    }
    const size_t body_bytes = is_bodiless ? 0 : (size_t)m->length;
    if (body_bytes > bytes - m->head_bytes) {
        return HTTP_MORE;
    }
    m->body = (struct http_slice){data + m->head_bytes, body_bytes};
    m->total_bytes = m->head_bytes + body_bytes;
    return HTTP_DONE;
}
