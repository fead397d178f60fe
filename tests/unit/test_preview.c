/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/preview.h"

static void check(struct slice text, size_t max_bytes, const char *shown)
{
    BUF_AUTO struct buf line;
    buf_init(&line, 4096);
    preview_append(&line, text, max_bytes);
    assert_string_equal(buf_text(&line), shown);
}

#define CHECK(text, shown) check(SLICE_LITERAL(text), SIZE_MAX, shown)

static void test_what_is_plain_stays(void **state)
{
    (void)state;
    CHECK("", "");
    CHECK("{\"n\": 1, \"t\": \"\\u001b[2J\"}", "{\"n\": 1, \"t\": \"\\u001b[2J\"}");
    CHECK("Zo\xc3\xab \xe2\x9c\x93 \xf0\x9f\x93\xaf", "Zo\xc3\xab \xe2\x9c\x93 \xf0\x9f\x93\xaf");
    CHECK("a \t\r\n  b\n", "a b ");
}

static void test_what_a_terminal_would_obey_is_escaped(void **state)
{
    (void)state;
    CHECK("\x1b[31m", "\\x1b[31m");
    CHECK("a\0b\x07\x7f", "a\\x00b\\x07\\x7f");
    CHECK("\xc2\x9b"
          "2J",
          "\\u009b2J");
    CHECK("\xe2\x80\xaetxt\xe2\x80\xac", "\\u202etxt\\u202c");
    CHECK("\xe2\x81\xa6\xe2\x80\x8b\xef\xbb\xbf\xd8\x9c", "\\u2066\\u200b\\ufeff\\u061c");
}

static void test_bytes_that_are_no_text(void **state)
{
    (void)state;
    CHECK("\xff\xc3", "\\xff\\xc3");
    CHECK("\xc0\x80", "\\xc0\\x80");
    CHECK("\xe2\x82", "\\xe2\\x82");
    CHECK("\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80");
    CHECK("\x80x", "\\x80x");
}

/* Between characters, and never within an escape. */
static void test_the_end_is_cut(void **state)
{
    (void)state;
    check(SLICE_LITERAL("abc"), 3, "abc");
    check(SLICE_LITERAL("abcd"), 3, "abc\xe2\x80\xa6");
    check(SLICE_LITERAL("ab\xc3\xab"), 3, "ab\xe2\x80\xa6");
    check(SLICE_LITERAL("ab\xc3\xab"), 4, "ab\xc3\xab");
    check(SLICE_LITERAL("a\x1b"
                        "b"),
          4, "a\xe2\x80\xa6");
    check(SLICE_LITERAL("a\x1b"
                        "b"),
          5, "a\\x1b\xe2\x80\xa6");
    check(SLICE_LITERAL("a"), 0, "\xe2\x80\xa6");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_plain_stays),
        cmocka_unit_test(test_what_a_terminal_would_obey_is_escaped),
        cmocka_unit_test(test_bytes_that_are_no_text),
        cmocka_unit_test(test_the_end_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
