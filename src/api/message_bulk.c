/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting the contents of many messages: of some at once, of all as a background task (svix-api
 * spec section 12). */
#include "api/input.h"
#include "api/message.h"
#include "api/task.h"
#include "core/name.h"

#define IDS_MAX 250

struct bulk_job {
    struct api_job job;
    struct slice *ids; /* message ids or eventIds */
    size_t count;
};

static bool came_before(const struct bulk_job *bulk, size_t position)
{
    for (size_t index = 0; index < position; index++) {
        if (slice_equal(bulk->ids[index], bulk->ids[position])) {
            return true;
        }
    }
    return false;
}

/* One message. PH_NOT_FOUND when the application has none of that name. */
static enum ph_error expunge(struct api_call *call, struct writer_txn *txn, int64_t application_id,
                             struct slice text, struct diag *diag)
{
    int64_t message_id;
    struct message_row row;
    bool was_pending = false;
    enum ph_error error =
        message_resolve(call, txn->store, application_id, text, diag, &message_id);
    if (error == PH_OK) {
        error = message_find(txn->store, application_id, message_id, call->arena, diag, &row);
    }
    if (error != PH_OK) {
        return error;
    }
    error = message_expunge(txn->store, message_id, txn->now_us, diag, &was_pending);
    if (error == PH_OK && was_pending) {
        writer_txn_message_expunged(txn, message_id);
    }
    return error == PH_NOT_FOUND ? PH_OK : error; /* gone before: what was asked for holds */
}

static enum ph_error run_bulk(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct bulk_job *bulk = PH_CONTAINER_OF(job, struct bulk_job, job);
    struct json_out *out = &job->answer.out;
    int64_t application_id;
    enum ph_error error = api_path_application(job->call, txn->store, diag, &application_id);
    if (error != PH_OK) {
        return error;
    }
    json_out_begin_object(out);
    json_out_key(out, "results");
    json_out_begin_object(out);
    for (size_t index = 0; index < bulk->count; index++) {
        if (came_before(bulk, index)) {
            continue;
        }
        error = expunge(job->call, txn, application_id, bulk->ids[index], diag);
        if (error != PH_OK && error != PH_NOT_FOUND) {
            return error;
        }
        /* Checked below: nothing that has to be escaped. */
        char name[NAME_UID_MAX + 1];
        (void)snprintf(name, sizeof name, "%.*s", SLICE_ARG(bulk->ids[index]));
        json_out_member_text(out, name, error == PH_OK ? "expunged" : "not-found");
    }
    json_out_end_object(out);
    json_out_end_object(out);
    return PH_OK;
}

enum ph_error api_message_bulk_expunge(struct api_call *call, struct diag *diag)
{
    struct bulk_job *bulk = api_job_new(call, sizeof *bulk, diag);
    if (bulk == NULL) {
        return PH_NO_MEMORY;
    }
    struct input input;
    input_open(&input, http_body(call->request), call->arena, diag);
    (void)input_strings(&input, "ids", INPUT_OPTIONAL, "ids", IDS_MAX, &bulk->ids, &bulk->count);
    for (size_t index = 0; index < bulk->count && input.error == PH_OK; index++) {
        char field[32];
        (void)snprintf(field, sizeof field, "ids.[%zu]", index);
        /* What is no message id may be an eventId; both have these characters only. */
        if (!id_has_prefix(ID_MESSAGE, bulk->ids[index])) {
            input_note(&input, name_check_uid(bulk->ids[index], ID_MESSAGE,
                                              input_field(&input, field), diag));
        } else {
            input_note(&input,
                       name_check_event_type(bulk->ids[index], input_field(&input, field), diag));
        }
    }
    enum ph_error error = input_end(&input);
    return error == PH_OK ? api_submit(call, &bulk->job, run_bulk, diag) : error;
}

enum ph_error api_message_expunge_all(struct api_call *call, struct diag *diag)
{
    struct task_job *task = api_job_new(call, sizeof *task, diag);
    if (task == NULL) {
        return PH_NO_MEMORY;
    }
    task->scope = TASK_OF_APPLICATION;
    task->row.kind = TASK_PURGE_CONTENT;
    task->row.parameters = SLICE_LITERAL("{}");
    return task_submit(call, task, diag);
}
