/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash map from a non-zero 64-bit key (an id) to a pointer; open addressing with backward-shift
 * deletion. Owns only its table. Single-threaded. Keys are ours (ids), never chosen by clients.
 */
#ifndef PH_BASE_MAP_H
#define PH_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct map_slot {
    uint64_t key; /* 0 = free */
    void *value;
};

struct map {
    struct map_slot *slots;
    size_t count;
    size_t capacity; /* 0 or a power of two */
};

void map_init(struct map *map);
void map_done(struct map *map);
/* NULL when absent. */
void *map_get(const struct map *map, uint64_t key);
/* Inserts or replaces; `value` not NULL. Returns the former value or NULL. */
void *map_set(struct map *map, uint64_t key, void *value);
/* Returns the removed value or NULL. */
void *map_remove(struct map *map, uint64_t key);
/* Iteration: start with 0; returns false at the end. The map must not change meanwhile. */
bool map_next(const struct map *map, size_t *position, uint64_t *ret_key, void **ret_value);
/* Mixes all bits of a 64-bit value (a bijection). */
uint64_t map_mix(uint64_t value);

#endif
