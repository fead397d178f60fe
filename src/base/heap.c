/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

void heap_init(struct heap *heap)
{
    *heap = (struct heap){0};
}

void heap_done(struct heap *heap)
{
    free(heap->nodes);
    *heap = (struct heap){0};
}

static void place(struct heap *heap, struct heap_node *node, size_t index)
{
    heap->nodes[index - 1] = node;
    node->index = index;
}

static void sift_up(struct heap *heap, struct heap_node *node)
{
    size_t index = node->index;
    while (index > 1 && heap->nodes[index / 2 - 1]->key > node->key) {
        place(heap, heap->nodes[index / 2 - 1], index);
        index /= 2;
    }
    place(heap, node, index);
}

static void sift_down(struct heap *heap, struct heap_node *node)
{
    size_t index = node->index;
    for (;;) {
        size_t child = index * 2;
        if (child > heap->count) {
            break;
        }
        if (child < heap->count && heap->nodes[child]->key < heap->nodes[child - 1]->key) {
            child++;
        }
        if (heap->nodes[child - 1]->key >= node->key) {
            break;
        }
        place(heap, heap->nodes[child - 1], index);
        index = child;
    }
    place(heap, node, index);
}

void heap_set(struct heap *heap, struct heap_node *node, int64_t key)
{
    node->key = key;
    if (node->index == 0) {
        if (heap->count == heap->capacity) {
            heap->capacity = heap->capacity == 0 ? 16 : heap->capacity * 2;
            heap->nodes = ph_realloc(heap->nodes, heap->capacity * sizeof(struct heap_node *));
        }
        heap->count++;
        place(heap, node, heap->count);
    }
    PH_ASSERT(heap->nodes[node->index - 1] == node);
    sift_up(heap, node);
    sift_down(heap, node);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (node->index == 0) {
        return;
    }
    PH_ASSERT(heap->nodes[node->index - 1] == node);
    struct heap_node *last = heap->nodes[heap->count - 1];
    size_t index = node->index;
    heap->count--;
    node->index = 0;
    if (last != node) {
        place(heap, last, index);
        sift_up(heap, last);
        sift_down(heap, last);
    }
}

struct heap_node *heap_first(const struct heap *heap)
{
    return heap->count == 0 ? NULL : heap->nodes[0];
}
