/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/magpie/yaml.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/json_out.h"
#include "surfaces/magpie/yaml_scalar.h"

#define TAG_PREFIX "tag:yaml.org,2002:"
#define VARIABLE_NAME_MAX 256

static enum ph_error complain(struct magpie_yaml *yaml, size_t line, const char *words)
{
    yaml->line = line;
    return diag_set(yaml->diag, PH_INVALID, NULL, "%s", words);
}

static enum ph_error no_memory(struct magpie_yaml *yaml, size_t line)
{
    yaml->line = line;
    return diag_set(yaml->diag, PH_NO_MEMORY, NULL, "the document is too large");
}

/* --- types ------------------------------------------------------------------------------------ */

static const struct {
    const char *name; /* of the tag, NULL = it has none of its own */
    const char *words;
} types[] = {
    [MAGPIE_YAML_NULL] = {"null", "null"},         [MAGPIE_YAML_BOOL] = {"bool", "a boolean"},
    [MAGPIE_YAML_INTEGER] = {"int", "an integer"}, [MAGPIE_YAML_FLOAT] = {"float", "a number"},
    [MAGPIE_YAML_TIME] = {"timestamp", "a date"},  [MAGPIE_YAML_TEXT] = {"str", "a text"},
    [MAGPIE_YAML_SEQUENCE] = {"seq", "a list"},    [MAGPIE_YAML_MAP] = {"map", "a mapping"},
};

const char *magpie_yaml_type_name(enum magpie_yaml_type type)
{
    PH_ASSERT((unsigned)type < PH_ARRAY_LENGTH(types));
    return types[type].words;
}

/* False for a tag that is none of ours. */
static bool tag_type(struct slice tag, enum magpie_yaml_type *ret_type)
{
    if (!slice_starts_with(tag, TAG_PREFIX)) {
        return false;
    }
    struct slice name = {tag.ptr + strlen(TAG_PREFIX), tag.len - strlen(TAG_PREFIX)};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(types); index++) {
        if (slice_equal_text(name, types[index].name)) {
            *ret_type = (enum magpie_yaml_type)index;
            return true;
        }
    }
    return false;
}

static enum magpie_yaml_type kind_type(const struct yaml_node *node)
{
    return node->kind == YAML_NODE_MAP        ? MAGPIE_YAML_MAP
           : node->kind == YAML_NODE_SEQUENCE ? MAGPIE_YAML_SEQUENCE
           : node->is_plain                   ? magpie_scalar_type(node->text)
                                              : MAGPIE_YAML_TEXT;
}

enum magpie_yaml_type magpie_yaml_type_of(const struct yaml_node *node)
{
    enum magpie_yaml_type type;
    /* `!` alone is no tag for the original's reader. */
    return node->tag.ptr != NULL && tag_type(node->tag, &type) ? type : kind_type(node);
}

bool magpie_yaml_is_falsy(const struct yaml_node *node)
{
    BUF_AUTO struct buf number;
    buf_init(&number, MAGPIE_YAML_TEXT_MAX);
    switch (magpie_yaml_type_of(node)) {
    case MAGPIE_YAML_NULL:
        return true;
    case MAGPIE_YAML_BOOL:
        return !magpie_scalar_is_true(node->text);
    case MAGPIE_YAML_INTEGER:
    case MAGPIE_YAML_FLOAT:
        return magpie_scalar_append_number(node->text, &number) &&
               strtod(buf_text(&number), NULL) == 0;
    case MAGPIE_YAML_TEXT:
        return node->text.len == 0;
    case MAGPIE_YAML_SEQUENCE:
    case MAGPIE_YAML_MAP:
        return node->count == 0;
    case MAGPIE_YAML_TIME:
        break;
    }
    return false;
}

/* --- what is refused anywhere ----------------------------------------------------------------- */

/* A number may be written as an integer where a float is asked for. */
static bool fits(enum magpie_yaml_type wanted, enum magpie_yaml_type found)
{
    return wanted == found || (wanted == MAGPIE_YAML_FLOAT && found == MAGPIE_YAML_INTEGER);
}

