/* SPDX-License-Identifier: Apache-2.0 */
#include "api/input.h"

#include <stdarg.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "core/name.h"

#define CHANNELS_MAX 10
#define DECODE_CODE "value_error.jsondecode"

/* --- errors ------------------------------------------------------------------------------------
 */

static void no_memory(struct input *input)
{
    if (input->error == PH_OK) {
        input->error = diag_set(input->diag, PH_NO_MEMORY, NULL,
                                "the request needs more memory than its limit");
    }
}

/* Does not decode: the location has the JSON name. */
PH_PRINTF(3, 4)
static void refuse_shape(struct input *input, const char *name, const char *format, ...)
{
    if (input->error != PH_OK) {
        return;
    }
    char words[sizeof input->diag->text];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    char field[sizeof input->diag->field];
    (void)snprintf(field, sizeof field, "%s.%s", input->path, name);
    input->error = diag_set(input->diag, PH_INVALID, field, "%s", words);
    diag_code(input->diag, DECODE_CODE);
}

static void refuse_type(struct input *input, const char *name, enum scan_type type,
                        const char *expected)
{
    refuse_shape(input, name, "invalid type: %s, expected %s", scan_type_name(type), expected);
}

void input_refuse(struct input *input, const char *field, const char *format, ...)
{
    if (input->error != PH_OK) {
        return;
    }
    char words[sizeof input->diag->text];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    char whole[sizeof input->diag->field];
    (void)snprintf(whole, sizeof whole, "%s.%s", input->path, field);
    input->error = diag_set(input->diag, PH_INVALID, whole, "%s", words);
}

void input_note(struct input *input, enum ph_error error)
{
    if (input->error == PH_OK) {
        input->error = error;
    }
}

const char *input_field(struct input *input, const char *field)
{
    size_t length = strlen(input->path) + strlen(field) + 2;
    char *whole = arena_alloc(input->arena, length);
    if (whole == NULL) {
        no_memory(input);
        return field;
    }
    (void)snprintf(whole, length, "%s.%s", input->path, field);
    return whole;
}

/* --- opening ------------------------------------------------------------------------------------
 */

static void open_object(struct input *input, struct slice text)
{
    if (input->members == NULL) {
        input->members = arena_alloc(input->arena, INPUT_MEMBERS_MAX * sizeof input->members[0]);
    }
    if (input->members == NULL) {
        no_memory(input);
        return;
    }
    input->error =
        scan_object(text, input->members, INPUT_MEMBERS_MAX, &input->count, input->diag, NULL);
    if (input->error != PH_OK) {
        input->count = 0;
    }
}

void input_open(struct input *input, struct slice body, struct arena *arena, struct diag *diag)
{
    *input = (struct input){.arena = arena, .path = "body", .diag = diag};
    open_object(input, body);
}

void input_open_optional(struct input *input, struct slice body, struct arena *arena,
                         struct diag *diag)
{
    input_open(input, slice_trim(body).len == 0 ? SLICE_LITERAL("{}") : body, arena, diag);
}

enum ph_error input_end(const struct input *input)
{
    return input->error;
}

const struct scan_member *input_find(const struct input *input, const char *name)
{
    return scan_find(input->members, input->count, name);
}

/* The member when it holds a value that `need` allows. */
static enum input_state look_up(struct input *input, const char *name, enum input_need need,
                                const char *expected, const struct scan_member **ret_member)
{
    const struct scan_member *member = input_find(input, name);
    if (member == NULL) {
        if (need == INPUT_REQUIRED) {
            refuse_shape(input, name, "missing field `%s`", name);
        }
        return INPUT_ABSENT;
    }
    if (member->type == SCAN_NULL) {
        if (need == INPUT_REQUIRED || need == INPUT_NOT_NULL) {
            refuse_type(input, name, SCAN_NULL, expected);
        }
        return need == INPUT_NULLABLE ? INPUT_NULL : INPUT_ABSENT;
    }
    *ret_member = member;
    return INPUT_VALUE;
}

