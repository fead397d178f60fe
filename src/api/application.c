/* SPDX-License-Identifier: Apache-2.0 */
/* Applications (svix-api spec section 6). */
#include "api/api_int.h"
#include "api/input.h"
#include "api/list.h"
#include "api/paging.h"
#include "core/name.h"
#include "flow/operational.h"
#include "store/integration.h"
#include "store/sink.h"

static enum input_state read_name(struct input *input, enum input_need need, struct slice *ret_name)
{
    enum input_state state = input_string(input, "name", need, "name", ret_name);
    if (state == INPUT_VALUE && ret_name->len == 0) {
        input_refuse(input, "name", "Application names must be at least one character");
    }
    for (size_t index = 0; index < ret_name->len; index++) {
        if ((unsigned char)ret_name->ptr[index] <= 8) {
            input_refuse(input, "name", "Application names must not have control characters");
        }
    }
    return state;
}

void application_input_read(struct input *input, struct application_input *ret_application)
{
    *ret_application = (struct application_input){0};
    (void)read_name(input, INPUT_REQUIRED, &ret_application->name);
    (void)input_uid(input, INPUT_OPTIONAL, ID_APPLICATION, &ret_application->uid);
    (void)input_throttle_rate(input, INPUT_OPTIONAL, &ret_application->throttle_rate);
    (void)input_metadata(input, "metadata", INPUT_OPTIONAL, &ret_application->metadata);
}

enum ph_error application_create_in(struct writer_txn *txn, struct slice org,
                                    const struct application_input *application, struct diag *diag,
                                    struct application_row *ret_row)
{
    const struct application_row row = {
        .id = writer_txn_new_id(txn),
        .org = org,
        .uid = application->uid,
        .name = application->name,
        .throttle_rate = application->throttle_rate,
        .metadata = application->metadata,
        .created_at_us = txn->now_us,
        .updated_at_us = txn->now_us,
    };
    enum ph_error error = application_insert(txn->store, &row, diag);
    if (error == PH_OK && slice_equal_text(org, OPERATIONAL_ORG)) {
        error = operational_add_event_types(txn, diag);
    }
    if (error == PH_OK) {
        *ret_row = row;
    }
    return error;
}

enum ph_error application_create_at(struct writer_txn *txn, struct slice org,
                                    struct slice path_name,
                                    const struct application_input *application, struct diag *diag,
                                    int64_t *ret_application_id)
{
    if (!slice_equal(application->uid, path_name)) {
        bool is_missing = application->uid.ptr == NULL;
        enum ph_error error =
            diag_set(diag, PH_INVALID, "body.application.uid", "%s",
                     is_missing ? "Application UID must be set and match the path"
                                : "Application UID in the path and body must match");
        diag_code(diag, is_missing ? "application_uid_missing" : "application_uid_mismatch");
        return error;
    }
    struct application_row row;
    enum ph_error error = application_create_in(txn, org, application, diag, &row);
    if (error == PH_OK) {
        *ret_application_id = row.id;
    }
    return error;
}

void application_write(struct json_out *out, const struct id_codec *codec,
                       const struct application_row *row)
{
    char id_text[ID_TEXT_MAX];
    (void)id_format(codec, ID_APPLICATION, row->id, id_text);
    json_out_begin_object(out);
    if (row->uid.ptr != NULL) {
        json_out_member_string(out, "uid", row->uid);
    }
    json_out_member_string(out, "name", row->name);
    if (row->throttle_rate != 0) {
        json_out_member_int(out, "rateLimit", row->throttle_rate);
        json_out_member_int(out, "throttleRate", row->throttle_rate);
    } else {
        json_out_member_null(out, "throttleRate");
    }
    json_out_member_text(out, "id", id_text);
    json_out_member_time(out, "createdAt", row->created_at_us);
    json_out_member_time(out, "updatedAt", row->updated_at_us);
    json_out_member_raw(out, "metadata", row->metadata);
    json_out_end_object(out);
}

enum ph_error api_application_list(struct api_call *call, struct diag *diag)
{
    API_LIST_AUTO struct api_list list;
    enum ph_error error =
        api_list_open(call, ID_APPLICATION, false, sizeof(struct application_row), diag, &list);
    if (error == PH_OK) {
        error = application_page(list.store, call->principal.org, &list.page, &list.arena, diag,
                                 list.rows, &list.count, &list.has_more);
    }
    if (error != PH_OK) {
        return error;
    }
    const struct application_row *rows = list.rows;
    struct json_out *out = api_list_begin(&list);
    for (size_t index = 0; index < list.count; index++) {
        application_write(out, call->codec, &rows[index]);
    }
    api_list_send(&list, list.count == 0 ? 0 : rows[0].id,
                  list.count == 0 ? 0 : rows[list.count - 1].id);
    return PH_OK;
}

