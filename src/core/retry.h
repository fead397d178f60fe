/* SPDX-License-Identifier: Apache-2.0 */
/* When the next attempt is made. Pure; any thread. */
#ifndef PH_CORE_RETRY_H
#define PH_CORE_RETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

#define RETRY_DELAYS_MAX 32
#define RETRY_DELAY_MAX_S (30 * 86400)
#define RETRY_JITTER_DEFAULT 0.2

/* Delays after the first, second, … attempt: count + 1 attempts in all. */
struct retry_schedule {
    int64_t delays_us[RETRY_DELAYS_MAX];
    unsigned count;
    double jitter; /* 0.2 = each delay is within 20 % either way; 0..1 */
};

/* Seconds between commas, fractions legal ("0.05,0.1"); empty text = one attempt. Jitter is set to
 * the default. PH_INVALID naming `field` for anything else, more than 32 delays, or one above 30
 * days. */
PH_NODISCARD enum ph_error retry_schedule_parse(struct slice text, const char *field,
                                                struct diag *diag,
                                                struct retry_schedule *ret_schedule);
/* Adds one delay under the same rules. */
PH_NODISCARD enum ph_error retry_schedule_add(struct retry_schedule *schedule, double delay_s,
                                              const char *field, struct diag *diag);

/* Delay after `attempts_done` (1..) attempts, jittered by `random_unit` in [0, 1). False when the
 * schedule is exhausted. */
bool retry_next_delay_us(const struct retry_schedule *schedule, unsigned attempts_done,
                         double random_unit, int64_t *ret_delay_us);
/* Longest and total of the unjittered delays; 0 for an empty schedule. */
int64_t retry_longest_us(const struct retry_schedule *schedule);
int64_t retry_total_us(const struct retry_schedule *schedule);

/* Value of a Retry-After header as a delay from `now_us`: seconds (decimals are rounded up) or an
 * HTTP date (one in the past gives 0). Never above ten years. False for anything else. */
bool retry_after_parse(struct slice value, int64_t now_us, int64_t *ret_delay_us);
/* The later of the schedule's delay and what the receiver asked for, the latter up to `cap_us`. */
int64_t retry_apply_after(int64_t delay_us, int64_t after_us, int64_t cap_us);

#endif
