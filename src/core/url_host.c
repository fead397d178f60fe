/* SPDX-License-Identifier: Apache-2.0 */
/* Host parsing of the WHATWG URL standard, sections 3.5 and 3.6, without IDNA. */
#include <arpa/inet.h>

#include "core/url_int.h"

int url_hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Percent-decodes; false when it does not fit. */
static bool decode_host(struct slice host, char ret_text[URL_HOST_MAX + 1], size_t *ret_length)
{
    size_t length = 0;
    for (size_t index = 0; index < host.len; index++) {
        char byte = host.ptr[index];
        if (byte == '%' && host.len - index > 2) {
            int high = url_hex_digit(host.ptr[index + 1]);
            int low = url_hex_digit(host.ptr[index + 2]);
            if (high >= 0 && low >= 0) {
                byte = (char)(high << 4 | low);
                index += 2;
            }
        }
        if (length == URL_HOST_MAX) {
            return false;
        }
        ret_text[length++] = byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
    }
    ret_text[length] = '\0';
    *ret_length = length;
    return true;
}

/* An IPv4 number: decimal, octal with a leading 0, hexadecimal with 0x. False when it is none;
 * values that fit no address come out as 2^32 or more. */
static bool parse_number(struct slice text, uint64_t *ret_value)
{
    unsigned base = 10;
    if (text.len == 0) {
        return false;
    }
    if (text.len >= 2 && text.ptr[0] == '0' && text.ptr[1] == 'x') {
        base = 16;
        text = (struct slice){text.ptr + 2, text.len - 2};
    } else if (text.len >= 2 && text.ptr[0] == '0') {
        base = 8;
        text = (struct slice){text.ptr + 1, text.len - 1};
    }
    uint64_t value = 0;
    for (size_t index = 0; index < text.len; index++) {
        int digit = url_hex_digit(text.ptr[index]);
        if (digit < 0 || (unsigned)digit >= base) {
            return false;
        }
        if (value <= UINT32_MAX) {
            value = value * base + (unsigned)digit;
        }
    }
    *ret_value = value;
    return true;
}

static bool is_all_digits(struct slice text)
{
    for (size_t index = 0; index < text.len; index++) {
        if (text.ptr[index] < '0' || text.ptr[index] > '9') {
            return false;
        }
    }
    return text.len > 0;
}

/* Whether the last label (a dot at the end aside) makes this host an IPv4 address. */
static bool ends_in_number(struct slice host)
{
    if (host.len > 0 && host.ptr[host.len - 1] == '.') {
        host.len--;
    }
    size_t start = host.len;
    while (start > 0 && host.ptr[start - 1] != '.') {
        start--;
    }
    struct slice last = {host.ptr + start, host.len - start};
    uint64_t number;
    return is_all_digits(last) || parse_number(last, &number);
}

static bool append_ipv4(struct slice host, struct buf *normal)
{
    uint64_t numbers[4];
    size_t count = 0;
    struct slice part;
    if (host.ptr[host.len - 1] == '.') {
        host.len--;
    }
    while (slice_next(&host, '.', &part)) {
        if (count == 4 || !parse_number(part, &numbers[count])) {
            return false;
        }
        count++;
    }
    /* All but the last are one byte each; the last fills what is left. */
    uint64_t address = 0;
    for (size_t index = 0; index + 1 < count; index++) {
        if (numbers[index] > 255) {
            return false;
        }
        address |= numbers[index] << (24 - 8 * index);
    }
    if (count == 0 || numbers[count - 1] >= UINT64_C(1) << (8 * (5 - count))) {
        return false;
    }
    address |= numbers[count - 1];
    buf_append_format(normal, "%u.%u.%u.%u", (unsigned)(address >> 24),
                      (unsigned)(address >> 16 & 255), (unsigned)(address >> 8 & 255),
                      (unsigned)(address & 255));
    return true;
}

/* The shortest form: the first longest run of two or more zero groups becomes `::`. */
static void append_ipv6(const unsigned char bytes[16], struct buf *normal)
{
    unsigned groups[8];
    int best = -1;
    int best_length = 1;
    for (int index = 0; index < 8; index++) {
        groups[index] = (unsigned)bytes[2 * index] << 8 | bytes[2 * index + 1];
    }
    for (int index = 0; index < 8; index++) {
        int length = 0;
        while (index + length < 8 && groups[index + length] == 0) {
            length++;
        }
        if (length > best_length) {
            best = index;
            best_length = length;
        }
    }
    buf_append_byte(normal, '[');
    for (int index = 0; index < 8;) {
        if (index == best) {
            buf_append_text(normal, "::");
            index += best_length;
            continue;
        }
        bool has_colon = index == 0 || (best >= 0 && index == best + best_length);
        buf_append_format(normal, has_colon ? "%x" : ":%x", groups[index]);
        index++;
    }
    buf_append_byte(normal, ']');
}

static bool append_bracketed(struct slice host, struct buf *normal)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    if (host.len < 4 || host.ptr[host.len - 1] != ']' || host.len - 2 >= sizeof text) {
        return false;
    }
    memcpy(text, host.ptr + 1, host.len - 2);
    text[host.len - 2] = '\0';
    if (strlen(text) != host.len - 2 || inet_pton(AF_INET6, text, bytes) != 1) {
        return false;
    }
    append_ipv6(bytes, normal);
    return true;
}

bool url_append_host(struct slice host, struct buf *normal, const char **ret_words)
{
    char text[URL_HOST_MAX + 1];
    size_t length;
    if (host.len > 0 && host.ptr[0] == '[') {
        *ret_words = "the host is not an IPv6 address in brackets";
        return append_bracketed(host, normal);
    }
    if (!decode_host(host, text, &length)) {
        *ret_words = "the host has more than 253 characters";
        return false;
    }
    if (length == 0 || strspn(text, ".") == length) {
        *ret_words = "the host is missing";
        return false;
    }
    for (size_t index = 0; index < length; index++) {
        unsigned char byte = (unsigned char)text[index];
        if (byte >= 0x80) {
            *ret_words = "the host has characters beyond ASCII: write it in its xn-- form";
            return false;
        }
        if (byte <= 0x20 || byte == 0x7f || strchr("#/:<>?@[\\]^|%", byte) != NULL) {
            *ret_words = "the host has a character that no host has";
            return false;
        }
    }
    struct slice name = {text, length};
    if (ends_in_number(name)) {
        *ret_words = "the host ends in a number and is not an IPv4 address";
        return append_ipv4(name, normal);
    }
    buf_append_slice(normal, name);
    return true;
}
