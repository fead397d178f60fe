/* SPDX-License-Identifier: Apache-2.0 */
#include "core/duration.h"

#include "base/clock.h"

static int64_t unit_seconds(char unit)
{
    switch (unit) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return 86400;
    case 'w':
        return 7 * 86400;
    default:
        return 0;
    }
}

bool duration_parse(struct slice text, int64_t *ret_us)
{
    if (text.len < 2) {
        return false;
    }
    int64_t unit_s = unit_seconds(text.ptr[text.len - 1]);
    int64_t count;
    if (unit_s == 0 || !slice_to_int64((struct slice){text.ptr, text.len - 1}, &count) ||
        count <= 0 || count > DURATION_MAX_S / unit_s) {
        return false;
    }
    *ret_us = count * unit_s * CLOCK_US_PER_S;
    return true;
}

enum ph_error duration_parse_expiry(struct slice text, int64_t now_us, const char *field,
                                    struct diag *diag, int64_t *ret_wall_us)
{
    int64_t value_us;
    if (duration_parse(text, &value_us)) {
        *ret_wall_us = now_us + value_us;
        return PH_OK;
    }
    if (!clock_parse(text, &value_us)) {
        return diag_set(diag, PH_INVALID, field,
                        "expected a duration such as 30d or 12h, or a time such as "
                        "2027-01-31T00:00:00Z");
    }
    if (value_us <= now_us) {
        return diag_set(diag, PH_INVALID, field, "the time has passed already");
    }
    *ret_wall_us = value_us;
    return PH_OK;
}
