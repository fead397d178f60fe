/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/delivery_state.h"

#include "base/compiler.h"

static void test_moves(void **state)
{
    (void)state;
    /* from, to: pending, succeeded, failed, cancelled */
    static const bool expected[DELIVERY_STATE_COUNT][DELIVERY_STATE_COUNT] = {
        {true, true, true, true},
        {true, false, false, false},
        {true, true, false, false},
        {true, true, false, false},
    };
    for (unsigned from = 0; from < DELIVERY_STATE_COUNT; from++) {
        for (unsigned to = 0; to < DELIVERY_STATE_COUNT; to++) {
            assert_int_equal(
                delivery_state_can_move((enum delivery_state)from, (enum delivery_state)to),
                expected[from][to]);
        }
        assert_int_equal(delivery_state_is_final((enum delivery_state)from),
                         from != DELIVERY_PENDING);
    }
}

/* The numbers are in every store and in sql/. */
static void test_stored_numbers_and_names(void **state)
{
    (void)state;
    static const char *const states[] = {"pending", "succeeded", "failed", "cancelled"};
    static const char *const reasons[] = {"none",    "generation", "filter",   "expunged",
                                          "breaker", "aborted",    "requested"};
    assert_int_equal(PH_ARRAY_LENGTH(states), DELIVERY_STATE_COUNT);
    assert_int_equal(PH_ARRAY_LENGTH(reasons), DELIVERY_REASON_COUNT);
    for (unsigned index = 0; index < DELIVERY_STATE_COUNT; index++) {
        assert_string_equal(delivery_state_name((enum delivery_state)index), states[index]);
    }
    for (unsigned index = 0; index < DELIVERY_REASON_COUNT; index++) {
        assert_string_equal(delivery_reason_name((enum delivery_reason)index), reasons[index]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_stored_numbers_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
