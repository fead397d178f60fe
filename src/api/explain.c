/* SPDX-License-Identifier: Apache-2.0 */
#include "api/explain.h"

#include "store/delivery.h"

static const char *const decision_names[] = {
    [EXPLAIN_DELIVERED] = "delivered",
    [EXPLAIN_PENDING] = "pending",
    [EXPLAIN_FAILED] = "failed",
    [EXPLAIN_SKIPPED] = "skipped",
};
_Static_assert(PH_ARRAY_LENGTH(decision_names) == EXPLAIN_DECISION_COUNT, "one name each");

static const char *const reason_names[] = {
    [EXPLAIN_NO_REASON] = NULL,          [EXPLAIN_EVENT_TYPE] = "event_type",
    [EXPLAIN_CHANNEL] = "channel",       [EXPLAIN_FILTER] = "filter",
    [EXPLAIN_DISABLED] = "disabled",     [EXPLAIN_CREATED_LATER] = "created_later",
    [EXPLAIN_THROTTLED] = "throttled",   [EXPLAIN_BREAKER] = "breaker",
    [EXPLAIN_ORDER] = "order",           [EXPLAIN_RETRY] = "retry",
    [EXPLAIN_DELIVER_AT] = "deliver_at", [EXPLAIN_ABORTED] = "aborted",
    [EXPLAIN_EXPUNGED] = "expunged",     [EXPLAIN_REQUESTED] = "requested",
    [EXPLAIN_CHANGED] = "changed",
};
_Static_assert(PH_ARRAY_LENGTH(reason_names) == EXPLAIN_REASON_COUNT, "one name each");

const char *explain_decision_name(enum explain_decision decision)
{
    PH_ASSERT((unsigned)decision < EXPLAIN_DECISION_COUNT);
    return decision_names[decision];
}

const char *explain_reason_name(enum explain_reason reason)
{
    PH_ASSERT((unsigned)reason < EXPLAIN_REASON_COUNT);
    return reason_names[reason];
}

/* --- without a delivery ----------------------------------------------------------------------- */

/* In the order in which ingest looks: only enabled endpoints are matched. */
static enum explain_reason reason_to_skip(const struct explain_facts *facts, bool is_changed_since)
{
    const struct explain_endpoint *endpoint = &facts->row->endpoint;
    if (endpoint->id > facts->message->id) {
        return EXPLAIN_CREATED_LATER;
    }
    if (endpoint->is_disabled || endpoint->is_deleted) {
        return EXPLAIN_DISABLED;
    }
    switch (facts->match) {
    case ENDPOINT_WANTS_OTHER_TYPES:
        return EXPLAIN_EVENT_TYPE;
    case ENDPOINT_WANTS_OTHER_CHANNELS:
        return EXPLAIN_CHANNEL;
    case ENDPOINT_WANTS_IT:
        break;
    }
    return is_changed_since ? EXPLAIN_CHANGED : EXPLAIN_NO_REASON;
}

static void explain_no_delivery(const struct explain_facts *facts, struct explanation *explanation)
{
    const struct explain_attempt *latest = &facts->row->latest;
    if (facts->row->resends > 0 && !latest->is_success) {
        explanation->decision = EXPLAIN_PENDING;
        return;
    }
    explanation->decision = EXPLAIN_SKIPPED;
    explanation->reason = reason_to_skip(facts, explanation->is_changed_since);
    if (latest->id != 0) {
        explanation->decision = latest->is_success ? EXPLAIN_DELIVERED : EXPLAIN_FAILED;
        explanation->reason = EXPLAIN_NO_REASON;
    }
}

/* --- with a delivery -------------------------------------------------------------------------- */

static enum explain_reason reason_stored(enum delivery_reason reason)
{
    switch (reason) {
    case DELIVERY_REASON_GENERATION:
        return EXPLAIN_DISABLED;
    case DELIVERY_REASON_FILTER:
        return EXPLAIN_FILTER;
    case DELIVERY_REASON_EXPUNGED:
        return EXPLAIN_EXPUNGED;
    case DELIVERY_REASON_BREAKER:
        return EXPLAIN_BREAKER;
    case DELIVERY_REASON_ABORTED:
        return EXPLAIN_ABORTED;
    case DELIVERY_REASON_REQUESTED:
        return EXPLAIN_REQUESTED;
    case DELIVERY_REASON_NONE:
    case DELIVERY_REASON_COUNT:
        break;
    }
    return EXPLAIN_NO_REASON;
}

static enum explain_reason reason_to_wait(const struct explain_facts *facts)
{
    int64_t due_us = facts->row->delivery.next_attempt_at_us;
    if (due_us == DELIVERY_WAITS_US) {
        return EXPLAIN_ORDER;
    }
    if (due_us > facts->now_us) {
        if (facts->row->delivery.attempts > 0) {
            return EXPLAIN_RETRY;
        }
        return facts->message->deliver_at_us > facts->now_us ? EXPLAIN_DELIVER_AT
                                                             : EXPLAIN_NO_REASON;
    }
    switch (facts->hold.kind) {
    case HOLD_BREAKER:
        return EXPLAIN_BREAKER;
    case HOLD_THROTTLE:
    case HOLD_APPLICATION_THROTTLE:
        return EXPLAIN_THROTTLED;
    case HOLD_NONE:
        break;
    }
    return EXPLAIN_NO_REASON;
}

static void explain_delivery(const struct explain_facts *facts, struct explanation *explanation)
{
    const struct explain_delivery *delivery = &facts->row->delivery;
    const struct explain_endpoint *endpoint = &facts->row->endpoint;
    switch (delivery->state) {
    case DELIVERY_SUCCEEDED:
        explanation->decision = EXPLAIN_DELIVERED;
        return;
    case DELIVERY_FAILED:
        explanation->decision = EXPLAIN_FAILED;
        explanation->reason = reason_stored(delivery->reason);
        return;
    case DELIVERY_CANCELLED:
        explanation->decision = EXPLAIN_SKIPPED;
        explanation->reason = reason_stored(delivery->reason);
        return;
    case DELIVERY_PENDING:
    case DELIVERY_STATE_COUNT:
        break;
    }
    if (delivery->generation < endpoint->generation) {
        explanation->decision = EXPLAIN_SKIPPED;
        explanation->reason = EXPLAIN_DISABLED;
        return;
    }
    explanation->decision = EXPLAIN_PENDING;
    explanation->reason = reason_to_wait(facts);
}

struct explanation explain(const struct explain_facts *facts)
{
    const struct explain_endpoint *endpoint = &facts->row->endpoint;
    int64_t sent_us = id_time_us(facts->message->id); /* to the tick */
    struct explanation explanation = {
        .is_changed_since = endpoint->id < facts->message->id &&
                            endpoint->updated_at_us > endpoint->created_at_us &&
                            endpoint->updated_at_us >= sent_us,
    };
    if (facts->row->delivery.exists) {
        explain_delivery(facts, &explanation);
    } else {
        explain_no_delivery(facts, &explanation);
    }
    return explanation;
}
