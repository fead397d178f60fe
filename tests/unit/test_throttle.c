/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "core/throttle.h"

#define SECOND_US INT64_C(1000000)

/* Takes until there is none, at most `limit` tokens. */
static int64_t drain(struct throttle *bucket, int64_t now_us, int64_t limit)
{
    int64_t count = 0;
    while (count < limit && throttle_take(bucket, now_us)) {
        count++;
    }
    return count;
}

static void test_no_limit(void **state)
{
    (void)state;
    struct throttle bucket;
    throttle_init(&bucket, 0, 100);
    assert_int_equal(drain(&bucket, 100, 10000), 10000);
    assert_int_equal(throttle_ready_at(&bucket, 7), 7);
    throttle_give_back(&bucket);
    assert_true(throttle_take(&bucket, 100));
}

static void test_burst_is_one_second(void **state)
{
    (void)state;
    static const int64_t rates[] = {1, 2, 3, 7, 100, 65535, THROTTLE_RATE_MAX};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rates); index++) {
        struct throttle bucket;
        int64_t rate = rates[index];
        throttle_init(&bucket, rate, 0);
        assert_int_equal(drain(&bucket, 0, rate + 1), rate);
        /* However long nothing happens, no more than a second's worth is saved up. */
        assert_int_equal(drain(&bucket, 3600 * SECOND_US, rate + 1), rate);
        assert_int_equal(drain(&bucket, INT64_MAX, rate + 1), rate);
    }
}

/* No burst at the beginning, and a quarter of a second's worth after a rest: in no second more than
 * that beside the rate. */
static void test_smooth(void **state)
{
    (void)state;
    static const int64_t rates[] = {1, 2, 5, 8, 100, 65535};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rates); index++) {
        struct throttle bucket;
        int64_t rate = rates[index];
        int64_t saved = rate / 4 > 1 ? rate / 4 : 1;
        throttle_init_smooth(&bucket, rate, 0);
        assert_int_equal(drain(&bucket, 0, rate + 1), 1);
        int64_t first_second = 1;
        for (int64_t now_us = 10000; now_us < SECOND_US; now_us += 10000) {
            first_second += drain(&bucket, now_us, rate + 1);
        }
        assert_in_range(first_second, rate > 1 ? rate - rate / 100 : 1, rate + 1);
        assert_int_equal(drain(&bucket, 3600 * SECOND_US, rate + 1), saved);
        int64_t later_us = 3600 * SECOND_US + SECOND_US / 8;
        assert_in_range(drain(&bucket, later_us, rate + 1), rate / 8, rate / 8 + 1);
        throttle_give_back(&bucket);
        assert_true(throttle_take(&bucket, later_us));
    }
    struct throttle unlimited;
    throttle_init_smooth(&unlimited, 0, 0);
    assert_int_equal(drain(&unlimited, 0, 1000), 1000);
}

static void test_refill(void **state)
{
    (void)state;
    struct throttle bucket;
    throttle_init(&bucket, 4, 0);
    assert_int_equal(drain(&bucket, 0, 10), 4);
    assert_false(throttle_take(&bucket, 249999));
    assert_true(throttle_take(&bucket, 250000));
    assert_false(throttle_take(&bucket, 250000));
    assert_int_equal(drain(&bucket, 1000000, 10), 3);
}

/* Looking often loses nothing: what a microsecond earns is counted exactly. */
static void test_no_rounding(void **state)
{
    (void)state;
    static const int64_t rates[] = {1, 3, 7, 999};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rates); index++) {
        struct throttle bucket;
        int64_t taken = 0;
        throttle_init(&bucket, rates[index], 0);
        assert_int_equal(drain(&bucket, 0, 2000), rates[index]);
        for (int64_t now_us = 1; now_us <= 2 * SECOND_US; now_us++) {
            taken += throttle_take(&bucket, now_us) ? 1 : 0;
        }
        assert_int_equal(taken, 2 * rates[index]);
    }
}

static void test_ready_at(void **state)
{
    (void)state;
    static const int64_t rates[] = {1, 3, 7, 1000, THROTTLE_RATE_MAX};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rates); index++) {
        struct throttle bucket;
        int64_t now_us = 5000;
        throttle_init(&bucket, rates[index], now_us);
        assert_int_equal(throttle_ready_at(&bucket, now_us), now_us);
        assert_int_equal(drain(&bucket, now_us, rates[index] + 1), rates[index]);
        for (int round = 0; round < 20; round++) {
            /* It is the earliest: a microsecond before there is none. */
            int64_t ready_us = throttle_ready_at(&bucket, now_us);
            assert_true(ready_us > now_us);
            assert_int_equal(throttle_ready_at(&bucket, ready_us), ready_us);
            struct throttle copy = bucket;
            assert_false(throttle_take(&copy, ready_us - 1));
            assert_true(throttle_take(&bucket, ready_us));
            now_us = ready_us;
        }
    }
}

