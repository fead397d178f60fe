/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Concurrency: the queue (four lists, a count, two flags) is under `lock`; `is_failing` is an
 * atomic read by deliverers; everything else belongs to the writer thread.
 *
 * A batch that fails as a whole left nothing in the store. Then each of its jobs runs alone, so
 * that one bad job cannot take its neighbours along; when no space is left, ingest and general
 * jobs are answered so, and records stay queued and are tried again.
 */
#include "flow/writer.h"

#include "base/clock.h"
#include "flow/live.h"
#include "flow/writer_int.h"
#include "store/delivery.h"
#include "store/message.h"

/* Jobs of one transaction; more wait for the next one. General jobs that emit messages have room
 * for so many of their own. */
#define BATCH_INGESTS_MAX 1024
#define BATCH_GENERALS_MAX 256
#define BATCH_EMITTED_MAX 1024
/* The log is begun anew from this many times the size that the keeper begins at. */
#define WAL_RESTART_TIMES 4
/* Pause after a transaction that failed with records in it. */
#define FAILURE_PAUSE_MS 200

struct batch {
    struct list_node records;
    struct list_node ingests;
    struct list_node generals;
    size_t count; /* of all three */
};

void id_list_add(struct id_list *list, int64_t id)
{
    if (list->count > 0 && list->ids[list->count - 1] == id) {
        return; /* the usual repetition */
    }
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        list->ids = ph_realloc(list->ids, list->capacity * sizeof list->ids[0]);
    }
    list->ids[list->count++] = id;
}

int64_t writer_txn_new_id(struct writer_txn *txn)
{
    return id_next(&txn->writer->id_clock, txn->now_us);
}

void writer_txn_endpoint_changed(struct writer_txn *txn, int64_t endpoint_id)
{
    id_list_add(&txn->writer->effects.changed_endpoints, endpoint_id);
}

void writer_txn_message_expunged(struct writer_txn *txn, int64_t message_id)
{
    id_list_add(&txn->writer->effects.expunged_messages, message_id);
}

void writer_txn_manual_added(struct writer_txn *txn, int64_t endpoint_id)
{
    id_list_add(&txn->writer->effects.manual_endpoints, endpoint_id);
}

void writer_txn_deliveries_due(struct writer_txn *txn, int64_t endpoint_id)
{
    id_list_add(&txn->writer->effects.due_endpoints, endpoint_id);
}

void writer_txn_deliveries_cancelled(struct writer_txn *txn, int64_t endpoint_id)
{
    id_list_add(&txn->writer->effects.cancelled_endpoints, endpoint_id);
}

struct deliverer *writer_deliverer_of(const struct writer *writer, int64_t shard)
{
    PH_ASSERT(writer->deliverer_count > 0 && shard >= 0);
    return writer->deliverers[(size_t)shard % writer->deliverer_count];
}

/* --- the queue: any thread ---------------------------------------------------------------- */

static void wake(struct writer *writer)
{
    if (writer->is_waiting) {
        writer->is_waiting = false;
        (void)pthread_cond_signal(&writer->has_jobs);
    }
}

/* What a general job counts in the queue. */
static size_t weight_of(const struct general_job *job)
{
    return job->messages == 0 ? 1 : job->messages;
}

static enum ph_error enqueue(struct writer *writer, struct list_node *list, struct list_node *node,
                             size_t weight, struct diag *diag)
{
    enum ph_error error = PH_OK;
    (void)pthread_mutex_lock(&writer->lock);
    if (writer->is_stopping) {
        error = diag_set(diag, PH_SHUTTING_DOWN, NULL, "the server is shutting down");
    } else if (writer->queued >= writer->options.settings.writer_queue_max) {
        error = diag_set(diag, PH_BUSY, NULL, "%zu writes are waiting already", writer->queued);
    } else {
        list_append(list, node);
        writer->queued += weight;
        wake(writer);
    }
    (void)pthread_mutex_unlock(&writer->lock);
    return error;
}

