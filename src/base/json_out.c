/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_out.h"

#include "base/clock.h"

void json_out_init(struct json_out *out, struct buf *buf)
{
    *out = (struct json_out){.buf = buf};
}

void json_out_end_document(const struct json_out *out)
{
    PH_ASSERT(out->depth == 0);
}

static void before_value(struct json_out *out)
{
    if (out->needs_comma) {
        buf_append_byte(out->buf, ',');
    }
    out->needs_comma = true;
}

static void begin(struct json_out *out, char bracket)
{
    before_value(out);
    buf_append_byte(out->buf, bracket);
    out->depth++;
    out->needs_comma = false;
}

static void end(struct json_out *out, char bracket)
{
    PH_ASSERT(out->depth > 0);
    out->depth--;
    buf_append_byte(out->buf, bracket);
    out->needs_comma = true;
}

void json_out_begin_object(struct json_out *out)
{
    begin(out, '{');
}

void json_out_end_object(struct json_out *out)
{
    end(out, '}');
}

void json_out_begin_array(struct json_out *out)
{
    begin(out, '[');
}

void json_out_end_array(struct json_out *out)
{
    end(out, ']');
}

void json_out_key(struct json_out *out, const char *key)
{
    before_value(out);
    buf_append_byte(out->buf, '"');
    buf_append_text(out->buf, key);
    buf_append(out->buf, "\":", 2);
    out->needs_comma = false;
}

static void append_escape(struct buf *buf, unsigned char byte)
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t index = 0; index + 1 < sizeof short_forms - 1; index += 2) {
        if ((unsigned char)short_forms[index] == byte) {
            buf_append_byte(buf, '\\');
            buf_append_byte(buf, short_forms[index + 1]);
            return;
        }
    }
    buf_append_format(buf, "\\u%04x", byte);
}

/* Length of the valid UTF-8 sequence at the front, 0 when there is none. */
static size_t valid_sequence(struct slice text)
{
    for (size_t length = 2; length <= 4 && length <= text.len; length++) {
        if (slice_is_utf8_text((struct slice){text.ptr, length})) {
            return length;
        }
    }
    return 0;
}

void json_out_string(struct json_out *out, struct slice text)
{
    before_value(out);
    buf_append_byte(out->buf, '"');
    size_t start = 0;
    size_t index = 0;
    while (index < text.len) {
        unsigned char byte = (unsigned char)text.ptr[index];
        if (byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\') {
            index++;
            continue;
        }
        size_t length = 0;
        if (byte >= 0x80) {
            length = valid_sequence((struct slice){text.ptr + index, text.len - index});
        }
        if (length > 0) {
            index += length;
            continue;
        }
        buf_append(out->buf, text.ptr + start, index - start);
        if (byte >= 0x80) {
            buf_append_text(out->buf, "\xef\xbf\xbd");
        } else {
            append_escape(out->buf, byte);
        }
        index++;
        start = index;
    }
    if (index > start) {
        buf_append(out->buf, text.ptr + start, index - start);
    }
    buf_append_byte(out->buf, '"');
}

void json_out_int(struct json_out *out, int64_t value)
{
    before_value(out);
    buf_append_int64(out->buf, value);
}

void json_out_double(struct json_out *out, double value)
{
    before_value(out);
    char text[64];
    int length = snprintf(text, sizeof text, "%.6f", value);
    while (length > 1 && text[length - 1] == '0') {
        length--;
    }
    if (length > 1 && text[length - 1] == '.') {
        length--;
    }
    buf_append(out->buf, text, (size_t)length);
}

void json_out_bool(struct json_out *out, bool value)
{
    before_value(out);
    buf_append_text(out->buf, value ? "true" : "false");
}

void json_out_null(struct json_out *out)
{
    before_value(out);
    buf_append(out->buf, "null", 4);
}

void json_out_raw(struct json_out *out, struct slice json)
{
    before_value(out);
    buf_append_slice(out->buf, json);
}

void json_out_time(struct json_out *out, int64_t wall_us)
{
    char text[CLOCK_TEXT_MAX];
    clock_format(wall_us, text);
    before_value(out);
    buf_append_byte(out->buf, '"');
    buf_append_text(out->buf, text);
    buf_append_byte(out->buf, '"');
}

void json_out_member_string(struct json_out *out, const char *key, struct slice text)
{
    json_out_key(out, key);
    if (text.ptr == NULL) {
        json_out_null(out);
    } else {
        json_out_string(out, text);
    }
}

void json_out_member_text(struct json_out *out, const char *key, const char *text)
{
    json_out_member_string(out, key, slice_of(text));
}

void json_out_member_int(struct json_out *out, const char *key, int64_t value)
{
    json_out_key(out, key);
    json_out_int(out, value);
}

void json_out_member_bool(struct json_out *out, const char *key, bool value)
{
    json_out_key(out, key);
    json_out_bool(out, value);
}

void json_out_member_null(struct json_out *out, const char *key)
{
    json_out_key(out, key);
    json_out_null(out);
}

void json_out_member_time(struct json_out *out, const char *key, int64_t wall_us)
{
    json_out_key(out, key);
    json_out_time(out, wall_us);
}

void json_out_member_raw(struct json_out *out, const char *key, struct slice json)
{
    json_out_key(out, key);
    json_out_raw(out, json);
}
