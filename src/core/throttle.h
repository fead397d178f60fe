/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token bucket: a rate per second with a burst of one second's worth, or a smooth one, which begins
 * with a single token and saves up a quarter of a second's worth. Times are boot microseconds.
 * Pure; a bucket belongs to one thread.
 */
#ifndef PH_CORE_THROTTLE_H
#define PH_CORE_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#define THROTTLE_RATE_MAX 1000000

struct throttle {
    int64_t rate;   /* per second, 0 = no limit */
    int64_t credit; /* millionths of a token; below 0 when tokens are reserved */
    int64_t counted_at_us;
    bool is_smooth;
};

/* A full bucket. `rate_per_s` 0..THROTTLE_RATE_MAX, 0 = no limit. */
void throttle_init(struct throttle *bucket, int64_t rate_per_s, int64_t now_us);
/* One that hands out no burst at its beginning, and little of one later: in any second at most a
 * quarter more than the rate, and one. */
void throttle_init_smooth(struct throttle *bucket, int64_t rate_per_s, int64_t now_us);
/* Another rate from now on; what is saved up stays within the new burst. */
void throttle_set_rate(struct throttle *bucket, int64_t rate_per_s, int64_t now_us);
/* Takes one token; false when there is none. */
bool throttle_take(struct throttle *bucket, int64_t now_us);
/* Takes the next token though it may not be earned yet: the time from which it may be used,
 * `now_us` or later. */
int64_t throttle_reserve(struct throttle *bucket, int64_t now_us);
/* Gives one token back that was taken and not used. */
void throttle_give_back(struct throttle *bucket);
/* The earliest time at which throttle_take succeeds: `now_us` when it does now. */
int64_t throttle_ready_at(const struct throttle *bucket, int64_t now_us);

#endif