/* The same for what brings messages, which a full log refuses too. */
static enum ph_error enqueue_messages(struct writer *writer, struct list_node *list,
                                      struct list_node *node, size_t count, struct diag *diag)
{
    enum ph_error error = PH_OK;
    if (writer_wal_bytes(writer) > writer->options.settings.wal_bytes_max) {
        error = diag_set(diag, PH_BUSY, NULL,
                         "the store's write-ahead log is full: does another program keep a read "
                         "transaction open?");
    } else {
        error = enqueue(writer, list, node, count, diag);
    }
    if (error != PH_OK) {
        metrics_add(writer->options.metrics, METRIC_MESSAGES_REFUSED_BUSY, (int64_t)count);
    }
    return error;
}

enum ph_error writer_submit(struct writer *writer, struct general_job *job, struct diag *diag)
{
    return job->messages == 0
               ? enqueue(writer, &writer->generals, &job->node, 1, diag)
               : enqueue_messages(writer, &writer->generals, &job->node, job->messages, diag);
}

enum ph_error writer_submit_ingest(struct writer *writer, struct ingest_job *job, struct diag *diag)
{
    job->submitted_boot_us = clock_boot_us();
    return enqueue_messages(writer, &writer->ingests, &job->node, 1, diag);
}

void writer_submit_record(struct writer *writer, struct record_job *job)
{
    (void)pthread_mutex_lock(&writer->lock);
    list_append(&writer->records, &job->node);
    wake(writer);
    (void)pthread_mutex_unlock(&writer->lock);
}

void writer_submit_between(struct writer *writer, struct general_job *job)
{
    (void)pthread_mutex_lock(&writer->lock);
    list_append(&writer->betweens, &job->node);
    wake(writer);
    (void)pthread_mutex_unlock(&writer->lock);
}

bool writer_is_failing(const struct writer *writer)
{
    return atomic_load_explicit(&writer->is_failing, memory_order_relaxed);
}

int64_t writer_wal_bytes(const struct writer *writer)
{
    return atomic_load_explicit(&writer->wal_bytes, memory_order_relaxed);
}

void writer_wal_is_copied(struct writer *writer)
{
    atomic_store_explicit(&writer->wal_bytes, 0, memory_order_relaxed);
}

size_t writer_queue_length(struct writer *writer)
{
    (void)pthread_mutex_lock(&writer->lock);
    size_t length = writer->queued;
    (void)pthread_mutex_unlock(&writer->lock);
    return length;
}

/* Moves at most `limit` nodes. */
static size_t take(struct list_node *from, struct list_node *to, size_t limit)
{
    size_t count = 0;
    struct list_node *node;
    while (count < limit && (node = list_take_first(from)) != NULL) {
        list_append(to, node);
        count++;
    }
    return count;
}

/* Moves general jobs: not so many that they emit more messages than a transaction should have,
 * unless the first one alone does. *ret_weight is what they count in the queue. */
static size_t take_generals(struct list_node *from, struct list_node *to, size_t *ret_weight)
{
    size_t count = 0;
    size_t weight = 0;
    size_t emitted = 0;
    for (; count < BATCH_GENERALS_MAX && !list_is_empty(from); count++) {
        const struct general_job *job = LIST_ELEMENT(from->next, struct general_job, node);
        if (emitted > 0 && emitted + job->messages > BATCH_EMITTED_MAX) {
            break;
        }
        emitted += job->messages;
        weight += weight_of(job);
        list_append(to, list_take_first(from));
    }
    *ret_weight = weight;
    return count;
}

/* Waits for jobs and takes a batch, and a job to run after it (else NULL). False when the writer
 * stops and nothing is left. */
static bool next_batch(struct writer *writer, struct batch *batch, struct general_job **ret_between)
{
    (void)pthread_mutex_lock(&writer->lock);
    while (list_is_empty(&writer->records) && list_is_empty(&writer->ingests) &&
           list_is_empty(&writer->generals) && list_is_empty(&writer->betweens) &&
           !writer->is_stopping) {
        writer->is_waiting = true;
        (void)pthread_cond_wait(&writer->has_jobs, &writer->lock);
    }
    size_t ingests = take(&writer->ingests, &batch->ingests, BATCH_INGESTS_MAX);
    size_t weight;
    batch->count = take(&writer->records, &batch->records, SIZE_MAX) + ingests +
                   take_generals(&writer->generals, &batch->generals, &weight);
    writer->queued -= ingests + weight;
    struct list_node *between = list_take_first(&writer->betweens);
    (void)pthread_mutex_unlock(&writer->lock);
    *ret_between = between == NULL ? NULL : LIST_ELEMENT(between, struct general_job, node);
    return batch->count > 0 || between != NULL;
}

