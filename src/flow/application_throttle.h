/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The delivery rate of a whole application, over all of its endpoints.
 *
 * Concurrency: one table per flow, shared by the deliverers; each call takes the table's lock for
 * some nanoseconds. A bucket lives as long as a lane holds it.
 */
#ifndef PH_FLOW_APPLICATION_THROTTLE_H
#define PH_FLOW_APPLICATION_THROTTLE_H

#include <stdint.h>

#include "base/compiler.h"

struct application_throttles;
struct application_throttle;

PH_NODISCARD struct application_throttles *application_throttles_new(void);
/* Every bucket must have been closed. NULL is fine. */
void application_throttles_free(struct application_throttles *table);

/* A reference to the application's bucket, which has `rate_per_s` from now on; NULL when that is
 * 0, no limit. */
struct application_throttle *application_throttle_open(struct application_throttles *table,
                                                       int64_t application_id, int64_t rate_per_s,
                                                       int64_t now_boot_us);
/* NULL is fine. */
void application_throttle_close(struct application_throttles *table,
                                struct application_throttle *bucket);
/* Boot time from which the caller may send one delivery: first come, first served, so that no
 * endpoint starves another. */
int64_t application_throttle_reserve(struct application_throttles *table,
                                     struct application_throttle *bucket, int64_t now_boot_us);
/* For a reservation that is not needed any more. */
void application_throttle_give_back(struct application_throttles *table,
                                    struct application_throttle *bucket);

#endif
