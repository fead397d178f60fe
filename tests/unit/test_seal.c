/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/hex.h"
#include "core/seal.h"

static const uint8_t nonce[SEAL_NONCE_BYTES] = {100, 101, 102, 103, 104, 105,
                                                106, 107, 108, 109, 110, 111};

static struct seal_key key_of(int64_t id)
{
    struct seal_key key = {.id = id};
    for (size_t index = 0; index < SEAL_KEY_BYTES; index++) {
        key.bytes[index] = (uint8_t)index;
    }
    return key;
}

static struct seal_place usual_place(void)
{
    return (struct seal_place){.table = "endpoint_secret",
                               .column = "secret",
                               .row = 11,
                               .owner = 22,
                               .key = SLICE_LITERAL("kk")};
}

/* Made with another implementation of AES-256-GCM, from the layout in the header. */
static void test_known_answer(void **state)
{
    (void)state;
    const struct seal_key key = key_of(7);
    const struct seal_place place = usual_place();
    BUF_AUTO struct buf sealed;
    BUF_AUTO struct buf hex;
    buf_init(&sealed, 1000);
    buf_init(&hex, 1000);
    seal_append(&key, nonce, &place, SLICE_LITERAL("hello"), &sealed);
    hex_append(&hex, sealed.data, sealed.len);
    assert_string_equal(buf_text(&hex), "0100000000000000076465666768696a6b6c6d6e6f"
                                        "207eb20a166612c5ecd2d2fc2565d14972468571b5");
    int64_t id = 0;
    assert_true(seal_key_id(buf_slice(&sealed), &id));
    assert_int_equal(id, 7);
    uint8_t master_id[SEAL_MASTER_ID_BYTES];
    seal_master_id(&key, master_id);
    char text[2 * SEAL_MASTER_ID_BYTES + 1];
    hex_encode(master_id, sizeof master_id, text);
    assert_string_equal(text, "5435f1c06d445429");
}

static void assert_round_trip(struct slice plain)
{
    const struct seal_key key = key_of(1);
    const struct seal_place place = usual_place();
    BUF_AUTO struct buf sealed;
    buf_init(&sealed, 200000);
    seal_append(&key, nonce, &place, plain, &sealed);
    assert_false(sealed.failed);
    assert_int_equal(sealed.len, plain.len + SEAL_OVERHEAD_BYTES);
    SECRET_AUTO struct secret opened = SECRET_NONE;
    assert_int_equal(seal_open(&key, &place, buf_slice(&sealed), NULL, &opened), PH_OK);
    assert_int_equal(opened.length, plain.len);
    assert_non_null(opened.bytes);
    assert_memory_equal(opened.bytes, plain.len == 0 ? "" : plain.ptr, plain.len);
}

static void test_both_ways(void **state)
{
    (void)state;
    static char large[100000];
    memset(large, 'x', sizeof large);
    assert_round_trip(SLICE_LITERAL(""));
    assert_round_trip(SLICE_NONE);
    assert_round_trip(SLICE_LITERAL("\0\xff"));
    assert_round_trip((struct slice){large, sizeof large});
}

static enum ph_error open_at(const struct seal_key *key, const struct seal_place *place,
                             struct slice sealed)
{
    SECRET_AUTO struct secret opened = SECRET_NONE;
    struct diag diag = {0};
    enum ph_error error = seal_open(key, place, sealed, &diag, &opened);
    assert_true(error == PH_OK || (opened.bytes == NULL && diag.text[0] != '\0'));
    return error;
}

static void test_it_opens_at_its_place_only(void **state)
{
    (void)state;
    const struct seal_key key = key_of(1);
    const struct seal_place home = usual_place();
    BUF_AUTO struct buf sealed;
    buf_init(&sealed, 1000);
    seal_append(&key, nonce, &home, SLICE_LITERAL("secret"), &sealed);
    struct seal_place others[] = {home, home, home, home, home, home, home};
    others[0].table = "endpoint";
    others[1].column = "headers";
    others[2].row = 12;
    others[3].owner = 23;
    others[4].key = SLICE_LITERAL("kkk");
    others[5].key = SLICE_NONE;
    others[6].row = 22;
    others[6].owner = 11;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(others); index++) {
        assert_int_equal(open_at(&key, &others[index], buf_slice(&sealed)), PH_INVALID);
    }
    assert_int_equal(open_at(&key, &home, buf_slice(&sealed)), PH_OK);
}

