/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ingest: one batch of messages into the store, matched against their applications' endpoints in
 * the same transaction. Runs on the writer thread.
 */
#ifndef PH_FLOW_INGEST_H
#define PH_FLOW_INGEST_H

#include "flow/config.h"
#include "flow/message_body.h"
#include "flow/writer.h"
#include "store/message.h"

#define INGEST_CHANNELS_MAX 10

enum ingest_key_kind { INGEST_KEY_NONE, INGEST_KEY_AUTO, INGEST_KEY_CALLER };

/* One message on its way in. The submitter owns it and everything it points to until `done`. */
struct ingest_job {
    struct list_node node;

    /* Which application: by id when not 0, else by uid within the organisation. */
    struct slice org;
    int64_t application_id;
    struct slice application_uid;

    struct slice event_type;
    struct slice event_id;      /* SLICE_NONE when the publisher gave none */
    struct slice channels_json; /* as stored, SLICE_NONE = none */
    struct slice channels[INGEST_CHANNELS_MAX];
    size_t channel_count;
    struct slice tags_json;    /* as stored, SLICE_NONE = none */
    struct slice ordering_key; /* for endpoints that keep an order by key, SLICE_NONE = none */
    int64_t deliver_at_us;     /* wall clock, 0 = at once */
    struct slice payload;      /* JSON text exactly as received */
    struct slice raw_body;     /* sent in place of the payload, SLICE_NONE = the payload is sent */
    int64_t payload_retention_us;
    enum ingest_key_kind key_kind;
    uint8_t key_hash[16]; /* with is_key_bound, of the application too */
    bool is_key_bound;
    struct message_body *body; /* one reference, owned by the job: what to send */
    /* Not 0: the message goes to this endpoint alone, whatever that wants, unless it is disabled.
     */
    int64_t only_endpoint_id;

    /* Set when the application may be made by this message (MessageIn.application). Called inside
     * the transaction when it is missing; gives its id. NULL = a missing one is PH_NOT_FOUND. */
    enum ph_error (*create_application)(struct ingest_job *job, struct writer_txn *txn,
                                        struct diag *diag, int64_t *ret_application_id);

    /* Results. */
    int64_t message_id;
    bool is_replayed; /* an earlier message answered this idempotency key; `message_id` is its id */
    enum ph_error error;
    struct diag diag;
    int64_t submitted_boot_us;
    struct application_config *application; /* held by the writer until the batch ends */

    void (*done)(struct ingest_job *job);
};

#endif
