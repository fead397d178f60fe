/* SPDX-License-Identifier: Apache-2.0 */
#include "http/decode.h"

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

static bool is_plain(struct slice raw, bool plus_is_space)
{
    for (size_t i = 0; i < raw.len; i++) {
        unsigned char byte = (unsigned char)raw.ptr[i];
        if (byte == '%' || byte == 0 || byte >= 0x80 || (byte == '+' && plus_is_space)) {
            return false;
        }
    }
    return true;
}

bool http_decode(struct slice raw, bool plus_is_space, struct arena *arena, struct slice *ret_text)
{
    if (is_plain(raw, plus_is_space)) {
        *ret_text = raw;
        return true;
    }
    char *target = arena_alloc(arena, raw.len);
    if (target == NULL) {
        return false;
    }
    size_t length = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char byte = raw.ptr[i];
        if (byte == '%') {
            int high = raw.len - i > 2 ? hex_value(raw.ptr[i + 1]) : -1;
            int low = raw.len - i > 2 ? hex_value(raw.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            byte = (char)(high * 16 + low);
            i += 2;
        } else if (byte == '+' && plus_is_space) {
            byte = ' ';
        }
        target[length++] = byte;
    }
    struct slice text = {target, length};
    if (!slice_is_utf8_text(text)) {
        return false;
    }
    *ret_text = text;
    return true;
}
