/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base64.h"
#include "core/jwt.h"
#include "core/signature.h"

#define SECRET "a secret that is long enough"
#define NOW 1700000000

static const struct jwt_key hs256 = {JWT_HS256, {SECRET, sizeof SECRET - 1}};

/* A token of any header and claims, signed as the algorithm says. */
static void make_token(struct buf *text, unsigned hash_bits, const char *header, const char *claims)
{
    uint8_t mac[64];
    base64url_append(text, header, strlen(header));
    buf_append_byte(text, '.');
    base64url_append(text, claims, strlen(claims));
    signature_hmac(hash_bits, SLICE_LITERAL(SECRET), buf_slice(text), mac);
    buf_append_byte(text, '.');
    base64url_append(text, mac, hash_bits / 8);
}

static enum ph_error verify(const char *header, const char *claims, struct diag *diag)
{
    ARENA_AUTO struct arena arena;
    BUF_AUTO struct buf token;
    struct jwt_claims ret_claims;
    arena_init(&arena, 65536);
    buf_init(&token, 65536);
    make_token(&token, 256, header, claims);
    return jwt_verify(&hs256, buf_slice(&token), NOW, &arena, diag, &ret_claims);
}

#define HS256 "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

/* RFC 7515 appendix A.1: the signature fits, but there is no `sub`. */
static void test_rfc_vector(void **state)
{
    (void)state;
    uint8_t key[64];
    size_t key_length;
    assert_true(
        base64url_decode(SLICE_LITERAL("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75"
                                       "aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"),
                         key, sizeof key, &key_length));
    struct slice token = SLICE_LITERAL(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog"
        "Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjX"
        "k");
    ARENA_AUTO struct arena arena;
    struct jwt_claims claims;
    struct diag diag;
    const struct jwt_key secret = {JWT_HS256, {(const char *)key, key_length}};
    arena_init(&arena, 65536);
    assert_int_equal(jwt_verify(&secret, token, 1300819380, &arena, &diag, &claims),
                     PH_UNAUTHORIZED);
    assert_string_equal(diag.text, "Invalid token (missing `sub`).");
    assert_int_equal(jwt_verify(&secret, token, 1300819380 + 901, &arena, &diag, &claims),
                     PH_UNAUTHORIZED);
    assert_string_equal(diag.text, "Invalid token");
    token.len--;
    assert_int_equal(jwt_verify(&secret, token, 1300819380, &arena, &diag, &claims),
                     PH_UNAUTHORIZED);
    assert_string_equal(diag.text, "Invalid token");
}