enum input_state input_open_nested(struct input *parent, const char *name, enum input_need need,
                                   struct input *ret_nested)
{
    *ret_nested = (struct input){
        .arena = parent->arena, .path = parent->path, .diag = parent->diag, .error = parent->error};
    struct slice json;
    enum input_state state = input_raw(parent, name, need, SCAN_OBJECT, &json);
    if (state == INPUT_VALUE) {
        ret_nested->path = input_field(parent, name);
        ret_nested->error = parent->error;
        if (parent->error == PH_OK) {
            open_object(ret_nested, json);
        }
    }
    return state;
}

void input_close_nested(struct input *parent, const struct input *nested)
{
    input_note(parent, nested->error);
}

/* --- one value
 * ------------------------------------------------------------------------------------ */

/* Decodes a text value; `field` and `name` say where it stands. */
static bool read_text(struct input *input, const char *name, const char *field, enum scan_type type,
                      struct slice value, struct slice *ret_text)
{
    if (type != SCAN_STRING) {
        refuse_type(input, name, type, "a string");
        return false;
    }
    struct diag diag;
    enum ph_error error = scan_string(value, input->arena, &diag, ret_text);
    if (error == PH_NO_MEMORY) {
        no_memory(input);
        return false;
    }
    if (error != PH_OK) {
        refuse_shape(input, name, "%s", diag.text);
        return false;
    }
    if (ret_text->len > 0 && memchr(ret_text->ptr, '\0', ret_text->len) != NULL) {
        input_refuse(input, field, "must not have NUL characters");
        return false;
    }
    return true;
}

enum input_state input_string(struct input *input, const char *name, enum input_need need,
                              const char *field, struct slice *ret_text)
{
    *ret_text = SLICE_NONE;
    const struct scan_member *member;
    enum input_state state = look_up(input, name, need, "a string", &member);
    if (state != INPUT_VALUE) {
        return state;
    }
    struct slice text;
    if (!read_text(input, name, field, member->type, member->value, &text)) {
        return INPUT_ABSENT;
    }
    *ret_text = text;
    return INPUT_VALUE;
}

enum input_state input_int(struct input *input, const char *name, enum input_need need,
                           int64_t minimum, int64_t maximum, int64_t *ret_value)
{
    *ret_value = 0;
    const struct scan_member *member;
    enum input_state state = look_up(input, name, need, "an integer", &member);
    if (state != INPUT_VALUE) {
        return state;
    }
    if (member->type != SCAN_NUMBER) {
        refuse_type(input, name, member->type, "an integer");
        return INPUT_ABSENT;
    }
    int64_t value;
    if (!scan_int64(member->value, &value) || value < minimum || value > maximum) {
        refuse_shape(input, name, "invalid value: %.*s, expected an integer of %lld to %lld",
                     (int)(member->value.len > 40 ? 40 : member->value.len), member->value.ptr,
                     (long long)minimum, (long long)maximum);
        return INPUT_ABSENT;
    }
    *ret_value = value;
    return INPUT_VALUE;
}

enum input_state input_bool(struct input *input, const char *name, enum input_need need,
                            bool *ret_value)
{
    *ret_value = false;
    const struct scan_member *member;
    enum input_state state = look_up(input, name, need, "a boolean", &member);
    if (state != INPUT_VALUE) {
        return state;
    }
    if (member->type != SCAN_TRUE && member->type != SCAN_FALSE) {
        refuse_type(input, name, member->type, "a boolean");
        return INPUT_ABSENT;
    }
    *ret_value = member->type == SCAN_TRUE;
    return INPUT_VALUE;
}

enum input_state input_time(struct input *input, const char *name, enum input_need need,
                            int64_t *ret_wall_us)
{
    *ret_wall_us = 0;
    struct slice text;
    enum input_state state = input_string(input, name, need, name, &text);
    if (state != INPUT_VALUE) {
        return state;
    }
    int64_t wall_us;
    if (!clock_parse(text, &wall_us)) {
        refuse_shape(input, name, "expected an RFC 3339 date and time");
        return INPUT_ABSENT;
    }
    *ret_wall_us = wall_us;
    return INPUT_VALUE;
}

