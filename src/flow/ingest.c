/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch goes through in two passes. The first asks what needs answers: which application, was
 * this key or eventId used before. The second only inserts, so that PostgreSQL can take it as one
 * pipeline. What the first pass wrote for a job that it then refuses does not exist: the claim of
 * an eventId is its last step.
 */
#include "flow/ingest.h"

#include "base/clock.h"
#include "base/siphash.h"
#include "flow/writer_int.h"
#include "store/delivery.h"
#include "store/idempotency.h"

/* Room for rebuilding one kept answer's columns. */
#define LOOKUP_ARENA_BYTES 4096

static enum ph_error find_application_by_uid(struct writer *writer, struct ingest_job *job,
                                             struct diag *diag, int64_t *ret_id)
{
    struct db_statement *select =
        db_prepare(writer->store->db, "SELECT id FROM application"
                                      " WHERE org = $1 AND uid = $2 AND deleted_at IS NULL");
    db_bind_text(select, 1, job->org);
    db_bind_text(select, 2, job->application_uid);
    enum ph_error error = db_find_row(select, "Application not found", diag);
    if (error == PH_OK) {
        *ret_id = db_int64(select, 0);
        db_done(select);
    }
    return error;
}

/* Makes the application that the message brings along, in a savepoint of its own. */
static enum ph_error make_application(struct writer *writer, struct ingest_job *job,
                                      struct diag *diag, int64_t *ret_id)
{
    struct db *db = writer->store->db;
    enum ph_error error = db_savepoint(db, diag);
    if (error != PH_OK) {
        return error;
    }
    error = job->create_application(job, &writer->txn, diag, ret_id);
    if (error == PH_OK) {
        return db_savepoint_release(db, diag);
    }
    if (db_in_transaction(db)) {
        db_savepoint_rollback(db);
    }
    return error;
}

/* Often a batch is for one application: the one of the job before may be taken again. */
static bool has_target_of(const struct ingest_job *job, const struct ingest_job *other)
{
    return other->application != NULL && other->application_id == job->application_id &&
           slice_equal(other->org, job->org) &&
           (job->application_id != 0 || slice_equal(other->application_uid, job->application_uid));
}

static enum ph_error resolve_application(struct writer *writer, const struct ingest_job *before,
                                         struct ingest_job *job, struct diag *diag)
{
    if (before != NULL && has_target_of(job, before)) {
        job->application = before->application;
        return PH_OK;
    }
    int64_t id = job->application_id;
    enum ph_error error = PH_OK;
    if (id == 0) {
        error = find_application_by_uid(writer, job, diag, &id);
    }
    struct application_config *config = NULL;
    if (error == PH_OK) {
        error = application_cache_get(&writer->applications, writer->store, job->org, id, diag,
                                      &config);
    }
    if (error == PH_NOT_FOUND && job->create_application != NULL) {
        error = make_application(writer, job, diag, &id);
        if (error == PH_OK) {
            error = application_cache_get(&writer->applications, writer->store, job->org, id, diag,
                                          &config);
        }
    }
    if (error == PH_OK) {
        effects_hold_application(&writer->effects, config);
        job->application = config;
    }
    return error;
}

/* A path may name an application by its uid, which another one may have had before: a key belongs
 * to the application itself. Once for each job, which may run twice. */
static void bind_key(struct ingest_job *job)
{
    uint8_t id[8];
    if (job->key_kind != INGEST_KEY_NONE && !job->is_key_bound) {
        memcpy(id, &job->application->id, sizeof id);
        for (size_t index = 0; index < sizeof id; index++) {
            job->key_hash[index] ^= id[index];
        }
        job->is_key_bound = true;
    }
}

/* An earlier job of the same batch with the same key: batches are short, a walk will do. */
static struct ingest_job *same_key_before(struct list_node *jobs, struct ingest_job *job)
{
    for (struct list_node *node = job->node.previous; node != jobs; node = node->previous) {
        struct ingest_job *other = LIST_ELEMENT(node, struct ingest_job, node);
        if (other->key_kind == job->key_kind && other->error == PH_OK &&
            memcmp(other->key_hash, job->key_hash, sizeof job->key_hash) == 0) {
            return other;
        }
    }
    return NULL;
}

/* Whether the message really carries this auto key: the table in memory keeps half of the hash. */
static enum ph_error confirm_auto_key(struct writer *writer, struct ingest_job *job,
                                      int64_t message_id, struct diag *diag, bool *ret_is_same)
{
    struct db_statement *select =
        db_prepare(writer->store->db, "SELECT auto_key FROM message WHERE id = $1");
    db_bind_int64(select, 1, message_id);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    *ret_is_same = false;
    if (has_row) {
        struct slice stored = db_blob(select, 0);
        *ret_is_same = stored.len == sizeof job->key_hash &&
                       memcmp(stored.ptr, job->key_hash, stored.len) == 0;
        db_done(select);
    }
    return PH_OK;
}

