/* SPDX-License-Identifier: Apache-2.0 */
/* Reporting runs: the whole run each time, and that its artifacts are complete. */
#include "base/clock.h"
#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/nodes.h"
#include "surfaces/dbt/run_answer.h"
#include "surfaces/dbt/run_change.h"

#define RUN_ARENA_BYTES ((size_t)16 * 1024 * 1024) /* a run with its steps */

struct run_job {
    struct api_job job;
    int64_t account;
    int64_t number;
    struct dbt_settings settings;
    struct dbt_report report;
    struct buf text;   /* the report, as it is kept */
    struct buf steps;  /* likewise */
    struct buf failed; /* what run_results.json says of nodes that failed */
    int64_t due_at_us;
};

static struct run_job *job_of(struct api_job *job)
{
    return PH_CONTAINER_OF(job, struct run_job, job);
}

/* After the commit: whoever tells `completed` learns when. */
static void committed(struct api_job *job)
{
    const struct run_job *mine = job_of(job);
    if (mine->due_at_us != 0) {
        upkeep_due(dbt_caller_of(job->call)->dbt->upkeep, mine->due_at_us - clock_wall_us());
    }
}

static void ended(struct api_job *job)
{
    struct run_job *mine = job_of(job);
    buf_done(&mine->text);
    buf_done(&mine->steps);
    buf_done(&mine->failed);
}

static enum ph_error begin(struct api_call *call, struct diag *diag, struct run_job **ret_job)
{
    const struct dbt_caller *caller = dbt_caller_of(call);
    struct run_job *mine = api_job_new(call, sizeof *mine, diag);
    if (mine == NULL) {
        return PH_NO_MEMORY;
    }
    mine->account = caller->account.number;
    mine->settings = dbt_settings_of(caller->dbt);
    mine->job.committed = committed;
    mine->job.ended = ended;
    buf_init(&mine->text, DBT_REPORT_BYTES_MAX);
    buf_init(&mine->steps, DBT_STEPS_BYTES_MAX);
    buf_init(&mine->failed, DBT_REPORT_BYTES_MAX);
    *ret_job = mine;
    return dbt_path_number(call, "run_id", diag, &mine->number);
}

static enum ph_error write_answer(struct api_job *job, const struct dbt_run *run, int64_t now_us,
                                  struct arena *arena, struct diag *diag)
{
    static const struct dbt_related none = {0};
    struct json_out *out = &job->answer.out;
    dbt_answer_begin(out);
    enum ph_error error = dbt_run_write(out, run, &none, now_us, arena, diag);
    dbt_answer_end_success(out, job->status);
    return error;
}

/* --- a report --------------------------------------------------------------------------------- */

static enum ph_error run_put(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct run_job *mine = job_of(job);
    struct dbt_run run;
    bool is_new;
    const struct dbt_run_report given = {
        .settings = &mine->settings,
        .account = mine->account,
        .number = mine->number,
        .report = &mine->report,
        .text = buf_slice(&mine->text),
        .steps = buf_slice(&mine->steps),
    };
    ARENA_AUTO struct arena arena;
    arena_init(&arena, RUN_ARENA_BYTES);
    enum ph_error error = dbt_run_report(txn, &given, &arena, diag, &run, &is_new);
    if (error != PH_OK) {
        return error;
    }
    mine->due_at_us = run.due_at_us;
    job->status = is_new ? 201 : 200;
    return write_answer(job, &run, txn->now_us, &arena, diag);
}

static enum ph_error read_body(struct run_job *mine, struct api_call *call, struct diag *diag)
{
    struct input input;
    struct json_out out;
    input_open(&input, http_body(call->request), call->arena, diag);
    enum ph_error error = dbt_report_read(&input, &mine->steps, &mine->report);
    if (error != PH_OK) {
        return error;
    }
    json_out_init(&out, &mine->text);
    dbt_report_write(&out, &mine->report);
    json_out_end_document(&out);
    return mine->text.failed ? diag_set(diag, PH_BAD_REQUEST, NULL, "the report is too large")
                             : PH_OK;
}

enum ph_error dbt_run_put(struct api_call *call, struct diag *diag)
{
    struct run_job *mine = NULL;
    enum ph_error error = begin(call, diag, &mine);
    if (error == PH_OK) {
        error = read_body(mine, call, diag);
    }
    if (error == PH_OK) {
        return api_submit(call, &mine->job, run_put, diag);
    }
    if (mine != NULL) {
        ended(&mine->job);
    }
    return error;
}

/* --- the end of the artifacts ----------------------------------------------------------------- */

static enum ph_error run_ingested(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct run_job *mine = job_of(job);
    struct dbt_run run;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, RUN_ARENA_BYTES);
    const struct dbt_run_artifacts given = {
        .settings = &mine->settings,
        .account = mine->account,
        .number = mine->number,
        .failed_nodes = mine->failed.len > 0 ? buf_slice(&mine->failed) : SLICE_NONE,
    };
    enum ph_error error = dbt_run_ingest(txn, &given, &arena, diag, &run);
    return error == PH_OK ? write_answer(job, &run, txn->now_us, &arena, diag) : error;
}

/* Beside the writer: the file may be large. */
static enum ph_error read_failed(struct run_job *mine, struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct dbt_run run;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = dbt_run_find(store, mine->account, mine->number, false, call->arena, diag, &run);
    }
    if (error != PH_OK || run.ingested_at_us != 0 || run.status == DBT_RUN_SUCCESS) {
        return error;
    }
    return dbt_nodes_failed_find(store, run.id, diag, &mine->failed);
}

enum ph_error dbt_run_ingested(struct api_call *call, struct diag *diag)
{
    struct run_job *mine = NULL;
    enum ph_error error = begin(call, diag, &mine);
    if (error == PH_OK) {
        error = read_failed(mine, call, diag);
    }
    if (error == PH_OK) {
        return api_submit(call, &mine->job, run_ingested, diag);
    }
    if (mine != NULL) {
        ended(&mine->job);
    }
    return error;
}
