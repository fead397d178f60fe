/* SPDX-License-Identifier: Apache-2.0 */
#include "histogram.h"

#include <stddef.h>

/* Values below 64 have a bucket each. Above, the top seven bits of the value (the first is always
   one) choose the bucket inside the row of its power of two. */
static size_t bucket_of(uint64_t value)
{
    const uint64_t limit = ((uint64_t)1 << HISTOGRAM_VALUE_BITS) - 1;
    if (value > limit) {
        value = limit;
    }
    if (value < ((uint64_t)1 << HISTOGRAM_STEP_BITS)) {
        return (size_t)value;
    }
    const int shift = 63 - __builtin_clzll(value) - HISTOGRAM_STEP_BITS;
    return ((size_t)shift << HISTOGRAM_STEP_BITS) + (size_t)(value >> shift);
}

/* The middle of a bucket, in microseconds. */
static double bucket_middle(size_t bucket)
{
    const size_t steps = (size_t)1 << HISTOGRAM_STEP_BITS;
    if (bucket < 2 * steps) {
        return (double)bucket;
    }
    const size_t shift = bucket / steps - 1;
    const double low = (double)((uint64_t)(bucket % steps + steps) << shift);
    return low + (double)((uint64_t)1 << shift) / 2;
}

/* There is one writer, so a plain load and store does what a locked add would, for less. */
static void bump(_Atomic uint64_t *counter, uint64_t by)
{
    const uint64_t old = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, old + by, memory_order_relaxed);
}

static void raise_max(struct histogram *h, int64_t value_us)
{
    if (value_us > atomic_load_explicit(&h->max_us, memory_order_relaxed)) {
        atomic_store_explicit(&h->max_us, value_us, memory_order_relaxed);
    }
}

void histogram_clear(struct histogram *h)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        atomic_store_explicit(&h->count[i], 0, memory_order_relaxed);
    }
    atomic_store_explicit(&h->max_us, 0, memory_order_relaxed);
}

void histogram_add(struct histogram *h, int64_t value_us)
{
    if (value_us < 0) {
        value_us = 0;
    }
    bump(&h->count[bucket_of((uint64_t)value_us)], 1);
    raise_max(h, value_us);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        const uint64_t n = atomic_load_explicit(&from->count[i], memory_order_relaxed);
        if (n != 0) {
            bump(&into->count[i], n);
        }
    }
    raise_max(into, atomic_load_explicit(&from->max_us, memory_order_relaxed));
}

double histogram_quantile_ms(const struct histogram *h, double quantile)
{
    uint64_t total = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        total += atomic_load_explicit(&h->count[i], memory_order_relaxed);
    }
    if (total == 0) {
        return 0;
    }
    uint64_t rank = (uint64_t)(quantile * (double)total);
    if (rank >= total) {
        rank = total - 1;
    }
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += atomic_load_explicit(&h->count[i], memory_order_relaxed);
        if (seen > rank) {
            return bucket_middle(i) / 1000;
        }
    }
    return histogram_max_ms(h);
}

double histogram_max_ms(const struct histogram *h)
{
    return (double)atomic_load_explicit(&h->max_us, memory_order_relaxed) / 1000;
}
