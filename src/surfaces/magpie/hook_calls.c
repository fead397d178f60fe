/* SPDX-License-Identifier: Apache-2.0 */
/* What administrators see of the hooks, and their reload (choices of the specification). */
#include "surfaces/magpie/hook.h"
#include "surfaces/magpie/identity_int.h"

#define FINDING_TEXT_MAX 4096

/* --- the running set -------------------------------------------------------------------------- */

/* Without the password, if there is one before the host. */
static void append_url(struct slice url, struct buf *text)
{
    size_t start = slice_find(url, ':') + 3;
    size_t colon = 0;
    size_t at = 0;
    for (size_t index = start; index < url.len && strchr("/?#", url.ptr[index]) == NULL; index++) {
        colon = url.ptr[index] == ':' && colon == 0 ? index : colon;
        at = url.ptr[index] == '@' ? index : at;
    }
    if (colon == 0 || colon > at) {
        buf_append_slice(text, url);
        return;
    }
    buf_append(text, url.ptr, colon);
    buf_append_text(text, ":***");
    buf_append(text, url.ptr + at, url.len - at);
}

static void write_hook(struct json_out *out, const struct api_call *call,
                       const struct magpie_hook *hook, int64_t endpoint_id)
{
    char id[ID_TEXT_MAX];
    BUF_AUTO struct buf url;
    buf_init(&url, (size_t)8 * 1024);
    append_url(hook->url, &url);
    (void)id_format(call->codec, ID_ENDPOINT, endpoint_id, id);
    json_out_begin_object(out);
    json_out_member_string(out, "name", hook->name);
    json_out_member_text(out, "action", magpie_action_name(hook->action));
    json_out_member_text(out, "method", hook->method);
    json_out_member_string(out, "url", buf_slice(&url));
    json_out_member_string(out, "format", hook->format_name);
    json_out_member_raw(out, "payload",
                        hook->payload.ptr == NULL ? SLICE_LITERAL("null") : hook->payload);
    json_out_member_text(out, "content_type", hook->format->content_type);
    json_out_member_text(out, "endpoint_id", id);
    json_out_member_string(out, "endpoint_uid", hook->key);
    json_out_member_string(out, "file", hook->file);
    json_out_member_int(out, "line", (int64_t)hook->line);
    json_out_end_object(out);
}

enum ph_error magpie_webhooks_list(struct api_call *call, struct diag *diag)
{
    struct magpie_hook_set *set = magpie_hooks_running(surface_state(call));
    struct api_answer answer;
    magpie_answer_init(&answer, "Get webhooks successful.");
    json_out_key(&answer.out, "webhooks");
    json_out_begin_array(&answer.out);
    for (size_t index = 0; index < set->config.hook_count; index++) {
        write_hook(&answer.out, call, &set->config.hooks[index], set->endpoint_ids[index]);
    }
    json_out_end_array(&answer.out);
    magpie_hook_set_unref(set);
    return magpie_answer_send(call, &answer, PH_OK, diag);
}

/* --- reload ----------------------------------------------------------------------------------- */

static void write_findings(struct json_out *out, const struct magpie_config *config, bool is_error)
{
    json_out_key(out, is_error ? "errors" : "warnings");
    json_out_begin_array(out);
    for (size_t index = 0; index < config->finding_count; index++) {
        if (config->findings[index].is_error == is_error) {
            BUF_AUTO struct buf text;
            buf_init(&text, FINDING_TEXT_MAX);
            magpie_finding_append(&config->findings[index], &text);
            json_out_string(out, buf_slice(&text));
        }
    }
    json_out_end_array(out);
}

struct reload_job {
    struct api_job job;
    struct magpie *magpie;
    struct retry_schedule schedule;
    struct magpie_hook_set *set; /* a reference */
};

static enum ph_error run_reload(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct reload_job *reload = PH_CONTAINER_OF(job, struct reload_job, job);
    const struct magpie_hook_set *set = reload->set;
    struct json_out *out = &job->answer.out;
    enum ph_error error = magpie_hooks_apply(txn, &reload->schedule, reload->set, diag);
    if (error == PH_OK) {
        magpie_answer_begin(out, 200, "Reload webhooks successful.");
        json_out_key(out, "webhooks");
        json_out_begin_object(out);
        json_out_member_int(out, "total", (int64_t)set->config.hook_count);
        json_out_member_int(out, "added", (int64_t)set->added);
        json_out_member_int(out, "changed", (int64_t)set->changed);
        json_out_member_int(out, "removed", (int64_t)set->removed);
        json_out_end_object(out);
        write_findings(out, &set->config, false);
        magpie_answer_end(out);
    }
    return error;
}

static void commit_reload(struct api_job *job)
{
    struct reload_job *reload = PH_CONTAINER_OF(job, struct reload_job, job);
    magpie_hooks_install(reload->magpie, reload->set);
}

static void end_reload(struct api_job *job)
{
    magpie_hook_set_unref(PH_CONTAINER_OF(job, struct reload_job, job)->set);
}

/* The running set stays. */
static void answer_refused(struct api_call *call, const struct magpie_hook_set *set)
{
    struct api_answer answer;
    api_answer_init(&answer);
    magpie_answer_begin(&answer.out, 422, "The webhooks have errors; those that ran go on.");
    write_findings(&answer.out, &set->config, true);
    write_findings(&answer.out, &set->config, false);
    json_out_end_object(&answer.out);
    api_answer_send(call, 422, &answer);
}

enum ph_error magpie_webhooks_reload(struct api_call *call, struct diag *diag)
{
    struct reload_job *reload = api_job_new(call, sizeof *reload, diag);
    if (reload == NULL) {
        return PH_NO_MEMORY;
    }
    reload->magpie = surface_state(call);
    reload->schedule = magpie_retry_schedule(reload->magpie);
    reload->set = magpie_hooks_read(reload->magpie);
    reload->job.committed = commit_reload;
    reload->job.ended = end_reload;
    magpie_hooks_log(reload->magpie, reload->set);
    if (reload->set->config.error_count > 0) {
        answer_refused(call, reload->set);
        magpie_hook_set_unref(reload->set);
        return PH_OK;
    }
    return api_submit(call, &reload->job, run_reload, diag);
}
