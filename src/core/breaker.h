/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Circuit breaker of one endpoint.
 *
 *                     enough failures in the window
 *      CLOSED ────────────────────────────────────────► OPEN ◄──────────┐
 *        ▲                                                │ time is over │ probe fails:
 *        │                  probe succeeds                ▼              │ twice as long
 *        └─────────────────────────────────────────── HALF_OPEN ────────┘
 *
 * Times are boot microseconds. Pure; a breaker belongs to one thread.
 */
#ifndef PH_CORE_BREAKER_H
#define PH_CORE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_SLOTS 6 /* parts of the window, so that it slides */
#define BREAKER_OPEN_MAX_US INT64_C(300000000)

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker_settings {
    int64_t min_attempts; /* fewer in the window never open it; 0 = there is no breaker */
    double failure_ratio; /* 0..1: failures of all attempts in the window that open it */
    int64_t window_us;
    int64_t open_us;     /* the first time; it doubles with each failed probe */
    int64_t open_max_us; /* up to this: min(BREAKER_OPEN_MAX_US, longest retry delay) */
};

struct breaker {
    enum breaker_state state;
    bool has_probe;     /* HALF_OPEN: the one attempt is under way */
    unsigned openings;  /* since it was last closed */
    int64_t open_until; /* OPEN */
    int64_t slot;       /* number of the current part of the window */
    uint32_t attempts[BREAKER_SLOTS];
    uint32_t failures[BREAKER_SLOTS];
};

void breaker_init(struct breaker *breaker);
/* When an attempt may start: `now_us`, the end of the open time, or INT64_MAX while a probe is
 * under way. */
int64_t breaker_ready_at(const struct breaker *breaker, int64_t now_us);
/* Whether an attempt may start now. In HALF_OPEN that takes the one probe. */
bool breaker_take(struct breaker *breaker, int64_t now_us);
/* Gives a probe back that was not sent. */
void breaker_give_back(struct breaker *breaker);
/* An attempt ended. `is_failure`: one that counts (verdict_result.counts_for_breaker). Returns
 * whether the state changed. */
bool breaker_report(struct breaker *breaker, const struct breaker_settings *settings,
                    bool is_failure, int64_t now_us);

#endif