static enum ph_error check_tag(struct magpie_yaml *yaml, const struct yaml_node *node)
{
    enum magpie_yaml_type type;
    if (node->tag.ptr == NULL || slice_equal_text(node->tag, "!")) {
        return PH_OK;
    }
    if (!tag_type(node->tag, &type)) {
        return complain(yaml, node->line, "the tag is not known");
    }
    bool is_scalar = node->kind == YAML_NODE_SCALAR;
    enum magpie_yaml_type found = is_scalar ? magpie_scalar_type(node->text) : kind_type(node);
    bool is_text = is_scalar && type == MAGPIE_YAML_TEXT;
    return is_text || fits(type, found) ? PH_OK
                                        : complain(yaml, node->line, "the tag does not fit");
}

static enum ph_error check_merged(struct magpie_yaml *yaml, const struct yaml_node *merged)
{
    bool is_good = merged->kind != YAML_NODE_SCALAR;
    if (merged->kind == YAML_NODE_SEQUENCE) {
        YAML_FOR_EACH(entry, merged)
        {
            is_good = is_good && entry->value->kind == YAML_NODE_MAP;
        }
    }
    return is_good ? PH_OK
                   : complain(yaml, merged->line, "`<<` merges a mapping, or a list of mappings");
}

static enum ph_error check_key(struct magpie_yaml *yaml, const struct yaml_node *key)
{
    if (key->kind == YAML_NODE_SCALAR) {
        return check_tag(yaml, key);
    }
    return complain(yaml, key->line,
                    "a key is a mapping or a list; a text that begins with `{` wants quotes");
}

/* The tree's depth is bounded, and so are the nodes with those that aliases repeat. */
enum ph_error magpie_yaml_check(struct magpie_yaml *yaml, const struct yaml_node *root)
{
    enum ph_error error = check_tag(yaml, root);
    YAML_FOR_EACH(entry, root)
    {
        if (error == PH_OK && entry->key != NULL) {
            error = check_key(yaml, entry->key);
        }
        if (error == PH_OK && entry->key != NULL && yaml_is_merge(entry->key)) {
            error = check_merged(yaml, entry->value);
        }
        if (error == PH_OK) {
            error = magpie_yaml_check(yaml, entry->value);
        }
    }
    return error;
}

/* --- the environment -------------------------------------------------------------------------- */

/* The variable that stands at `$`: its value, and the bytes of the text that name it. NULL when
 * there is none of the name, *ret_length then is what stays as it is. */
static const char *variable_at(struct slice text, size_t *ret_length)
{
    char name[VARIABLE_NAME_MAX];
    size_t at = 1;
    size_t start = 1;
    size_t end;
    *ret_length = 1;
    if (at < text.len && text.ptr[at] == '{') {
        struct slice rest = {text.ptr + 2, text.len - 2};
        size_t length = slice_find(rest, '}');
        if (length == rest.len) {
            return NULL;
        }
        start = 2;
        end = start + length;
        at = end + 1;
    } else {
        while (at < text.len &&
               (isalnum((unsigned char)text.ptr[at]) != 0 || text.ptr[at] == '_')) {
            at++;
        }
        end = at;
    }
    *ret_length = at;
    if (end == start || end - start >= sizeof name ||
        memchr(text.ptr + start, '\0', end - start) != NULL) {
        return NULL;
    }
    memcpy(name, text.ptr + start, end - start);
    name[end - start] = '\0';
    return secure_getenv(name);
}

static enum ph_error expand_text(struct magpie_yaml *yaml, struct yaml_node *node)
{
    struct slice rest = node->text;
    if (slice_find(rest, '$') == rest.len) {
        return PH_OK;
    }
    BUF_AUTO struct buf text;
    buf_init(&text, MAGPIE_YAML_TEXT_MAX);
    while (rest.len > 0) {
        size_t length = slice_find(rest, '$');
        buf_append(&text, rest.ptr, length);
        rest = (struct slice){rest.ptr + length, rest.len - length};
        if (rest.len == 0) {
            break;
        }
        const char *value = variable_at(rest, &length);
        if (value != NULL && !slice_is_utf8_text(slice_of(value))) {
            return complain(yaml, node->line, "the value of a variable is not UTF-8");
        }
        buf_append_slice(&text, value != NULL ? slice_of(value) : (struct slice){rest.ptr, length});
        rest = (struct slice){rest.ptr + length, rest.len - length};
    }
    if (text.failed) {
        return complain(yaml, node->line, "a text is too long with its variables");
    }
    node->text = (struct slice){arena_dup(yaml->arena, buf_slice(&text)), text.len};
    node->is_plain = false; /* what comes of it is no number */
    return node->text.ptr == NULL ? no_memory(yaml, node->line) : PH_OK;
}

