/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record: one batch of finished attempts into the store: the attempt, the delivery's next state,
 * and what it means for the endpoint. Runs on the writer thread; the deliverer owns the jobs.
 */
#ifndef PH_FLOW_RECORD_H
#define PH_FLOW_RECORD_H

#include "core/delivery_state.h"
#include "flow/format.h"
#include "flow/writer.h"

struct record_job {
    struct list_node node;
    struct deliverer *deliverer; /* gets the job back after the commit */

    int64_t application_id;
    int64_t message_id;
    int64_t endpoint_id;
    int64_t attempts;          /* made before this one */
    int64_t manual_id;         /* the manual_attempt row that this attempt answers, 0 = scheduled */
    enum delivery_state state; /* after this attempt */
    int64_t next_attempt_at_us; /* when state is pending */
    bool has_attempt;           /* false: ended without one, by a filter; `reason` says so */
    enum delivery_reason reason;
    int64_t order_key;                    /* of the delivery, 0 = none */
    const struct delivery_format *format; /* whose surface wants to know, NULL = nobody's */
    bool is_success;
    int status_code;
    int64_t duration_ms;
    struct slice url;      /* valid until the job comes back */
    struct slice response; /* likewise */

    /* Endpoint consequences, 0 or false when none. */
    int64_t set_failing_since_us;
    bool clear_failing_since;
    const char *disable_reason; /* not NULL: disable the endpoint */

    int64_t attempt_id; /* result */
};

#endif
