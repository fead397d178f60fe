/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recent `auto_` idempotency keys in memory: which message answered a key. Official SDKs send such
 * a key with every request, and repeat it only within the seconds of their own retries; an index
 * in the store would double the cost of an event.
 *
 * Keys are kept in slices of one minute, at most ten; past `entries_max` whole slices are
 * forgotten, the oldest first, but never the current and the one before it: then the table is
 * full and the caller answers 503. Owned by the writer thread.
 */
#ifndef PH_FLOW_AUTO_KEY_H
#define PH_FLOW_AUTO_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AUTO_KEY_SLICES 10
#define AUTO_KEY_SLICE_US INT64_C(60000000)
#define AUTO_KEY_ENTRIES_MAX 1000000

struct auto_key_entry {
    uint64_t fingerprint; /* 0 = free */
    int64_t message_id;
};

struct auto_key_slice {
    int64_t minute; /* of the boot or wall clock, as the caller counts; -1 = unused */
    struct auto_key_entry *entries;
    size_t count;
    size_t capacity;
};

struct auto_key_table {
    struct auto_key_slice slices[AUTO_KEY_SLICES];
    size_t count; /* in all slices */
    size_t entries_max;
};

void auto_key_init(struct auto_key_table *table, size_t entries_max);
void auto_key_done(struct auto_key_table *table);
/* The message that has this key, or 0. A hit is confirmed by the caller against the stored hash:
 * only eight of its bytes are kept here. */
int64_t auto_key_find(const struct auto_key_table *table, const uint8_t key_hash[16]);
/* Whether one more key fits at `now_us`; makes room by forgetting the oldest slices. */
bool auto_key_has_room(struct auto_key_table *table, int64_t now_us);
/* Adds; room was asked for before. */
void auto_key_add(struct auto_key_table *table, const uint8_t key_hash[16], int64_t message_id,
                  int64_t now_us);

#endif
