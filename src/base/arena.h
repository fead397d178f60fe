/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is freed all at once: one per request or per tick, with a cap in bytes. Owned by
 * one thread at a time. Under sanitizers every allocation is a malloc of its own.
 */
#ifndef PH_BASE_ARENA_H
#define PH_BASE_ARENA_H

#include <stddef.h>

#include "base/slice.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used_bytes; /* handed out since init or reset */
    size_t max_bytes;
};

void arena_init(struct arena *arena, size_t max_bytes);
void arena_done(struct arena *arena);
/* Frees what was handed out; keeps one block for the next use. */
void arena_reset(struct arena *arena);
/* 16-byte aligned memory, not cleared; NULL past the cap. */
PH_NODISCARD void *arena_alloc(struct arena *arena, size_t size_bytes);
/* Cleared. NULL past the cap. */
PH_NODISCARD void *arena_calloc(struct arena *arena, size_t count, size_t size_bytes);
/* NUL-terminated copy; NULL past the cap. */
PH_NODISCARD char *arena_dup(struct arena *arena, struct slice text);

#define ARENA_AUTO PH_CLEANUP(arena_done)

#endif
