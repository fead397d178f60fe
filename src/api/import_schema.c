/* SPDX-License-Identifier: Apache-2.0 */
#include "api/import_schema.h"

#include <string.h>

#include "api/json_schema.h"
#include "base/buf.h"
#include "core/schema_uri.h"

#define POINTER_MAX 2048
static const char components_prefix[] = "#/components/schemas/";
static const char definitions_prefix[] = "#/definitions/";

struct import {
    json_t *document;
    json_t *definitions; /* by name; a null is one that is not walked yet */
    const char *field;
    const char *whose;
    struct diag *diag;
};

/* --- references ------------------------------------------------------------------------------- */

static json_t *step_down(json_t *value, struct slice token)
{
    BUF_AUTO struct buf text;
    int64_t index;
    buf_init(&text, POINTER_MAX);
    schema_uri_decode(token, true, &text);
    if (json_is_array(value)) {
        return slice_to_int64(buf_slice(&text), &index) && index >= 0
                   ? json_array_get(value, (size_t)index)
                   : NULL;
    }
    return text.failed ? NULL : json_object_get(value, buf_text(&text));
}

static json_t *look_up(json_t *document, const char *reference)
{
    struct slice rest = slice_of(reference);
    struct slice token;
    if (!slice_starts_with(rest, "#/")) {
        return NULL;
    }
    rest = (struct slice){rest.ptr + 2, rest.len - 2};
    json_t *value = document;
    while (value != NULL && slice_next(&rest, '/', &token)) {
        value = step_down(value, token);
    }
    return value;
}

json_t *import_resolve(json_t *document, json_t *value)
{
    for (int hop = 0; hop < IMPORT_HOPS_MAX; hop++) {
        const char *reference = json_string_value(json_object_get(value, "$ref"));
        if (reference == NULL) {
            return value;
        }
        value = look_up(document, reference);
    }
    return NULL;
}

/* --- walking a schema ------------------------------------------------------------------------- */

static enum ph_error refuse(struct import *import, const char *what, const char *reference)
{
    return diag_set(import->diag, PH_INVALID, import->field, "%.80s: the reference %.100s %s",
                    import->whose, reference, what);
}

/* Points into the schema's own definitions, and notes which one it needs. */
static enum ph_error move_reference(struct import *import, json_t *schema, const char *reference)
{
    struct slice text = slice_of(reference);
    if (!slice_starts_with(text, components_prefix)) {
        return refuse(import, "does not lead to #/components/schemas", reference);
    }
    const size_t prefix = sizeof components_prefix - 1;
    struct slice token = {text.ptr + prefix, text.len - prefix};
    struct slice inner = token;
    (void)slice_next(&inner, '/', &token);
    BUF_AUTO struct buf name;
    BUF_AUTO struct buf moved;
    buf_init(&name, POINTER_MAX);
    buf_init(&moved, POINTER_MAX);
    schema_uri_decode(token, true, &name);
    json_t *components = json_object_get(import->document, "components");
    json_t *target = json_object_get(json_object_get(components, "schemas"), buf_text(&name));
    if (name.failed || name.len == 0 || look_up(import->document, reference) == NULL) {
        return refuse(import, "leads nowhere", reference);
    }
    if (json_object_get(import->definitions, buf_text(&name)) == NULL) {
        (void)json_object_set_new(import->definitions, buf_text(&name), json_deep_copy(target));
    }
    buf_append_text(&moved, definitions_prefix);
    buf_append_text(&moved, reference + prefix);
    (void)json_object_set_new(schema, "$ref", json_stringn(moved.data, moved.len));
    return moved.failed ? refuse(import, "is too long", reference) : PH_OK;
}

/* exclusiveMinimum: true beside minimum becomes exclusiveMinimum: the number. */
static void move_bound(json_t *schema, const char *bound, const char *exclusive)
{
    json_t *flag = json_object_get(schema, exclusive);
    if (!json_is_boolean(flag)) {
        return;
    }
    bool is_exclusive = json_is_true(flag);
    json_t *number = json_object_get(schema, bound);
    (void)json_object_del(schema, exclusive);
    if (is_exclusive && number != NULL) {
        (void)json_object_set(schema, exclusive, number);
        (void)json_object_del(schema, bound);
    }
}

/* nullable: true adds null to the types, and to the enum if there is one. */
static void move_nullable(json_t *schema)
{
    json_t *flag = json_object_get(schema, "nullable");
    if (!json_is_boolean(flag)) {
        return;
    }
    bool is_nullable = json_is_true(flag);
    json_t *type = json_object_get(schema, "type");
    json_t *values = json_object_get(schema, "enum");
    (void)json_object_del(schema, "nullable");
    if (is_nullable && json_is_string(type)) {
        (void)json_object_set_new(schema, "type", json_pack("[Os]", type, "null"));
    }
    if (is_nullable && json_is_array(values)) {
        (void)json_array_append_new(values, json_null());
    }
}

