/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Callback URLs (magpie spec section 7): `{base}/tmp/{token}`, which a receiver of an event calls
 * once to say that it failed with a user. The store has a hash of the token. Writer thread.
 */
#ifndef PH_SURFACES_MAGPIE_CALLBACK_H
#define PH_SURFACES_MAGPIE_CALLBACK_H

#include "flow/writer.h"

struct magpie;

#define MAGPIE_CALLBACK_TOKEN_MAX 37 /* a UUID and a NUL */
/* How long an expired callback is answered as such, before nobody knows it any more. */
#define MAGPIE_CALLBACK_KEPT_US INT64_C(2592000000000)

/* Makes a callback for the user and appends its URL. Now and then takes a few away that expired
 * long ago. */
PH_NODISCARD enum ph_error magpie_callback_make(struct magpie *magpie, struct writer_txn *txn,
                                                int64_t user_id, struct diag *diag,
                                                struct buf *ret_url);

/* What became of a token. */
enum magpie_callback_end { MAGPIE_CALLBACK_UNKNOWN, MAGPIE_CALLBACK_EXPIRED, MAGPIE_CALLBACK_DONE };

/* The token of a path, with or without `urn:uuid:`, in the form that is stored. False unless it is
 * a UUID. */
bool magpie_callback_parse(struct slice text, char ret_token[MAGPIE_CALLBACK_TOKEN_MAX]);
/* Uses up the token: its user's status is WebhookError then. */
PH_NODISCARD enum ph_error magpie_callback_take(struct writer_txn *txn, struct slice token,
                                                int64_t expire_us, struct diag *diag,
                                                enum magpie_callback_end *ret_end);
/* At most 64 of those that are older than `age_us`. */
PH_NODISCARD enum ph_error magpie_callback_sweep(struct writer_txn *txn, int64_t age_us,
                                                 struct diag *diag);

#endif
