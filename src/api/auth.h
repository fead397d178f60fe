/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks, and whether they may (svix-api spec section 1): bearer tokens, HS256.
 *
 * Checking a token costs more than the rest of a small request, so each http thread keeps the
 * claims of tokens it has verified, by a keyed hash of the token: at most 1024, the oldest out
 * first. Thread: the one that owns the cache.
 */
#ifndef PH_API_AUTH_H
#define PH_API_AUTH_H

#include "base/arena.h"
#include "base/error.h"
#include "core/id.h"
#include "core/jwt.h"

enum api_auth {
    API_AUTH_NONE,         /* everybody, without a token */
    API_AUTH_ORGANISATION, /* organisation tokens; others are 403 */
    API_AUTH_APPLICATION, /* also the token of the application that the path names, see api_int.h */
    API_AUTH_READ_ALL,    /* any token */
};

#define AUTH_CACHE_MAX 1024
/* An application token whose `sub` is no id of this store: it matches no application. */
#define AUTH_NO_SUCH_APPLICATION (-1)

struct principal {
    struct slice org;       /* in the request's arena */
    int64_t application_id; /* of an application token, 0 for an organisation's */
    /* Of an application token. The slices belong to the cache: only until the handler returns. */
    const struct slice *feature_flags;
    size_t feature_flag_count;
};

struct auth_cache;

PH_NODISCARD struct auth_cache *auth_cache_new(void);
void auth_cache_free(struct auth_cache *cache); /* NULL is fine */

struct auth_context {
    struct auth_cache *cache;
    const struct id_codec *codec;
    struct jwt_key jwt_key;
    int64_t now_us;
};

/*
 * Judges an Authorization header's value (SLICE_NONE = missing) for an operation of class `auth`,
 * not API_AUTH_NONE. PH_UNAUTHORIZED, PH_BAD_REQUEST (`bad_token`, `bad token`), PH_FORBIDDEN with
 * the words of the original. Whether an application token fits the path's application is
 * api_path_application's to say.
 */
PH_NODISCARD enum ph_error api_authenticate(const struct auth_context *context, enum api_auth auth,
                                            struct slice header, struct arena *arena,
                                            struct diag *diag, struct principal *ret_principal);

#endif
