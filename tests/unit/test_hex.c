/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/hex.h"

static void test_both_ways(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x00, 0x01, 0x9a, 0xbf, 0xff};
    char text[11];
    uint8_t back[5];
    size_t length = 0;
    hex_encode(bytes, sizeof bytes, text);
    assert_string_equal(text, "00019abfff");
    assert_true(hex_decode(SLICE_LITERAL("00019ABFff"), back, sizeof back, &length));
    assert_int_equal(length, sizeof bytes);
    assert_memory_equal(back, bytes, sizeof bytes);
    BUF_AUTO struct buf buf;
    buf_init(&buf, 16);
    hex_append(&buf, bytes, sizeof bytes);
    assert_string_equal(buf_text(&buf), "00019abfff");
    hex_append(&buf, bytes, sizeof bytes);
    assert_true(buf.failed);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"0",   "0g", "g0", "0x00", " 00",
                                      "00 ", "@0", "`0", "G0",   "00000000"};
    uint8_t bytes[3];
    size_t length;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bad); index++) {
        assert_false(hex_decode(slice_of(bad[index]), bytes, sizeof bytes, &length));
    }
    assert_true(hex_decode(SLICE_NONE, bytes, sizeof bytes, &length));
    assert_int_equal(length, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
