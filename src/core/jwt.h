/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON Web Tokens (RFC 7519) under a shared secret: HS256, HS384, HS512. Everything else is
 * refused, `none` above all. Pure; any thread.
 */
#ifndef PH_CORE_JWT_H
#define PH_CORE_JWT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

#define JWT_LEEWAY_S 900 /* clock tolerance of the Svix server's library */
#define JWT_TEXT_MAX 16384

enum jwt_algorithm { JWT_HS256, JWT_HS384, JWT_HS512 };

struct jwt_key {
    enum jwt_algorithm algorithm;
    struct slice secret;
};

struct jwt_claims {
    struct slice iss; /* slices are SLICE_NONE when absent */
    struct slice sub;
    struct slice org;
    struct slice jti;
    int64_t iat_ms; /* milliseconds, because expire-all is exact to the millisecond; 0 = absent */
    int64_t nbf_s;  /* 0 = absent */
    int64_t exp_s;  /* 0 = absent: never expires */
    struct slice session_id; /* of the portal's tokens */
    bool has_feature_flags;
    struct slice *feature_flags;
    size_t feature_flag_count;
    bool has_capabilities; /* without the claim a token may do everything that its kind may */
    struct slice *capabilities;
    size_t capability_count;
};

/* Appends the token. Claims that are absent are left out; `iat` has decimals only when it is not
 * a whole second. */
void jwt_sign(const struct jwt_key *key, const struct jwt_claims *claims, struct buf *text);
/*
 * Checks form, algorithm (it must be the key's), signature, then exp, nbf and iat against `now_s`
 * with JWT_LEEWAY_S of tolerance. Slices of *ret_claims live in `arena`. PH_UNAUTHORIZED with words
 * for the caller (svix-api spec section 1): "Invalid token", "Invalid token (missing `sub`).", or
 * that the signing secret itself was sent. PH_NO_MEMORY when the arena is at its cap. `iss` is not
 * judged.
 */
PH_NODISCARD enum ph_error jwt_verify(const struct jwt_key *key, struct slice text, int64_t now_s,
                                      struct arena *arena, struct diag *diag,
                                      struct jwt_claims *ret_claims);

#endif
