/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds due deliveries of an endpoint back now: its circuit breaker or a throttle. That is
 * known in the memory of the deliverers only; this table shows it to whoever explains a delivery.
 *
 * Concurrency: one table per flow, under a lock that is held for some nanoseconds. Each endpoint's
 * deliverer writes when the hold of one of its lanes changes; any thread reads. It has at most one
 * entry for each lane, which the deliverers bound.
 */
#ifndef PH_FLOW_HOLD_H
#define PH_FLOW_HOLD_H

#include <stdint.h>

#include "base/compiler.h"

enum hold_kind {
    HOLD_NONE,                 /* nothing, or no delivery is due */
    HOLD_BREAKER,              /* open, or half open with its probe under way */
    HOLD_THROTTLE,             /* the endpoint's rate */
    HOLD_APPLICATION_THROTTLE, /* the application's rate */
};

struct hold {
    enum hold_kind kind;
    int64_t until_us; /* wall clock, when the next delivery may go; 0 = when the probe ends */
};

struct holds;

PH_NODISCARD struct holds *holds_new(void);
/* Nothing may be held any more. NULL is fine. */
void holds_free(struct holds *holds);
/* HOLD_NONE takes the entry away. */
void holds_set(struct holds *holds, int64_t endpoint_id, const struct hold *hold);
struct hold holds_get(struct holds *holds, int64_t endpoint_id);

#endif