static enum ph_error expand_key(struct magpie_yaml *yaml, struct yaml_node *key)
{
    enum magpie_yaml_type type = magpie_yaml_type_of(key);
    if (yaml_is_merge(key)) {
        return PH_OK;
    }
    if (type != MAGPIE_YAML_TEXT) {
        yaml->line = key->line;
        return diag_set(yaml->diag, PH_INVALID, NULL,
                        "a key must be a text, and this one is %s; put quotes around it",
                        magpie_yaml_type_name(type));
    }
    if (key->is_marked) {
        return PH_OK;
    }
    key->is_marked = true;
    return expand_text(yaml, key);
}

static enum ph_error expand_scalar(struct magpie_yaml *yaml, struct yaml_node *node)
{
    enum magpie_yaml_type type = magpie_yaml_type_of(node);
    if (type == MAGPIE_YAML_TIME) {
        return complain(yaml, node->line, "a date is no value; put quotes around it");
    }
    return type == MAGPIE_YAML_TEXT ? expand_text(yaml, node) : PH_OK;
}

enum ph_error magpie_yaml_expand(struct magpie_yaml *yaml, struct yaml_node *node)
{
    enum ph_error error = PH_OK;
    if (node->is_marked) {
        return PH_OK;
    }
    node->is_marked = true;
    if (node->kind == YAML_NODE_SCALAR) {
        return expand_scalar(yaml, node);
    }
    YAML_FOR_EACH(entry, node)
    {
        if (error == PH_OK && entry->key != NULL) {
            error = expand_key(yaml, entry->key);
        }
        if (error == PH_OK) {
            error = magpie_yaml_expand(yaml, entry->value);
        }
    }
    return error;
}

/* --- members ---------------------------------------------------------------------------------- */

struct gathering {
    struct magpie_yaml *yaml;
    struct magpie_yaml_member *items;
    size_t count;
};

static enum ph_error put(struct gathering *gathering, const struct yaml_entry *entry)
{
    for (size_t index = 0; index < gathering->count; index++) {
        if (slice_equal(gathering->items[index].key, entry->key->text)) {
            gathering->items[index].line = entry->key->line;
            gathering->items[index].value = entry->value;
            return PH_OK;
        }
    }
    if (gathering->count == MAGPIE_YAML_MEMBERS_MAX) {
        return complain(gathering->yaml, entry->key->line, "a mapping has too many keys");
    }
    gathering->items[gathering->count++] =
        (struct magpie_yaml_member){entry->key->text, entry->key->line, entry->value};
    return PH_OK;
}

static enum ph_error gather(struct gathering *gathering, const struct yaml_node *map);

/* Of several the first counts most: it comes last. */
static enum ph_error gather_merged(struct gathering *gathering, const struct yaml_node *merged)
{
    const struct yaml_node **maps =
        arena_calloc(gathering->yaml->arena, merged->count + 1, sizeof(struct yaml_node *));
    enum ph_error error = PH_OK;
    size_t index = merged->count;
    if (maps == NULL) {
        return no_memory(gathering->yaml, merged->line);
    }
    YAML_FOR_EACH(entry, merged)
    {
        maps[--index] = entry->value;
    }
    for (; error == PH_OK && index < merged->count; index++) {
        error = gather(gathering, maps[index]);
    }
    return error;
}

static enum ph_error gather(struct gathering *gathering, const struct yaml_node *map)
{
    enum ph_error error = PH_OK;
    YAML_FOR_EACH(entry, map)
    {
        if (error == PH_OK && yaml_is_merge(entry->key)) {
            error = entry->value->kind == YAML_NODE_MAP ? gather(gathering, entry->value)
                                                        : gather_merged(gathering, entry->value);
        }
    }
    YAML_FOR_EACH(entry, map)
    {
        if (error == PH_OK && !yaml_is_merge(entry->key)) {
            error = put(gathering, entry);
        }
    }
    return error;
}

enum ph_error magpie_yaml_members(struct magpie_yaml *yaml, const struct yaml_node *map,
                                  struct magpie_yaml_member **ret_members, size_t *ret_count)
{
    /* What is merged was counted with the map. */
    size_t most = map->weight < MAGPIE_YAML_MEMBERS_MAX ? map->weight : MAGPIE_YAML_MEMBERS_MAX;
    struct gathering gathering = {.yaml = yaml};
    gathering.items = arena_calloc(yaml->arena, most, sizeof gathering.items[0]);
    if (gathering.items == NULL) {
        return no_memory(yaml, map->line);
    }
    enum ph_error error = gather(&gathering, map);
    *ret_members = gathering.items;
    *ret_count = gathering.count;
    return error;
}