enum ph_error api_application_get(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct application_row row;
    int64_t id;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = api_path_application(call, store, diag, &id);
    }
    if (error == PH_OK) {
        error = application_find(store, call->principal.org, id, call->arena, diag, &row);
    }
    if (error == PH_OK) {
        struct api_answer answer;
        api_answer_init(&answer);
        application_write(&answer.out, call->codec, &row);
        api_answer_send(call, 200, &answer);
    }
    return error;
}

/* --- writes ------------------------------------------------------------------------------------
 */

struct application_job {
    struct api_job job;
    struct application_input input;
    bool get_if_exists;
    /* PATCH: what each field was. */
    enum input_state name;
    enum input_state uid;
    enum input_state throttle_rate;
    enum input_state metadata;
};

static struct application_job *job_of(struct api_job *job)
{
    return PH_CONTAINER_OF(job, struct application_job, job);
}

static void answer_row(struct api_job *job, int status, const struct application_row *row)
{
    job->status = status;
    application_write(&job->answer.out, job->call->codec, row);
}

static enum ph_error find_by_uid(struct api_job *job, struct writer_txn *txn, struct slice uid,
                                 struct diag *diag, struct application_row *ret_row)
{
    int64_t id;
    struct slice org = job->call->principal.org;
    enum ph_error error = application_resolve(txn->store, org, uid, diag, &id);
    if (error == PH_OK) {
        error = application_find(txn->store, org, id, job->call->arena, diag, ret_row);
    }
    return error;
}

static enum ph_error run_create(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct application_job *application = job_of(job);
    struct application_row row;
    if (application->get_if_exists && application->input.uid.ptr != NULL) {
        enum ph_error error = find_by_uid(job, txn, application->input.uid, diag, &row);
        if (error == PH_OK) {
            answer_row(job, 200, &row);
        }
        if (error != PH_NOT_FOUND) {
            return error;
        }
    }
    enum ph_error error =
        application_create_in(txn, job->call->principal.org, &application->input, diag, &row);
    if (error == PH_OK) {
        answer_row(job, 201, &row);
    }
    return error;
}

/* Reads ApplicationIn into a new job. */
static enum ph_error read_body(struct api_call *call, struct diag *diag,
                               struct application_job **ret_job)
{
    struct application_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    struct input input;
    input_open(&input, http_body(call->request), call->arena, diag);
    application_input_read(&input, &job->input);
    *ret_job = job;
    return input_end(&input);
}

enum ph_error api_application_create(struct api_call *call, struct diag *diag)
{
    struct application_job *job;
    bool get_if_exists;
    enum ph_error error = query_bool(call->request, "get_if_exists", false, diag, &get_if_exists);
    if (error == PH_OK) {
        error = read_body(call, diag, &job);
    }
    if (error != PH_OK) {
        return error;
    }
    job->get_if_exists = get_if_exists;
    return api_submit(call, &job->job, run_create, diag);
}

/* The lanes of the endpoints hold the application's rate: they get new configuration. */
static enum ph_error note_endpoints(struct writer_txn *txn, int64_t application_id,
                                    struct diag *diag)
{
    int64_t id = 0;
    for (;;) {
        enum ph_error error = endpoint_next_live(txn->store, application_id, id, diag, &id);
        if (error != PH_OK || id == 0) {
            return error;
        }
        writer_txn_endpoint_changed(txn, id);
    }
}

/* PH_CONFLICT when a surface needs the application, which `words` happens to. */
static enum ph_error check_owner(const struct api_job *job, struct writer_txn *txn,
                                 struct slice uid, const char *field, const char *words,
                                 struct diag *diag)
{
    const struct api *api = job->call->api;
    const char *owner = NULL;
    if (api->find_owner == NULL || uid.ptr == NULL ||
        !slice_equal_text(job->call->principal.org, DEFAULT_ORGANISATION)) {
        return PH_OK;
    }
    enum ph_error error = api->find_owner(api->owner_context, txn->store, uid, diag, &owner);
    return error != PH_OK || owner == NULL
               ? error
               : diag_set(diag, PH_CONFLICT, field,
                          "this application is the %s surface's, which needs it: %s", owner, words);
}

static enum ph_error check_uid(const struct api_job *job, struct writer_txn *txn,
                               struct slice former, struct slice uid, struct diag *diag)
{
    return slice_equal(former, uid)
               ? PH_OK
               : check_owner(job, txn, former, "body.uid", "it keeps its uid", diag);
}

