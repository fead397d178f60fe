/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints (svix-api spec section 7). Secrets are in endpoint_secret.c, headers in
 * endpoint_header.c, reading the body in endpoint_input.c. */
#include "api/endpoint.h"

#include "api/list.h"
#include "api/program.h"
#include "flow/operational.h"
#include "store/endpoint_secret.h"
#include "store/event_type.h"

static struct slice json_or_null(struct slice json)
{
    return json.ptr == NULL ? SLICE_LITERAL("null") : json;
}

/* What endpoints of all kinds have. */
static void write_shared(struct json_out *out, const struct endpoint_row *row)
{
    json_out_member_string(out, "description", row->description);
    json_out_key(out, "rateLimit");
    if (row->throttle_rate == 0) {
        json_out_null(out);
        json_out_member_null(out, "throttleRate");
    } else {
        json_out_int(out, row->throttle_rate);
        json_out_member_int(out, "throttleRate", row->throttle_rate);
    }
    json_out_member_string(out, "uid", row->uid);
    json_out_member_string(out, "url", row->url);
    json_out_member_bool(out, "disabled", row->is_disabled);
    json_out_member_raw(out, "eventTypes", json_or_null(row->event_types));
    json_out_member_raw(out, "metadata", row->metadata);
    json_out_member_time(out, "createdAt", row->created_at_us);
    json_out_member_time(out, "updatedAt", row->updated_at_us);
}

void endpoint_write_common(struct json_out *out, const struct endpoint_row *row)
{
    write_shared(out, row);
    json_out_member_int(out, "version", row->version);
    json_out_member_raw(out, "filterTypes", json_or_null(row->event_types));
    json_out_member_raw(out, "channels", json_or_null(row->channels));
}

void endpoint_write(struct json_out *out, const struct api_call *call,
                    const struct endpoint_row *row)
{
    char id_text[ID_TEXT_MAX];
    (void)id_format(call->codec, ID_ENDPOINT, row->id, id_text);
    json_out_begin_object(out);
    if (call->operational_uid.ptr != NULL) {
        write_shared(out, row);
    } else {
        endpoint_write_common(out, row);
        endpoint_options_output(out, row);
    }
    json_out_member_text(out, "id", id_text);
    json_out_end_object(out);
}

/* --- reads ----------------------------------------------------------------------------------- */

enum ph_error api_endpoint_list(struct api_call *call, struct diag *diag)
{
    API_LIST_AUTO struct api_list list;
    int64_t application_id;
    enum ph_error error =
        api_list_open(call, ID_ENDPOINT, true, sizeof(struct endpoint_row), diag, &list);
    if (error == PH_OK) {
        error = api_path_application(call, list.store, diag, &application_id);
    }
    if (error == PH_OK) {
        error = endpoint_page(list.store, application_id, &list.page, &list.arena, diag, list.rows,
                              &list.count, &list.has_more);
    }
    if (error != PH_OK) {
        return error;
    }
    const struct endpoint_row *rows = list.rows;
    struct json_out *out = api_list_begin(&list);
    for (size_t index = 0; index < list.count; index++) {
        endpoint_write(out, call, &rows[index]);
    }
    api_list_send(&list, list.count == 0 ? 0 : rows[0].id,
                  list.count == 0 ? 0 : rows[list.count - 1].id);
    return PH_OK;
}

enum ph_error endpoint_path_row(struct api_call *call, struct store *store, struct diag *diag,
                                struct endpoint_row *ret_row)
{
    int64_t application_id;
    int64_t endpoint_id;
    enum ph_error error =
        api_path_endpoint(call, store, ENDPOINT_LIVE, diag, &application_id, &endpoint_id);
    if (error == PH_OK) {
        error = endpoint_find(store, application_id, endpoint_id, ENDPOINT_LIVE, call->arena, diag,
                              ret_row);
    }
    return error;
}

enum ph_error api_endpoint_get(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct endpoint_row row;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = endpoint_path_row(call, store, diag, &row);
    }
    if (error == PH_OK) {
        struct api_answer answer;
        api_answer_init(&answer);
        endpoint_write(&answer.out, call, &row);
        api_answer_send(call, 200, &answer);
    }
    return error;
}

/* --- writes ------------------------------------------------------------------------------------
 */

static struct endpoint_job *job_of(struct api_job *job)
{
    return PH_CONTAINER_OF(job, struct endpoint_job, job);
}

