/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdint.h>

/* With sanitizers each allocation gets its own block, so that an overrun is seen. */
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_BLOCK_BYTES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_BLOCK_BYTES 0
#endif
#endif
#ifndef ARENA_BLOCK_BYTES
#define ARENA_BLOCK_BYTES 4080
#endif

struct arena_block {
    struct arena_block *next;
    size_t capacity;
    size_t used;
    size_t padding; /* keeps `data` 16-byte aligned */
    char data[];
};
_Static_assert(sizeof(struct arena_block) % 16 == 0, "block header keeps the alignment");

void arena_init(struct arena *arena, size_t max_bytes)
{
    *arena = (struct arena){.max_bytes = max_bytes};
}

static void free_from(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_done(struct arena *arena)
{
    free_from(arena->blocks);
    arena->blocks = NULL;
    arena->used_bytes = 0;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *block = arena->blocks;
    if (block != NULL) {
        free_from(block->next);
        block->next = NULL;
        block->used = 0;
        if (ARENA_BLOCK_BYTES == 0 || block->capacity > ARENA_BLOCK_BYTES) {
            free(block);
            arena->blocks = NULL;
        }
    }
    arena->used_bytes = 0;
}

void *arena_alloc(struct arena *arena, size_t size_bytes)
{
    if (size_bytes > arena->max_bytes) {
        return NULL;
    }
    size_t size = (size_bytes + 15) & ~(size_t)15;
    if (size == 0) {
        size = 16;
    }
    if (size > arena->max_bytes - arena->used_bytes) {
        return NULL;
    }
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->capacity - block->used < size) {
        size_t capacity = size > ARENA_BLOCK_BYTES ? size : ARENA_BLOCK_BYTES;
        block = malloc(sizeof *block + capacity);
        if (block == NULL) {
            return NULL;
        }
        block->next = arena->blocks;
        block->capacity = capacity;
        block->used = 0;
        arena->blocks = block;
    }
    void *memory = block->data + block->used;
    block->used += size;
    arena->used_bytes += size;
    return memory;
}

void *arena_calloc(struct arena *arena, size_t count, size_t size_bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, size_bytes, &total)) {
        return NULL;
    }
    void *memory = arena_alloc(arena, total);
    if (memory != NULL) {
        memset(memory, 0, total);
    }
    return memory;
}

char *arena_dup(struct arena *arena, struct slice text)
{
    char *copy = arena_alloc(arena, text.len + 1);
    if (copy != NULL) {
        if (text.len > 0) {
            memcpy(copy, text.ptr, text.len);
        }
        copy[text.len] = '\0';
    }
    return copy;
}
