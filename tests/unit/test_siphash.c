/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/siphash.h"

/* The vectors published with SipHash (vectors.h): the key is 00 01 .. 0f, the text of row n is
 * 00 01 .. n-1. */
static const uint64_t vectors64[] = {
    UINT64_C(0x726fdb47dd0e0e31), UINT64_C(0x74f839c593dc67fd), UINT64_C(0x0d6c8009d9a94f5a),
    UINT64_C(0x85676696d7fb7e2d), UINT64_C(0xcf2794e0277187b7), UINT64_C(0x18765564cd99a68d),
    UINT64_C(0xcbc9466e58fee3ce), UINT64_C(0xab0200f58b01d137), UINT64_C(0x93f5f5799a932462),
    UINT64_C(0x9e0082df0ba9e4b0), UINT64_C(0x7a5dbbc594ddb9f3), UINT64_C(0xf4b32f46226bada7),
    UINT64_C(0x751e8fbc860ee5fb), UINT64_C(0x14ea5627c0843d90), UINT64_C(0xf723ca908e7af2ee),
    UINT64_C(0xa129ca6149be45e5),
};

static const uint8_t vectors128[][16] = {
    {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02,
     0x93},
    {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc,
     0x45},
    {0x81, 0x77, 0x22, 0x8d, 0xa4, 0xa4, 0x5d, 0xc7, 0xfc, 0xa3, 0x8b, 0xde, 0xf6, 0x0a, 0xff,
     0xe4},
    {0x9c, 0x70, 0xb6, 0x0c, 0x52, 0x67, 0xa9, 0x4e, 0x5f, 0x33, 0xb6, 0xb0, 0x29, 0x85, 0xed,
     0x51},
    {0xf8, 0x81, 0x64, 0xc1, 0x2d, 0x9c, 0x8f, 0xaf, 0x7d, 0x0f, 0x6e, 0x7c, 0x7b, 0xcd, 0x55,
     0x79},
    {0x13, 0x68, 0x87, 0x59, 0x80, 0x77, 0x6f, 0x88, 0x54, 0x52, 0x7a, 0x07, 0x69, 0x0e, 0x96,
     0x27},
    {0x14, 0xee, 0xca, 0x33, 0x8b, 0x20, 0x86, 0x13, 0x48, 0x5e, 0xa0, 0x30, 0x8f, 0xd7, 0xa1,
     0x5e},
    {0xa1, 0xf1, 0xeb, 0xbe, 0xd8, 0xdb, 0xc1, 0x53, 0xc0, 0xb8, 0x4a, 0xa6, 0x1f, 0xf0, 0x82,
     0x39},
    {0x3b, 0x62, 0xa9, 0xba, 0x62, 0x58, 0xf5, 0x61, 0x0f, 0x83, 0xe2, 0x64, 0xf3, 0x14, 0x97,
     0xb4},
};

/* Row 15 of the second table, row 63 of the first. */
static const uint8_t vector128_15[16] = {0x54, 0x93, 0xe9, 0x99, 0x33, 0xb0, 0xa8, 0x11,
                                         0x7e, 0x08, 0xec, 0x0f, 0x97, 0xcf, 0xc3, 0xd9};
static const uint64_t vector64_63 = UINT64_C(0x958a324ceb064572);

static void count_up(uint8_t *bytes, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        bytes[index] = (uint8_t)index;
    }
}

static void test_64_bits(void **state)
{
    (void)state;
    uint8_t key[16];
    uint8_t text[63];
    count_up(key, sizeof key);
    count_up(text, sizeof text);
    for (size_t length = 0; length < PH_ARRAY_LENGTH(vectors64); length++) {
        assert_true(siphash64(key, text, length) == vectors64[length]);
    }
    assert_true(siphash64(key, text, 63) == vector64_63);
    assert_true(siphash64(key, NULL, 0) == vectors64[0]);
}

static void test_128_bits(void **state)
{
    (void)state;
    uint8_t key[16];
    uint8_t text[15];
    uint8_t hash[16];
    count_up(key, sizeof key);
    count_up(text, sizeof text);
    for (size_t length = 0; length < PH_ARRAY_LENGTH(vectors128); length++) {
        siphash128(key, text, length, hash);
        assert_memory_equal(hash, vectors128[length], sizeof hash);
    }
    siphash128(key, text, 15, hash);
    assert_memory_equal(hash, vector128_15, sizeof hash);
}

/* The text may stand at any address; nothing behind it is read. */
static void test_any_alignment(void **state)
{
    (void)state;
    uint8_t key[16];
    count_up(key, sizeof key);
    for (size_t offset = 0; offset < 8; offset++) {
        PH_AUTO_FREE uint8_t *memory = ph_malloc(offset + 15);
        count_up(memory + offset, 15);
        assert_true(siphash64(key, memory + offset, 15) == vectors64[15]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_64_bits),
        cmocka_unit_test(test_128_bits),
        cmocka_unit_test(test_any_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
