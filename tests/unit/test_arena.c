/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"

static void test_alignment_and_content(void **state)
{
    (void)state;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, 100000);
    unsigned char *parts[40];
    for (size_t index = 0; index < 40; index++) {
        parts[index] = arena_alloc(&arena, index * 7);
        assert_non_null(parts[index]);
        assert_int_equal((uintptr_t)parts[index] % 16, 0);
        memset(parts[index], (int)index, index * 7);
    }
    for (size_t index = 0; index < 40; index++) {
        for (size_t offset = 0; offset < index * 7; offset++) {
            assert_int_equal(parts[index][offset], index);
        }
    }
}

static void test_empty_allocations_differ(void **state)
{
    (void)state;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, 64);
    void *first = arena_alloc(&arena, 0);
    void *second = arena_alloc(&arena, 0);
    assert_non_null(first);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
}

/* The cap counts what was handed out, however many blocks it takes. */
static void test_cap(void **state)
{
    (void)state;
    static const size_t caps[] = {16, 64, 4080, 4096, 100000};
    for (size_t row = 0; row < PH_ARRAY_LENGTH(caps); row++) {
        ARENA_AUTO struct arena arena;
        arena_init(&arena, caps[row]);
        for (size_t used = 0; used < caps[row]; used += 16) {
            assert_non_null(arena_alloc(&arena, 16));
        }
        assert_int_equal(arena.used_bytes, caps[row]);
        assert_null(arena_alloc(&arena, 1));
        assert_null(arena_alloc(&arena, 0));
        assert_null(arena_calloc(&arena, 1, 1));
        assert_null(arena_dup(&arena, SLICE_LITERAL("")));
        assert_int_equal(arena.used_bytes, caps[row]);
    }
}

static void test_one_large_allocation(void **state)
{
    (void)state;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, 1000000);
    assert_null(arena_alloc(&arena, 1000001));
    assert_int_equal(arena.used_bytes, 0);
    char *memory = arena_alloc(&arena, 1000000);
    assert_non_null(memory);
    memset(memory, 'x', 1000000);
    assert_null(arena_alloc(&arena, 1));
}

static void test_sizes_that_overflow(void **state)
{
    (void)state;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, 4096);
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 14));
    assert_null(arena_calloc(&arena, SIZE_MAX, 2));
    assert_null(arena_calloc(&arena, SIZE_MAX / 16 + 2, 16));
    assert_null(arena_calloc(&arena, (size_t)1 << 32, (size_t)1 << 32));
    assert_int_equal(arena.used_bytes, 0);
    assert_non_null(arena_alloc(&arena, 4096));
}

static void test_calloc_clears(void **state)
{
    (void)state;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, 8192);
    memset(arena_alloc(&arena, 2048), 0xff, 2048);
    arena_reset(&arena);
    const unsigned char *memory = arena_calloc(&arena, 16, 64);
    assert_non_null(memory);
    for (size_t index = 0; index < 1024; index++) {
        assert_int_equal(memory[index], 0);
    }
    assert_non_null(arena_calloc(&arena, 0, 8));
}

static void test_dup(void **state)
{
    (void)state;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, 32);
    char *copy = arena_dup(&arena, SLICE_LITERAL("a\0b"));
    assert_memory_equal(copy, "a\0b", 4);
    assert_string_equal(arena_dup(&arena, SLICE_NONE), "");
    /* Sixteen characters need a seventeenth byte. */
    arena_reset(&arena);
    assert_non_null(arena_dup(&arena, SLICE_LITERAL("0123456789abcdef")));
    arena_done(&arena);
    arena_init(&arena, 16);
    assert_null(arena_dup(&arena, SLICE_LITERAL("0123456789abcdef")));
    assert_string_equal(arena_dup(&arena, SLICE_LITERAL("0123456789abcde")), "0123456789abcde");
}

static void test_reset(void **state)
{
    (void)state;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, 20000);
    for (int round = 0; round < 5; round++) {
        assert_int_equal(arena.used_bytes, 0);
        char *small = arena_alloc(&arena, 100);
        char *large = arena_alloc(&arena, 10000);
        assert_non_null(small);
        assert_non_null(large);
        assert_int_equal(((uintptr_t)small | (uintptr_t)large) % 16, 0);
        memset(small, round, 100);
        memset(large, round, 10000);
        assert_null(arena_alloc(&arena, 10000));
        arena_reset(&arena);
    }
    arena_reset(&arena);
    for (int round = 0; round < 5; round++) {
        assert_int_equal((uintptr_t)arena_alloc(&arena, 100) % 16, 0);
        arena_reset(&arena);
    }
    assert_non_null(arena_alloc(&arena, 20000));
    arena_done(&arena);
    arena_done(&arena);
    assert_non_null(arena_alloc(&arena, 20000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment_and_content),
        cmocka_unit_test(test_empty_allocations_differ),
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_one_large_allocation),
        cmocka_unit_test(test_sizes_that_overflow),
        cmocka_unit_test(test_calloc_clears),
        cmocka_unit_test(test_dup),
        cmocka_unit_test(test_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
