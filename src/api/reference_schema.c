/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas as HTML, and examples of them. */
#include "api/openapi.h"
#include "api/reference.h"

#define DEPTH_MAX 8

void reference_text(struct buf *page, const char *text)
{
    for (const char *byte = text; *byte != '\0'; byte++) {
        switch (*byte) {
        case '<':
            buf_append_text(page, "&lt;");
            break;
        case '>':
            buf_append_text(page, "&gt;");
            break;
        case '&':
            buf_append_text(page, "&amp;");
            break;
        case '"':
            buf_append_text(page, "&quot;");
            break;
        default:
            buf_append_byte(page, *byte);
        }
    }
}

static void append_json(struct buf *page, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    PH_ASSERT(text != NULL);
    reference_text(page, text);
    free(text);
}

/* --- types ------------------------------------------------------------------------------------ */

static void append_link(struct buf *page, const char *pointer)
{
    const char *name = strrchr(pointer, '/') + 1;
    buf_append_format(page, "<a href=\"#%s\">%s</a>", name, name);
}

static void append_joined(struct buf *page, json_t *array, void (*each)(struct buf *, json_t *))
{
    size_t index;
    json_t *value;
    json_array_foreach(array, index, value)
    {
        buf_append_text(page, index == 0 ? "" : " or ");
        each(page, value);
    }
}

static void append_word(struct buf *page, json_t *value)
{
    reference_text(page, json_string_value(value));
}

static void append_value(struct buf *page, json_t *value)
{
    buf_append_text(page, "<code>");
    append_json(page, value);
    buf_append_text(page, "</code>");
}

static bool is_of_type(json_t *schema, const char *wanted)
{
    json_t *type = json_object_get(schema, "type");
    bool is_it = json_is_string(type) && strcmp(json_string_value(type), wanted) == 0;
    size_t index;
    json_t *each;
    json_array_foreach(type, index, each)
    {
        is_it = is_it || strcmp(json_string_value(each), wanted) == 0;
    }
    return is_it;
}

static void append_bounds(struct buf *page, json_t *schema, const char *low, const char *high,
                          const char *unit)
{
    json_t *from = json_object_get(schema, low);
    json_t *to = json_object_get(schema, high);
    if (from != NULL && to != NULL) {
        buf_append_format(page, ", %lld to %lld%s", json_integer_value(from),
                          json_integer_value(to), unit);
    } else if (from != NULL) {
        buf_append_format(page, ", at least %lld%s", json_integer_value(from), unit);
    } else if (to != NULL) {
        buf_append_format(page, ", at most %lld%s", json_integer_value(to), unit);
    }
}

static void append_limits(struct buf *page, json_t *schema)
{
    append_bounds(page, schema, "minimum", "maximum", "");
    append_bounds(page, schema, "minLength", "maxLength", " characters");
    append_bounds(page, schema, "minItems", "maxItems", " items");
    append_bounds(page, schema, "minProperties", "maxProperties", " members");
    const char *format = json_string_value(json_object_get(schema, "format"));
    if (format != NULL) {
        buf_append_text(page, ", ");
        reference_text(page, format);
    }
    const char *pattern = json_string_value(json_object_get(schema, "pattern"));
    if (pattern != NULL) {
        buf_append_text(page, ", <code>");
        reference_text(page, pattern);
        buf_append_text(page, "</code>");
    }
}

void reference_type(struct buf *page, json_t *schema)
{
    const char *pointer = json_string_value(json_object_get(schema, "$ref"));
    if (pointer != NULL) {
        append_link(page, pointer);
        return;
    }
    json_t *choices = json_object_get(schema, "anyOf");
    if (choices != NULL) {
        append_joined(page, choices, reference_type);
        return;
    }
    json_t *values = json_object_get(schema, "enum");
    if (values != NULL) {
        append_joined(page, values, append_value);
        return;
    }
    json_t *constant = json_object_get(schema, "const");
    if (constant != NULL) {
        append_value(page, constant);
        return;
    }
    json_t *type = json_object_get(schema, "type");
    if (type == NULL) {
        buf_append_text(page, "anything");
    } else if (json_is_array(type)) {
        append_joined(page, type, append_word);
    } else {
        append_word(page, type);
    }
    json_t *items = json_object_get(schema, "items");
    json_t *members = json_object_get(schema, "additionalProperties");
    if (items != NULL || json_is_object(members)) {
        buf_append_text(page, " of ");
        reference_type(page, items != NULL ? items : members);
    }
    append_limits(page, schema);
}