static void test_time_that_goes_back(void **state)
{
    (void)state;
    struct throttle bucket;
    throttle_init(&bucket, 2, SECOND_US);
    assert_int_equal(drain(&bucket, 0, 10), 2);
    assert_false(throttle_take(&bucket, 0));
    assert_int_equal(throttle_ready_at(&bucket, 0), SECOND_US + SECOND_US / 2);
    assert_false(throttle_take(&bucket, SECOND_US));
    assert_true(throttle_take(&bucket, SECOND_US + SECOND_US / 2));
}

/* Reserved tokens are handed out at the rate, one after the other, from the burst on. */
static void test_reserve(void **state)
{
    (void)state;
    static const int64_t rates[] = {1, 3, 7, 1000, THROTTLE_RATE_MAX};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rates); index++) {
        struct throttle bucket;
        int64_t rate = rates[index];
        throttle_init(&bucket, rate, 0);
        for (int64_t count = 0; count < rate; count++) {
            assert_int_equal(throttle_reserve(&bucket, 0), 0);
        }
        for (int64_t count = 1; count <= 100; count++) {
            int64_t exact_us = (count * SECOND_US + rate - 1) / rate;
            assert_int_equal(throttle_reserve(&bucket, 0), exact_us);
        }
    }
    struct throttle bucket;
    throttle_init(&bucket, 0, 0);
    assert_int_equal(throttle_reserve(&bucket, 7), 7);
}

static void test_reserve_and_take(void **state)
{
    (void)state;
    struct throttle bucket;
    throttle_init(&bucket, 2, 0);
    assert_int_equal(drain(&bucket, 0, 10), 2);
    assert_int_equal(throttle_reserve(&bucket, 0), SECOND_US / 2);
    assert_int_equal(throttle_reserve(&bucket, 0), SECOND_US);
    assert_false(throttle_take(&bucket, SECOND_US));
    assert_int_equal(throttle_ready_at(&bucket, SECOND_US), SECOND_US + SECOND_US / 2);
    throttle_give_back(&bucket);
    assert_true(throttle_take(&bucket, SECOND_US));
    assert_int_equal(throttle_reserve(&bucket, SECOND_US), SECOND_US + SECOND_US / 2);
}

/* A debt of many seconds is paid by as many seconds, whether or not somebody looks meanwhile. */
static void test_long_debt(void **state)
{
    (void)state;
    for (int64_t step_s = 1; step_s <= 20; step_s += 19) {
        struct throttle bucket;
        throttle_init(&bucket, 2, 0);
        for (int count = 0; count < 22; count++) {
            (void)throttle_reserve(&bucket, 0);
        }
        assert_int_equal(throttle_ready_at(&bucket, 0), 10 * SECOND_US + SECOND_US / 2);
        assert_int_equal(throttle_ready_at(&bucket, 5 * SECOND_US), 10 * SECOND_US + SECOND_US / 2);
        for (int64_t now_s = step_s; now_s < 10; now_s += step_s) {
            assert_false(throttle_take(&bucket, now_s * SECOND_US));
        }
        assert_int_equal(drain(&bucket, 20 * SECOND_US, 10), 2);
    }
}

static void test_give_back(void **state)
{
    (void)state;
    struct throttle bucket;
    throttle_init(&bucket, 2, 0);
    assert_true(throttle_take(&bucket, 0));
    throttle_give_back(&bucket);
    assert_int_equal(drain(&bucket, 0, 10), 2);
    throttle_give_back(&bucket);
    assert_int_equal(drain(&bucket, 0, 10), 1);
    /* Never above the burst. */
    throttle_init(&bucket, 2, 0);
    throttle_give_back(&bucket);
    assert_int_equal(drain(&bucket, 0, 10), 2);
}

static void test_another_rate(void **state)
{
    (void)state;
    struct throttle bucket;
    throttle_init(&bucket, 10, 0);
    assert_int_equal(drain(&bucket, 0, 4), 4);
    throttle_set_rate(&bucket, 3, 0); /* six were saved up, three fit */
    assert_int_equal(drain(&bucket, 0, 10), 3);
    throttle_set_rate(&bucket, 100, 0); /* a higher rate gives nothing at once */
    assert_false(throttle_take(&bucket, 0));
    assert_int_equal(drain(&bucket, SECOND_US / 2, 200), 50);
    /* Up to the change the old rate counts. */
    throttle_set_rate(&bucket, 10, SECOND_US / 2);
    throttle_set_rate(&bucket, 100, SECOND_US);
    assert_int_equal(drain(&bucket, SECOND_US, 200), 5);
    throttle_set_rate(&bucket, 0, SECOND_US);
    assert_int_equal(drain(&bucket, SECOND_US, 1000), 1000);
    throttle_set_rate(&bucket, 5, SECOND_US); /* from no limit: a full bucket */
    assert_int_equal(drain(&bucket, SECOND_US, 10), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_limit),
        cmocka_unit_test(test_burst_is_one_second),
        cmocka_unit_test(test_smooth),
        cmocka_unit_test(test_refill),
        cmocka_unit_test(test_no_rounding),
        cmocka_unit_test(test_ready_at),
        cmocka_unit_test(test_time_that_goes_back),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_reserve_and_take),
        cmocka_unit_test(test_long_debt),
        cmocka_unit_test(test_give_back),
        cmocka_unit_test(test_another_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
