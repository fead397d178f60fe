/* SPDX-License-Identifier: Apache-2.0 */
#include "api/yaml_json.h"

#include <string.h>
#include <yaml.h>

#include "base/compiler.h"

#define ANCHORS_MAX 1000
#define NUMBER_TEXT_MAX 64

struct anchor {
    char *name;
    json_t *value; /* a reference */
};

struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    bool has_event;
    struct anchor *anchors;
    size_t anchor_count;
    size_t nodes;
    const char *field;
    struct diag *diag;
};

static enum ph_error complain(struct reader *reader, const char *what)
{
    return diag_set(reader->diag, PH_INVALID, reader->field, "line %zu: %s",
                    reader->event.start_mark.line + 1, what);
}

static enum ph_error next(struct reader *reader)
{
    if (reader->has_event) {
        yaml_event_delete(&reader->event);
        reader->has_event = false;
    }
    if (yaml_parser_parse(&reader->parser, &reader->event) == 0) {
        return diag_set(reader->diag, PH_INVALID, reader->field, "line %zu: not YAML: %s",
                        reader->parser.problem_mark.line + 1,
                        reader->parser.problem == NULL ? "broken" : reader->parser.problem);
    }
    reader->has_event = true;
    return PH_OK;
}

static enum ph_error count_nodes(struct reader *reader, size_t count)
{
    reader->nodes += count;
    return reader->nodes > YAML_JSON_NODES_MAX ? complain(reader, "the document is too large")
                                               : PH_OK;
}

/* --- scalars ---------------------------------------------------------------------------------- */

static bool is_one_of(struct slice text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (slice_equal_text(text, *words)) {
            return true;
        }
    }
    return false;
}

static size_t count_digits(struct slice text, size_t at)
{
    size_t start = at;
    while (at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9') {
        at++;
    }
    return at - start;
}

/* [-+]? ( digits ( . digits? )? | . digits ) ( [eE] [-+]? digits )? */
static bool is_number(struct slice text, bool *ret_is_integer)
{
    size_t at = text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+');
    size_t whole = count_digits(text, at);
    size_t fraction = 0;
    at += whole;
    *ret_is_integer = at == text.len;
    if (at < text.len && text.ptr[at] == '.') {
        fraction = count_digits(text, ++at);
        at += fraction;
    }
    if (whole + fraction == 0) {
        return false;
    }
    if (at < text.len && (text.ptr[at] == 'e' || text.ptr[at] == 'E')) {
        at++;
        at += at < text.len && (text.ptr[at] == '-' || text.ptr[at] == '+');
        size_t exponent = count_digits(text, at);
        if (exponent == 0) {
            return false;
        }
        at += exponent;
    }
    return at == text.len;
}

