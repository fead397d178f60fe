/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base64.h"

/* RFC 4648 section 10. */
static const struct {
    const char *bytes;
    const char *text;
    const char *url_text;
} rows[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xbf", "+/+/", "-_-_"},
};

static void test_vectors(void **state)
{
    (void)state;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        BUF_AUTO struct buf text;
        BUF_AUTO struct buf url_text;
        uint8_t bytes[8];
        size_t length = 99;
        buf_init(&text, 64);
        buf_init(&url_text, 64);
        base64_append(&text, rows[index].bytes, strlen(rows[index].bytes));
        base64url_append(&url_text, rows[index].bytes, strlen(rows[index].bytes));
        assert_string_equal(buf_text(&text), rows[index].text);
        assert_string_equal(buf_text(&url_text), rows[index].url_text);
        assert_true(base64_decode(slice_of(rows[index].text), bytes, sizeof bytes, &length));
        assert_int_equal(length, strlen(rows[index].bytes));
        assert_memory_equal(bytes, rows[index].bytes, length);
        assert_true(base64url_decode(slice_of(rows[index].url_text), bytes, sizeof bytes, &length));
        assert_int_equal(length, strlen(rows[index].bytes));
        assert_memory_equal(bytes, rows[index].bytes, length);
    }
}

static void test_every_byte_survives(void **state)
{
    (void)state;
    uint8_t bytes[256];
    uint8_t back[256];
    size_t back_length;
    for (size_t index = 0; index < sizeof bytes; index++) {
        bytes[index] = (uint8_t)(index * 167 + 13);
    }
    for (size_t length = 0; length <= sizeof bytes; length++) {
        BUF_AUTO struct buf text;
        buf_init(&text, 1024);
        base64_append(&text, bytes, length);
        assert_int_equal(text.len, BASE64_LENGTH(length));
        assert_true(base64_decode(buf_slice(&text), back, length, &back_length));
        assert_int_equal(back_length, length);
        assert_memory_equal(back, bytes, length);
        if (length > 0) {
            assert_false(base64_decode(buf_slice(&text), back, length - 1, &back_length));
        }
        buf_clear(&text);
        base64url_append(&text, bytes, length);
        assert_true(base64url_decode(buf_slice(&text), back, length, &back_length));
        assert_memory_equal(back, bytes, length);
    }
}

static void test_strictness(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "Zg===", "=", "====", "Zm9v=", "Zm9vYg=", "Zh==", "Zm9=", "Zm8=Zm8=",
        "Zm9v\n", " Zm9v", "Zm 9", "Zm9v====", "-_-_", "Z=g=", "Zm9\xff",
    };
    static const char *const bad_for_urls[] = {"Z", "Zh", "Zm9", "Zg==", "+/+/", "Zm9vY"};
    uint8_t bytes[16];
    size_t length;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bad); index++) {
        if (base64_decode(slice_of(bad[index]), bytes, sizeof bytes, &length)) {
            fail_msg("taken: %s", bad[index]);
        }
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bad_for_urls); index++) {
        if (base64url_decode(slice_of(bad_for_urls[index]), bytes, sizeof bytes, &length)) {
            fail_msg("taken: %s", bad_for_urls[index]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_every_byte_survives),
        cmocka_unit_test(test_strictness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
