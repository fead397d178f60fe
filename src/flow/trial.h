/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trials: an attempt that somebody waits for, of an event that is no message. It is rendered,
 * signed and sent as any other of the endpoint, past its filter, throttle and breaker, and though
 * it is disabled; nothing of it is stored, and its outcome changes nothing.
 *
 * Concurrency: flow_try may be called by any thread; `done` is called exactly once, on a
 * deliverer's thread or, at the end of the process, on the main thread.
 */
#ifndef PH_FLOW_TRIAL_H
#define PH_FLOW_TRIAL_H

#include "flow/flow.h"

#define TRIAL_WORDS_MAX 256

struct trial_outcome {
    bool is_success;
    int status_code;             /* 0 = no answer */
    char words[TRIAL_WORDS_MAX]; /* why not, empty when there was an answer */
    int64_t duration_ms;
};

/* Owned by the caller, with what it points to, until `done`. */
struct trial {
    int64_t endpoint_id;
    int64_t message_id; /* stands for a message's: core/id.h, of the present */
    struct slice event_type;
    struct slice payload; /* JSON text */
    int64_t timeout_ms;   /* of the attempt, at most; 0 = the endpoint's */
    void (*done)(struct trial *trial, const struct trial_outcome *outcome);
};

/* An id for `message_id` that no message has, save by an accident without consequences. */
int64_t trial_message_id(void);
void flow_try(struct flow *flow, struct trial *trial);

#endif
