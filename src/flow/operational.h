/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operational webhooks: what happens to the endpoints and deliveries of an organisation is told to
 * the organisation itself (svix-api spec section 14). An event is a message of that application of
 * the management organisation whose uid is the recipient's id; it is emitted in the transaction of
 * its cause. Without such an application nobody is told. The management organisation is told
 * nothing about itself, so there are no loops.
 *
 * Writer thread, inside a transaction. What cannot be told (an application that cannot be read, a
 * table that takes no messages) is counted and logged and does not hold its cause up.
 */
#ifndef PH_FLOW_OPERATIONAL_H
#define PH_FLOW_OPERATIONAL_H

#include "flow/writer.h"

#define OPERATIONAL_ORG "org_00000000000SvixManagement00"

/* So many failed attempts are told as failing, and a success after them as a recovery. */
#define OPERATIONAL_FAILED_ATTEMPTS 4

enum operational_event {
    OPERATIONAL_ENDPOINT_CREATED,
    OPERATIONAL_ENDPOINT_UPDATED,
    OPERATIONAL_ENDPOINT_DELETED,
    OPERATIONAL_ENDPOINT_DISABLED, /* by the server itself */
    OPERATIONAL_ATTEMPT_EXHAUSTED,
    OPERATIONAL_ATTEMPT_FAILING,
    OPERATIONAL_ATTEMPT_RECOVERED,
    OPERATIONAL_EVENT_COUNT
};

struct operational_notice {
    enum operational_event event;
    int64_t endpoint_id; /* may be deleted */
    /* Of the events of attempts. */
    int64_t message_id;
    int64_t attempt_id;
    int status_code; /* 0 = no answer */
};

/* Tells them in their order. An error, which the caller returns, only where the whole transaction
 * is to be tried again or is gone. */
PH_NODISCARD enum ph_error operational_tell(struct writer_txn *txn,
                                            const struct operational_notice *notices, size_t count,
                                            struct diag *diag);
/* The same for one endpoint. */
PH_NODISCARD enum ph_error operational_tell_endpoint(struct writer_txn *txn,
                                                     enum operational_event event,
                                                     int64_t endpoint_id, struct diag *diag);
/* Puts the event types that are missing into the catalogue of the management organisation: with
 * every new application of it, so with the first. */
PH_NODISCARD enum ph_error operational_add_event_types(struct writer_txn *txn, struct diag *diag);

#endif
