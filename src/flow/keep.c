/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Concurrency: `lock` guards `is_stopping`; the rest is the keeper thread's.
 */
#include "flow/keep.h"

#include <pthread.h>

#include "base/clock.h"
#include "flow/backlog.h"
#include "flow/step.h"
#include "store/idempotency.h"
#include "store/keyring.h"
#include "store/retention.h"
#include "store/seal_rows.h"
#include "store/task.h"
#include "store/token.h"

#define TICK_US (200 * CLOCK_US_PER_MS)
#define RETENTION_INTERVAL_MIN_US CLOCK_US_PER_S
#define RETENTION_INTERVAL_MAX_US (60 * CLOCK_US_PER_S)
#define ANSWERS_STEP 100
#define TOKENS_STEP 100
#define TASKS_STEP 500
#define SEALING_RETRY_US (60 * CLOCK_US_PER_S)
/* The reserved uses of a data key may be gone within a minute. */
#define KEY_RETRY_US CLOCK_US_PER_S
/* After a step of retention or sealing it waits a few times as long as the step took, which under
 * load is mostly the wait for the writer: so it goes slowly when others need the writer. */
#define PAUSE_TIMES 3
#define PAUSE_MIN_US (5 * CLOCK_US_PER_MS)
#define STEP_PAUSE_US (20 * CLOCK_US_PER_MS)

/* One walk over everything that may have ended. It has ends of its own, or under load it would
 * follow what comes in for ever. */
struct retention_round {
    bool is_going;
    size_t stage;      /* of round_stages */
    int64_t began_us;  /* boot clock */
    int64_t now_us;    /* wall clock at its beginning */
    int64_t delete_us; /* wall clock: messages from before it are deleted */
    int64_t after_id;  /* where the stage is */
    int64_t pause_us;  /* before the next step */
};

struct keeper {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_stopping;
    pthread_t thread;

    const struct flow_options *options;
    struct settings_holder *settings;
    struct writer *writer;
    struct store *store;
    struct backlog *backlog;
    struct upkeep_list *upkeep;
    int64_t upkeep_wait_us;   /* until the next of it is due */
    int64_t checkpoint_at_us; /* boot clock: not before */
    struct retention_round round;
    struct seal_walk walk; /* over what is stored in plain */
    int64_t sealed_rows;
    int64_t sealing_at_us; /* boot clock: not before */
    int64_t keys_at_us;    /* boot clock, after a failure */
};

/* One step on its way through the writer. */
struct keeper_step {
    struct step step;
    struct keeper *keeper;
    /* Results. */
    int64_t last_id; /* 0 = that was the end */
    int64_t deleted;
    struct seal_walk walk;
    int64_t sealed;
};

static struct keeper_step *mine_of(struct step *step)
{
    return PH_CONTAINER_OF(step, struct keeper_step, step);
}

/* Waits `wait_us` or until the keeper stops. False when it stops. */
static bool pause_for(struct keeper *keeper, int64_t wait_us)
{
    struct timespec until = clock_deadline(wait_us);
    (void)pthread_mutex_lock(&keeper->lock);
    int waited = 0;
    while (!keeper->is_stopping && waited == 0) {
        waited = pthread_cond_timedwait(&keeper->changed, &keeper->lock, &until);
    }
    bool goes_on = !keeper->is_stopping;
    (void)pthread_mutex_unlock(&keeper->lock);
    return goes_on;
}

/* Runs one step through the writer, waits for its commit and tells the outcome. PH_BUSY when the
 * writer's queue is full. */
