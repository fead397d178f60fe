/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"

static void test_empty(void **state)
{
    (void)state;
    BUF_AUTO struct buf buf;
    buf_init(&buf, 1);
    assert_string_equal(buf_text(&buf), "");
    assert_non_null(buf_slice(&buf).ptr);
    assert_int_equal(buf_slice(&buf).len, 0);
    buf_append(&buf, NULL, 0);
    buf_append_slice(&buf, SLICE_NONE);
    buf_append_text(&buf, "");
    assert_false(buf.failed);
    assert_int_equal(buf.len, 0);
    buf_done(&buf);
    PH_AUTO_FREE char *taken = buf_take(&buf, NULL);
    assert_string_equal(taken, "");
}

static void test_appending(void **state)
{
    (void)state;
    BUF_AUTO struct buf buf;
    buf_init(&buf, 1000);
    buf_append_text(&buf, "a");
    buf_append(&buf, "b\0c", 3);
    buf_append_byte(&buf, '\0');
    buf_append_slice(&buf, SLICE_LITERAL("de"));
    buf_append_format(&buf, "%s-%03d", "x", 7);
    buf_append_format(&buf, "%s", "");
    assert_int_equal(buf.len, 12);
    assert_memory_equal(buf_text(&buf), "ab\0c\0dex-007", 13);
}

static void test_dropping(void **state)
{
    (void)state;
    BUF_AUTO struct buf buf;
    buf_init(&buf, 10);
    buf_drop(&buf, 0);
    buf_append_text(&buf, "0123456789");
    buf_drop(&buf, 4);
    assert_string_equal(buf_text(&buf), "456789");
    buf_append_text(&buf, "abcd");
    assert_false(buf.failed);
    buf_drop(&buf, 0);
    assert_string_equal(buf_text(&buf), "456789abcd");
    buf_drop(&buf, 10);
    assert_int_equal(buf.len, 0);
    assert_string_equal(buf_text(&buf), "");
}

static void test_int64(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-1, "-1"},
        {1234567890, "1234567890"},
        {INT64_MAX, "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808"},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        BUF_AUTO struct buf buf;
        buf_init(&buf, 20);
        buf_append_int64(&buf, rows[index].value);
        assert_string_equal(buf_text(&buf), rows[index].text);
    }
}

/* The maximum itself fits; one byte more does not, however it comes. */
static void test_maximum(void **state)
{
    (void)state;
    for (size_t max = 1; max < 600; max++) {
        BUF_AUTO struct buf buf;
        buf_init(&buf, max);
        for (size_t index = 0; index < max; index++) {
            buf_append_byte(&buf, 'x');
        }
        assert_false(buf.failed);
        assert_int_equal(buf.len, max);
        assert_int_equal(strlen(buf_text(&buf)), max);
        buf_append_byte(&buf, 'y');
        assert_true(buf.failed);
        assert_int_equal(buf.len, max);
        assert_true(buf.capacity <= max + 1);
    }
}

static void test_failure_sticks(void **state)
{
    (void)state;
    BUF_AUTO struct buf buf;
    buf_init(&buf, 4);
    buf_append_text(&buf, "abc");
    buf_append_format(&buf, "%d", 10);
    assert_true(buf.failed);
    assert_string_equal(buf_text(&buf), "abc");
    buf_append_byte(&buf, 'd');
    assert_string_equal(buf_text(&buf), "abc");
    assert_null(buf_reserve(&buf, 0));
    size_t length = 77;
    char *taken = buf_take(&buf, &length);
    assert_null(taken);
    assert_int_equal(length, 77);
    buf_clear(&buf);
    assert_false(buf.failed);
    assert_string_equal(buf_text(&buf), "");
    buf_append_text(&buf, "wxyz");
    assert_string_equal(buf_text(&buf), "wxyz");
}

static void test_sizes_that_overflow(void **state)
{
    (void)state;
    BUF_AUTO struct buf buf;
    buf_init(&buf, 16);
    buf_append_byte(&buf, 'a');
    assert_null(buf_reserve(&buf, SIZE_MAX));
    assert_true(buf.failed);
    buf_clear(&buf);
    buf_append_byte(&buf, 'a');
    assert_null(buf_reserve(&buf, SIZE_MAX - 1));
    assert_int_equal(buf.len, 1);
}

static void test_reserve_and_commit(void **state)
{
    (void)state;
    BUF_AUTO struct buf buf;
    buf_init(&buf, 300);
    char *target = buf_reserve(&buf, 300);
    assert_non_null(target);
    memset(target, 'z', 300);
    buf_commit(&buf, 2);
    assert_string_equal(buf_text(&buf), "zz");
    assert_null(buf_reserve(&buf, 299));
    buf_clear(&buf);
    assert_non_null(buf_reserve(&buf, 300));
}

static void test_take(void **state)
{
    (void)state;
    BUF_AUTO struct buf buf;
    buf_init(&buf, 5);
    buf_append_text(&buf, "hello");
    size_t length = 0;
    PH_AUTO_FREE char *first = buf_take(&buf, &length);
    assert_int_equal(length, 5);
    assert_string_equal(first, "hello");
    assert_int_equal(buf.len, 0);
    /* The maximum stays. */
    buf_append_text(&buf, "world");
    assert_false(buf.failed);
    buf_append_byte(&buf, '!');
    assert_true(buf.failed);
    assert_string_equal(first, "hello");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_appending),
        cmocka_unit_test(test_dropping),
        cmocka_unit_test(test_int64),
        cmocka_unit_test(test_maximum),
        cmocka_unit_test(test_failure_sticks),
        cmocka_unit_test(test_sizes_that_overflow),
        cmocka_unit_test(test_reserve_and_commit),
        cmocka_unit_test(test_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
