/* SPDX-License-Identifier: Apache-2.0 */
/* A small blocking HTTP client for the command line, on libcurl. One call at a time per thread. */
#ifndef PH_APP_CLIENT_H
#define PH_APP_CLIENT_H

#include "base/buf.h"
#include "base/error.h"

struct client_request {
    const char *method;
    const char *url;
    const char *token;           /* bearer token, NULL = none */
    const char *idempotency_key; /* NULL = none */
    bool is_local;               /* the server of the data directory: no proxy, any certificate */
    struct slice body;           /* JSON, SLICE_NONE = none */
};

/* PH_OK with any HTTP status; the answer's body is appended (cut at its maximum). PH_IO with words
 * when there was no answer. */
PH_NODISCARD enum ph_error client_call(const struct client_request *request, struct buf *body,
                                       struct diag *diag, long *ret_status);

#endif
