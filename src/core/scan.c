/* SPDX-License-Identifier: Apache-2.0 */
#include "core/scan.h"

#include "core/scan_int.h"

static const char *const type_names[] = {
    [SCAN_OBJECT] = "object", [SCAN_ARRAY] = "array",  [SCAN_STRING] = "string",
    [SCAN_NUMBER] = "number", [SCAN_TRUE] = "boolean", [SCAN_FALSE] = "boolean",
    [SCAN_NULL] = "null",
};

const char *scan_type_name(enum scan_type type)
{
    PH_ASSERT((unsigned)type < PH_ARRAY_LENGTH(type_names));
    return type_names[type];
}

static bool fail(struct scanner *scanner, const char *words)
{
    scanner->words = words;
    return false;
}

static bool is_digit(const struct scanner *scanner)
{
    return scanner->at < scanner->end && *scanner->at >= '0' && *scanner->at <= '9';
}

static bool skip_digits(struct scanner *scanner)
{
    if (!is_digit(scanner)) {
        return fail(scanner, "expected a digit");
    }
    do {
        scanner->at++;
    } while (is_digit(scanner));
    return true;
}

static bool take(struct scanner *scanner, char byte)
{
    if (scanner->at < scanner->end && *scanner->at == byte) {
        scanner->at++;
        return true;
    }
    return false;
}

static bool skip_number(struct scanner *scanner)
{
    (void)take(scanner, '-');
    if (!take(scanner, '0') && !skip_digits(scanner)) {
        return false;
    }
    if (take(scanner, '.') && !skip_digits(scanner)) {
        return false;
    }
    if (take(scanner, 'e') || take(scanner, 'E')) {
        if (!take(scanner, '+')) {
            (void)take(scanner, '-');
        }
        return skip_digits(scanner);
    }
    return true;
}

static bool skip_word(struct scanner *scanner, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(scanner->end - scanner->at) < length || memcmp(scanner->at, word, length) != 0) {
        return fail(scanner, "expected a value");
    }
    scanner->at += length;
    return true;
}

static void skip_space(struct scanner *scanner)
{
    while (scanner->at < scanner->end && (unsigned char)*scanner->at <= ' ') {
        char byte = *scanner->at;
        if (byte != ' ' && byte != '\n' && byte != '\r' && byte != '\t') {
            return;
        }
        scanner->at++;
    }
}

/* Any value that is not an object or array; at its first byte, which exists. */
static bool skip_scalar(struct scanner *scanner, enum scan_type *ret_type)
{
    switch (*scanner->at) {
    case '"':
        *ret_type = SCAN_STRING;
        return scan_skip_string(scanner);
    case 't':
        *ret_type = SCAN_TRUE;
        return skip_word(scanner, "true");
    case 'f':
        *ret_type = SCAN_FALSE;
        return skip_word(scanner, "false");
    case 'n':
        *ret_type = SCAN_NULL;
        return skip_word(scanner, "null");
    default:
        *ret_type = SCAN_NUMBER;
        if (*scanner->at == '-' || is_digit(scanner)) {
            return skip_number(scanner);
        }
        return fail(scanner, "expected a value");
    }
}

/* From the key to the first byte of the value. */
static bool skip_key(struct scanner *scanner)
{
    if (scanner->at == scanner->end || *scanner->at != '"') {
        return fail(scanner, "expected a key in quotes");
    }
    if (!scan_skip_string(scanner)) {
        return false;
    }
    skip_space(scanner);
    if (!take(scanner, ':')) {
        return fail(scanner, "expected `:`");
    }
    skip_space(scanner);
    return true;
}

/* Where the scanner stands in an object or array of arrays and objects: one bit per level. */
struct nesting {
    uint64_t objects[SCAN_DEPTH_MAX / 64]; /* by level, the outermost first: 1 = object */
    unsigned depth;
    unsigned depth_max;
};

static void push_level(struct nesting *nesting, bool is_object)
{
    uint64_t bit = UINT64_C(1) << nesting->depth % 64;
    uint64_t *word = &nesting->objects[nesting->depth / 64];
    *word = is_object ? *word | bit : *word & ~bit;
    nesting->depth++;
}

static bool is_innermost_object(const struct nesting *nesting)
{
    unsigned level = nesting->depth - 1;
    return (nesting->objects[level / 64] >> level % 64 & 1) != 0;
}

