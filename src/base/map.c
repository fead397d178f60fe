/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

void map_init(struct map *map)
{
    *map = (struct map){0};
}

void map_done(struct map *map)
{
    free(map->slots);
    *map = (struct map){0};
}

uint64_t map_mix(uint64_t value)
{
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93ULL;
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93ULL;
    value ^= value >> 32;
    return value;
}

/* Slot of the key, or the free slot where it would go. The table is never full. */
static size_t find(const struct map *map, uint64_t key)
{
    size_t mask = map->capacity - 1;
    size_t index = (size_t)map_mix(key) & mask;
    while (map->slots[index].key != 0 && map->slots[index].key != key) {
        index = (index + 1) & mask;
    }
    return index;
}

void *map_get(const struct map *map, uint64_t key)
{
    PH_ASSERT(key != 0);
    if (map->capacity == 0) {
        return NULL;
    }
    const struct map_slot *slot = &map->slots[find(map, key)];
    return slot->key == key ? slot->value : NULL;
}

static void grow(struct map *map)
{
    struct map old = *map;
    map->capacity = old.capacity == 0 ? 16 : old.capacity * 2;
    map->slots = ph_calloc(map->capacity, sizeof(struct map_slot));
    for (size_t index = 0; index < old.capacity; index++) {
        if (old.slots[index].key != 0) {
            map->slots[find(map, old.slots[index].key)] = old.slots[index];
        }
    }
    free(old.slots);
}

void *map_set(struct map *map, uint64_t key, void *value)
{
    PH_ASSERT(key != 0 && value != NULL);
    if ((map->count + 1) * 4 > map->capacity * 3) {
        grow(map);
    }
    struct map_slot *slot = &map->slots[find(map, key)];
    void *former = slot->value;
    if (slot->key == 0) {
        map->count++;
        former = NULL;
    }
    *slot = (struct map_slot){key, value};
    return former;
}

void *map_remove(struct map *map, uint64_t key)
{
    PH_ASSERT(key != 0);
    if (map->capacity == 0) {
        return NULL;
    }
    size_t mask = map->capacity - 1;
    size_t hole = find(map, key);
    if (map->slots[hole].key != key) {
        return NULL;
    }
    void *former = map->slots[hole].value;
    map->count--;
    /* Close the hole: move back each follower that may stand there. */
    for (size_t index = (hole + 1) & mask; map->slots[index].key != 0; index = (index + 1) & mask) {
        size_t home = (size_t)map_mix(map->slots[index].key) & mask;
        if (((index - home) & mask) >= ((index - hole) & mask)) {
            map->slots[hole] = map->slots[index];
            hole = index;
        }
    }
    map->slots[hole] = (struct map_slot){0};
    return former;
}

bool map_next(const struct map *map, size_t *position, uint64_t *ret_key, void **ret_value)
{
    while (*position < map->capacity) {
        const struct map_slot *slot = &map->slots[(*position)++];
        if (slot->key != 0) {
            *ret_key = slot->key;
            *ret_value = slot->value;
            return true;
        }
    }
    return false;
}
