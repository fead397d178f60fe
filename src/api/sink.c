/* SPDX-License-Identifier: Apache-2.0 */
/* Polled sinks: what of an application's messages a poller gets (choices, "Native API"). */
#include "api/sink.h"

#include "api/endpoint.h"
#include "api/list.h"

static void write_row(struct json_out *out, const struct id_codec *codec,
                      const struct sink_row *row)
{
    const struct slice none = SLICE_LITERAL("null");
    char id_text[ID_TEXT_MAX];
    (void)id_format(codec, ID_SINK, row->id, id_text);
    json_out_begin_object(out);
    json_out_member_text(out, "id", id_text);
    json_out_member_text(out, "type", "poller");
    json_out_member_string(out, "uid", row->uid);
    json_out_member_raw(out, "eventTypes", row->event_types.ptr == NULL ? none : row->event_types);
    json_out_member_raw(out, "channels", row->channels.ptr == NULL ? none : row->channels);
    json_out_member_time(out, "createdAt", row->created_at_us);
    json_out_member_time(out, "updatedAt", row->updated_at_us);
    json_out_end_object(out);
}

enum ph_error sink_path_row(struct api_call *call, struct store *store, struct diag *diag,
                            struct sink_row *ret_row)
{
    int64_t application_id;
    enum ph_error error = api_path_application(call, store, diag, &application_id);
    if (error == PH_OK) {
        error = sink_find(store, application_id, http_param(call->request, "sink_id"), call->arena,
                          diag, ret_row);
    }
    return error;
}

/* --- reads ------------------------------------------------------------------------------------ */

enum ph_error api_sink_list(struct api_call *call, struct diag *diag)
{
    API_LIST_AUTO struct api_list list;
    int64_t application_id;
    enum ph_error error = api_list_open(call, ID_SINK, true, sizeof(struct sink_row), diag, &list);
    if (error == PH_OK) {
        error = api_path_application(call, list.store, diag, &application_id);
    }
    if (error == PH_OK) {
        error = sink_page(list.store, application_id, &list.page, &list.arena, diag, list.rows,
                          &list.count, &list.has_more);
    }
    if (error != PH_OK) {
        return error;
    }
    const struct sink_row *rows = list.rows;
    struct json_out *out = api_list_begin(&list);
    for (size_t index = 0; index < list.count; index++) {
        write_row(out, call->codec, &rows[index]);
    }
    api_list_send(&list, list.count == 0 ? 0 : rows[0].id,
                  list.count == 0 ? 0 : rows[list.count - 1].id);
    return PH_OK;
}

enum ph_error api_sink_get(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct sink_row row;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = sink_path_row(call, store, diag, &row);
    }
    if (error == PH_OK) {
        struct api_answer answer;
        api_answer_init(&answer);
        write_row(&answer.out, call->codec, &row);
        api_answer_send(call, 200, &answer);
    }
    return error;
}

/* --- writes ----------------------------------------------------------------------------------- */

struct sink_job {
    struct api_job job;
    struct sink_row row; /* what the body gave */
    struct slice *event_type_names;
    size_t event_type_count;
    /* PATCH: what each field was. */
    enum input_state uid;
    enum input_state event_types;
    enum input_state channels;
};

static struct sink_job *job_of(struct api_job *job)
{
    return PH_CONTAINER_OF(job, struct sink_job, job);
}

static enum ph_error read_body(struct api_call *call, bool is_patch, struct diag *diag,
                               struct sink_job **ret_job)
{
    struct sink_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    enum input_need clear = is_patch ? INPUT_NULLABLE : INPUT_OPTIONAL;
    struct input input;
    struct slice type;
    input_open(&input, http_body(call->request), call->arena, diag);
    if (input_string(&input, "type", is_patch ? INPUT_NOT_NULL : INPUT_REQUIRED, "type", &type) ==
            INPUT_VALUE &&
        !slice_equal_text(type, "poller")) {
        input_refuse(&input, "type", "must be `poller`: other sinks are endpoints");
    }
    job->uid = input_uid(&input, clear, ID_SINK, &job->row.uid);
    job->event_types = endpoint_read_event_types(&input, clear, &job->event_type_names,
                                                 &job->event_type_count, &job->row.event_types);
    job->channels = input_channels(&input, clear, &job->row.channels, NULL, NULL);
    *ret_job = job;
    return input_end(&input);
}

