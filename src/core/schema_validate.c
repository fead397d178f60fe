/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>

#include "core/schema_run.h"

/* What a budget has, and has more for each byte. A value of a byte is looked at once for each level
 * that it is under, and for each branch. */
#define WORK_BASE ((size_t)256 * 1024 * 1024)
#define WORK_FACTOR 64
#define MATCH_BASE_US 200000
#define MATCH_US_PER_MIB 100000
#define CHECK_COST 64
#define DEPTH_MAX 1000 /* of checks: the depth of the value by that of the schema */
#define SCRATCH_BYTES ((size_t)8 * 1024 * 1024)
#define TEXT_MAX ((size_t)16 * 1024 * 1024)
#define POINTER_MAX ((size_t)64 * 1024 * 1024)
#define POINTER_SHOWN 160
#define WORDS_SHOWN 124

/* --- words
 * ---------------------------------------------------------------------------------------- */

static void append_character(struct buf *text, uint32_t character)
{
    if (character >= 0xd800 && character <= 0xdfff) {
        character = 0xfffd;
    }
    if (character < 0x80) {
        buf_append_byte(text, (char)character);
        return;
    }
    if (character < 0x800) {
        buf_append_byte(text, (char)(0xc0 | character >> 6));
    } else {
        if (character < 0x10000) {
            buf_append_byte(text, (char)(0xe0 | character >> 12));
        } else {
            buf_append_byte(text, (char)(0xf0 | character >> 18));
            buf_append_byte(text, (char)(0x80 | (character >> 12 & 0x3f)));
        }
        buf_append_byte(text, (char)(0x80 | (character >> 6 & 0x3f)));
    }
    buf_append_byte(text, (char)(0x80 | (character & 0x3f)));
}

void schema_decode(struct slice inside, struct buf *text)
{
    uint32_t character;
    while (text_next(&inside, &character)) {
        append_character(text, character);
    }
}

/* A key without control characters; `is_pointer` escapes it for a JSON pointer. */
static void append_key(struct buf *text, struct slice inside, bool is_pointer)
{
    uint32_t character;
    while (text_next(&inside, &character)) {
        if (is_pointer && (character == '~' || character == '/')) {
            buf_append_text(text, character == '~' ? "~0" : "~1");
        } else {
            append_character(text, character < 0x20 || character == 0x7f ? '?' : character);
        }
    }
}

/* Adds the place's parts to the field as far as they fit in whole. */
static void append_parts(struct diag *diag, const struct place **path, size_t depth)
{
    BUF_AUTO struct buf part;
    size_t used = strlen(diag->field);
    buf_init(&part, sizeof diag->field);
    while (depth-- > 0) {
        buf_clear(&part);
        buf_append_byte(&part, DIAG_PART);
        if (path[depth]->key.ptr != NULL) {
            append_key(&part, path[depth]->key, false);
        } else {
            buf_append_format(&part, "[%zu]", path[depth]->index);
        }
        if (part.failed || part.len >= sizeof diag->field - used) {
            return;
        }
        memcpy(diag->field + used, buf_text(&part), part.len + 1);
        used += part.len;
    }
}

static void append_pointer(struct buf *pointer, const struct place **path, size_t depth)
{
    while (depth-- > 0) {
        buf_append_byte(pointer, '/');
        if (path[depth]->key.ptr != NULL) {
            append_key(pointer, path[depth]->key, true);
        } else {
            buf_append_format(pointer, "%zu", path[depth]->index);
        }
    }
}

static void report(struct run *run, const struct place *place, const char *words)
{
    const struct place *path[SCAN_DEPTH_MAX + 1];
    size_t depth = 0;
    BUF_AUTO struct buf pointer;
    buf_init(&pointer, POINTER_MAX);
    for (; place->up != NULL && depth < PH_ARRAY_LENGTH(path); place = place->up) {
        path[depth++] = place;
    }
    append_pointer(&pointer, path, depth);
    int shown = (int)text_cut(buf_slice(&pointer), POINTER_SHOWN);
    (void)diag_set(run->diag, PH_INVALID, run->field, "`%.*s`: %s", shown > 0 ? shown : 1,
                   shown > 0 ? buf_text(&pointer) : "/", words);
    if (run->diag != NULL && depth > 0) {
        for (char *at = run->diag->field; *at != '\0'; at++) {
            *at = *at == '.' ? DIAG_PART : *at;
        }
        append_parts(run->diag, path, depth);
    }
}

bool schema_fail(struct run *run, const struct place *place, const char *format, ...)
{
    char words[WORDS_SHOWN + 4];
    va_list arguments;
    if (run->quiet == 0 && !run->is_exhausted) {
        va_start(arguments, format);
        (void)vsnprintf(words, sizeof words, format, arguments);
        va_end(arguments);
        words[text_cut(slice_of(words), WORDS_SHOWN)] = '\0';
        report(run, place, words);
    }
    return false;
}

bool schema_spend(struct run *run, size_t amount)
{
    if (amount > run->budget->work) {
        run->budget->work = 0;
        run->is_exhausted = true;
        return false;
    }
    run->budget->work -= amount;
    return !run->is_exhausted;
}

