/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes due of runs by itself: `completed` when the wait for artifacts has passed, and the end
 * of what is old. Called by the keeper (flow/upkeep.h); the time when a run is due stands in its
 * row, so a restart forgets nothing. Each call does one small step through the writer.
 */
#include "base/clock.h"
#include "flow/step.h"
#include "surfaces/dbt/artifact.h"
#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/named.h"
#include "surfaces/dbt/nodes.h"
#include "surfaces/dbt/run_change.h"

#define RUN_ARENA_BYTES ((size_t)4 * 1024 * 1024)
#define WAIT_MAX_US (60 * CLOCK_US_PER_S) /* rows may come from elsewhere */
#define WAIT_AFTER_FAILURE_US CLOCK_US_PER_S
#define PUT_OFF_US (600 * CLOCK_US_PER_S)
#define PRUNE_INTERVAL_MIN_US CLOCK_US_PER_S
#define PRUNE_INTERVAL_MAX_US (60 * CLOCK_US_PER_S)

/* Only the keeper's thread, but for what `dbt` says of itself. */
struct dbt_upkeep {
    struct dbt *dbt;
    struct store *store; /* to read; NULL until it is needed */
    int64_t prune_at_us; /* boot clock */
};

struct upkeep_step {
    struct step step;
    struct dbt_settings settings;
    struct dbt_run_artifacts run; /* that is due */
    /* Results. */
    bool is_told;
    bool is_more;
    int64_t deleted;
};

static struct upkeep_step *mine_of(struct step *step)
{
    return PH_CONTAINER_OF(step, struct upkeep_step, step);
}

static enum ph_error
run_step(struct dbt_upkeep *upkeep, struct upkeep_step *mine,
         enum ph_error (*run)(struct step *, struct writer_txn *, struct diag *), struct diag *diag)
{
    mine->settings = dbt_settings_of(upkeep->dbt);
    step_init(&mine->step, run);
    enum ph_error error = step_run(&mine->step, flow_writer(upkeep->dbt->flow), diag);
    step_done(&mine->step);
    return error;
}

/* --- what is due ------------------------------------------------------------------------------ */

static enum ph_error expire(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    struct upkeep_step *mine = mine_of(step);
    ARENA_AUTO struct arena arena;
    arena_init(&arena, RUN_ARENA_BYTES);
    mine->run.settings = &mine->settings;
    return dbt_run_expire(txn, &mine->run, &arena, diag, &mine->is_told);
}

static enum ph_error open_store(struct dbt_upkeep *upkeep, struct diag *diag)
{
    return upkeep->store != NULL ? PH_OK
                                 : store_open(flow_store_address(upkeep->dbt->flow), DB_READ_ONLY,
                                              diag, &upkeep->store);
}

static void close_store(struct dbt_upkeep *upkeep)
{
    store_close(upkeep->store);
    upkeep->store = NULL;
}

/* The run that is due first; PH_NOT_FOUND when none will be. */
static enum ph_error find_first(struct dbt_upkeep *upkeep, struct arena *arena, struct diag *diag,
                                struct dbt_run *ret_run)
{
    enum ph_error error = open_store(upkeep, diag);
    if (error != PH_OK) {
        return error;
    }
    error = dbt_run_first_due(upkeep->store, arena, diag, ret_run);
    if (error != PH_OK && error != PH_NOT_FOUND) {
        close_store(upkeep); /* it is opened anew the next time */
    }
    return error;
}

static enum ph_error run_put_off(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    const struct upkeep_step *mine = mine_of(step);
    return dbt_run_put_off(txn->store, mine->run.account, mine->run.number,
                           txn->now_us + PUT_OFF_US, diag);
}

/* A run that cannot be told of does not hold up the others. Gives the error that it was. */
static enum ph_error put_off(struct dbt_upkeep *upkeep, struct upkeep_step *mine,
                             enum ph_error error, struct diag *diag)
{
    struct diag why = *diag;
    enum ph_error failed = run_step(upkeep, mine, run_put_off, diag);
    if (failed == PH_OK) {
        *diag = why;
    }
    return failed != PH_OK ? failed : error;
}

/* Tells `completed` of a run whose time has come. */
static enum ph_error complete_run(struct dbt_upkeep *upkeep, const struct dbt_run *run,
                                  struct arena *arena, struct diag *diag)
{
    struct upkeep_step mine = {.run = {.account = run->account, .number = run->number}};
    struct dbt_report report;
    BUF_AUTO struct buf failed;
    buf_init(&failed, DBT_REPORT_BYTES_MAX);
    enum ph_error error = dbt_report_parse(run->report, arena, diag, &report);
    if (error != PH_OK) {
        return put_off(upkeep, &mine, error, diag);
    }
    if (run->status != DBT_RUN_SUCCESS) {
        error = dbt_nodes_failed_find(upkeep->store, run->id, diag, &failed);
    }
    if (error != PH_OK) {
        close_store(upkeep);
        return error;
    }
    mine.run.failed_nodes = failed.len > 0 ? buf_slice(&failed) : SLICE_NONE;
    error = run_step(upkeep, &mine, expire, diag);
    if (error == PH_OK && mine.is_told) {
        metrics_add(upkeep->dbt->metrics, METRIC_DBT_WAITS_PASSED, 1);
    } else if (error != PH_OK && !ph_error_may_succeed_later(error)) {
        error = put_off(upkeep, &mine, error, diag);
    }
    return error;
}

