/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/concurrency.h"

#define MS INT64_C(1000)
#define CAP 64

static void answers(struct concurrency *concurrency, unsigned count, int64_t duration_us,
                    int64_t now_us)
{
    for (unsigned index = 0; index < count; index++) {
        concurrency_report(concurrency, false, duration_us, CAP, CAP, now_us);
    }
}

static void test_start(void **state)
{
    (void)state;
    struct concurrency concurrency;
    concurrency_init(&concurrency, CAP);
    assert_int_equal(concurrency_limit(&concurrency, CAP), CONCURRENCY_START);
    concurrency_init(&concurrency, 3);
    assert_int_equal(concurrency_limit(&concurrency, 3), 3);
    answers(&concurrency, 10, MS, MS);
    assert_int_equal(concurrency_limit(&concurrency, 3), 3);
}

static void test_growth(void **state)
{
    (void)state;
    struct concurrency concurrency;
    concurrency_init(&concurrency, CAP);
    answers(&concurrency, CONCURRENCY_START, MS, MS);
    assert_int_equal(concurrency_limit(&concurrency, CAP), 2 * CONCURRENCY_START);
    answers(&concurrency, 1000, MS, 2 * MS);
    assert_int_equal(concurrency_limit(&concurrency, CAP), CAP);
    /* Half, and from then on one more per round of answers. */
    concurrency_report(&concurrency, true, MS, CAP, CAP, 1000 * MS);
    assert_int_equal(concurrency_limit(&concurrency, CAP), CAP / 2);
    answers(&concurrency, CAP / 2 + 1, MS, 1001 * MS);
    assert_int_equal(concurrency_limit(&concurrency, CAP), CAP / 2 + 1);
}

static void test_no_growth_without_need(void **state)
{
    (void)state;
    struct concurrency concurrency;
    concurrency_init(&concurrency, CAP);
    for (int count = 0; count < 1000; count++) {
        concurrency_report(&concurrency, false, MS, 2, CAP, count * MS);
    }
    assert_int_equal(concurrency_limit(&concurrency, CAP), CONCURRENCY_START);
}

static void test_overload(void **state)
{
    (void)state;
    struct concurrency concurrency;
    concurrency_init(&concurrency, CAP);
    /* One round of bad answers counts once. */
    for (int count = 0; count < 16; count++) {
        concurrency_report(&concurrency, true, 10 * MS, 16, CAP, 1000 * MS + count);
    }
    assert_int_equal(concurrency_limit(&concurrency, CAP), CONCURRENCY_START / 2);
    for (int count = 1; count < 20; count++) {
        concurrency_report(&concurrency, true, 10 * MS, 16, CAP, (1000 + 1000 * count) * MS);
    }
    assert_int_equal(concurrency_limit(&concurrency, CAP), 1);
    /* Slow failures: the next decrease waits as long as they took. */
    concurrency_init(&concurrency, CAP);
    concurrency_report(&concurrency, true, 30000 * MS, 16, CAP, 40000 * MS);
    concurrency_report(&concurrency, true, 30000 * MS, 16, CAP, 69999 * MS);
    assert_int_equal(concurrency_limit(&concurrency, CAP), CONCURRENCY_START / 2);
    concurrency_report(&concurrency, true, 30000 * MS, 16, CAP, 70000 * MS);
    assert_int_equal(concurrency_limit(&concurrency, CAP), CONCURRENCY_START / 4);
}

static void test_slow_answers(void **state)
{
    (void)state;
    struct concurrency concurrency;
    concurrency_init(&concurrency, CAP);
    answers(&concurrency, 1000, 10 * MS, 1000 * MS);
    assert_int_equal(concurrency_limit(&concurrency, CAP), CAP);
    answers(&concurrency, 100, 200 * MS, 2000 * MS); /* slower, but not by a quarter second */
    assert_int_equal(concurrency_limit(&concurrency, CAP), CAP);
    int64_t now_us = 3000 * MS;
    for (int count = 0; count < 40; count++) {
        now_us += 1000 * MS;
        concurrency_report(&concurrency, false, 900 * MS, CAP, CAP, now_us);
    }
    unsigned limit = concurrency_limit(&concurrency, CAP);
    assert_true(limit < CAP / 2 && limit >= 1);
    answers(&concurrency, 5000, 10 * MS, now_us + 1000 * MS);
    assert_int_equal(concurrency_limit(&concurrency, CAP), CAP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_no_growth_without_need),
        cmocka_unit_test(test_overload),
        cmocka_unit_test(test_slow_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
