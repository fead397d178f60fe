/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the keywords of a schema say, read into its node. A keyword that is none of draft 7, or that
 * only annotates, is passed over.
 */
#include "core/schema_int.h"

#define KEYWORD_LENGTH_MAX 128 /* bytes of a keyword as it may be written, with escapes */

typedef void reader(struct compiler *compiler, struct schema_node *node,
                    const struct scan_member *member);

/* --- rules, made when a keyword needs them -------------------------------------------------------
 */

static struct number_rules *number_of(struct compiler *compiler, struct schema_node *node)
{
    if (node->number == NULL) {
        node->number = schema_alloc(compiler, 1, sizeof *node->number);
    }
    return node->number;
}

static struct string_rules *string_of(struct compiler *compiler, struct schema_node *node)
{
    if (node->string == NULL) {
        node->string = schema_alloc(compiler, 1, sizeof *node->string);
        if (node->string != NULL) {
            node->string->length = SIZE_RULES_NONE;
        }
    }
    return node->string;
}

static struct array_rules *array_of(struct compiler *compiler, struct schema_node *node)
{
    if (node->array == NULL) {
        node->array = schema_alloc(compiler, 1, sizeof *node->array);
        if (node->array != NULL) {
            node->array->items = SIZE_RULES_NONE;
        }
    }
    return node->array;
}

static struct object_rules *object_of(struct compiler *compiler, struct schema_node *node)
{
    if (node->object == NULL) {
        node->object = schema_alloc(compiler, 1, sizeof *node->object);
        if (node->object != NULL) {
            node->object->members = SIZE_RULES_NONE;
        }
    }
    return node->object;
}

static struct combination *combination_of(struct compiler *compiler, struct schema_node *node)
{
    if (node->combination == NULL) {
        node->combination = schema_alloc(compiler, 1, sizeof *node->combination);
    }
    return node->combination;
}

/* --- values of keywords --------------------------------------------------------------------------
 */

static void refuse(struct compiler *compiler, const struct scan_member *member, const char *words)
{
    schema_refuse(compiler, member->value, "%s", words);
}

static bool expect(struct compiler *compiler, const struct scan_member *member, enum scan_type type,
                   const char *words)
{
    if (member->type != type) {
        refuse(compiler, member, words);
    }
    return member->type == type;
}

static size_t count_elements(struct slice array)
{
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    size_t count = 0;
    scan_cursor_init(&cursor, array);
    while (scan_next_element(&cursor, &type, &value)) {
        count++;
    }
    return count;
}

static size_t count_members(struct slice object)
{
    struct scan_cursor cursor;
    struct scan_member member;
    size_t count = 0;
    scan_cursor_init(&cursor, object);
    while (scan_next_member(&cursor, &member)) {
        count++;
    }
    return count;
}

/* A member's key, decoded. */
static struct slice key_of(struct compiler *compiler, const struct scan_member *member)
{
    return schema_text(compiler, (struct slice){member->key.ptr - 1, member->key.len + 2});
}

static struct schema_node *read_schema(struct compiler *compiler, const struct schema_node *node,
                                       const struct scan_member *member)
{
    return schema_compile_node(compiler, member->type, member->value, node->base);
}

static void read_list(struct compiler *compiler, const struct schema_node *node,
                      const struct scan_member *member, struct schema_list *list)
{
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    if (!expect(compiler, member, SCAN_ARRAY, "must be an array of schemas")) {
        return;
    }
    *list = (struct schema_list){.count = 0};
    list->nodes =
        schema_alloc(compiler, count_elements(member->value), sizeof(struct schema_node *));
    scan_cursor_init(&cursor, member->value);
    while (list->nodes != NULL && compiler->error == PH_OK &&
           scan_next_element(&cursor, &type, &value)) {
        list->nodes[list->count++] = schema_compile_node(compiler, type, value, node->base);
    }
}

