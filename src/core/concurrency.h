/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many attempts one endpoint gets at the same time, found out as TCP finds its window: fast
 * growth until the first sign of trouble, then one more per round of answers, and down by half when
 * the receiver says or shows that it is too much (429, 5xx, timeouts), by a tenth when its answers
 * become much slower than they were.
 *
 * Times are microseconds, `now_us` of the boot clock. Pure; a limit belongs to one thread.
 */
#ifndef PH_CORE_CONCURRENCY_H
#define PH_CORE_CONCURRENCY_H

#include <stdbool.h>
#include <stdint.h>

#define CONCURRENCY_START 16

struct concurrency {
    double limit;
    bool is_growing_fast; /* until the first decrease */
    int64_t usual_us;     /* moving average of the durations of good answers, 0 = none yet */
    int64_t best_us;      /* slowly rising minimum of it */
    int64_t decreased_at_us;
};

/* Begins at CONCURRENCY_START, or at `cap` (1..) when that is lower. */
void concurrency_init(struct concurrency *concurrency, unsigned cap);
/* 1..cap attempts. */
unsigned concurrency_limit(const struct concurrency *concurrency, unsigned cap);
/*
 * An attempt ended. `is_overload`: 429, 5xx or a timeout. `in_flight`: attempts that were under way
 * with it, itself included; the limit grows only when it was what held more back.
 */
void concurrency_report(struct concurrency *concurrency, bool is_overload, int64_t duration_us,
                        unsigned in_flight, unsigned cap, int64_t now_us);

#endif
