/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the writer's stages (record.c, ingest.c) share with writer.c. Everything but the queue
 * belongs to the writer thread.
 */
#ifndef PH_FLOW_WRITER_INT_H
#define PH_FLOW_WRITER_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "flow/application_cache.h"
#include "flow/auto_key.h"
#include "flow/deliver.h"
#include "flow/ingest.h"
#include "flow/record.h"
#include "flow/writer.h"

/* A growing array of ids that a batch collects for after its commit. */
struct id_list {
    int64_t *ids;
    size_t count;
    size_t capacity;
};

void id_list_add(struct id_list *list, int64_t id);

/* A delivery inserted in this batch, to be handed over after the commit. */
struct batch_delivery {
    struct endpoint_config *config; /* of an application that the batch holds */
    struct message_body *body;      /* of a job of the batch, or held */
    int64_t message_id;
    int64_t due_us; /* wall clock, 0 = at once */
};

/* What the jobs and deliveries of a batch point to; one of the two, the other is NULL. */
struct batch_hold {
    struct application_config *application;
    struct message_body *body;
};

/* What hangs on a batch until it is committed. */
struct batch_effects {
    struct id_list changed_endpoints;
    struct id_list expunged_messages;
    struct id_list manual_endpoints;
    struct id_list due_endpoints;
    struct id_list cancelled_endpoints;
    struct batch_delivery *deliveries;
    size_t delivery_count;
    size_t delivery_capacity;
    struct batch_hold *holds;
    size_t hold_count;
    size_t hold_capacity;
    size_t emitted; /* messages of general jobs */
};

struct writer {
    /* The queue, under `lock`. */
    pthread_mutex_t lock;
    pthread_cond_t has_jobs;
    struct list_node records;
    struct list_node ingests;
    struct list_node generals;
    struct list_node betweens;
    size_t queued; /* ingests and generals */
    bool is_stopping;
    bool is_waiting;

    atomic_bool is_failing; /* records wait for the store to take them */
    atomic_llong wal_bytes; /* after the last commit */
    pthread_t thread;

    /* The writer thread's own. */
    struct flow_options options;
    struct settings_holder *settings; /* of the moment; borrowed */
    bool has_failed;                  /* the last batch */
    int64_t wal_restarted_us;         /* boot clock, last try */
    struct store *store;
    struct id_clock id_clock;
    struct application_cache applications;
    struct auto_key_table auto_keys;
    struct batch_effects effects;
    struct writer_txn txn;
    uint64_t batch;             /* number of the current one, from 1 */
    uint64_t operational_batch; /* when is_anybody_told was looked up (operational.c) */
    bool is_anybody_told;
    struct deliverer **deliverers;
    size_t deliverer_count;
    struct live_hub *live;
};

/* Inserts the attempts and moves their deliveries. Jobs stay on the list. */
PH_NODISCARD enum ph_error record_batch(struct writer *writer, struct list_node *jobs,
                                        struct diag *diag);
/* Gives the committed jobs back to their deliverers; the list is empty afterwards. */
void record_finish(struct writer *writer, struct list_node *jobs);

/* Inserts messages, payloads and deliveries. A job that is refused has job->error set and wrote
 * nothing; an error of the whole batch is returned. Jobs stay on the list. */
PH_NODISCARD enum ph_error ingest_batch(struct writer *writer, struct list_node *jobs,
                                        struct diag *diag);
/* After the commit: hands the batch's deliveries over. */
void ingest_hand_over(struct writer *writer);
/* After the commit: answers the jobs; the list is empty afterwards. */
void ingest_answer(struct writer *writer, struct list_node *jobs);
/* The batch failed: answers every job with the error; the list is empty afterwards. */
void ingest_fail(struct list_node *jobs, enum ph_error error, const struct diag *diag);

/* --- emit.c --- */

/* Keeps what deliveries and jobs point to until the batch ends. Takes a reference of its own to the
 * application, and the caller's to the body. */
void effects_hold_application(struct batch_effects *effects, struct application_config *config);
void effects_hold_body(struct batch_effects *effects, struct message_body *body);
/* A savepoint was rolled back: what came after `mark`, a copy from before it, is forgotten. */
void effects_cut(struct writer *writer, const struct batch_effects *mark);
/* The batch has ended, one way or the other. */
void effects_clear(struct batch_effects *effects);
void effects_done(struct batch_effects *effects);

/* The deliverer that owns the endpoint's shard. */
struct deliverer *writer_deliverer_of(const struct writer *writer, int64_t shard);

#endif
