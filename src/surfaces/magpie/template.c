/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/magpie/template.h"

#include <stdio.h>

#include "core/scan.h"

/* What the original writes for null, as text. */
#define NULL_TEXT "None"
#define INTEGER_TEXT_MAX 24

static const char *const known_names[] = {
    "group.name",         "group.id",
    "user.name",          "user.id",
    "user.email",         "user.status",
    "resource.id",        "resource.type",
    "resource.name",      "resource.display_name",
    "service.name",       "service.type",
    "service.public_url", "service.sync_type",
    "permission.name",    "permission.access",
    "permission.scope",   "permission",
    "callback_url",
};

bool magpie_template_knows(struct slice name)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(known_names); index++) {
        if (slice_equal_text(name, known_names[index])) {
            return true;
        }
    }
    return false;
}

/* --- tokens ----------------------------------------------------------------------------------- */

/* The token that begins at `text`, with its braces; false when none of a known parameter does. */
static bool token_at(struct slice text, const struct magpie_parameters *parameters,
                     size_t *ret_length, const struct magpie_value **ret_value)
{
    if (text.len < 4 || text.ptr[0] != '{' || text.ptr[1] != '{') {
        return false;
    }
    for (size_t index = 0; index < parameters->count; index++) {
        struct slice name = slice_of(parameters->items[index].name);
        if (text.len >= name.len + 4 && memcmp(text.ptr + 2, name.ptr, name.len) == 0 &&
            text.ptr[name.len + 2] == '}' && text.ptr[name.len + 3] == '}') {
            *ret_length = name.len + 4;
            *ret_value = &parameters->items[index].value;
            return true;
        }
    }
    return false;
}

/* The value of a text that is one token and nothing else; NULL otherwise. */
static const struct magpie_value *lone_token(struct slice text,
                                             const struct magpie_parameters *parameters)
{
    size_t length;
    const struct magpie_value *value;
    return token_at(text, parameters, &length, &value) && length == text.len ? value : NULL;
}

static void append_value(const struct magpie_value *value, struct buf *text)
{
    switch (value->type) {
    case MAGPIE_STRING:
        buf_append_slice(text, value->text);
        return;
    case MAGPIE_INTEGER:
        buf_append_int64(text, value->number);
        return;
    case MAGPIE_NULL:
        buf_append_text(text, NULL_TEXT);
        return;
    }
}

/* Rules 2 and 3 of section 4: a text for a text. */
static void substitute(struct slice text, const struct magpie_parameters *parameters,
                       struct buf *ret_text)
{
    bool is_quoted = text.len >= 2 && (text.ptr[0] == '\'' || text.ptr[0] == '"') &&
                     text.ptr[text.len - 1] == text.ptr[0];
    if (is_quoted) {
        const struct magpie_value *value =
            lone_token((struct slice){text.ptr + 1, text.len - 2}, parameters);
        if (value != NULL && value->type != MAGPIE_STRING) {
            append_value(value, ret_text);
            return;
        }
    }
    size_t at = 0;
    while (at < text.len) {
        size_t length;
        const struct magpie_value *value;
        if (token_at((struct slice){text.ptr + at, text.len - at}, parameters, &length, &value)) {
            append_value(value, ret_text);
            at += length;
        } else {
            buf_append_byte(ret_text, text.ptr[at++]);
        }
    }
}

/* --- JSON as the original writes it ----------------------------------------------------------- */

/* One code point of valid UTF-8; *ret_length its bytes. */
static uint32_t code_point(const unsigned char *bytes, size_t *ret_length)
{
    if (bytes[0] < 0x80) {
        *ret_length = 1;
        return bytes[0];
    }
    *ret_length = bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : 4;
    uint32_t point = bytes[0] & (0xffu >> (*ret_length + 1));
    for (size_t index = 1; index < *ret_length; index++) {
        point = point << 6 | (bytes[index] & 0x3f);
    }
    return point;
}

