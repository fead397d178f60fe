/* SPDX-License-Identifier: Apache-2.0 */
#include "core/url.h"

#include "core/url_int.h"

/* What the standard percent-encodes in each part, besides spaces, controls and bytes beyond
 * ASCII. */
#define ENCODED_IN_PATH "\"#<>?`{}"
#define ENCODED_IN_QUERY "\"#<>'"
#define ENCODED_IN_FRAGMENT "\"<>`"
#define ENCODED_IN_USERINFO ENCODED_IN_PATH "/:;=@[\\]^|"

static void append_encoded(struct buf *normal, struct slice part, const char *encoded)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t index = 0; index < part.len; index++) {
        unsigned char byte = (unsigned char)part.ptr[index];
        if (byte <= 0x20 || byte >= 0x7f || strchr(encoded, byte) != NULL) {
            const char escape[] = {'%', digits[byte >> 4], digits[byte & 15]};
            buf_append(normal, escape, sizeof escape);
        } else {
            buf_append_byte(normal, (char)byte);
        }
    }
}

/* Takes one dot, or %2e, off the front. */
static bool take_dot(struct slice *segment)
{
    size_t length = 0;
    if (segment->len >= 1 && segment->ptr[0] == '.') {
        length = 1;
    } else if (segment->len >= 3 &&
               slice_equal_nocase((struct slice){segment->ptr, 3}, SLICE_LITERAL("%2e"))) {
        length = 3;
    }
    segment->ptr += length;
    segment->len -= length;
    return length > 0;
}

/* 1 for `.`, 2 for `..`, else 0. */
static int dots_of(struct slice segment)
{
    int dots = 0;
    while (dots < 3 && take_dot(&segment)) {
        dots++;
    }
    return segment.len == 0 && dots < 3 ? dots : 0;
}

static void append_path(struct buf *normal, struct slice path)
{
    size_t start = normal->len;
    size_t index = 0;
    if (path.len > 0) {
        index = 1; /* the first slash */
    }
    for (;;) {
        size_t end = index;
        while (end < path.len && path.ptr[end] != '/' && path.ptr[end] != '\\') {
            end++;
        }
        struct slice segment = {path.len == 0 ? "" : path.ptr + index, end - index};
        bool is_last = end >= path.len;
        int dots = dots_of(segment);
        if (dots == 2 && !normal->failed) {
            /* One segment up: back to the slash before the last one. */
            while (normal->len > start && normal->data[--normal->len] != '/') {
            }
        }
        if (dots == 0) {
            buf_append_byte(normal, '/');
            append_encoded(normal, segment, ENCODED_IN_PATH);
        } else if (is_last) {
            buf_append_byte(normal, '/');
        }
        if (is_last) {
            break;
        }
        index = end + 1;
    }
}

/* The written parts of a URL, before any of them is judged. */
struct written {
    bool is_https;
    struct slice userinfo;
    struct slice host;
    struct slice port;
    struct slice path;
    struct slice query;
    struct slice fragment;
};

/* Cuts `*text` at the first `byte`; what follows goes to *ret_rest, SLICE_NONE without it. */
static void cut(struct slice *text, char byte, struct slice *ret_rest)
{
    size_t offset = slice_find(*text, byte);
    *ret_rest = SLICE_NONE;
    if (offset < text->len) {
        *ret_rest = (struct slice){text->ptr + offset + 1, text->len - offset - 1};
        text->len = offset;
    }
}

/* Words of what is wrong, or NULL. */
static const char *take_scheme(struct slice *text, bool *ret_is_https)
{
    static const char words[] = "must start with http:// or https://";
    size_t colon = slice_find(*text, ':');
    struct slice scheme = {text->ptr, colon};
    *ret_is_https = slice_equal_nocase(scheme, SLICE_LITERAL("https"));
    if (!*ret_is_https && !slice_equal_nocase(scheme, SLICE_LITERAL("http"))) {
        return words;
    }
    if (text->len < colon + 3 || memcmp(text->ptr + colon, "://", 3) != 0) {
        return words;
    }
    text->ptr += colon + 3;
    text->len -= colon + 3;
    return NULL;
}

static const char *split_written(struct slice text, struct written *ret_written)
{
    struct written written = {.userinfo = SLICE_NONE, .port = SLICE_NONE};
    const char *words = take_scheme(&text, &written.is_https);
    if (words != NULL) {
        return words;
    }
    cut(&text, '#', &written.fragment);
    cut(&text, '?', &written.query);
    size_t end = slice_find(text, '/');
    struct slice authority = {text.ptr, end};
    written.path = (struct slice){text.ptr + end, text.len - end};
    if (slice_find(authority, '\\') < authority.len) {
        return "has a backslash before the path";
    }
    for (size_t index = authority.len; index > 0; index--) {
        if (authority.ptr[index - 1] == '@') {
            written.userinfo = (struct slice){authority.ptr, index - 1};
            authority = (struct slice){authority.ptr + index, authority.len - index};
            break;
        }
    }
    written.host = authority;
    size_t host_end = 0;
    if (authority.len > 0 && authority.ptr[0] == '[') {
        host_end = slice_find(authority, ']');
        host_end += host_end < authority.len ? 1 : 0;
    } else {
        host_end = slice_find(authority, ':');
    }
    written.host.len = host_end;
    if (host_end < authority.len) {
        if (authority.ptr[host_end] != ':') {
            return "has something other than a port behind the IPv6 address";
        }
        written.port = (struct slice){authority.ptr + host_end + 1, authority.len - host_end - 1};
    }
    *ret_written = written;
    return NULL;
}

