/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ends tokens of applications before their own time: expire-all, and logout of a single one
 * (svix-api spec section 12, choices "Native API"). Tokens are signed and not stored; these are the
 * exceptions. Thread: the store's owner; functions that write run inside the writer's transaction.
 */
#ifndef PH_STORE_TOKEN_H
#define PH_STORE_TOKEN_H

#include "store/store.h"

#define TOKEN_HASH_BYTES 16
/* Expiries of one application and session that are asked for and not yet in effect. */
#define TOKEN_EXPIRIES_PENDING_MAX 10
/* No token of a session is valid for longer after it was issued, clock tolerance included. So what
 * ends a session's tokens is kept that long. */
#define TOKEN_SESSION_AGE_MAX_US ((INT64_C(604800) + 900) * 1000000)

struct token_facts {
    int64_t application_id;
    struct slice session_id; /* SLICE_NONE = none */
    int64_t id;              /* the writer's, from its jti; 0 = the token has none */
    int64_t issued_at_ms;    /* counts for tokens without an id */
    uint8_t hash[TOKEN_HASH_BYTES];
};

/* Whether the token has ended at `now_us`, else when it will by what is known now. */
struct token_fate {
    bool has_ended;
    int64_t ends_at_us; /* INT64_MAX = nothing ends it */
};

PH_NODISCARD enum ph_error token_find_fate(struct store *store, const struct token_facts *facts,
                                           int64_t now_us, struct diag *diag,
                                           struct token_fate *ret_fate);

/* Which tokens expire-all means. */
struct token_cutoff {
    int64_t application_id;
    struct slice session_id; /* SLICE_NONE = of every session and of none */
    int64_t issued_before_id;
    int64_t issued_before_us;
    int64_t effective_at_us;
};

/* PH_BAD_REQUEST with code `limit_reached` above TOKEN_EXPIRIES_PENDING_MAX. */
PH_NODISCARD enum ph_error token_expire(struct store *store, const struct token_cutoff *cutoff,
                                        int64_t now_us, struct diag *diag);
/* Ends one token. Harmless when it was done before. `expires_at_us` INT64_MAX = never. */
PH_NODISCARD enum ph_error token_revoke(struct store *store, int64_t application_id,
                                        const uint8_t hash[TOKEN_HASH_BYTES], int64_t expires_at_us,
                                        struct diag *diag);
/* Retention: deletes at most 2 * `limit` rows that concern no token that is still valid. */
PH_NODISCARD enum ph_error token_delete_old(struct store *store, int64_t now_us, int64_t limit,
                                            struct diag *diag, int64_t *ret_deleted);

#endif
