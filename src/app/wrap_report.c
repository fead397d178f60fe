/* SPDX-License-Identifier: Apache-2.0 */
#include "app/wrap_report.h"

#include "base/json_out.h"
#include "core/scan.h"

#define NAME_BYTES_MAX 1024
#define MEMBERS_MAX 32

void wrap_facts_init(struct wrap_facts *facts)
{
    *facts = (struct wrap_facts){0};
    buf_init(&facts->job_name, NAME_BYTES_MAX);
    buf_init(&facts->environment_name, NAME_BYTES_MAX);
    buf_init(&facts->project_name, NAME_BYTES_MAX);
    buf_init(&facts->dbt_version, NAME_BYTES_MAX);
    buf_init(&facts->command, NAME_BYTES_MAX);
    wrap_origin_init(&facts->origin);
}

void wrap_facts_done(struct wrap_facts *facts)
{
    buf_done(&facts->job_name);
    buf_done(&facts->environment_name);
    buf_done(&facts->project_name);
    buf_done(&facts->dbt_version);
    buf_done(&facts->command);
    wrap_origin_done(&facts->origin);
}

/* What is not known is left out. */
static void write_known(struct json_out *out, const char *key, struct slice text)
{
    if (text.len > 0) {
        json_out_member_string(out, key, text);
    }
}

static void write_step(const struct wrap_facts *facts, const struct wrap_end *end,
                       struct json_out *out)
{
    BUF_AUTO struct buf name;
    buf_init(&name, (size_t)2 * NAME_BYTES_MAX);
    buf_append_format(&name, "Invoke dbt with `%s`", buf_text(&facts->command));
    json_out_key(out, "run_steps");
    json_out_begin_array(out);
    json_out_begin_object(out);
    json_out_member_string(out, "name", buf_slice(&name));
    json_out_member_int(out, "status", end == NULL ? WRAP_REPORT_RUNNING : end->status);
    json_out_member_time(out, "started_at", facts->started_at_us);
    if (end != NULL) {
        json_out_member_time(out, "finished_at", end->finished_at_us);
        write_known(out, "logs", end->log);
    }
    json_out_end_object(out);
    json_out_end_array(out);
}

void wrap_report_compose(const struct wrap_facts *facts, const struct wrap_end *end,
                         struct buf *text)
{
    struct json_out out;
    json_out_init(&out, text);
    json_out_begin_object(&out);
    json_out_member_int(&out, "job_id", facts->job_id);
    json_out_member_string(&out, "job_name", buf_slice(&facts->job_name));
    json_out_member_int(&out, "environment_id", facts->environment_id);
    json_out_member_string(&out, "environment_name", buf_slice(&facts->environment_name));
    json_out_member_int(&out, "project_id", facts->project_id);
    json_out_member_string(&out, "project_name", buf_slice(&facts->project_name));
    write_known(&out, "dbt_version", buf_slice(&facts->dbt_version));
    json_out_member_string(&out, "reason", buf_slice(&facts->origin.reason));
    json_out_member_int(&out, "status", end == NULL ? WRAP_REPORT_RUNNING : end->status);
    if (end != NULL) {
        write_known(&out, "status_message", end->message);
    }
    json_out_member_time(&out, "started_at", facts->started_at_us);
    if (end != NULL) {
        json_out_member_time(&out, "finished_at", end->finished_at_us);
    }
    write_known(&out, "git_branch", buf_slice(&facts->origin.git_branch));
    write_known(&out, "git_sha", buf_slice(&facts->origin.git_sha));
    write_known(&out, "href", buf_slice(&facts->origin.href));
    json_out_member_text(&out, "job_type", facts->origin.job_type);
    write_step(facts, end, &out);
    json_out_end_object(&out);
    json_out_end_document(&out);
}

enum ph_error wrap_report_cut_off(struct slice report, int64_t finished_at_us, struct buf *text,
                                  struct diag *diag)
{
    static const char words[] = "the run was cut off: posthorn dbt was killed, or the machine went "
                                "down";
    struct scan_member members[MEMBERS_MAX];
    size_t count;
    enum ph_error error = scan_object(report, members, MEMBERS_MAX, &count, diag, NULL);
    if (error != PH_OK) {
        return error;
    }
    struct json_out out;
    json_out_init(&out, text);
    json_out_begin_object(&out);
    for (size_t index = 0; index < count; index++) {
        const struct scan_member *member = &members[index];
        PH_AUTO_FREE char *key = slice_dup(member->key);
        if (strcmp(key, "status") == 0) {
            json_out_member_int(&out, key, WRAP_REPORT_ERROR);
        } else if (strcmp(key, "run_steps") != 0) {
            json_out_member_raw(&out, key, member->value);
        }
    }
    json_out_member_text(&out, "status_message", words);
    json_out_member_time(&out, "finished_at", finished_at_us);
    json_out_end_object(&out);
    return PH_OK;
}