static void test_sign_and_verify(void **state)
{
    (void)state;
    struct slice flags[] = {SLICE_LITERAL("beta"), SLICE_LITERAL("with \"quotes\"")};
    struct slice capabilities[] = {SLICE_LITERAL("ViewBase")};
    const struct jwt_claims given = {
        .iss = SLICE_LITERAL("svix-server"),
        .sub = SLICE_LITERAL("app_x"),
        .org = SLICE_LITERAL("org_y"),
        .jti = SLICE_LITERAL("j"),
        .iat_ms = NOW * INT64_C(1000) + 123,
        .nbf_s = NOW,
        .exp_s = NOW + 60,
        .has_feature_flags = true,
        .feature_flags = flags,
        .feature_flag_count = 2,
        .session_id = SLICE_LITERAL("s 1"),
        .has_capabilities = true,
        .capabilities = capabilities,
        .capability_count = 1,
    };
    for (unsigned algorithm = JWT_HS256; algorithm <= JWT_HS512; algorithm++) {
        ARENA_AUTO struct arena arena;
        BUF_AUTO struct buf token;
        struct jwt_claims claims;
        arena_init(&arena, 65536);
        buf_init(&token, JWT_TEXT_MAX);
        const struct jwt_key key = {(enum jwt_algorithm)algorithm, SLICE_LITERAL(SECRET)};
        jwt_sign(&key, &given, &token);
        assert_int_equal(jwt_verify(&key, buf_slice(&token), NOW, &arena, NULL, &claims), PH_OK);
        assert_true(slice_equal(claims.iss, given.iss));
        assert_true(slice_equal(claims.sub, given.sub));
        assert_true(slice_equal(claims.org, given.org));
        assert_true(slice_equal(claims.jti, given.jti));
        assert_true(claims.iat_ms == given.iat_ms);
        assert_true(claims.nbf_s == given.nbf_s && claims.exp_s == given.exp_s);
        assert_true(claims.has_feature_flags);
        assert_int_equal(claims.feature_flag_count, 2);
        assert_true(slice_equal(claims.feature_flags[1], flags[1]));
        assert_true(slice_equal(claims.session_id, given.session_id));
        assert_true(claims.has_capabilities);
        assert_int_equal(claims.capability_count, 1);
        assert_true(slice_equal(claims.capabilities[0], capabilities[0]));
        /* Another secret, another algorithm, and any flipped character. */
        const struct jwt_key others[] = {
            {key.algorithm, SLICE_LITERAL("x")},
            {algorithm == JWT_HS512 ? JWT_HS256 : JWT_HS512, SLICE_LITERAL(SECRET)},
        };
        for (size_t index = 0; index < PH_ARRAY_LENGTH(others); index++) {
            assert_int_equal(
                jwt_verify(&others[index], buf_slice(&token), NOW, &arena, NULL, &claims),
                PH_UNAUTHORIZED);
        }
        for (size_t index = 0; index < token.len; index++) {
            char before = token.data[index];
            token.data[index] = before == 'A' ? 'B' : 'A';
            assert_int_equal(jwt_verify(&key, buf_slice(&token), NOW, &arena, NULL, &claims),
                             PH_UNAUTHORIZED);
            token.data[index] = before;
        }
    }
}

/* The form that Svix' own tools expect, byte for byte. */
static void test_claims_text(void **state)
{
    (void)state;
    const struct jwt_claims given = {.iss = SLICE_LITERAL("svix-server"),
                                     .sub = SLICE_LITERAL("org_x"),
                                     .iat_ms = NOW * INT64_C(1000),
                                     .nbf_s = NOW,
                                     .exp_s = NOW + 1};
    BUF_AUTO struct buf token;
    BUF_AUTO struct buf expected;
    buf_init(&token, JWT_TEXT_MAX);
    buf_init(&expected, JWT_TEXT_MAX);
    jwt_sign(&hs256, &given, &token);
    make_token(&expected, 256, HS256,
               "{\"iat\":1700000000,\"exp\":1700000001,\"nbf\":1700000000,\"iss\":\"svix-server\","
               "\"sub\":\"org_x\"}");
    assert_string_equal(buf_text(&token), buf_text(&expected));
}

static void test_too_large_is_no_token(void **state)
{
    (void)state;
    PH_AUTO_FREE char *sub = ph_malloc(JWT_TEXT_MAX);
    memset(sub, 'x', JWT_TEXT_MAX);
    const struct jwt_claims given = {.sub = {sub, JWT_TEXT_MAX}};
    BUF_AUTO struct buf token;
    buf_init(&token, 65536);
    jwt_sign(&hs256, &given, &token);
    assert_true(token.failed);
    assert_int_equal(token.len, 0);
}

static void test_headers(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"alg\":\"none\"}",
        "{\"alg\":\"None\"}",
        "{\"alg\":\"\"}",
        "{\"alg\":\"hs256\"}",
        "{\"alg\":\"RS256\"}",
        "{\"alg\":\"EdDSA\"}",
        "{\"alg\":256}",
        "{\"alg\":null}",
        "{}",
        "[]",
        "\"HS256\"",
        "",
        "{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}",
        "{\"alg\":\"HS256\",\"alg\":\"HS256\"}",
        /* The MAC of HS256 is too short for the algorithm named. */
        "{\"alg\":\"HS512\"}",
    };
    assert_int_equal(verify(HS256, "{\"sub\":\"x\"}", NULL), PH_OK);
    assert_int_equal(verify("{\"alg\":\"HS256\"}", "{\"sub\":\"x\"}", NULL), PH_OK);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bad); index++) {
        struct diag diag;
        assert_int_equal(verify(bad[index], "{\"sub\":\"x\"}", &diag), PH_UNAUTHORIZED);
        assert_string_equal(diag.text, "Invalid token");
    }
}