static enum ph_error check_event_types(struct sink_job *sink, struct writer_txn *txn,
                                       struct diag *diag)
{
    return endpoint_check_event_types(sink->job.call, txn, sink->event_type_names,
                                      sink->event_type_count, diag);
}

static enum ph_error insert(struct api_job *job, struct writer_txn *txn, int64_t application_id,
                            struct diag *diag)
{
    struct sink_row row = job_of(job)->row;
    row.id = writer_txn_new_id(txn);
    row.application_id = application_id;
    row.created_at_us = txn->now_us;
    row.updated_at_us = txn->now_us;
    enum ph_error error = sink_insert(txn->store, &row, diag);
    if (error == PH_OK) {
        job->status = 201;
        write_row(&job->answer.out, job->call->codec, &row);
    }
    return error;
}

static enum ph_error update(struct api_job *job, struct writer_txn *txn, struct sink_row *row,
                            struct diag *diag)
{
    row->updated_at_us = txn->now_us;
    enum ph_error error = sink_update(txn->store, row, diag);
    if (error == PH_OK) {
        write_row(&job->answer.out, job->call->codec, row);
    }
    return error;
}

static enum ph_error run_create(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    int64_t application_id;
    enum ph_error error = api_path_application(job->call, txn->store, diag, &application_id);
    if (error == PH_OK) {
        error = check_event_types(job_of(job), txn, diag);
    }
    return error != PH_OK ? error : insert(job, txn, application_id, diag);
}

enum ph_error api_sink_create(struct api_call *call, struct diag *diag)
{
    struct sink_job *job;
    enum ph_error error = read_body(call, false, diag, &job);
    return error != PH_OK ? error : api_submit(call, &job->job, run_create, diag);
}

static enum ph_error run_put(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct sink_row *given = &job_of(job)->row;
    int64_t application_id;
    struct sink_row row;
    enum ph_error error = api_path_application(job->call, txn->store, diag, &application_id);
    if (error == PH_OK) {
        error = check_event_types(job_of(job), txn, diag);
    }
    if (error != PH_OK) {
        return error;
    }
    error = sink_path_row(job->call, txn->store, diag, &row);
    if (error == PH_NOT_FOUND) {
        return insert(job, txn, application_id, diag);
    }
    if (error != PH_OK) {
        return error;
    }
    row.uid = given->uid;
    row.event_types = given->event_types;
    row.channels = given->channels;
    return update(job, txn, &row, diag);
}

enum ph_error api_sink_put(struct api_call *call, struct diag *diag)
{
    struct sink_job *job;
    enum ph_error error = read_body(call, false, diag, &job);
    return error != PH_OK ? error : api_submit(call, &job->job, run_put, diag);
}

static enum ph_error run_patch(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct sink_job *patch = job_of(job);
    struct sink_row row;
    enum ph_error error = sink_path_row(job->call, txn->store, diag, &row);
    if (error == PH_OK) {
        error = check_event_types(job_of(job), txn, diag);
    }
    if (error != PH_OK) {
        return error;
    }
    row.uid = patch->uid == INPUT_ABSENT ? row.uid : patch->row.uid;
    row.event_types = patch->event_types == INPUT_ABSENT ? row.event_types : patch->row.event_types;
    row.channels = patch->channels == INPUT_ABSENT ? row.channels : patch->row.channels;
    return update(job, txn, &row, diag);
}

enum ph_error api_sink_patch(struct api_call *call, struct diag *diag)
{
    struct sink_job *job;
    enum ph_error error = read_body(call, true, diag, &job);
    return error != PH_OK ? error : api_submit(call, &job->job, run_patch, diag);
}

static enum ph_error run_delete(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct sink_row row;
    enum ph_error error = sink_path_row(job->call, txn->store, diag, &row);
    job->status = 204;
    return error != PH_OK ? error : sink_delete(txn->store, row.id, diag);
}

enum ph_error api_sink_delete(struct api_call *call, struct diag *diag)
{
    struct api_job *job = api_job_new(call, sizeof *job, diag);
    return job == NULL ? PH_NO_MEMORY : api_submit(call, job, run_delete, diag);
}
