/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks, and whether they may (svix-api spec section 1): bearer tokens, HS256, and the keys of
 * integrations (store/integration.h), which act for their application.
 *
 * Checking a token costs more than the rest of a small request, so each http thread keeps the
 * claims of tokens it has verified, by a keyed hash of the token: at most AUTH_CACHE_MAX, the
 * oldest out first. Tokens of applications may be ended before their time (store/token.h): what the
 * store says about one is kept with it until the store's tokens change (`version`), or for
 * AUTH_FATE_US. Thread: the one that owns the cache.
 */
#ifndef PH_API_AUTH_H
#define PH_API_AUTH_H

#include "api/capability.h"
#include "base/arena.h"
#include "base/error.h"
#include "base/secret.h"
#include "core/id.h"
#include "core/jwt.h"
#include "store/token.h"

/* Who may do an operation. Beside the organisation's tokens, for those of an application: */
enum api_auth {
    API_AUTH_NONE,         /* everybody, without a token */
    API_AUTH_ORGANISATION, /* nobody else: 403 */
    /* The application that the path names, see api_int.h: to read with ViewBase, and to change
     * anything with ManageEndpoint. */
    API_AUTH_APPLICATION,
    API_AUTH_VIEW,          /* the same, to read whatever the method is */
    API_AUTH_MANAGE,        /* … to change whatever the method is */
    API_AUTH_VIEW_SECRET,   /* the same, with one of the capabilities that read secrets */
    API_AUTH_MANAGE_SECRET, /* … that rotate secrets */
    API_AUTH_TRANSFORM,     /* … that change transformations */
    API_AUTH_ATTEMPT,       /* … with CreateAttempts */
    API_AUTH_EVERYTHING,    /* … with all capabilities, and no integration's key */
    API_AUTH_READ_ALL,      /* any application, with ViewBase */
    API_AUTH_TOKEN, /* any application, whatever its capabilities; no organisation, no key */
};

#define AUTH_CACHE_MAX 1024
/* What the keys of integrations begin with. */
#define AUTH_KEY_PREFIX "integsk_"
/* An application token whose `sub` is no id of this store: it matches no application. */
#define AUTH_NO_SUCH_APPLICATION (-1)
/* Changes that another process made to the store are seen after this time at the latest. */
#define AUTH_FATE_US (INT64_C(10) * 1000000)

struct principal {
    struct slice org;       /* in the request's arena */
    int64_t application_id; /* of an application token, 0 for an organisation's */
    /* Of an application token. The slices belong to the cache: only until the handler returns. */
    const struct slice *feature_flags;
    size_t feature_flag_count;
    /* The token of an application, to end it. */
    uint8_t token_hash[TOKEN_HASH_BYTES];
    int64_t token_exp_s; /* 0 = never */
    /* What may end it before its time, the cache's as well; not of an organisation's token. */
    const struct token_facts *token; /* NULL = none */
    struct slice key;                /* of an integration, SLICE_NONE = none */
};

struct auth_cache;

PH_NODISCARD struct auth_cache *auth_cache_new(void);
void auth_cache_free(struct auth_cache *cache); /* NULL is fine */

struct auth_context {
    struct auth_cache *cache;
    const struct id_codec *codec;
    struct jwt_key jwt_key;
    int64_t now_us;
    uint64_t version; /* read before anything is read from the store; grows after each change */
    /* Gives a store with a read snapshot that is not older than `version`. */
    enum ph_error (*begin_read)(void *reader, struct diag *diag, struct store **ret_store);
    void *reader;
};

/*
 * Judges an Authorization header's value (SLICE_NONE = missing) for an operation of class `auth`,
 * not API_AUTH_NONE; `is_read` for GET and HEAD. PH_UNAUTHORIZED, PH_BAD_REQUEST (`bad_token`,
 * `bad token`), PH_FORBIDDEN with the words of the original; errors of the store. Whether an
 * application token fits the path's application is api_path_application's to say.
 */
PH_NODISCARD enum ph_error api_authenticate(const struct auth_context *context, enum api_auth auth,
                                            bool is_read, struct slice header, struct arena *arena,
                                            struct diag *diag, struct principal *ret_principal);

/*
 * What an answer that goes on was asked for with, to see whether it still counts: tokens of
 * applications and keys of integrations may be ended meanwhile. It owns what it refers to. Thread:
 * one at a time.
 */
struct auth_grant {
    bool may_end; /* false for an organisation's token */
    struct token_facts token;
    char *session_id;
    struct secret key; /* length 0 = a token */
    /* What the store said last. */
    uint64_t version;
    int64_t asked_at_us; /* 0 = not asked yet */
    int64_t ends_at_us;
};

/* While the principal's handler runs. */
void auth_grant_init(struct auth_grant *grant, const struct principal *principal);
void auth_grant_done(struct auth_grant *grant);
/* Whether it still counts at `now_us`. `version` is read before the store is, which is asked only
 * if what it said last does not hold any more. */
PH_NODISCARD enum ph_error auth_grant_check(struct auth_grant *grant, struct store *store,
                                            uint64_t version, int64_t now_us, struct diag *diag,
                                            bool *ret_counts);

#endif
