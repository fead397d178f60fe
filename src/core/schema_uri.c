/* SPDX-License-Identifier: Apache-2.0 */
#include "core/schema_uri.h"

#include <string.h>

/* Slices into a text; SLICE_NONE when absent. */
struct parts {
    struct slice scheme;    /* with its colon */
    struct slice authority; /* with its slashes */
    struct slice path;
    struct slice query; /* with its question mark */
};

static bool is_alpha(char byte)
{
    char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'z';
}

static struct slice take(struct slice *rest, size_t length)
{
    struct slice taken = {rest->ptr, length};
    rest->ptr += length;
    rest->len -= length;
    return taken;
}

static size_t scheme_length(struct slice text)
{
    for (size_t at = 0; at < text.len; at++) {
        char byte = text.ptr[at];
        if (byte == ':') {
            return at > 0 ? at + 1 : 0;
        }
        bool is_later = (byte >= '0' && byte <= '9') || byte == '+' || byte == '-' || byte == '.';
        if (!is_alpha(byte) && (at == 0 || !is_later)) {
            return 0;
        }
    }
    return 0;
}

static size_t length_until(struct slice text, const char *ends)
{
    size_t at = 0;
    while (at < text.len && strchr(ends, text.ptr[at]) == NULL) {
        at++;
    }
    return at;
}

/* `text` has no fragment. */
static struct parts split(struct slice text)
{
    struct parts parts = {.scheme = SLICE_NONE};
    size_t scheme = scheme_length(text);
    if (scheme > 0) {
        parts.scheme = take(&text, scheme);
    }
    if (slice_starts_with(text, "//")) {
        struct slice behind = {text.ptr + 2, text.len - 2};
        parts.authority = take(&text, 2 + length_until(behind, "/?"));
    }
    parts.path = take(&text, length_until(text, "?"));
    if (text.len > 0) {
        parts.query = text;
    }
    return parts;
}

static void append(struct buf *text, struct slice part)
{
    if (part.ptr != NULL) {
        buf_append_slice(text, part);
    }
}

/* Drops the last segment and its slash from what was appended since `start`. */
static void drop_segment(struct buf *text, size_t start)
{
    while (text->len > start && text->data[text->len - 1] != '/') {
        text->len--;
    }
    text->len -= text->len > start;
}

/* Appends a path without its `.` and `..` (section 5.2.4). */
static void append_path(struct buf *text, struct slice path)
{
    size_t start = text->len;
    bool is_absolute = path.len > 0 && path.ptr[0] == '/';
    struct slice rest = is_absolute ? (struct slice){path.ptr + 1, path.len - 1} : path;
    struct slice segment;
    bool is_first = !is_absolute;
    while (slice_next(&rest, '/', &segment)) {
        bool is_last = rest.ptr == NULL;
        if (slice_equal_text(segment, "..")) {
            drop_segment(text, start);
        }
        if (slice_equal_text(segment, "..") || slice_equal_text(segment, ".")) {
            buf_append_text(text, is_last ? "/" : "");
            continue;
        }
        buf_append_text(text, is_first ? "" : "/");
        buf_append_slice(text, segment);
        is_first = false;
    }
}

/* The base's path up to its last slash, then the reference's. */
static void append_merged(struct buf *text, const struct parts *base, struct slice path)
{
    BUF_AUTO struct buf merged;
    buf_init(&merged, 2 * SCHEMA_URI_MAX);
    size_t keep = base->path.len;
    while (keep > 0 && base->path.ptr[keep - 1] != '/') {
        keep--;
    }
    if (base->authority.ptr != NULL && base->path.len == 0) {
        buf_append_byte(&merged, '/');
    }
    buf_append_slice(&merged, (struct slice){base->path.ptr, keep});
    buf_append_slice(&merged, path);
    append_path(text, buf_slice(&merged));
    text->failed = text->failed || merged.failed;
}

void schema_uri_resolve(struct slice base, struct slice reference, struct buf *uri,
                        struct slice *ret_fragment)
{
    size_t hash = slice_find(reference, '#');
    *ret_fragment = SLICE_NONE;
    if (hash < reference.len) {
        *ret_fragment = (struct slice){reference.ptr + hash + 1, reference.len - hash - 1};
    }
    struct parts relative = split((struct slice){reference.ptr, hash});
    struct parts from = split(base);
    if (hash == 0) {
        append(uri, base);
        return;
    }
    if (relative.scheme.ptr != NULL) {
        append(uri, (struct slice){reference.ptr, hash});
        return;
    }
    append(uri, from.scheme);
    if (relative.authority.ptr != NULL) {
        append(uri, relative.authority);
        append_path(uri, relative.path);
        append(uri, relative.query);
        return;
    }
    append(uri, from.authority);
    if (relative.path.len == 0) {
        append(uri, from.path);
        append(uri, relative.query.ptr != NULL ? relative.query : from.query);
        return;
    }
    if (relative.path.ptr[0] == '/') {
        append_path(uri, relative.path);
    } else {
        append_merged(uri, &from, relative.path);
    }
    append(uri, relative.query);
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    char lower = (char)(digit | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The next byte, %XX taken as one. */
static char take_byte(struct slice *rest)
{
    if (rest->ptr[0] == '%' && rest->len > 2 && hex_value(rest->ptr[1]) >= 0 &&
        hex_value(rest->ptr[2]) >= 0) {
        struct slice digits = take(rest, 3);
        return (char)(hex_value(digits.ptr[1]) * 16 + hex_value(digits.ptr[2]));
    }
    return take(rest, 1).ptr[0];
}

void schema_uri_decode(struct slice text, bool is_pointer, struct buf *decoded)
{
    while (text.len > 0) {
        char byte = take_byte(&text);
        if (is_pointer && byte == '~' && text.len > 0) {
            struct slice behind = text;
            char kind = take_byte(&behind);
            if (kind == '0' || kind == '1') {
                byte = kind == '1' ? '/' : '~';
                text = behind;
            }
        }
        buf_append_byte(decoded, byte);
    }
}
