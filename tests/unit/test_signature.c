/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base64.h"
#include "core/signature.h"

#define BODY "{\"test\": 2432232314}"
#define SYMMETRIC "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define ASYMMETRIC                                                                                 \
    "whsk_6Xb/dCcHpPea21PS1N9VY/"                                                                  \
    "NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
#define PUBLIC "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
#define ASYMMETRIC_SIGNATURE                                                                       \
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
#define ID "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define TIMESTAMP 1614265330
#define TIMESTAMP_TEXT "1614265330"
#define SYMMETRIC_SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

struct vector {
    const char *secret;
    const char *id;
    int64_t timestamp_s;
    const char *body;
    const char *signature;
};

/* Of the reference libraries and of svix-server (standard-webhooks spec section 7). */
static const struct vector vectors[] = {
    {SYMMETRIC, ID, TIMESTAMP, BODY, SYMMETRIC_SIGNATURE},
    {"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1649367553,
     "{\"email\":\"test@example.com\",\"username\":\"test_user\"}",
     "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="},
    {ASYMMETRIC, ID, TIMESTAMP, BODY, ASYMMETRIC_SIGNATURE},
};

static struct signing_key *key_of(const char *text)
{
    struct signing_key *key = NULL;
    assert_int_equal(signing_key_parse_verifier(slice_of(text), "key", NULL, &key), PH_OK);
    return key;
}

static void test_vectors(void **state)
{
    (void)state;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(vectors); index++) {
        const struct vector *vector = &vectors[index];
        struct signing_key *key = NULL;
        assert_int_equal(signing_key_parse(slice_of(vector->secret), "key", NULL, &key), PH_OK);
        const struct signature_content content = {slice_of(vector->id), vector->timestamp_s,
                                                  slice_of(vector->body)};
        /* Twice: signing does not use the key up. */
        for (int round = 0; round < 2; round++) {
            BUF_AUTO struct buf text;
            buf_init(&text, 1024);
            signing_key_sign(key, &content, &text);
            assert_string_equal(buf_text(&text), vector->signature);
        }
        signing_key_free(key);
    }
}

static void test_text_forms(void **state)
{
    (void)state;
    static const char *const texts[] = {SYMMETRIC, ASYMMETRIC};
    static const char *const public_texts[] = {SYMMETRIC, PUBLIC};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(texts); index++) {
        struct signing_key *key = key_of(texts[index]);
        struct signing_key *again = NULL;
        BUF_AUTO struct buf text;
        BUF_AUTO struct buf public;
        buf_init(&text, 1024);
        buf_init(&public, 1024);
        assert_int_equal(
            signing_key_from_bytes(signing_key_scheme(key), signing_key_bytes(key), NULL, &again),
            PH_OK);
        signing_key_append_text(again, &text);
        signing_key_append_public(again, &public);
        assert_string_equal(buf_text(&text), texts[index]);
        assert_string_equal(buf_text(&public), public_texts[index]);
        signing_key_free(key);
        signing_key_free(again);
    }
    signing_key_free(NULL);
}

static void check_symmetric_length(size_t length, enum ph_error expected)
{
    uint8_t bytes[100] = {1, 2, 3};
    struct signing_key *key = NULL;
    struct diag diag = {.error = PH_OK};
    BUF_AUTO struct buf text;
    buf_init(&text, 1024);
    buf_append_text(&text, "whsec_");
    base64_append(&text, bytes, length);
    assert_int_equal(signing_key_parse(buf_slice(&text), "body.secret", &diag, &key), expected);
    if (expected != PH_OK) {
        assert_string_equal(diag.field, "body.secret");
    }
    signing_key_free(key);
}

static void test_refused_secrets(void **state)
{
    (void)state;
    check_symmetric_length(0, PH_INVALID);
    check_symmetric_length(23, PH_INVALID);
    check_symmetric_length(24, PH_OK);
    check_symmetric_length(75, PH_OK);
    check_symmetric_length(76, PH_INVALID);
    static const char *const bad[] = {
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_",
        "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        PUBLIC,
        /* The public half of another key. */
        ("whsk_6Xb/dCcHpPea21PS1N9VY/"
         "NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvw=="),
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bad); index++) {
        struct signing_key *key = NULL;
        struct diag diag;
        assert_int_equal(signing_key_parse(slice_of(bad[index]), "body.secret", &diag, &key),
                         PH_INVALID);
        assert_string_equal(diag.field, "body.secret");
        assert_null(key);
    }
}

