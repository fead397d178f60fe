/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/dbt/run_change.h"

#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/named.h"

#define DETAILS_BYTES_MAX ((size_t)128 * 1024)
#define FAILED_MEMBERS_MAX 4
#define END DBT_RUN_SUCCESS /* states from here on are ends */

bool dbt_run_may_move(int from, enum dbt_run_status to)
{
    return (int)to == from || (from < END && (int)to > from);
}

/* --- what is told ----------------------------------------------------------------------------- */

/* A run with its report, on its way through one transaction. */
struct change {
    struct writer_txn *txn;
    const struct dbt_settings *settings;
    struct dbt_run *run;
    struct dbt_report report;
    bool is_incomplete; /* its artifacts are not all there */
};

static void write_known(struct json_out *out, const char *key, struct slice text)
{
    if (text.len > 0) {
        json_out_member_string(out, key, text);
    }
}

/* nodes.h */
static void write_failed(struct json_out *out, struct slice failed)
{
    struct scan_member members[FAILED_MEMBERS_MAX];
    size_t count;
    if (failed.ptr == NULL ||
        scan_object(failed, members, FAILED_MEMBERS_MAX, &count, NULL, NULL) != PH_OK) {
        return;
    }
    const struct scan_member *nodes = scan_find(members, count, "nodes");
    const struct scan_member *total = scan_find(members, count, "total");
    if (nodes != NULL && total != NULL) {
        json_out_member_raw(out, "failed_nodes", nodes->value);
        json_out_member_raw(out, "failed_nodes_total", total->value);
    }
}

/* Beside what the original tells, under the names of its Admin API. */
static void write_details(const struct change *change, enum dbt_event_type type, struct buf *text)
{
    struct json_out out;
    json_out_init(&out, text);
    json_out_begin_object(&out);
    write_known(&out, "href", change->report.href);
    write_known(&out, "git_branch", change->report.git_branch);
    write_known(&out, "git_sha", change->report.git_sha);
    write_known(&out, "job_type", change->report.job_type);
    if (type != DBT_EVENT_STARTED) {
        write_failed(&out, change->run->failed_nodes);
    }
    if (change->is_incomplete) {
        json_out_member_bool(&out, "artifacts_incomplete", true);
    }
    json_out_end_object(&out);
    json_out_end_document(&out);
}

static struct dbt_run_facts facts_of(const struct change *change)
{
    const struct dbt_run *run = change->run;
    const struct dbt_report *report = &change->report;
    return (struct dbt_run_facts){
        .account = run->account,
        .job_id = run->job_id,
        .run_id = run->number,
        .environment_id = run->environment_id,
        .project_id = run->project_id,
        .job_name = report->job_name,
        .environment_name = report->environment_name,
        .project_name = report->project_name,
        .dbt_version = report->dbt_version,
        .status_message = report->status_message,
        .reason = report->reason,
        .status = run->status,
        .started_at_us = run->started_at_us,
        .finished_at_us = run->finished_at_us,
    };
}

static bool was_told(const struct change *change, enum dbt_event_type type)
{
    return (change->run->told & DBT_TOLD(type)) != 0;
}

/* Each kind of event once. */
static enum ph_error tell(struct change *change, enum dbt_event_type type, struct diag *diag)
{
    struct dbt_run_facts facts = facts_of(change);
    BUF_AUTO struct buf details;
    buf_init(&details, DETAILS_BYTES_MAX);
    if (was_told(change, type)) {
        return PH_OK;
    }
    write_details(change, type, &details);
    facts.details = details.failed ? SLICE_NONE : buf_slice(&details);
    if (type == DBT_EVENT_STARTED) {
        facts.status = DBT_RUN_RUNNING;
        facts.status_message = SLICE_NONE;
    }
    change->run->told |= DBT_TOLD(type);
    enum ph_error error = dbt_event_emit(change->txn, type, &facts, change->settings, diag);
    if (error == PH_OK && type == DBT_EVENT_COMPLETED && facts.status == DBT_RUN_ERROR) {
        error = dbt_event_emit_ready(change->txn, &facts, change->settings, diag);
    }
    return error;
}

static enum ph_error complete(struct change *change, struct diag *diag)
{
    change->run->due_at_us = 0;
    return tell(change, DBT_EVENT_COMPLETED, diag);
}

/* Whether `completed` is told of a run that has ended. */
static bool completes(const struct change *change)
{
    return change->run->status != DBT_RUN_CANCELLED || change->settings->is_canceled_completed;
}

static enum ph_error end(struct change *change, struct diag *diag)
{
    enum ph_error error = PH_OK;
    if (change->run->status == DBT_RUN_ERROR) {
        error = tell(change, DBT_EVENT_ERRORED, diag);
    } else if (change->run->status == DBT_RUN_CANCELLED) {
        error = tell(change, DBT_EVENT_CANCELED, diag);
    }
    if (error != PH_OK || !completes(change)) {
        return error;
    }
    if (change->run->ingested_at_us != 0) {
        return complete(change, diag);
    }
    change->run->due_at_us = change->txn->now_us + change->settings->artifact_wait_us;
    return PH_OK;
}