/* --- any value
 * ------------------------------------------------------------------------------------ */

static unsigned types_of(enum scan_type type, struct slice value)
{
    static const unsigned bits[] = {
        [SCAN_OBJECT] = SCHEMA_OBJECT, [SCAN_ARRAY] = SCHEMA_ARRAY,  [SCAN_STRING] = SCHEMA_STRING,
        [SCAN_NUMBER] = SCHEMA_NUMBER, [SCAN_TRUE] = SCHEMA_BOOLEAN, [SCAN_FALSE] = SCHEMA_BOOLEAN,
        [SCAN_NULL] = SCHEMA_NULL,
    };
    if (type == SCAN_NUMBER) {
        const struct decimal number = decimal_parse(value);
        return decimal_is_integer(&number) ? SCHEMA_NUMBER | SCHEMA_INTEGER : SCHEMA_NUMBER;
    }
    return bits[type];
}

static bool check_type(struct run *run, const struct schema_node *node, const struct place *place,
                       enum scan_type type, struct slice value)
{
    static const char *const names[SCHEMA_TYPE_COUNT] = {"object",  "array",   "string", "number",
                                                         "integer", "boolean", "null"};
    if (node->types == 0 || (node->types & types_of(type, value)) != 0) {
        return true;
    }
    BUF_AUTO struct buf words;
    buf_init(&words, 256);
    for (size_t index = 0; run->quiet == 0 && index < SCHEMA_TYPE_COUNT; index++) {
        if ((node->types & 1U << index) != 0) {
            buf_append_format(&words, "%s%s", words.len == 0 ? "" : " or ", names[index]);
        }
    }
    return schema_fail(run, place, "is not of type %s", buf_text(&words));
}

static bool is_constant(struct run *run, const struct schema_constant *constant,
                        enum scan_type type, struct slice value)
{
    size_t cost = 8;
    bool is_same = value_equal(constant->type, constant->value, type, value, &cost);
    return schema_spend(run, cost) && is_same;
}

static bool check_constants(struct run *run, const struct schema_node *node,
                            const struct place *place, enum scan_type type, struct slice value)
{
    if (node->constant != NULL && !is_constant(run, node->constant, type, value)) {
        return schema_fail(run, place, "is not the value of `const`");
    }
    bool is_listed = node->values == NULL;
    for (size_t index = 0; !is_listed && index < node->value_count; index++) {
        is_listed = is_constant(run, &node->values[index], type, value);
    }
    return is_listed || schema_fail(run, place, "is none of the values of `enum`");
}

/* --- numbers and strings
 * ---------------------------------------------------------------------------- */

static bool check_number(struct run *run, const struct number_rules *rules,
                         const struct place *place, struct slice value)
{
    const struct decimal number = decimal_parse(value);
    if (rules->has_maximum && decimal_compare(&number, &rules->maximum) > 0) {
        return schema_fail(run, place, "is above `maximum`");
    }
    if (rules->has_exclusive_maximum && decimal_compare(&number, &rules->exclusive_maximum) >= 0) {
        return schema_fail(run, place, "is not below `exclusiveMaximum`");
    }
    if (rules->has_minimum && decimal_compare(&number, &rules->minimum) < 0) {
        return schema_fail(run, place, "is below `minimum`");
    }
    if (rules->has_exclusive_minimum && decimal_compare(&number, &rules->exclusive_minimum) <= 0) {
        return schema_fail(run, place, "is not above `exclusiveMinimum`");
    }
    if (rules->has_multiple_of && !decimal_is_multiple(&number, &rules->multiple_of)) {
        return schema_fail(run, place, "is no multiple of `multipleOf`");
    }
    return true;
}

static bool matches(struct run *run, const pcre2_code *pattern, struct slice inside)
{
    if (memchr(inside.ptr, '\\', inside.len) == NULL) {
        return schema_matches(run, pattern, inside);
    }
    buf_clear(&run->text);
    schema_decode(inside, &run->text);
    if (run->text.failed) {
        run->is_exhausted = true;
        return false;
    }
    return schema_matches(run, pattern, buf_slice(&run->text));
}

static bool check_string(struct run *run, const struct string_rules *rules,
                         const struct place *place, struct slice value)
{
    /* There are no more characters than bytes. */
    bool is_counted = rules->length.minimum > 0 || (int64_t)value.len - 2 > rules->length.maximum;
    int64_t length = is_counted ? (int64_t)text_length(value) : 0;
    if (length > rules->length.maximum) {
        return schema_fail(run, place, "has more than %lld characters",
                           (long long)rules->length.maximum);
    }
    if (length < rules->length.minimum) {
        return schema_fail(run, place, "has fewer than %lld characters",
                           (long long)rules->length.minimum);
    }
    if (rules->pattern != NULL &&
        !matches(run, rules->pattern, (struct slice){value.ptr + 1, value.len - 2})) {
        return schema_fail(run, place, "does not match `pattern`");
    }
    return true;
}

