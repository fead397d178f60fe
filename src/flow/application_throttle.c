/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/application_throttle.h"

#include <pthread.h>

#include "base/map.h"
#include "core/throttle.h"

struct application_throttle {
    int64_t application_id;
    size_t references;
    struct throttle bucket;
};

struct application_throttles {
    pthread_mutex_t lock;
    struct map by_id;
};

struct application_throttles *application_throttles_new(void)
{
    struct application_throttles *table = ph_calloc(1, sizeof *table);
    PH_ASSERT(pthread_mutex_init(&table->lock, NULL) == 0);
    map_init(&table->by_id);
    return table;
}

void application_throttles_free(struct application_throttles *table)
{
    if (table != NULL) {
        PH_ASSERT(table->by_id.count == 0);
        map_done(&table->by_id);
        PH_ASSERT(pthread_mutex_destroy(&table->lock) == 0);
        free(table);
    }
}

static void lock(struct application_throttles *table)
{
    PH_ASSERT(pthread_mutex_lock(&table->lock) == 0);
}

static void unlock(struct application_throttles *table)
{
    PH_ASSERT(pthread_mutex_unlock(&table->lock) == 0);
}

struct application_throttle *application_throttle_open(struct application_throttles *table,
                                                       int64_t application_id, int64_t rate_per_s,
                                                       int64_t now_boot_us)
{
    if (rate_per_s == 0) {
        return NULL;
    }
    lock(table);
    struct application_throttle *bucket = map_get(&table->by_id, (uint64_t)application_id);
    if (bucket == NULL) {
        bucket = ph_calloc(1, sizeof *bucket);
        bucket->application_id = application_id;
        throttle_init(&bucket->bucket, rate_per_s, now_boot_us);
        (void)map_set(&table->by_id, (uint64_t)application_id, bucket);
    } else if (bucket->bucket.rate != rate_per_s) {
        throttle_set_rate(&bucket->bucket, rate_per_s, now_boot_us);
    }
    bucket->references++;
    unlock(table);
    return bucket;
}

void application_throttle_close(struct application_throttles *table,
                                struct application_throttle *bucket)
{
    if (bucket == NULL) {
        return;
    }
    lock(table);
    if (--bucket->references == 0) {
        (void)map_remove(&table->by_id, (uint64_t)bucket->application_id);
        free(bucket);
    }
    unlock(table);
}

int64_t application_throttle_reserve(struct application_throttles *table,
                                     struct application_throttle *bucket, int64_t now_boot_us)
{
    lock(table);
    int64_t at_us = throttle_reserve(&bucket->bucket, now_boot_us);
    unlock(table);
    return at_us;
}

void application_throttle_give_back(struct application_throttles *table,
                                    struct application_throttle *bucket)
{
    lock(table);
    throttle_give_back(&bucket->bucket);
    unlock(table);
}
