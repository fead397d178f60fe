/* SPDX-License-Identifier: Apache-2.0 */
/* Durations and expiry times as people write them. Pure; any thread. */
#ifndef PH_CORE_DURATION_H
#define PH_CORE_DURATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

#define DURATION_MAX_S (INT64_C(100) * 366 * 86400) /* a century */

/* A whole number above 0 and a unit: s, m, h, d or w ("30d", "12h"); at most a century. */
bool duration_parse(struct slice text, int64_t *ret_us);
/* A duration from `now_us`, or an RFC 3339 time after it: microseconds since 1970. PH_INVALID
 * naming `field`. */
PH_NODISCARD enum ph_error duration_parse_expiry(struct slice text, int64_t now_us,
                                                 const char *field, struct diag *diag,
                                                 int64_t *ret_wall_us);

#endif
