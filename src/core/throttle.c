/* SPDX-License-Identifier: Apache-2.0 */
#include "core/throttle.h"

#include "base/compiler.h"

/* A token in credit units: a rate of r per second earns r units each microsecond, without
 * rounding. */
#define TOKEN INT64_C(1000000)

#define SMOOTH_PARTS 4 /* of a second */

/* The most that is saved up. */
static int64_t burst_of(const struct throttle *bucket)
{
    int64_t burst = bucket->rate * TOKEN;
    if (!bucket->is_smooth) {
        return burst;
    }
    return burst / SMOOTH_PARTS > TOKEN ? burst / SMOOTH_PARTS : TOKEN;
}

static int64_t credit_at(const struct throttle *bucket, int64_t now_us)
{
    int64_t elapsed_us = now_us - bucket->counted_at_us;
    if (elapsed_us <= 0) {
        return bucket->credit;
    }
    int64_t burst = burst_of(bucket);
    int64_t missing = burst - bucket->credit;
    /* Divided, because the product of a long time would overflow. */
    return elapsed_us > missing / bucket->rate ? burst : bucket->credit + elapsed_us * bucket->rate;
}

static void count(struct throttle *bucket, int64_t now_us)
{
    bucket->credit = credit_at(bucket, now_us);
    if (now_us > bucket->counted_at_us) {
        bucket->counted_at_us = now_us;
    }
}

void throttle_init(struct throttle *bucket, int64_t rate_per_s, int64_t now_us)
{
    PH_ASSERT(rate_per_s >= 0 && rate_per_s <= THROTTLE_RATE_MAX);
    *bucket = (struct throttle){.rate = rate_per_s, .counted_at_us = now_us};
    bucket->credit = burst_of(bucket);
}

void throttle_init_smooth(struct throttle *bucket, int64_t rate_per_s, int64_t now_us)
{
    PH_ASSERT(rate_per_s >= 0 && rate_per_s <= THROTTLE_RATE_MAX);
    *bucket = (struct throttle){rate_per_s, TOKEN, now_us, true};
}

void throttle_set_rate(struct throttle *bucket, int64_t rate_per_s, int64_t now_us)
{
    PH_ASSERT(rate_per_s >= 0 && rate_per_s <= THROTTLE_RATE_MAX);
    PH_ASSERT(!bucket->is_smooth);
    if (bucket->rate == 0) {
        throttle_init(bucket, rate_per_s, now_us);
        return;
    }
    count(bucket, now_us);
    bucket->rate = rate_per_s;
    if (bucket->credit > rate_per_s * TOKEN) {
        bucket->credit = rate_per_s * TOKEN;
    }
}

bool throttle_take(struct throttle *bucket, int64_t now_us)
{
    if (bucket->rate == 0) {
        return true;
    }
    count(bucket, now_us);
    if (bucket->credit < TOKEN) {
        return false;
    }
    bucket->credit -= TOKEN;
    return true;
}

int64_t throttle_reserve(struct throttle *bucket, int64_t now_us)
{
    if (bucket->rate == 0) {
        return now_us;
    }
    count(bucket, now_us);
    bucket->credit -= TOKEN;
    if (bucket->credit >= 0) {
        return now_us;
    }
    return bucket->counted_at_us + (-bucket->credit + bucket->rate - 1) / bucket->rate;
}

void throttle_give_back(struct throttle *bucket)
{
    int64_t burst = burst_of(bucket);
    bucket->credit = bucket->credit + TOKEN > burst ? burst : bucket->credit + TOKEN;
}

int64_t throttle_ready_at(const struct throttle *bucket, int64_t now_us)
{
    if (bucket->rate == 0) {
        return now_us;
    }
    int64_t missing = TOKEN - credit_at(bucket, now_us);
    if (missing <= 0) {
        return now_us;
    }
    /* Credit is earned from counted_at_us on, which is not after `now_us` unless time stood. */
    int64_t from_us = now_us > bucket->counted_at_us ? now_us : bucket->counted_at_us;
    return from_us + (missing + bucket->rate - 1) / bucket->rate;
}