/* --- one transaction: the writer thread --------------------------------------------------- */

/* One closure in its savepoint. Returns an error only when the whole transaction is gone. */
static enum ph_error run_general(struct writer *writer, struct general_job *job, struct diag *diag)
{
    struct db *db = writer->store->db;
    const struct batch_effects before = writer->effects;
    enum ph_error error = db_savepoint(db, diag);
    if (error != PH_OK) {
        return error;
    }
    job->diag = (struct diag){0};
    job->error = job->run(job, &writer->txn, &job->diag);
    if (!db_in_transaction(db)) {
        *diag = job->diag;
        return job->error == PH_OK ? PH_STORE : job->error;
    }
    if (job->error == PH_OK) {
        return db_savepoint_release(db, diag);
    }
    db_savepoint_rollback(db);
    effects_cut(writer, &before);
    return PH_OK;
}

static enum ph_error run_stages(struct writer *writer, struct batch *batch, struct diag *diag)
{
    enum ph_error error = PH_OK;
    if (!list_is_empty(&batch->records)) {
        error = record_batch(writer, &batch->records, diag);
    }
    if (error == PH_OK && !list_is_empty(&batch->ingests)) {
        error = ingest_batch(writer, &batch->ingests, diag);
    }
    LIST_FOR_EACH(node, next, &batch->generals)
    {
        if (error == PH_OK) {
            error = run_general(writer, LIST_ELEMENT(node, struct general_job, node), diag);
        }
    }
    return error;
}

/* Runs and commits. On error nothing of the batch is in the store. */
static enum ph_error run_transaction(struct writer *writer, struct batch *batch, struct diag *diag)
{
    writer->batch++;
    effects_clear(&writer->effects);
    application_cache_begin_batch(&writer->applications);
    writer->txn = (struct writer_txn){writer->store, clock_wall_us(), writer};
    enum ph_error error = db_begin(writer->store->db, diag);
    if (error == PH_OK) {
        error = run_stages(writer, batch, diag);
    }
    if (error == PH_OK) {
        int64_t start_us = clock_boot_us();
        error = db_commit(writer->store->db, diag);
        metrics_observe(writer->options.metrics, METRIC_COMMIT_SECONDS, clock_boot_us() - start_us);
    }
    if (error == PH_OK) {
        metrics_add(writer->options.metrics, METRIC_STORE_COMMITS, 1);
        metrics_observe(writer->options.metrics, METRIC_BATCH_JOBS, (int64_t)batch->count);
        metrics_set(writer->options.metrics, METRIC_SNAPSHOT_ENDPOINTS,
                    (int64_t)writer->applications.weight);
        return PH_OK;
    }
    db_rollback(writer->store->db);
    metrics_add(writer->options.metrics, METRIC_STORE_ROLLBACKS, 1);
    effects_clear(&writer->effects);
    /* Snapshots read inside the lost transaction may carry version numbers that come again. */
    application_cache_done(&writer->applications);
    application_cache_init(&writer->applications, writer->applications.max);
    metrics_set(writer->options.metrics, METRIC_SNAPSHOT_ENDPOINTS, 0);
    return error;
}

/* --- after the commit ---------------------------------------------------------------------- */

static void publish_endpoint(struct writer *writer, int64_t endpoint_id)
{
    struct endpoint_config *config;
    struct diag diag;
    enum ph_error error = endpoint_config_load(writer->store, endpoint_id, &diag, &config);
    if (error == PH_OK) {
        deliverer_push_config(writer_deliverer_of(writer, config->shard), config);
    } else if (error != PH_NOT_FOUND) {
        char endpoint[ID_TEXT_MAX];
        (void)id_format(&writer->store->codec, ID_ENDPOINT, endpoint_id, endpoint);
        log_write(writer->options.log, LOG_STORE_FAILED, LOG_TEXT("error", diag.text),
                  LOG_TEXT("endpoint", endpoint));
    }
}

