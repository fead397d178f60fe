/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PH_BENCH_GENERATE_H
#define PH_BENCH_GENERATE_H

#include "histogram.h"
#include "net.h"
#include "template.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The load: `connections` keep-alive connections, each with one request under way at a time. Runs
 * in the calling thread.
 *
 * Without a rate the loop is closed: the next event is sent when the last one was answered. With a
 * rate, events are due at fixed times and latency counts from that time, even when all connections
 * were busy then: a slow server cannot hide by slowing the load down.
 */
struct generate_options {
    const struct net_target *target;
    const struct template *request;
    unsigned connections; /* 1.. */
    uint64_t requests;    /* to send; UINT64_MAX = until the time is over */
    uint64_t rate;        /* events per second in all; 0 = closed loop */
    unsigned seconds;     /* send no new event after this time; 0 = no limit */
    unsigned stall_s;     /* give up when nothing was answered for so long */
};

enum { GENERATE_STATUSES = 1000 };

struct generate_result {
    uint64_t issued;   /* requests begun; each is template.events events */
    uint64_t accepted; /* of these answered 2xx */
    uint64_t retries;  /* of those answered 503 with Retry-After */
    uint64_t connection_errors;
    uint64_t unanswered; /* still open when the load gave up */
    uint64_t status[GENERATE_STATUSES];
    int64_t start_us; /* CLOCK_MONOTONIC */
    int64_t end_us;   /* of the last answer */
    struct histogram latency;
};

/* Runs the load to its end. False, with the reason on stderr, when it could not even connect. */
bool generate_run(const struct generate_options *options, struct generate_result *ret_result);

#endif
