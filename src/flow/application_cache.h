/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration snapshots that the writer keeps between batches. When they are too many, of two at
 * random the one goes that was used longer ago: nearly as good as the oldest of all, and unlike
 * that no cliff when applications a little too many are used in turn. Each batch asks the store
 * once per application whether its snapshot is still the newest, in the transaction that inserts
 * the messages: an endpoint answered 201 gets every later message (engineering rule 5). Owned by
 * the writer thread.
 */
#ifndef PH_FLOW_APPLICATION_CACHE_H
#define PH_FLOW_APPLICATION_CACHE_H

#include "base/map.h"
#include "flow/config.h"

struct application_cache {
    struct map by_id; /* struct cached_application */
    uint64_t uses;    /* look-ups so far: the clock of used_at */
    size_t weight;    /* endpoints + 1 per application */
    size_t max;       /* of weight; the newest snapshot stays, however large it is */
    uint64_t batch;   /* number of the current batch */
};

void application_cache_init(struct application_cache *cache, size_t max);
void application_cache_done(struct application_cache *cache);
/* A new batch, or the batch itself may have changed an application: what was checked before is
 * checked again. */
void application_cache_begin_batch(struct application_cache *cache);
/* The snapshot as of the open transaction; borrowed, valid until the next call of this function
 * or of _done: take a reference to keep it. PH_NOT_FOUND when the application does not exist in
 * `org` (SLICE_NONE: any) or is deleted. */
PH_NODISCARD enum ph_error application_cache_get(struct application_cache *cache,
                                                 struct store *store, struct slice org,
                                                 int64_t application_id, struct diag *diag,
                                                 struct application_config **ret_config);
/* The snapshot was read from what is rolled back now: it is read anew. Another one of the same
 * application stays. */
void application_cache_forget(struct application_cache *cache,
                              const struct application_config *config);

#endif
