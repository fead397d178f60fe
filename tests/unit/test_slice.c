/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/slice.h"

static void test_absent_and_empty(void **state)
{
    (void)state;
    assert_null(slice_of(NULL).ptr);
    assert_int_equal(slice_of(NULL).len, 0);
    assert_non_null(slice_of("").ptr);
    assert_true(slice_equal(SLICE_NONE, slice_of("")));
    assert_true(slice_equal_text(SLICE_NONE, ""));
    assert_true(slice_equal_nocase(SLICE_NONE, slice_of("")));
    assert_true(slice_starts_with(SLICE_NONE, ""));
    assert_false(slice_starts_with(SLICE_NONE, "a"));
    assert_int_equal(slice_compare(SLICE_NONE, slice_of("")), 0);
    assert_int_equal(slice_find(SLICE_NONE, 'a'), 0);
    assert_int_equal(slice_trim(SLICE_NONE).len, 0);
    assert_true(slice_is_utf8_text(SLICE_NONE));
    PH_AUTO_FREE char *copy = slice_dup(SLICE_NONE);
    assert_string_equal(copy, "");
}

static void test_equal(void **state)
{
    (void)state;
    assert_true(slice_equal(SLICE_LITERAL("a\0b"), SLICE_LITERAL("a\0b")));
    assert_false(slice_equal(SLICE_LITERAL("a\0b"), SLICE_LITERAL("a\0c")));
    assert_false(slice_equal_text(SLICE_LITERAL("a\0b"), "a"));
    assert_false(slice_equal_text(SLICE_LITERAL("abc"), "ab"));
    assert_true(slice_equal_nocase(SLICE_LITERAL("Content-Type"), SLICE_LITERAL("cONTENT-tYPE")));
    assert_false(slice_equal_nocase(SLICE_LITERAL("ab"), SLICE_LITERAL("abc")));
    /* Only letters have a case: these pairs differ in the bit that letters have for theirs. */
    assert_false(slice_equal_nocase(SLICE_LITERAL("@"), SLICE_LITERAL("`")));
    assert_false(slice_equal_nocase(SLICE_LITERAL("["), SLICE_LITERAL("{")));
    assert_false(slice_equal_nocase(SLICE_LITERAL("\xc3\x84"), SLICE_LITERAL("\xc3\xa4")));
    assert_true(slice_starts_with(SLICE_LITERAL("abc"), "abc"));
    assert_false(slice_starts_with(SLICE_LITERAL("ab"), "abc"));
    assert_false(slice_starts_with(SLICE_LITERAL("Abc"), "a"));
}

/* Bytes beyond a NUL count as much as those in front of it. */
static void test_equal_nocase_beyond_nul(void **state)
{
    (void)state;
    assert_true(slice_equal_nocase(SLICE_LITERAL("a\0B"), SLICE_LITERAL("A\0b")));
    assert_false(slice_equal_nocase(SLICE_LITERAL("a\0b"), SLICE_LITERAL("a\0c")));
}

static void test_compare(void **state)
{
    (void)state;
    static const struct {
        struct slice left;
        struct slice right;
        int sign;
    } rows[] = {
        {SLICE_LITERAL("a"), SLICE_LITERAL("b"), -1},
        {SLICE_LITERAL("ab"), SLICE_LITERAL("a"), 1},
        {SLICE_LITERAL(""), SLICE_LITERAL("a"), -1},
        {SLICE_LITERAL("abc"), SLICE_LITERAL("abc"), 0},
        {SLICE_LITERAL("a\0b"), SLICE_LITERAL("a\0a"), 1},
        {SLICE_LITERAL("\x7f"), SLICE_LITERAL("\x80"), -1},
        {SLICE_LITERAL("B"), SLICE_LITERAL("a"), -1},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        int order = slice_compare(rows[index].left, rows[index].right);
        int back = slice_compare(rows[index].right, rows[index].left);
        assert_int_equal((order > 0) - (order < 0), rows[index].sign);
        assert_int_equal((back > 0) - (back < 0), -rows[index].sign);
    }
}

static void test_find_and_trim(void **state)
{
    (void)state;
    assert_int_equal(slice_find(SLICE_LITERAL("a=b=c"), '='), 1);
    assert_int_equal(slice_find(SLICE_LITERAL("abc"), '='), 3);
    assert_int_equal(slice_find(SLICE_LITERAL("ab\0c"), '\0'), 2);
    assert_int_equal(slice_find(SLICE_LITERAL("ab\0c"), 'c'), 3);
    assert_int_equal(slice_find(SLICE_LITERAL("a\xff"), '\xff'), 1);
    assert_true(slice_equal_text(slice_trim(SLICE_LITERAL(" \t\r\n a b\n\r\t ")), "a b"));
    assert_true(slice_equal_text(slice_trim(SLICE_LITERAL("\va\f")), "\va\f"));
    assert_true(slice_equal(slice_trim(SLICE_LITERAL(" \0 ")), SLICE_LITERAL("\0")));
    assert_int_equal(slice_trim(SLICE_LITERAL(" \t ")).len, 0);
    assert_non_null(slice_trim(SLICE_LITERAL(" \t ")).ptr);
}

static void check_parts(const char *whole, const char *const *parts, size_t count)
{
    struct slice rest = slice_of(whole);
    struct slice part;
    for (size_t index = 0; index < count; index++) {
        assert_true(slice_next(&rest, ',', &part));
        assert_true(slice_equal_text(part, parts[index]));
        assert_non_null(part.ptr);
    }
    assert_false(slice_next(&rest, ',', &part));
    assert_null(rest.ptr);
}