/* Tells the deliverer of each endpoint. */
static void publish_list(struct writer *writer, const struct id_list *endpoints,
                         void (*push)(struct deliverer *deliverer, int64_t endpoint_id))
{
    for (size_t index = 0; index < endpoints->count; index++) {
        int64_t endpoint_id = endpoints->ids[index];
        push(writer_deliverer_of(writer, delivery_shard(endpoint_id)), endpoint_id);
    }
}

static void publish_effects(struct writer *writer)
{
    struct batch_effects *effects = &writer->effects;
    for (size_t index = 0; index < effects->changed_endpoints.count; index++) {
        publish_endpoint(writer, effects->changed_endpoints.ids[index]);
    }
    for (size_t index = 0; index < effects->expunged_messages.count; index++) {
        for (size_t each = 0; each < writer->deliverer_count; each++) {
            deliverer_push_expunged(writer->deliverers[each],
                                    effects->expunged_messages.ids[index]);
        }
    }
    publish_list(writer, &effects->manual_endpoints, deliverer_push_manual);
    publish_list(writer, &effects->due_endpoints, deliverer_push_replayed);
    publish_list(writer, &effects->cancelled_endpoints, deliverer_push_cancelled);
}

static void finish_generals(struct list_node *jobs)
{
    struct list_node *node;
    while ((node = list_take_first(jobs)) != NULL) {
        struct general_job *job = LIST_ELEMENT(node, struct general_job, node);
        job->done(job, job->error, &job->diag);
    }
}

/* Tells those who follow an application that it has something new. */
static void announce(struct writer *writer, const struct batch *batch)
{
    if (!live_announce_begin(writer->live)) {
        return;
    }
    LIST_FOR_EACH(node, next, &batch->records)
    {
        const struct record_job *job = LIST_ELEMENT(node, struct record_job, node);
        if (job->has_attempt) {
            live_announce(writer->live, job->application_id);
        }
    }
    /* A batch holds the application of every message in it. */
    for (size_t index = 0; index < writer->effects.hold_count; index++) {
        const struct application_config *application = writer->effects.holds[index].application;
        if (application != NULL) {
            live_announce(writer->live, application->id);
        }
    }
    live_announce_end(writer->live);
}

static void finish(struct writer *writer, struct batch *batch)
{
    announce(writer, batch);
    /* Deliveries go before configuration, so that a lane they open sees a disable of this batch. */
    ingest_hand_over(writer);
    publish_effects(writer);
    record_finish(writer, &batch->records);
    for (size_t each = 0; each < writer->deliverer_count; each++) {
        deliverer_wake(writer->deliverers[each]);
    }
    ingest_answer(writer, &batch->ingests);
    finish_generals(&batch->generals);
    effects_clear(&writer->effects);
}

/* A failure is told once, and once that it is over. */
static void tell_outcome(struct writer *writer, bool has_failed, const struct diag *diag)
{
    if (has_failed && !writer->has_failed) {
        log_write(writer->options.log, LOG_STORE_FAILED, LOG_TEXT("error", diag->text));
    } else if (!has_failed && writer->has_failed) {
        log_write(writer->options.log, LOG_STORE_RECOVERED);
    }
    writer->has_failed = has_failed;
}

/* Only records count: they come again by themselves, so that a failure also ends by itself. After
 * a refused message nothing else might ever be written. */
static void set_failing(struct writer *writer, bool is_failing)
{
    atomic_store_explicit(&writer->is_failing, is_failing, memory_order_relaxed);
}

static void fail_jobs(struct batch *batch, enum ph_error error, const struct diag *diag)
{
    ingest_fail(&batch->ingests, error, diag);
    LIST_FOR_EACH(node, next, &batch->generals)
    {
        struct general_job *job = LIST_ELEMENT(node, struct general_job, node);
        job->error = error;
        job->diag = *diag;
    }
    finish_generals(&batch->generals);
}

