/* SPDX-License-Identifier: Apache-2.0 */
#include "api/yaml_json.h"

#include <string.h>

#include "base/compiler.h"

#define NUMBER_TEXT_MAX 64

struct conversion {
    const char *field;
    struct diag *diag;
};

static enum ph_error complain(const struct conversion *conversion, const struct yaml_node *node,
                              const char *what)
{
    return diag_set(conversion->diag, PH_INVALID, conversion->field, "line %zu: %s", node->line,
                    what);
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

static enum ph_error convert_scalar(const struct conversion *conversion,
                                    const struct yaml_node *node, json_t **ret_value)
{
    json_t *value = NULL;
    if (node->is_plain && node->tag.ptr == NULL) {
        value = plain_scalar(node->text);
    }
    if (value == NULL && slice_is_utf8_text(node->text)) {
        value = json_stringn(node->text.ptr, node->text.len);
    }
    if (value == NULL) {
        return complain(conversion, node, "the text has a NUL");
    }
    *ret_value = value;
    return PH_OK;
}

/* --- maps and sequences ----------------------------------------------------------------------- */

static enum ph_error convert(const struct conversion *conversion, const struct yaml_node *node,
                             json_t **ret_value);

/* Puts what `merged` (a map, or a sequence of maps) has and `map` has not. */
static enum ph_error merge(const struct conversion *conversion, const struct yaml_node *node,
                           json_t *map, json_t *merged)
{
    size_t index;
    json_t *each;
    if (json_is_object(merged)) {
        (void)json_object_update_missing(map, merged);
        return PH_OK;
    }
    if (!json_is_array(merged)) {
        return complain(conversion, node, "`<<` merges maps only");
    }
    json_array_foreach(merged, index, each)
    {
        if (!json_is_object(each)) {
            return complain(conversion, node, "`<<` merges maps only");
        }
        (void)json_object_update_missing(map, each);
    }
    return PH_OK;
}

/* One key and its value into `map`; a merge is kept for the map's end. */
static enum ph_error convert_member(const struct conversion *conversion,
                                    const struct yaml_entry *entry, json_t *map, json_t **merged)
{
    const struct yaml_node *key = entry->key;
    if (key->kind != YAML_NODE_SCALAR || !slice_is_utf8_text(key->text)) {
        return complain(conversion, key, "a key is a plain text");
    }
    bool is_merge = yaml_is_merge(key);
    if (json_object_getn(map, key->text.ptr, key->text.len) != NULL ||
        (is_merge && *merged != NULL)) {
        return complain(conversion, key, "a key stands twice in a map");
    }
    json_t *value = NULL;
    enum ph_error error = convert(conversion, entry->value, &value);
    if (error == PH_OK && is_merge) {
        *merged = value;
    } else if (error == PH_OK) {
        (void)json_object_setn_new(map, key->text.ptr, key->text.len, value);
    }
    return error;
}

static enum ph_error convert_map(const struct conversion *conversion, const struct yaml_node *node,
                                 json_t *map)
{
    json_t *merged = NULL;
    enum ph_error error = PH_OK;
    YAML_FOR_EACH(entry, node)
    {
        error = error == PH_OK ? convert_member(conversion, entry, map, &merged) : error;
    }
    if (error == PH_OK && merged != NULL) {
        error = merge(conversion, node, map, merged);
    }
    json_decref(merged);
    return error;
}

static enum ph_error convert_sequence(const struct conversion *conversion,
                                      const struct yaml_node *node, json_t *sequence)
{
    enum ph_error error;
    YAML_FOR_EACH(entry, node)
    {
        json_t *value = NULL;
        error = convert(conversion, entry->value, &value);
        if (error != PH_OK) {
            return error;
        }
        (void)json_array_append_new(sequence, value);
    }
    return PH_OK;
}

/* The tree is not deeper than YAML_DEPTH_MAX, repeated nodes included. */
static enum ph_error convert(const struct conversion *conversion, const struct yaml_node *node,
                             json_t **ret_value)
{
    if (node->kind == YAML_NODE_SCALAR) {
        return convert_scalar(conversion, node, ret_value);
    }
    bool is_map = node->kind == YAML_NODE_MAP;
    json_t *value = is_map ? json_object() : json_array();
    enum ph_error error =
        is_map ? convert_map(conversion, node, value) : convert_sequence(conversion, node, value);
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
    const struct conversion conversion = {field, diag};
    struct diag fault;
    size_t line;
    struct yaml_node *root;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, text.len + YAML_ARENA_BYTES);
    enum ph_error error = yaml_read(text, &arena, &fault, &line, &root);
    if (error != PH_OK) {
        return diag_set(diag, error, field, "line %zu: %s", line, fault.text);
    }
    return convert(&conversion, root, ret_value);
}
