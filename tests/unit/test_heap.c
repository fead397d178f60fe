/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/heap.h"

#define NODES 400

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Every node knows its place, and no parent is above its children. */
static void check(const struct heap *heap)
{
    for (size_t index = 1; index <= heap->count; index++) {
        assert_int_equal(heap->nodes[index - 1]->index, index);
        if (index > 1) {
            assert_true(heap->nodes[index / 2 - 1]->key <= heap->nodes[index - 1]->key);
        }
    }
    assert_ptr_equal(heap_first(heap), heap->count == 0 ? NULL : heap->nodes[0]);
}

static void test_empty(void **state)
{
    (void)state;
    struct heap heap;
    struct heap_node node = {0};
    heap_init(&heap);
    assert_null(heap_first(&heap));
    assert_false(heap_has(&node));
    heap_remove(&heap, &node);
    assert_int_equal(heap.count, 0);
    heap_set(&heap, &node, 1);
    assert_true(heap_has(&node));
    heap_remove(&heap, &node);
    assert_false(heap_has(&node));
    heap_remove(&heap, &node);
    assert_null(heap_first(&heap));
    heap_done(&heap);
    heap_done(&heap);
}

static void test_extreme_keys(void **state)
{
    (void)state;
    struct heap heap;
    struct heap_node nodes[4] = {0};
    static const int64_t keys[] = {INT64_MAX, 0, INT64_MIN, -1};
    static const size_t order[] = {2, 3, 1, 0};
    heap_init(&heap);
    for (size_t index = 0; index < 4; index++) {
        heap_set(&heap, &nodes[index], keys[index]);
    }
    for (size_t index = 0; index < 4; index++) {
        assert_ptr_equal(heap_first(&heap), &nodes[order[index]]);
        heap_remove(&heap, heap_first(&heap));
    }
    heap_done(&heap);
}

static void test_set_moves(void **state)
{
    (void)state;
    struct heap heap;
    struct heap_node nodes[3] = {0};
    heap_init(&heap);
    for (size_t index = 0; index < 3; index++) {
        heap_set(&heap, &nodes[index], 10 + (int64_t)index);
    }
    heap_set(&heap, &nodes[2], 1);
    assert_ptr_equal(heap_first(&heap), &nodes[2]);
    heap_set(&heap, &nodes[2], 100);
    assert_ptr_equal(heap_first(&heap), &nodes[0]);
    assert_int_equal(heap.count, 3);
    heap_set(&heap, &nodes[0], 10);
    assert_int_equal(heap.count, 3);
    check(&heap);
    heap_done(&heap);
}

static void test_drains_in_order(void **state)
{
    (void)state;
    struct heap heap;
    static struct heap_node nodes[NODES];
    uint64_t seed = 88172645463325252;
    heap_init(&heap);
    for (size_t index = 0; index < NODES; index++) {
        nodes[index] = (struct heap_node){0};
        heap_set(&heap, &nodes[index], (int64_t)(next_random(&seed) % 50) - 25);
        check(&heap);
    }
    int64_t last = INT64_MIN;
    for (size_t left = NODES; left > 0; left--) {
        struct heap_node *first = heap_first(&heap);
        assert_int_equal(heap.count, left);
        assert_true(first->key >= last);
        last = first->key;
        heap_remove(&heap, first);
        assert_false(heap_has(first));
    }
    heap_done(&heap);
}

/* Insertions, moves and removals anywhere, compared with a plain search. */
static void test_random_work(void **state)
{
    (void)state;
    struct heap heap;
    static struct heap_node nodes[NODES];
    size_t members = 0;
    uint64_t seed = 2463534242;
    memset(nodes, 0, sizeof nodes);
    heap_init(&heap);
    for (int step = 0; step < 20000; step++) {
        struct heap_node *node = &nodes[next_random(&seed) % (NODES / 4)];
        bool was_in = heap_has(node);
        if (next_random(&seed) % 2 == 0) {
            heap_remove(&heap, node);
            members -= was_in ? 1 : 0;
        } else {
            heap_set(&heap, node, (int64_t)(next_random(&seed) % 1000));
            members += was_in ? 0 : 1;
        }
        assert_int_equal(heap.count, members);
        if (step % 16 == 0) {
            check(&heap);
        }
        int64_t least = INT64_MAX;
        for (size_t index = 0; index < NODES / 4; index++) {
            if (heap_has(&nodes[index]) && nodes[index].key < least) {
                least = nodes[index].key;
            }
        }
        assert_true(members == 0 || heap_first(&heap)->key == least);
    }
    heap_done(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),       cmocka_unit_test(test_extreme_keys),
        cmocka_unit_test(test_set_moves),   cmocka_unit_test(test_drains_in_order),
        cmocka_unit_test(test_random_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