/* Puts records back in front of the queue and waits a little. At the end of the server they are
 * let go: their attempts do not count and are made again after the restart. */
static void keep_records(struct writer *writer, struct list_node *records)
{
    if (list_is_empty(records)) {
        return;
    }
    set_failing(writer, true);
    (void)pthread_mutex_lock(&writer->lock);
    if (writer->is_stopping) {
        list_init(records);
        (void)pthread_mutex_unlock(&writer->lock);
        return;
    }
    list_splice(records, &writer->records);
    list_splice(&writer->records, records);
    struct timespec until = clock_deadline(FAILURE_PAUSE_MS * CLOCK_US_PER_MS);
    (void)pthread_cond_timedwait(&writer->has_jobs, &writer->lock, &until);
    (void)pthread_mutex_unlock(&writer->lock);
}

static void init_batch(struct batch *batch)
{
    list_init(&batch->records);
    list_init(&batch->ingests);
    list_init(&batch->generals);
    batch->count = 0;
}

static void run_alone(struct writer *writer, struct batch *single)
{
    struct diag diag = {0};
    single->count = 1;
    enum ph_error error = run_transaction(writer, single, &diag);
    if (error == PH_OK) {
        if (!list_is_empty(&single->records)) {
            set_failing(writer, false);
        }
        finish(writer, single);
    } else {
        fail_jobs(single, error, &diag);
        keep_records(writer, &single->records);
    }
}

/* The batch is gone as a whole: records together first, then every other job for itself. */
static void run_one_by_one(struct writer *writer, struct batch *batch)
{
    struct batch single;
    init_batch(&single);
    list_splice(&single.records, &batch->records);
    if (!list_is_empty(&single.records)) {
        run_alone(writer, &single);
    }
    struct list_node *node;
    while ((node = list_take_first(&batch->ingests)) != NULL) {
        list_append(&single.ingests, node);
        run_alone(writer, &single);
    }
    while ((node = list_take_first(&batch->generals)) != NULL) {
        list_append(&single.generals, node);
        run_alone(writer, &single);
    }
}

static void run_batch(struct writer *writer, struct batch *batch)
{
    struct diag diag = {0};
    enum ph_error error = run_transaction(writer, batch, &diag);
    if (error == PH_OK) {
        tell_outcome(writer, false, &diag);
        set_failing(writer, false);
        finish(writer, batch);
        return;
    }
    tell_outcome(writer, true, &diag);
    if (batch->count > 1 && error != PH_STORE_FULL) {
        run_one_by_one(writer, batch);
        return;
    }
    fail_jobs(batch, error, &diag);
    keep_records(writer, &batch->records);
}

/* The keeper copies the log's pages into the database file beside the writer, and so never reaches
 * an end that moves on. What is left then is copied here, between two batches: only with all of
 * it copied is the log begun anew. Readers may prevent it; the next second may do better. */
static void restart_wal(struct writer *writer)
{
    int64_t bytes = db_wal_bytes(writer->store->db);
    int64_t now_us = clock_boot_us();
    if (bytes / WAL_RESTART_TIMES >= writer->options.settings.wal_checkpoint_bytes &&
        now_us - writer->wal_restarted_us >= CLOCK_US_PER_S) {
        writer->wal_restarted_us = now_us;
        int64_t left_bytes;
        if (db_checkpoint(writer->store->db, NULL, &left_bytes) == PH_OK && left_bytes == 0) {
            bytes = 0;
        }
        metrics_observe(writer->options.metrics, METRIC_CHECKPOINT_SECONDS,
                        clock_boot_us() - now_us);
    }
    atomic_store_explicit(&writer->wal_bytes, bytes, memory_order_relaxed);
}

static void run_between(struct writer *writer, struct general_job *job)
{
    PH_ASSERT(!db_in_transaction(writer->store->db));
    writer->txn = (struct writer_txn){writer->store, clock_wall_us(), writer};
    job->diag = (struct diag){0};
    job->error = job->run(job, &writer->txn, &job->diag);
    PH_ASSERT(!db_in_transaction(writer->store->db));
    job->done(job, job->error, &job->diag);
}

