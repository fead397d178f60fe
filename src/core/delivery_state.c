/* SPDX-License-Identifier: Apache-2.0 */
#include "core/delivery_state.h"

#include "base/compiler.h"

static const char *const state_names[] = {
    [DELIVERY_PENDING] = "pending",
    [DELIVERY_SUCCEEDED] = "succeeded",
    [DELIVERY_FAILED] = "failed",
    [DELIVERY_CANCELLED] = "cancelled",
};
_Static_assert(PH_ARRAY_LENGTH(state_names) == DELIVERY_STATE_COUNT, "one name per state");

static const char *const reason_names[] = {
    [DELIVERY_REASON_NONE] = "none",           [DELIVERY_REASON_GENERATION] = "generation",
    [DELIVERY_REASON_FILTER] = "filter",       [DELIVERY_REASON_EXPUNGED] = "expunged",
    [DELIVERY_REASON_BREAKER] = "breaker",     [DELIVERY_REASON_ABORTED] = "aborted",
    [DELIVERY_REASON_REQUESTED] = "requested",
};
_Static_assert(PH_ARRAY_LENGTH(reason_names) == DELIVERY_REASON_COUNT, "one name per reason");

/* moves[from][to] */
static const bool moves[DELIVERY_STATE_COUNT][DELIVERY_STATE_COUNT] = {
    [DELIVERY_PENDING] = {[DELIVERY_PENDING] = true,
                          [DELIVERY_SUCCEEDED] = true,
                          [DELIVERY_FAILED] = true,
                          [DELIVERY_CANCELLED] = true},
    [DELIVERY_SUCCEEDED] = {[DELIVERY_PENDING] = true},
    [DELIVERY_FAILED] = {[DELIVERY_PENDING] = true, [DELIVERY_SUCCEEDED] = true},
    [DELIVERY_CANCELLED] = {[DELIVERY_PENDING] = true, [DELIVERY_SUCCEEDED] = true},
};

bool delivery_state_can_move(enum delivery_state from, enum delivery_state to)
{
    PH_ASSERT((unsigned)from < DELIVERY_STATE_COUNT && (unsigned)to < DELIVERY_STATE_COUNT);
    return moves[from][to];
}

bool delivery_state_is_final(enum delivery_state state)
{
    PH_ASSERT((unsigned)state < DELIVERY_STATE_COUNT);
    return state != DELIVERY_PENDING;
}

const char *delivery_state_name(enum delivery_state state)
{
    PH_ASSERT((unsigned)state < DELIVERY_STATE_COUNT);
    return state_names[state];
}

const char *delivery_reason_name(enum delivery_reason reason)
{
    PH_ASSERT((unsigned)reason < DELIVERY_REASON_COUNT);
    return reason_names[reason];
}