enum input_state input_raw(struct input *input, const char *name, enum input_need need,
                           enum scan_type type, struct slice *ret_json)
{
    static const char *const words[] = {
        [SCAN_OBJECT] = "an object", [SCAN_ARRAY] = "an array", [SCAN_STRING] = "a string",
        [SCAN_NUMBER] = "a number",  [SCAN_TRUE] = "a boolean", [SCAN_FALSE] = "a boolean",
        [SCAN_NULL] = "a null",
    };
    PH_ASSERT((unsigned)type < PH_ARRAY_LENGTH(words));
    *ret_json = SLICE_NONE;
    const char *expected = words[type];
    const struct scan_member *member;
    enum input_state state = look_up(input, name, need, expected, &member);
    if (state != INPUT_VALUE) {
        return state;
    }
    if (member->type != type) {
        refuse_type(input, name, member->type, expected);
        return INPUT_ABSENT;
    }
    *ret_json = member->value;
    return INPUT_VALUE;
}

/* --- several values
 * --------------------------------------------------------------------------------- */

static size_t count_elements(struct slice json)
{
    struct scan_cursor cursor;
    scan_cursor_init(&cursor, json);
    size_t count = 0;
    enum scan_type type;
    struct slice value;
    while (scan_next_element(&cursor, &type, &value)) {
        count++;
    }
    return count;
}

enum input_state input_strings(struct input *input, const char *name, enum input_need need,
                               const char *field, size_t max, struct slice **ret_texts,
                               size_t *ret_count)
{
    *ret_texts = NULL;
    *ret_count = 0;
    struct slice json;
    enum input_state state = input_raw(input, name, need, SCAN_ARRAY, &json);
    if (state != INPUT_VALUE) {
        return state;
    }
    size_t count = count_elements(json);
    if (count > max) {
        input_refuse(input, field, "must have at most %zu items", max);
        return INPUT_ABSENT;
    }
    struct slice *texts = arena_calloc(input->arena, count, sizeof *texts);
    if (texts == NULL) {
        no_memory(input);
        return INPUT_ABSENT;
    }
    struct scan_cursor cursor;
    scan_cursor_init(&cursor, json);
    for (size_t index = 0; index < count; index++) {
        enum scan_type type;
        struct slice value;
        PH_ASSERT(scan_next_element(&cursor, &type, &value));
        char where[64];
        (void)snprintf(where, sizeof where, "%s.[%zu]", name, index);
        if (!read_text(input, where, where, type, value, &texts[index])) {
            return INPUT_ABSENT;
        }
    }
    *ret_texts = texts;
    *ret_count = count;
    return INPUT_VALUE;
}

enum input_state input_objects_open(struct input *parent, const char *name, enum input_need need,
                                    size_t max, struct input_objects *ret_objects)
{
    struct slice json;
    *ret_objects = (struct input_objects){.parent = parent, .name = name};
    enum input_state state = input_raw(parent, name, need, SCAN_ARRAY, &json);
    if (state != INPUT_VALUE) {
        return state;
    }
    ret_objects->count = count_elements(json);
    if (ret_objects->count > max) {
        input_refuse(parent, name, "must have at most %zu items", max);
        return INPUT_ABSENT;
    }
    scan_cursor_init(&ret_objects->cursor, json);
    return INPUT_VALUE;
}

