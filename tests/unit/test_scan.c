/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/scan.h"

#define MEMBERS 8

/* Texts are copied to memory of exactly their size, so that a sanitizer sees a read beyond. */
static char *copy_exact(const char *bytes, size_t length)
{
    char *copy = ph_malloc(length);
    memcpy(copy, bytes, length);
    return copy;
}

static bool is_document(const char *bytes, size_t length)
{
    PH_AUTO_FREE char *copy = copy_exact(bytes, length);
    return scan_document((struct slice){copy, length}, NULL, NULL, NULL) == PH_OK;
}

static void test_valid_documents(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "[]",
        "0",
        "-0",
        "null",
        "true",
        "false",
        "\"\"",
        " \t\r\n{ } \t\r\n",
        "12345678901234567890",
        "1e400",
        "-1.5E-7",
        "1.10",
        "0e0",
        "1E+2",
        "123456789012345678901",
        "[1,2,[3,{\"a\":[]}],\"x\"]",
        "{\"a\":{\"b\":{}},\"c\":[[[]]]}",
        "{\"\":0}",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\"",
        "\"\\ud800\"",
        "\"\\u0000\"",
        "\"\x7f\"",
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\"",
        "\"\xed\x9f\xbf\xee\x80\x80\xe0\xa0\x80\xf0\x90\x80\x80\"",
        "\"a string that is longer than eight bytes, with an \\\"escape\\\" in it\"",
        "[ 1 , 2 ]",
        "{ \"a\" : 1 , \"b\" : 2 }",
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(texts); index++) {
        if (!is_document(texts[index], strlen(texts[index]))) {
            fail_msg("refused: %s", texts[index]);
        }
    }
}

static const char *const invalid_documents[] = {
    "",
    " ",
    "{",
    "}",
    "[",
    "]",
    "[1,]",
    "[,1]",
    "[1 2]",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{a:1}",
    "{'a':1}",
    "{\"a\":1 \"b\":2}",
    "{1:2}",
    "{\"a\":1]",
    "[1}",
    "[[]",
    "{}{}",
    "1 2",
    "01",
    "-",
    "+1",
    ".5",
    "1.",
    "1.e2",
    "1e",
    "1e+",
    "0x1",
    "NaN",
    "Infinity",
    "-a",
    "1a",
    "nul",
    "truE",
    "nulll",
    "tru",
    "fals",
    "\"",
    "\"a",
    "\"\\\"",
    "\"\\",
    "\"\\x\"",
    "\"\\u\"",
    "\"\\u12\"",
    "\"\\u12g4\"",
    "\"\\u123",
    "\"\n\"",
    "\"\t\"",
    "\"\x1f\"",
    "\"\x80\"",
    "\"\xc0\x80\"",
    "\"\xc1\xbf\"",
    "\"\xc3\"",
    "\"\xe0\x9f\xbf\"",
    "\"\xed\xa0\x80\"",
    "\"\xf0\x8f\xbf\xbf\"",
    "\"\xf4\x90\x80\x80\"",
    "\"\xf5\x80\x80\x80\"",
    "\"\xff\"",
    "\"\xe2\x82\"",
    "\"\xf0\x9f\x98\"",
    "\xef\xbb\xbf{}",
    "//\n1",
    "/**/1",
    "[1]x",
    "\f1",
    "\"abcdefgh\x01ijk\"",
    "\"abcdefghijklmno\x80pq\"",
};

static void test_invalid_documents(void **state)
{
    (void)state;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(invalid_documents); index++) {
        if (is_document(invalid_documents[index], strlen(invalid_documents[index]))) {
            fail_msg("taken: %s", invalid_documents[index]);
        }
    }
    assert_false(is_document("\"\0\"", 3));
    assert_false(is_document("1\0", 2));
    assert_false(is_document("\"\\\0\"", 4));
}

