/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a message was delivered to an endpoint or not: the conclusion from what the store knows
 * (store/explain.h) and what holds the endpoint back now (flow/hold.h). Pure; any thread.
 *
 *   delivery            conclusion
 *   succeeded           delivered
 *   failed              failed; breaker, aborted or expunged when that ended it
 *   cancelled           skipped; disabled, filter, expunged or requested
 *   pending             pending; order, deliver_at, retry, breaker or throttled while it waits
 *   pending, too old    skipped, disabled: it will be cancelled
 *   none, sent by hand  as the newest attempt says; pending while another one waits
 *   none                skipped; created_later, disabled, event_type, channel or changed
 *
 * The endpoint's configuration is that of now. Where it was changed after the message, a conclusion
 * from it need not have been true then, and the words say so.
 */
#ifndef PH_API_EXPLAIN_H
#define PH_API_EXPLAIN_H

#include "base/buf.h"
#include "core/id.h"
#include "flow/config.h"
#include "flow/hold.h"
#include "store/explain.h"

enum explain_decision {
    EXPLAIN_DELIVERED,
    EXPLAIN_PENDING,
    EXPLAIN_FAILED,
    EXPLAIN_SKIPPED,
    EXPLAIN_DECISION_COUNT
};

enum explain_reason {
    EXPLAIN_NO_REASON, /* the decision says it all */
    EXPLAIN_EVENT_TYPE,
    EXPLAIN_CHANNEL,
    EXPLAIN_FILTER, /* or the transform */
    EXPLAIN_DISABLED,
    EXPLAIN_CREATED_LATER,
    EXPLAIN_THROTTLED,
    EXPLAIN_BREAKER,
    EXPLAIN_ORDER,
    EXPLAIN_RETRY,      /* the next attempt is due later */
    EXPLAIN_DELIVER_AT, /* the message is not to be sent yet */
    EXPLAIN_ABORTED,    /* the receiver asked for no more attempts */
    EXPLAIN_EXPUNGED,
    EXPLAIN_REQUESTED, /* a caller cancelled it */
    EXPLAIN_CHANGED,   /* as it is now it would get it, and it was changed since */
    EXPLAIN_REASON_COUNT
};

struct explain_facts {
    const struct explain_row *row;
    const struct message_row *message;
    enum endpoint_match match; /* of the endpoint as it is now */
    bool has_filter;           /* likewise */
    bool has_transform;
    struct hold hold;
    int64_t now_us; /* wall clock */
};

struct explanation {
    enum explain_decision decision;
    enum explain_reason reason;
    bool is_changed_since; /* the endpoint was changed after the message, or at the same moment */
};

struct explanation explain(const struct explain_facts *facts);
const char *explain_decision_name(enum explain_decision decision); /* "delivered"; static text */
const char *explain_reason_name(enum explain_reason reason);       /* "event_type"; NULL for none */
/* The same for a person: lower case, without a full stop. The codec names messages. */
void explain_append_words(const struct explain_facts *facts, const struct explanation *explanation,
                          const struct id_codec *codec, struct buf *words);

#endif