bool input_objects_next(struct input_objects *objects)
{
    struct input *parent = objects->parent;
    enum scan_type type;
    struct slice value;
    input_note(parent, objects->item.error);
    if (parent->error != PH_OK || !scan_next_element(&objects->cursor, &type, &value)) {
        return false;
    }
    char where[INPUT_PATH_MAX];
    (void)snprintf(where, sizeof where, "%s.[%zu]", objects->name, objects->index++);
    if (type != SCAN_OBJECT) {
        refuse_type(parent, where, type, "an object");
        return false;
    }
    int length = snprintf(objects->path, sizeof objects->path, "%s.%s", parent->path, where);
    PH_ASSERT(length > 0 && (size_t)length < sizeof objects->path); /* names are ours, and short */
    objects->item = (struct input){
        .members = objects->item.members,
        .arena = parent->arena,
        .path = objects->path,
        .diag = parent->diag,
    };
    open_object(&objects->item, value);
    return true;
}

struct pair {
    struct slice key;
    struct slice value;
};

/* Keeps the place of the first of equal keys and the value of the last. */
static void put_pair(struct pair *pairs, size_t *count, struct pair pair)
{
    for (size_t index = 0; index < *count; index++) {
        if (slice_equal(pairs[index].key, pair.key)) {
            pairs[index].value = pair.value;
            return;
        }
    }
    pairs[(*count)++] = pair;
}

/* Metadata within its limit has fewer members than this: each needs six bytes at least. */
#define METADATA_PAIRS_MAX (INPUT_METADATA_MAX / 6 + 1)

static bool read_pairs(struct input *input, const char *name, struct slice json, struct pair *pairs,
                       size_t *ret_count)
{
    struct scan_cursor cursor;
    scan_cursor_init(&cursor, json);
    struct scan_member member;
    size_t count = 0;
    while (scan_next_member(&cursor, &member)) {
        struct slice quoted = {member.key.ptr - 1, member.key.len + 2};
        struct pair pair;
        struct diag diag;
        enum ph_error error = scan_string(quoted, input->arena, &diag, &pair.key);
        if (error == PH_OK && member.type != SCAN_STRING) {
            refuse_type(input, name, member.type, "a string");
            return false;
        }
        if (error == PH_OK) {
            error = scan_string(member.value, input->arena, &diag, &pair.value);
        }
        if (error == PH_NO_MEMORY) {
            no_memory(input);
            return false;
        }
        if (error != PH_OK) {
            refuse_shape(input, name, "%s", diag.text);
            return false;
        }
        if (count == METADATA_PAIRS_MAX) {
            input_refuse(input, name, "must be at most %d bytes of JSON", INPUT_METADATA_MAX);
            return false;
        }
        put_pair(pairs, &count, pair);
    }
    *ret_count = count;
    return true;
}

static void write_pairs(struct input *input, const char *name, const struct pair *pairs,
                        size_t count, struct slice *ret_json)
{
    BUF_AUTO struct buf text;
    buf_init(&text, INPUT_METADATA_MAX);
    struct json_out out;
    json_out_init(&out, &text);
    buf_append_byte(&text, '{');
    for (size_t index = 0; index < count; index++) {
        if (index > 0) {
            buf_append_byte(&text, ',');
        }
        json_out_init(&out, &text);
        json_out_string(&out, pairs[index].key);
        buf_append_byte(&text, ':');
        json_out_init(&out, &text);
        json_out_string(&out, pairs[index].value);
    }
    buf_append_byte(&text, '}');
    if (text.failed) {
        input_refuse(input, name, "must be at most %d bytes of JSON", INPUT_METADATA_MAX);
        return;
    }
    char *copy = arena_dup(input->arena, buf_slice(&text));
    if (copy == NULL) {
        no_memory(input);
        return;
    }
    *ret_json = (struct slice){copy, text.len};
}

enum input_state input_metadata(struct input *input, const char *name, enum input_need need,
                                struct slice *ret_json)
{
    *ret_json = SLICE_LITERAL("{}");
    struct slice json;
    enum input_state state = input_raw(input, name, need, SCAN_OBJECT, &json);
    if (state != INPUT_VALUE) {
        return state;
    }
    struct pair *pairs = arena_alloc(input->arena, METADATA_PAIRS_MAX * sizeof *pairs);
    if (pairs == NULL) {
        no_memory(input);
        return INPUT_ABSENT;
    }
    size_t count;
    if (!read_pairs(input, name, json, pairs, &count)) {
        return INPUT_ABSENT;
    }
    write_pairs(input, name, pairs, count, ret_json);
    return INPUT_VALUE;
}