static enum ph_error store_update(struct api_job *job, struct writer_txn *txn,
                                  struct application_row *row, int64_t former_throttle_rate,
                                  struct diag *diag)
{
    row->updated_at_us = txn->now_us;
    enum ph_error error = application_update(txn->store, row, diag);
    if (error == PH_OK && row->throttle_rate != former_throttle_rate) {
        error = note_endpoints(txn, row->id, diag);
    }
    if (error == PH_OK) {
        answer_row(job, 200, row);
    }
    return error;
}

static enum ph_error run_put(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct application_job *application = job_of(job);
    struct application_row row;
    enum ph_error error =
        find_by_uid(job, txn, http_param(job->call->request, "app_id"), diag, &row);
    if (error == PH_NOT_FOUND) {
        return run_create(job, txn, diag);
    }
    if (error != PH_OK) {
        return error;
    }
    error = check_uid(job, txn, row.uid, application->input.uid, diag);
    if (error != PH_OK) {
        return error;
    }
    int64_t former_throttle_rate = row.throttle_rate;
    row.name = application->input.name;
    row.uid = application->input.uid;
    row.throttle_rate = application->input.throttle_rate;
    row.metadata = application->input.metadata;
    return store_update(job, txn, &row, former_throttle_rate, diag);
}

enum ph_error api_application_put(struct api_call *call, struct diag *diag)
{
    struct application_job *job;
    enum ph_error error = read_body(call, diag, &job);
    return error != PH_OK ? error : api_submit(call, &job->job, run_put, diag);
}

static enum ph_error run_patch(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct application_job *application = job_of(job);
    struct application_row row;
    enum ph_error error =
        find_by_uid(job, txn, http_param(job->call->request, "app_id"), diag, &row);
    if (error == PH_OK && application->uid != INPUT_ABSENT) {
        error = check_uid(job, txn, row.uid, application->input.uid, diag);
    }
    if (error != PH_OK) {
        return error;
    }
    int64_t former_throttle_rate = row.throttle_rate;
    if (application->name == INPUT_VALUE) {
        row.name = application->input.name;
    }
    if (application->uid != INPUT_ABSENT) {
        row.uid = application->input.uid;
    }
    if (application->throttle_rate != INPUT_ABSENT) {
        row.throttle_rate = application->input.throttle_rate;
    }
    if (application->metadata != INPUT_ABSENT) {
        row.metadata = application->input.metadata;
    }
    return store_update(job, txn, &row, former_throttle_rate, diag);
}

enum ph_error api_application_patch(struct api_call *call, struct diag *diag)
{
    struct application_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    struct input input;
    input_open(&input, http_body(call->request), call->arena, diag);
    job->name = read_name(&input, INPUT_NOT_NULL, &job->input.name);
    job->uid = input_uid(&input, INPUT_NULLABLE, ID_APPLICATION, &job->input.uid);
    job->throttle_rate = input_throttle_rate(&input, INPUT_NULLABLE, &job->input.throttle_rate);
    job->metadata = input_metadata(&input, "metadata", INPUT_NOT_NULL, &job->input.metadata);
    enum ph_error error = input_end(&input);
    return error != PH_OK ? error : api_submit(call, &job->job, run_patch, diag);
}

static void note_deleted_endpoint(void *context, int64_t endpoint_id)
{
    writer_txn_endpoint_changed(context, endpoint_id);
}

static enum ph_error run_delete(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct application_row row;
    int64_t id;
    enum ph_error error = api_path_application(job->call, txn->store, diag, &id);
    if (error == PH_OK) {
        error = application_find(txn->store, job->call->principal.org, id, job->call->arena, diag,
                                 &row);
    }
    if (error == PH_OK) {
        error = check_owner(job, txn, row.uid, NULL, "it cannot be deleted", diag);
    }
    if (error == PH_OK) {
        error = endpoint_delete_all(txn->store, id, txn->now_us, note_deleted_endpoint, txn, diag);
    }
    if (error == PH_OK) {
        error = sink_delete_all(txn->store, id, diag);
    }
    if (error == PH_OK) {
        error = integration_delete_all(txn->store, id, diag);
    }
    if (error == PH_OK) {
        error = application_delete(txn->store, id, txn->now_us, diag);
        job->status = 204;
    }
    return error;
}

enum ph_error api_application_delete(struct api_call *call, struct diag *diag)
{
    struct api_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    job->committed = api_tokens_changed;
    return api_submit(call, job, run_delete, diag);
}
