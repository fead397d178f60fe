/* SPDX-License-Identifier: Apache-2.0 */
#include "api/json_schema.h"

#include <stdbool.h>
#include <string.h>

#include "base/compiler.h"

enum keyword_kind {
    KIND_TEXT,
    KIND_BOOLEAN,
    KIND_NUMBER,
    KIND_POSITIVE, /* a number above 0 */
    KIND_LENGTH,   /* an integer from 0 */
    KIND_ARRAY,
    KIND_TEXTS, /* an array of different strings */
    KIND_TYPE,  /* a type's name, or an array of them */
    KIND_SCHEMA,
    KIND_SCHEMAS, /* an array of at least one schema */
    KIND_SCHEMA_OR_SCHEMAS,
    KIND_SCHEMA_MAP,
    KIND_DEPENDENCIES /* an object of schemas and arrays of strings */
};

static const struct keyword {
    const char *name;
    enum keyword_kind kind;
} keywords[] = {
    {"$id", KIND_TEXT},
    {"$schema", KIND_TEXT},
    {"$ref", KIND_TEXT},
    {"$comment", KIND_TEXT},
    {"title", KIND_TEXT},
    {"description", KIND_TEXT},
    {"readOnly", KIND_BOOLEAN},
    {"examples", KIND_ARRAY},
    {"multipleOf", KIND_POSITIVE},
    {"maximum", KIND_NUMBER},
    {"exclusiveMaximum", KIND_NUMBER},
    {"minimum", KIND_NUMBER},
    {"exclusiveMinimum", KIND_NUMBER},
    {"maxLength", KIND_LENGTH},
    {"minLength", KIND_LENGTH},
    {"pattern", KIND_TEXT},
    {"additionalItems", KIND_SCHEMA},
    {"items", KIND_SCHEMA_OR_SCHEMAS},
    {"maxItems", KIND_LENGTH},
    {"minItems", KIND_LENGTH},
    {"uniqueItems", KIND_BOOLEAN},
    {"contains", KIND_SCHEMA},
    {"maxProperties", KIND_LENGTH},
    {"minProperties", KIND_LENGTH},
    {"required", KIND_TEXTS},
    {"additionalProperties", KIND_SCHEMA},
    {"definitions", KIND_SCHEMA_MAP},
    {"properties", KIND_SCHEMA_MAP},
    {"patternProperties", KIND_SCHEMA_MAP},
    {"dependencies", KIND_DEPENDENCIES},
    {"propertyNames", KIND_SCHEMA},
    {"enum", KIND_ARRAY},
    {"type", KIND_TYPE},
    {"format", KIND_TEXT},
    {"contentMediaType", KIND_TEXT},
    {"contentEncoding", KIND_TEXT},
    {"if", KIND_SCHEMA},
    {"then", KIND_SCHEMA},
    {"else", KIND_SCHEMA},
    {"allOf", KIND_SCHEMAS},
    {"anyOf", KIND_SCHEMAS},
    {"oneOf", KIND_SCHEMAS},
    {"not", KIND_SCHEMA},
};

static bool is_type_name(json_t *value)
{
    static const char *const names[] = {"array",  "boolean", "integer", "null",
                                        "number", "object",  "string"};
    const char *name = json_string_value(value);
    for (size_t index = 0; name != NULL && index < PH_ARRAY_LENGTH(names); index++) {
        if (strcmp(names[index], name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_text(json_t *value)
{
    return json_is_string(value);
}

/* An array of different values that all pass `is_good`. */
static bool is_set_of(json_t *array, bool (*is_good)(json_t *value))
{
    size_t count = json_array_size(array);
    json_t *seen = json_object();
    for (size_t index = 0; index < count; index++) {
        json_t *value = json_array_get(array, index);
        if (is_good(value)) {
            (void)json_object_set_new(seen, json_string_value(value), json_true());
        }
    }
    bool is_set = json_is_array(array) && json_object_size(seen) == count;
    json_decref(seen);
    return is_set;
}

static bool is_type(json_t *value)
{
    return is_type_name(value) || (json_array_size(value) > 0 && is_set_of(value, is_type_name));
}

static const char *find_error_in_array(const char *name, json_t *array)
{
    size_t index;
    json_t *schema;
    json_array_foreach(array, index, schema)
    {
        const char *error = json_schema_find_error(schema);
        if (error != NULL) {
            return error[0] == '\0' ? name : error;
        }
    }
    return json_array_size(array) == 0 ? name : NULL;
}

static const char *find_error_in_map(const char *name, json_t *map, bool may_be_texts)
{
    const char *key;
    json_t *schema;
    if (!json_is_object(map)) {
        return name;
    }
    json_object_foreach(map, key, schema)
    {
        if (may_be_texts && is_set_of(schema, is_text)) {
            continue;
        }
        const char *error = json_schema_find_error(schema);
        if (error != NULL) {
            return error[0] == '\0' ? name : error;
        }
    }
    return NULL;
}

static const char *find_error_in_schema(const char *name, json_t *schema)
{
    const char *error = json_schema_find_error(schema);
    return error != NULL && error[0] == '\0' ? name : error;
}

static bool is_plain_good(enum keyword_kind kind, json_t *value)
{
    switch (kind) {
    case KIND_TEXT:
        return json_is_string(value);
    case KIND_BOOLEAN:
        return json_is_boolean(value);
    case KIND_NUMBER:
        return json_is_number(value);
    case KIND_POSITIVE:
        return json_number_value(value) > 0;
    case KIND_LENGTH:
        return json_is_number(value) && json_number_value(value) >= 0 &&
               (json_is_integer(value) ||
                json_real_value(value) == (double)(int64_t)json_real_value(value));
    case KIND_ARRAY:
        return json_is_array(value);
    case KIND_TEXTS:
        return is_set_of(value, is_text);
    case KIND_TYPE:
        return is_type(value);
    case KIND_SCHEMA:
    case KIND_SCHEMAS:
    case KIND_SCHEMA_OR_SCHEMAS:
    case KIND_SCHEMA_MAP:
    case KIND_DEPENDENCIES:
        break;
    }
    return false;
}

static const char *find_error_in_keyword(const struct keyword *keyword, json_t *value)
{
    const char *name = keyword->name;
    if (keyword->kind < KIND_SCHEMA) {
        return is_plain_good(keyword->kind, value) ? NULL : name;
    }
    if (keyword->kind == KIND_SCHEMA_MAP || keyword->kind == KIND_DEPENDENCIES) {
        return find_error_in_map(name, value, keyword->kind == KIND_DEPENDENCIES);
    }
    bool is_array = keyword->kind == KIND_SCHEMAS ||
                    (keyword->kind == KIND_SCHEMA_OR_SCHEMAS && json_is_array(value));
    return is_array ? find_error_in_array(name, value) : find_error_in_schema(name, value);
}

/* The depth of what jansson parses is bounded, and so is this. */
const char *json_schema_find_error(json_t *schema)
{
    if (json_is_boolean(schema)) {
        return NULL;
    }
    if (!json_is_object(schema)) {
        return "";
    }
    const char *error = NULL;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(keywords) && error == NULL; index++) {
        json_t *value = json_object_get(schema, keywords[index].name);
        if (value != NULL) {
            error = find_error_in_keyword(&keywords[index], value);
        }
    }
    return error;
}