static void test_changes_are_found(void **state)
{
    (void)state;
    const struct seal_key key = key_of(1);
    const struct seal_place place = usual_place();
    BUF_AUTO struct buf sealed;
    buf_init(&sealed, 1000);
    seal_append(&key, nonce, &place, SLICE_LITERAL("secret"), &sealed);
    for (size_t index = 0; index < sealed.len * 8; index++) {
        char bit = (char)(1 << (index % 8));
        sealed.data[index / 8] = (char)(sealed.data[index / 8] ^ bit);
        assert_int_equal(open_at(&key, &place, buf_slice(&sealed)), PH_INVALID);
        sealed.data[index / 8] = (char)(sealed.data[index / 8] ^ bit);
    }
    for (size_t length = 0; length < sealed.len; length++) {
        assert_int_equal(open_at(&key, &place, (struct slice){sealed.data, length}), PH_INVALID);
    }
    struct seal_key other = key;
    other.bytes[31] ^= 1;
    assert_int_equal(open_at(&other, &place, buf_slice(&sealed)), PH_INVALID);
    other = key;
    other.id = 2;
    assert_int_equal(open_at(&other, &place, buf_slice(&sealed)), PH_INVALID);
    int64_t id;
    assert_false(seal_key_id(SLICE_LITERAL("\1short"), &id));
    sealed.data[0] = 2;
    assert_false(seal_key_id(buf_slice(&sealed), &id));
}

static void test_a_full_buffer(void **state)
{
    (void)state;
    const struct seal_key key = key_of(1);
    const struct seal_place place = usual_place();
    BUF_AUTO struct buf sealed;
    buf_init(&sealed, SEAL_OVERHEAD_BYTES + 5);
    seal_append(&key, nonce, &place, SLICE_LITERAL("secret"), &sealed);
    assert_true(sealed.failed);
}

static void assert_key(struct slice content)
{
    static const uint8_t expected[SEAL_KEY_BYTES] = {0x80, 1, 2, [31] = 0xff};
    uint8_t bytes[SEAL_KEY_BYTES] = {0};
    struct diag diag = {0};
    assert_int_equal(seal_key_parse(content, &diag, bytes), PH_OK);
    assert_memory_equal(bytes, expected, sizeof expected);
}

static void test_master_keys(void **state)
{
    (void)state;
    char raw[SEAL_KEY_BYTES] = {(char)0x80, 1, 2, [31] = (char)0xff};
    assert_key((struct slice){raw, sizeof raw});
#define ZEROES "00000000000000000000000000000000000000000000000000000000"
    assert_key(SLICE_LITERAL("800102" ZEROES "ff"));
    assert_key(SLICE_LITERAL("\n800102" ZEROES "FF \r\n"));
    assert_key(SLICE_LITERAL("gAECAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAP8="));
    assert_key(SLICE_LITERAL("gAECAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAP8=\n"));

    static const char *const bad[] = {
        "",
        "\n",
        "correct horse battery staple ....", /* text */
        "0123456789abcdef0123456789abcdef",  /* 16 bytes: half a key */
        "800102" ZEROES,
        "800102" ZEROES "ffff",
        "800102" ZEROES "fg",
        "gAECAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAP8",
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bad); index++) {
        uint8_t bytes[SEAL_KEY_BYTES];
        struct diag diag = {0};
        assert_int_equal(seal_key_parse(slice_of(bad[index]), &diag, bytes), PH_INVALID);
        assert_non_null(strstr(diag.text, "a master key is 32 random bytes"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answer),
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_it_opens_at_its_place_only),
        cmocka_unit_test(test_changes_are_found),
        cmocka_unit_test(test_a_full_buffer),
        cmocka_unit_test(test_master_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