static enum ph_error find_auto_key(struct writer *writer, struct ingest_job *job, struct diag *diag)
{
    int64_t message_id = auto_key_find(&writer->auto_keys, job->key_hash);
    if (message_id != 0) {
        bool is_same;
        enum ph_error error = confirm_auto_key(writer, job, message_id, diag, &is_same);
        if (error != PH_OK) {
            return error;
        }
        if (is_same) {
            job->is_replayed = true;
            job->message_id = message_id;
            return PH_OK;
        }
    }
    if (!auto_key_has_room(&writer->auto_keys, writer->txn.now_us)) {
        return diag_set(diag, PH_BUSY, NULL, "too many idempotency keys within two minutes");
    }
    return PH_OK;
}

static enum ph_error find_caller_key(struct writer *writer, struct ingest_job *job,
                                     struct diag *diag)
{
    ARENA_AUTO struct arena arena;
    arena_init(&arena, LOOKUP_ARENA_BYTES);
    struct idempotency_row row;
    enum ph_error error =
        idempotency_find(writer->store, job->key_hash, writer->txn.now_us, &arena, diag, &row);
    if (error == PH_OK) {
        job->is_replayed = true;
        job->message_id = row.message_id;
        return PH_OK;
    }
    return error == PH_NOT_FOUND ? PH_OK : error;
}

/* Sets is_replayed and message_id when this key was answered before. */
static enum ph_error find_answer(struct writer *writer, struct list_node *jobs,
                                 struct ingest_job *job, struct diag *diag)
{
    if (job->key_kind == INGEST_KEY_NONE) {
        return PH_OK;
    }
    const struct ingest_job *before = same_key_before(jobs, job);
    if (before != NULL) {
        job->is_replayed = true;
        job->message_id = before->message_id;
        return PH_OK;
    }
    return job->key_kind == INGEST_KEY_AUTO ? find_auto_key(writer, job, diag)
                                            : find_caller_key(writer, job, diag);
}

static enum ph_error prepare_job(struct writer *writer, struct list_node *jobs,
                                 struct ingest_job *job, struct diag *diag)
{
    const struct ingest_job *before =
        job->node.previous == jobs ? NULL
                                   : LIST_ELEMENT(job->node.previous, struct ingest_job, node);
    enum ph_error error = resolve_application(writer, before, job, diag);
    if (error == PH_OK) {
        bind_key(job);
        error = find_answer(writer, jobs, job, diag);
    }
    if (error != PH_OK || job->is_replayed) {
        return error;
    }
    job->message_id = writer_txn_new_id(&writer->txn);
    if (job->event_id.ptr == NULL) {
        return PH_OK;
    }
    bool is_new;
    error = message_claim_event_id(writer->store, job->application->id, job->event_id,
                                   job->message_id, diag, &is_new);
    if (error == PH_OK && !is_new) {
        return diag_set(diag, PH_CONFLICT, "body.eventId",
                        "A message with this eventId exists already");
    }
    return error;
}

static void add_delivery(struct batch_effects *effects, const struct ingest_job *job,
                         struct endpoint_config *config)
{
    if (effects->delivery_count == effects->delivery_capacity) {
        effects->delivery_capacity =
            effects->delivery_capacity == 0 ? 64 : effects->delivery_capacity * 2;
        effects->deliveries = ph_realloc(effects->deliveries, effects->delivery_capacity *
                                                                  sizeof effects->deliveries[0]);
    }
    effects->deliveries[effects->delivery_count++] =
        (struct batch_delivery){config, job->body, job->message_id, job->deliver_at_us};
}

/* What stands for the message's own key; 0 without one. Above 1, which is an endpoint's order. */
static int64_t key_of_message(const struct ingest_job *job)
{
    static const uint8_t hash_key[16] = {0}; /* equal on every node and start */
    if (job->ordering_key.ptr == NULL) {
        return 0;
    }
    return (int64_t)(siphash64(hash_key, job->ordering_key.ptr, job->ordering_key.len) >> 1 | 2);
}

static bool goes_to(const struct ingest_job *job, const struct endpoint_config *config)
{
    return job->only_endpoint_id != 0 ? config->id == job->only_endpoint_id
                                      : endpoint_config_matches(config, job->event_type,
                                                                job->channels, job->channel_count);
}

static enum ph_error insert_deliveries(struct writer *writer, struct ingest_job *job,
                                       struct diag *diag)
{
    enum ph_error error = PH_OK;
    const struct application_config *application = job->application;
    int64_t message_key = key_of_message(job);
    for (size_t index = 0; error == PH_OK && index < application->endpoint_count; index++) {
        struct endpoint_config *config = application->endpoints[index];
        if (goes_to(job, config)) {
            const struct delivery_insert_row row = {
                .message_id = job->message_id,
                .endpoint_id = config->id,
                .shard = config->shard,
                .due_us = job->deliver_at_us > writer->txn.now_us ? job->deliver_at_us
                                                                  : writer->txn.now_us,
                .generation = config->generation,
                .order_key = endpoint_order_key(config, message_key, job->message_id),
            };
            error = delivery_insert(writer->store, &row, diag);
            add_delivery(&writer->effects, job, config);
        }
    }
    return error;
}