/* A special byte at every place of a long string is found, whatever stands before it. */
static void test_special_bytes_at_every_offset(void **state)
{
    (void)state;
    char text[40];
    for (size_t length = 3; length < sizeof text; length++) {
        for (size_t index = 1; index + 1 < length; index++) {
            for (unsigned byte = 0; byte < 256; byte++) {
                memset(text, 'x', length);
                text[0] = '"';
                text[length - 1] = '"';
                text[index] = (char)byte;
                bool is_good = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
                assert_true(is_document(text, length) == is_good);
            }
        }
    }
}

static void nest(char *text, size_t depth, char open, char close)
{
    memset(text, open, depth);
    memset(text + depth, close, depth);
}

static void test_depth(void **state)
{
    (void)state;
    char text[8 * SCAN_DEPTH_MAX];
    nest(text, SCAN_DEPTH_MAX, '[', ']');
    assert_true(is_document(text, 2 * SCAN_DEPTH_MAX));
    nest(text, SCAN_DEPTH_MAX + 1, '[', ']');
    struct diag diag;
    size_t offset = 0;
    assert_int_equal(
        scan_document((struct slice){text, 2 * SCAN_DEPTH_MAX + 2}, NULL, &diag, &offset),
        PH_INVALID);
    assert_int_equal(offset, SCAN_DEPTH_MAX);
    assert_string_equal(diag.text, "nested too deep at offset 128");
    /* The members of scan_object stand one level down. */
    struct scan_member members[1];
    size_t count;
    memcpy(text, "{\"a\":", 5);
    nest(text + 5, SCAN_DEPTH_MAX - 1, '[', ']');
    text[5 + 2 * (SCAN_DEPTH_MAX - 1)] = '}';
    struct slice whole = {text, 6 + 2 * (SCAN_DEPTH_MAX - 1)};
    assert_int_equal(scan_object(whole, members, 1, &count, NULL, NULL), PH_OK);
    nest(text + 5, SCAN_DEPTH_MAX, '[', ']');
    text[5 + 2 * SCAN_DEPTH_MAX] = '}';
    whole.len += 2;
    assert_int_equal(scan_object(whole, members, 1, &count, NULL, NULL), PH_INVALID);
    /* Objects and arrays in turn: each level remembers which of the two it is. */
    size_t length = 0;
    for (int level = 0; level < SCAN_DEPTH_MAX / 2; level++) {
        memcpy(text + length, "[{\"\":", 5);
        length += 5;
    }
    text[length++] = '1';
    for (int level = 0; level < SCAN_DEPTH_MAX / 2; level++) {
        memcpy(text + length, "}]", 2);
        length += 2;
    }
    assert_true(is_document(text, length));
}

static void test_members(void **state)
{
    (void)state;
    static const char text[] = " { \"eventType\" : \"a.b\" , \"payload\":{\"x\": [1, {} ]},"
                               "\"n\":-1.5e3,\"t\":true,\"f\":false,\"z\":null,\"l\":[ ] } ";
    struct scan_member members[MEMBERS];
    size_t count = 0;
    assert_int_equal(scan_object(SLICE_LITERAL(text), members, MEMBERS, &count, NULL, NULL), PH_OK);
    static const struct {
        const char *key;
        const char *value;
        enum scan_type type;
    } expected[] = {
        {"eventType", "\"a.b\"", SCAN_STRING},
        {"payload", "{\"x\": [1, {} ]}", SCAN_OBJECT},
        {"n", "-1.5e3", SCAN_NUMBER},
        {"t", "true", SCAN_TRUE},
        {"f", "false", SCAN_FALSE},
        {"z", "null", SCAN_NULL},
        {"l", "[ ]", SCAN_ARRAY},
    };
    assert_int_equal(count, PH_ARRAY_LENGTH(expected));
    for (size_t index = 0; index < count; index++) {
        assert_true(slice_equal_text(members[index].key, expected[index].key));
        assert_true(slice_equal_text(members[index].value, expected[index].value));
        assert_int_equal(members[index].type, expected[index].type);
        assert_false(members[index].key_has_escapes);
        assert_ptr_equal(scan_find(members, count, expected[index].key), &members[index]);
    }
    assert_null(scan_find(members, count, "event"));
    assert_null(scan_find(members, count, ""));
    assert_int_equal(scan_object(SLICE_LITERAL("{}"), members, 0, &count, NULL, NULL), PH_OK);
    assert_int_equal(count, 0);
}

