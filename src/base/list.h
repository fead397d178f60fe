/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intrusive doubly linked list with a sentinel. The list owns nothing; an element is on at most
 * one list per node. Single-threaded: whoever shares one brings the lock.
 */
#ifndef PH_BASE_LIST_H
#define PH_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

struct list_node {
    struct list_node *next;
    struct list_node *previous;
};

#define LIST_ELEMENT(node, type, member) PH_CONTAINER_OF(node, type, member)
/* Walks from first to last; the current node may be removed in the body. */
#define LIST_FOR_EACH(node, following, list)                                                       \
    for (struct list_node *node = (list)->next, *following = node->next; node != (list);           \
         node = following, following = node->next)

static inline void list_init(struct list_node *list)
{
    list->next = list;
    list->previous = list;
}

static inline bool list_is_empty(const struct list_node *list)
{
    return list->next == list;
}

/* A node that was initialised with list_init (or removed) and is on no list. */
static inline bool list_is_alone(const struct list_node *node)
{
    return node->next == node;
}

static inline void list_append(struct list_node *list, struct list_node *node)
{
    node->previous = list->previous;
    node->next = list;
    list->previous->next = node;
    list->previous = node;
}

static inline void list_prepend(struct list_node *list, struct list_node *node)
{
    list_append(list->next, node);
}

static inline void list_remove(struct list_node *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_init(node);
}

/* Removes and returns the first node, NULL when there is none. */
static inline struct list_node *list_take_first(struct list_node *list)
{
    struct list_node *first = list->next;
    if (first == list) {
        return NULL;
    }
    list_remove(first);
    return first;
}

/* Moves all elements of `from` behind those of `to`; `from` is empty afterwards. */
static inline void list_splice(struct list_node *to, struct list_node *from)
{
    if (list_is_empty(from)) {
        return;
    }
    from->next->previous = to->previous;
    from->previous->next = to;
    to->previous->next = from->next;
    to->previous = from->previous;
    list_init(from);
}

#endif