static void append_userinfo(struct buf *normal, struct slice userinfo)
{
    struct slice password;
    cut(&userinfo, ':', &password);
    if (userinfo.len == 0 && password.len == 0) {
        return;
    }
    append_encoded(normal, userinfo, ENCODED_IN_USERINFO);
    if (password.len > 0) {
        buf_append_byte(normal, ':');
        append_encoded(normal, password, ENCODED_IN_USERINFO);
    }
    buf_append_byte(normal, '@');
}

/* Words of what is wrong, or NULL. */
static const char *append_port(struct buf *normal, const struct written *written)
{
    int64_t port = 0;
    if (written->port.len == 0) {
        return NULL;
    }
    if (written->port.ptr[0] == '-' || !slice_to_int64(written->port, &port) || port < 1 ||
        port > 65535) {
        return "the port is not a number from 1 to 65535";
    }
    if (port != (written->is_https ? 443 : 80)) {
        buf_append_format(normal, ":%lld", (long long)port);
    }
    return NULL;
}

static const char *append_all(struct buf *normal, const struct written *written)
{
    const char *words = NULL;
    buf_append_text(normal, written->is_https ? "https://" : "http://");
    append_userinfo(normal, written->userinfo);
    if (!url_append_host(written->host, normal, &words)) {
        return words;
    }
    words = append_port(normal, written);
    if (words != NULL) {
        return words;
    }
    append_path(normal, written->path);
    if (written->query.ptr != NULL) {
        buf_append_byte(normal, '?');
        append_encoded(normal, written->query, ENCODED_IN_QUERY);
    }
    if (written->fragment.ptr != NULL) {
        buf_append_byte(normal, '#');
        append_encoded(normal, written->fragment, ENCODED_IN_FRAGMENT);
    }
    return NULL;
}

static const char *check_bytes(struct slice text)
{
    for (size_t index = 0; index < text.len; index++) {
        unsigned char byte = (unsigned char)text.ptr[index];
        if (byte < 0x20 || byte == 0x7f) {
            return "has a control character";
        }
    }
    return slice_is_utf8_text(text) ? NULL : "is not UTF-8 text";
}

enum ph_error url_normalise(struct slice text, const char *field, struct diag *diag,
                            struct buf *normal)
{
    text = slice_trim(text);
    if (text.len == 0 || text.len > URL_LENGTH_MAX) {
        return diag_set(diag, PH_INVALID, field, "a url has 1 to %d characters", URL_LENGTH_MAX);
    }
    struct written written;
    BUF_AUTO struct buf parts;
    buf_init(&parts, URL_LENGTH_MAX);
    const char *words = check_bytes(text);
    if (words == NULL) {
        words = split_written(text, &written);
    }
    if (words == NULL) {
        words = append_all(&parts, &written);
    }
    if (words != NULL) {
        return diag_set(diag, PH_INVALID, field, "not a valid url: %s", words);
    }
    if (parts.failed) {
        return diag_set(diag, PH_INVALID, field, "a url has at most %d characters when encoded",
                        URL_LENGTH_MAX);
    }
    buf_append_slice(normal, buf_slice(&parts));
    return PH_OK;
}

bool url_split(struct slice url, struct url_parts *ret_parts)
{
    struct written written;
    /* A normal form has no spaces: they are encoded. */
    if (url.len == 0 || check_bytes(url) != NULL || slice_find(url, ' ') < url.len ||
        split_written(url, &written) != NULL || written.host.len == 0 || written.path.len == 0) {
        return false;
    }
    struct url_parts parts = {
        .is_https = written.is_https,
        .port = written.is_https ? 443 : 80,
        .host = written.host,
        .path = written.path,
        .query = written.query,
        .fragment = written.fragment,
    };
    int64_t port;
    if (written.port.ptr != NULL) {
        if (!slice_to_int64(written.port, &port) || port < 1 || port > 65535) {
            return false;
        }
        parts.port = (uint16_t)port;
    }
    if (written.userinfo.ptr != NULL) {
        parts.username = written.userinfo;
        cut(&parts.username, ':', &parts.password);
    }
    if (parts.host.ptr[0] == '[') {
        if (parts.host.len < 3 || parts.host.ptr[parts.host.len - 1] != ']') {
            return false;
        }
        parts.host = (struct slice){parts.host.ptr + 1, parts.host.len - 2};
    }
    *ret_parts = parts;
    return true;
}

void url_append_decoded(struct slice part, struct buf *text)
{
    for (size_t index = 0; index < part.len; index++) {
        char byte = part.ptr[index];
        if (byte == '%' && part.len - index > 2) {
            int high = url_hex_digit(part.ptr[index + 1]);
            int low = url_hex_digit(part.ptr[index + 2]);
            if (high >= 0 && low >= 0) {
                byte = (char)(high << 4 | low);
                index += 2;
            }
        }
        buf_append_byte(text, byte);
    }
}

void url_redact(struct slice url, struct buf *text)
{
    struct url_parts parts;
    if (!url_split(url, &parts)) {
        buf_append_text(text, "(not a url)");
        return;
    }
    bool is_v6 = slice_find(parts.host, ':') < parts.host.len;
    buf_append_text(text, parts.is_https ? "https://" : "http://");
    buf_append_text(text, is_v6 ? "[" : "");
    buf_append_slice(text, parts.host);
    buf_append_text(text, is_v6 ? "]" : "");
    if (parts.port != (parts.is_https ? 443 : 80)) {
        buf_append_format(text, ":%u", (unsigned)parts.port);
    }
    buf_append_slice(text, parts.path);
}
