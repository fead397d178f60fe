/* SPDX-License-Identifier: Apache-2.0 */
/* What an attempt over HTTP means for its delivery and its endpoint. Pure; any thread. */
#ifndef PH_CORE_VERDICT_H
#define PH_CORE_VERDICT_H

#include <stdbool.h>

#include "base/slice.h"

/* How an attempt ended. */
enum attempt_failure {
    ATTEMPT_ANSWERED, /* the status code decides */
    ATTEMPT_BLOCKED,  /* refused by the address guard */
    ATTEMPT_DNS,      /* the name has no address */
    ATTEMPT_CONNECT,  /* no connection, or it was lost */
    ATTEMPT_TLS,      /* handshake or certificate */
    ATTEMPT_TIMEOUT,  /* the total time was over */
    ATTEMPT_PROTOCOL, /* the answer is not HTTP, or is beyond a limit */
    ATTEMPT_CANCELLED /* we stopped it: not an attempt, never recorded */
};

enum verdict {
    VERDICT_SUCCESS,
    VERDICT_RETRY,  /* again by the schedule; failed when that is exhausted */
    VERDICT_FAIL,   /* failed at once: the receiver asked to stop */
    VERDICT_DISABLE /* failed at once, and the endpoint is switched off */
};

struct verdict_input {
    enum attempt_failure failure;
    int status_code;            /* with ATTEMPT_ANSWERED */
    struct slice delivery_hint; /* webhook-delivery response header, SLICE_NONE = none */
    bool disable_on_gone;       /* the option */
};

struct verdict_result {
    enum verdict verdict;
    bool disables_endpoint;  /* with VERDICT_DISABLE always; with success when the hint says so */
    bool counts_for_breaker; /* connect error, timeout, 429, 502, 503, 504 */
};

/*
 * 2xx is success. 410 disables when the option is on. The hint `disable` switches the endpoint off,
 * `abort-message` ends the delivery; any answer may carry it (several values, commas between).
 * Everything else, 3xx and other 4xx included, is retried (Standard Webhooks 1.0.0).
 */
struct verdict_result verdict_of_http(const struct verdict_input *input);

#endif