static void move_example(json_t *schema)
{
    json_t *example = json_object_get(schema, "example");
    if (example != NULL && json_object_get(schema, "examples") == NULL) {
        (void)json_object_set_new(schema, "examples", json_pack("[O]", example));
    }
    (void)json_object_del(schema, "example");
}

static bool is_among(const char *key, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcmp(key, *words) == 0) {
            return true;
        }
    }
    return false;
}

static enum ph_error walk(struct import *import, json_t *schema);

/* The schemas in an array or map of them, or the one. */
static enum ph_error walk_inside(struct import *import, json_t *value, bool is_map)
{
    enum ph_error error = PH_OK;
    size_t index;
    const char *key;
    json_t *each;
    if (json_is_object(value) && !is_map) {
        return walk(import, value);
    }
    json_array_foreach(value, index, each)
    {
        error = error == PH_OK && json_is_object(each) ? walk(import, each) : error;
    }
    json_object_foreach(value, key, each)
    {
        error = error == PH_OK && json_is_object(each) ? walk(import, each) : error;
    }
    return error;
}

/* The depth of what was parsed is bounded, and so is this. */
static enum ph_error walk(struct import *import, json_t *schema)
{
    static const char *const literals[] = {"enum",          "const",    "default", "examples",
                                           "example",       "$ref",     "xml",     "externalDocs",
                                           "discriminator", "required", NULL};
    static const char *const maps[] = {"properties",   "patternProperties", "definitions", "$defs",
                                       "dependencies", "dependentSchemas",  NULL};
    const char *reference = json_string_value(json_object_get(schema, "$ref"));
    enum ph_error error = reference == NULL ? PH_OK : move_reference(import, schema, reference);
    move_bound(schema, "minimum", "exclusiveMinimum");
    move_bound(schema, "maximum", "exclusiveMaximum");
    move_nullable(schema);
    move_example(schema);
    const char *key;
    json_t *value;
    json_object_foreach(schema, key, value)
    {
        if (error == PH_OK && !is_among(key, literals) && strncmp(key, "x-", 2) != 0) {
            error = walk_inside(import, value, is_among(key, maps));
        }
    }
    return error;
}

/* Each definition may need further ones, which are appended behind it. */
static enum ph_error walk_definitions(struct import *import)
{
    enum ph_error error = PH_OK;
    void *at = json_object_iter(import->definitions);
    while (error == PH_OK && at != NULL) {
        /* The table may grow under an iterator: it is found again by its key. */
        char *name = ph_strdup(json_object_iter_key(at));
        json_t *definition = json_object_iter_value(at);
        if (json_is_object(definition)) {
            error = walk(import, definition);
        }
        at = json_object_iter_next(import->definitions,
                                   json_object_iter_at(import->definitions, name));
        free(name);
    }
    return error;
}

static enum ph_error add_definitions(struct import *import, json_t *schema)
{
    const char *name;
    json_t *definition;
    if (json_object_size(import->definitions) == 0) {
        return PH_OK;
    }
    json_t *own = json_object_get(schema, "definitions");
    if (own == NULL) {
        (void)json_object_set(schema, "definitions", import->definitions);
        return PH_OK;
    }
    json_object_foreach(import->definitions, name, definition)
    {
        if (json_object_get(own, name) != NULL) {
            return refuse(import, "is also a definition of the schema itself", name);
        }
        (void)json_object_set(own, name, definition);
    }
    return PH_OK;
}

static enum ph_error check(struct import *import, json_t *schema)
{
    const char *keyword = json_schema_find_error(schema);
    if (keyword == NULL) {
        return PH_OK;
    }
    return diag_set(import->diag, PH_INVALID, import->field,
                    keyword[0] == '\0' ? "%.80s: the schema is neither an object nor a boolean%s"
                                       : "%.80s: `%.60s` of the schema has a value that it cannot "
                                         "have",
                    import->whose, keyword);
}

enum ph_error import_schema(json_t *document, json_t *schema, const char *field, const char *whose,
                            struct diag *diag, json_t **ret_schema)
{
    struct import import = {.document = document, .field = field, .whose = whose, .diag = diag};
    json_t *found = import_resolve(document, schema);
    if (found == NULL) {
        return diag_set(diag, PH_INVALID, field, "%.80s: its schema refers to what is not there",
                        whose);
    }
    json_t *copy = json_deep_copy(found);
    import.definitions = json_object();
    enum ph_error error = json_is_object(copy) ? walk(&import, copy) : PH_OK;
    if (error == PH_OK) {
        error = walk_definitions(&import);
    }
    if (error == PH_OK && json_is_object(copy)) {
        error = add_definitions(&import, copy);
    }
    if (error == PH_OK) {
        error = check(&import, copy);
    }
    json_decref(import.definitions);
    if (error != PH_OK) {
        json_decref(copy);
        return error;
    }
    *ret_schema = copy;
    return PH_OK;
}
