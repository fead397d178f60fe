/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ingest: messages into the store, matched against their applications' endpoints in the same
 * transaction. Runs on the writer thread. Two ways in:
 *
 *   a message alone   a job of its own (writer_submit_ingest); the writer takes what is queued as
 *                     one batch
 *   with something    a general job emits in its own transaction (ingest_in, ingest_list_in): the
 *                     message exists exactly when the change that caused it does (outbox)
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
    struct application_config *application; /* held by the writer until `done` */

    void (*done)(struct ingest_job *job); /* not called for those of ingest_list_in */
};

/* --- inside the `run` of a general job -------------------------------------------------------- */

/* A message that a job emits. What is left out is none, or the default. All that it points to need
 * live for the call only. */
struct ingest_message {
    struct slice org; /* may be SLICE_NONE with an id */
    int64_t application_id;
    struct slice application_uid; /* when the id is 0 */
    struct slice event_type;
    struct slice event_id;
    const struct slice *channels;
    size_t channel_count; /* 0..INGEST_CHANNELS_MAX */
    struct slice ordering_key;
    struct slice payload;  /* JSON text, sent as it is */
    struct slice raw_body; /* sent in place of the payload */
    int64_t deliver_at_us;
    int64_t payload_retention_us; /* 0 = as the server's settings say */
    int64_t only_endpoint_id;     /* as of an ingest_job */
    const struct trace *trace;
};

/*
 * Emits a message. It is matched against the endpoints as they are at this point of the
 * transaction, the job's own changes included. When the job succeeds and the batch is committed,
 * its deliveries go to the deliverers and it counts as accepted; else nothing of it is left, and
 * since `run` may be called again, it must emit anew each time.
 *
 * PH_NOT_FOUND no such application; PH_CONFLICT the application has a message with this event id:
 * with these two nothing was written, and the job may go on. After any other error it must fail
 * with that error.
 */
PH_NODISCARD enum ph_error ingest_in(struct writer_txn *txn, const struct ingest_message *message,
                                     struct diag *diag, int64_t *ret_message_id);
/*
 * Emits many at once: the `ingest_job`s of the list, in its order, which stays as it is. They need
 * no `done` and must have no key; they and what they point to live until the general job's `done`.
 * What happened to each stands in its `error`, as above, and `diag`; the call fails only with the
 * errors after which the job must fail. The general job says how many they are
 * (general_job.messages).
 */
PH_NODISCARD enum ph_error ingest_list_in(struct writer_txn *txn, struct list_node *jobs,
                                          struct diag *diag);

#endif
