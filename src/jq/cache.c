/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>

#include "jq/worker_int.h"

enum { BUCKETS = 2048 }; /* a power of two */

void cache_init(struct cache *cache, size_t heap_bytes_max, evaluate_memory_out *memory_out)
{
    cache->buckets = ph_calloc(BUCKETS, sizeof cache->buckets[0]);
    list_init(&cache->in_use_order);
    cache->count = 0;
    cache->heap_bytes_max = heap_bytes_max;
    cache->memory_out = memory_out;
}

static struct compiled **find_place(struct cache *cache, const uint8_t hash[JQ_HASH_BYTES])
{
    uint32_t number;
    memcpy(&number, hash, sizeof number);
    struct compiled **place = &cache->buckets[number & (BUCKETS - 1)];
    while (*place != NULL && memcmp((*place)->hash, hash, JQ_HASH_BYTES) != 0) {
        place = &(*place)->next;
    }
    return place;
}

struct compiled *cache_find(struct cache *cache, const uint8_t hash[JQ_HASH_BYTES])
{
    struct compiled *compiled = *find_place(cache, hash);
    if (compiled != NULL) {
        list_remove(&compiled->in_use_order);
        list_append(&cache->in_use_order, &compiled->in_use_order);
    }
    return compiled;
}

static void forget_oldest(struct cache *cache)
{
    struct list_node *node = list_take_first(&cache->in_use_order);
    PH_ASSERT(node != NULL);
    struct compiled *compiled = LIST_ELEMENT(node, struct compiled, in_use_order);
    *find_place(cache, compiled->hash) = compiled->next;
    cache->count--;
    if (compiled->state != NULL) {
        jq_teardown(&compiled->state);
    }
    free(compiled);
}

static size_t heap_bytes(void)
{
    struct mallinfo2 heap = mallinfo2();
    return heap.uordblks + heap.hblkhd;
}

struct compiled *cache_add(struct cache *cache, const uint8_t hash[JQ_HASH_BYTES],
                           struct slice text)
{
    while (cache->count >= CACHE_PROGRAMS_MAX ||
           (cache->count > 0 && heap_bytes() > cache->heap_bytes_max)) {
        forget_oldest(cache);
    }
    char *copy = malloc(text.len + 1);
    struct compiled *compiled = calloc(1, sizeof *compiled);
    if (copy == NULL || compiled == NULL) {
        free(copy);
        free(compiled);
        return NULL;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    memcpy(compiled->hash, hash, JQ_HASH_BYTES);
    evaluate_compile(compiled, copy, cache->memory_out);
    free(copy);
    *find_place(cache, hash) = compiled;
    list_append(&cache->in_use_order, &compiled->in_use_order);
    cache->count++;
    return compiled;
}

bool cache_is_worn(const struct cache *cache)
{
    return cache->count <= 1 && heap_bytes() > cache->heap_bytes_max;
}
