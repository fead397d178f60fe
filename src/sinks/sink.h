/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of a sink: the protocol that carries an attempt to a receiver.
 *
 * One sink instance per deliver thread; every call and every callback happens on that thread.
 * A sink never blocks: `send` starts an attempt, the result comes through `on_result` from within
 * `run`. A remote failure is a result, never an error.
 */
#ifndef PH_SINKS_SINK_H
#define PH_SINKS_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "core/verdict.h"

struct sink_policy; /* sinks/policy.h */

struct sink_header {
    struct slice name;
    struct slice value;
};

/* What is sent. Everything is owned by the caller and stays valid until `on_result` returns. */
struct sink_request {
    const char *url;                   /* normalised, http or https for the HTTP sink */
    const char *method;                /* "POST", "PUT", "PATCH" and so on */
    const struct sink_header *headers; /* complete and in order, without Host, Content-Length */
    size_t header_count;
    struct slice body;  /* exactly these bytes are sent, with every method */
    int64_t timeout_ms; /* total, from the look-up of the name to the last body byte */
    const struct sink_policy *policy; /* client certificate, proxy; NULL = the common way */
    void *user;                       /* given back in the result */
};

struct sink_result {
    void *user;
    enum attempt_failure failure; /* ATTEMPT_ANSWERED: the status code decides */
    int status_code;              /* HTTP status, 0 when none came */
    struct slice body;            /* what is kept of the answer, at most the sink's keep limit */
    struct slice error_text;      /* words for a person unless ATTEMPT_ANSWERED */
    struct slice retry_after;     /* header value as received, or SLICE_NONE */
    struct slice delivery_hint;   /* value of the webhook-delivery response header, or SLICE_NONE */
    int64_t duration_us;
    bool is_new_connection;
};

/* Called on the sink's thread from within `run` (and `free`). The result is valid during the call
 * only. The function may start further attempts. */
typedef void sink_result_function(void *context, const struct sink_result *result);

#endif