static void *writer_main(void *argument)
{
    struct writer *writer = argument;
    (void)pthread_setname_np(pthread_self(), "writer");
    struct batch batch;
    init_batch(&batch);
    struct general_job *between;
    while (next_batch(writer, &batch, &between)) {
        if (batch.count > 0) {
            run_batch(writer, &batch);
            restart_wal(writer);
        }
        PH_ASSERT(list_is_empty(&batch.ingests) && list_is_empty(&batch.generals) &&
                  list_is_empty(&batch.records));
        if (between != NULL) {
            run_between(writer, between);
        }
    }
    return NULL;
}

/* --- start and stop -------------------------------------------------------------------------- */

static void add_stored_auto_key(void *context, struct slice key, int64_t message_id)
{
    struct auto_key_table *table = context;
    int64_t at_us = id_time_us(message_id);
    if (key.len == 16 && auto_key_has_room(table, at_us)) {
        auto_key_add(table, (const uint8_t *)key.ptr, message_id, at_us);
    }
}

static enum ph_error load_state(struct writer *writer, struct diag *diag)
{
    int64_t newest = 0;
    enum ph_error error = message_newest_id(writer->store, diag, &newest);
    if (error != PH_OK) {
        return error;
    }
    id_clock_init(&writer->id_clock, 0, newest);
    int64_t oldest_us = clock_wall_us() - AUTO_KEY_SLICES * AUTO_KEY_SLICE_US;
    return message_each_auto_key(writer->store, id_floor(oldest_us), add_stored_auto_key,
                                 &writer->auto_keys, diag);
}

static void free_writer(struct writer *writer)
{
    application_cache_done(&writer->applications);
    auto_key_done(&writer->auto_keys);
    store_close(writer->store);
    effects_done(&writer->effects);
    free(writer->deliverers);
    (void)pthread_cond_destroy(&writer->has_jobs);
    (void)pthread_mutex_destroy(&writer->lock);
    free(writer);
}

enum ph_error writer_start(const struct flow_options *options, struct settings_holder *settings,
                           struct diag *diag, struct writer **ret_writer)
{
    struct store *store;
    enum ph_error error = store_open(options->store_address, DB_READ_WRITE, diag, &store);
    if (error != PH_OK) {
        return error;
    }
    store->keyring = options->keyring;
    struct writer *writer = ph_calloc(1, sizeof *writer);
    writer->options = *options;
    writer->settings = settings;
    writer->store = store;
    list_init(&writer->records);
    list_init(&writer->ingests);
    list_init(&writer->generals);
    list_init(&writer->betweens);
    application_cache_init(&writer->applications, options->settings.snapshot_endpoints_max);
    auto_key_init(&writer->auto_keys, AUTO_KEY_ENTRIES_MAX);
    (void)pthread_mutex_init(&writer->lock, NULL);
    clock_cond_init(&writer->has_jobs);
    error = load_state(writer, diag);
    if (error == PH_OK && pthread_create(&writer->thread, NULL, writer_main, writer) != 0) {
        error = diag_set(diag, PH_INTERNAL, NULL, "could not start the writer thread");
    }
    if (error != PH_OK) {
        free_writer(writer);
        return error;
    }
    *ret_writer = writer;
    return PH_OK;
}

void writer_set_deliverers(struct writer *writer, struct deliverer **deliverers, size_t count)
{
    PH_ASSERT(count > 0);
    writer->deliverers = ph_calloc(count, sizeof(struct deliverer *));
    memcpy(writer->deliverers, deliverers, count * sizeof(struct deliverer *));
    writer->deliverer_count = count;
}

void writer_set_live(struct writer *writer, struct live_hub *live)
{
    writer->live = live;
}

const struct id_codec *writer_id_codec(const struct writer *writer)
{
    return &writer->store->codec;
}

void writer_stop(struct writer *writer)
{
    if (writer == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&writer->lock);
    writer->is_stopping = true;
    (void)pthread_cond_signal(&writer->has_jobs);
    (void)pthread_mutex_unlock(&writer->lock);
    (void)pthread_join(writer->thread, NULL);
    free_writer(writer);
}