static void append_escaped(uint32_t point, struct buf *json)
{
    static const char plain[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    const char *special = point < 0x80 && point != 0 ? strchr(plain, (int)point) : NULL;
    if (special != NULL) {
        buf_append_byte(json, '\\');
        buf_append_byte(json, letters[special - plain]);
    } else if (point >= 0x20 && point < 0x7f) {
        buf_append_byte(json, (char)point);
    } else if (point < 0x10000) {
        buf_append_format(json, "\\u%04x", point);
    } else {
        buf_append_format(json, "\\u%04x\\u%04x", 0xd800 + ((point - 0x10000) >> 10),
                          0xdc00 + ((point - 0x10000) & 0x3ff));
    }
}

static void append_string(struct slice text, struct buf *json)
{
    buf_append_byte(json, '"');
    for (size_t at = 0; at < text.len;) {
        size_t length;
        append_escaped(code_point((const unsigned char *)text.ptr + at, &length), json);
        at += length;
    }
    buf_append_byte(json, '"');
}

/* One rendering; the first fault sticks. */
struct rendering {
    const struct magpie_parameters *parameters;
    struct arena *arena;
    struct diag *diag;
    enum ph_error error;
    struct buf *json;
};

static void render_value(struct rendering *rendering, enum scan_type type, struct slice value);

/* The decoded text of a JSON string, with its tokens replaced, in the arena. */
static struct slice render_string(struct rendering *rendering, struct slice value)
{
    struct slice text;
    rendering->error = scan_string(value, rendering->arena, rendering->diag, &text);
    if (rendering->error != PH_OK) {
        return SLICE_NONE;
    }
    BUF_AUTO struct buf result;
    buf_init(&result, rendering->arena->max_bytes);
    substitute(text, rendering->parameters, &result);
    char *copy = result.failed ? NULL : arena_dup(rendering->arena, buf_slice(&result));
    if (copy == NULL) {
        rendering->error =
            diag_set(rendering->diag, PH_NO_MEMORY, NULL, "the payload is too large");
        return SLICE_NONE;
    }
    return (struct slice){copy, result.len};
}

static void render_scalar(struct rendering *rendering, enum scan_type type, struct slice value)
{
    if (type != SCAN_STRING) {
        buf_append_slice(rendering->json, value);
        return;
    }
    struct slice text;
    rendering->error = scan_string(value, rendering->arena, rendering->diag, &text);
    const struct magpie_value *lone =
        rendering->error == PH_OK ? lone_token(text, rendering->parameters) : NULL;
    if (lone != NULL && lone->type == MAGPIE_INTEGER) {
        buf_append_int64(rendering->json, lone->number);
    } else if (lone != NULL && lone->type == MAGPIE_NULL) {
        buf_append_text(rendering->json, "null");
    } else if (rendering->error == PH_OK) {
        text = render_string(rendering, value);
        if (rendering->error == PH_OK) {
            append_string(text, rendering->json);
        }
    }
}

struct member {
    struct slice key; /* rendered */
    enum scan_type type;
    struct slice value;
};

/* The members with their keys rendered; NULL at the arena's cap or for a broken key. */
static struct member *read_members(struct rendering *rendering, struct slice object,
                                   size_t *ret_count)
{
    struct scan_cursor cursor;
    struct scan_member member;
    size_t count = 0;
    scan_cursor_init(&cursor, object);
    while (scan_next_member(&cursor, &member)) {
        count++;
    }
    struct member *members = arena_calloc(rendering->arena, count + 1, sizeof *members);
    if (members == NULL) {
        rendering->error =
            diag_set(rendering->diag, PH_NO_MEMORY, NULL, "the payload is too large");
        return NULL;
    }
    scan_cursor_init(&cursor, object);
    for (size_t index = 0; rendering->error == PH_OK && scan_next_member(&cursor, &member);
         index++) {
        /* The quotes stand around the key. */
        struct slice quoted = {member.key.ptr - 1, member.key.len + 2};
        members[index] = (struct member){.type = member.type, .value = member.value};
        members[index].key = render_string(rendering, quoted);
    }
    *ret_count = count;
    return rendering->error == PH_OK ? members : NULL;
}

static void render_object(struct rendering *rendering, struct slice object)
{
    size_t count;
    const struct member *members = read_members(rendering, object, &count);
    bool is_first = true;
    buf_append_byte(rendering->json, '{');
    for (size_t index = 0; members != NULL && index < count; index++) {
        const struct member *last = &members[index];
        bool is_repeated = false;
        for (size_t other = 0; other < count; other++) {
            bool is_same = slice_equal(members[other].key, members[index].key);
            is_repeated = is_repeated || (is_same && other < index);
            last = is_same && other > index ? &members[other] : last;
        }
        if (!is_repeated) {
            buf_append_text(rendering->json, is_first ? "" : ", ");
            append_string(members[index].key, rendering->json);
            buf_append_text(rendering->json, ": ");
            render_value(rendering, last->type, last->value);
            is_first = false;
        }
    }
    buf_append_byte(rendering->json, '}');
}

static void render_array(struct rendering *rendering, struct slice array)
{
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    bool is_first = true;
    scan_cursor_init(&cursor, array);
    buf_append_byte(rendering->json, '[');
    while (rendering->error == PH_OK && scan_next_element(&cursor, &type, &value)) {
        buf_append_text(rendering->json, is_first ? "" : ", ");
        render_value(rendering, type, value);
        is_first = false;
    }
    buf_append_byte(rendering->json, ']');
}

static void render_value(struct rendering *rendering, enum scan_type type, struct slice value)
{
    if (rendering->error != PH_OK) {
        return;
    }
    if (type == SCAN_OBJECT) {
        render_object(rendering, value);
    } else if (type == SCAN_ARRAY) {
        render_array(rendering, value);
    } else {
        render_scalar(rendering, type, value);
    }
}

enum ph_error magpie_render_json(struct slice payload, const struct magpie_parameters *parameters,
                                 struct arena *arena, struct diag *diag, struct buf *ret_json)
{
    struct rendering rendering = {
        .parameters = parameters, .arena = arena, .diag = diag, .json = ret_json};
    enum scan_type type;
    struct slice value;
    size_t consumed;
    if (!scan_value(payload, &type, &value, &consumed)) {
        return diag_set(diag, PH_INVALID, "payload", "the payload is no JSON");
    }
    render_value(&rendering, type, value);
    if (rendering.error == PH_OK && ret_json->failed) {
        return diag_set(diag, PH_NO_MEMORY, NULL, "the payload is too large");
    }
    return rendering.error;
}

enum ph_error magpie_render_text(struct slice payload, const struct magpie_parameters *parameters,
                                 struct arena *arena, struct diag *diag, struct buf *ret_text)
{
    struct rendering rendering = {.parameters = parameters, .arena = arena, .diag = diag};
    if (payload.len == 0 || payload.ptr[0] != '"') {
        return diag_set(diag, PH_INVALID, "payload", "only a text can be sent in this format");
    }
    buf_append_slice(ret_text, render_string(&rendering, payload));
    return rendering.error;
}

/* --- names ------------------------------------------------------------------------------------ */

struct naming {
    struct arena *arena;
    void (*each)(void *context, struct slice name);
    void *context;
};

/* Spaces are none of a name's, but a token with some is meant to be one. */
static bool is_name_byte(char byte)
{
    return byte == ' ' || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '.';
}

static void name_text(const struct naming *naming, struct slice quoted)
{
    struct slice text;
    if (scan_string(quoted, naming->arena, NULL, &text) != PH_OK) {
        return;
    }
    for (size_t at = 0; at + 4 < text.len; at++) {
        size_t end = at + 2;
        if (text.ptr[at] != '{' || text.ptr[at + 1] != '{') {
            continue;
        }
        while (end < text.len && is_name_byte(text.ptr[end])) {
            end++;
        }
        if (end > at + 2 && end + 1 < text.len && text.ptr[end] == '}' &&
            text.ptr[end + 1] == '}') {
            naming->each(naming->context, (struct slice){text.ptr + at + 2, end - at - 2});
            at = end + 1;
        }
    }
}

static void name_value(const struct naming *naming, enum scan_type type, struct slice value)
{
    struct scan_cursor cursor;
    if (type == SCAN_STRING) {
        name_text(naming, value);
    } else if (type == SCAN_ARRAY) {
        struct slice element;
        scan_cursor_init(&cursor, value);
        while (scan_next_element(&cursor, &type, &element)) {
            name_value(naming, type, element);
        }
    } else if (type == SCAN_OBJECT) {
        struct scan_member member;
        scan_cursor_init(&cursor, value);
        while (scan_next_member(&cursor, &member)) {
            name_text(naming, (struct slice){member.key.ptr - 1, member.key.len + 2});
            name_value(naming, member.type, member.value);
        }
    }
}

void magpie_template_names(struct slice payload, struct arena *arena,
                           void (*each)(void *context, struct slice name), void *context)
{
    const struct naming naming = {arena, each, context};
    enum scan_type type;
    struct slice value;
    size_t consumed;
    if (scan_value(payload, &type, &value, &consumed)) {
        name_value(&naming, type, value);
    }
}