static enum ph_error run_step(struct keeper *keeper, struct keeper_step *mine,
                              enum ph_error (*run)(struct step *, struct writer_txn *,
                                                   struct diag *))
{
    struct diag diag;
    mine->keeper = keeper;
    mine->deleted = 0;
    step_init(&mine->step, run);
    enum ph_error error = step_run(&mine->step, keeper->writer, &diag);
    step_done(&mine->step);
    if (error != PH_OK) {
        if (error != PH_BUSY) {
            log_write(keeper->options->log, LOG_KEEPER_FAILED, LOG_TEXT("error", diag.text));
        }
        return error;
    }
    metrics_add(keeper->options->metrics, METRIC_RETENTION_ROWS, mine->deleted);
    if (mine->deleted > 0) {
        log_write(keeper->options->log, LOG_KEEPER_STEP, LOG_TEXT("work", "retention"),
                  LOG_INT("rows", mine->deleted));
    }
    return PH_OK;
}

/* What is waited after a step that took so long: callers go first. */
static int64_t pause_after(enum ph_error error, int64_t took_us, int64_t least_us)
{
    int64_t pause_us = took_us * PAUSE_TIMES;
    if (error == PH_BUSY || pause_us > TICK_US) {
        return TICK_US;
    }
    return pause_us < least_us ? least_us : pause_us;
}

static void checkpoint(struct keeper *keeper)
{
    int64_t bytes = writer_wal_bytes(keeper->writer);
    metrics_set(keeper->options->metrics, METRIC_WAL_BYTES, bytes);
    int64_t begin_us = clock_boot_us();
    if (bytes < keeper->options->settings.wal_checkpoint_bytes ||
        begin_us < keeper->checkpoint_at_us) {
        return;
    }
    struct diag diag;
    int64_t left_bytes;
    enum ph_error error = db_checkpoint(keeper->store->db, &diag, &left_bytes);
    metrics_observe(keeper->options->metrics, METRIC_CHECKPOINT_SECONDS,
                    clock_boot_us() - begin_us);
    keeper->checkpoint_at_us = clock_boot_us() + TICK_US;
    if (error == PH_OK && left_bytes == 0) {
        writer_wal_is_copied(keeper->writer);
    } else if (error != PH_OK && error != PH_STORE_BUSY) {
        log_write(keeper->options->log, LOG_KEEPER_FAILED, LOG_TEXT("error", diag.text));
    }
}

/* --- retention -------------------------------------------------------------------------------- */

static enum ph_error delete_messages(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    struct keeper_step *mine = mine_of(step);
    const struct retention_round *round = &mine->keeper->round;
    struct retention_tally tally = {0};
    enum ph_error error = retention_delete(txn->store, round->after_id, id_floor(round->delete_us),
                                           diag, &mine->last_id, &tally);
    mine->deleted = tally.messages;
    return error;
}

static enum ph_error expire_payloads(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    struct keeper_step *mine = mine_of(step);
    const struct retention_round *round = &mine->keeper->round;
    return retention_expire_payloads(txn->store, round->after_id, id_floor(round->now_us),
                                     txn->now_us, diag, &mine->last_id, &mine->deleted);
}

static enum ph_error delete_answers(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    struct keeper_step *mine = mine_of(step);
    enum ph_error error =
        idempotency_delete_old(txn->store, txn->now_us, ANSWERS_STEP, diag, &mine->deleted);
    mine->last_id = mine->deleted >= ANSWERS_STEP; /* more may be left */
    return error;
}

static enum ph_error delete_tokens(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    struct keeper_step *mine = mine_of(step);
    enum ph_error error =
        token_delete_old(txn->store, txn->now_us, TOKENS_STEP, diag, &mine->deleted);
    mine->last_id = mine->deleted >= TOKENS_STEP; /* more may be left */
    return error;
}

static enum ph_error delete_tasks(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    struct keeper_step *mine = mine_of(step);
    enum ph_error error = task_delete_old(txn->store, mine->keeper->round.delete_us, TASKS_STEP,
                                          diag, &mine->deleted);
    mine->last_id = mine->deleted > 0; /* more may be left */
    return error;
}

static enum ph_error (*const round_stages[])(struct step *, struct writer_txn *, struct diag *) = {
    delete_messages, expire_payloads, delete_answers, delete_tokens, delete_tasks,
};

