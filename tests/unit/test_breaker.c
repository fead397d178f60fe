/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/breaker.h"

#define SECOND_US INT64_C(1000000)

static const struct breaker_settings settings = {
    .min_attempts = 20,
    .failure_ratio = 0.5,
    .window_us = 60 * SECOND_US,
    .open_us = 5 * SECOND_US,
    .open_max_us = 60 * SECOND_US,
};

static void report(struct breaker *breaker, unsigned successes, unsigned failures, int64_t now_us)
{
    for (unsigned count = 0; count < successes; count++) {
        assert_false(breaker_report(breaker, &settings, false, now_us));
    }
    for (unsigned count = 0; count < failures; count++) {
        assert_false(breaker_report(breaker, &settings, true, now_us));
    }
}

static void test_it_opens_at_the_ratio(void **state)
{
    (void)state;
    struct breaker breaker;
    breaker_init(&breaker);
    report(&breaker, 0, 19, 1000); /* too few to judge */
    assert_true(breaker_take(&breaker, 1000));
    assert_true(breaker_report(&breaker, &settings, true, 1000));
    assert_int_equal(breaker.state, BREAKER_OPEN);
    breaker_init(&breaker);
    report(&breaker, 20, 19, 1000);
    assert_true(breaker_report(&breaker, &settings, true, 1000)); /* 20 of 40 */
    breaker_init(&breaker);
    report(&breaker, 21, 20, 1000); /* 20 of 41 */
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void test_the_window_slides(void **state)
{
    (void)state;
    struct breaker breaker;
    breaker_init(&breaker);
    report(&breaker, 0, 19, 0);
    report(&breaker, 0, 18, 61 * SECOND_US); /* the first ones are forgotten */
    assert_false(breaker_report(&breaker, &settings, true, 70 * SECOND_US));
    assert_true(breaker_report(&breaker, &settings, true, 100 * SECOND_US)); /* 20 within 60 s */
    breaker_init(&breaker);
    report(&breaker, 0, 19, 0);
    report(&breaker, 0, 19, 100000 * SECOND_US);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void open_it(struct breaker *breaker, int64_t now_us)
{
    breaker_init(breaker);
    report(breaker, 0, 19, now_us);
    assert_true(breaker_report(breaker, &settings, true, now_us));
}

static void test_one_probe(void **state)
{
    (void)state;
    struct breaker breaker;
    open_it(&breaker, 100);
    int64_t until = 100 + settings.open_us;
    assert_false(breaker_take(&breaker, 100));
    assert_false(breaker_take(&breaker, until - 1));
    assert_int_equal(breaker_ready_at(&breaker, 100), until);
    assert_true(breaker_take(&breaker, until));
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
    assert_false(breaker_take(&breaker, until));
    assert_true(breaker_ready_at(&breaker, until) == INT64_MAX);
    breaker_give_back(&breaker);
    assert_true(breaker_take(&breaker, until + 7));
    assert_true(breaker_report(&breaker, &settings, false, until + 8));
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_true(breaker_take(&breaker, until + 8));
    assert_true(breaker_take(&breaker, until + 8));
    report(&breaker, 0, 19, until + 9); /* nothing is held against it */
}

static void test_open_time_doubles_up_to_the_cap(void **state)
{
    (void)state;
    static const int64_t seconds[] = {10, 20, 40, 60, 60};
    struct breaker breaker;
    int64_t now_us = 0;
    open_it(&breaker, now_us);
    now_us = breaker.open_until;
    for (size_t index = 0; index < sizeof seconds / sizeof seconds[0]; index++) {
        assert_true(breaker_take(&breaker, now_us));
        assert_true(breaker_report(&breaker, &settings, true, now_us));
        assert_int_equal(breaker.open_until - now_us, seconds[index] * SECOND_US);
        now_us = breaker.open_until;
    }
    assert_true(breaker_take(&breaker, now_us));
    assert_true(breaker_report(&breaker, &settings, false, now_us));
    open_it(&breaker, now_us);
    assert_int_equal(breaker.open_until - now_us, settings.open_us);
}

static void test_late_answers(void **state)
{
    (void)state;
    struct breaker breaker;
    open_it(&breaker, 0);
    /* Attempts that were under way when it opened. */
    assert_false(breaker_report(&breaker, &settings, true, 1));
    assert_int_equal(breaker.open_until, settings.open_us);
    assert_true(breaker_report(&breaker, &settings, false, 2));
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void test_there_need_not_be_one(void **state)
{
    (void)state;
    const struct breaker_settings none = {.min_attempts = 0};
    struct breaker breaker;
    breaker_init(&breaker);
    for (int count = 0; count < 1000; count++) {
        assert_false(breaker_report(&breaker, &none, true, count));
    }
    assert_true(breaker_take(&breaker, 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_opens_at_the_ratio),
        cmocka_unit_test(test_the_window_slides),
        cmocka_unit_test(test_one_probe),
        cmocka_unit_test(test_open_time_doubles_up_to_the_cap),
        cmocka_unit_test(test_late_answers),
        cmocka_unit_test(test_there_need_not_be_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
