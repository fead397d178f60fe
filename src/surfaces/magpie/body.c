/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/magpie/body.h"

#include <stdarg.h>

#include "base/json_out.h"
#include "http/decode.h"

#define MEMBERS_MAX 64
#define TEXT_JSON_MAX ((size_t)64 * 1024)

void magpie_body_refuse(struct magpie_body *body, enum ph_error error, const char *name,
                        const char *format, ...)
{
    if (body->error != PH_OK) {
        return;
    }
    char words[sizeof body->diag->text];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    body->error = diag_set(body->diag, error, name, "%s", words);
}

static void no_memory(struct magpie_body *body)
{
    magpie_body_refuse(body, PH_NO_MEMORY, NULL, "the request needs more memory than its limit");
}

static void refuse_type(struct magpie_body *body, const char *name, const char *expected)
{
    magpie_body_refuse(body, body->type_error, name, "%s is to be %s", name, expected);
}

enum ph_error magpie_body_end(const struct magpie_body *body)
{
    return body->error;
}

/* --- opening ---------------------------------------------------------------------------------- */

static void open_form(struct magpie_body *body, struct slice text)
{
    struct slice rest = text;
    struct slice pair;
    body->fields = arena_calloc(body->arena, MEMBERS_MAX, sizeof body->fields[0]);
    if (body->fields == NULL) {
        no_memory(body);
        return;
    }
    while (slice_next(&rest, '&', &pair)) {
        struct magpie_field *field = &body->fields[body->count];
        size_t sign = slice_find(pair, '=');
        struct slice name = {pair.ptr, sign};
        struct slice value = {pair.ptr + sign, 0};
        if (pair.len == 0) {
            continue;
        }
        if (sign < pair.len) {
            value = (struct slice){pair.ptr + sign + 1, pair.len - sign - 1};
        }
        if (body->count == MEMBERS_MAX) {
            magpie_body_refuse(body, PH_BAD_REQUEST, "body", "the form has too many fields");
            return;
        }
        if (!http_decode(name, true, body->arena, &field->name) ||
            !http_decode(value, true, body->arena, &field->value)) {
            magpie_body_refuse(body, PH_BAD_REQUEST, "body", "the form cannot be decoded");
            return;
        }
        body->count++;
    }
}

static void open_json(struct magpie_body *body, struct slice text)
{
    struct diag diag;
    body->members = arena_calloc(body->arena, MEMBERS_MAX, sizeof body->members[0]);
    if (body->members == NULL) {
        no_memory(body);
        return;
    }
    if (scan_object(text, body->members, MEMBERS_MAX, &body->count, &diag, NULL) != PH_OK) {
        body->count = 0;
        magpie_body_refuse(body, PH_BAD_REQUEST, "body", "the body is no JSON object: %s",
                           diag.text);
    }
}

void magpie_body_open(struct magpie_body *body, struct slice content_type, struct slice text,
                      enum ph_error type_error, struct arena *arena, struct diag *diag)
{
    *body = (struct magpie_body){.arena = arena, .diag = diag, .type_error = type_error};
    size_t end = slice_find(content_type, ';');
    struct slice type = slice_trim((struct slice){content_type.ptr, end});
    struct slice content = slice_trim(text);
    body->is_form = slice_equal_nocase(type, SLICE_LITERAL("application/x-www-form-urlencoded")) &&
                    !slice_starts_with(content, "{");
    if (content.len == 0) {
        return;
    }
    if (body->is_form) {
        open_form(body, text);
    } else {
        open_json(body, text);
    }
}

void magpie_body_open_object(struct magpie_body *body, struct slice json, struct arena *arena,
                             struct diag *diag)
{
    *body = (struct magpie_body){.arena = arena, .diag = diag, .type_error = PH_INVALID};
    open_json(body, json);
}

/* --- values ----------------------------------------------------------------------------------- */

static const struct scan_member *find_member(const struct magpie_body *body, const char *name)
{
    return body->is_form || body->count == 0 ? NULL : scan_find(body->members, body->count, name);
}

/* The last of that name; SLICE_NONE when there is none. */
static struct slice find_field(const struct magpie_body *body, const char *name)
{
    for (size_t index = body->is_form ? body->count : 0; index-- > 0;) {
        if (slice_equal_text(body->fields[index].name, name)) {
            return body->fields[index].value;
        }
    }
    return SLICE_NONE;
}

static void decode(struct magpie_body *body, const char *name, struct slice json,
                   struct slice *ret_text)
{
    enum ph_error error = scan_string(json, body->arena, body->diag, ret_text);
    if (error == PH_NO_MEMORY) {
        no_memory(body);
    } else if (error != PH_OK || memchr(ret_text->ptr, '\0', ret_text->len) != NULL) {
        refuse_type(body, name, "a text of Unicode characters");
    }
    if (body->error != PH_OK) {
        *ret_text = SLICE_NONE;
    }
}

