/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing keys of endpoints: one current key, and older ones that sign until they expire. Thread:
 * the store's owner; functions that write run inside the writer's transaction.
 */
#ifndef PH_STORE_ENDPOINT_SECRET_H
#define PH_STORE_ENDPOINT_SECRET_H

#include "core/signature.h"
#include "store/store.h"

/* Old keys that may sign beside the current one. */
#define ENDPOINT_SECRET_OLD_MAX 10

/* Adds a current key. Expire the former one first. */
PH_NODISCARD enum ph_error endpoint_secret_insert(struct store *store, int64_t id,
                                                  int64_t endpoint_id,
                                                  const struct signing_key *key, struct diag *diag);
/* For queries of a whole set of keys: the key in a row that begins with these columns. */
#define ENDPOINT_SECRET_COLUMNS "id, scheme, secret, sealed_secret"
#define ENDPOINT_SECRET_COLUMN_COUNT 4
PH_NODISCARD enum ph_error endpoint_secret_read(struct store *store, struct db_statement *row,
                                                int64_t endpoint_id, struct diag *diag,
                                                struct signing_key **ret_key);
/* The current key; free it with signing_key_free. PH_NOT_FOUND; PH_STORE when it is not a key. */
PH_NODISCARD enum ph_error endpoint_secret_current(struct store *store, int64_t endpoint_id,
                                                   struct diag *diag, struct signing_key **ret_key);
/* Counts the old keys that still sign at `now_us`. */
PH_NODISCARD enum ph_error endpoint_secret_count_old(struct store *store, int64_t endpoint_id,
                                                     int64_t now_us, struct diag *diag,
                                                     int64_t *ret_count);
/* Lets the current key end at `expires_at_us` and deletes those that had ended by `now_us`; a
 * current key that ends by then is deleted at once. */
PH_NODISCARD enum ph_error endpoint_secret_expire_current(struct store *store, int64_t endpoint_id,
                                                          int64_t expires_at_us, int64_t now_us,
                                                          struct diag *diag);

#endif