void reference_remark(struct buf *page, json_t *schema)
{
    const char *text = json_string_value(json_object_get(schema, "description"));
    reference_text(page, text == NULL ? "" : text);
    json_t *fallback = json_object_get(schema, "default");
    if (fallback != NULL) {
        buf_append_text(page, text == NULL ? "Default " : "; default ");
        append_value(page, fallback);
    }
    if (json_is_true(json_object_get(schema, "deprecated"))) {
        buf_append_text(page, " <span class=\"mark\">deprecated</span>");
    }
}

static bool is_required(json_t *schema, const char *name)
{
    size_t index;
    json_t *each;
    json_array_foreach(json_object_get(schema, "required"), index, each)
    {
        if (strcmp(json_string_value(each), name) == 0) {
            return true;
        }
    }
    return false;
}

static void append_members(struct buf *page, json_t *schema, json_t *members)
{
    const char *name;
    json_t *member;
    buf_append_text(page, "<table>\n<tr><th>Member<th>Type<th>Meaning\n");
    json_object_foreach(members, name, member)
    {
        buf_append_text(page, "<tr><td><code>");
        reference_text(page, name);
        buf_append_text(page, "</code>");
        buf_append_text(page, is_required(schema, name) ? " *" : "");
        buf_append_text(page, "<td>");
        reference_type(page, member);
        buf_append_text(page, "<td>");
        reference_remark(page, member);
        buf_append_byte(page, '\n');
    }
    buf_append_text(page, "</table>\n");
}

/* Objects that are one of several kinds have a table for each besides. */
static void append_kinds(struct buf *page, json_t *schema)
{
    size_t index;
    json_t *kind;
    json_array_foreach(json_object_get(schema, "oneOf"), index, kind)
    {
        buf_append_text(page, index == 0 ? "<p>One of:</p>\n" : "<p>or:</p>\n");
        append_members(page, kind, json_object_get(kind, "properties"));
    }
}

void reference_schemas(struct buf *page, json_t *components)
{
    const char *name;
    json_t *schema;
    json_object_foreach(json_object_get(components, "schemas"), name, schema)
    {
        json_t *members = json_object_get(schema, "properties");
        buf_append_format(page, "<h3 id=\"%s\">%s</h3>\n<p>", name, name);
        reference_remark(page, schema);
        buf_append_text(page, "</p>\n");
        if (members == NULL) {
            buf_append_text(page, "<p>");
            reference_type(page, schema);
            buf_append_text(page, "</p>\n");
        } else {
            append_members(page, schema, members);
            append_kinds(page, schema);
        }
    }
}

/* --- examples --------------------------------------------------------------------------------- */

static json_t *example_of(json_t *components, json_t *schema, unsigned depth);

static json_t *example_object(json_t *components, json_t *schema, unsigned depth)
{
    json_t *object = json_object();
    const char *name;
    json_t *member;
    json_object_foreach(json_object_get(schema, "properties"), name, member)
    {
        if (is_required(schema, name) || json_object_get(member, "examples") != NULL) {
            PH_ASSERT(
                json_object_set_new(object, name, example_of(components, member, depth + 1)) == 0);
        }
    }
    return object;
}

/* A new reference. */
static json_t *example_of(json_t *components, json_t *schema, unsigned depth)
{
    PH_ASSERT(depth < DEPTH_MAX);
    schema = openapi_resolve(components, schema);
    json_t *given = json_array_get(json_object_get(schema, "examples"), 0);
    given = given == NULL ? json_object_get(schema, "default") : given;
    given = given == NULL ? json_array_get(json_object_get(schema, "enum"), 0) : given;
    if (given != NULL) {
        return json_incref(given);
    }
    json_t *choices = json_object_get(schema, "anyOf");
    if (choices != NULL) {
        return example_of(components, json_array_get(choices, 0), depth + 1);
    }
    if (is_of_type(schema, "object")) {
        return example_object(components, schema, depth);
    }
    if (is_of_type(schema, "array")) {
        json_t *array = json_array();
        json_t *items = json_object_get(schema, "items");
        PH_ASSERT(json_array_append_new(array, example_of(components, items, depth + 1)) == 0);
        return array;
    }
    if (is_of_type(schema, "integer")) {
        return json_integer(json_integer_value(json_object_get(schema, "minimum")));
    }
    return is_of_type(schema, "boolean") ? json_true() : json_string("…");
}

void reference_example(struct buf *text, json_t *components, json_t *schema)
{
    json_t *example = example_of(components, schema, 0);
    char *json = json_dumps(example, JSON_COMPACT | JSON_ENCODE_ANY);
    PH_ASSERT(json != NULL);
    buf_append_text(text, json);
    free(json);
    json_decref(example);
}