static void test_next(void **state)
{
    (void)state;
    check_parts(NULL, NULL, 0);
    check_parts("", (const char *const[]){""}, 1);
    check_parts("a", (const char *const[]){"a"}, 1);
    check_parts("a,b", (const char *const[]){"a", "b"}, 2);
    check_parts(",a,,b,", (const char *const[]){"", "a", "", "b", ""}, 5);
}

static void test_to_int64(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        int64_t value;
    } good[] = {
        {SLICE_LITERAL("0"), 0},
        {SLICE_LITERAL("-0"), 0},
        {SLICE_LITERAL("-1"), -1},
        {SLICE_LITERAL("0000000000000000000000000000012"), 12},
        {SLICE_LITERAL("9223372036854775807"), INT64_MAX},
        {SLICE_LITERAL("-9223372036854775808"), INT64_MIN},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(good); index++) {
        int64_t value = 77;
        assert_true(slice_to_int64(good[index].text, &value));
        assert_true(value == good[index].value);
    }
    static const struct slice bad[] = {
        SLICE_NONE,
        SLICE_LITERAL(""),
        SLICE_LITERAL("-"),
        SLICE_LITERAL("+1"),
        SLICE_LITERAL(" 1"),
        SLICE_LITERAL("1 "),
        SLICE_LITERAL("1\0"),
        SLICE_LITERAL("--1"),
        SLICE_LITERAL("1.0"),
        SLICE_LITERAL("0x1"),
        SLICE_LITERAL("9223372036854775808"),
        SLICE_LITERAL("-9223372036854775809"),
        SLICE_LITERAL("18446744073709551617"),
        SLICE_LITERAL("99999999999999999999999999"),
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bad); index++) {
        int64_t value = 77;
        if (slice_to_int64(bad[index], &value)) {
            fail_msg("taken: %.*s", SLICE_ARG(bad[index]));
        }
        assert_int_equal(value, 77);
    }
}

static void test_to_double(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } good[] = {
        {"0", 0.0},   {"-1.5", -1.5}, {"+0.25", 0.25}, {"1000000.125", 1000000.125},
        {"007", 7.0}, {"9.09", 9.09},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(good); index++) {
        double value = 77.0;
        assert_true(slice_to_double(slice_of(good[index].text), &value));
        assert_true(value == good[index].value);
    }
    static const struct slice bad[] = {
        SLICE_NONE,
        SLICE_LITERAL(""),
        SLICE_LITERAL("."),
        SLICE_LITERAL("-"),
        SLICE_LITERAL("+-1"),
        SLICE_LITERAL("1e3"),
        SLICE_LITERAL("0x1p3"),
        SLICE_LITERAL("inf"),
        SLICE_LITERAL("nan"),
        SLICE_LITERAL(" 1"),
        SLICE_LITERAL("1 "),
        SLICE_LITERAL("1.2.3"),
        SLICE_LITERAL("1-2"),
        SLICE_LITERAL("1,5"),
        SLICE_LITERAL("1\0"),
        SLICE_LITERAL("1234567890123456789012345678901234567890123456789012345678901234"),
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bad); index++) {
        double value = 77.0;
        if (slice_to_double(bad[index], &value)) {
            fail_msg("taken: %.*s", SLICE_ARG(bad[index]));
        }
        assert_true(value == 77.0);
    }
}

static void test_dup(void **state)
{
    (void)state;
    PH_AUTO_FREE char *copy = slice_dup(SLICE_LITERAL("a\0b"));
    assert_memory_equal(copy, "a\0b", 4);
}

static void test_utf8_good(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "a",
        "\x01\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z",
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(texts); index++) {
        if (!slice_is_utf8_text(slice_of(texts[index]))) {
            fail_msg("refused: row %zu", index);
        }
    }
}

static void test_utf8_bad(void **state)
{
    (void)state;
    static const struct slice texts[] = {
        SLICE_LITERAL("\0"),
        SLICE_LITERAL("a\0b"),
        SLICE_LITERAL("\x80"),
        SLICE_LITERAL("\xbf"),
        SLICE_LITERAL("\xc0\x80"),
        SLICE_LITERAL("\xc1\xbf"),
        SLICE_LITERAL("\xc2"),
        SLICE_LITERAL("\xc2\x41"),
        SLICE_LITERAL("\xe0\x9f\xbf"),
        SLICE_LITERAL("\xed\xa0\x80"),
        SLICE_LITERAL("\xed\xbf\xbf"),
        SLICE_LITERAL("\xe2\x82"),
        SLICE_LITERAL("\xe2\x82\x41"),
        SLICE_LITERAL("\xf0\x8f\xbf\xbf"),
        SLICE_LITERAL("\xf4\x90\x80\x80"),
        SLICE_LITERAL("\xf5\x80\x80\x80"),
        SLICE_LITERAL("\xf0\x9f\x98"),
        SLICE_LITERAL("\xff"),
        SLICE_LITERAL("\xfe"),
        SLICE_LITERAL("ok\xc3\xa9\x80"),
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(texts); index++) {
        /* In memory of exactly its size, so that a sanitizer sees a read beyond. */
        PH_AUTO_FREE char *copy = ph_malloc(texts[index].len);
        memcpy(copy, texts[index].ptr, texts[index].len);
        if (slice_is_utf8_text((struct slice){copy, texts[index].len})) {
            fail_msg("taken: row %zu", index);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absent_and_empty),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_equal_nocase_beyond_nul),
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_find_and_trim),
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_to_int64),
        cmocka_unit_test(test_to_double),
        cmocka_unit_test(test_dup),
        cmocka_unit_test(test_utf8_good),
        cmocka_unit_test(test_utf8_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