static void test_generated_keys(void **state)
{
    (void)state;
    uint8_t entropy[SIGNING_KEY_RANDOM_BYTES];
    for (size_t index = 0; index < sizeof entropy; index++) {
        entropy[index] = (uint8_t)(index * 7 + 1);
    }
    for (unsigned scheme = 0; scheme < SIGNATURE_SCHEME_COUNT; scheme++) {
        struct signing_key *key = signing_key_generate((enum signature_scheme)scheme, entropy);
        struct slice bytes = signing_key_bytes(key);
        assert_int_equal(bytes.len, scheme == SIGNATURE_ED25519 ? 64 : 24);
        assert_memory_equal(bytes.ptr, entropy, 24);
        struct signing_key *again = NULL;
        BUF_AUTO struct buf text;
        buf_init(&text, 1024);
        signing_key_append_text(key, &text);
        assert_int_equal(signing_key_parse(buf_slice(&text), "key", NULL, &again), PH_OK);
        signing_key_free(again);
        signing_key_free(key);
    }
}

static enum ph_error verify_with(const char *key_text, const char *id, const char *timestamp,
                                 const char *signatures, int64_t now_s)
{
    struct signing_key *key = key_of(key_text);
    const struct signing_key *keys[] = {key};
    const struct signature_received received = {slice_of(id), slice_of(timestamp),
                                                slice_of(signatures), SLICE_LITERAL(BODY)};
    enum ph_error error = signature_verify(keys, 1, &received, now_s, SIGNATURE_TOLERANCE_S, NULL);
    signing_key_free(key);
    return error;
}

static enum ph_error verify(const char *id, const char *timestamp, const char *signatures,
                            int64_t now_s)
{
    return verify_with(SYMMETRIC, id, timestamp, signatures, now_s);
}

static void test_verify(void **state)
{
    (void)state;
    const char *good = SYMMETRIC_SIGNATURE;
    assert_int_equal(verify(ID, TIMESTAMP_TEXT, good, TIMESTAMP), PH_OK);
    assert_int_equal(verify(ID, TIMESTAMP_TEXT, good, TIMESTAMP + 300), PH_OK);
    assert_int_equal(verify(ID, TIMESTAMP_TEXT, good, TIMESTAMP - 300), PH_OK);
    /* The secret without its prefix is the same secret. */
    assert_int_equal(
        verify_with("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", ID, TIMESTAMP_TEXT, good, TIMESTAMP),
        PH_OK);
    assert_int_equal(
        verify(ID, TIMESTAMP_TEXT,
               "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,Ceo5qEr07ixe2NLpvHk3FH9bwy/"
               "WavXrAFQ/9tdO6mc= " SYMMETRIC_SIGNATURE " " ASYMMETRIC_SIGNATURE,
               TIMESTAMP),
        PH_OK);
    assert_int_equal(verify_with(PUBLIC, ID, TIMESTAMP_TEXT, ASYMMETRIC_SIGNATURE, TIMESTAMP),
                     PH_OK);
    assert_int_equal(verify_with(ASYMMETRIC, ID, TIMESTAMP_TEXT, ASYMMETRIC_SIGNATURE, TIMESTAMP),
                     PH_OK);
}

