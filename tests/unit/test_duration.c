/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "core/duration.h"

#define NOW_US INT64_C(1767607872000000) /* Mon, 05 Jan 2026 10:11:12 GMT */

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {
        {"1s", 1},
        {"90s", 90},
        {"15m", 900},
        {"12h", 43200},
        {"30d", 2592000},
        {"2w", 1209600},
        {"007d", 604800},
        {"3162240000s", DURATION_MAX_S},
        {"36600d", DURATION_MAX_S},
        {"5228w", INT64_C(5228) * 7 * 86400},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        int64_t duration_us = 77;
        assert_true(duration_parse(slice_of(rows[index].text), &duration_us));
        assert_true(duration_us == rows[index].seconds * CLOCK_US_PER_S);
    }
}

static void test_bad(void **state)
{
    (void)state;
    static const struct slice rows[] = {
        SLICE_NONE,
        SLICE_LITERAL(""),
        SLICE_LITERAL("s"),
        SLICE_LITERAL("1"),
        SLICE_LITERAL("10"),
        SLICE_LITERAL("0s"),
        SLICE_LITERAL("-1s"),
        SLICE_LITERAL("+1s"),
        SLICE_LITERAL("1.5h"),
        SLICE_LITERAL("1 h"),
        SLICE_LITERAL(" 1h"),
        SLICE_LITERAL("1h "),
        SLICE_LITERAL("1h30m"),
        SLICE_LITERAL("1H"),
        SLICE_LITERAL("1y"),
        SLICE_LITERAL("1ms"),
        SLICE_LITERAL("1s\0"),
        SLICE_LITERAL("1\0s"),
        SLICE_LITERAL("3162240001s"),
        SLICE_LITERAL("36601d"),
        SLICE_LITERAL("5229w"),
        SLICE_LITERAL("9223372036854775807w"),
        SLICE_LITERAL("99999999999999999999s"),
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        int64_t duration_us = 77;
        if (duration_parse(rows[index], &duration_us)) {
            fail_msg("taken: %.*s", SLICE_ARG(rows[index]));
        }
        assert_int_equal(duration_us, 77);
    }
}

static void test_expiry(void **state)
{
    (void)state;
    int64_t wall_us = 77;
    assert_int_equal(duration_parse_expiry(SLICE_LITERAL("2h"), NOW_US, "exp", NULL, &wall_us),
                     PH_OK);
    assert_true(wall_us == NOW_US + 7200 * CLOCK_US_PER_S);
    assert_int_equal(duration_parse_expiry(SLICE_LITERAL("2026-01-05T10:11:12.000001Z"), NOW_US,
                                           "exp", NULL, &wall_us),
                     PH_OK);
    assert_true(wall_us == NOW_US + 1);
    assert_int_equal(duration_parse_expiry(SLICE_LITERAL("2026-01-05T12:11:13+02:00"), NOW_US,
                                           "exp", NULL, &wall_us),
                     PH_OK);
    assert_true(wall_us == NOW_US + CLOCK_US_PER_S);
}

static void test_expiry_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *words;
    } rows[] = {
        {"2026-01-05T10:11:12Z", "the time has passed already"},
        {"2026-01-05T10:11:13+01:00", "the time has passed already"},
        {"1970-01-01T00:00:00Z", "the time has passed already"},
        {"0s", "expected a duration such as 30d or 12h, or a time such as 2027-01-31T00:00:00Z"},
        {"", "expected a duration such as 30d or 12h, or a time such as 2027-01-31T00:00:00Z"},
        {"2027-01-31", "expected a duration such as 30d or 12h, or a time such as "
                       "2027-01-31T00:00:00Z"},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        struct diag diag;
        int64_t wall_us = 77;
        assert_int_equal(
            duration_parse_expiry(slice_of(rows[index].text), NOW_US, "exp", &diag, &wall_us),
            PH_INVALID);
        assert_string_equal(diag.field, "exp");
        assert_string_equal(diag.text, rows[index].words);
        assert_int_equal(wall_us, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_expiry_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
