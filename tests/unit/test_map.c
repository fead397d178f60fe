/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/map.h"

#define KEYS 300

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void test_empty(void **state)
{
    (void)state;
    struct map map;
    size_t position = 0;
    uint64_t key;
    void *value;
    map_init(&map);
    assert_null(map_get(&map, 1));
    assert_null(map_remove(&map, 1));
    assert_false(map_next(&map, &position, &key, &value));
    map_done(&map);
    map_done(&map);
}

static void test_set_get_remove(void **state)
{
    (void)state;
    struct map map;
    int values[3];
    map_init(&map);
    assert_null(map_set(&map, 1, &values[0]));
    assert_null(map_set(&map, UINT64_MAX, &values[1]));
    assert_ptr_equal(map_get(&map, 1), &values[0]);
    assert_ptr_equal(map_get(&map, UINT64_MAX), &values[1]);
    assert_null(map_get(&map, 2));
    assert_ptr_equal(map_set(&map, 1, &values[2]), &values[0]);
    assert_int_equal(map.count, 2);
    assert_ptr_equal(map_remove(&map, 1), &values[2]);
    assert_null(map_remove(&map, 1));
    assert_null(map_get(&map, 1));
    assert_int_equal(map.count, 1);
    assert_null(map_set(&map, 1, &values[0]));
    map_done(&map);
    map_init(&map);
    assert_null(map_get(&map, 1));
}

/* Fills `keys` with keys whose home is slot `home` of a table of 16. */
static void keys_of_home(uint64_t home, uint64_t *keys, size_t count)
{
    uint64_t key = 0;
    for (size_t index = 0; index < count; index++) {
        do {
            key++;
        } while ((map_mix(key) & 15) != home);
        keys[index] = key;
    }
}

/* Keys of one home stand in a row, which wraps around the end of the table when the home is 14;
 * each of them is removed once, and all others stay within reach. */
static void test_collisions(void **state)
{
    (void)state;
    static const uint64_t homes[] = {3, 14};
    for (size_t row = 0; row < 2; row++) {
        for (size_t gone = 0; gone < 9; gone++) {
            struct map map;
            uint64_t keys[9];
            map_init(&map);
            keys_of_home(homes[row], keys, 6);
            keys_of_home((homes[row] + 1) % 16, keys + 6, 3);
            for (size_t index = 0; index < 9; index++) {
                assert_null(map_set(&map, keys[index], &keys[index]));
            }
            assert_int_equal(map.capacity, 16);
            assert_ptr_equal(map_remove(&map, keys[gone]), &keys[gone]);
            for (size_t index = 0; index < 9; index++) {
                assert_ptr_equal(map_get(&map, keys[index]), index == gone ? NULL : &keys[index]);
            }
            assert_int_equal(map.count, 8);
            map_done(&map);
        }
    }
}

static void test_growth(void **state)
{
    (void)state;
    struct map map;
    static int values[10000];
    map_init(&map);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(values); index++) {
        assert_null(map_set(&map, (uint64_t)index * 65536 + 1, &values[index]));
        assert_true(map.count < map.capacity);
    }
    assert_int_equal(map.capacity & (map.capacity - 1), 0);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(values); index++) {
        assert_ptr_equal(map_get(&map, (uint64_t)index * 65536 + 1), &values[index]);
    }
    assert_int_equal(map.count, PH_ARRAY_LENGTH(values));
    map_done(&map);
}

static void test_iteration(void **state)
{
    (void)state;
    struct map map;
    int values[KEYS];
    bool is_seen[KEYS] = {false};
    map_init(&map);
    for (size_t index = 0; index < KEYS; index++) {
        assert_null(map_set(&map, index + 1, &values[index]));
    }
    size_t position = 0;
    size_t count = 0;
    uint64_t key;
    void *value;
    while (map_next(&map, &position, &key, &value)) {
        assert_in_range(key, 1, KEYS);
        assert_ptr_equal(value, &values[key - 1]);
        assert_false(is_seen[key - 1]);
        is_seen[key - 1] = true;
        count++;
    }
    assert_int_equal(count, KEYS);
    assert_false(map_next(&map, &position, &key, &value));
    map_done(&map);
}

/* The same work on a plain array gives the same answers. */
static void test_random_work(void **state)
{
    (void)state;
    struct map map;
    static int values[2];
    void *model[KEYS] = {NULL};
    size_t members = 0;
    uint64_t seed = 88172645463325252;
    map_init(&map);
    for (int step = 0; step < 100000; step++) {
        size_t place = next_random(&seed) % KEYS;
        uint64_t key = (uint64_t)(place + 1) << 20;
        uint64_t choice = next_random(&seed) % 3;
        if (choice == 0) {
            assert_ptr_equal(map_remove(&map, key), model[place]);
            members -= model[place] == NULL ? 0 : 1;
            model[place] = NULL;
        } else if (choice == 1) {
            void *value = &values[next_random(&seed) % 2];
            assert_ptr_equal(map_set(&map, key, value), model[place]);
            members += model[place] == NULL ? 1 : 0;
            model[place] = value;
        } else {
            assert_ptr_equal(map_get(&map, key), model[place]);
        }
        assert_int_equal(map.count, members);
    }
    for (size_t place = 0; place < KEYS; place++) {
        assert_ptr_equal(map_get(&map, (uint64_t)(place + 1) << 20), model[place]);
    }
    map_done(&map);
}

static uint64_t invert_odd(uint64_t odd)
{
    uint64_t inverse = odd;
    for (int round = 0; round < 6; round++) {
        inverse *= 2 - odd * inverse;
    }
    return inverse;
}

/* A bijection has an inverse: undo the multiplications and the folds. */
static void test_mix_is_a_bijection(void **state)
{
    (void)state;
    uint64_t seed = 2463534242;
    uint64_t inverse = invert_odd(UINT64_C(0xd6e8feb86659fd93));
    for (int step = 0; step < 1000; step++) {
        uint64_t value = step < 64 ? UINT64_C(1) << step : next_random(&seed);
        uint64_t back = map_mix(value);
        back ^= back >> 32;
        back *= inverse;
        back ^= back >> 32;
        back *= inverse;
        back ^= back >> 32;
        assert_true(back == value);
        assert_true(map_mix(value) != value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_set_get_remove),
        cmocka_unit_test(test_collisions),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_iteration),
        cmocka_unit_test(test_random_work),
        cmocka_unit_test(test_mix_is_a_bijection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