static void test_verify_refuses(void **state)
{
    (void)state;
    const char *good = SYMMETRIC_SIGNATURE;
    static const char *const bad_signatures[] = {
        "",
        "v1",
        "v1,",
        "v1,====",
        "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1O",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVk=",
        "v1,A0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ASYMMETRIC_SIGNATURE,
        ("v1," SYMMETRIC_SIGNATURE),
        "  ",
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bad_signatures); index++) {
        assert_int_equal(verify(ID, TIMESTAMP_TEXT, bad_signatures[index], TIMESTAMP),
                         PH_UNAUTHORIZED);
    }
    assert_int_equal(verify(NULL, TIMESTAMP_TEXT, good, TIMESTAMP), PH_UNAUTHORIZED);
    assert_int_equal(verify(ID, NULL, good, TIMESTAMP), PH_UNAUTHORIZED);
    assert_int_equal(verify(ID, TIMESTAMP_TEXT, NULL, TIMESTAMP), PH_UNAUTHORIZED);
    assert_int_equal(verify(ID, "hello", good, TIMESTAMP), PH_UNAUTHORIZED);
    assert_int_equal(verify(ID, "1614265330.5", good, TIMESTAMP), PH_UNAUTHORIZED);
    assert_int_equal(verify(ID, "-9223372036854775808", good, TIMESTAMP), PH_UNAUTHORIZED);
    assert_int_equal(verify(ID, "9223372036854775807", good, -TIMESTAMP), PH_UNAUTHORIZED);
    assert_int_equal(verify(ID, TIMESTAMP_TEXT, good, TIMESTAMP + 301), PH_UNAUTHORIZED);
    assert_int_equal(verify(ID, TIMESTAMP_TEXT, good, TIMESTAMP - 301), PH_UNAUTHORIZED);
    assert_int_equal(verify(ID, "1614265331", good, TIMESTAMP), PH_UNAUTHORIZED);
    assert_int_equal(verify("msg_x", TIMESTAMP_TEXT, good, TIMESTAMP), PH_UNAUTHORIZED);
    /* Each scheme takes its own key only; no key takes nothing. */
    assert_int_equal(verify_with(PUBLIC, ID, TIMESTAMP_TEXT, good, TIMESTAMP), PH_UNAUTHORIZED);
    const struct signature_received received = {SLICE_LITERAL(ID), SLICE_LITERAL(TIMESTAMP_TEXT),
                                                slice_of(good), SLICE_LITERAL(BODY)};
    struct diag diag;
    assert_int_equal(signature_verify(NULL, 0, &received, TIMESTAMP, 300, &diag), PH_UNAUTHORIZED);
    assert_string_equal(diag.text, "no signature fits");
    /* Empty verifier secrets are an error, as in the reference libraries. */
    struct signing_key *key = NULL;
    assert_int_equal(signing_key_parse_verifier(SLICE_LITERAL(""), "key", NULL, &key), PH_INVALID);
    assert_int_equal(signing_key_parse_verifier(SLICE_LITERAL("whsec_"), "key", NULL, &key),
                     PH_INVALID);
    assert_int_equal(signing_key_parse_verifier(SLICE_LITERAL("whpk_AAAA"), "key", NULL, &key),
                     PH_INVALID);
}

static void test_rotation(void **state)
{
    (void)state;
    struct signing_key *old_key = key_of(SYMMETRIC);
    struct signing_key *new_key = key_of(vectors[1].secret);
    const struct signature_content content = {SLICE_LITERAL(ID), TIMESTAMP, SLICE_NONE};
    BUF_AUTO struct buf header;
    buf_init(&header, 1024);
    signing_key_sign(new_key, &content, &header);
    buf_append_byte(&header, ' ');
    signing_key_sign(old_key, &content, &header);
    const struct signature_received received = {SLICE_LITERAL(ID), SLICE_LITERAL(TIMESTAMP_TEXT),
                                                buf_slice(&header), SLICE_NONE};
    const struct signing_key *keys[] = {old_key, new_key};
    for (size_t index = 0; index < 2; index++) {
        assert_int_equal(
            signature_verify(&keys[index], 1, &received, TIMESTAMP, SIGNATURE_TOLERANCE_S, NULL),
            PH_OK);
    }
    signing_key_free(old_key);
    signing_key_free(new_key);
}

/* RFC 4231 test case 2. */
static void test_hmac(void **state)
{
    (void)state;
    static const uint8_t expected[] = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e,
                                       0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
                                       0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83,
                                       0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};
    uint8_t mac[64];
    struct slice text = SLICE_LITERAL("what do ya want for nothing?");
    signature_hmac(256, SLICE_LITERAL("Jefe"), text, mac);
    assert_memory_equal(mac, expected, 32);
    signature_hmac(512, SLICE_LITERAL("Jefe"), text, mac);
    assert_int_equal(mac[0], 0x16);
    assert_int_equal(mac[63], 0x37);
    signature_hmac(384, SLICE_LITERAL("Jefe"), text, mac);
    assert_int_equal(mac[0], 0xaf);
    assert_int_equal(mac[47], 0x49);
    /* No key at all: Python's hmac.new(b"", b"", "sha256"). */
    signature_hmac(256, SLICE_NONE, SLICE_NONE, mac);
    assert_int_equal(mac[0], 0xb6);
    assert_int_equal(mac[31], 0xad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),         cmocka_unit_test(test_text_forms),
        cmocka_unit_test(test_refused_secrets), cmocka_unit_test(test_generated_keys),
        cmocka_unit_test(test_verify),          cmocka_unit_test(test_verify_refuses),
        cmocka_unit_test(test_rotation),        cmocka_unit_test(test_hmac),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
