/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/retry.h"

#define NOW_US INT64_C(1767607872000000) /* Mon, 05 Jan 2026 10:11:12 GMT */

static void test_parse(void **state)
{
    (void)state;
    struct retry_schedule schedule;
    assert_int_equal(
        retry_schedule_parse(SLICE_LITERAL(" 0.05, 0.1,5 ,2592000"), "x", NULL, &schedule), PH_OK);
    assert_int_equal(schedule.count, 4);
    assert_int_equal(schedule.delays_us[0], 50000);
    assert_int_equal(schedule.delays_us[1], 100000);
    assert_int_equal(schedule.delays_us[2], 5000000);
    assert_true(schedule.delays_us[3] == INT64_C(2592000000000));
    assert_true(schedule.jitter == RETRY_JITTER_DEFAULT);
    static const char *const empty[] = {"", " ", "\t"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(empty); index++) {
        assert_int_equal(retry_schedule_parse(slice_of(empty[index]), "x", NULL, &schedule), PH_OK);
        assert_int_equal(schedule.count, 0);
    }
    static const char *const bad[] = {",",   "1,",  ",1",        "1,,2", "x",  "-1", "1e3",
                                      "nan", "inf", "2592000.1", "1 2",  "5s", "."};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bad); index++) {
        struct diag diag;
        if (retry_schedule_parse(slice_of(bad[index]), "retry_schedule", &diag, &schedule) !=
            PH_INVALID) {
            fail_msg("taken: %s", bad[index]);
        }
        assert_string_equal(diag.field, "retry_schedule");
    }
}

static void test_at_most_32_delays(void **state)
{
    (void)state;
    char text[] = "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1";
    struct retry_schedule schedule;
    assert_int_equal(retry_schedule_parse(slice_of(text), "x", NULL, &schedule), PH_INVALID);
    text[strlen(text) - 2] = '\0';
    assert_int_equal(retry_schedule_parse(slice_of(text), "x", NULL, &schedule), PH_OK);
    assert_int_equal(schedule.count, RETRY_DELAYS_MAX);
}

/* The default of `retry_schedule`. */
static void test_default(void **state)
{
    (void)state;
    struct retry_schedule schedule;
    struct slice text = SLICE_LITERAL("5,300,1800,7200,18000,36000,50400,72000,86400");
    assert_int_equal(retry_schedule_parse(text, "x", NULL, &schedule), PH_OK);
    assert_int_equal(schedule.count, 9);
    assert_true(retry_longest_us(&schedule) == 86400 * INT64_C(1000000));
    /* 75:35:05 of Standard Webhooks. */
    assert_true(retry_total_us(&schedule) == (75 * 3600 + 35 * 60 + 5) * INT64_C(1000000));
}

static void test_next(void **state)
{
    (void)state;
    struct retry_schedule schedule;
    int64_t delay_us = 0;
    assert_int_equal(retry_schedule_parse(SLICE_LITERAL("10,20"), "x", NULL, &schedule), PH_OK);
    assert_true(retry_next_delay_us(&schedule, 1, 0.0, &delay_us));
    assert_int_equal(delay_us, 8000000);
    assert_true(retry_next_delay_us(&schedule, 1, 0.5, &delay_us));
    assert_int_equal(delay_us, 10000000);
    assert_true(retry_next_delay_us(&schedule, 2, 0.999999, &delay_us));
    assert_in_range(delay_us, 23999900, 24000000);
    assert_false(retry_next_delay_us(&schedule, 3, 0.5, &delay_us));
    schedule.jitter = 0;
    assert_true(retry_next_delay_us(&schedule, 2, 0.1, &delay_us));
    assert_int_equal(delay_us, 20000000);
    schedule.count = 0;
    assert_false(retry_next_delay_us(&schedule, 1, 0.5, &delay_us));
    assert_int_equal(retry_longest_us(&schedule), 0);
    assert_int_equal(retry_total_us(&schedule), 0);
}

static void test_retry_after(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int64_t delay_us; /* -1 = refused */
    } rows[] = {
        {"0", 0},
        {"120", 120000000},
        {" 7 ", 7000000},
        {"1.0", 1000000},
        {"1.2", 2000000},
        {"0.001", 1000000},
        {"99999999999999999999999", INT64_C(316224000000000)},
        {"Mon, 05 Jan 2026 10:11:42 GMT", 30000000},
        {"Mon, 05 Jan 2026 10:11:12 GMT", 0},
        {"Sun, 04 Jan 2026 10:11:12 GMT", 0},
        {"Monday, 05-Jan-26 10:12:12 GMT", 60000000},
        {"Mon Jan  5 10:11:13 2026", 1000000},
        {"Fri, 31 Dec 9999 23:59:59 GMT", INT64_C(316224000000000)},
        {"", -1},
        {"-1", -1},
        {"+1", -1},
        {"1.", -1},
        {".5", -1},
        {"1.x", -1},
        {"1s", -1},
        {"1 2", -1},
        {"soon", -1},
        {"Mon, 05 Jan 2026 10:11:42 CET", -1},
        {"2026-01-05T10:11:42Z", -1},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        int64_t delay_us = -1;
        bool is_taken = retry_after_parse(slice_of(rows[index].value), NOW_US, &delay_us);
        if (is_taken != (rows[index].delay_us >= 0) || delay_us != rows[index].delay_us) {
            fail_msg("%s: %lld", rows[index].value, (long long)delay_us);
        }
    }
}

static void test_apply_after(void **state)
{
    (void)state;
    assert_int_equal(retry_apply_after(10, 20, 100), 20);
    assert_int_equal(retry_apply_after(30, 20, 100), 30);
    assert_int_equal(retry_apply_after(10, 500, 100), 100);
    assert_int_equal(retry_apply_after(200, 500, 100), 200);
    assert_int_equal(retry_apply_after(10, 500, 0), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),       cmocka_unit_test(test_at_most_32_delays),
        cmocka_unit_test(test_default),     cmocka_unit_test(test_next),
        cmocka_unit_test(test_retry_after), cmocka_unit_test(test_apply_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
