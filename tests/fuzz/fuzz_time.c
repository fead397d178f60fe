/* SPDX-License-Identifier: Apache-2.0 */
/* Times, durations, retry schedules and Retry-After: all that is read with a clock in mind. */
#include "base/clock.h"
#include "core/duration.h"
#include "core/retry.h"
#include "fuzz/fuzz.h"

#define NOW_US INT64_C(1767607872000000)
#define YEAR_1_US INT64_C(-62135596800000000)
#define YEAR_10000_US INT64_C(253402300800000000)
#define DAY_US (86400 * CLOCK_US_PER_S)

static void check_times(struct slice text)
{
    int64_t wall_us;
    int64_t again_us;
    char written[CLOCK_TEXT_MAX];
    if (clock_parse(text, &wall_us)) {
        PH_ASSERT(wall_us > YEAR_1_US - DAY_US && wall_us < YEAR_10000_US + DAY_US);
        if (wall_us >= YEAR_1_US && wall_us < YEAR_10000_US) {
            clock_format(wall_us, written);
            PH_ASSERT(clock_parse(slice_of(written), &again_us) && again_us == wall_us);
        }
    }
    if (clock_parse_http_date(text, NOW_US, &wall_us)) {
        PH_ASSERT(wall_us % CLOCK_US_PER_S == 0);
        PH_ASSERT(wall_us >= YEAR_1_US && wall_us <= YEAR_10000_US);
    }
}

static void check_durations(struct slice text)
{
    int64_t us;
    struct diag diag = {.error = PH_OK};
    if (duration_parse(text, &us)) {
        PH_ASSERT(us > 0 && us <= DURATION_MAX_S * CLOCK_US_PER_S);
    }
    if (duration_parse_expiry(text, NOW_US, "x", &diag, &us) == PH_OK) {
        PH_ASSERT(us > NOW_US);
    } else {
        PH_ASSERT(diag.error == PH_INVALID);
    }
}

static void check_schedule(struct slice text)
{
    struct retry_schedule schedule;
    if (retry_schedule_parse(text, "x", NULL, &schedule) != PH_OK) {
        return;
    }
    PH_ASSERT(schedule.count <= RETRY_DELAYS_MAX);
    int64_t total_us = 0;
    int64_t delay_us;
    for (unsigned index = 0; index < schedule.count; index++) {
        PH_ASSERT(schedule.delays_us[index] >= 0);
        PH_ASSERT(schedule.delays_us[index] <= RETRY_DELAY_MAX_S * CLOCK_US_PER_S);
        PH_ASSERT(schedule.delays_us[index] <= retry_longest_us(&schedule));
        PH_ASSERT(retry_next_delay_us(&schedule, index + 1, 0.5, &delay_us));
        total_us += schedule.delays_us[index];
    }
    PH_ASSERT(!retry_next_delay_us(&schedule, schedule.count + 1, 0.5, &delay_us));
    PH_ASSERT(total_us == retry_total_us(&schedule));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_text(data, size);
    int64_t delay_us;
    check_times(text);
    check_durations(text);
    check_schedule(text);
    if (retry_after_parse(text, NOW_US, &delay_us)) {
        PH_ASSERT(delay_us >= 0 && delay_us <= INT64_C(10) * 366 * DAY_US);
        PH_ASSERT(delay_us % CLOCK_US_PER_S == 0);
    }
    return 0;
}
