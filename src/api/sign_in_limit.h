/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often somebody may fail to sign in: a client's address for one name, and an address for all
 * names, within a window of time. A table of fixed size in memory; when it is full the oldest
 * windows of a few are forgotten. Of IPv6 the network of 64 bits counts, which one client has all
 * of. Nobody can lock others out from elsewhere: names alone are not
 * counted. Any thread.
 */
#ifndef PH_API_SIGN_IN_LIMIT_H
#define PH_API_SIGN_IN_LIMIT_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/slice.h"

#define SIGN_IN_NAME_FAILURES_MAX 10
#define SIGN_IN_PEER_FAILURES_MAX 50
#define SIGN_IN_WINDOW_US INT64_C(300000000)
#define SIGN_IN_ROWS 4096

struct sign_in_limit;

PH_NODISCARD struct sign_in_limit *sign_in_limit_new(void);
void sign_in_limit_free(struct sign_in_limit *limit); /* NULL is fine */
/* Seconds to wait before `peer` may try `name` again, 0 = it may now. Times are of the boot clock.
 */
int64_t sign_in_limit_wait_s(struct sign_in_limit *limit, struct slice name, struct slice peer,
                             int64_t now_us);
void sign_in_limit_failed(struct sign_in_limit *limit, struct slice name, struct slice peer,
                          int64_t now_us);

#endif