/* allOf and its like, which are not empty. */
static void read_some(struct compiler *compiler, const struct schema_node *node,
                      const struct scan_member *member, struct schema_list *list)
{
    read_list(compiler, node, member, list);
    if (compiler->error == PH_OK && list->count == 0) {
        refuse(compiler, member, "must have a schema at least");
    }
}

static int compare_names(const void *left, const void *right)
{
    const struct slice *a = left;
    const struct slice *b = right;
    return slice_compare(*a, *b);
}

/* An array of strings, sorted, each once. */
static struct slice *read_names(struct compiler *compiler, const struct scan_member *member,
                                size_t *ret_count)
{
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    size_t count = 0;
    size_t kept = 0;
    struct slice *names =
        schema_alloc(compiler, count_elements(member->value), sizeof(struct slice));
    scan_cursor_init(&cursor, member->value);
    while (names != NULL && scan_next_element(&cursor, &type, &value)) {
        if (type != SCAN_STRING) {
            schema_refuse(compiler, value, "must be a string");
            return NULL;
        }
        names[count++] = schema_text(compiler, value);
    }
    if (count > 1) {
        qsort(names, count, sizeof *names, compare_names);
    }
    for (size_t index = 0; index < count; index++) {
        if (kept == 0 || !slice_equal(names[kept - 1], names[index])) {
            names[kept++] = names[index];
        }
    }
    *ret_count = kept;
    return names;
}

static void read_size(struct compiler *compiler, const struct scan_member *member,
                      int64_t *ret_size)
{
    static const char words[] = "must be a whole number of 0 or more";
    if (!expect(compiler, member, SCAN_NUMBER, words)) {
        return;
    }
    const struct decimal number = decimal_parse(member->value);
    if (!decimal_to_size(&number, INT64_MAX, ret_size)) {
        refuse(compiler, member, words);
    }
}

static bool read_decimal(struct compiler *compiler, const struct scan_member *member,
                         struct decimal *ret_number)
{
    if (!expect(compiler, member, SCAN_NUMBER, "must be a number")) {
        return false;
    }
    *ret_number = decimal_parse(member->value);
    return true;
}

/* --- any value -----------------------------------------------------------------------------------
 */

static void read_draft(struct compiler *compiler, struct schema_node *node,
                       const struct scan_member *member)
{
    (void)node;
    if (!expect(compiler, member, SCAN_STRING, "must be a string")) {
        return;
    }
    struct slice uri = schema_text(compiler, member->value);
    struct slice without = {uri.ptr, slice_find(uri, '#')};
    if (!slice_equal_text(without, schema_meta_uri) &&
        !slice_equal_text(without, "https://json-schema.org/draft-07/schema")) {
        refuse(compiler, member,
               "payloads are validated by draft 7 only, "
               "http://json-schema.org/draft-07/schema#");
    }
}

static unsigned type_bit(struct slice name)
{
    static const struct {
        const char *name;
        unsigned bit;
    } types[SCHEMA_TYPE_COUNT] = {
        {"object", SCHEMA_OBJECT}, {"array", SCHEMA_ARRAY},     {"string", SCHEMA_STRING},
        {"number", SCHEMA_NUMBER}, {"integer", SCHEMA_INTEGER}, {"boolean", SCHEMA_BOOLEAN},
        {"null", SCHEMA_NULL},
    };
    for (size_t index = 0; index < SCHEMA_TYPE_COUNT; index++) {
        if (slice_equal_text(name, types[index].name)) {
            return types[index].bit;
        }
    }
    return 0;
}

static unsigned read_type_name(struct compiler *compiler, enum scan_type type, struct slice value)
{
    unsigned bit = type == SCAN_STRING ? type_bit(schema_text(compiler, value)) : 0;
    if (bit == 0) {
        schema_refuse(compiler, value,
                      "must be object, array, string, number, integer, boolean "
                      "or null");
    }
    return bit;
}

