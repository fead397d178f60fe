/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/id.h"

static const struct id_codec codec = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
};

#define WALL_US INT64_C(1767607872131415) /* 2026-01-05T10:11:12.131415Z */

static void test_text_and_back(void **state)
{
    (void)state;
    static const int64_t ids[] = {0, 1, 2, 0x7fffff, 0x800000, INT64_C(3155692607365283841),
                                  INT64_MAX - 1, INT64_MAX};
    for (unsigned kind = 0; kind < ID_KIND_COUNT; kind++) {
        for (size_t index = 0; index < PH_ARRAY_LENGTH(ids); index++) {
            char text[ID_TEXT_MAX];
            size_t length = id_format(&codec, (enum id_kind)kind, ids[index], text);
            assert_int_equal(length, strlen(text));
            assert_int_equal(length, strlen(id_prefix((enum id_kind)kind)) + ID_KSUID_LENGTH);
            assert_true(id_has_prefix((enum id_kind)kind, slice_of(text)));
            int64_t back = -1;
            assert_true(id_parse(&codec, (enum id_kind)kind, slice_of(text), &back));
            assert_true(back == ids[index]);
        }
    }
}

/* Ids in stores and at receivers depend on this text: it never changes. Computed with Python's
 * integers and an independent SipHash-2-4-128. */
static void test_known_texts(void **state)
{
    (void)state;
    char text[ID_TEXT_MAX];
    (void)id_format(&codec, ID_MESSAGE, INT64_C(3083442041503055873), text);
    assert_string_equal(text, "msg_CD6Bd9As1XApm8g4ScdI8sxPOpr");
    (void)id_format(&codec, ID_APPLICATION, 1, text);
    assert_string_equal(text, "app_00000000003L6br8BwIFr9ZPru4");
    (void)id_format(&codec, ID_TASK, INT64_MAX, text);
    assert_string_equal(text, "qtask_aWgEPTl1tmcQRlpkFPd0BChqYh6");
}

static void test_foreign_texts_are_refused(void **state)
{
    (void)state;
    char text[ID_TEXT_MAX];
    int64_t id;
    size_t length = id_format(&codec, ID_MESSAGE, 123456789012345678, text);
    /* Any changed character, at any place. */
    for (size_t index = 0; index < length; index++) {
        static const char others[] = "0Az_-.! \x7f";
        for (size_t other = 0; other < sizeof others - 1; other++) {
            char before = text[index];
            if (before != others[other]) {
                text[index] = others[other];
                assert_false(id_parse(&codec, ID_MESSAGE, slice_of(text), &id));
                text[index] = before;
            }
        }
    }
    assert_true(id_parse(&codec, ID_MESSAGE, slice_of(text), &id));
    assert_false(id_parse(&codec, ID_MESSAGE, (struct slice){text, length - 1}, &id));
    assert_false(id_parse(&codec, ID_MESSAGE, (struct slice){text + 1, length - 1}, &id));
    assert_false(id_parse(&codec, ID_MESSAGE, SLICE_NONE, &id));
    assert_false(id_parse(&codec, ID_MESSAGE, SLICE_LITERAL("msg_"), &id));
    /* Another kind, another store. */
    assert_false(id_parse(&codec, ID_APPLICATION, slice_of(text), &id));
    char same_tail[ID_TEXT_MAX];
    (void)snprintf(same_tail, sizeof same_tail, "app_%s", text + 4);
    assert_false(id_parse(&codec, ID_APPLICATION, slice_of(same_tail), &id));
    const struct id_codec other = {{1}};
    assert_false(id_parse(&other, ID_MESSAGE, slice_of(text), &id));
    /* 2^160 and beyond. */
    assert_false(id_parse(&codec, ID_MESSAGE, SLICE_LITERAL("msg_aWgEPTl1tmebfsQzFP4bxwgy80W"),
                          &id));
    assert_false(id_parse(&codec, ID_MESSAGE, SLICE_LITERAL("msg_zzzzzzzzzzzzzzzzzzzzzzzzzzz"),
                          &id));
    /* A real KSUID of another system. */
    assert_false(id_parse(&codec, ID_ORGANISATION, SLICE_LITERAL("org_23rb8YdGqMT0qIzpgGwdXfHirMu"),
                          &id));
}

static void test_order_of_text_is_order_of_ids(void **state)
{
    (void)state;
    char before[ID_TEXT_MAX];
    char after[ID_TEXT_MAX];
    struct id_clock clock;
    id_clock_init(&clock, 3, 0);
    (void)id_format(&codec, ID_ATTEMPT, id_next(&clock, WALL_US), before);
    for (int64_t step = 1; step < 5000; step++) {
        (void)id_format(&codec, ID_ATTEMPT, id_next(&clock, WALL_US + step * 977), after);
        assert_true(strcmp(before, after) < 0);
        memcpy(before, after, sizeof before);
    }
}