/* At `{` or `[`. Sets *ret_is_empty when it was closed at once. */
static bool open_level(struct scanner *scanner, struct nesting *nesting, bool *ret_is_empty)
{
    if (nesting->depth == nesting->depth_max) {
        return fail(scanner, "nested too deep");
    }
    bool is_object = *scanner->at++ == '{';
    skip_space(scanner);
    *ret_is_empty = take(scanner, is_object ? '}' : ']');
    if (*ret_is_empty) {
        return true;
    }
    push_level(nesting, is_object);
    return is_object ? skip_key(scanner) : true;
}

/* Behind a value: closes levels until a comma leads to the next value, or all are closed. */
static bool close_levels(struct scanner *scanner, struct nesting *nesting)
{
    while (nesting->depth > 0) {
        bool is_object = is_innermost_object(nesting);
        skip_space(scanner);
        if (take(scanner, ',')) {
            skip_space(scanner);
            return is_object ? skip_key(scanner) : true;
        }
        if (!take(scanner, is_object ? '}' : ']')) {
            return fail(scanner, is_object ? "expected `,` or `}`" : "expected `,` or `]`");
        }
        nesting->depth--;
    }
    return true;
}

/* One value at its first byte, with at most `depth_max` levels of its own. */
static bool skip_value(struct scanner *scanner, unsigned depth_max, enum scan_type *ret_type)
{
    struct nesting nesting = {.depth_max = depth_max};
    bool is_outermost = true;
    do {
        if (scanner->at == scanner->end) {
            return fail(scanner, "expected a value");
        }
        enum scan_type type = *scanner->at == '{' ? SCAN_OBJECT : SCAN_ARRAY;
        bool is_complete = true;
        if (*scanner->at == '{' || *scanner->at == '[') {
            if (!open_level(scanner, &nesting, &is_complete)) {
                return false;
            }
        } else if (!skip_scalar(scanner, &type)) {
            return false;
        }
        if (is_outermost) {
            *ret_type = type;
            is_outermost = false;
        }
        if (is_complete && !close_levels(scanner, &nesting)) {
            return false;
        }
    } while (nesting.depth > 0);
    return true;
}

static void scanner_init(struct scanner *scanner, struct slice text)
{
    /* Empty text may have no address at all. */
    const char *begin = text.len == 0 ? "" : text.ptr;
    *scanner = (struct scanner){.begin = begin, .at = begin, .end = begin + text.len};
}

static enum ph_error report(const struct scanner *scanner, struct diag *diag,
                            size_t *ret_error_offset)
{
    size_t offset = (size_t)(scanner->at - scanner->begin);
    enum ph_error error =
        diag_set(diag, PH_INVALID, "body", "%s at offset %zu%s", scanner->words, offset,
                 scanner->at == scanner->end ? ", where the text ends" : "");
    diag_code(diag, "value_error.jsondecode");
    if (ret_error_offset != NULL) {
        *ret_error_offset = offset;
    }
    return error;
}

/* From the key to the first byte of the value. */
static bool take_key(struct scanner *scanner, struct scan_member *ret_member)
{
    const char *key = scanner->at;
    scanner->has_escapes = false;
    if (scanner->at == scanner->end || *scanner->at != '"') {
        return fail(scanner, "expected a key in quotes");
    }
    if (!scan_skip_string(scanner)) {
        return false;
    }
    ret_member->key = (struct slice){key + 1, (size_t)(scanner->at - key) - 2};
    ret_member->key_has_escapes = scanner->has_escapes;
    skip_space(scanner);
    if (!take(scanner, ':')) {
        return fail(scanner, "expected `:`");
    }
    skip_space(scanner);
    return true;
}

/* A member from its key to the end of its value, at depth `depth_max` from within. */
static bool take_member(struct scanner *scanner, unsigned depth_max, struct scan_member *ret_member)
{
    struct scan_member member;
    if (!take_key(scanner, &member)) {
        return false;
    }
    const char *value = scanner->at;
    if (!skip_value(scanner, depth_max, &member.type)) {
        return false;
    }
    member.value = (struct slice){value, (size_t)(scanner->at - value)};
    *ret_member = member;
    return true;
}

static const char too_many_members[] = "too many members";

