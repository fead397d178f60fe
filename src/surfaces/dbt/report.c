/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/dbt/report.h"

#include "base/clock.h"
#include "surfaces/dbt/account.h"

#define NAME_BYTES_MAX 1024
#define VERSION_BYTES_MAX 128
#define REASON_BYTES_MAX 4096
#define MESSAGE_BYTES_MAX 16384
#define URL_BYTES_MAX 2048
#define TIME_END_US (INT64_C(7258118400) * CLOCK_US_PER_S) /* 2200 */
#define NUMBER_MAX DBT_ACCOUNT_NUMBER_MAX
#define STEP_MEMBERS_MAX 16
#define STEP_ARENA_BYTES ((size_t)3 * 1024 * 1024)

/* --- reading ---------------------------------------------------------------------------------- */

static void read_text(struct input *input, const char *name, enum input_need need, size_t maximum,
                      struct slice *ret_text)
{
    if (input_string(input, name, need, name, ret_text) == INPUT_VALUE && ret_text->len > maximum) {
        input_refuse(input, name, "length of value must be at most %zu", maximum);
    }
}

/* Of this age of the world: 0 stands for none. */
static void read_time(struct input *input, const char *name, int64_t *ret_wall_us)
{
    if (input_time(input, name, INPUT_OPTIONAL, ret_wall_us) == INPUT_VALUE &&
        (*ret_wall_us <= 0 || *ret_wall_us >= TIME_END_US)) {
        input_refuse(input, name, "expected a time between 1970 and 2200");
    }
}

static void read_status(struct input *input, int64_t *ret_status)
{
    if (input_int(input, "status", INPUT_REQUIRED, INT64_MIN, INT64_MAX, ret_status) !=
        INPUT_VALUE) {
        return;
    }
    switch (*ret_status) {
    case DBT_RUN_QUEUED:
    case DBT_RUN_STARTING:
    case DBT_RUN_RUNNING:
    case DBT_RUN_SUCCESS:
    case DBT_RUN_ERROR:
    case DBT_RUN_CANCELLED:
        break;
    default:
        input_refuse(input, "status", "value must be one of [1, 2, 3, 10, 20, 30]");
    }
}

/* A link that may be shown: nothing but the web. */
static void read_href(struct input *input, struct slice *ret_href)
{
    read_text(input, "href", INPUT_OPTIONAL, URL_BYTES_MAX, ret_href);
    if (ret_href->len > 0 && !slice_starts_with(*ret_href, "https://") &&
        !slice_starts_with(*ret_href, "http://")) {
        input_refuse(input, "href", "expected an http or https URL");
    }
}

static enum ph_error read_report(struct input *input, struct dbt_report *ret_report)
{
    struct dbt_report report = {0};
    int64_t status = 0;
    if (input_end(input) != PH_OK) {
        return input_end(input);
    }
    (void)input_int(input, "job_id", INPUT_REQUIRED, 1, NUMBER_MAX, &report.job_id);
    read_text(input, "job_name", INPUT_REQUIRED, NAME_BYTES_MAX, &report.job_name);
    (void)input_int(input, "environment_id", INPUT_REQUIRED, 0, NUMBER_MAX, &report.environment_id);
    read_text(input, "environment_name", INPUT_REQUIRED, NAME_BYTES_MAX, &report.environment_name);
    (void)input_int(input, "project_id", INPUT_REQUIRED, 0, NUMBER_MAX, &report.project_id);
    read_text(input, "project_name", INPUT_REQUIRED, NAME_BYTES_MAX, &report.project_name);
    read_status(input, &status);
    read_text(input, "dbt_version", INPUT_OPTIONAL, VERSION_BYTES_MAX, &report.dbt_version);
    read_text(input, "reason", INPUT_OPTIONAL, REASON_BYTES_MAX, &report.reason);
    read_text(input, "status_message", INPUT_OPTIONAL, MESSAGE_BYTES_MAX, &report.status_message);
    read_time(input, "started_at", &report.started_at_us);
    read_time(input, "finished_at", &report.finished_at_us);
    read_text(input, "git_branch", INPUT_OPTIONAL, NAME_BYTES_MAX, &report.git_branch);
    read_text(input, "git_sha", INPUT_OPTIONAL, VERSION_BYTES_MAX, &report.git_sha);
    read_href(input, &report.href);
    read_text(input, "job_type", INPUT_OPTIONAL, VERSION_BYTES_MAX, &report.job_type);
    if (input_end(input) == PH_OK) {
        report.status = (enum dbt_run_status)status;
        *ret_report = report;
    }
    return input_end(input);
}

/* --- steps ------------------------------------------------------------------------------------ */

static void read_step_members(struct input *input, struct dbt_step *step)
{
    read_text(input, "name", INPUT_REQUIRED, NAME_BYTES_MAX, &step->name);
    read_status(input, &step->status);
    read_time(input, "started_at", &step->started_at_us);
    read_time(input, "finished_at", &step->finished_at_us);
    (void)input_string(input, "logs", INPUT_OPTIONAL, "logs", &step->logs);
}

