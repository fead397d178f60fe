/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes what is older than an age, in the keeper's own steps, then gives the space back. */
#include "base/clock.h"
#include "db/care.h"
#include "flow/care_int.h"
#include "flow/step.h"

#define STEP_PAUSE_MS 20
#define BUSY_PAUSE_MS 200
#define CHECKPOINT_TRIES 10

struct prune {
    struct step step;
    int64_t before_id;
    int64_t after_id;
    /* Results of a step. */
    int64_t last_id;
    struct retention_tally tally;
    int64_t freed_bytes;
    int64_t left_bytes;

    struct writer *writer;
    const struct care_watch *watch;
    struct care_pruned *pruned;
};

static enum ph_error delete_messages(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    struct prune *prune = PH_CONTAINER_OF(step, struct prune, step);
    return retention_delete(txn->store, prune->after_id, prune->before_id, diag, &prune->last_id,
                            &prune->tally);
}

static enum ph_error give_back(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    struct prune *prune = PH_CONTAINER_OF(step, struct prune, step);
    prune->freed_bytes = 0;
    return db_kind(txn->store->db) == DB_SQLITE
               ? db_shrink(txn->store->db, diag, &prune->freed_bytes)
               : PH_OK;
}

/* The file itself shrinks when all of the write-ahead log is copied into it. */
static enum ph_error copy_wal(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    struct prune *prune = PH_CONTAINER_OF(step, struct prune, step);
    enum ph_error error = db_checkpoint(txn->store->db, diag, &prune->left_bytes);
    if (error == PH_STORE_BUSY) { /* the keeper is at it */
        prune->left_bytes = 1;
        return PH_OK;
    }
    if (error == PH_OK && prune->left_bytes == 0) {
        writer_wal_is_copied(txn->writer);
    }
    return error;
}

static void add(struct retention_tally *sum, const struct retention_tally *tally)
{
    sum->messages += tally->messages;
    sum->payloads += tally->payloads;
    sum->deliveries += tally->deliveries;
    sum->attempts += tally->attempts;
}

/* A full queue is waited for: callers go first. */
static enum ph_error run_patiently(struct prune *prune, struct diag *diag)
{
    for (;;) {
        enum ph_error error = step_run(&prune->step, prune->writer, diag);
        if (error == PH_OK || error == PH_BUSY) {
            enum ph_error stop =
                care_pause(prune->watch, error == PH_BUSY ? BUSY_PAUSE_MS : STEP_PAUSE_MS,
                           prune->pruned->tally.messages + prune->tally.messages, 0, diag);
            if (error == PH_OK || stop != PH_OK) {
                return stop;
            }
        } else {
            return error;
        }
    }
}

static enum ph_error delete_all(struct prune *prune, struct diag *diag)
{
    enum ph_error error;
    prune->step.run = delete_messages;
    do {
        prune->after_id = prune->last_id;
        prune->tally = (struct retention_tally){0};
        error = run_patiently(prune, diag);
        add(&prune->pruned->tally, &prune->tally);
    } while (error == PH_OK && prune->last_id != 0);
    prune->tally = (struct retention_tally){0};
    return error;
}

static enum ph_error shrink(struct prune *prune, struct diag *diag)
{
    enum ph_error error;
    prune->step.run = give_back;
    do {
        error = run_patiently(prune, diag);
        prune->pruned->freed_bytes += prune->freed_bytes;
    } while (error == PH_OK && prune->freed_bytes > 0);
    /* Readers may need the older state for a moment. What is left in the end, the keeper does. */
    prune->step.run = copy_wal;
    prune->left_bytes = 1;
    for (int tries = 0; error == PH_OK && prune->left_bytes > 0 && tries < CHECKPOINT_TRIES;
         tries++) {
        error = step_run_between(&prune->step, prune->writer, diag);
        if (error == PH_OK && prune->left_bytes > 0) {
            error = care_pause(prune->watch, BUSY_PAUSE_MS, prune->pruned->tally.messages, 0, diag);
        }
    }
    return error;
}

/* Reads beside the writer, each step in a short read transaction of its own. */
static enum ph_error count_all(struct flow *flow, struct prune *prune, struct diag *diag)
{
    struct store *store;
    enum ph_error error = store_open(flow_store_address(flow), DB_READ_ONLY, diag, &store);
    if (error != PH_OK) {
        return error;
    }
    do {
        prune->after_id = prune->last_id;
        error = retention_count(store, prune->after_id, prune->before_id, diag, &prune->last_id,
                                &prune->tally);
        if (error == PH_OK) {
            add(&prune->pruned->tally, &prune->tally);
            error = care_pause(prune->watch, 0, prune->pruned->tally.messages, 0, diag);
        }
    } while (error == PH_OK && prune->last_id != 0);
    store_close(store);
    return error;
}

enum ph_error care_prune(struct flow *flow, const struct care_prune *options,
                         const struct care_watch *watch, struct diag *diag,
                         struct care_pruned *ret_pruned)
{
    *ret_pruned = (struct care_pruned){0};
    struct prune prune = {
        .before_id = id_floor(clock_wall_us() - options->older_than_us),
        .writer = flow_writer(flow),
        .watch = watch,
        .pruned = ret_pruned,
    };
    if (options->is_dry_run) {
        return count_all(flow, &prune, diag);
    }
    step_init(&prune.step, delete_messages);
    enum ph_error error = delete_all(&prune, diag);
    if (error == PH_OK) {
        error = shrink(&prune, diag);
    }
    step_done(&prune.step);
    return error;
}