static void read_type(struct compiler *compiler, struct schema_node *node,
                      const struct scan_member *member)
{
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    node->types = 0;
    if (member->type != SCAN_ARRAY) {
        node->types = read_type_name(compiler, member->type, member->value);
        return;
    }
    scan_cursor_init(&cursor, member->value);
    while (scan_next_element(&cursor, &type, &value)) {
        node->types |= read_type_name(compiler, type, value);
    }
    if (node->types == 0) {
        refuse(compiler, member, "must name a type at least");
    }
}

static void read_const(struct compiler *compiler, struct schema_node *node,
                       const struct scan_member *member)
{
    node->constant = schema_alloc(compiler, 1, sizeof *node->constant);
    if (node->constant != NULL) {
        *node->constant = (struct schema_constant){member->type, member->value};
    }
}

static void read_enum(struct compiler *compiler, struct schema_node *node,
                      const struct scan_member *member)
{
    struct scan_cursor cursor;
    struct schema_constant constant;
    if (!expect(compiler, member, SCAN_ARRAY, "must be an array")) {
        return;
    }
    node->values = schema_alloc(compiler, count_elements(member->value), sizeof *node->values);
    node->value_count = 0;
    scan_cursor_init(&cursor, member->value);
    while (node->values != NULL && scan_next_element(&cursor, &constant.type, &constant.value)) {
        node->values[node->value_count++] = constant;
    }
}

/* --- numbers
 * -------------------------------------------------------------------------------------- */

static void read_multiple(struct compiler *compiler, struct schema_node *node,
                          const struct scan_member *member)
{
    struct number_rules *rules = number_of(compiler, node);
    if (rules == NULL || !read_decimal(compiler, member, &rules->multiple_of)) {
        return;
    }
    if (rules->multiple_of.is_negative || rules->multiple_of.count == 0) {
        refuse(compiler, member, "must be above 0");
    } else if (rules->multiple_of.count > DECIMAL_DIVISOR_DIGITS_MAX) {
        schema_refuse(compiler, member->value, "has more than %d digits",
                      DECIMAL_DIVISOR_DIGITS_MAX);
    }
    rules->has_multiple_of = true;
}

static void read_maximum(struct compiler *compiler, struct schema_node *node,
                         const struct scan_member *member)
{
    struct number_rules *rules = number_of(compiler, node);
    if (rules != NULL) {
        rules->has_maximum = read_decimal(compiler, member, &rules->maximum);
    }
}

static void read_exclusive_maximum(struct compiler *compiler, struct schema_node *node,
                                   const struct scan_member *member)
{
    struct number_rules *rules = number_of(compiler, node);
    if (rules != NULL) {
        rules->has_exclusive_maximum = read_decimal(compiler, member, &rules->exclusive_maximum);
    }
}

static void read_minimum(struct compiler *compiler, struct schema_node *node,
                         const struct scan_member *member)
{
    struct number_rules *rules = number_of(compiler, node);
    if (rules != NULL) {
        rules->has_minimum = read_decimal(compiler, member, &rules->minimum);
    }
}

static void read_exclusive_minimum(struct compiler *compiler, struct schema_node *node,
                                   const struct scan_member *member)
{
    struct number_rules *rules = number_of(compiler, node);
    if (rules != NULL) {
        rules->has_exclusive_minimum = read_decimal(compiler, member, &rules->exclusive_minimum);
    }
}

/* --- strings
 * -------------------------------------------------------------------------------------- */

static void read_max_length(struct compiler *compiler, struct schema_node *node,
                            const struct scan_member *member)
{
    struct string_rules *rules = string_of(compiler, node);
    if (rules != NULL) {
        read_size(compiler, member, &rules->length.maximum);
    }
}

static void read_min_length(struct compiler *compiler, struct schema_node *node,
                            const struct scan_member *member)
{
    struct string_rules *rules = string_of(compiler, node);
    if (rules != NULL) {
        read_size(compiler, member, &rules->length.minimum);
    }
}

