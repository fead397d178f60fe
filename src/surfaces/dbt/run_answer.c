/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/dbt/run_answer.h"

#include "base/clock.h"
#include "core/scan.h"
#include "surfaces/dbt/dbt_int.h"

#define END DBT_RUN_SUCCESS
#define STEP_ARENA_BYTES ((size_t)5 * 1024 * 1024)
#define TEXT_MAX 96

/* --- times ------------------------------------------------------------------------------------ */

void dbt_time_write(struct json_out *out, const char *key, int64_t wall_us)
{
    char text[CLOCK_TEXT_MAX];
    if (wall_us == 0) {
        json_out_member_null(out, key);
        return;
    }
    clock_format(wall_us, text);
    text[10] = ' ';
    (void)snprintf(text + 26, sizeof text - 26, "+00:00"); /* behind the microseconds */
    json_out_member_text(out, key, text);
}

static void add_unit(char text[TEXT_MAX], int64_t count, const char *unit, unsigned *parts)
{
    size_t length = strlen(text);
    if (count > 0 && *parts < 2) {
        (void)snprintf(text + length, TEXT_MAX - length, "%s%lld %s%s", *parts > 0 ? ", " : "",
                       (long long)count, unit, count == 1 ? "" : "s");
        (*parts)++;
    }
}

/* "1 minute, 15 seconds": the two greatest units. */
static void humanize(int64_t seconds, char text[TEXT_MAX])
{
    unsigned parts = 0;
    text[0] = '\0';
    add_unit(text, seconds / 86400, "day", &parts);
    add_unit(text, seconds % 86400 / 3600, "hour", &parts);
    add_unit(text, seconds % 3600 / 60, "minute", &parts);
    add_unit(text, seconds % 60, "second", &parts);
    if (parts == 0) {
        (void)snprintf(text, TEXT_MAX, "0 minutes");
    }
}

/* `key` and key_humanized of a time span in whole seconds. */
static void write_span(struct json_out *out, const char *key, const char *humanized,
                       int64_t begin_us, int64_t end_us)
{
    char text[TEXT_MAX];
    int64_t seconds = begin_us == 0 || end_us <= begin_us ? 0 : (end_us - begin_us) / 1000000;
    (void)snprintf(text, sizeof text, "%02lld:%02lld:%02lld", (long long)(seconds / 3600),
                   (long long)(seconds % 3600 / 60), (long long)(seconds % 60));
    json_out_member_text(out, key, text);
    humanize(seconds, text);
    json_out_member_text(out, humanized, text);
}

static void write_ago(struct json_out *out, const char *key, int64_t wall_us, int64_t now_us)
{
    char span[TEXT_MAX];
    char text[TEXT_MAX + 8];
    if (wall_us == 0) {
        json_out_member_null(out, key);
        return;
    }
    humanize(now_us > wall_us ? (now_us - wall_us) / 1000000 : 0, span);
    (void)snprintf(text, sizeof text, "%s ago", span);
    json_out_member_text(out, key, text);
}

/* --- steps ------------------------------------------------------------------------------------ */

/* As the Admin API spells it. */
static const char *status_name(int64_t status)
{
    return status == DBT_RUN_ERROR ? "Error"
                                   : dbt_run_status_name((enum dbt_run_status)status, false);
}

static void write_step(struct json_out *out, const struct dbt_run *run, const struct dbt_step *step,
                       int64_t index, int64_t now_us)
{
    int64_t end_us =
        step->finished_at_us != 0 || step->status >= END ? step->finished_at_us : now_us;
    json_out_begin_object(out);
    json_out_member_int(out, "id", index);
    json_out_member_int(out, "run_id", run->number);
    json_out_member_int(out, "account_id", run->account);
    json_out_member_int(out, "index", index);
    json_out_member_int(out, "status", step->status);
    json_out_member_string(out, "name", step->name);
    json_out_member_string(out, "logs", step->logs.ptr == NULL ? SLICE_LITERAL("") : step->logs);
    json_out_member_null(out, "debug_logs");
    dbt_time_write(out, "created_at", step->started_at_us);
    dbt_time_write(out, "updated_at",
                   step->finished_at_us != 0 ? step->finished_at_us : step->started_at_us);
    dbt_time_write(out, "started_at", step->started_at_us);
    dbt_time_write(out, "finished_at", step->finished_at_us);
    json_out_member_text(out, "status_humanized", status_name(step->status));
    write_span(out, "duration", "duration_humanized", step->started_at_us, end_us);
    json_out_end_object(out);
}

