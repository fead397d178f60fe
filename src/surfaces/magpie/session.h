/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of people who signed in: the store has a hash of the cookie's text. Thread: the store's
 * owner; what writes runs inside the writer's transaction.
 */
#ifndef PH_SURFACES_MAGPIE_SESSION_H
#define PH_SURFACES_MAGPIE_SESSION_H

#include "flow/writer.h"
#include "store/surface_token.h"

#define MAGPIE_SESSION_COOKIE "auth_tkt"
#define MAGPIE_SESSION_S 86400
#define MAGPIE_SESSIONS_MAX 20 /* of one user: the oldest end */
#define MAGPIE_SESSION_TEXT_MAX 64

/* A fresh text for the cookie. */
void magpie_session_text(char ret_text[MAGPIE_SESSION_TEXT_MAX]);
/* Inserts it, and takes away some of what is over. */
PH_NODISCARD enum ph_error magpie_session_insert(struct writer_txn *txn, struct slice text,
                                                 int64_t user_id, struct diag *diag);
/* In small steps: up to 64 rows that have expired, and 64 of the user's that are too many. */
PH_NODISCARD enum ph_error magpie_session_sweep(struct writer_txn *txn, int64_t user_id,
                                                struct diag *diag);
/* One that has not expired; PH_NOT_FOUND. */
PH_NODISCARD enum ph_error magpie_session_find(struct store *store,
                                               const uint8_t hash[SURFACE_TOKEN_HASH_BYTES],
                                               int64_t now_us, struct diag *diag, int64_t *ret_id,
                                               int64_t *ret_user_id);
PH_NODISCARD enum ph_error magpie_session_delete(struct writer_txn *txn, int64_t id,
                                                 struct diag *diag);
/* All of a user but the one with this id (0 = all). */
PH_NODISCARD enum ph_error magpie_session_delete_others(struct writer_txn *txn, int64_t user_id,
                                                        int64_t id, struct diag *diag);

#endif