enum ph_error endpoint_check_event_types(struct api_call *call, struct writer_txn *txn,
                                         const struct slice *names, size_t count, struct diag *diag)
{
    BUF_AUTO struct buf missing;
    buf_init(&missing, 4096);
    for (size_t index = 0; index < count; index++) {
        bool is_active;
        enum ph_error error =
            event_type_is_active(txn->store, call->principal.org, names[index], diag, &is_active);
        if (error != PH_OK) {
            return error;
        }
        if (!is_active) {
            buf_append_text(&missing, missing.len > 0 ? ", " : "");
            buf_append_slice(&missing, names[index]);
        }
    }
    if (missing.len == 0) {
        return PH_OK;
    }
    return diag_set(diag, PH_INVALID, "body.eventTypes",
                    "The following event types don't exist: %s", buf_text(&missing));
}

static enum ph_error check_event_types(struct api_job *job, struct writer_txn *txn,
                                       struct diag *diag)
{
    const struct endpoint_job *endpoint = job_of(job);
    return endpoint_check_event_types(job->call, txn, endpoint->event_type_names,
                                      endpoint->event_type_count, diag);
}

enum ph_error endpoint_changed(struct writer_txn *txn, int64_t application_id, int64_t endpoint_id,
                               struct diag *diag)
{
    enum ph_error error = application_touch(txn->store, application_id, diag);
    writer_txn_endpoint_changed(txn, endpoint_id);
    return error;
}

static enum ph_error insert(struct api_job *job, struct writer_txn *txn, int64_t application_id,
                            struct diag *diag)
{
    struct endpoint_job *endpoint = job_of(job);
    struct endpoint_row row = endpoint->row;
    row.id = writer_txn_new_id(txn);
    row.application_id = application_id;
    row.created_at_us = txn->now_us;
    row.updated_at_us = txn->now_us;
    enum ph_error error =
        endpoint_options_apply(&endpoint->options, txn->now_us, job->call->arena, diag, &row);
    if (error == PH_OK) {
        error = endpoint_insert(txn->store, &row, diag);
    }
    struct signing_key *key = NULL;
    if (error == PH_OK) {
        error = endpoint_key_from(job->call, endpoint->secret, diag, &key);
    }
    if (error == PH_OK) {
        error = endpoint_secret_insert(txn->store, writer_txn_new_id(txn), row.id, key, diag);
    }
    signing_key_free(key);
    if (error == PH_OK) {
        error = endpoint_changed(txn, application_id, row.id, diag);
    }
    if (error == PH_OK) {
        error = operational_tell_endpoint(txn, OPERATIONAL_ENDPOINT_CREATED, row.id, diag);
    }
    if (error == PH_OK) {
        job->status = 201;
        endpoint_write(&job->answer.out, job->call, &row);
    }
    return error;
}

/* The application of the path; the one of operational webhooks is made when it is missing. */
static enum ph_error find_or_make_application(struct api_call *call, struct writer_txn *txn,
                                              struct diag *diag, int64_t *ret_application_id)
{
    enum ph_error error = api_path_application(call, txn->store, diag, ret_application_id);
    if (error != PH_OK || *ret_application_id != 0) {
        return error;
    }
    const struct application_input application = {.name = call->operational_uid,
                                                  .uid = call->operational_uid,
                                                  .metadata = SLICE_LITERAL("{}")};
    return application_create_at(txn, call->principal.org, call->operational_uid, &application,
                                 diag, ret_application_id);
}

static enum ph_error submit_checked(struct api_call *call, struct endpoint_job *job,
                                    enum ph_error (*run)(struct api_job *job,
                                                         struct writer_txn *txn, struct diag *diag),
                                    struct diag *diag)
{
    const struct api_program programs[API_PROGRAMS_MAX] = {
        {job->options.options.filter, "body.filter"},
        {job->options.options.transform, "body.transform"},
    };
    return api_submit_with_programs(call, &job->job, run, programs, diag);
}

static enum ph_error run_create(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    int64_t application_id;
    enum ph_error error = find_or_make_application(job->call, txn, diag, &application_id);
    if (error == PH_OK) {
        error = check_event_types(job, txn, diag);
    }
    return error != PH_OK ? error : insert(job, txn, application_id, diag);
}

enum ph_error api_endpoint_create(struct api_call *call, struct diag *diag)
{
    struct endpoint_job *job;
    enum ph_error error = endpoint_read_body(call, ENDPOINT_BODY_CREATE, diag, &job);
    return error != PH_OK ? error : submit_checked(call, job, run_create, diag);
}

