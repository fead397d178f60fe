/* SPDX-License-Identifier: Apache-2.0 */
/* This process as the kernel sees it: memory and descriptors. Any thread. */
#ifndef PH_BASE_USAGE_H
#define PH_BASE_USAGE_H

#include "base/metrics.h"

/* Once, when the process starts: version and start time. `version` is copied. */
void usage_describe(struct metrics *metrics, const char *version);
/* Updates the gauges; what cannot be read keeps its value. */
void usage_refresh(struct metrics *metrics);

#endif
