/* SPDX-License-Identifier: Apache-2.0 */
#include "jq/pool_int.h"

/* What one owner has waiting. */
struct share {
    struct heap_node turn; /* in `heap`; the key is its virtual time */
    struct heap *heap;     /* `ready`, `resting`, or NULL */
    uint64_t owner;        /* the key in `shares` */
    struct list_node items;
};

static uint64_t owner_key(const struct item *item)
{
    return item->request.owner == 0 ? UINT64_MAX : item->request.owner;
}

void queue_init(struct queue *queue)
{
    *queue = (struct queue){0};
    map_init(&queue->shares);
    heap_init(&queue->ready);
    heap_init(&queue->resting);
}

static void move_share(struct share *share, struct heap *heap, int64_t virtual_us)
{
    if (share->heap != NULL && share->heap != heap) {
        heap_remove(share->heap, &share->turn);
    }
    share->heap = heap;
    heap_set(heap, &share->turn, virtual_us);
}

static void drop_share(struct queue *queue, struct share *share)
{
    heap_remove(share->heap, &share->turn);
    (void)map_remove(&queue->shares, share->owner);
    free(share);
}

/* Owners who rest are forgotten when everybody has had as much, or when nobody waits. */
static void drop_resting(struct queue *queue)
{
    struct heap_node *node;
    bool is_idle = queue->count == 0 && queue->taken == 0;
    while ((node = heap_first(&queue->resting)) != NULL &&
           (is_idle || node->key <= queue->now_us)) {
        drop_share(queue, PH_CONTAINER_OF(node, struct share, turn));
    }
}

void queue_done(struct queue *queue)
{
    PH_ASSERT(queue->count == 0);
    queue->taken = 0;
    drop_resting(queue);
    heap_done(&queue->ready);
    heap_done(&queue->resting);
    map_done(&queue->shares);
}

static struct share *find_share(struct queue *queue, const struct item *item)
{
    struct share *share = map_get(&queue->shares, owner_key(item));
    if (share == NULL) {
        share = ph_calloc(1, sizeof *share);
        share->owner = owner_key(item);
        share->turn.key = queue->now_us;
        list_init(&share->items);
        (void)map_set(&queue->shares, share->owner, share);
    }
    return share;
}

void queue_append(struct queue *queue, struct item *item)
{
    struct share *share = find_share(queue, item);
    list_append(&share->items, &item->node);
    item->queue = queue;
    queue->count++;
    if (share->heap != &queue->ready) {
        /* Time in which he wanted nothing is not saved up. */
        int64_t virtual_us = share->turn.key > queue->now_us ? share->turn.key : queue->now_us;
        move_share(share, &queue->ready, virtual_us);
    }
}

void queue_put_back(struct queue *queue, struct item *item)
{
    struct share *share = find_share(queue, item);
    list_prepend(&share->items, &item->node);
    queue->count++;
    queue->taken--;
    item->is_taken = false;
    move_share(share, &queue->ready, share->turn.key - item->charged_us);
    item->charged_us = 0;
}

struct item *queue_first(const struct queue *queue)
{
    struct heap_node *node = heap_first(&queue->ready);
    if (node == NULL) {
        return NULL;
    }
    struct share *share = PH_CONTAINER_OF(node, struct share, turn);
    return LIST_ELEMENT(share->items.next, struct item, node);
}

struct item *queue_take(struct queue *queue, int64_t expected_us)
{
    struct heap_node *node = heap_first(&queue->ready);
    PH_ASSERT(node != NULL);
    struct share *share = PH_CONTAINER_OF(node, struct share, turn);
    struct item *item = item_take_first(&share->items);
    queue->count--;
    queue->taken++;
    queue->now_us = node->key > queue->now_us ? node->key : queue->now_us;
    item->is_taken = true;
    item->charged_us = expected_us;
    move_share(share, list_is_empty(&share->items) ? &queue->resting : &queue->ready,
               node->key + expected_us);
    drop_resting(queue);
    return item;
}

void queue_settle(struct item *item, int64_t actual_us)
{
    struct queue *queue = item->queue;
    if (!item->is_taken) {
        return;
    }
    struct share *share = map_get(&queue->shares, owner_key(item));
    queue->taken--;
    item->is_taken = false;
    int64_t more_us = actual_us - item->charged_us;
    item->charged_us = 0;
    if (share == NULL && more_us > 0) {
        share = find_share(queue, item);
    }
    if (share != NULL) {
        move_share(share, list_is_empty(&share->items) ? &queue->resting : &queue->ready,
                   share->turn.key + more_us);
    }
    drop_resting(queue);
}