/* Begins a round each minute, or more often when things are kept for so short a time that a minute
 * would be late. */
static void begin_round(struct keeper *keeper)
{
    const struct flow_settings *settings = settings_take(keeper->settings);
    int64_t retention_us = settings->retention_us;
    int64_t payload_retention_us = settings->payload_retention_us;
    flow_settings_drop(settings);
    int64_t interval_us =
        (retention_us < payload_retention_us ? retention_us : payload_retention_us) / 16;
    if (interval_us < RETENTION_INTERVAL_MIN_US) {
        interval_us = RETENTION_INTERVAL_MIN_US;
    } else if (interval_us > RETENTION_INTERVAL_MAX_US) {
        interval_us = RETENTION_INTERVAL_MAX_US;
    }
    int64_t boot_us = clock_boot_us();
    if (boot_us - keeper->round.began_us >= interval_us) {
        int64_t now_us = clock_wall_us();
        keeper->round = (struct retention_round){
            .is_going = true,
            .began_us = boot_us,
            .now_us = now_us,
            .delete_us = now_us - retention_us,
        };
    }
}

/* One step of the round. After a failure the stage is left for the next round. */
static void retain(struct keeper *keeper)
{
    struct retention_round *round = &keeper->round;
    if (!round->is_going) {
        begin_round(keeper);
    }
    if (!round->is_going) {
        return;
    }
    struct keeper_step mine = {0};
    int64_t begin_us = clock_boot_us();
    enum ph_error error = run_step(keeper, &mine, round_stages[round->stage]);
    round->pause_us = pause_after(error, clock_boot_us() - begin_us, PAUSE_MIN_US);
    if (error == PH_BUSY) {
        return;
    }
    round->after_id = error == PH_OK ? mine.last_id : 0;
    if (round->after_id == 0) {
        round->stage++;
        round->is_going = round->stage < PH_ARRAY_LENGTH(round_stages);
    }
}

/* --- secrets ---------------------------------------------------------------------------------- */

static enum ph_error renew_key(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    return keyring_renew(mine_of(step)->keeper->options->keyring, txn->store->db, txn->now_us,
                         diag);
}

/* The day's data key. Nothing seals with it before its row is committed. */
static enum ph_error look_after_keys(struct keeper *keeper)
{
    struct keyring *keyring = keeper->options->keyring;
    if (!keyring_is_due(keyring, clock_wall_us())) {
        return PH_OK;
    }
    struct keeper_step mine = {0};
    enum ph_error error = run_step(keeper, &mine, renew_key);
    if (error != PH_OK) {
        return error;
    }
    struct diag diag;
    error = keyring_load(keyring, keeper->store->db, &diag);
    if (error != PH_OK) {
        log_write(keeper->options->log, LOG_KEEPER_FAILED, LOG_TEXT("error", diag.text));
    }
    return error;
}

static enum ph_error seal_rows(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    struct keeper_step *mine = mine_of(step);
    mine->walk = mine->keeper->walk;
    return seal_rows_step(txn->store, &mine->walk, diag, &mine->sealed);
}

/* One step through what was stored before there was a master key. */
static void seal_more(struct keeper *keeper)
{
    struct keeper_step mine = {0};
    int64_t begin_us = clock_boot_us();
    enum ph_error error = run_step(keeper, &mine, seal_rows);
    int64_t end_us = clock_boot_us();
    if (error != PH_OK && error != PH_BUSY) {
        keeper->sealing_at_us = end_us + SEALING_RETRY_US;
        return;
    }
    int64_t least_us = mine.sealed > 0 ? STEP_PAUSE_US : PAUSE_MIN_US;
    keeper->sealing_at_us = end_us + pause_after(error, end_us - begin_us, least_us);
    if (error != PH_OK) {
        return;
    }
    keeper->walk = mine.walk;
    keeper->sealed_rows += mine.sealed;
    if (keeper->walk.is_done) {
        log_write(keeper->options->log, LOG_SECRETS_SEALED, LOG_INT("rows", keeper->sealed_rows));
    }
}

