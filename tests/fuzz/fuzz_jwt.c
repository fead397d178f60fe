/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens. The input is taken as a token, which nobody can forge, and as the two JSON parts of a
 * token that is then signed with the right secret.
 */
#include "base/arena.h"
#include "core/base64.h"
#include "core/jwt.h"
#include "core/scan.h"
#include "core/signature.h"
#include "fuzz/fuzz.h"

#define NOW_S INT64_C(1767607872)
#define MEMBERS_MAX 32
#define ARENA_BYTES ((size_t)64 * 1024)

static const struct jwt_key key = {JWT_HS256, {"the secret of this test", 23}};

static bool is_same(struct slice left, struct slice right)
{
    return slice_equal(left, right) && (left.ptr == NULL) == (right.ptr == NULL);
}

static void check_same(const struct jwt_claims *left, const struct jwt_claims *right)
{
    PH_ASSERT(is_same(left->iss, right->iss) && is_same(left->sub, right->sub));
    PH_ASSERT(is_same(left->org, right->org) && is_same(left->jti, right->jti));
    PH_ASSERT(left->iat_ms == right->iat_ms);
    PH_ASSERT(left->nbf_s == right->nbf_s && left->exp_s == right->exp_s);
    PH_ASSERT(left->has_feature_flags == right->has_feature_flags);
    PH_ASSERT(left->feature_flag_count == right->feature_flag_count);
    for (size_t index = 0; index < left->feature_flag_count; index++) {
        PH_ASSERT(slice_equal(left->feature_flags[index], right->feature_flags[index]));
    }
}

/* Claims that were taken are the same after another round. */
static void check_claims(const struct jwt_claims *claims)
{
    ARENA_AUTO struct arena arena;
    BUF_AUTO struct buf token;
    struct jwt_claims again;
    PH_ASSERT(claims->sub.ptr != NULL);
    PH_ASSERT(claims->exp_s == 0 || claims->exp_s + JWT_LEEWAY_S >= NOW_S);
    PH_ASSERT(claims->nbf_s <= NOW_S + JWT_LEEWAY_S);
    PH_ASSERT(claims->iat_ms <= (NOW_S + JWT_LEEWAY_S) * 1000);
    arena_init(&arena, (size_t)4 * ARENA_BYTES);
    buf_init(&token, JWT_TEXT_MAX);
    jwt_sign(&key, claims, &token);
    if (!token.failed) {
        PH_ASSERT(jwt_verify(&key, buf_slice(&token), NOW_S, &arena, NULL, &again) == PH_OK);
        check_same(claims, &again);
    }
}

/* A token that says when it ends never becomes one without an end. */
static void check_end(struct slice payload, const struct jwt_claims *claims)
{
    struct scan_member members[MEMBERS_MAX];
    size_t count;
    if (scan_object(payload, members, MEMBERS_MAX, &count, NULL, NULL) == PH_OK) {
        const struct scan_member *end = scan_find(members, count, "exp");
        PH_ASSERT(end == NULL || end->type == SCAN_NULL || claims->exp_s != 0);
    }
}

/* `payload` is what the token was made of, SLICE_NONE for a token that nobody signed. */
static void check_token(struct slice text, struct slice payload)
{
    ARENA_AUTO struct arena arena;
    struct diag diag = {.error = PH_OK};
    struct jwt_claims claims;
    arena_init(&arena, ARENA_BYTES);
    enum ph_error error = jwt_verify(&key, text, NOW_S, &arena, &diag, &claims);
    if (error == PH_OK) {
        PH_ASSERT(payload.ptr != NULL);
        check_end(payload, &claims);
        check_claims(&claims);
    } else {
        PH_ASSERT(error == PH_UNAUTHORIZED || error == PH_NO_MEMORY);
        PH_ASSERT(diag.error == error && diag.text[0] != '\0');
    }
}

static void check_parts(struct slice header, struct slice payload)
{
    uint8_t mac[32];
    BUF_AUTO struct buf token;
    buf_init(&token, (size_t)2 * JWT_TEXT_MAX);
    base64url_append(&token, header.ptr, header.len);
    buf_append_byte(&token, '.');
    base64url_append(&token, payload.ptr, payload.len);
    if (token.failed) {
        return;
    }
    signature_hmac(256, key.secret, buf_slice(&token), mac);
    buf_append_byte(&token, '.');
    size_t signature = token.len;
    base64url_append(&token, mac, sizeof mac);
    if (token.failed) {
        return;
    }
    check_token(buf_slice(&token), payload);
    token.data[signature] = token.data[signature] == 'A' ? 'B' : 'A';
    check_token(buf_slice(&token), SLICE_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = fuzz_text(data, size);
    check_token(rest, SLICE_NONE);
    struct slice header = fuzz_line(&rest);
    check_parts(header, rest.ptr == NULL ? SLICE_LITERAL("") : rest);
    check_parts(SLICE_LITERAL("{\"alg\":\"HS256\"}"), fuzz_text(data, size));
    return 0;
}