static void test_keys_with_escapes_and_doubles(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":1,\"\\u0061\":2,\"\\ud83d\\ude00\\n\\/\":3,\"\\ud800\":4}";
    struct scan_member members[MEMBERS];
    size_t count = 0;
    assert_int_equal(scan_object(SLICE_LITERAL(text), members, MEMBERS, &count, NULL, NULL), PH_OK);
    assert_int_equal(count, 4);
    assert_true(members[1].key_has_escapes);
    assert_ptr_equal(scan_find(members, count, "a"), &members[1]);
    assert_ptr_equal(scan_find(members, count, "\xf0\x9f\x98\x80\n/"), &members[2]);
    assert_null(scan_find(members, count, "\xf0\x9f\x98\x80\n"));
    assert_null(scan_find(members, count, "\xf0\x9f\x98\x80\n//"));
}

static void test_words_and_offsets(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t offset;
        const char *words;
    } rows[] = {
        {"{\"a\":1, \"b\":2 ;}", 14, "expected `,` or `}` at offset 14"},
        {"{\"a\":[1 2]}", 8, "expected `,` or `]` at offset 8"},
        {"[1]", 0, "expected `{` at offset 0"},
        {"", 0, "expected `{` at offset 0, where the text ends"},
        {"{\"a\" 1}", 5, "expected `:` at offset 5"},
        {"{\"a\":1,}", 7, "expected a key in quotes at offset 7"},
        {"{\"a\":", 5, "expected a value at offset 5, where the text ends"},
        {"{\"a\":1", 6, "expected `,` or `}` at offset 6, where the text ends"},
        {"{\"a\":\"\x01\"}", 6, "found an unescaped control character at offset 6"},
        {"{\"a\":\"b\xff\"}", 7, "found a byte that is not UTF-8 at offset 7"},
        {"{} x", 3, "expected nothing more at offset 3"},
        {"{\"a\":1,\"b\":2,\"c\":3}", 13, "too many members at offset 13"},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        struct scan_member members[2];
        size_t count = 77;
        size_t offset = 77;
        struct diag diag;
        assert_int_equal(
            scan_object(slice_of(rows[index].text), members, 2, &count, &diag, &offset),
            PH_INVALID);
        assert_string_equal(diag.text, rows[index].words);
        assert_string_equal(diag.field, "body");
        assert_string_equal(diag.code, "value_error.jsondecode");
        assert_int_equal(offset, rows[index].offset);
        assert_int_equal(count, 77);
    }
}

static void test_elements_of_one_array(void **state)
{
    (void)state;
    static const char text[] = " {\"x\":[9,{}],\"\\u006ds\" : [ {\"a\":1,\"b\":[2]} , {},[3],\"s\","
                               "{\"a\":1,\"b\":2,\"c\":{\"d\":3}}, null ] , \"y\":{\"ms\":[]} } ";
    static const struct {
        const char *value;
        enum scan_type type;
        bool has_members;
        size_t count;
    } expected[] = {
        {"{\"a\":1,\"b\":[2]}", SCAN_OBJECT, true, 2},
        {"{}", SCAN_OBJECT, true, 0},
        {"[3]", SCAN_ARRAY, false, 0},
        {"\"s\"", SCAN_STRING, false, 0},
        {"{\"a\":1,\"b\":2,\"c\":{\"d\":3}}", SCAN_OBJECT, false, 0},
        {"null", SCAN_NULL, false, 0},
    };
    struct scan_elements elements;
    struct scan_member members[2];
    struct scan_element element;
    size_t index = 0;
    scan_elements_init(&elements, SLICE_LITERAL(text), "ms");
    while (scan_elements_next(&elements, members, 2, &element)) {
        assert_true(index < PH_ARRAY_LENGTH(expected));
        assert_true(slice_equal_text(element.value, expected[index].value));
        assert_int_equal(element.type, expected[index].type);
        assert_int_equal(element.has_members, expected[index].has_members);
        if (element.has_members) {
            assert_int_equal(element.member_count, expected[index].count);
        }
        if (index++ == 0) {
            assert_true(slice_equal_text(members[0].key, "a"));
            assert_true(slice_equal_text(members[1].value, "[2]"));
        }
    }
    assert_int_equal(index, PH_ARRAY_LENGTH(expected));
    assert_int_equal(scan_elements_end(&elements, NULL), PH_OK);
    assert_false(scan_elements_next(&elements, members, 2, &element));
}