/* From the first byte of an object to behind its last. */
static bool take_object(struct scanner *scanner, struct scan_member *members, size_t max_members,
                        size_t *ret_count)
{
    size_t count = 0;
    if (!take(scanner, '{')) {
        return fail(scanner, "expected `{`");
    }
    skip_space(scanner);
    if (!take(scanner, '}')) {
        for (;;) {
            if (count == max_members) {
                return fail(scanner, too_many_members);
            }
            if (!take_member(scanner, SCAN_DEPTH_MAX - 1, &members[count])) {
                return false;
            }
            count++;
            skip_space(scanner);
            if (take(scanner, '}')) {
                break;
            }
            if (!take(scanner, ',')) {
                return fail(scanner, "expected `,` or `}`");
            }
            skip_space(scanner);
        }
    }
    *ret_count = count;
    return true;
}

static bool take_end(struct scanner *scanner)
{
    skip_space(scanner);
    return scanner->at == scanner->end || fail(scanner, "expected nothing more");
}

enum ph_error scan_object(struct slice text, struct scan_member *members, size_t max_members,
                          size_t *ret_count, struct diag *diag, size_t *ret_error_offset)
{
    struct scanner scanner;
    size_t count;
    scanner_init(&scanner, text);
    skip_space(&scanner);
    if (!take_object(&scanner, members, max_members, &count) || !take_end(&scanner)) {
        return report(&scanner, diag, ret_error_offset);
    }
    *ret_count = count;
    return PH_OK;
}

enum ph_error scan_document(struct slice text, enum scan_type *ret_type, struct diag *diag,
                            size_t *ret_error_offset)
{
    struct scanner scanner;
    enum scan_type type;
    scanner_init(&scanner, text);
    skip_space(&scanner);
    if (!skip_value(&scanner, SCAN_DEPTH_MAX, &type) || !take_end(&scanner)) {
        return report(&scanner, diag, ret_error_offset);
    }
    if (ret_type != NULL) {
        *ret_type = type;
    }
    return PH_OK;
}

bool scan_value(struct slice text, enum scan_type *ret_type, struct slice *ret_value,
                size_t *ret_consumed)
{
    struct scanner scanner;
    enum scan_type type;
    scanner_init(&scanner, text);
    skip_space(&scanner);
    const char *value = scanner.at;
    if (!skip_value(&scanner, SCAN_DEPTH_MAX, &type)) {
        return false;
    }
    *ret_type = type;
    *ret_value = (struct slice){value, (size_t)(scanner.at - value)};
    *ret_consumed = (size_t)(scanner.at - scanner.begin);
    return true;
}

bool scan_int64(struct slice value, int64_t *ret_number)
{
    return slice_to_int64(value, ret_number);
}

void scan_cursor_init(struct scan_cursor *cursor, struct slice value)
{
    PH_ASSERT(value.len >= 2 && (value.ptr[0] == '{' || value.ptr[0] == '['));
    *cursor = (struct scan_cursor){.rest = {value.ptr + 1, value.len - 1}};
}

/* To the first byte of the next element or member; false at the end. */
static bool cursor_advance(struct scan_cursor *cursor, struct scanner *scanner)
{
    scanner_init(scanner, cursor->rest);
    skip_space(scanner);
    if (cursor->is_started && !take(scanner, ',')) {
        return false;
    }
    cursor->is_started = true;
    skip_space(scanner);
    return scanner->at < scanner->end && *scanner->at != ']' && *scanner->at != '}';
}

static void cursor_keep(struct scan_cursor *cursor, const struct scanner *scanner)
{
    cursor->rest = (struct slice){scanner->at, (size_t)(scanner->end - scanner->at)};
}

bool scan_next_element(struct scan_cursor *cursor, enum scan_type *ret_type,
                       struct slice *ret_value)
{
    struct scanner scanner;
    if (!cursor_advance(cursor, &scanner)) {
        return false;
    }
    const char *value = scanner.at;
    if (!skip_value(&scanner, SCAN_DEPTH_MAX, ret_type)) {
        return false;
    }
    *ret_value = (struct slice){value, (size_t)(scanner.at - value)};
    cursor_keep(cursor, &scanner);
    return true;
}

bool scan_next_member(struct scan_cursor *cursor, struct scan_member *ret_member)
{
    struct scanner scanner;
    if (!cursor_advance(cursor, &scanner) || !take_member(&scanner, SCAN_DEPTH_MAX, ret_member)) {
        return false;
    }
    cursor_keep(cursor, &scanner);
    return true;
}

/* --- the elements of one array -----------------------------------------------------------------
 */

