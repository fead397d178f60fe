/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

#define NOW_US INT64_C(1767607872000000) /* Mon, 05 Jan 2026 10:11:12 GMT */

static void test_format(void **state)
{
    (void)state;
    static const struct {
        int64_t wall_us;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {-1000000, "1969-12-31T23:59:59.000000Z"},
        {NOW_US + 131415, "2026-01-05T10:11:12.131415Z"},
        {INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z"},
        {INT64_C(-62135596800000000), "0001-01-01T00:00:00.000000Z"},
        {INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        char text[CLOCK_TEXT_MAX];
        int64_t back = 0;
        clock_format(rows[index].wall_us, text);
        assert_string_equal(text, rows[index].text);
        assert_true(clock_parse(slice_of(text), &back));
        assert_true(back == rows[index].wall_us);
    }
}

static void test_parse_good(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t wall_us;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-01-05t10:11:12z", NOW_US},
        {"2026-01-05 10:11:12+00:00", NOW_US},
        {"2026-01-05T10:11:12-00:00", NOW_US},
        {"2026-01-05T12:11:12+02:00", NOW_US},
        {"2026-01-04T22:41:12-11:30", NOW_US},
        {"2026-01-06T10:10:12+23:59", NOW_US},
        {"2026-01-05T10:11:12.5Z", NOW_US + 500000},
        {"2026-01-05T10:11:12.000001Z", NOW_US + 1},
        {"2026-01-05T10:11:12.0000019Z", NOW_US + 1},
        {"2026-01-05T10:11:12.99999999999999999999999999Z", NOW_US + 999999},
        {"2000-02-29T00:00:00Z", INT64_C(951782400000000)},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800000000)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000000)},
        {"1900-03-01T00:00:00Z", INT64_C(-2203891200000000)},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        int64_t wall_us = 77;
        if (!clock_parse(slice_of(rows[index].text), &wall_us) || wall_us != rows[index].wall_us) {
            fail_msg("%s: %lld", rows[index].text, (long long)wall_us);
        }
    }
}

static void test_parse_bad(void **state)
{
    (void)state;
    static const struct slice texts[] = {
        SLICE_NONE,
        SLICE_LITERAL(""),
        SLICE_LITERAL("2026-01-05"),
        SLICE_LITERAL("2026-01-05T10:11:12"),
        SLICE_LITERAL("2026-01-05T10:11Z"),
        SLICE_LITERAL("2026-01-05T10:11:12.Z"),
        SLICE_LITERAL("2026-01-05T10:11:12,5Z"),
        SLICE_LITERAL("2026-01-05T10:11:12Z "),
        SLICE_LITERAL(" 2026-01-05T10:11:12Z"),
        SLICE_LITERAL("2026-01-05T10:11:12Z\0"),
        SLICE_LITERAL("2026-01-05\00010:11:12Z"),
        SLICE_LITERAL("2026-01-05_10:11:12Z"),
        SLICE_LITERAL("2026-1-05T10:11:12Z"),
        SLICE_LITERAL("26-01-05T10:11:12Z"),
        SLICE_LITERAL("+2026-01-05T10:11:12Z"),
        SLICE_LITERAL("20260105T101112Z"),
        SLICE_LITERAL("0000-01-01T00:00:00Z"),
        SLICE_LITERAL("2026-00-05T10:11:12Z"),
        SLICE_LITERAL("2026-13-05T10:11:12Z"),
        SLICE_LITERAL("2026-01-00T10:11:12Z"),
        SLICE_LITERAL("2026-01-32T10:11:12Z"),
        SLICE_LITERAL("2026-04-31T10:11:12Z"),
        SLICE_LITERAL("2026-02-29T10:11:12Z"),
        SLICE_LITERAL("1900-02-29T00:00:00Z"),
        SLICE_LITERAL("2024-02-30T00:00:00Z"),
        SLICE_LITERAL("2026-01-05T24:00:00Z"),
        SLICE_LITERAL("2026-01-05T10:60:12Z"),
        SLICE_LITERAL("2026-01-05T10:11:61Z"),
        SLICE_LITERAL("2026-01-05T-1:11:12Z"),
        SLICE_LITERAL("2026-01-05T10:11:12+0200"),
        SLICE_LITERAL("2026-01-05T10:11:12+02"),
        SLICE_LITERAL("2026-01-05T10:11:12+24:00"),
        SLICE_LITERAL("2026-01-05T10:11:12+02:60"),
        SLICE_LITERAL("2026-01-05T10:11:12 UTC"),
        SLICE_LITERAL("now"),
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(texts); index++) {
        int64_t wall_us = 77;
        if (clock_parse(texts[index], &wall_us)) {
            fail_msg("taken: %.*s", SLICE_ARG(texts[index]));
        }
        assert_int_equal(wall_us, 77);
    }
}