/* --- combinations
 * ----------------------------------------------------------------------------------- */

static bool fits_quietly(struct run *run, const struct schema_node *node, const struct place *place,
                         enum scan_type type, struct slice value)
{
    run->quiet++;
    bool fits = schema_check(run, node, place, type, value);
    run->quiet--;
    return fits;
}

/* How many fit; counting stops above `enough`. */
static size_t count_fitting(struct run *run, const struct schema_list *list,
                            const struct place *place, enum scan_type type, struct slice value,
                            size_t enough)
{
    size_t count = 0;
    for (size_t index = 0; count < enough && index < list->count; index++) {
        count += fits_quietly(run, list->nodes[index], place, type, value);
    }
    return count;
}

static bool check_condition(struct run *run, const struct combination *combination,
                            const struct place *place, enum scan_type type, struct slice value)
{
    if (combination->condition == NULL ||
        (combination->consequence == NULL && combination->otherwise == NULL)) {
        return true;
    }
    bool holds = fits_quietly(run, combination->condition, place, type, value);
    const struct schema_node *next = holds ? combination->consequence : combination->otherwise;
    return schema_check(run, next, place, type, value);
}

static bool check_combination(struct run *run, const struct combination *combination,
                              const struct place *place, enum scan_type type, struct slice value)
{
    for (size_t index = 0; index < combination->all.count; index++) {
        if (!schema_check(run, combination->all.nodes[index], place, type, value)) {
            return false;
        }
    }
    if (combination->any.count > 0 &&
        count_fitting(run, &combination->any, place, type, value, 1) == 0) {
        return schema_fail(run, place, "fits no schema of `anyOf`");
    }
    if (combination->one.count > 0) {
        size_t count = count_fitting(run, &combination->one, place, type, value, 2);
        if (count != 1) {
            return schema_fail(run, place, "fits %s schema of `oneOf`",
                               count == 0 ? "no" : "more than one");
        }
    }
    if (combination->none != NULL && fits_quietly(run, combination->none, place, type, value)) {
        return schema_fail(run, place, "fits the schema of `not`");
    }
    return check_condition(run, combination, place, type, value);
}

static bool check_rules(struct run *run, const struct schema_node *node, const struct place *place,
                        enum scan_type type, struct slice value)
{
    bool fits =
        check_type(run, node, place, type, value) && check_constants(run, node, place, type, value);
    if (fits && type == SCAN_NUMBER && node->number != NULL) {
        fits = check_number(run, node->number, place, value);
    } else if (fits && type == SCAN_STRING && node->string != NULL) {
        fits = check_string(run, node->string, place, value);
    } else if (fits && type == SCAN_ARRAY && node->array != NULL) {
        fits = schema_check_array(run, node->array, place, value);
    } else if (fits && type == SCAN_OBJECT && node->object != NULL) {
        fits = schema_check_object(run, node->object, place, value);
    }
    if (fits && node->combination != NULL) {
        fits = check_combination(run, node->combination, place, type, value);
    }
    return fits;
}

/* The depth is bounded, here and by SCHEMA_CHAIN_MAX. */
bool schema_check(struct run *run, const struct schema_node *node, const struct place *place,
                  enum scan_type type, struct slice value)
{
    while (node != NULL && node->kind == NODE_REFERENCE) {
        node = node->target;
    }
    if (!schema_spend(run, CHECK_COST + value.len)) {
        return false;
    }
    if (node == NULL || node->kind == NODE_ANYTHING) {
        return true;
    }
    if (node->kind == NODE_NOTHING) {
        return schema_fail(run, place, "is not allowed");
    }
    if (run->depth == DEPTH_MAX) {
        run->is_exhausted = true;
        return false;
    }
    run->depth++;
    bool fits = check_rules(run, node, place, type, value);
    run->depth--;
    return fits && !run->is_exhausted;
}

struct schema_budget schema_budget(size_t bytes)
{
    return (struct schema_budget){
        .work = WORK_BASE + WORK_FACTOR * bytes,
        .match_us = MATCH_BASE_US + (int64_t)(bytes / (1024 * 1024)) * MATCH_US_PER_MIB,
    };
}

enum ph_error schema_validate(const struct schema *schema, struct slice value, schema_clock *clock,
                              struct schema_budget *budget, const char *field, struct diag *diag)
{
    struct run run = {.clock = clock, .budget = budget, .field = field, .diag = diag};
    const struct place root = {.up = NULL};
    struct slice trimmed = slice_trim(value);
    arena_init(&run.scratch, SCRATCH_BYTES);
    buf_init(&run.text, TEXT_MAX);
    bool fits = schema_check(&run, schema->root, &root, value_type(trimmed), trimmed);
    arena_done(&run.scratch);
    buf_done(&run.text);
    free(run.seen);
    pcre2_match_data_free(run.matches);
    pcre2_match_context_free(run.context);
    if (run.is_exhausted) {
        return diag_set(diag, PH_INVALID, field,
                        "it takes too much work to validate this by the schema");
    }
    return fits ? PH_OK : PH_INVALID;
}
