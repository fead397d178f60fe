/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of surfaces: opaque texts, of which the store has a hash. What one may do is the surface's
 * to say (`grants`). Thread: the store's owner; functions that write run inside the writer's
 * transaction.
 */
#ifndef PH_STORE_SURFACE_TOKEN_H
#define PH_STORE_SURFACE_TOKEN_H

#include "base/arena.h"
#include "store/store.h"

#define SURFACE_TOKEN_HASH_BYTES 32

struct surface_token_row {
    int64_t id;
    struct slice surface;  /* "dbt" */
    struct slice subject;  /* whom it stands for, in the surface's words; may be empty */
    struct slice grants;   /* JSON object of the surface's */
    struct slice name;     /* for people, SLICE_NONE = none */
    int64_t created_at_us; /* wall clock, like the others */
    int64_t expires_at_us; /* 0 = never */
    int64_t revoked_at_us; /* 0 = not */
};

/* SHA-256 of the token's text. */
void surface_token_hash(struct slice token, uint8_t ret_hash[SURFACE_TOKEN_HASH_BYTES]);

PH_NODISCARD enum ph_error surface_token_insert(struct store *store,
                                                const struct surface_token_row *row,
                                                const uint8_t hash[SURFACE_TOKEN_HASH_BYTES],
                                                struct diag *diag);
/* A token that is valid at `now_us`; PH_NOT_FOUND otherwise. Texts are copied into `arena`. */
PH_NODISCARD enum ph_error surface_token_find(struct store *store, struct slice surface,
                                              const uint8_t hash[SURFACE_TOKEN_HASH_BYTES],
                                              int64_t now_us, struct arena *arena,
                                              struct diag *diag, struct surface_token_row *ret_row);
/* Of one surface, by id, at most `limit` after `after_id`. */
PH_NODISCARD enum ph_error surface_token_page(struct store *store, struct slice surface,
                                              int64_t after_id, size_t limit, struct arena *arena,
                                              struct diag *diag, struct surface_token_row *rows,
                                              size_t *ret_count);
/* PH_NOT_FOUND when the surface has no such token, or it was revoked before. */
PH_NODISCARD enum ph_error surface_token_revoke(struct store *store, struct slice surface,
                                                int64_t id, int64_t now_us, struct diag *diag);

#endif
