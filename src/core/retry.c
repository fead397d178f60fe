/* SPDX-License-Identifier: Apache-2.0 */
#include "core/retry.h"

#include "base/clock.h"

/* Receivers that name a time further ahead mean "never"; the cap of the caller is lower anyway. */
#define AFTER_MAX_US (INT64_C(10) * 366 * 86400 * CLOCK_US_PER_S)

enum ph_error retry_schedule_add(struct retry_schedule *schedule, double delay_s, const char *field,
                                 struct diag *diag)
{
    if (schedule->count == RETRY_DELAYS_MAX) {
        return diag_set(diag, PH_INVALID, field, "a retry schedule has at most %d delays",
                        RETRY_DELAYS_MAX);
    }
    /* Written so that what is not a number fails too. */
    if (!(delay_s >= 0 && delay_s <= RETRY_DELAY_MAX_S)) {
        return diag_set(diag, PH_INVALID, field, "a retry delay is 0 to %d seconds",
                        RETRY_DELAY_MAX_S);
    }
    schedule->delays_us[schedule->count++] = (int64_t)(delay_s * 1e6 + 0.5);
    return PH_OK;
}

enum ph_error retry_schedule_parse(struct slice text, const char *field, struct diag *diag,
                                   struct retry_schedule *ret_schedule)
{
    struct retry_schedule schedule = {.jitter = RETRY_JITTER_DEFAULT};
    struct slice rest = slice_trim(text);
    struct slice part;
    while (rest.len > 0 || schedule.count > 0) {
        if (!slice_next(&rest, ',', &part)) {
            break;
        }
        double delay_s;
        part = slice_trim(part);
        if (!slice_to_double(part, &delay_s)) {
            return diag_set(diag, PH_INVALID, field,
                            "expected seconds separated by commas, found `%.*s`",
                            (int)(part.len < 40 ? part.len : 40), part.len == 0 ? "" : part.ptr);
        }
        enum ph_error error = retry_schedule_add(&schedule, delay_s, field, diag);
        if (error != PH_OK) {
            return error;
        }
    }
    *ret_schedule = schedule;
    return PH_OK;
}

bool retry_next_delay_us(const struct retry_schedule *schedule, unsigned attempts_done,
                         double random_unit, int64_t *ret_delay_us)
{
    PH_ASSERT(attempts_done > 0 && schedule->count <= RETRY_DELAYS_MAX);
    if (attempts_done > schedule->count) {
        return false;
    }
    double delay_us = (double)schedule->delays_us[attempts_done - 1];
    delay_us *= 1.0 + schedule->jitter * (2.0 * random_unit - 1.0);
    *ret_delay_us = delay_us < 0 ? 0 : (int64_t)delay_us;
    return true;
}

int64_t retry_longest_us(const struct retry_schedule *schedule)
{
    int64_t longest_us = 0;
    for (unsigned index = 0; index < schedule->count; index++) {
        if (schedule->delays_us[index] > longest_us) {
            longest_us = schedule->delays_us[index];
        }
    }
    return longest_us;
}

int64_t retry_total_us(const struct retry_schedule *schedule)
{
    int64_t total_us = 0;
    for (unsigned index = 0; index < schedule->count; index++) {
        total_us += schedule->delays_us[index];
    }
    return total_us;
}

/* Digits with an optional fraction, rounded up to whole seconds. */
static bool parse_seconds(struct slice text, int64_t *ret_delay_us)
{
    if (text.len == 0 || text.ptr[0] < '0' || text.ptr[0] > '9') {
        return false;
    }
    int64_t seconds = 0;
    size_t index = 0;
    for (; index < text.len && text.ptr[index] >= '0' && text.ptr[index] <= '9'; index++) {
        if (seconds <= AFTER_MAX_US / CLOCK_US_PER_S) {
            seconds = seconds * 10 + (text.ptr[index] - '0');
        }
    }
    bool has_rest = false;
    if (index < text.len) {
        if (text.ptr[index] != '.' || ++index == text.len) {
            return false;
        }
        for (; index < text.len; index++) {
            if (text.ptr[index] < '0' || text.ptr[index] > '9') {
                return false;
            }
            has_rest = has_rest || text.ptr[index] != '0';
        }
    }
    seconds += has_rest ? 1 : 0;
    bool is_beyond = seconds > AFTER_MAX_US / CLOCK_US_PER_S;
    *ret_delay_us = is_beyond ? AFTER_MAX_US : seconds * CLOCK_US_PER_S;
    return true;
}

bool retry_after_parse(struct slice value, int64_t now_us, int64_t *ret_delay_us)
{
    value = slice_trim(value);
    if (parse_seconds(value, ret_delay_us)) {
        return true;
    }
    int64_t at_us;
    if (!clock_parse_http_date(value, now_us, &at_us)) {
        return false;
    }
    int64_t delay_us = at_us <= now_us ? 0 : at_us - now_us;
    *ret_delay_us = delay_us > AFTER_MAX_US ? AFTER_MAX_US : delay_us;
    return true;
}

int64_t retry_apply_after(int64_t delay_us, int64_t after_us, int64_t cap_us)
{
    int64_t asked_us = after_us < cap_us ? after_us : cap_us;
    return delay_us > asked_us ? delay_us : asked_us;
}
