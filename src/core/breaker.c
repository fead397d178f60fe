/* SPDX-License-Identifier: Apache-2.0 */
#include "core/breaker.h"

#include <string.h>

void breaker_init(struct breaker *breaker)
{
    *breaker = (struct breaker){.state = BREAKER_CLOSED};
}

int64_t breaker_ready_at(const struct breaker *breaker, int64_t now_us)
{
    if (breaker->state == BREAKER_OPEN) {
        return breaker->open_until > now_us ? breaker->open_until : now_us;
    }
    return breaker->state == BREAKER_HALF_OPEN && breaker->has_probe ? INT64_MAX : now_us;
}

bool breaker_take(struct breaker *breaker, int64_t now_us)
{
    if (breaker_ready_at(breaker, now_us) > now_us) {
        return false;
    }
    if (breaker->state != BREAKER_CLOSED) {
        breaker->state = BREAKER_HALF_OPEN;
        breaker->has_probe = true;
    }
    return true;
}

void breaker_give_back(struct breaker *breaker)
{
    breaker->has_probe = false;
}

static void forget_window(struct breaker *breaker)
{
    memset(breaker->attempts, 0, sizeof breaker->attempts);
    memset(breaker->failures, 0, sizeof breaker->failures);
}

/* Moves the window to `now_us` and clears what it left behind. */
static void slide(struct breaker *breaker, int64_t window_us, int64_t now_us)
{
    int64_t part_us = window_us / BREAKER_SLOTS;
    int64_t slot = now_us / (part_us > 0 ? part_us : 1);
    if (slot - breaker->slot >= BREAKER_SLOTS) {
        forget_window(breaker);
        breaker->slot = slot;
    }
    while (breaker->slot < slot) {
        breaker->slot++;
        breaker->attempts[breaker->slot % BREAKER_SLOTS] = 0;
        breaker->failures[breaker->slot % BREAKER_SLOTS] = 0;
    }
}

static void open(struct breaker *breaker, const struct breaker_settings *settings, int64_t now_us)
{
    int64_t open_us = settings->open_us;
    for (unsigned count = 0; count < breaker->openings && open_us < settings->open_max_us;
         count++) {
        open_us *= 2;
    }
    breaker->state = BREAKER_OPEN;
    breaker->has_probe = false;
    breaker->openings++;
    breaker->open_until =
        now_us + (open_us < settings->open_max_us ? open_us : settings->open_max_us);
    forget_window(breaker);
}

static bool is_over_ratio(const struct breaker *breaker, const struct breaker_settings *settings)
{
    int64_t attempts = 0;
    int64_t failures = 0;
    for (int slot = 0; slot < BREAKER_SLOTS; slot++) {
        attempts += breaker->attempts[slot];
        failures += breaker->failures[slot];
    }
    return attempts >= settings->min_attempts &&
           (double)failures >= settings->failure_ratio * (double)attempts;
}

bool breaker_report(struct breaker *breaker, const struct breaker_settings *settings,
                    bool is_failure, int64_t now_us)
{
    if (settings->min_attempts <= 0) {
        return false;
    }
    /* What was sent before it opened says nothing new, unless it came through. */
    if (breaker->state == BREAKER_OPEN && is_failure) {
        return false;
    }
    if (breaker->state != BREAKER_CLOSED) {
        if (is_failure) {
            open(breaker, settings, now_us);
        } else {
            breaker_init(breaker);
        }
        return true;
    }
    slide(breaker, settings->window_us, now_us);
    breaker->attempts[breaker->slot % BREAKER_SLOTS]++;
    breaker->failures[breaker->slot % BREAKER_SLOTS] += is_failure ? 1 : 0;
    if (is_failure && is_over_ratio(breaker, settings)) {
        open(breaker, settings, now_us);
        return true;
    }
    return false;
}