static void test_the_end_of_elements(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t count;
        const char *words; /* NULL = valid; "" = no such array */
    } rows[] = {
        {"{\"ms\":[]}", 0, NULL},
        {"{\"a\":{},\"ms\":[ ],\"b\":1}", 0, NULL},
        {"{}", 0, ""},
        {"{\"a\":[1]}", 0, ""},
        {"{\"ms\":null}", 0, ""},
        {"{\"ms\":{\"ms\":[1]}}", 0, ""},
        {"", 0, "expected `{` at offset 0, where the text ends"},
        {"[1]", 0, "expected `{` at offset 0"},
        {"{,}", 0, "expected a key in quotes at offset 1"},
        {"{\"ms\":[1]", 1, "expected `,` or `}` at offset 9, where the text ends"},
        {"{\"ms\":[1 2]}", 1, "expected `,` or `]` at offset 9"},
        {"{\"ms\":[,]}", 0, "expected a value at offset 7"},
        {"{\"ms\":[1,]}", 1, "expected a value at offset 9"},
        {"{\"ms\":[1,{\"a\" 2}]}", 1, "expected `:` at offset 14"},
        {"{\"ms\":[1,{\"a\":1,\"b\":2,\"c\":}]}", 1, "expected a value at offset 26"},
        {"{\"ms\":[1}", 1, "expected `,` or `]` at offset 8"},
        {"{\"ms\":[1],}", 1, "expected a key in quotes at offset 10"},
        {"{\"ms\":[1]} x", 1, "expected nothing more at offset 11"},
        {"{\"ms\":[1],\"ms\":[2]}", 1, "the key comes twice at offset 15"},
        {"{\"ms\":1,\"ms\":[2]}", 0, "the key comes twice at offset 13"},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        struct scan_elements elements;
        struct scan_member members[2];
        struct scan_element element;
        struct diag diag = {0};
        size_t count = 0;
        scan_elements_init(&elements, slice_of(rows[index].text), "ms");
        while (scan_elements_next(&elements, members, 2, &element)) {
            count++;
        }
        enum ph_error error = scan_elements_end(&elements, &diag);
        assert_int_equal(count, rows[index].count);
        if (rows[index].words == NULL) {
            assert_int_equal(error, PH_OK);
        } else if (rows[index].words[0] == '\0') {
            assert_int_equal(error, PH_NOT_FOUND);
        } else {
            assert_int_equal(error, PH_INVALID);
            assert_string_equal(diag.text, rows[index].words);
            assert_string_equal(diag.code, "value_error.jsondecode");
        }
        assert_false(scan_elements_next(&elements, members, 2, &element));
    }
}

static void test_one_value_at_the_front(void **state)
{
    (void)state;
    enum scan_type type;
    struct slice value;
    size_t consumed = 0;
    assert_true(scan_value(SLICE_LITERAL("  {\"a\":1}, rest"), &type, &value, &consumed));
    assert_int_equal(type, SCAN_OBJECT);
    assert_true(slice_equal_text(value, "{\"a\":1}"));
    assert_int_equal(consumed, 9);
    assert_false(scan_value(SLICE_LITERAL("  "), &type, &value, &consumed));
    assert_false(scan_value(SLICE_NONE, &type, &value, &consumed));
}

static void check_string(const char *literal, const char *expected, size_t length)
{
    ARENA_AUTO struct arena arena;
    arena_init(&arena, 1024);
    struct slice text;
    assert_int_equal(scan_string(slice_of(literal), &arena, NULL, &text), PH_OK);
    assert_int_equal(text.len, length);
    assert_memory_equal(text.ptr, expected, length);
}

