/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/hold.h"

#include <pthread.h>

#include "base/map.h"

struct holds {
    pthread_mutex_t lock;
    struct map by_endpoint; /* struct hold */
};

struct holds *holds_new(void)
{
    struct holds *holds = ph_calloc(1, sizeof *holds);
    PH_ASSERT(pthread_mutex_init(&holds->lock, NULL) == 0);
    map_init(&holds->by_endpoint);
    return holds;
}

void holds_free(struct holds *holds)
{
    if (holds != NULL) {
        PH_ASSERT(holds->by_endpoint.count == 0);
        map_done(&holds->by_endpoint);
        PH_ASSERT(pthread_mutex_destroy(&holds->lock) == 0);
        free(holds);
    }
}

void holds_set(struct holds *holds, int64_t endpoint_id, const struct hold *hold)
{
    PH_ASSERT(pthread_mutex_lock(&holds->lock) == 0);
    struct hold *entry = map_get(&holds->by_endpoint, (uint64_t)endpoint_id);
    if (hold->kind == HOLD_NONE) {
        (void)map_remove(&holds->by_endpoint, (uint64_t)endpoint_id);
        free(entry);
    } else {
        if (entry == NULL) {
            entry = ph_calloc(1, sizeof *entry);
            (void)map_set(&holds->by_endpoint, (uint64_t)endpoint_id, entry);
        }
        *entry = *hold;
    }
    PH_ASSERT(pthread_mutex_unlock(&holds->lock) == 0);
}

struct hold holds_get(struct holds *holds, int64_t endpoint_id)
{
    PH_ASSERT(pthread_mutex_lock(&holds->lock) == 0);
    const struct hold *entry = map_get(&holds->by_endpoint, (uint64_t)endpoint_id);
    struct hold hold = entry == NULL ? (struct hold){.kind = HOLD_NONE} : *entry;
    PH_ASSERT(pthread_mutex_unlock(&holds->lock) == 0);
    return hold;
}
