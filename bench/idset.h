/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PH_BENCH_IDSET_H
#define PH_BENCH_IDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The set of deliveries seen, as 64-bit hashes: 8 to 16 bytes each, whatever the length of the id.
 * With ten million deliveries the chance of one false duplicate is about 3 in a million.
 *
 * Concurrency: any thread may call anything but `_new` and `_free`. The set is cut into parts with
 * a lock each, so that receiver threads seldom meet.
 */
struct idset;

/* A new empty set, or NULL when out of memory. Freed with idset_free(). */
struct idset *idset_new(void);
void idset_free(struct idset *set);

/* Empties the set and keeps its memory. */
void idset_clear(struct idset *set);

/* Hash of a message id and the path it was sent to: a message sent to a hundred endpoints is a
   hundred deliveries. Never 0. */
uint64_t idset_hash(const char *id, size_t id_bytes, const char *path, size_t path_bytes);

/* Puts `hash` into the set; true when it was not there yet. Out of memory ends the process, because
   a receiver that cannot count must not go on as if it did. */
bool idset_add(struct idset *set, uint64_t hash);

#endif
