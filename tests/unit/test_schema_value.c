/* SPDX-License-Identifier: Apache-2.0 */
/* JSON values by what they mean, and URI references. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/schema_uri.h"
#include "core/schema_value.h"

static struct decimal number(const char *text)
{
    return decimal_parse(slice_of(text));
}

static void test_compare(void **state)
{
    (void)state;
    /* In order; those of one row are the same number. */
    static const char *const rows[][4] = {
        {"-1e100000000000000", "-10e99999999999999"},
        {"-10", "-1e1", "-10.0", "-0.1e2"},
        {"-1.00000000000000000001"},
        {"-1", "-1.0"},
        {"-1e-400"},
        {"0", "-0", "0.000", "0e99"},
        {"1e-400", "0.1e-399"},
        {"0.1", "1E-1", "0.10"},
        {"0.11"},
        {"1", "1.0", "100e-2", "0.001e+3"},
        {"9"},
        {"10", "1e1"},
        {"9007199254740992"},
        {"9007199254740993", "9007199254740993.0"},
        {"1e400", "10e399"},
    };
    for (size_t left = 0; left < PH_ARRAY_LENGTH(rows); left++) {
        for (size_t right = 0; right < PH_ARRAY_LENGTH(rows); right++) {
            int expected = (left > right) - (left < right);
            for (size_t i = 0; i < 4 && rows[left][i] != NULL; i++) {
                for (size_t j = 0; j < 4 && rows[right][j] != NULL; j++) {
                    const struct decimal a = number(rows[left][i]);
                    const struct decimal b = number(rows[right][j]);
                    if (decimal_compare(&a, &b) != expected) {
                        fail_msg("%s and %s", rows[left][i], rows[right][j]);
                    }
                    size_t cost = 0;
                    bool is_same = value_equal(SCAN_NUMBER, slice_of(rows[left][i]), SCAN_NUMBER,
                                               slice_of(rows[right][j]), &cost);
                    assert_int_equal(is_same, expected == 0);
                    assert_true(cost > 0);
                    assert_true(!is_same || value_hash(SCAN_NUMBER, slice_of(rows[left][i])) ==
                                                value_hash(SCAN_NUMBER, slice_of(rows[right][j])));
                }
            }
        }
    }
}

static void test_multiples(void **state)
{
    (void)state;
    static const struct {
        const char *number;
        const char *divisor;
        bool is_multiple;
    } rows[] = {
        {"0", "7", true},
        {"-14", "7", true},
        {"15", "7", false},
        {"0.3", "0.1", true},
        {"0.35", "0.1", false},
        {"1e30", "999999999999999999", false},
        {"999999999999999999e30", "999999999999999999", true},
        {"4.5", "1.5", true},
        {"1", "1e3", false},
        {"5e3", "1e3", true},
        {"123456789123456789123456789123456789", "9", true},
        {"1e-9", "1e-10", true},
        {"1e-10", "1e-9", false},
        {"120", "1.2e2", true},
        {"12", "1.2e2", false},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        const struct decimal a = number(rows[index].number);
        const struct decimal b = number(rows[index].divisor);
        if (decimal_is_multiple(&a, &b) != rows[index].is_multiple) {
            fail_msg("%s by %s", rows[index].number, rows[index].divisor);
        }
    }
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t size; /* -1 = none */
    } rows[] = {
        {"0", 0},
        {"-0.0", 0},
        {"12", 12},
        {"1.20e1", 12},
        {"1.5", -1},
        {"-1", -1},
        {"1e-1", -1},
        {"999", 999},
        {"1000", 1000},
        {"1001", 1000},
        {"1e9999", 1000},
        {"12e2", 1000},
        {"99999999999999999999", 1000},
        {"1e2", 100},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        const struct decimal a = number(rows[index].text);
        int64_t size = -1;
        assert_int_equal(decimal_to_size(&a, 1000, &size), rows[index].size >= 0);
        assert_int_equal(size, rows[index].size);
    }
    int64_t size;
    const struct decimal large = number("9223372036854775807");
    assert_true(decimal_to_size(&large, INT64_MAX, &size));
    assert_int_equal(size, INT64_MAX);
}

static void test_lengths(void **state)
{
    (void)state;
    assert_int_equal(text_length(slice_of("\"\"")), 0);
    assert_int_equal(text_length(slice_of("\"a\\n\\u0000\\/\"")), 4);
    assert_int_equal(text_length(slice_of("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"")), 3);
    assert_int_equal(text_length(slice_of("\"\\ud83d\\ude00\"")), 1);
    assert_int_equal(text_length(slice_of("\"\\ud83d\\ud83d\\ude00\\ude00\"")), 3);
    assert_int_equal(text_length(slice_of("\"\\ud83dx\"")), 2);
}

/* RFC 3986 section 5.4. */
static void test_references(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"g:h", "g:h"},
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q"},
        {"g#s", "http://a/b/c/g"},
        {"g?y#s", "http://a/b/c/g?y"},
        {";x", "http://a/b/c/;x"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        struct slice fragment;
        BUF_AUTO struct buf uri;
        buf_init(&uri, SCHEMA_URI_MAX);
        schema_uri_resolve(SLICE_LITERAL("http://a/b/c/d;p?q"), slice_of(rows[index][0]), &uri,
                           &fragment);
        assert_string_equal(buf_text(&uri), rows[index][1]);
        bool has_fragment = strchr(rows[index][0], '#') != NULL;
        assert_int_equal(fragment.ptr != NULL, has_fragment);
        assert_true(!has_fragment || slice_equal_text(fragment, "s"));
    }
}

static void test_without_base(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"", "a", "a"},
        {"", "a/../b", "/b"},
        {"urn:a:b", "#c", "urn:a:b"},
        {"http://a", "b", "http://a/b"},
        {"x/y", "z", "x/z"},
        {"", "", ""},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        struct slice fragment;
        BUF_AUTO struct buf uri;
        buf_init(&uri, SCHEMA_URI_MAX);
        schema_uri_resolve(slice_of(rows[index][0]), slice_of(rows[index][1]), &uri, &fragment);
        assert_string_equal(buf_text(&uri), rows[index][2]);
    }
}

static void test_decoding(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"a%25b%7Ec", "a%b~c", "a%b~c"},
        {"~0~1~2~", "~0~1~2~", "~/~2~"},
        {"%zz%4", "%zz%4", "%zz%4"},
        {"%7E1%7e%30~%31", "~1~0~1", "/~/"},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        BUF_AUTO struct buf decoded;
        buf_init(&decoded, 100);
        schema_uri_decode(slice_of(rows[index][0]), false, &decoded);
        assert_string_equal(buf_text(&decoded), rows[index][1]);
        buf_clear(&decoded);
        schema_uri_decode(slice_of(rows[index][0]), true, &decoded);
        assert_string_equal(buf_text(&decoded), rows[index][2]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),    cmocka_unit_test(test_multiples),
        cmocka_unit_test(test_sizes),      cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_references), cmocka_unit_test(test_without_base),
        cmocka_unit_test(test_decoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