/* Gives the microseconds until the next run is due, 0 when one was told of now. */
static enum ph_error complete_one(struct dbt_upkeep *upkeep, struct diag *diag,
                                  int64_t *ret_wait_us)
{
    struct dbt_run run;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, RUN_ARENA_BYTES);
    *ret_wait_us = WAIT_MAX_US;
    enum ph_error error = find_first(upkeep, &arena, diag, &run);
    if (error != PH_OK) {
        return error == PH_NOT_FOUND ? PH_OK : error;
    }
    int64_t wait_us = run.due_at_us - clock_wall_us();
    if (wait_us > 0) {
        *ret_wait_us = wait_us < WAIT_MAX_US ? wait_us : WAIT_MAX_US;
        return PH_OK;
    }
    *ret_wait_us = 0;
    return complete_run(upkeep, &run, &arena, diag);
}

/* --- what is old ------------------------------------------------------------------------------ */

static enum ph_error prune(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    struct upkeep_step *mine = mine_of(step);
    int64_t before_us = txn->now_us - mine->settings.run_us;
    int64_t runs = 0;
    int64_t named = 0;
    bool is_sweeping = false;
    enum ph_error error = dbt_run_prune(txn->store, id_floor(before_us), txn->now_us, diag, &runs);
    if (error == PH_OK) {
        error = dbt_named_prune(txn->store, before_us, diag, &named);
    }
    if (error == PH_OK) {
        error =
            dbt_artifact_sweep(txn->store, txn->now_us - DBT_ARTIFACT_GRACE_US, diag, &is_sweeping);
    }
    mine->deleted = runs;
    mine->is_more = runs >= DBT_RUN_PRUNE_STEP || named >= DBT_NAMED_PRUNE_STEP || is_sweeping;
    return error;
}

static int64_t prune_interval_us(struct dbt_upkeep *upkeep)
{
    int64_t interval_us = dbt_settings_of(upkeep->dbt).run_us / 16;
    if (interval_us < PRUNE_INTERVAL_MIN_US) {
        return PRUNE_INTERVAL_MIN_US;
    }
    return interval_us > PRUNE_INTERVAL_MAX_US ? PRUNE_INTERVAL_MAX_US : interval_us;
}

/* Likewise. */
static enum ph_error prune_some(struct dbt_upkeep *upkeep, struct diag *diag, int64_t *ret_wait_us)
{
    struct upkeep_step mine = {0};
    int64_t now_us = clock_boot_us();
    if (now_us < upkeep->prune_at_us) {
        *ret_wait_us = upkeep->prune_at_us - now_us;
        return PH_OK;
    }
    enum ph_error error = run_step(upkeep, &mine, prune, diag);
    *ret_wait_us = mine.is_more ? 0 : prune_interval_us(upkeep);
    if (error == PH_OK) {
        upkeep->prune_at_us = now_us + *ret_wait_us;
        metrics_add(upkeep->dbt->metrics, METRIC_RETENTION_ROWS, mine.deleted);
    }
    return error;
}

/* --- the keeper calls ------------------------------------------------------------------------- */

static int64_t run(void *context)
{
    struct dbt_upkeep *upkeep = context;
    struct diag diag;
    int64_t wait_us;
    int64_t prune_us = WAIT_MAX_US;
    enum ph_error error = complete_one(upkeep, &diag, &wait_us);
    if (error == PH_OK && wait_us > 0) {
        error = prune_some(upkeep, &diag, &prune_us);
    }
    if (error == PH_OK) {
        return prune_us < wait_us ? prune_us : wait_us;
    }
    if (error != PH_BUSY && upkeep->dbt->log != NULL) {
        log_write(upkeep->dbt->log, LOG_KEEPER_FAILED, LOG_TEXT("error", diag.text));
    }
    return WAIT_AFTER_FAILURE_US;
}

static void done(void *context)
{
    struct dbt_upkeep *upkeep = context;
    close_store(upkeep);
    dbt_unref(upkeep->dbt);
    free(upkeep);
}

void dbt_upkeep_start(struct dbt *dbt)
{
    struct dbt_upkeep *upkeep = ph_calloc(1, sizeof *upkeep);
    upkeep->dbt = dbt;
    (void)atomic_fetch_add(&dbt->references, 1);
    const struct upkeep_work work = {.run = run, .done = done, .context = upkeep};
    dbt->upkeep = flow_upkeep_add(dbt->flow, &work);
}