static void test_strings(void **state)
{
    (void)state;
    check_string("\"\"", "", 0);
    check_string("\"plain\"", "plain", 5);
    check_string("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8);
    check_string("\"a\\u0041\\u00e9\\u20AC\\uD83D\\ude00z\"",
                 "aA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z", 12);
    check_string("\"\\u0000x\"", "\0x", 2);
    check_string("\"\\uffff\\udbff\\udfff\"", "\xef\xbf\xbf\xf4\x8f\xbf\xbf", 7);
    static const char *const bad[] = {
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800x\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800\\ud800\"",
        "\"\\ud800\\udc0\"",
        "",
        "\"",
        "x",
        "1",
        "\"a\"b",
        "\"a\" ",
        "\"\\x\"",
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bad); index++) {
        ARENA_AUTO struct arena arena;
        arena_init(&arena, 1024);
        struct slice text;
        assert_int_equal(scan_string(slice_of(bad[index]), &arena, NULL, &text), PH_INVALID);
    }
    ARENA_AUTO struct arena tight;
    arena_init(&tight, 16);
    struct slice text;
    assert_int_equal(scan_string(SLICE_LITERAL("\"\\n2345678901234567\""), &tight, NULL, &text),
                     PH_NO_MEMORY);
}

static void test_integers(void **state)
{
    (void)state;
    int64_t number = 0;
    assert_true(scan_int64(SLICE_LITERAL("-9223372036854775808"), &number));
    assert_true(number == INT64_MIN);
    assert_false(scan_int64(SLICE_LITERAL("9223372036854775808"), &number));
    assert_false(scan_int64(SLICE_LITERAL("1.0"), &number));
    assert_false(scan_int64(SLICE_LITERAL("1e3"), &number));
    assert_false(scan_int64(SLICE_LITERAL("\"1\""), &number));
}

static void test_cursors(void **state)
{
    (void)state;
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    scan_cursor_init(&cursor, SLICE_LITERAL("[ 1 , \"a]\" ,[2,3], {} ]"));
    static const char *const expected[] = {"1", "\"a]\"", "[2,3]", "{}"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(expected); index++) {
        assert_true(scan_next_element(&cursor, &type, &value));
        assert_true(slice_equal_text(value, expected[index]));
    }
    assert_false(scan_next_element(&cursor, &type, &value));
    assert_false(scan_next_element(&cursor, &type, &value));
    scan_cursor_init(&cursor, SLICE_LITERAL("[]"));
    assert_false(scan_next_element(&cursor, &type, &value));
    struct scan_member member;
    scan_cursor_init(&cursor, SLICE_LITERAL("{ \"a\" : 1 , \"\\u0062\":[ ] }"));
    assert_true(scan_next_member(&cursor, &member));
    assert_true(slice_equal_text(member.key, "a") && slice_equal_text(member.value, "1"));
    assert_true(scan_next_member(&cursor, &member));
    assert_ptr_equal(scan_find(&member, 1, "b"), &member);
    assert_int_equal(member.type, SCAN_ARRAY);
    assert_false(scan_next_member(&cursor, &member));
    scan_cursor_init(&cursor, SLICE_LITERAL("{ }"));
    assert_false(scan_next_member(&cursor, &member));
}

static void test_type_names(void **state)
{
    (void)state;
    assert_string_equal(scan_type_name(SCAN_OBJECT), "object");
    assert_string_equal(scan_type_name(SCAN_TRUE), "boolean");
    assert_string_equal(scan_type_name(SCAN_FALSE), "boolean");
    assert_string_equal(scan_type_name(SCAN_NULL), "null");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid_documents),
        cmocka_unit_test(test_invalid_documents),
        cmocka_unit_test(test_special_bytes_at_every_offset),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_keys_with_escapes_and_doubles),
        cmocka_unit_test(test_words_and_offsets),
        cmocka_unit_test(test_elements_of_one_array),
        cmocka_unit_test(test_the_end_of_elements),
        cmocka_unit_test(test_one_value_at_the_front),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_cursors),
        cmocka_unit_test(test_type_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
