/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/secret.h"

static void test_life(void **state)
{
    (void)state;
    char source[] = "a\0key";
    SECRET_AUTO struct secret secret = secret_new(source, sizeof source);
    memset(source, 'x', sizeof source);
    assert_int_equal(secret.length, 6);
    assert_memory_equal(secret.bytes, "a\0key", 6);
    SECRET_AUTO struct secret copy = secret_dup(&secret);
    assert_ptr_not_equal(copy.bytes, secret.bytes);
    secret_done(&secret);
    assert_null(secret.bytes);
    assert_int_equal(secret.length, 0);
    secret_done(&secret);
    assert_memory_equal(copy.bytes, "a\0key", 6);
}

static void test_empty(void **state)
{
    (void)state;
    SECRET_AUTO struct secret empty = secret_new(NULL, 0);
    assert_null(empty.bytes);
    SECRET_AUTO struct secret copy = secret_dup(&empty);
    assert_null(copy.bytes);
    assert_int_equal(copy.length, 0);
    SECRET_AUTO struct secret from_text = secret_new("", 0);
    assert_null(from_text.bytes);
}

static void test_wipe(void **state)
{
    (void)state;
    char bytes[] = "abcdefgh";
    secret_wipe(bytes + 2, 3);
    assert_memory_equal(bytes, "ab\0\0\0fgh", 9);
    secret_wipe(bytes, 0);
    assert_int_equal(bytes[0], 'a');
    secret_wipe(NULL, 0);
}

/* One bit at any place is a difference. */
static void test_equal(void **state)
{
    (void)state;
    unsigned char left[33];
    unsigned char right[33];
    for (size_t index = 0; index < sizeof left; index++) {
        left[index] = (unsigned char)(index * 37);
    }
    memcpy(right, left, sizeof right);
    assert_true(secret_equal(left, right, sizeof left));
    assert_true(secret_equal(NULL, NULL, 0));
    for (size_t bit = 0; bit < 8 * sizeof left; bit++) {
        right[bit / 8] ^= (unsigned char)(1U << bit % 8);
        assert_false(secret_equal(left, right, sizeof left));
        assert_true(secret_equal(left, right, bit / 8));
        right[bit / 8] ^= (unsigned char)(1U << bit % 8);
    }
    /* Two differences do not cancel each other. */
    right[0] ^= 1;
    right[1] ^= 1;
    assert_false(secret_equal(left, right, sizeof left));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_wipe),
        cmocka_unit_test(test_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
