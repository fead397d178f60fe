/* SPDX-License-Identifier: Apache-2.0 */
/* The token of `posthorn dbt`. Main thread. */
#ifndef PH_APP_WRAP_TOKEN_H
#define PH_APP_WRAP_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define WRAP_TOKEN_BYTES_MAX 8192

/* Waits until `fd` can be read, or so much time has passed; false when waiting is to end. */
struct wrap_token_wait {
    bool (*wait)(void *context, int fd, int64_t wait_us);
    void *context;
};

/* Appends the token in `file` (a plain file, or a pipe such as /dev/fd/63, which is given 10
 * seconds for its line), or in POSTHORN_TOKEN when `file` is NULL. PH_NOT_FOUND when there is none.
 * The caller wipes `token`. */
PH_NODISCARD enum ph_error wrap_token_read(const char *file, const struct wrap_token_wait *wait,
                                           struct buf *token, struct diag *diag);

#endif