static enum ph_error write_steps(struct json_out *out, const struct dbt_run *run, int64_t now_us,
                                 struct diag *diag)
{
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    int64_t index = 0;
    enum ph_error error = PH_OK;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, STEP_ARENA_BYTES);
    scan_cursor_init(&cursor, run->steps);
    while (error == PH_OK && scan_next_element(&cursor, &type, &value)) {
        struct dbt_step step;
        error = dbt_step_parse(value, &arena, diag, &step);
        if (error == PH_OK) {
            write_step(out, run, &step, ++index, now_us);
        }
        arena_reset(&arena);
    }
    return error;
}

/* --- the run ---------------------------------------------------------------------------------- */

static void write_trigger(struct json_out *out, const struct dbt_run *run,
                          const struct dbt_report *report)
{
    static const char *const unknown[] = {
        "azure_pull_request_id", "github_pull_request_id", "gitlab_merge_request_id",
        "schema_override",       "dbt_version_override",   "threads_override",
        "target_name_override",  "generate_docs_override", "timeout_seconds_override",
        "steps_override",
    };
    json_out_key(out, "trigger");
    json_out_begin_object(out);
    json_out_member_int(out, "id", run->number);
    json_out_member_string(out, "cause",
                           report->reason.ptr == NULL ? SLICE_LITERAL("") : report->reason);
    json_out_member_null(out, "cause_category");
    json_out_member_int(out, "job_definition_id", run->job_id);
    json_out_member_string(out, "git_branch", report->git_branch);
    json_out_member_string(out, "git_sha", report->git_sha);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(unknown); index++) {
        json_out_member_null(out, unknown[index]);
    }
    dbt_time_write(out, "created_at", run->created_at_us);
    json_out_end_object(out);
}

static void write_head(struct json_out *out, const struct dbt_run *run,
                       const struct dbt_report *report)
{
    static const char *const unknown[] = {"owner_thread_id", "executed_by_thread_id",
                                          "deferring_run_id", "artifact_s3_path"};
    json_out_member_int(out, "id", run->number);
    json_out_member_int(out, "trigger_id", run->number);
    json_out_member_int(out, "account_id", run->account);
    json_out_member_int(out, "environment_id", run->environment_id);
    json_out_member_int(out, "project_id", run->project_id);
    json_out_member_int(out, "job_definition_id", run->job_id);
    json_out_member_int(out, "job_id", run->job_id);
    json_out_member_int(out, "status", run->status);
    json_out_member_string(out, "dbt_version", report->dbt_version);
    json_out_member_string(out, "git_branch", report->git_branch);
    json_out_member_string(out, "git_sha", report->git_sha);
    json_out_member_string(out, "status_message", report->status_message);
    json_out_member_string(out, "job_type", report->job_type);
    json_out_member_string(out, "href", report->href);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(unknown); index++) {
        json_out_member_null(out, unknown[index]);
    }
    json_out_member_bool(out, "artifacts_saved", run->ingested_at_us != 0);
    json_out_member_bool(out, "has_docs_generated", false);
    json_out_member_bool(out, "has_sources_generated", false);
    json_out_member_bool(out, "notifications_sent", run->told != 0);
    json_out_key(out, "blocked_by");
    json_out_begin_array(out);
    json_out_end_array(out);
}

static void write_states(struct json_out *out, const struct dbt_run *run)
{
    bool is_complete = run->status >= END;
    json_out_member_text(out, "status_humanized", status_name(run->status));
    json_out_member_bool(out, "in_progress", !is_complete);
    json_out_member_bool(out, "is_complete", is_complete);
    json_out_member_bool(out, "is_success", run->status == DBT_RUN_SUCCESS);
    json_out_member_bool(out, "is_error", run->status == DBT_RUN_ERROR);
    json_out_member_bool(out, "is_cancelled", run->status == DBT_RUN_CANCELLED);
    json_out_member_bool(out, "is_running", run->status == DBT_RUN_RUNNING);
}

