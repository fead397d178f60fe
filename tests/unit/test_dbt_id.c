/* SPDX-License-Identifier: Apache-2.0 */
/* Ids of the dbt surface: there and back, and nothing else is taken for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "core/ksuid.h"
#include "surfaces/dbt/id.h"

static const struct id_codec codec = {.key = {1, 2, 3, 4, 5, 6, 7, 8}};
static const struct id_codec other = {.key = {9}};

static const int64_t numbers[] = {1, 65535, 65536, INT64_C(1) << 40, INT64_MAX - 1};

static void test_kinds_go_around(void **state)
{
    (void)state;
    static const char *const prefixes[] = {"act_", "wsu_", "wrc_"};
    for (size_t kind = 0; kind < DBT_ID_KIND_COUNT; kind++) {
        for (size_t index = 0; index < PH_ARRAY_LENGTH(numbers); index++) {
            char text[DBT_ID_TEXT_MAX];
            int64_t id = 0;
            dbt_id_format(&codec, (enum dbt_id_kind)kind, numbers[index], text);
            assert_int_equal(strlen(text), 4 + KSUID_LENGTH);
            assert_true(slice_starts_with(slice_of(text), prefixes[kind]));
            assert_true(dbt_id_parse(&codec, (enum dbt_id_kind)kind, slice_of(text), &id));
            assert_true(id == numbers[index]);
            assert_false(dbt_id_parse(&other, (enum dbt_id_kind)kind, slice_of(text), &id));
            /* One of another kind is none, even under this one's prefix. */
            enum dbt_id_kind next = (enum dbt_id_kind)((kind + 1) % DBT_ID_KIND_COUNT);
            memcpy(text, prefixes[next], 4);
            assert_false(dbt_id_parse(&codec, next, slice_of(text), &id));
        }
    }
}

static void test_events_go_around(void **state)
{
    (void)state;
    struct id_clock clock;
    char last[DBT_ID_TEXT_MAX] = "";
    id_clock_init(&clock, 3, 0);
    for (size_t index = 0; index < 1000; index++) {
        int64_t wall_us = INT64_C(1700000000123456) + (int64_t)index * 700000;
        int64_t message = id_next(&clock, wall_us);
        int64_t endpoint = numbers[index % PH_ARRAY_LENGTH(numbers)];
        int64_t message_back = 0;
        int64_t endpoint_back = 0;
        char text[DBT_ID_TEXT_MAX];
        uint32_t limbs[KSUID_LIMBS];
        dbt_event_id_format(&codec, message, endpoint, text);
        assert_int_equal(strlen(text), 4 + KSUID_LENGTH);
        assert_true(ksuid_read(text + 4, limbs));
        assert_true(limbs[0] == wall_us / CLOCK_US_PER_S - ID_EPOCH_S); /* as in every KSUID */
        assert_true(dbt_event_id_parse(&codec, slice_of(text), &message_back, &endpoint_back));
        assert_true(message_back == message && endpoint_back == endpoint);
        assert_false(dbt_event_id_parse(&other, slice_of(text), &message_back, &endpoint_back));
        assert_string_not_equal(text, last);
        memcpy(last, text, sizeof last);
    }
}

static void test_what_is_no_event(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "wev_",
                                        "wev_0ujsswThIGTUYm2K8FjOOfXtY1K",
                                        "wsu_0ujsswThIGTUYm2K8FjOOfXtY1K",
                                        "wev_zzzzzzzzzzzzzzzzzzzzzzzzzzz",
                                        "wev_000000000000000000000000000",
                                        "wev_0ujsswThIGTUYm2K8FjOOfXtY1K0",
                                        "wev_0ujsswThIGTUYm2K8FjOOfXtY1-"};
    int64_t message;
    int64_t endpoint;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(texts); index++) {
        assert_false(dbt_event_id_parse(&codec, slice_of(texts[index]), &message, &endpoint));
    }
    /* No digit of a real one can change. */
    char text[DBT_ID_TEXT_MAX];
    struct id_clock clock;
    id_clock_init(&clock, 0, 0);
    dbt_event_id_format(&codec, id_next(&clock, INT64_C(1700000000000000)), 77, text);
    for (size_t index = 4; index < 4 + KSUID_LENGTH; index++) {
        char kept = text[index];
        text[index] = kept == 'a' ? 'b' : 'a';
        assert_false(dbt_event_id_parse(&codec, slice_of(text), &message, &endpoint));
        text[index] = kept;
    }
    assert_true(dbt_event_id_parse(&codec, slice_of(text), &message, &endpoint));
}

static void test_timestamps(void **state)
{
    (void)state;
    struct id_clock clock;
    char text[DBT_TIMESTAMP_MAX];
    char last[DBT_TIMESTAMP_MAX] = "";
    id_clock_init(&clock, 0, 0);
    dbt_timestamp_format(id_next(&clock, INT64_C(1700000000123456)), text);
    assert_string_equal(text, "2023-11-14T22:13:20.120000000Z"); /* of its 4-ms tick */
    for (size_t index = 0; index < 70000; index++) {
        dbt_timestamp_format(id_next(&clock, INT64_C(1700000001000000)), text);
        assert_int_equal(strlen(text), 30);
        assert_true(strcmp(last, text) < 0);
        memcpy(last, text, sizeof last);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_go_around),
        cmocka_unit_test(test_events_go_around),
        cmocka_unit_test(test_what_is_no_event),
        cmocka_unit_test(test_timestamps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
