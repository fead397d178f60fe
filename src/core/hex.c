/* SPDX-License-Identifier: Apache-2.0 */
#include "core/hex.h"

static const char digits[] = "0123456789abcdef";

static void encode(const uint8_t *bytes, size_t length, char *target)
{
    for (size_t index = 0; index < length; index++) {
        target[2 * index] = digits[bytes[index] >> 4];
        target[2 * index + 1] = digits[bytes[index] & 0xf];
    }
}

void hex_encode(const void *bytes, size_t length, char *ret_text)
{
    encode(bytes, length, ret_text);
    ret_text[2 * length] = '\0';
}

void hex_append(struct buf *buf, const void *bytes, size_t length)
{
    char *target = buf_reserve(buf, 2 * length);
    if (target != NULL) {
        encode(bytes, length, target);
        buf_commit(buf, 2 * length);
    }
}

/* Value of a digit, or -1. */
static int digit_value(char byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool hex_decode(struct slice text, uint8_t *ret_bytes, size_t capacity, size_t *ret_length)
{
    if (text.len % 2 != 0 || text.len / 2 > capacity) {
        return false;
    }
    for (size_t index = 0; index < text.len / 2; index++) {
        int high = digit_value(text.ptr[2 * index]);
        int low = digit_value(text.ptr[2 * index + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        ret_bytes[index] = (uint8_t)(high << 4 | low);
    }
    *ret_length = text.len / 2;
    return true;
}