void scan_elements_init(struct scan_elements *elements, struct slice text, const char *key)
{
    struct scanner scanner;
    scanner_init(&scanner, text);
    *elements = (struct scan_elements){
        .key = key, .begin = scanner.begin, .at = scanner.at, .end = scanner.end};
}

/* A member outside of the array, or up to the array's first byte within. */
static bool walk_member(struct scan_elements *elements, struct scanner *scanner)
{
    struct scan_member member;
    if (!take_key(scanner, &member)) {
        return false;
    }
    if (scan_find(&member, 1, elements->key) != NULL) {
        if (elements->is_found) {
            return fail(scanner, "the key comes twice");
        }
        elements->is_found = true;
        if (take(scanner, '[')) {
            elements->place = SCAN_INSIDE;
            elements->is_started = false;
            elements->has_array = true;
            return true;
        }
    }
    return skip_value(scanner, SCAN_DEPTH_MAX - 1, &member.type);
}

/* From the beginning, or from behind a member, into the array or to the end. */
static bool walk_outside(struct scan_elements *elements, struct scanner *scanner)
{
    bool is_first = !elements->is_started;
    skip_space(scanner);
    if (is_first && !take(scanner, '{')) {
        return fail(scanner, "expected `{`");
    }
    elements->is_started = true;
    while (elements->place == SCAN_OUTSIDE) {
        skip_space(scanner);
        if (take(scanner, '}')) {
            elements->place = SCAN_AT_END;
            return take_end(scanner);
        }
        if (!is_first && !take(scanner, ',')) {
            return fail(scanner, "expected `,` or `}`");
        }
        is_first = false;
        skip_space(scanner);
        if (!walk_member(elements, scanner)) {
            return false;
        }
    }
    return true;
}

static bool take_element(struct scanner *scanner, struct scan_member *members, size_t max_members,
                         struct scan_element *ret_element)
{
    const struct scanner before = *scanner;
    struct scan_element element = {.type = SCAN_OBJECT};
    if (scanner->at < scanner->end && *scanner->at == '{') {
        element.has_members = take_object(scanner, members, max_members, &element.member_count);
        if (!element.has_members && scanner->words != too_many_members) {
            return false;
        }
    }
    if (!element.has_members) {
        *scanner = before;
        if (!skip_value(scanner, SCAN_DEPTH_MAX, &element.type)) {
            return false;
        }
    }
    element.value = (struct slice){before.at, (size_t)(scanner->at - before.at)};
    *ret_element = element;
    return true;
}

/* Inside: the next element, or behind the array (*ret_has_one is false). */
static bool walk_inside(struct scan_elements *elements, struct scanner *scanner,
                        struct scan_member *members, size_t max_members,
                        struct scan_element *ret_element, bool *ret_has_one)
{
    skip_space(scanner);
    if (take(scanner, ']')) {
        elements->place = SCAN_OUTSIDE;
        elements->is_started = true;
        *ret_has_one = false;
        return true;
    }
    if (elements->is_started && !take(scanner, ',')) {
        return fail(scanner, "expected `,` or `]`");
    }
    elements->is_started = true;
    skip_space(scanner);
    *ret_has_one = true;
    return take_element(scanner, members, max_members, ret_element);
}

bool scan_elements_next(struct scan_elements *elements, struct scan_member *members,
                        size_t max_members, struct scan_element *ret_element)
{
    struct scanner scanner = {.begin = elements->begin, .at = elements->at, .end = elements->end};
    bool is_valid = elements->words == NULL;
    bool has_one = false;
    while (is_valid && !has_one && elements->place != SCAN_AT_END) {
        is_valid =
            elements->place == SCAN_OUTSIDE
                ? walk_outside(elements, &scanner)
                : walk_inside(elements, &scanner, members, max_members, ret_element, &has_one);
    }
    elements->at = scanner.at;
    if (!is_valid && elements->words == NULL) {
        elements->words = scanner.words;
    }
    return is_valid && has_one;
}

enum ph_error scan_elements_end(const struct scan_elements *elements, struct diag *diag)
{
    if (elements->words != NULL) {
        const struct scanner scanner = {.begin = elements->begin,
                                        .at = elements->at,
                                        .end = elements->end,
                                        .words = elements->words};
        return report(&scanner, diag, NULL);
    }
    PH_ASSERT(elements->place == SCAN_AT_END);
    return elements->has_array ? PH_OK : PH_NOT_FOUND;
}
