/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deliver: sends what is due, one thread per deliverer, each owning a set of shards.
 *
 * Concurrency: deliverer_push_* are called by the writer thread after commits, and by the main
 * thread for settings; they append to the inbox (under its lock) and wake the thread. Everything
 * else belongs to the deliverer's thread.
 */
#ifndef PH_FLOW_DELIVER_H
#define PH_FLOW_DELIVER_H

#include "flow/config.h"
#include "flow/flow.h"
#include "flow/message_body.h"
#include "flow/record.h"
#include "flow/settings.h"

struct deliverer;
struct item;
struct jq_pool;
struct trial;

struct deliverer_options {
    const struct flow_options *flow;
    struct settings_holder *settings;
    struct writer *writer;
    struct resolver *resolver;
    struct jq_pool *jq;
    struct application_throttles *application_throttles;
    struct holds *holds;
    unsigned index; /* owns the shards with shard % count == index */
    unsigned count;
};

/* Opens the store and the sink and looks for due work; no thread yet. `options->flow` and what it
 * points to must outlive the deliverer. */
PH_NODISCARD enum ph_error deliverer_new(const struct deliverer_options *options, struct diag *diag,
                                         struct deliverer **ret_deliverer);
PH_NODISCARD enum ph_error deliverer_start(struct deliverer *deliverer, struct diag *diag);
/* Stops sending; waits until nothing is in flight or unrecorded, at most `drain_ms`; ends the
 * thread. The writer must still run, and may go on pushing. */
void deliverer_drain(struct deliverer *deliverer, int64_t drain_ms);
/* After deliverer_drain, and after the writer was stopped. NULL is fine. */
void deliverer_free(struct deliverer *deliverer);

/* --- called by the writer thread, after a commit -------------------------------------------- */

/* A new delivery. Takes its own references. Several calls, then one deliverer_wake. */
void deliverer_push_fresh(struct deliverer *deliverer, struct endpoint_config *config,
                          int64_t message_id, int64_t accepted_us, struct message_body *body);
/* A new delivery that is due at `due_us` (wall clock, 0 = now) or waits for its turn: it is read
 * from the store then. Takes its own reference. */
void deliverer_push_due(struct deliverer *deliverer, struct endpoint_config *config,
                        int64_t due_us);
/* The endpoint's configuration changed; takes the reference. */
void deliverer_push_config(struct deliverer *deliverer, struct endpoint_config *config);
void deliverer_push_expunged(struct deliverer *deliverer, int64_t message_id);
void deliverer_push_manual(struct deliverer *deliverer, int64_t endpoint_id);
/* The endpoint has deliveries in the store that were made due beside ingest. */
void deliverer_push_replayed(struct deliverer *deliverer, int64_t endpoint_id);
/* Pending deliveries of the endpoint were cancelled. */
void deliverer_push_cancelled(struct deliverer *deliverer, int64_t endpoint_id);
/* Called by the pool's thread: an endpoint's program has ended. Then deliverer_wake. */
void deliverer_push_prepared(struct deliverer *deliverer, struct item *item);
/* The record was committed. */
void deliverer_push_recorded(struct deliverer *deliverer, struct record_job *job);
void deliverer_wake(struct deliverer *deliverer);

/* Any thread. Then deliverer_wake. */
void deliverer_push_trial(struct deliverer *deliverer, struct trial *trial);
/* New deliveries in the inbox. Any thread. */
size_t deliverer_inbox_length(struct deliverer *deliverer);

/* --- called by the main thread --------------------------------------------------------------- */

/* New settings; takes the reference. Then deliverer_wake. */
void deliverer_push_settings(struct deliverer *deliverer, const struct flow_settings *settings);

#endif
