/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How messages end: steps that look at a bounded number of messages each, whatever they find. A
 * message that still has a pending delivery stays. Thread: the store's owner.
 */
#ifndef PH_STORE_RETENTION_H
#define PH_STORE_RETENTION_H

#include "store/store.h"

/* Messages that one step looks at. */
#define RETENTION_EXPIRE_STEP 500
#define RETENTION_DELETE_STEP 100
#define RETENTION_COUNT_STEP 1000

/* Rows that retention deleted, or would delete. */
struct retention_tally {
    int64_t messages;
    int64_t payloads;
    int64_t deliveries;
    int64_t attempts; /* manual ones that were not yet made included */
};

/* Looks at the next RETENTION_DELETE_STEP messages with after_id < id < before_id and
 * deletes those without pending deliveries, with everything that hangs on them. *ret_last_id is
 * the last id looked at, 0 when there was none. */
PH_NODISCARD enum ph_error retention_delete(struct store *store, int64_t after_id,
                                            int64_t before_id, struct diag *diag,
                                            int64_t *ret_last_id,
                                            struct retention_tally *ret_deleted);
/* The same without deleting anything, RETENTION_COUNT_STEP messages at a time. */
PH_NODISCARD enum ph_error retention_count(struct store *store, int64_t after_id, int64_t before_id,
                                           struct diag *diag, int64_t *ret_last_id,
                                           struct retention_tally *ret_found);
/* Looks at the next RETENTION_EXPIRE_STEP messages with after_id < id < before_id and
 * deletes the payloads whose time has passed and that no pending delivery needs. *ret_last_id is
 * the last id looked at, 0 when there was none. */
PH_NODISCARD enum ph_error retention_expire_payloads(struct store *store, int64_t after_id,
                                                     int64_t before_id, int64_t now_us,
                                                     struct diag *diag, int64_t *ret_last_id,
                                                     int64_t *ret_deleted);

#endif
