/* SPDX-License-Identifier: Apache-2.0 */
#include "api/attempt.h"

#include "core/base64.h"

/* The sinks keep this many bytes of a response; shorter ones were not cut. */
#define RESPONSE_KEPT_BYTES 20000

void attempt_write_status(struct json_out *out, enum attempt_status status)
{
    static const char *const texts[] = {"success", "pending", "fail", "sending", "canceled"};
    json_out_member_int(out, "status", status);
    json_out_member_text(out, "statusText", texts[status]);
}

/* UTF-8, where NUL is a character like any other. */
static bool is_utf8(struct slice text)
{
    while (text.len > 0) {
        size_t length = slice_find(text, '\0');
        if (!slice_is_utf8_text((struct slice){text.ptr, length})) {
            return false;
        }
        size_t skipped = length < text.len ? length + 1 : length;
        text = (struct slice){text.ptr + skipped, text.len - skipped};
    }
    return true;
}

/* Without the bytes of a last character that begins but does not end. */
static struct slice without_cut_character(struct slice text)
{
    for (size_t back = 1; back <= 3 && back <= text.len; back++) {
        unsigned char byte = (unsigned char)text.ptr[text.len - back];
        if (byte >= 0xc0) {
            size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
            return length > back ? (struct slice){text.ptr, text.len - back} : text;
        }
        if (byte < 0x80) {
            break;
        }
    }
    return text;
}

void attempt_write_response(struct json_out *out, struct slice response)
{
    attempt_write_cut_response(out, response, RESPONSE_KEPT_BYTES);
}

void attempt_write_cut_response(struct json_out *out, struct slice response, size_t kept_bytes)
{
    if (response.ptr == NULL) {
        json_out_string(out, SLICE_LITERAL("EXPUNGED"));
        return;
    }
    struct slice text = response.len >= kept_bytes ? without_cut_character(response) : response;
    if (is_utf8(text)) {
        json_out_string(out, text);
        return;
    }
    BUF_AUTO struct buf encoded;
    buf_init(&encoded, BASE64_LENGTH(response.len) + 1);
    base64_append(&encoded, response.ptr, response.len);
    json_out_string(out, buf_slice(&encoded));
}