static void write_time(struct json_out *out, const char *key, int64_t wall_us)
{
    if (wall_us != 0) {
        json_out_member_time(out, key, wall_us);
    } else {
        json_out_member_null(out, key);
    }
}

static void write_step(struct json_out *out, const struct dbt_step *step)
{
    json_out_begin_object(out);
    json_out_member_string(out, "name", step->name);
    json_out_member_int(out, "status", step->status);
    write_time(out, "started_at", step->started_at_us);
    write_time(out, "finished_at", step->finished_at_us);
    json_out_member_string(out, "logs", step->logs);
    json_out_end_object(out);
}

/* One element, as an input of its own whose place is told. */
static void read_step(struct input *parent, size_t index, enum scan_type type, struct slice json,
                      struct json_out *out)
{
    struct scan_member members[STEP_MEMBERS_MAX];
    struct dbt_step step = {0};
    char path[48];
    ARENA_AUTO struct arena arena;
    arena_init(&arena, STEP_ARENA_BYTES);
    (void)snprintf(path, sizeof path, "body.run_steps.[%zu]", index);
    struct input input = {.members = members, .arena = &arena, .path = path, .diag = parent->diag};
    if (type != SCAN_OBJECT ||
        scan_object(json, members, STEP_MEMBERS_MAX, &input.count, NULL, NULL) != PH_OK) {
        input_refuse(parent, "run_steps", "expected objects with name and status");
        return;
    }
    read_step_members(&input, &step);
    input_close_nested(parent, &input);
    if (input_end(&input) == PH_OK) {
        write_step(out, &step);
    }
}

static void read_steps(struct input *input, struct buf *steps)
{
    struct slice json;
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    struct json_out out;
    size_t count = 0;
    json_out_init(&out, steps);
    json_out_begin_array(&out);
    if (input_raw(input, "run_steps", INPUT_OPTIONAL, SCAN_ARRAY, &json) == INPUT_VALUE) {
        scan_cursor_init(&cursor, json);
        while (input_end(input) == PH_OK && scan_next_element(&cursor, &type, &value)) {
            if (count == DBT_STEPS_MAX) {
                input_refuse(input, "run_steps", "must have at most %d items", DBT_STEPS_MAX);
                break;
            }
            read_step(input, count++, type, value, &out);
        }
    }
    json_out_end_array(&out);
    json_out_end_document(&out);
    if (steps->failed) {
        input_refuse(input, "run_steps", "must have at most %zu bytes", DBT_STEPS_BYTES_MAX);
    }
}

enum ph_error dbt_report_read(struct input *input, struct buf *steps, struct dbt_report *ret_report)
{
    enum ph_error error = read_report(input, ret_report);
    if (error == PH_OK) {
        read_steps(input, steps);
    }
    return input_end(input);
}

enum ph_error dbt_step_parse(struct slice json, struct arena *arena, struct diag *diag,
                             struct dbt_step *ret_step)
{
    struct scan_member members[STEP_MEMBERS_MAX];
    struct diag ignored = {0};
    struct input input = {.members = members, .arena = arena, .path = "step", .diag = &ignored};
    *ret_step = (struct dbt_step){0};
    if (scan_object(json, members, STEP_MEMBERS_MAX, &input.count, NULL, NULL) == PH_OK) {
        read_step_members(&input, ret_step);
    } else {
        input.error = PH_STORE;
    }
    if (input.error == PH_OK || input.error == PH_NO_MEMORY) {
        return input.error;
    }
    return diag_set(diag, PH_STORE, "store", "the stored steps of a run are broken");
}

/* --- as it is kept ---------------------------------------------------------------------------- */

void dbt_report_write(struct json_out *out, const struct dbt_report *report)
{
    json_out_begin_object(out);
    json_out_member_int(out, "job_id", report->job_id);
    json_out_member_string(out, "job_name", report->job_name);
    json_out_member_int(out, "environment_id", report->environment_id);
    json_out_member_string(out, "environment_name", report->environment_name);
    json_out_member_int(out, "project_id", report->project_id);
    json_out_member_string(out, "project_name", report->project_name);
    json_out_member_int(out, "status", report->status);
    json_out_member_string(out, "dbt_version", report->dbt_version);
    json_out_member_string(out, "reason", report->reason);
    json_out_member_string(out, "status_message", report->status_message);
    write_time(out, "started_at", report->started_at_us);
    write_time(out, "finished_at", report->finished_at_us);
    json_out_member_string(out, "git_branch", report->git_branch);
    json_out_member_string(out, "git_sha", report->git_sha);
    json_out_member_string(out, "href", report->href);
    json_out_member_string(out, "job_type", report->job_type);
    json_out_end_object(out);
}

enum ph_error dbt_report_parse(struct slice json, struct arena *arena, struct diag *diag,
                               struct dbt_report *ret_report)
{
    struct input input;
    struct diag ignored = {0};
    input_open(&input, json, arena, &ignored);
    enum ph_error error = read_report(&input, ret_report);
    if (error == PH_OK || error == PH_NO_MEMORY) {
        return error;
    }
    return diag_set(diag, PH_STORE, "store", "the stored report of a run is broken");
}