static void read_pattern(struct compiler *compiler, struct schema_node *node,
                         const struct scan_member *member)
{
    struct string_rules *rules = string_of(compiler, node);
    if (rules != NULL && expect(compiler, member, SCAN_STRING, "must be a string")) {
        rules->pattern = schema_pattern(compiler, member->value);
    }
}

/* --- arrays
 * --------------------------------------------------------------------------------------- */

static void read_items(struct compiler *compiler, struct schema_node *node,
                       const struct scan_member *member)
{
    struct array_rules *rules = array_of(compiler, node);
    if (rules == NULL) {
        return;
    }
    rules->each = NULL;
    rules->positions = (struct schema_list){.count = 0};
    rules->has_positions = member->type == SCAN_ARRAY;
    if (rules->has_positions) {
        read_list(compiler, node, member, &rules->positions);
    } else {
        rules->each = read_schema(compiler, node, member);
    }
}

static void read_additional_items(struct compiler *compiler, struct schema_node *node,
                                  const struct scan_member *member)
{
    struct array_rules *rules = array_of(compiler, node);
    if (rules != NULL) {
        rules->additional = read_schema(compiler, node, member);
    }
}

static void read_contains(struct compiler *compiler, struct schema_node *node,
                          const struct scan_member *member)
{
    struct array_rules *rules = array_of(compiler, node);
    if (rules != NULL) {
        rules->contains = read_schema(compiler, node, member);
    }
}

static void read_unique(struct compiler *compiler, struct schema_node *node,
                        const struct scan_member *member)
{
    struct array_rules *rules = array_of(compiler, node);
    if (rules != NULL) {
        rules->is_unique = member->type == SCAN_TRUE;
    }
    if (member->type != SCAN_TRUE && member->type != SCAN_FALSE) {
        refuse(compiler, member, "must be true or false");
    }
}

static void read_max_items(struct compiler *compiler, struct schema_node *node,
                           const struct scan_member *member)
{
    struct array_rules *rules = array_of(compiler, node);
    if (rules != NULL) {
        read_size(compiler, member, &rules->items.maximum);
    }
}

static void read_min_items(struct compiler *compiler, struct schema_node *node,
                           const struct scan_member *member)
{
    struct array_rules *rules = array_of(compiler, node);
    if (rules != NULL) {
        read_size(compiler, member, &rules->items.minimum);
    }
}

/* --- objects
 * -------------------------------------------------------------------------------------- */

static int compare_properties(const void *left, const void *right)
{
    const struct schema_property *a = left;
    const struct schema_property *b = right;
    int order = slice_compare(a->name, b->name);
    /* The later one of two with the same name comes first. */
    return order != 0 ? order : (a->text_ptr < b->text_ptr) - (a->text_ptr > b->text_ptr);
}

static void read_properties(struct compiler *compiler, struct schema_node *node,
                            const struct scan_member *member)
{
    struct object_rules *rules = object_of(compiler, node);
    struct scan_cursor cursor;
    struct scan_member each;
    if (rules == NULL || !expect(compiler, member, SCAN_OBJECT, "must be an object")) {
        return;
    }
    rules->property_count = 0;
    rules->properties =
        schema_alloc(compiler, count_members(member->value), sizeof *rules->properties);
    scan_cursor_init(&cursor, member->value);
    while (rules->properties != NULL && compiler->error == PH_OK &&
           scan_next_member(&cursor, &each)) {
        rules->properties[rules->property_count++] =
            (struct schema_property){.name = key_of(compiler, &each),
                                     .node = read_schema(compiler, node, &each),
                                     .text_ptr = each.value.ptr};
    }
    if (rules->property_count > 1) {
        qsort(rules->properties, rules->property_count, sizeof *rules->properties,
              compare_properties);
    }
    size_t kept = 0;
    for (size_t index = 0; index < rules->property_count; index++) {
        if (kept == 0 ||
            !slice_equal(rules->properties[kept - 1].name, rules->properties[index].name)) {
            rules->properties[kept++] = rules->properties[index];
        }
    }
    rules->property_count = kept;
}