/* Keys and sealing, when there is a master key. After a failure each waits for a while. */
static void look_after_secrets(struct keeper *keeper)
{
    int64_t now_us = clock_boot_us();
    if (keeper->options->keyring == NULL || now_us < keeper->keys_at_us) {
        return;
    }
    enum ph_error error = look_after_keys(keeper);
    if (error != PH_OK) {
        keeper->keys_at_us = now_us + (error == PH_BUSY ? TICK_US : KEY_RETRY_US);
    } else if (!keeper->walk.is_done && now_us >= keeper->sealing_at_us) {
        seal_more(keeper);
    }
}

/* Until the next step of sealing; INT64_MAX when there is none. */
static int64_t sealing_wait_us(const struct keeper *keeper)
{
    if (keeper->options->keyring == NULL || keeper->walk.is_done) {
        return INT64_MAX;
    }
    int64_t wait_us = keeper->sealing_at_us - clock_boot_us();
    return wait_us < PAUSE_MIN_US ? PAUSE_MIN_US : wait_us;
}

static int64_t tick_us(const struct keeper *keeper)
{
    if (keeper->round.is_going) {
        return keeper->round.pause_us;
    }
    int64_t sealing_us = sealing_wait_us(keeper);
    int64_t upkeep_us =
        keeper->upkeep_wait_us < STEP_PAUSE_US ? STEP_PAUSE_US : keeper->upkeep_wait_us;
    return sealing_us < upkeep_us ? sealing_us : upkeep_us;
}

static void *keeper_main(void *argument)
{
    struct keeper *keeper = argument;
    (void)pthread_setname_np(pthread_self(), "keeper");
    while (pause_for(keeper, tick_us(keeper))) {
        checkpoint(keeper);
        look_after_secrets(keeper);
        backlog_step(keeper->backlog);
        retain(keeper);
        keeper->upkeep_wait_us = upkeep_list_run(keeper->upkeep, TICK_US);
    }
    return NULL;
}

static void free_keeper(struct keeper *keeper)
{
    backlog_free(keeper->backlog);
    store_close(keeper->store);
    (void)pthread_cond_destroy(&keeper->changed);
    (void)pthread_mutex_destroy(&keeper->lock);
    free(keeper);
}

enum ph_error keeper_start(const struct flow_options *options, struct settings_holder *settings,
                           struct writer *writer, struct upkeep_list *upkeep, struct diag *diag,
                           struct keeper **ret_keeper)
{
    struct keeper *keeper = ph_calloc(1, sizeof *keeper);
    keeper->options = options;
    keeper->settings = settings;
    keeper->writer = writer;
    keeper->round.began_us = clock_boot_us();
    keeper->upkeep = upkeep;
    keeper->upkeep_wait_us = TICK_US;
    (void)pthread_mutex_init(&keeper->lock, NULL);
    clock_cond_init(&keeper->changed);
    enum ph_error error = store_open(options->store_address, DB_READ_WRITE, diag, &keeper->store);
    if (error == PH_OK) {
        keeper->backlog = backlog_new(options, keeper->store);
        error = seal_rows_are_done(keeper->store, diag, &keeper->walk.is_done);
    }
    if (error == PH_OK && pthread_create(&keeper->thread, NULL, keeper_main, keeper) != 0) {
        error = diag_set(diag, PH_INTERNAL, NULL, "could not start the keeper thread");
    }
    if (error != PH_OK) {
        free_keeper(keeper);
        return error;
    }
    *ret_keeper = keeper;
    return PH_OK;
}

void keeper_stop(struct keeper *keeper)
{
    if (keeper == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&keeper->lock);
    keeper->is_stopping = true;
    (void)pthread_cond_broadcast(&keeper->changed);
    (void)pthread_mutex_unlock(&keeper->lock);
    (void)pthread_join(keeper->thread, NULL);
    free_keeper(keeper);
}