/* After the run moved from `from`. */
static enum ph_error moved(struct change *change, int from, struct diag *diag)
{
    struct dbt_run *run = change->run;
    enum ph_error error = PH_OK;
    if (run->status == DBT_RUN_RUNNING || (run->status >= END && run->started_at_us != 0)) {
        error = tell(change, DBT_EVENT_STARTED, diag);
    }
    return error == PH_OK && run->status >= END && from < END ? end(change, diag) : error;
}

/* --- a report --------------------------------------------------------------------------------- */

/* Times that a report leaves out are those of its coming, as far as they must be. */
static void take_report(struct change *change, const struct dbt_run_report *given)
{
    struct dbt_run *run = change->run;
    int64_t now_us = change->txn->now_us;
    change->report = *given->report;
    run->job_id = given->report->job_id;
    run->environment_id = given->report->environment_id;
    run->project_id = given->report->project_id;
    run->status = given->report->status;
    run->report = given->text;
    run->steps = given->steps;
    run->updated_at_us = now_us;
    if (given->report->started_at_us != 0) {
        run->started_at_us = given->report->started_at_us;
    } else if (run->started_at_us == 0 && run->status == DBT_RUN_RUNNING) {
        run->started_at_us = now_us;
    }
    if (given->report->finished_at_us != 0) {
        run->finished_at_us = given->report->finished_at_us;
    } else if (run->finished_at_us == 0 && run->status >= END) {
        run->finished_at_us = now_us;
    }
}

static enum ph_error begin_run(struct change *change, const struct dbt_run_report *given,
                               struct diag *diag)
{
    *change->run = (struct dbt_run){
        .id = writer_txn_new_id(change->txn),
        .account = given->account,
        .number = given->number,
        .created_at_us = change->txn->now_us,
    };
    take_report(change, given);
    enum ph_error error = moved(change, 0, diag);
    return error == PH_OK ? dbt_run_insert(change->txn->store, change->run, diag) : error;
}

static enum ph_error continue_run(struct change *change, const struct dbt_run_report *given,
                                  struct diag *diag)
{
    struct dbt_run *run = change->run;
    int from = (int)run->status;
    if (!dbt_run_may_move(from, given->report->status)) {
        return diag_set(diag, PH_CONFLICT, "status", "the run is %d and cannot become %d", from,
                        (int)given->report->status);
    }
    take_report(change, given);
    enum ph_error error = moved(change, from, diag);
    return error == PH_OK ? dbt_run_update(change->txn->store, run, diag) : error;
}

enum ph_error dbt_run_report(struct writer_txn *txn, const struct dbt_run_report *given,
                             struct arena *arena, struct diag *diag, struct dbt_run *ret_run,
                             bool *ret_is_new)
{
    struct change change = {.txn = txn, .settings = given->settings, .run = ret_run};
    enum ph_error error =
        dbt_run_find(txn->store, given->account, given->number, true, arena, diag, ret_run);
    *ret_is_new = error == PH_NOT_FOUND;
    if (error == PH_NOT_FOUND) {
        error = begin_run(&change, given, diag);
    } else if (error != PH_OK || (slice_equal(ret_run->report, given->text) &&
                                  slice_equal(ret_run->steps, given->steps))) {
        return error;
    } else {
        error = continue_run(&change, given, diag);
    }
    return error == PH_OK
               ? dbt_named_note(txn->store, given->account, given->report, txn->now_us, diag)
               : error;
}

/* --- artifacts -------------------------------------------------------------------------------- */

/* The run with its report. */
static enum ph_error open_run(struct change *change, const struct dbt_run_artifacts *given,
                              struct arena *arena, struct diag *diag)
{
    enum ph_error error = dbt_run_find(change->txn->store, given->account, given->number, false,
                                       arena, diag, change->run);
    return error == PH_OK ? dbt_report_parse(change->run->report, arena, diag, &change->report)
                          : error;
}

enum ph_error dbt_run_ingest(struct writer_txn *txn, const struct dbt_run_artifacts *given,
                             struct arena *arena, struct diag *diag, struct dbt_run *ret_run)
{
    struct change change = {.txn = txn, .settings = given->settings, .run = ret_run};
    enum ph_error error = open_run(&change, given, arena, diag);
    if (error != PH_OK || ret_run->ingested_at_us != 0) {
        return error;
    }
    ret_run->ingested_at_us = txn->now_us;
    ret_run->updated_at_us = txn->now_us;
    ret_run->failed_nodes = given->failed_nodes;
    if (ret_run->due_at_us != 0) {
        error = complete(&change, diag);
    }
    return error == PH_OK ? dbt_run_update(txn->store, ret_run, diag) : error;
}

enum ph_error dbt_run_expire(struct writer_txn *txn, const struct dbt_run_artifacts *given,
                             struct arena *arena, struct diag *diag, bool *ret_is_told)
{
    struct dbt_run run;
    struct change change = {
        .txn = txn, .settings = given->settings, .run = &run, .is_incomplete = true};
    *ret_is_told = false;
    enum ph_error error = open_run(&change, given, arena, diag);
    if (error != PH_OK || run.due_at_us == 0 || run.due_at_us > txn->now_us) {
        return error == PH_NOT_FOUND ? PH_OK : error;
    }
    run.failed_nodes = given->failed_nodes;
    error = complete(&change, diag);
    if (error == PH_OK) {
        error = dbt_run_update(txn->store, &run, diag);
    }
    *ret_is_told = error == PH_OK;
    return error;
}