static void read_pattern_properties(struct compiler *compiler, struct schema_node *node,
                                    const struct scan_member *member)
{
    struct object_rules *rules = object_of(compiler, node);
    struct scan_cursor cursor;
    struct scan_member each;
    if (rules == NULL || !expect(compiler, member, SCAN_OBJECT, "must be an object")) {
        return;
    }
    rules->pattern_count = 0;
    rules->patterns = schema_alloc(compiler, count_members(member->value), sizeof *rules->patterns);
    scan_cursor_init(&cursor, member->value);
    while (rules->patterns != NULL && compiler->error == PH_OK &&
           scan_next_member(&cursor, &each)) {
        struct slice key = {each.key.ptr - 1, each.key.len + 2};
        rules->patterns[rules->pattern_count++] = (struct schema_pattern){
            schema_pattern(compiler, key), read_schema(compiler, node, &each)};
    }
}

static void read_additional_properties(struct compiler *compiler, struct schema_node *node,
                                       const struct scan_member *member)
{
    struct object_rules *rules = object_of(compiler, node);
    if (rules != NULL) {
        rules->additional = read_schema(compiler, node, member);
    }
}

static void read_property_names(struct compiler *compiler, struct schema_node *node,
                                const struct scan_member *member)
{
    struct object_rules *rules = object_of(compiler, node);
    if (rules != NULL) {
        rules->names = read_schema(compiler, node, member);
    }
}

static void read_required(struct compiler *compiler, struct schema_node *node,
                          const struct scan_member *member)
{
    struct object_rules *rules = object_of(compiler, node);
    if (rules != NULL && expect(compiler, member, SCAN_ARRAY, "must be an array of strings")) {
        rules->required = read_names(compiler, member, &rules->required_count);
    }
}

static void read_dependencies(struct compiler *compiler, struct schema_node *node,
                              const struct scan_member *member)
{
    struct object_rules *rules = object_of(compiler, node);
    struct scan_cursor cursor;
    struct scan_member each;
    if (rules == NULL || !expect(compiler, member, SCAN_OBJECT, "must be an object")) {
        return;
    }
    rules->dependency_count = 0;
    rules->dependencies =
        schema_alloc(compiler, count_members(member->value), sizeof *rules->dependencies);
    scan_cursor_init(&cursor, member->value);
    while (rules->dependencies != NULL && compiler->error == PH_OK &&
           scan_next_member(&cursor, &each)) {
        struct schema_dependency *dependency = &rules->dependencies[rules->dependency_count++];
        dependency->name = key_of(compiler, &each);
        if (each.type == SCAN_ARRAY) {
            dependency->names = read_names(compiler, &each, &dependency->count);
        } else {
            dependency->node = read_schema(compiler, node, &each);
        }
    }
}

static void read_max_properties(struct compiler *compiler, struct schema_node *node,
                                const struct scan_member *member)
{
    struct object_rules *rules = object_of(compiler, node);
    if (rules != NULL) {
        read_size(compiler, member, &rules->members.maximum);
    }
}

static void read_min_properties(struct compiler *compiler, struct schema_node *node,
                                const struct scan_member *member)
{
    struct object_rules *rules = object_of(compiler, node);
    if (rules != NULL) {
        read_size(compiler, member, &rules->members.minimum);
    }
}

/* They hold nothing by themselves; references lead to them, and they are to be right. */
static void read_definitions(struct compiler *compiler, struct schema_node *node,
                             const struct scan_member *member)
{
    struct scan_cursor cursor;
    struct scan_member each;
    if (!expect(compiler, member, SCAN_OBJECT, "must be an object")) {
        return;
    }
    scan_cursor_init(&cursor, member->value);
    while (compiler->error == PH_OK && scan_next_member(&cursor, &each)) {
        (void)read_schema(compiler, node, &each);
    }
}

