/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base64.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char for_urls[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Characters without padding for `length` bytes. */
static size_t bare_length(size_t length)
{
    return length / 3 * 4 + (length % 3 == 0 ? 0 : length % 3 + 1);
}

/* Writes bare_length(length) characters. */
static void encode(const char *alphabet, const uint8_t *bytes, size_t length, char *target)
{
    size_t index = 0;
    for (; index + 3 <= length; index += 3) {
        unsigned group =
            (unsigned)bytes[index] << 16 | (unsigned)bytes[index + 1] << 8 | bytes[index + 2];
        *target++ = alphabet[group >> 18];
        *target++ = alphabet[group >> 12 & 63];
        *target++ = alphabet[group >> 6 & 63];
        *target++ = alphabet[group & 63];
    }
    if (index < length) {
        unsigned group = (unsigned)bytes[index] << 16;
        if (index + 1 < length) {
            group |= (unsigned)bytes[index + 1] << 8;
        }
        *target++ = alphabet[group >> 18];
        *target++ = alphabet[group >> 12 & 63];
        if (index + 1 < length) {
            *target = alphabet[group >> 6 & 63];
        }
    }
}

void base64_encode(const void *bytes, size_t length, char *ret_text)
{
    encode(standard, bytes, length, ret_text);
    for (size_t index = bare_length(length); index < BASE64_LENGTH(length); index++) {
        ret_text[index] = '=';
    }
}

void base64_append(struct buf *buf, const void *bytes, size_t length)
{
    char *target = buf_reserve(buf, BASE64_LENGTH(length));
    if (target != NULL) {
        base64_encode(bytes, length, target);
        buf_commit(buf, BASE64_LENGTH(length));
    }
}

void base64url_append(struct buf *buf, const void *bytes, size_t length)
{
    char *target = buf_reserve(buf, bare_length(length));
    if (target != NULL) {
        encode(for_urls, bytes, length, target);
        buf_commit(buf, bare_length(length));
    }
}

/* Value of a character, or 64 when it is none of the alphabet whose last two are given. */
static unsigned character_value(char byte, char value_62, char value_63)
{
    if (byte >= 'A' && byte <= 'Z') {
        return (unsigned)(byte - 'A');
    }
    if (byte >= 'a' && byte <= 'z') {
        return (unsigned)(byte - 'a') + 26;
    }
    if (byte >= '0' && byte <= '9') {
        return (unsigned)(byte - '0') + 52;
    }
    return byte == value_62 ? 62 : byte == value_63 ? 63 : 64;
}

/* Text without padding. */
static bool decode(const char *alphabet, struct slice text, uint8_t *bytes, size_t capacity,
                   size_t *ret_length)
{
    size_t length = text.len / 4 * 3 + (text.len % 4 == 0 ? 0 : text.len % 4 - 1);
    if (text.len % 4 == 1 || length > capacity) {
        return false;
    }
    uint32_t group = 0;
    unsigned bits = 0;
    size_t written = 0;
    for (size_t index = 0; index < text.len; index++) {
        unsigned value = character_value(text.ptr[index], alphabet[62], alphabet[63]);
        if (value == 64) {
            return false;
        }
        group = group << 6 | value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes[written++] = (uint8_t)(group >> bits);
        }
    }
    /* The bits behind the last byte are zero, or two texts would mean the same bytes. */
    if ((group & ((1u << bits) - 1)) != 0) {
        return false;
    }
    *ret_length = written;
    return true;
}

bool base64_decode(struct slice text, uint8_t *ret_bytes, size_t capacity, size_t *ret_length)
{
    if (text.len % 4 != 0) {
        return false;
    }
    for (int padding = 0; padding < 2 && text.len > 0 && text.ptr[text.len - 1] == '='; padding++) {
        text.len--;
    }
    return decode(standard, text, ret_bytes, capacity, ret_length);
}

bool base64url_decode(struct slice text, uint8_t *ret_bytes, size_t capacity, size_t *ret_length)
{
    return decode(for_urls, text, ret_bytes, capacity, ret_length);
}
