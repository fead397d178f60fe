/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of those who keep their directory elsewhere: an action and its parameters, delivered like
 * our own. The user of `user.id` need not be ours; if it is, a hook that fails marks it.
 */
#include "surfaces/magpie/identity_int.h"

#define MEMBERS_MAX 8

struct event_job {
    struct api_job job;
    enum magpie_action action;
    int64_t user_id; /* 0 = none */
    struct magpie_parameter items[MAGPIE_PARAMETERS_MAX];
    struct magpie_parameters parameters;
};

static enum ph_error run_event(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct event_job *event = PH_CONTAINER_OF(job, struct event_job, job);
    struct json_out *out = &job->answer.out;
    char id[ID_TEXT_MAX];
    int64_t message_id;
    enum ph_error error =
        magpie_emit_id(txn, event->action, event->user_id, &event->parameters, diag, &message_id);
    if (error == PH_OK) {
        (void)id_format(job->call->codec, ID_MESSAGE, message_id, id);
        job->status = 202;
        magpie_answer_begin(out, 202, "The event was accepted.");
        json_out_key(out, "event");
        json_out_begin_object(out);
        json_out_member_text(out, "id", id);
        json_out_member_text(out, "action", magpie_action_name(event->action));
        json_out_end_object(out);
        magpie_answer_end(out);
    }
    return error;
}

static int64_t user_of(const struct magpie_parameters *parameters)
{
    for (size_t index = 0; index < parameters->count; index++) {
        if (strcmp(parameters->items[index].name, "user.id") == 0) {
            return parameters->items[index].value.number;
        }
    }
    return 0;
}

static enum ph_error read_action(const struct scan_member *member, struct arena *arena,
                                 struct diag *diag, enum magpie_action *ret_action)
{
    struct slice text;
    if (member == NULL) {
        return diag_set(diag, PH_INVALID, "action", "the action is missing");
    }
    if (member->type != SCAN_STRING || scan_string(member->value, arena, NULL, &text) != PH_OK ||
        !magpie_action_parse(text, ret_action)) {
        return diag_set(diag, PH_INVALID, "action",
                        "must be create_user, delete_user, update_user_status, "
                        "create_user_permission, delete_user_permission, create_group_permission "
                        "or delete_group_permission");
    }
    return PH_OK;
}

static enum ph_error read_event(struct api_call *call, struct diag *diag, struct event_job *event)
{
    struct scan_member members[MEMBERS_MAX];
    size_t count;
    enum ph_error error =
        scan_object(http_body(call->request), members, MEMBERS_MAX, &count, diag, NULL);
    for (size_t index = 0; error == PH_OK && index < count; index++) {
        if (!slice_equal_text(members[index].key, "action") &&
            !slice_equal_text(members[index].key, "params")) {
            error = diag_set(diag, PH_INVALID, "body", "there are `action` and `params` only");
        }
    }
    if (error == PH_OK) {
        error = read_action(scan_find(members, count, "action"), call->arena, diag, &event->action);
    }
    if (error != PH_OK) {
        return error;
    }
    const struct scan_member *params = scan_find(members, count, "params");
    if (params == NULL || params->type != SCAN_OBJECT) {
        return diag_set(diag, PH_INVALID, "params", "must be an object of parameters");
    }
    return magpie_event_check(event->action, params->value, call->arena, event->items, diag,
                              &event->parameters);
}

enum ph_error magpie_events_create(struct api_call *call, struct diag *diag)
{
    struct event_job *event = api_job_new(call, sizeof *event, diag);
    if (event == NULL) {
        return PH_NO_MEMORY;
    }
    enum ph_error error = read_event(call, diag, event);
    if (error != PH_OK) {
        return error;
    }
    event->user_id = user_of(&event->parameters);
    return api_submit(call, &event->job, run_event, diag);
}
