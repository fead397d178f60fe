/* SPDX-License-Identifier: Apache-2.0 */
/* Objects and arrays of a validation. */
#include "core/schema_run.h"

#define SEEN_MAX ((size_t)1024 * 1024)

/* --- objects
 * -------------------------------------------------------------------------------------- */

/* The key, decoded; memory of the run when it has escapes. */
static bool decode_key(struct run *run, const struct scan_member *member, struct slice *ret_name)
{
    *ret_name = member->key;
    if (!member->key_has_escapes) {
        return true;
    }
    BUF_AUTO struct buf text;
    buf_init(&text, member->key.len + 1);
    schema_decode(member->key, &text);
    char *copy = text.failed ? NULL : arena_dup(&run->scratch, buf_slice(&text));
    if (copy == NULL) {
        run->is_exhausted = true;
        return false;
    }
    *ret_name = (struct slice){copy, text.len};
    return true;
}

/* Room for flags that are all false; the index of the first. */
static bool push_seen(struct run *run, size_t count, size_t *ret_first)
{
    if (count > SEEN_MAX - run->seen_count) {
        run->is_exhausted = true;
        return false;
    }
    if (run->seen_count + count > run->seen_capacity) {
        run->seen_capacity = 2 * (run->seen_count + count);
        run->seen = ph_realloc(run->seen, run->seen_capacity);
    }
    if (count > 0) {
        memset(run->seen + run->seen_count, 0, count);
    }
    *ret_first = run->seen_count;
    run->seen_count += count;
    return true;
}

