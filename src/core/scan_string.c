/* SPDX-License-Identifier: Apache-2.0 */
#include "core/scan.h"
#include "core/scan_int.h"

/* Every byte of a word. */
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Length of the plain ASCII run at `at`: up to a quote, a backslash, a control character or a
 * byte of 0x80 and above. Eight bytes at a time: payloads are mostly such runs. */
static size_t plain_run(const char *at, const char *end)
{
    const char *position = at;
    while (end - position >= 8) {
        uint64_t word;
        memcpy(&word, position, sizeof word);
        uint64_t quotes = word ^ EACH('"');
        uint64_t backslashes = word ^ EACH('\\');
        /* A borrow can only start in a byte that is special itself, so the lowest mark is right;
         * marks above it may be wrong and are not looked at. */
        uint64_t marks =
            (word | (word - EACH(0x20)) | (quotes - EACH(1)) | (backslashes - EACH(1))) &
            EACH(0x80);
        if (marks != 0) {
            return (size_t)(position - at) + (size_t)__builtin_ctzll(marks) / 8;
        }
        position += 8;
    }
    while (position < end && (unsigned char)*position >= 0x20 && (unsigned char)*position < 0x80 &&
           *position != '"' && *position != '\\') {
        position++;
    }
    return (size_t)(position - at);
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the lowest mark is the first byte");

/* Bytes of the UTF-8 sequence of two or more bytes at `at`, 0 when it is not one (RFC 3629). */
static size_t utf8_length(const char *at, size_t available)
{
    const unsigned char *bytes = (const unsigned char *)at;
    unsigned char lead = bytes[0];
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || available < length) {
        return 0;
    }
    unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (bytes[1] < low || bytes[1] > high) {
        return 0;
    }
    for (size_t index = 2; index < length; index++) {
        if ((bytes[index] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return length;
}

/* Value of a hexadecimal digit, or -1. */
static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Four hexadecimal digits at `at`, or -1. */
static int hex_quad(const char *at, const char *end)
{
    if (end - at < 4) {
        return -1;
    }
    int value = 0;
    for (int index = 0; index < 4; index++) {
        int digit = hex_digit(at[index]);
        if (digit < 0) {
            return -1;
        }
        value = value << 4 | digit;
    }
    return value;
}

/* At a backslash. */
static bool skip_escape(struct scanner *scanner)
{
    scanner->has_escapes = true;
    if (scanner->end - scanner->at >= 2) {
        char kind = scanner->at[1];
        if (kind == 'u' && hex_quad(scanner->at + 2, scanner->end) >= 0) {
            scanner->at += 6;
            return true;
        }
        if (kind != 'u' && kind != '\0' && strchr("\"\\/bfnrt", kind) != NULL) {
            scanner->at += 2;
            return true;
        }
    }
    scanner->words = "expected an escape such as `\\n` or `\\u00e9`";
    return false;
}

bool scan_skip_string(struct scanner *scanner)
{
    scanner->at++;
    for (;;) {
        scanner->at += plain_run(scanner->at, scanner->end);
        if (scanner->at == scanner->end) {
            scanner->words = "expected `\"`";
            return false;
        }
        unsigned char byte = (unsigned char)*scanner->at;
        if (byte == '"') {
            scanner->at++;
            return true;
        }
        if (byte == '\\') {
            if (!skip_escape(scanner)) {
                return false;
            }
        } else if (byte < 0x20) {
            scanner->words = "found an unescaped control character";
            return false;
        } else {
            /* Text in other scripts comes in runs. */
            while (scanner->at < scanner->end && (unsigned char)*scanner->at >= 0x80) {
                size_t length = utf8_length(scanner->at, (size_t)(scanner->end - scanner->at));
                if (length == 0) {
                    scanner->words = "found a byte that is not UTF-8";
                    return false;
                }
                scanner->at += length;
            }
        }
    }
}

static size_t put_utf8(uint32_t code, char *target)
{
    if (code < 0x80) {
        target[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        target[0] = (char)(0xc0 | code >> 6);
        target[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        target[0] = (char)(0xe0 | code >> 12);
        target[1] = (char)(0x80 | (code >> 6 & 0x3f));
        target[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    target[0] = (char)(0xf0 | code >> 18);
    target[1] = (char)(0x80 | (code >> 12 & 0x3f));
    target[2] = (char)(0x80 | (code >> 6 & 0x3f));
    target[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* Decodes the valid escape at *at, moves behind it and returns how many bytes (1..4) it stands
 * for, or 0 for a surrogate without its partner. */
static size_t decode_escape(const char **at, const char *end, char ret_bytes[4])
{
    static const char from[] = "bfnrt";
    static const char to[] = "\b\f\n\r\t";
    char kind = (*at)[1];
    if (kind != 'u') {
        const char *found = strchr(from, kind);
        ret_bytes[0] = found == NULL ? kind : to[found - from];
        *at += 2;
        return 1;
    }
    uint32_t code = (uint32_t)hex_quad(*at + 2, end);
    *at += 6;
    if (code >= 0xd800 && code <= 0xdfff) {
        bool has_partner = code < 0xdc00 && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u';
        int partner = has_partner ? hex_quad(*at + 2, end) : -1;
        if (partner < 0xdc00 || partner > 0xdfff) {
            return 0;
        }
        code = 0x10000 + ((code - 0xd800) << 10) + ((uint32_t)partner - 0xdc00);
        *at += 6;
    }
    return put_utf8(code, ret_bytes);
}

enum ph_error scan_string(struct slice value, struct arena *arena, struct diag *diag,
                          struct slice *ret_text)
{
    if (value.len < 2 || value.ptr[0] != '"') {
        return diag_set(diag, PH_INVALID, "body", "expected a string");
    }
    struct scanner scanner = {.begin = value.ptr, .at = value.ptr, .end = value.ptr + value.len};
    if (!scan_skip_string(&scanner) || scanner.at != scanner.end) {
        return diag_set(diag, PH_INVALID, "body", "expected a string");
    }
    const char *at = value.ptr + 1;
    const char *end = scanner.end - 1;
    if (!scanner.has_escapes) {
        *ret_text = (struct slice){at, (size_t)(end - at)};
        return PH_OK;
    }
    char *text = arena_alloc(arena, (size_t)(end - at)); /* decoding never makes it longer */
    if (text == NULL) {
        return diag_set(diag, PH_NO_MEMORY, "body", "the text is larger than the limit");
    }
    size_t length = 0;
    while (at < end) {
        const char *backslash = memchr(at, '\\', (size_t)(end - at));
        size_t run = (size_t)((backslash == NULL ? end : backslash) - at);
        memcpy(text + length, at, run);
        length += run;
        at += run;
        if (backslash != NULL) {
            char bytes[4];
            size_t count = decode_escape(&at, end, bytes);
            if (count == 0) {
                enum ph_error error =
                    diag_set(diag, PH_INVALID, "body",
                             "a string has half of a surrogate pair (\\ud800 to \\udfff)");
                diag_code(diag, "value_error.jsondecode");
                return error;
            }
            memcpy(text + length, bytes, count);
            length += count;
        }
    }
    *ret_text = (struct slice){text, length};
    return PH_OK;
}

/* Whether an escaped key means `text`. */
static bool escaped_equals(struct slice key, struct slice text)
{
    const char *at = key.ptr;
    const char *end = key.ptr + key.len;
    size_t matched = 0;
    while (at < end) {
        char bytes[4] = {*at};
        size_t count = 1;
        if (*at == '\\') {
            count = decode_escape(&at, end, bytes);
        } else {
            at++;
        }
        if (count == 0 || text.len - matched < count ||
            memcmp(text.ptr + matched, bytes, count) != 0) {
            return false;
        }
        matched += count;
    }
    return matched == text.len;
}

const struct scan_member *scan_find(const struct scan_member *members, size_t count,
                                    const char *key)
{
    struct slice wanted = slice_of(key);
    for (size_t index = count; index > 0; index--) {
        const struct scan_member *member = &members[index - 1];
        if (member->key_has_escapes ? escaped_equals(member->key, wanted)
                                    : slice_equal(member->key, wanted)) {
            return member;
        }
    }
    return NULL;
}
