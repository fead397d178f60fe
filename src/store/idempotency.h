/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers already given to POST requests with an idempotency key. Thread: the store's owner.
 */
#ifndef PH_STORE_IDEMPOTENCY_H
#define PH_STORE_IDEMPOTENCY_H

#include "base/arena.h"
#include "store/store.h"

#define IDEMPOTENCY_HOURS 12

struct idempotency_row {
    int64_t message_id; /* 0 unless the answer is a message */
    int64_t status;
    struct slice response; /* the answer's body; SLICE_NONE for a message */
};

/* Finds the answer of the last 12 hours (at most 13: answers go by whole hours). PH_NOT_FOUND.
 * `key_hash` has 16 bytes. */
PH_NODISCARD enum ph_error idempotency_find(struct store *store, const uint8_t key_hash[16],
                                            int64_t now_us, struct arena *arena, struct diag *diag,
                                            struct idempotency_row *ret_row);
PH_NODISCARD enum ph_error idempotency_insert(struct store *store, const uint8_t key_hash[16],
                                              int64_t now_us, const struct idempotency_row *row,
                                              struct diag *diag);
/* Retention: deletes at most `limit` answers past their time. */
PH_NODISCARD enum ph_error idempotency_delete_old(struct store *store, int64_t now_us,
                                                  int64_t limit, struct diag *diag,
                                                  int64_t *ret_deleted);

#endif
