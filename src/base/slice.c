/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

struct slice slice_of(const char *text)
{
    if (text == NULL) {
        return SLICE_NONE;
    }
    return (struct slice){text, strlen(text)};
}

bool slice_equal(struct slice left, struct slice right)
{
    return left.len == right.len && (left.len == 0 || memcmp(left.ptr, right.ptr, left.len) == 0);
}

bool slice_equal_text(struct slice left, const char *right)
{
    return slice_equal(left, slice_of(right));
}

static char to_lower(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
}

/* Not strncasecmp: that stops at a NUL and follows the locale. */
bool slice_equal_nocase(struct slice left, struct slice right)
{
    if (left.len != right.len) {
        return false;
    }
    for (size_t index = 0; index < left.len; index++) {
        if (to_lower(left.ptr[index]) != to_lower(right.ptr[index])) {
            return false;
        }
    }
    return true;
}

bool slice_starts_with(struct slice whole, const char *prefix)
{
    size_t length = strlen(prefix);
    return whole.len >= length && (length == 0 || memcmp(whole.ptr, prefix, length) == 0);
}

int slice_compare(struct slice left, struct slice right)
{
    size_t common = left.len < right.len ? left.len : right.len;
    int order = common == 0 ? 0 : memcmp(left.ptr, right.ptr, common);
    if (order != 0) {
        return order;
    }
    return (left.len > right.len) - (left.len < right.len);
}

size_t slice_find(struct slice whole, char byte)
{
    if (whole.len == 0) {
        return 0;
    }
    const char *found = memchr(whole.ptr, byte, whole.len);
    return found == NULL ? whole.len : (size_t)(found - whole.ptr);
}

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

struct slice slice_trim(struct slice whole)
{
    while (whole.len > 0 && is_space(whole.ptr[0])) {
        whole.ptr++;
        whole.len--;
    }
    while (whole.len > 0 && is_space(whole.ptr[whole.len - 1])) {
        whole.len--;
    }
    return whole;
}

bool slice_next(struct slice *rest, char separator, struct slice *ret_part)
{
    if (rest->ptr == NULL) {
        return false;
    }
    size_t end = slice_find(*rest, separator);
    *ret_part = (struct slice){rest->ptr, end};
    if (end == rest->len) {
        *rest = SLICE_NONE;
    } else {
        rest->ptr += end + 1;
        rest->len -= end + 1;
    }
    return true;
}

bool slice_to_int64(struct slice text, int64_t *ret_value)
{
    bool is_negative = text.len > 0 && text.ptr[0] == '-';
    size_t index = is_negative ? 1 : 0;
    if (index == text.len) {
        return false;
    }
    int64_t value = 0; /* kept negative, because -INT64_MIN does not exist */
    for (; index < text.len; index++) {
        char byte = text.ptr[index];
        if (byte < '0' || byte > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, (int64_t)(byte - '0'), &value)) {
            return false;
        }
    }
    if (!is_negative && value == INT64_MIN) {
        return false;
    }
    *ret_value = is_negative ? value : -value;
    return true;
}

bool slice_to_double(struct slice text, double *ret_value)
{
    char copy[64];
    if (text.len == 0 || text.len >= sizeof copy) {
        return false;
    }
    for (size_t index = 0; index < text.len; index++) {
        char byte = text.ptr[index];
        bool is_sign = (byte == '-' || byte == '+') && index == 0;
        if (!is_sign && byte != '.' && (byte < '0' || byte > '9')) {
            return false;
        }
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    char *end = NULL;
    double value = strtod(copy, &end);
    if (end != copy + text.len) {
        return false;
    }
    *ret_value = value;
    return true;
}

char *slice_dup(struct slice text)
{
    return ph_memdup_text(text.ptr, text.len);
}

/* Bytes of the UTF-8 sequence at `bytes`, or 0 when it is not one (RFC 3629 section 4). */
static size_t utf8_sequence(const unsigned char *bytes, size_t available)
{
    unsigned char lead = bytes[0];
    if (lead < 0x80) {
        return lead == 0 ? 0 : 1;
    }
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || available < length) {
        return 0;
    }
    for (size_t index = 1; index < length; index++) {
        if ((bytes[index] & 0xc0) != 0x80) {
            return 0;
        }
    }
    unsigned char second = bytes[1];
    bool is_bad = (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
                  (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f);
    return is_bad ? 0 : length;
}

bool slice_is_utf8_text(struct slice text)
{
    size_t index = 0;
    while (index < text.len) {
        size_t length = utf8_sequence((const unsigned char *)text.ptr + index, text.len - index);
        if (length == 0) {
            return false;
        }
        index += length;
    }
    return true;
}