static void test_claims(void **state)
{
    (void)state;
    static const struct {
        const char *claims;
        const char *words; /* NULL = taken */
    } rows[] = {
        {"{\"sub\":\"x\",\"exp\":1699999100}", NULL}, /* 900 s ago */
        {"{\"sub\":\"x\",\"exp\":1699999099}", "Invalid token"},
        {"{\"sub\":\"x\",\"nbf\":1700000900}", NULL},
        {"{\"sub\":\"x\",\"nbf\":1700000901}", "Invalid token"},
        {"{\"sub\":\"x\",\"iat\":1700000900.0}", NULL},
        {"{\"sub\":\"x\",\"iat\":1700000901}", "Invalid token"},
        {"{\"sub\":\"x\",\"exp\":\"1800000000\"}", "Invalid token"},
        {"{\"sub\":\"x\",\"exp\":-1}", "Invalid token"},
        {"{\"sub\":\"x\",\"exp\":0}", "Invalid token"},
        {"{\"sub\":\"x\",\"exp\":1e300}", "Invalid token"},
        {"{\"sub\":\"x\",\"exp\":null,\"org\":null}", NULL},
        {"{\"sub\":1}", "Invalid token"},
        {"{\"sub\":\"x\",\"org\":{}}", "Invalid token"},
        {"{\"sub\":\"x\",\"feature_flags\":\"a\"}", "Invalid token"},
        {"{\"sub\":\"x\",\"feature_flags\":[1]}", "Invalid token"},
        {"{\"sub\":\"x\",\"feature_flags\":[]}", NULL},
        {"{\"sub\":\"x\",\"capabilities\":\"a\"}", "Invalid token"},
        {"{\"sub\":\"x\",\"capabilities\":[{}]}", "Invalid token"},
        {"{\"sub\":\"x\",\"session_id\":7}", "Invalid token"},
        {"{\"sub\":\"x\",\"sub\":\"y\"}", "Invalid token"},
        {"{\"sub\":\"\"}", NULL}, /* what it must look like is for the caller to say */
        {"{\"sub\":null}", "Invalid token (missing `sub`)."},
        {"{}", "Invalid token (missing `sub`)."},
        {"{\"sub\":\"x\"", "Invalid token"},
        {"[]", "Invalid token"},
        {"", "Invalid token"},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        struct diag diag = {.error = PH_OK};
        enum ph_error error = verify(HS256, rows[index].claims, &diag);
        if (rows[index].words == NULL) {
            assert_int_equal(error, PH_OK);
        } else {
            assert_int_equal(error, PH_UNAUTHORIZED);
            assert_string_equal(diag.text, rows[index].words);
        }
    }
}

static void test_forms(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ".", "..", "...", "a.b.c", "a.b", "a.b.c.d", "Bearer x"};
    ARENA_AUTO struct arena arena;
    struct jwt_claims claims;
    struct diag diag;
    arena_init(&arena, 65536);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bad); index++) {
        assert_int_equal(jwt_verify(&hs256, slice_of(bad[index]), NOW, &arena, &diag, &claims),
                         PH_UNAUTHORIZED);
        assert_string_equal(diag.text, "Invalid token");
    }
    assert_int_equal(jwt_verify(&hs256, SLICE_LITERAL(SECRET), NOW, &arena, &diag, &claims),
                     PH_UNAUTHORIZED);
    assert_non_null(strstr(diag.text, "signing secret"));
    BUF_AUTO struct buf token;
    ARENA_AUTO struct arena tight;
    buf_init(&token, 65536);
    arena_init(&tight, 1);
    make_token(&token, 256, HS256, "{\"sub\":\"x\"}");
    assert_int_equal(jwt_verify(&hs256, buf_slice(&token), NOW, &tight, &diag, &claims),
                     PH_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_vector),  cmocka_unit_test(test_sign_and_verify),
        cmocka_unit_test(test_claims_text), cmocka_unit_test(test_too_large_is_no_token),
        cmocka_unit_test(test_headers),     cmocka_unit_test(test_claims),
        cmocka_unit_test(test_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
