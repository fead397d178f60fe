/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binary min-heap of timers. The element embeds a heap_node; the heap owns only its array.
 * Single-threaded.
 */
#ifndef PH_BASE_HEAP_H
#define PH_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct heap_node {
    int64_t key;  /* smallest first; a time in microseconds for timers */
    size_t index; /* 1-based place in the array; 0 = not in a heap */
};

struct heap {
    struct heap_node **nodes;
    size_t count;
    size_t capacity;
};

void heap_init(struct heap *heap);
void heap_done(struct heap *heap);
static inline bool heap_has(const struct heap_node *node)
{
    return node->index != 0;
}
/* Inserts, or moves when it is in this heap already. */
void heap_set(struct heap *heap, struct heap_node *node, int64_t key);
/* No effect on a node that is in no heap. */
void heap_remove(struct heap *heap, struct heap_node *node);
/* Smallest, or NULL. */
struct heap_node *heap_first(const struct heap *heap);

#endif