static void write_times(struct json_out *out, const struct dbt_run *run, int64_t now_us)
{
    bool is_complete = run->status >= END;
    int64_t end_us = is_complete ? run->finished_at_us : now_us;
    int64_t begin_us = run->started_at_us != 0 && run->started_at_us < run->created_at_us
                           ? run->started_at_us
                           : run->created_at_us;
    dbt_time_write(out, "created_at", begin_us);
    dbt_time_write(out, "updated_at", run->updated_at_us);
    dbt_time_write(out, "dequeued_at", run->started_at_us);
    dbt_time_write(out, "started_at", run->started_at_us);
    dbt_time_write(out, "finished_at", run->finished_at_us);
    json_out_member_null(out, "last_checked_at");
    json_out_member_null(out, "last_heartbeat_at");
    json_out_member_null(out, "should_start_at");
    write_span(out, "duration", "duration_humanized", begin_us, end_us);
    write_span(out, "queued_duration", "queued_duration_humanized", begin_us,
               run->started_at_us != 0 ? run->started_at_us : end_us);
    write_span(out, "run_duration", "run_duration_humanized", run->started_at_us, end_us);
    write_ago(out, "created_at_humanized", begin_us, now_us);
    write_ago(out, "finished_at_humanized", run->finished_at_us, now_us);
}

static void write_related(struct json_out *out, const struct dbt_run *run,
                          const struct dbt_report *report, const struct dbt_related *related)
{
    struct dbt_named environment = {
        .number = run->environment_id,
        .name = report->environment_name,
        .project_id = run->project_id,
        .dbt_version = report->dbt_version,
        .created_at_us = run->created_at_us,
        .updated_at_us = run->updated_at_us,
    };
    struct dbt_named job = environment;
    job.number = run->job_id;
    job.name = report->job_name;
    job.environment_id = run->environment_id;
    job.job_type = report->job_type;
    json_out_key(out, "job");
    if (related->job) {
        dbt_named_write(out, DBT_JOB, run->account, &job);
    } else {
        json_out_null(out);
    }
    json_out_key(out, "environment");
    if (related->environment) {
        dbt_named_write(out, DBT_ENVIRONMENT, run->account, &environment);
    } else {
        json_out_null(out);
    }
}

enum ph_error dbt_run_write(struct json_out *out, const struct dbt_run *run,
                            const struct dbt_related *related, int64_t now_us, struct arena *arena,
                            struct diag *diag)
{
    struct dbt_report report;
    enum ph_error error = dbt_report_parse(run->report, arena, diag, &report);
    if (error != PH_OK) {
        return error;
    }
    json_out_begin_object(out);
    write_head(out, run, &report);
    write_states(out, run);
    write_times(out, run, now_us);
    write_trigger(out, run, &report);
    write_related(out, run, &report, related);
    json_out_key(out, "run_steps");
    json_out_begin_array(out);
    if (related->steps && run->steps.ptr != NULL) {
        error = write_steps(out, run, now_us, diag);
    }
    json_out_end_array(out);
    json_out_member_null(out, "retrying_run_id");
    json_out_member_bool(out, "can_retry", false);
    json_out_member_null(out, "retry_not_supported_reason");
    json_out_member_null(out, "used_repo_cache");
    json_out_end_object(out);
    return error;
}

/* --- what runs name --------------------------------------------------------------------------- */

static void write_environment(struct json_out *out, const struct dbt_named *named)
{
    json_out_member_int(out, "project_id", named->project_id);
    json_out_member_string(out, "dbt_version", named->dbt_version);
    json_out_member_text(out, "type", "deployment");
    json_out_member_null(out, "deployment_type");
    json_out_member_bool(out, "use_custom_branch", false);
    json_out_member_null(out, "custom_branch");
    json_out_member_null(out, "credentials_id");
}

static void write_job(struct json_out *out, const struct dbt_named *named)
{
    json_out_member_int(out, "project_id", named->project_id);
    json_out_member_int(out, "environment_id", named->environment_id);
    json_out_member_string(out, "dbt_version", named->dbt_version);
    json_out_member_string(out, "job_type",
                           named->job_type.len > 0 ? named->job_type : SLICE_LITERAL("other"));
    json_out_key(out, "execute_steps");
    json_out_begin_array(out);
    json_out_end_array(out);
    json_out_member_null(out, "deferring_job_definition_id");
    json_out_member_bool(out, "generate_docs", false);
    json_out_member_bool(out, "run_generate_sources", false);
}

void dbt_named_write(struct json_out *out, enum dbt_named_kind kind, int64_t account,
                     const struct dbt_named *named)
{
    json_out_begin_object(out);
    json_out_member_int(out, "id", named->number);
    json_out_member_int(out, "account_id", account);
    json_out_member_string(out, "name", named->name);
    json_out_member_null(out, "description");
    json_out_member_int(out, "state", 1);
    if (kind == DBT_ENVIRONMENT) {
        write_environment(out, named);
    } else if (kind == DBT_JOB) {
        write_job(out, named);
    }
    dbt_time_write(out, "created_at", named->created_at_us);
    dbt_time_write(out, "updated_at", named->updated_at_us);
    json_out_end_object(out);
}