static struct yaml_node *find_merged(const struct yaml_node *merged, const char *key)
{
    if (merged->kind == YAML_NODE_MAP) {
        return magpie_yaml_find(merged, key);
    }
    struct yaml_node *found = NULL;
    YAML_FOR_EACH(entry, merged)
    {
        found = found == NULL ? magpie_yaml_find(entry->value, key) : found;
    }
    return found;
}

struct yaml_node *magpie_yaml_find(const struct yaml_node *map, const char *key)
{
    struct yaml_node *own = NULL;
    struct yaml_node *merged = NULL;
    YAML_FOR_EACH(entry, map)
    {
        if (yaml_is_merge(entry->key)) {
            struct yaml_node *found = find_merged(entry->value, key);
            merged = found == NULL ? merged : found;
        } else if (magpie_yaml_type_of(entry->key) == MAGPIE_YAML_TEXT &&
                   slice_equal_text(entry->key->text, key)) {
            own = entry->value;
        }
    }
    return own != NULL ? own : merged;
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void write_text(struct slice text, struct buf *json)
{
    struct json_out out;
    json_out_init(&out, json);
    json_out_string(&out, text);
}

static enum ph_error write_number(struct magpie_yaml *yaml, const struct yaml_node *node,
                                  bool is_float, struct buf *json)
{
    BUF_AUTO struct buf number;
    buf_init(&number, MAGPIE_YAML_TEXT_MAX);
    if (!magpie_scalar_append_number(node->text, &number) || number.failed) {
        return complain(yaml, node->line, "JSON has no such number");
    }
    /* `!!float 5` */
    bool is_whole = strpbrk(buf_text(&number), ".e") == NULL;
    if (is_float && is_whole) {
        magpie_scalar_append_double(strtod(buf_text(&number), NULL), json);
    } else {
        buf_append_slice(json, buf_slice(&number));
    }
    return PH_OK;
}

static enum ph_error write_scalar(struct magpie_yaml *yaml, const struct yaml_node *node,
                                  struct buf *json)
{
    enum magpie_yaml_type type = magpie_yaml_type_of(node);
    switch (type) {
    case MAGPIE_YAML_NULL:
        buf_append_text(json, "null");
        return PH_OK;
    case MAGPIE_YAML_BOOL:
        buf_append_text(json, magpie_scalar_is_true(node->text) ? "true" : "false");
        return PH_OK;
    case MAGPIE_YAML_INTEGER:
    case MAGPIE_YAML_FLOAT:
        return write_number(yaml, node, type == MAGPIE_YAML_FLOAT, json);
    case MAGPIE_YAML_TEXT:
        write_text(node->text, json);
        return PH_OK;
    case MAGPIE_YAML_TIME:
    case MAGPIE_YAML_SEQUENCE:
    case MAGPIE_YAML_MAP:
        break;
    }
    return complain(yaml, node->line, "JSON has no such value");
}

static enum ph_error write_map(struct magpie_yaml *yaml, const struct yaml_node *node,
                               struct buf *json)
{
    struct magpie_yaml_member *members;
    size_t count = 0;
    enum ph_error error = magpie_yaml_members(yaml, node, &members, &count);
    buf_append_byte(json, '{');
    for (size_t index = 0; error == PH_OK && index < count; index++) {
        buf_append_text(json, index == 0 ? "" : ",");
        write_text(members[index].key, json);
        buf_append_byte(json, ':');
        error = magpie_yaml_write(yaml, members[index].value, json);
    }
    buf_append_byte(json, '}');
    return error;
}

enum ph_error magpie_yaml_write(struct magpie_yaml *yaml, const struct yaml_node *node,
                                struct buf *json)
{
    if (node->kind == YAML_NODE_SCALAR) {
        return write_scalar(yaml, node, json);
    }
    if (node->kind == YAML_NODE_MAP) {
        return write_map(yaml, node, json);
    }
    enum ph_error error = PH_OK;
    buf_append_byte(json, '[');
    YAML_FOR_EACH(entry, node)
    {
        buf_append_text(json, entry == node->first ? "" : ",");
        error = error == PH_OK ? magpie_yaml_write(yaml, entry->value, json) : error;
    }
    buf_append_byte(json, ']');
    return error;
}