/* --- combinations
 * --------------------------------------------------------------------------------- */

static void read_all(struct compiler *compiler, struct schema_node *node,
                     const struct scan_member *member)
{
    struct combination *combination = combination_of(compiler, node);
    if (combination != NULL) {
        read_some(compiler, node, member, &combination->all);
    }
}

static void read_any(struct compiler *compiler, struct schema_node *node,
                     const struct scan_member *member)
{
    struct combination *combination = combination_of(compiler, node);
    if (combination != NULL) {
        read_some(compiler, node, member, &combination->any);
    }
}

static void read_one(struct compiler *compiler, struct schema_node *node,
                     const struct scan_member *member)
{
    struct combination *combination = combination_of(compiler, node);
    if (combination != NULL) {
        read_some(compiler, node, member, &combination->one);
    }
}

static void read_not(struct compiler *compiler, struct schema_node *node,
                     const struct scan_member *member)
{
    struct combination *combination = combination_of(compiler, node);
    if (combination != NULL) {
        combination->none = read_schema(compiler, node, member);
    }
}

static void read_if(struct compiler *compiler, struct schema_node *node,
                    const struct scan_member *member)
{
    struct combination *combination = combination_of(compiler, node);
    if (combination != NULL) {
        combination->condition = read_schema(compiler, node, member);
    }
}

static void read_then(struct compiler *compiler, struct schema_node *node,
                      const struct scan_member *member)
{
    struct combination *combination = combination_of(compiler, node);
    if (combination != NULL) {
        combination->consequence = read_schema(compiler, node, member);
    }
}

static void read_else(struct compiler *compiler, struct schema_node *node,
                      const struct scan_member *member)
{
    struct combination *combination = combination_of(compiler, node);
    if (combination != NULL) {
        combination->otherwise = read_schema(compiler, node, member);
    }
}

/* --- the table
 * ------------------------------------------------------------------------------------ */

static const struct keyword {
    const char *name;
    reader *read;
} keywords[] = {
    {"$schema", read_draft},
    {"type", read_type},
    {"const", read_const},
    {"enum", read_enum},
    {"multipleOf", read_multiple},
    {"maximum", read_maximum},
    {"exclusiveMaximum", read_exclusive_maximum},
    {"minimum", read_minimum},
    {"exclusiveMinimum", read_exclusive_minimum},
    {"maxLength", read_max_length},
    {"minLength", read_min_length},
    {"pattern", read_pattern},
    {"items", read_items},
    {"additionalItems", read_additional_items},
    {"contains", read_contains},
    {"uniqueItems", read_unique},
    {"maxItems", read_max_items},
    {"minItems", read_min_items},
    {"properties", read_properties},
    {"patternProperties", read_pattern_properties},
    {"additionalProperties", read_additional_properties},
    {"propertyNames", read_property_names},
    {"required", read_required},
    {"dependencies", read_dependencies},
    {"maxProperties", read_max_properties},
    {"minProperties", read_min_properties},
    {"definitions", read_definitions},
    {"allOf", read_all},
    {"anyOf", read_any},
    {"oneOf", read_one},
    {"not", read_not},
    {"if", read_if},
    {"then", read_then},
    {"else", read_else},
};

void schema_read_keywords(struct compiler *compiler, struct schema_node *node)
{
    struct scan_cursor cursor;
    struct scan_member member;
    schema_work(compiler, node->text);
    scan_cursor_init(&cursor, node->text);
    while (compiler->error == PH_OK && scan_next_member(&cursor, &member)) {
        for (size_t index = 0;
             index < PH_ARRAY_LENGTH(keywords) && member.key.len <= KEYWORD_LENGTH_MAX; index++) {
            if (scan_find(&member, 1, keywords[index].name) != NULL) {
                keywords[index].read(compiler, node, &member);
                break;
            }
        }
    }
}