enum magpie_given magpie_body_text(struct magpie_body *body, const char *name,
                                   struct slice *ret_text)
{
    *ret_text = find_field(body, name);
    if (ret_text->ptr != NULL) {
        return MAGPIE_GIVEN;
    }
    const struct scan_member *member = find_member(body, name);
    if (member == NULL) {
        return MAGPIE_ABSENT;
    }
    if (member->type == SCAN_NULL) {
        return MAGPIE_GIVEN_NULL;
    }
    if (member->type != SCAN_STRING) {
        refuse_type(body, name, "a text");
        return MAGPIE_ABSENT;
    }
    decode(body, name, member->value, ret_text);
    return ret_text->ptr == NULL ? MAGPIE_ABSENT : MAGPIE_GIVEN;
}

struct slice magpie_body_required(struct magpie_body *body, const char *name)
{
    struct slice text;
    (void)magpie_body_text(body, name, &text);
    if (text.len == 0) {
        magpie_body_refuse(body, PH_BAD_REQUEST, name, "%s is missing", name);
    }
    return text;
}

enum magpie_given magpie_body_value(struct magpie_body *body, const char *name,
                                    enum scan_type *ret_type, struct slice *ret_json)
{
    struct slice field = find_field(body, name);
    *ret_json = SLICE_NONE;
    if (field.ptr != NULL) {
        BUF_AUTO struct buf json;
        struct json_out out;
        buf_init(&json, TEXT_JSON_MAX);
        json_out_init(&out, &json);
        json_out_string(&out, field);
        struct slice text = buf_slice(&json);
        text.ptr = json.failed ? NULL : arena_dup(body->arena, text);
        if (text.ptr == NULL) {
            no_memory(body);
            return MAGPIE_ABSENT;
        }
        *ret_type = SCAN_STRING;
        *ret_json = text;
        return MAGPIE_GIVEN;
    }
    const struct scan_member *member = find_member(body, name);
    if (member == NULL) {
        return MAGPIE_ABSENT;
    }
    *ret_type = member->type;
    *ret_json = member->value;
    return member->type == SCAN_NULL ? MAGPIE_GIVEN_NULL : MAGPIE_GIVEN;
}

enum magpie_given magpie_body_number(struct magpie_body *body, const char *name,
                                     int64_t *ret_number)
{
    struct slice text = find_field(body, name);
    const struct scan_member *member = find_member(body, name);
    *ret_number = 0;
    if (text.ptr == NULL && member == NULL) {
        return MAGPIE_ABSENT;
    }
    if (member != NULL && member->type == SCAN_NULL) {
        return MAGPIE_GIVEN_NULL;
    }
    if (member != NULL && member->type == SCAN_STRING) {
        decode(body, name, member->value, &text);
    } else if (member != NULL && member->type == SCAN_NUMBER) {
        text = member->value;
    }
    bool is_digits = text.ptr != NULL && text.len > 0 && text.ptr[0] >= '0' && text.ptr[0] <= '9';
    if (!is_digits || !slice_to_int64(text, ret_number)) {
        *ret_number = 0;
        refuse_type(body, name, "a whole number");
        return MAGPIE_ABSENT;
    }
    return MAGPIE_GIVEN;
}

enum magpie_given magpie_body_bool(struct magpie_body *body, const char *name, bool *ret_value)
{
    struct slice text = find_field(body, name);
    const struct scan_member *member = find_member(body, name);
    *ret_value = false;
    if (text.ptr == NULL && member == NULL) {
        return MAGPIE_ABSENT;
    }
    if (member != NULL && member->type == SCAN_NULL) {
        return MAGPIE_GIVEN_NULL;
    }
    if (member != NULL && (member->type == SCAN_TRUE || member->type == SCAN_FALSE)) {
        *ret_value = member->type == SCAN_TRUE;
        return MAGPIE_GIVEN;
    }
    if (member != NULL && member->type == SCAN_STRING) {
        decode(body, name, member->value, &text);
    }
    *ret_value = slice_equal_nocase(text, SLICE_LITERAL("true"));
    if (!*ret_value && !slice_equal_nocase(text, SLICE_LITERAL("false"))) {
        refuse_type(body, name, "true or false");
        return MAGPIE_ABSENT;
    }
    return MAGPIE_GIVEN;
}

enum magpie_given magpie_body_object(struct magpie_body *body, const char *name,
                                     struct slice *ret_json)
{
    struct slice text = find_field(body, name);
    const struct scan_member *member = find_member(body, name);
    enum scan_type type = SCAN_NULL;
    *ret_json = SLICE_NONE;
    if (text.ptr == NULL && member == NULL) {
        return MAGPIE_ABSENT;
    }
    if (member != NULL) {
        type = member->type;
        text = member->value;
        if (type == SCAN_NULL) {
            return MAGPIE_GIVEN_NULL;
        }
    } else if (scan_document(text, &type, NULL, NULL) != PH_OK) {
        type = SCAN_NULL;
    }
    if (type != SCAN_OBJECT) {
        refuse_type(body, name, "a JSON object");
        return MAGPIE_ABSENT;
    }
    *ret_json = slice_trim(text);
    return MAGPIE_GIVEN;
}