static void see(struct run *run, const struct object_rules *rules, size_t first, struct slice name)
{
    size_t low = 0;
    size_t high = rules->required_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(rules->required[middle], name);
        if (order == 0) {
            run->seen[first + middle] = 1;
            return;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
}

static const struct schema_property *find_property(const struct object_rules *rules,
                                                   struct slice name)
{
    size_t low = 0;
    size_t high = rules->property_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(rules->properties[middle].name, name);
        if (order == 0) {
            return &rules->properties[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static bool check_member(struct run *run, const struct object_rules *rules,
                         const struct place *place, const struct scan_member *member,
                         struct slice name)
{
    const struct place inner = {place, member->key, 0};
    const struct schema_property *property = find_property(rules, name);
    bool is_known = property != NULL;
    if (is_known && !schema_check(run, property->node, &inner, member->type, member->value)) {
        return false;
    }
    for (size_t index = 0; index < rules->pattern_count; index++) {
        if (schema_matches(run, rules->patterns[index].code, name)) {
            is_known = true;
            if (!schema_check(run, rules->patterns[index].node, &inner, member->type,
                              member->value)) {
                return false;
            }
        }
        if (run->is_exhausted) {
            return false;
        }
    }
    if (is_known || rules->additional == NULL) {
        return true;
    }
    return schema_check(run, rules->additional, &inner, member->type, member->value);
}

static bool check_members(struct run *run, const struct object_rules *rules,
                          const struct place *place, struct slice value, size_t first,
                          int64_t *ret_count)
{
    struct scan_cursor cursor;
    struct scan_member member;
    struct slice name;
    scan_cursor_init(&cursor, value);
    while (scan_next_member(&cursor, &member)) {
        const struct place inner = {place, member.key, 0};
        struct slice quoted = {member.key.ptr - 1, member.key.len + 2};
        ++*ret_count;
        if (!decode_key(run, &member, &name)) {
            return false;
        }
        see(run, rules, first, name);
        if (rules->names != NULL && !schema_check(run, rules->names, &inner, SCAN_STRING, quoted)) {
            return false;
        }
        if (!check_member(run, rules, place, &member, name)) {
            return false;
        }
    }
    return true;
}

static bool has_member(struct run *run, struct slice object, struct slice name)
{
    struct scan_cursor cursor;
    struct scan_member member;
    struct slice key;
    if (!schema_spend(run, object.len)) {
        return false;
    }
    scan_cursor_init(&cursor, object);
    while (scan_next_member(&cursor, &member)) {
        if (decode_key(run, &member, &key) && slice_equal(key, name)) {
            return true;
        }
    }
    return false;
}

static bool check_dependency(struct run *run, const struct schema_dependency *dependency,
                             const struct place *place, struct slice value)
{
    if (!has_member(run, value, dependency->name)) {
        return !run->is_exhausted;
    }
    if (dependency->node != NULL) {
        return schema_check(run, dependency->node, place, SCAN_OBJECT, value);
    }
    for (size_t index = 0; index < dependency->count; index++) {
        if (!has_member(run, value, dependency->names[index])) {
            return schema_fail(run, place, "lacks `%.*s`, which goes with `%.*s`",
                               SLICE_ARG(dependency->names[index]), SLICE_ARG(dependency->name));
        }
    }
    return true;
}

static bool check_required(struct run *run, const struct object_rules *rules,
                           const struct place *place, size_t first)
{
    for (size_t index = 0; index < rules->required_count; index++) {
        if (run->seen[first + index] == 0) {
            return schema_fail(run, place, "lacks `%.*s`, which is required",
                               SLICE_ARG(rules->required[index]));
        }
    }
    return true;
}

bool schema_check_object(struct run *run, const struct object_rules *rules,
                         const struct place *place, struct slice value)
{
    size_t first;
    int64_t count = 0;
    if (!push_seen(run, rules->required_count, &first)) {
        return false;
    }
    bool fits = check_members(run, rules, place, value, first, &count) &&
                check_required(run, rules, place, first);
    run->seen_count = first;
    if (fits && count < rules->members.minimum) {
        fits = schema_fail(run, place, "has fewer than %lld members",
                           (long long)rules->members.minimum);
    }
    if (fits && count > rules->members.maximum) {
        fits = schema_fail(run, place, "has more than %lld members",
                           (long long)rules->members.maximum);
    }
    for (size_t index = 0; fits && index < rules->dependency_count; index++) {
        fits = check_dependency(run, &rules->dependencies[index], place, value);
    }
    return fits;
}

/* --- arrays
 * --------------------------------------------------------------------------------------- */

struct element {
    uint64_t hash;
    enum scan_type type;
    struct slice value;
};

static int compare_elements(const void *left, const void *right)
{
    const struct element *a = left;
    const struct element *b = right;
    return (a->hash > b->hash) - (a->hash < b->hash);
}

/* The elements are sorted by their hashes: equal ones are near each other. */
static bool have_twins(struct run *run, const struct element *elements, size_t count)
{
    for (size_t first = 0; first < count; first++) {
        for (size_t next = first + 1; next < count && elements[next].hash == elements[first].hash;
             next++) {
            size_t cost = 1;
            bool is_same = value_equal(elements[first].type, elements[first].value,
                                       elements[next].type, elements[next].value, &cost);
            if (!schema_spend(run, cost)) {
                return false;
            }
            if (is_same) {
                return true;
            }
        }
    }
    return false;
}

static bool check_unique(struct run *run, const struct place *place, struct slice value,
                         size_t count)
{
    struct scan_cursor cursor;
    struct element element = {.hash = 0};
    /* Sorting is what takes longest. */
    if (count < 2 || !schema_spend(run, value.len + 64 * count)) {
        return !run->is_exhausted;
    }
    struct element *elements = ph_calloc(count, sizeof *elements);
    size_t at = 0;
    scan_cursor_init(&cursor, value);
    while (scan_next_element(&cursor, &element.type, &element.value)) {
        element.hash = value_hash(element.type, element.value);
        elements[at++] = element;
    }
    qsort(elements, count, sizeof *elements, compare_elements);
    bool has_twins = have_twins(run, elements, count);
    free(elements);
    if (has_twins) {
        return schema_fail(run, place, "has the same element twice");
    }
    return !run->is_exhausted;
}

static const struct schema_node *node_of_element(const struct array_rules *rules, size_t index)
{
    if (rules->each != NULL) {
        return rules->each;
    }
    if (index < rules->positions.count) {
        return rules->positions.nodes[index];
    }
    return rules->has_positions ? rules->additional : NULL;
}

static bool contains(struct run *run, const struct array_rules *rules, const struct place *place,
                     struct slice value)
{
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice element;
    bool is_found = false;
    run->quiet++;
    scan_cursor_init(&cursor, value);
    for (size_t index = 0;
         !is_found && !run->is_exhausted && scan_next_element(&cursor, &type, &element); index++) {
        const struct place inner = {place, SLICE_NONE, index};
        is_found = schema_check(run, rules->contains, &inner, type, element);
    }
    run->quiet--;
    return is_found;
}

bool schema_check_array(struct run *run, const struct array_rules *rules, const struct place *place,
                        struct slice value)
{
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice element;
    size_t count = 0;
    scan_cursor_init(&cursor, value);
    while (scan_next_element(&cursor, &type, &element)) {
        const struct place inner = {place, SLICE_NONE, count};
        if (!schema_check(run, node_of_element(rules, count), &inner, type, element)) {
            return false;
        }
        count++;
    }
    if ((int64_t)count < rules->items.minimum) {
        return schema_fail(run, place, "has fewer than %lld elements",
                           (long long)rules->items.minimum);
    }
    if ((int64_t)count > rules->items.maximum) {
        return schema_fail(run, place, "has more than %lld elements",
                           (long long)rules->items.maximum);
    }
    if (rules->contains != NULL && !contains(run, rules, place, value)) {
        return schema_fail(run, place, "has no element that fits `contains`");
    }
    return !rules->is_unique || check_unique(run, place, value, count);
}