/* --- common fields
 * ----------------------------------------------------------------------------------- */

enum input_state input_uid(struct input *input, enum input_need need, int kind,
                           struct slice *ret_uid)
{
    enum input_state state = input_string(input, "uid", need, "uid", ret_uid);
    if (state == INPUT_VALUE && input->error == PH_OK) {
        input_note(input, name_check_uid(*ret_uid, (enum id_kind)kind, input_field(input, "uid"),
                                         input->diag));
    }
    return state;
}

static enum input_state read_rate(struct input *input, const char *name, const char *field,
                                  enum input_need need, int64_t *ret_rate)
{
    enum input_state state = input_int(input, name, need, 0, UINT16_MAX, ret_rate);
    if (state == INPUT_VALUE && *ret_rate == 0) {
        input_refuse(input, field, "must be at least 1");
    }
    return state;
}

enum input_state input_throttle_rate(struct input *input, enum input_need need, int64_t *ret_rate)
{
    int64_t former;
    enum input_state state = read_rate(input, "throttleRate", "throttle_rate", need, ret_rate);
    enum input_state former_state = read_rate(input, "rateLimit", "rate_limit", need, &former);
    if (state != INPUT_ABSENT) {
        return state; /* the former name was only checked */
    }
    *ret_rate = former;
    return former_state;
}

struct slice input_names_json(struct input *input, const struct slice *names, size_t count)
{
    BUF_AUTO struct buf text;
    buf_init(&text, input->arena->max_bytes);
    struct json_out out;
    json_out_init(&out, &text);
    json_out_begin_array(&out);
    for (size_t index = 0; index < count; index++) {
        json_out_string(&out, names[index]);
    }
    json_out_end_array(&out);
    json_out_end_document(&out);
    char *copy = text.failed ? NULL : arena_dup(input->arena, buf_slice(&text));
    if (copy == NULL) {
        no_memory(input);
        return SLICE_NONE;
    }
    return (struct slice){copy, text.len};
}

/* Drops repeated names and returns how many are left. */
static size_t unique_names(struct slice *names, size_t count)
{
    size_t kept = 0;
    for (size_t index = 0; index < count; index++) {
        bool is_known = false;
        for (size_t other = 0; other < kept; other++) {
            is_known = is_known || slice_equal(names[other], names[index]);
        }
        if (!is_known) {
            names[kept++] = names[index];
        }
    }
    return kept;
}

enum input_state input_channels(struct input *input, enum input_need need, struct slice *ret_json,
                                struct slice **ret_names, size_t *ret_count)
{
    *ret_json = SLICE_NONE;
    if (ret_names != NULL) {
        *ret_names = NULL;
        *ret_count = 0;
    }
    struct slice *names;
    size_t count;
    /* Far more than allowed may be read, so that the one message below covers all counts. */
    enum input_state state =
        input_strings(input, "channels", need, "channels", 4096, &names, &count);
    if (state != INPUT_VALUE) {
        return state;
    }
    if (count == 0 || count > CHANNELS_MAX) {
        input_refuse(input, "channels",
                     "Channels must have at least 1 and at most %d items, or be set to null.",
                     CHANNELS_MAX);
        return INPUT_ABSENT;
    }
    for (size_t index = 0; index < count && input->error == PH_OK; index++) {
        char where[32];
        (void)snprintf(where, sizeof where, "channels.[%zu]", index);
        input_note(input, name_check_channel(names[index], input_field(input, where), input->diag));
    }
    count = unique_names(names, count);
    *ret_json = input_names_json(input, names, count);
    if (ret_names != NULL) {
        *ret_names = names;
        *ret_count = count;
    }
    return INPUT_VALUE;
}
