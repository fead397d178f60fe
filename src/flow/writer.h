/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer: group commit. Takes all queued jobs, runs them in one transaction, commits, then
 * finishes them in order. A batch is what arrived during the previous commit; there are no timers.
 *
 * Three kinds of job (engineering rules 1-3):
 *   record   finished attempts; first in every batch; kept and tried again when the store fails
 *   ingest   messages; rows as data
 *   general  closures, each in a savepoint, after the others
 *
 * Concurrency: writer_submit_* may be called from any thread. `run` and `done` are called on the
 * writer thread. `run` may be called again when a batch vanished, so it changes nothing in memory
 * but the job's own result fields, which it sets anew each time; `done` is called exactly once,
 * after the commit (or with the error), and gives the job up.
 */
#ifndef PH_FLOW_WRITER_H
#define PH_FLOW_WRITER_H

#include "base/list.h"
#include "flow/config.h"
#include "flow/flow.h"
#include "flow/message_body.h"
#include "store/store.h"

struct writer;
struct deliverer;
struct live_hub;
struct ingest_job;
struct record_job;
struct settings_holder;

/* What a general job sees while its transaction is open. */
struct writer_txn {
    struct store *store;
    int64_t now_us; /* wall clock of the batch */
    struct writer *writer;
};

/* An id from the one clock of this node, strictly increasing. Inside `run` only. */
int64_t writer_txn_new_id(struct writer_txn *txn);
/* Inside `run`: after the commit the endpoint's new configuration goes to its deliverer (it is
 * read from the store then). Call for every endpoint row or secret that was changed. */
void writer_txn_endpoint_changed(struct writer_txn *txn, int64_t endpoint_id);
/* Inside `run`: after the commit the deliverers forget the message (expunge). */
void writer_txn_message_expunged(struct writer_txn *txn, int64_t message_id);
/* Inside `run`: after the commit the deliverer of the endpoint looks for manual attempts. */
void writer_txn_manual_added(struct writer_txn *txn, int64_t endpoint_id);
/* Inside `run`: after the commit the deliverer of the endpoint looks for deliveries that were made
 * due beside ingest, or gives up what it holds and was cancelled
 * in the store, manual attempts of tasks included. */
void writer_txn_deliveries_due(struct writer_txn *txn, int64_t endpoint_id);
void writer_txn_deliveries_cancelled(struct writer_txn *txn, int64_t endpoint_id);

struct general_job {
    struct list_node node;
    /* Any error rolls back this job's savepoint only. */
    enum ph_error (*run)(struct general_job *job, struct writer_txn *txn, struct diag *diag);
    void (*done)(struct general_job *job, enum ph_error error, const struct diag *diag);
    /* How many messages `run` emits, if many: it counts as so many writes of the queue and of a
     * transaction, and is refused where a message is. 0 for all others. */
    unsigned messages;
    /* The writer's. */
    enum ph_error error;
    struct diag diag;
};

/* PH_BUSY when the queue is full (it takes a last one that does not fit wholly), PH_SHUTTING_DOWN
 * at the end; `done` is not called then. */
PH_NODISCARD enum ph_error writer_submit(struct writer *writer, struct general_job *job,
                                         struct diag *diag);
/* `run` is called between two batches, where no transaction is open; one such job a batch. Never
 * refused: the caller waits for its end, and the writer ends after its callers. */
void writer_submit_between(struct writer *writer, struct general_job *job);
PH_NODISCARD enum ph_error writer_submit_ingest(struct writer *writer, struct ingest_job *job,
                                                struct diag *diag);
/* Whether the store refuses records: nothing new should be sent until they go in again. */
bool writer_is_failing(const struct writer *writer);
/* Never refused: the deliverer reserved the slot before it sent. */
void writer_submit_record(struct writer *writer, struct record_job *job);

/* --- for flow.c ----------------------------------------------------------------------------- */

/* `settings` must outlive the writer. */
PH_NODISCARD enum ph_error writer_start(const struct flow_options *options,
                                        struct settings_holder *settings, struct diag *diag,
                                        struct writer **ret_writer);
/* The deliverers must be set before the first job; the writer does not own them. */
void writer_set_deliverers(struct writer *writer, struct deliverer **deliverers, size_t count);
/* Before the first job; not owned. It is told what is committed. NULL = nobody is. */
void writer_set_live(struct writer *writer, struct live_hub *live);
const struct id_codec *writer_id_codec(const struct writer *writer);
/* Bytes of the write-ahead log after the last commit; 0 with PostgreSQL, and when all of it has
 * been copied into the database file, so that the next commit begins it anew. Any thread. */
int64_t writer_wal_bytes(const struct writer *writer);
void writer_wal_is_copied(struct writer *writer);
size_t writer_queue_length(struct writer *writer);
/* Runs what is queued, then ends the thread and frees. */
void writer_stop(struct writer *writer);

#endif