static int64_t node_of(int64_t id)
{
    return id >> 16 & 127;
}

static void test_clock_counts_within_a_tick(void **state)
{
    (void)state;
    struct id_clock clock;
    id_clock_init(&clock, 0, 0);
    int64_t first = id_next(&clock, WALL_US);
    assert_true(first == id_floor(WALL_US));
    assert_true(id_next(&clock, WALL_US) == first + 1);
    assert_true(id_next(&clock, WALL_US + 1) == first + 2);
    assert_true(id_next(&clock, WALL_US + ID_TICK_US) == id_floor(WALL_US + ID_TICK_US));
}

static void test_clock_goes_on_when_the_wall_steps_back(void **state)
{
    (void)state;
    struct id_clock clock;
    id_clock_init(&clock, 5, 0);
    int64_t last = id_next(&clock, WALL_US);
    for (int64_t step = 0; step < 200000; step++) {
        int64_t id = id_next(&clock, WALL_US - 3600 * INT64_C(1000000) - step);
        assert_true(id > last);
        assert_int_equal(node_of(id), 5);
        last = id;
    }
    /* 200 000 ids fill three ticks and more, no further. */
    assert_true(id_time_us(last) > WALL_US && id_time_us(last) <= WALL_US + 4 * ID_TICK_US);
}

static void test_full_tick_at_the_end_of_a_second(void **state)
{
    (void)state;
    struct id_clock clock;
    int64_t tick_249 = id_floor(WALL_US / 1000000 * 1000000 + 999999);
    id_clock_init(&clock, 2, tick_249 | 2 << 16 | 0xffff);
    int64_t id = id_next(&clock, WALL_US - 5000000);
    assert_true(id == (id_floor((WALL_US / 1000000 + 1) * 1000000) | 2 << 16));
}

static void test_clock_takes_over_from_another_node(void **state)
{
    (void)state;
    struct id_clock clock;
    int64_t tick = id_floor(WALL_US);
    id_clock_init(&clock, 9, tick | 4 << 16 | 77);
    assert_true(id_next(&clock, WALL_US) == (tick | 9 << 16));
    id_clock_init(&clock, 4, tick | 9 << 16 | 77);
    int64_t id = id_next(&clock, WALL_US);
    assert_true(id == (id_floor(WALL_US + ID_TICK_US) | 4 << 16));
}

static void test_no_id_is_zero(void **state)
{
    (void)state;
    struct id_clock clock;
    id_clock_init(&clock, 0, 0);
    assert_true(id_next(&clock, 0) > 0);
    id_clock_init(&clock, 0, 0);
    assert_true(id_next(&clock, -1) > 0);
}

static void test_time_bounds(void **state)
{
    (void)state;
    assert_true(id_floor(INT64_MIN) == 0);
    assert_true(id_floor(0) == 0);
    assert_true(id_floor(ID_EPOCH_S * 1000000 - 1) == 0);
    assert_true(id_floor(ID_EPOCH_S * 1000000) == 0);
    assert_true(id_floor(ID_EPOCH_S * 1000000 + 3999) == 0);
    assert_true(id_floor(ID_EPOCH_S * 1000000 + 4000) == INT64_C(1) << 23);
    assert_true(id_floor(ID_EPOCH_S * 1000000 + 1000000) == INT64_C(256) << 23);
    assert_true(id_floor(INT64_MAX) == INT64_MAX);
    assert_true(id_time_us(id_floor(WALL_US)) == WALL_US / 4000 * 4000);
    struct id_clock clock;
    id_clock_init(&clock, 127, 0);
    int64_t id = id_next(&clock, WALL_US);
    assert_true(id >= id_floor(WALL_US) && id < id_floor(WALL_US + ID_TICK_US));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_and_back),
        cmocka_unit_test(test_known_texts),
        cmocka_unit_test(test_foreign_texts_are_refused),
        cmocka_unit_test(test_order_of_text_is_order_of_ids),
        cmocka_unit_test(test_clock_counts_within_a_tick),
        cmocka_unit_test(test_clock_goes_on_when_the_wall_steps_back),
        cmocka_unit_test(test_full_tick_at_the_end_of_a_second),
        cmocka_unit_test(test_clock_takes_over_from_another_node),
        cmocka_unit_test(test_no_id_is_zero),
        cmocka_unit_test(test_time_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