static enum ph_error update(struct api_job *job, struct writer_txn *txn, struct endpoint_row *row,
                            struct diag *diag)
{
    row->updated_at_us = txn->now_us;
    enum ph_error error =
        endpoint_options_apply(&job_of(job)->options, txn->now_us, job->call->arena, diag, row);
    if (error == PH_OK) {
        error = endpoint_update(txn->store, row, diag);
    }
    if (error == PH_OK) {
        error = endpoint_changed(txn, row->application_id, row->id, diag);
    }
    if (error == PH_OK) {
        error = operational_tell_endpoint(txn, OPERATIONAL_ENDPOINT_UPDATED, row->id, diag);
    }
    if (error == PH_OK) {
        job->status = 200;
        endpoint_write(&job->answer.out, job->call, row);
    }
    return error;
}

static enum ph_error run_put(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct endpoint_row *given = &job_of(job)->row;
    int64_t application_id;
    struct endpoint_row row;
    enum ph_error error = find_or_make_application(job->call, txn, diag, &application_id);
    if (error == PH_OK) {
        error = check_event_types(job, txn, diag);
    }
    if (error != PH_OK) {
        return error;
    }
    error = endpoint_path_row(job->call, txn->store, diag, &row);
    if (error == PH_NOT_FOUND) {
        error = insert(job, txn, application_id, diag);
        job->status = job->call->operational_uid.ptr != NULL ? 200 : 201;
        return error;
    }
    if (error != PH_OK) {
        return error;
    }
    row.uid = given->uid;
    row.url = given->url;
    row.description = given->description;
    row.throttle_rate = given->throttle_rate;
    row.version = given->version;
    row.is_disabled = given->is_disabled;
    row.event_types = given->event_types;
    row.channels = given->channels;
    row.metadata = given->metadata;
    return update(job, txn, &row, diag);
}

enum ph_error api_endpoint_put(struct api_call *call, struct diag *diag)
{
    struct endpoint_job *job;
    enum ph_error error = endpoint_read_body(call, ENDPOINT_BODY_UPDATE, diag, &job);
    return error != PH_OK ? error : submit_checked(call, job, run_put, diag);
}

static enum ph_error run_patch(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct endpoint_job *patch = job_of(job);
    const struct endpoint_row *given = &patch->row;
    struct endpoint_row row;
    enum ph_error error = endpoint_path_row(job->call, txn->store, diag, &row);
    if (error == PH_OK) {
        error = check_event_types(job, txn, diag);
    }
    if (error != PH_OK) {
        return error;
    }
    row.uid = patch->uid == INPUT_ABSENT ? row.uid : given->uid;
    row.url = patch->url == INPUT_ABSENT ? row.url : given->url;
    row.description = patch->description == INPUT_ABSENT ? row.description : given->description;
    row.throttle_rate =
        patch->throttle_rate == INPUT_ABSENT ? row.throttle_rate : given->throttle_rate;
    row.version = patch->version == INPUT_ABSENT ? row.version : given->version;
    row.is_disabled = patch->disabled == INPUT_ABSENT ? row.is_disabled : given->is_disabled;
    row.event_types = patch->event_types == INPUT_ABSENT ? row.event_types : given->event_types;
    row.channels = patch->channels == INPUT_ABSENT ? row.channels : given->channels;
    row.metadata = patch->metadata == INPUT_ABSENT ? row.metadata : given->metadata;
    return update(job, txn, &row, diag);
}

enum ph_error api_endpoint_patch(struct api_call *call, struct diag *diag)
{
    struct endpoint_job *job;
    enum ph_error error = endpoint_read_body(call, ENDPOINT_BODY_PATCH, diag, &job);
    return error != PH_OK ? error : submit_checked(call, job, run_patch, diag);
}

static enum ph_error run_delete(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    int64_t application_id;
    int64_t endpoint_id;
    enum ph_error error = api_path_endpoint(job->call, txn->store, ENDPOINT_LIVE, diag,
                                            &application_id, &endpoint_id);
    if (error == PH_OK) {
        error = endpoint_delete(txn->store, endpoint_id, txn->now_us, diag);
    }
    if (error == PH_OK) {
        error = endpoint_changed(txn, application_id, endpoint_id, diag);
        job->status = 204;
    }
    if (error == PH_OK) {
        error = operational_tell_endpoint(txn, OPERATIONAL_ENDPOINT_DELETED, endpoint_id, diag);
    }
    return error;
}

enum ph_error api_endpoint_delete(struct api_call *call, struct diag *diag)
{
    struct endpoint_job *job = api_job_new(call, sizeof *job, diag);
    return job == NULL ? PH_NO_MEMORY : api_submit(call, &job->job, run_delete, diag);
}