/* NULL when it is no number after all: out of range, or longer than anybody writes. */
static json_t *number_of(struct slice text, bool is_integer)
{
    char copy[NUMBER_TEXT_MAX];
    int64_t integer;
    if (text.ptr[0] == '+') {
        text = (struct slice){text.ptr + 1, text.len - 1};
    }
    if (is_integer && slice_to_int64(text, &integer)) {
        return json_integer(integer);
    }
    if (text.len >= sizeof copy) {
        return NULL;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return json_real(strtod(copy, NULL)); /* NULL for infinity */
}

static json_t *plain_scalar(struct slice text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    bool is_integer;
    if (is_one_of(text, nulls)) {
        return json_null();
    }
    if (is_one_of(text, trues)) {
        return json_true();
    }
    if (is_one_of(text, falses)) {
        return json_false();
    }
    return is_number(text, &is_integer) ? number_of(text, is_integer) : NULL;
}

static struct slice scalar_text(const struct reader *reader)
{
    return (struct slice){(const char *)reader->event.data.scalar.value,
                          reader->event.data.scalar.length};
}

static enum ph_error read_scalar(struct reader *reader, json_t **ret_value)
{
    struct slice text = scalar_text(reader);
    json_t *value = NULL;
    if ((int)reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
        reader->event.data.scalar.plain_implicit != 0) {
        value = plain_scalar(text);
    }
    if (value == NULL && slice_is_utf8_text(text)) {
        value = json_stringn(text.ptr, text.len);
    }
    if (value == NULL) {
        return complain(reader, "the text has a NUL");
    }
    *ret_value = value;
    return PH_OK;
}

/* --- anchors and aliases ---------------------------------------------------------------------- */

static enum ph_error keep_anchor(struct reader *reader, char *name, json_t *value)
{
    if (reader->anchor_count == ANCHORS_MAX) {
        free(name);
        return complain(reader, "too many anchors");
    }
    if (reader->anchors == NULL) {
        reader->anchors = ph_calloc(ANCHORS_MAX, sizeof *reader->anchors);
    }
    reader->anchors[reader->anchor_count++] = (struct anchor){name, json_incref(value)};
    return PH_OK;
}

static size_t size_of(json_t *value, size_t limit)
{
    size_t count = 1;
    size_t index;
    const char *key;
    json_t *member;
    if (json_is_array(value)) {
        json_array_foreach(value, index, member)
        {
            count += count < limit ? size_of(member, limit - count) : 0;
        }
    } else if (json_is_object(value)) {
        json_object_foreach(value, key, member)
        {
            count += count < limit ? size_of(member, limit - count) : 0;
        }
    }
    return count;
}

static enum ph_error read_alias(struct reader *reader, json_t **ret_value)
{
    const char *name = (const char *)reader->event.data.alias.anchor;
    for (size_t index = reader->anchor_count; index > 0; index--) {
        if (strcmp(reader->anchors[index - 1].name, name) == 0) {
            json_t *value = reader->anchors[index - 1].value;
            enum ph_error error = count_nodes(reader, size_of(value, YAML_JSON_NODES_MAX + 1));
            if (error == PH_OK) {
                *ret_value = json_deep_copy(value);
            }
            return error;
        }
    }
    return complain(reader, "an alias without an anchor before it");
}

/* --- maps and sequences ----------------------------------------------------------------------- */

static enum ph_error read_node(struct reader *reader, unsigned depth, json_t **ret_value);

/* Puts what `merged` (a map, or a sequence of maps) has and `map` has not. */
static enum ph_error merge(struct reader *reader, json_t *map, json_t *merged)
{
    size_t index;
    json_t *each;
    if (json_is_object(merged)) {
        (void)json_object_update_missing(map, merged);
        return PH_OK;
    }
    if (!json_is_array(merged)) {
        return complain(reader, "`<<` merges maps only");
    }
    json_array_foreach(merged, index, each)
    {
        if (!json_is_object(each)) {
            return complain(reader, "`<<` merges maps only");
        }
        (void)json_object_update_missing(map, each);
    }
    return PH_OK;
}

/* One key and its value into `map`; a merge is kept for the map's end. */
static enum ph_error read_member(struct reader *reader, unsigned depth, json_t *map,
                                 json_t **merged)
{
    if ((int)reader->event.type != YAML_SCALAR_EVENT || !slice_is_utf8_text(scalar_text(reader))) {
        return complain(reader, "a key is a plain text");
    }
    bool is_merge = (int)reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                    slice_equal_text(scalar_text(reader), "<<");
    char *key = slice_dup(scalar_text(reader));
    json_t *value = NULL;
    enum ph_error error = PH_OK;
    if (json_object_get(map, key) != NULL || (is_merge && *merged != NULL)) {
        error = complain(reader, "a key stands twice in a map");
    }
    if (error == PH_OK) {
        error = next(reader);
    }
    if (error == PH_OK) {
        error = read_node(reader, depth, &value);
    }
    if (error == PH_OK && is_merge) {
        *merged = value;
    } else if (error == PH_OK) {
        (void)json_object_set_new(map, key, value);
    }
    free(key);
    return error;
}

static enum ph_error read_map(struct reader *reader, unsigned depth, json_t *map)
{
    json_t *merged = NULL;
    enum ph_error error = next(reader);
    while (error == PH_OK && (int)reader->event.type != YAML_MAPPING_END_EVENT) {
        error = read_member(reader, depth, map, &merged);
        if (error == PH_OK) {
            error = next(reader);
        }
    }
    if (error == PH_OK && merged != NULL) {
        error = merge(reader, map, merged);
    }
    json_decref(merged);
    return error;
}

static enum ph_error read_sequence(struct reader *reader, unsigned depth, json_t *sequence)
{
    enum ph_error error = next(reader);
    while (error == PH_OK && (int)reader->event.type != YAML_SEQUENCE_END_EVENT) {
        json_t *value;
        error = read_node(reader, depth, &value);
        if (error == PH_OK) {
            (void)json_array_append_new(sequence, value);
            error = next(reader);
        }
    }
    return error;
}

static const char *anchor_of(const yaml_event_t *event)
{
    switch ((int)event->type) {
    case YAML_SCALAR_EVENT:
        return (const char *)event->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return (const char *)event->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT:
        return (const char *)event->data.mapping_start.anchor;
    default:
        return NULL;
    }
}

static enum ph_error read_content(struct reader *reader, unsigned depth, json_t **ret_value)
{
    json_t *value = NULL;
    enum ph_error error;
    switch ((int)reader->event.type) {
    case YAML_ALIAS_EVENT:
        return read_alias(reader, ret_value);
    case YAML_SCALAR_EVENT:
        return read_scalar(reader, ret_value);
    case YAML_SEQUENCE_START_EVENT:
        value = json_array();
        error = read_sequence(reader, depth + 1, value);
        break;
    case YAML_MAPPING_START_EVENT:
        value = json_object();
        error = read_map(reader, depth + 1, value);
        break;
    default:
        return complain(reader, "unexpected content");
    }
    if (error != PH_OK) {
        json_decref(value);
        return error;
    }
    *ret_value = value;
    return PH_OK;
}

/* The node that begins with the present event. The recursion is bounded by the depth. */
static enum ph_error read_node(struct reader *reader, unsigned depth, json_t **ret_value)
{
    if (depth > YAML_JSON_DEPTH_MAX) {
        return complain(reader, "nested too deeply");
    }
    const char *anchor = anchor_of(&reader->event);
    char *name = anchor == NULL ? NULL : ph_strdup(anchor);
    enum ph_error error = count_nodes(reader, 1);
    if (error == PH_OK) {
        error = read_content(reader, depth, ret_value);
    }
    if (error != PH_OK) {
        free(name);
        return error;
    }
    error = name == NULL ? PH_OK : keep_anchor(reader, name, *ret_value);
    if (error != PH_OK) {
        json_decref(*ret_value);
    }
    return error;
}

static enum ph_error read_document(struct reader *reader, json_t **ret_value)
{
    enum ph_error error;
    do {
        error = next(reader);
        if (error != PH_OK) {
            return error;
        }
    } while ((int)reader->event.type == YAML_STREAM_START_EVENT ||
             (int)reader->event.type == YAML_DOCUMENT_START_EVENT);
    if ((int)reader->event.type == YAML_STREAM_END_EVENT) {
        return complain(reader, "there is no document");
    }
    json_t *value;
    error = read_node(reader, 0, &value);
    if (error != PH_OK) {
        return error;
    }
    while (error == PH_OK && (int)reader->event.type != YAML_STREAM_END_EVENT) {
        error = next(reader);
        if (error == PH_OK && (int)reader->event.type == YAML_DOCUMENT_START_EVENT) {
            error = complain(reader, "only one document is read");
        }
    }
    if (error != PH_OK) {
        json_decref(value);
        return error;
    }
    *ret_value = value;
    return PH_OK;
}

enum ph_error yaml_to_json(struct slice text, const char *field, struct diag *diag,
                           json_t **ret_value)
{
    struct reader reader = {.field = field, .diag = diag};
    if (yaml_parser_initialize(&reader.parser) == 0) {
        return diag_set(diag, PH_NO_MEMORY, NULL, "no memory for the document");
    }
    yaml_parser_set_input_string(
        &reader.parser, (const unsigned char *)(text.ptr == NULL ? "" : text.ptr), text.len);
    enum ph_error error = read_document(&reader, ret_value);
    if (reader.has_event) {
        yaml_event_delete(&reader.event);
    }
    for (size_t index = 0; index < reader.anchor_count; index++) {
        free(reader.anchors[index].name);
        json_decref(reader.anchors[index].value);
    }
    free(reader.anchors);
    yaml_parser_delete(&reader.parser);
    return error;
}