/* Each day of four centuries is one day after the one before, as the calendar of libc has it. */
static void test_every_day_of_a_cycle(void **state)
{
    (void)state;
    const int64_t day_us = 86400 * CLOCK_US_PER_S;
    for (int64_t day = -80000; day < 80000; day++) {
        char text[CLOCK_TEXT_MAX];
        int64_t back = 0;
        clock_format(day * day_us, text);
        assert_true(clock_parse(slice_of(text), &back));
        assert_true(back == day * day_us);
    }
}

static void test_http_dates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t wall_us;
    } good[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", INT64_C(784111777000000)},
        {"Sunday, 06-Nov-94 08:49:37 GMT", INT64_C(784111777000000)},
        {"Sun Nov  6 08:49:37 1994", INT64_C(784111777000000)},
        {"Mon, 05 Jan 2026 10:11:12 GMT", NOW_US},
        {"Monday, 05-Jan-26 10:11:12 GMT", NOW_US},
        {"Tue, 29 Feb 2000 00:00:00 GMT", INT64_C(951782400000000)},
        {"Saturday, 31-Dec-76 23:59:59 GMT", INT64_C(3376684799000000)},
        {"Friday, 31-Dec-77 23:59:59 GMT", INT64_C(252460799000000)},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(good); index++) {
        int64_t wall_us = 77;
        if (!clock_parse_http_date(slice_of(good[index].text), NOW_US, &wall_us) ||
            wall_us != good[index].wall_us) {
            fail_msg("%s: %lld", good[index].text, (long long)wall_us);
        }
    }
    static const struct slice bad[] = {
        SLICE_NONE,
        SLICE_LITERAL(""),
        SLICE_LITERAL("Sun, 06 Nov 1994 08:49:37"),
        SLICE_LITERAL("Sun, 06 Nov 1994 08:49:37 UTC"),
        SLICE_LITERAL("Sun, 06 Nov 1994 08:49:37 GMT and more"),
        SLICE_LITERAL("Sun, 06 Nov 1994 08:49:37 GMT\0"),
        SLICE_LITERAL("Sun, 06 Nov 1994 08:49:37\0GMT"),
        SLICE_LITERAL("Sun, 06 Nxv 1994 08:49:37 GMT"),
        SLICE_LITERAL("Sun, 06 anF 1994 08:49:37 GMT"),
        SLICE_LITERAL("Sun, 31 Nov 1994 08:49:37 GMT"),
        SLICE_LITERAL("Sun, 00 Nov 1994 08:49:37 GMT"),
        SLICE_LITERAL("Sun, 06 Nov 1994 24:49:37 GMT"),
        SLICE_LITERAL("Sun, 06 Nov 1994 08:60:37 GMT"),
        SLICE_LITERAL("Sun, 06 Nov 1994 08:49:-1 GMT"),
        SLICE_LITERAL("Sun, 06 Nov 0000 08:49:37 GMT"),
        SLICE_LITERAL("1994-11-06T08:49:37Z"),
        SLICE_LITERAL("Sunday, 06-Nov-94 08:49:37 GMT 0123456789abcdef"),
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bad); index++) {
        int64_t wall_us = 77;
        if (clock_parse_http_date(bad[index], NOW_US, &wall_us)) {
            fail_msg("taken: %.*s", SLICE_ARG(bad[index]));
        }
        assert_int_equal(wall_us, 77);
    }
}

static void test_clocks_and_deadlines(void **state)
{
    (void)state;
    int64_t boot_us = clock_boot_us();
    assert_true(boot_us > 0);
    assert_true(clock_boot_us() >= boot_us);
    assert_true(clock_wall_us() > NOW_US - INT64_C(366) * 86400 * CLOCK_US_PER_S);
    static const int64_t waits_us[] = {0, 1, 999999, 1000000, 1999999, INT64_C(86400000000)};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(waits_us); index++) {
        struct timespec now = clock_deadline(0);
        struct timespec until = clock_deadline(waits_us[index]);
        assert_in_range(until.tv_nsec, 0, 999999999);
        int64_t distance_ns =
            (int64_t)(until.tv_sec - now.tv_sec) * 1000000000 + (until.tv_nsec - now.tv_nsec);
        assert_true(distance_ns >= waits_us[index] * 1000);
        assert_true(distance_ns < waits_us[index] * 1000 + INT64_C(60000000000));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),     cmocka_unit_test(test_parse_good),
        cmocka_unit_test(test_parse_bad),  cmocka_unit_test(test_every_day_of_a_cycle),
        cmocka_unit_test(test_http_dates), cmocka_unit_test(test_clocks_and_deadlines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
