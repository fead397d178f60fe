/* SPDX-License-Identifier: Apache-2.0 */
#include "core/concurrency.h"

/* An answer is slow when it takes four times what it took at best, and a quarter of a second more:
 * receivers within a data centre vary by milliseconds for reasons of their own. */
#define SLOW_FACTOR 4
#define SLOW_EXTRA_US INT64_C(250000)
/* Weight of one answer in the average, and the rise of the minimum per answer. */
#define AVERAGE_PART 8
#define BEST_RISE_PART 256
/* Decreases are this far apart at least, so that one round of bad answers counts once. */
#define DECREASE_INTERVAL_MIN_US INT64_C(100000)

void concurrency_init(struct concurrency *concurrency, unsigned cap)
{
    unsigned start = cap < CONCURRENCY_START ? cap : CONCURRENCY_START;
    *concurrency = (struct concurrency){.limit = (double)start, .is_growing_fast = true};
}

unsigned concurrency_limit(const struct concurrency *concurrency, unsigned cap)
{
    unsigned limit = concurrency->limit < 1 ? 1 : (unsigned)concurrency->limit;
    return limit < cap ? limit : cap;
}

static void note_duration(struct concurrency *concurrency, int64_t duration_us)
{
    if (concurrency->usual_us == 0) {
        concurrency->usual_us = duration_us;
        concurrency->best_us = duration_us;
        return;
    }
    concurrency->usual_us += (duration_us - concurrency->usual_us) / AVERAGE_PART;
    if (concurrency->usual_us < concurrency->best_us) {
        concurrency->best_us = concurrency->usual_us;
    } else {
        concurrency->best_us += (concurrency->usual_us - concurrency->best_us) / BEST_RISE_PART;
    }
}

static void decrease(struct concurrency *concurrency, double factor, int64_t duration_us,
                     int64_t now_us)
{
    int64_t interval_us =
        duration_us > DECREASE_INTERVAL_MIN_US ? duration_us : DECREASE_INTERVAL_MIN_US;
    if (concurrency->decreased_at_us != 0 && now_us - concurrency->decreased_at_us < interval_us) {
        return;
    }
    concurrency->decreased_at_us = now_us;
    concurrency->is_growing_fast = false;
    concurrency->limit *= factor;
    if (concurrency->limit < 1) {
        concurrency->limit = 1;
    }
}

void concurrency_report(struct concurrency *concurrency, bool is_overload, int64_t duration_us,
                        unsigned in_flight, unsigned cap, int64_t now_us)
{
    if (concurrency->limit > (double)cap) {
        concurrency->limit = (double)cap;
    }
    if (is_overload) {
        decrease(concurrency, 0.5, duration_us, now_us);
        return;
    }
    note_duration(concurrency, duration_us);
    if (concurrency->usual_us > SLOW_FACTOR * concurrency->best_us + SLOW_EXTRA_US) {
        decrease(concurrency, 0.9, duration_us, now_us);
        return;
    }
    if (in_flight >= concurrency_limit(concurrency, cap) && concurrency->limit < (double)cap) {
        concurrency->limit += concurrency->is_growing_fast ? 1.0 : 1.0 / concurrency->limit;
    }
}