static enum ph_error insert_job(struct writer *writer, struct ingest_job *job, struct diag *diag)
{
    bool is_later = job->deliver_at_us > writer->txn.now_us;
    const struct message_row row = {
        .id = job->message_id,
        .application_id = job->application->id,
        .event_type = job->event_type,
        .event_id = job->event_id,
        .channels = job->channels_json,
        .tags = job->tags_json,
        .deliver_at_us = is_later ? job->deliver_at_us : 0,
        .order_key = key_of_message(job),
        .payload_expires_at_us =
            (is_later ? job->deliver_at_us : writer->txn.now_us) + job->payload_retention_us,
        .auto_key = job->key_kind == INGEST_KEY_AUTO
                        ? (struct slice){(const char *)job->key_hash, sizeof job->key_hash}
                        : SLICE_NONE,
    };
    enum ph_error error = message_insert(writer->store, &row, diag);
    if (error == PH_OK) {
        uint8_t trace[TRACE_BYTES];
        trace_to_bytes(&job->body->trace, trace);
        error = message_insert_payload(writer->store, job->message_id, job->payload, job->raw_body,
                                       trace_exists(&job->body->trace)
                                           ? (struct slice){(const char *)trace, sizeof trace}
                                           : SLICE_NONE,
                                       diag);
    }
    if (error == PH_OK) {
        error = insert_deliveries(writer, job, diag);
    }
    if (error == PH_OK && job->key_kind == INGEST_KEY_CALLER) {
        const struct idempotency_row answer = {.message_id = job->message_id, .status = 202};
        error = idempotency_insert(writer->store, job->key_hash, writer->txn.now_us, &answer, diag);
    }
    return error;
}

static void reset_results(struct ingest_job *job)
{
    job->application = NULL;
    job->message_id = 0;
    job->is_replayed = false;
    job->error = PH_OK;
}

enum ph_error ingest_batch(struct writer *writer, struct list_node *jobs, struct diag *diag)
{
    LIST_FOR_EACH(node, next, jobs)
    {
        struct ingest_job *job = LIST_ELEMENT(node, struct ingest_job, node);
        reset_results(job);
        job->error = prepare_job(writer, jobs, job, &job->diag);
        if (job->error != PH_OK &&
            (ph_error_may_succeed_later(job->error) || !db_in_transaction(writer->store->db)) &&
            job->error != PH_BUSY) {
            *diag = job->diag; /* the store's failure, not the job's */
            return job->error;
        }
    }
    enum ph_error error = db_pipeline_begin(writer->store->db, diag);
    LIST_FOR_EACH(node, next, jobs)
    {
        struct ingest_job *job = LIST_ELEMENT(node, struct ingest_job, node);
        if (error == PH_OK && job->error == PH_OK && !job->is_replayed) {
            error = insert_job(writer, job, diag);
        }
    }
    enum ph_error end_error = db_pipeline_end(writer->store->db, error == PH_OK ? diag : NULL);
    return error != PH_OK ? error : end_error;
}

void ingest_hand_over(struct writer *writer)
{
    struct batch_effects *effects = &writer->effects;
    for (size_t index = 0; index < effects->delivery_count; index++) {
        const struct batch_delivery *delivery = &effects->deliveries[index];
        struct deliverer *deliverer = writer_deliverer_of(writer, delivery->config->shard);
        if (delivery->due_us > writer->txn.now_us ||
            delivery->config->options->ordering != ENDPOINT_ORDERING_NONE) {
            deliverer_push_due(deliverer, delivery->config, delivery->due_us);
        } else {
            deliverer_push_fresh(deliverer, delivery->config, delivery->message_id,
                                 writer->txn.now_us, delivery->body);
        }
    }
    metrics_add(writer->options.metrics, METRIC_DELIVERIES_CREATED,
                (int64_t)effects->delivery_count);
    metrics_add(writer->options.metrics, METRIC_MESSAGES_ACCEPTED, (int64_t)effects->emitted);
}

void ingest_answer(struct writer *writer, struct list_node *jobs)
{
    int64_t now_us = clock_boot_us();
    struct list_node *node;
    while ((node = list_take_first(jobs)) != NULL) {
        struct ingest_job *job = LIST_ELEMENT(node, struct ingest_job, node);
        if (job->error == PH_OK && !job->is_replayed) {
            metrics_add(writer->options.metrics, METRIC_MESSAGES_ACCEPTED, 1);
            metrics_observe(writer->options.metrics, METRIC_ACCEPT_SECONDS,
                            now_us - job->submitted_boot_us);
            if (job->key_kind == INGEST_KEY_AUTO) {
                auto_key_add(&writer->auto_keys, job->key_hash, job->message_id,
                             writer->txn.now_us);
            }
        }
        job->done(job);
    }
}

void ingest_fail(struct list_node *jobs, enum ph_error error, const struct diag *diag)
{
    struct list_node *node;
    while ((node = list_take_first(jobs)) != NULL) {
        struct ingest_job *job = LIST_ELEMENT(node, struct ingest_job, node);
        job->error = error;
        job->diag = *diag;
        job->done(job);
    }
}
