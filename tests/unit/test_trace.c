/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/trace.h"

#define ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"

static void test_takes_what_is_valid(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_sampled;
    } rows[] = {
        {"00-" ID "-" SPAN "-01", true},
        {"00-" ID "-" SPAN "-00", false},
        {"00-" ID "-" SPAN "-ff", true},
        {"00-" ID "-" SPAN "-fe", false},
        {"cc-" ID "-" SPAN "-01", true},
        {"cc-" ID "-" SPAN "-01-what-the-future-will-be-like", true},
        {"fe-" ID "-" SPAN "-01-", true},
    };
    for (size_t i = 0; i < PH_ARRAY_LENGTH(rows); i++) {
        struct trace trace = {0};
        char text[TRACE_ID_TEXT_MAX];
        assert_true(trace_parse(slice_of(rows[i].text), &trace));
        assert_true(trace_exists(&trace));
        assert_int_equal(trace.is_sampled, rows[i].is_sampled);
        trace_format_id(&trace, text);
        assert_string_equal(text, ID);
    }
}

static void test_refuses_what_is_not(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "00",
        "ff-" ID "-" SPAN "-01",
        "00-" ID "-" SPAN "-01-",
        "00-" ID "-" SPAN "-01-extra",
        "00-" ID "-" SPAN "-0",
        "00-" ID "-" SPAN "-0g",
        "00-" ID "-" SPAN "_01",
        "00_" ID "-" SPAN "-01",
        "0x-" ID "-" SPAN "-01",
        "cc-" ID "-" SPAN "-01.what",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" ID "-0000000000000000-01",
        "00-" ID "-00f067aa0ba902B7-01",
        " 00-" ID "-" SPAN "-01",
    };
    for (size_t i = 0; i < PH_ARRAY_LENGTH(rows); i++) {
        struct trace trace = {0};
        assert_false(trace_parse(slice_of(rows[i]), &trace));
        assert_false(trace_exists(&trace));
    }
    struct trace trace;
    assert_false(trace_parse(SLICE_NONE, &trace));
}

static void test_is_passed_on_and_kept(void **state)
{
    (void)state;
    static const uint8_t span[TRACE_SPAN_BYTES] = {1, 2, 3, 4, 5, 6, 7, 0xf8};
    struct trace trace;
    char text[TRACE_PARENT_TEXT_MAX];
    assert_true(trace_parse(SLICE_LITERAL("cc-" ID "-" SPAN "-ff-more"), &trace));
    uint8_t bytes[TRACE_BYTES];
    trace_to_bytes(&trace, bytes);
    struct trace read = trace_from_bytes((struct slice){(const char *)bytes, sizeof bytes});
    trace_format_parent(&read, span, text);
    assert_string_equal(text, "00-" ID "-01020304050607f8-01");
    read.is_sampled = false;
    trace_format_parent(&read, span, text);
    assert_string_equal(text, "00-" ID "-01020304050607f8-00");
    read = trace_from_bytes(SLICE_NONE);
    assert_false(trace_exists(&read));
    read = trace_from_bytes((struct slice){(const char *)bytes, sizeof bytes - 1});
    assert_false(trace_exists(&read));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_what_is_valid),
        cmocka_unit_test(test_refuses_what_is_not),
        cmocka_unit_test(test_is_passed_on_and_kept),
    };
    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
