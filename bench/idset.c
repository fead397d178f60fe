/* SPDX-License-Identifier: Apache-2.0 */
#include "idset.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 16, FIRST_SLOTS = 4096 };

/* Open addressing with linear steps; 0 marks a free slot. */
struct part {
    pthread_mutex_t lock;
    uint64_t *slot;
    size_t slots; /* a power of two */
    size_t used;
};

struct idset {
    struct part part[PARTS];
};

struct idset *idset_new(void)
{
    struct idset *set = calloc(1, sizeof *set);
    if (set == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < PARTS; i++) {
        pthread_mutex_init(&set->part[i].lock, NULL);
        set->part[i].slots = FIRST_SLOTS;
        set->part[i].slot = calloc(FIRST_SLOTS, sizeof(uint64_t));
        if (set->part[i].slot == NULL) {
            idset_free(set);
            return NULL;
        }
    }
    return set;
}

void idset_free(struct idset *set)
{
    if (set == NULL) {
        return;
    }
    for (size_t i = 0; i < PARTS; i++) {
        free(set->part[i].slot);
    }
    free(set);
}

void idset_clear(struct idset *set)
{
    for (size_t i = 0; i < PARTS; i++) {
        struct part *part = &set->part[i];
        pthread_mutex_lock(&part->lock);
        memset(part->slot, 0, part->slots * sizeof(uint64_t));
        part->used = 0;
        pthread_mutex_unlock(&part->lock);
    }
}

/* The finaliser of splitmix64: every input bit reaches every output bit. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

static uint64_t mix_bytes(uint64_t h, const char *data, size_t bytes)
{
    while (bytes >= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        h = mix(h ^ word) + 0x9e3779b97f4a7c15ULL;
        data += 8;
        bytes -= 8;
    }
    uint64_t tail = (uint64_t)bytes << 56;
    for (size_t i = 0; i < bytes; i++) {
        tail |= (uint64_t)(unsigned char)data[i] << (8 * i);
    }
    return mix(h ^ tail) + 0x9e3779b97f4a7c15ULL;
}

uint64_t idset_hash(const char *id, size_t id_bytes, const char *path, size_t path_bytes)
{
    const uint64_t h = mix_bytes(mix_bytes(id_bytes, id, id_bytes), path, path_bytes);
    return h == 0 ? 1 : h;
}

/* Stores a hash that has room for sure; false when it is there already. */
static bool put(uint64_t *slot, size_t slots, uint64_t hash)
{
    size_t i = (size_t)hash & (slots - 1);
    while (slot[i] != 0) {
        if (slot[i] == hash) {
            return false;
        }
        i = (i + 1) & (slots - 1);
    }
    slot[i] = hash;
    return true;
}

static void grow(struct part *part)
{
    const size_t slots = part->slots * 2;
    uint64_t *slot = calloc(slots, sizeof(uint64_t));
    if (slot == NULL) {
        fprintf(stderr, "ph-receiver: out of memory for the set of ids\n");
        abort();
    }
    for (size_t i = 0; i < part->slots; i++) {
        if (part->slot[i] != 0) {
            put(slot, slots, part->slot[i]);
        }
    }
    free(part->slot);
    part->slot = slot;
    part->slots = slots;
}

bool idset_add(struct idset *set, uint64_t hash)
{
    /* The part comes from the top bits, the slot from the low ones, so they are independent. */
    struct part *part = &set->part[hash >> 60];
    pthread_mutex_lock(&part->lock);
    if (part->used * 4 >= part->slots * 3) {
        grow(part);
    }
    const bool is_new = put(part->slot, part->slots, hash);
    part->used += is_new ? 1 : 0;
    pthread_mutex_unlock(&part->lock);
    return is_new;
}
