/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON scanner on any bytes, compared with jansson. */
#include <jansson.h>

#include "base/json_out.h"
#include "core/scan.h"
#include "fuzz/fuzz.h"

#define MEMBERS_MAX 32
#define ARENA_BYTES ((size_t)1024 * 1024)

static bool is_document(struct slice text, enum scan_type expected)
{
    enum scan_type type;
    return scan_document(text, &type, NULL, NULL) == PH_OK && type == expected;
}

/* Whether jansson has a reason of its own to refuse what is JSON by the grammar. */
static bool is_limit_of_jansson(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);
    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
           strstr(error->text, "invalid Unicode") != NULL;
}

/* Both take the same texts, but for the limits that each of them has. jansson 2.14 loses a NUL that
 * stands behind a number, so it is not asked about texts with one: no such text is JSON. */
static void compare_with_jansson(struct slice text, bool is_good, const struct diag *diag)
{
    json_error_t error;
    if (slice_find(text, '\0') < text.len) {
        PH_ASSERT(!is_good);
        return;
    }
    json_t *value = json_loadb(text.len == 0 ? "" : text.ptr, text.len,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (is_good) {
        PH_ASSERT(value != NULL || is_limit_of_jansson(&error));
    } else {
        PH_ASSERT(value == NULL || strstr(diag->text, "nested too deep") != NULL);
    }
    json_decref(value);
}

/* A string decodes to text that gives the same text again when it is written and read. */
static void check_string(struct slice value)
{
    ARENA_AUTO struct arena arena;
    BUF_AUTO struct buf written;
    struct json_out out;
    struct slice text;
    struct slice again;
    arena_init(&arena, ARENA_BYTES);
    buf_init(&written, ARENA_BYTES);
    if (scan_string(value, &arena, NULL, &text) != PH_OK) {
        return;
    }
    PH_ASSERT(text.len <= value.len - 2);
    json_out_init(&out, &written);
    json_out_string(&out, text);
    PH_ASSERT(is_document(buf_slice(&written), SCAN_STRING));
    PH_ASSERT(scan_string(buf_slice(&written), &arena, NULL, &again) == PH_OK);
    PH_ASSERT(slice_equal(text, again));
}

/* Members are valid by themselves, stand in order, and the cursor sees the same ones. */
static void check_object(struct slice text, struct slice value)
{
    struct scan_member members[MEMBERS_MAX];
    struct scan_member member;
    struct scan_cursor cursor;
    size_t count;
    if (scan_object(text, members, MEMBERS_MAX, &count, NULL, NULL) != PH_OK) {
        PH_ASSERT(scan_object(text, members, 0, &count, NULL, NULL) != PH_OK);
        return;
    }
    scan_cursor_init(&cursor, value);
    const char *end = text.ptr;
    for (size_t index = 0; index < count; index++) {
        PH_ASSERT(members[index].key.ptr > end);
        PH_ASSERT(members[index].value.ptr > members[index].key.ptr + members[index].key.len);
        end = members[index].value.ptr + members[index].value.len;
        PH_ASSERT(end < text.ptr + text.len);
        PH_ASSERT(is_document(members[index].value, members[index].type));
        struct slice quoted = {members[index].key.ptr - 1, members[index].key.len + 2};
        PH_ASSERT(is_document(quoted, SCAN_STRING));
        check_string(quoted);
        PH_ASSERT(scan_next_member(&cursor, &member));
        PH_ASSERT(member.key.ptr == members[index].key.ptr);
        PH_ASSERT(slice_equal(member.value, members[index].value));
        PH_ASSERT(member.type == members[index].type);
    }
    PH_ASSERT(!scan_next_member(&cursor, &member));
}

static void check_array(struct slice value)
{
    struct scan_cursor cursor;
    struct slice element;
    enum scan_type type;
    const char *end = value.ptr;
    scan_cursor_init(&cursor, value);
    while (scan_next_element(&cursor, &type, &element)) {
        PH_ASSERT(element.ptr > end);
        end = element.ptr + element.len;
        PH_ASSERT(end < value.ptr + value.len);
        PH_ASSERT(is_document(element, type));
    }
}

#define ELEMENTS_KEY "a"

/* How many members of a valid object have the key, and the last of them. */
static size_t count_key(struct slice object, struct scan_member *ret_last)
{
    struct scan_cursor cursor;
    struct scan_member member;
    size_t count = 0;
    scan_cursor_init(&cursor, object);
    while (scan_next_member(&cursor, &member)) {
        if (scan_find(&member, 1, ELEMENTS_KEY) != NULL) {
            *ret_last = member;
            count++;
        }
    }
    return count;
}

/* The elements of an array are the same, one by one and in a valid text; a text that is not valid
 * ends with an error. */
static void check_elements(struct slice text, bool is_good, enum scan_type type)
{
    struct scan_elements elements;
    struct scan_member members[2];
    struct scan_element element;
    struct scan_member array = {.type = SCAN_NULL};
    bool is_object = is_good && type == SCAN_OBJECT;
    size_t keys = is_object ? count_key(slice_trim(text), &array) : 0;
    bool has_array = keys == 1 && array.type == SCAN_ARRAY;
    struct scan_cursor cursor;
    struct slice value;
    if (has_array) {
        scan_cursor_init(&cursor, array.value);
    }
    scan_elements_init(&elements, text, ELEMENTS_KEY);
    while (scan_elements_next(&elements, members, 2, &element)) {
        struct diag diag;
        PH_ASSERT(scan_document(element.value, &type, &diag, NULL) == PH_OK);
        PH_ASSERT(type == element.type);
        if (has_array) {
            PH_ASSERT(scan_next_element(&cursor, &type, &value));
            PH_ASSERT(value.ptr == element.value.ptr && value.len == element.value.len);
        }
    }
    enum ph_error error = scan_elements_end(&elements, NULL);
    PH_ASSERT(is_object || !is_good || error == PH_INVALID);
    if (is_object) {
        PH_ASSERT(error == (keys > 1 ? PH_INVALID : has_array ? PH_OK : PH_NOT_FOUND));
        PH_ASSERT(!has_array || !scan_next_element(&cursor, &type, &value));
    }
}

static void check_value(struct slice text, enum scan_type type)
{
    struct slice value;
    enum scan_type again;
    size_t consumed;
    int64_t number;
    PH_ASSERT(slice_is_utf8_text(text));
    PH_ASSERT(scan_value(text, &again, &value, &consumed));
    PH_ASSERT(again == type);
    PH_ASSERT(slice_equal(value, slice_trim(text)));
    PH_ASSERT(value.ptr + value.len == text.ptr + consumed);
    if (type == SCAN_OBJECT) {
        check_object(text, value);
    } else if (type == SCAN_ARRAY) {
        check_array(value);
    } else if (type == SCAN_STRING) {
        check_string(value);
    }
    if (scan_int64(value, &number)) {
        PH_ASSERT(type == SCAN_NUMBER);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_text(data, size);
    enum scan_type type = SCAN_NULL;
    struct diag diag = {.error = PH_OK};
    size_t offset = SIZE_MAX;
    bool is_good = scan_document(text, &type, &diag, &offset) == PH_OK;
    compare_with_jansson(text, is_good, &diag);
    check_elements(text, is_good, type);
    if (is_good) {
        PH_ASSERT(offset == SIZE_MAX);
        check_value(text, type);
    } else {
        PH_ASSERT(offset <= size);
        PH_ASSERT(diag.error == PH_INVALID && diag.text[0] != '\0');
    }
    return 0;
}
