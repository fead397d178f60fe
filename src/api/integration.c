/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integrations and their keys (svix-api spec section 12). A key acts for its application as one of
 * its tokens would, but it manages no integrations: who got hold of one cannot make another that
 * outlives its rotation.
 */
#include "store/integration.h"

#include "api/api_int.h"
#include "api/input.h"
#include "api/list.h"
#include "base/random.h"
#include "core/base64.h"

#define FEATURE_FLAGS_MAX 64
#define FEATURE_FLAGS_BYTES_MAX 4096 /* of all together, as in tokens */
#define KEY_RANDOM_BYTES 24
#define KEY_TEXT_MAX 128

static void write_row(struct json_out *out, const struct id_codec *codec,
                      const struct integration_row *row)
{
    char id_text[ID_TEXT_MAX];
    (void)id_format(codec, ID_INTEGRATION, row->id, id_text);
    json_out_begin_object(out);
    json_out_member_text(out, "id", id_text);
    json_out_member_string(out, "name", row->name);
    if (row->feature_flags.ptr != NULL) {
        json_out_member_raw(out, "featureFlags", row->feature_flags);
    }
    json_out_member_time(out, "createdAt", row->created_at_us);
    json_out_member_time(out, "updatedAt", row->updated_at_us);
    json_out_end_object(out);
}

static void write_key(struct json_out *out, struct slice key)
{
    json_out_begin_object(out);
    json_out_member_string(out, "key", key);
    json_out_end_object(out);
}

static enum ph_error path_row(struct api_call *call, struct store *store, struct diag *diag,
                              struct integration_row *ret_row)
{
    int64_t application_id;
    int64_t id;
    enum ph_error error = api_path_application(call, store, diag, &application_id);
    if (error == PH_OK &&
        !id_parse(call->codec, ID_INTEGRATION, http_param(call->request, "integ_id"), &id)) {
        error = diag_set(diag, PH_NOT_FOUND, NULL, "Entity not found");
    }
    if (error == PH_OK) {
        error = integration_find(store, application_id, id, call->arena, diag, ret_row);
    }
    return error;
}

/* --- reads ------------------------------------------------------------------------------------ */

enum ph_error api_integration_list(struct api_call *call, struct diag *diag)
{
    API_LIST_AUTO struct api_list list;
    int64_t application_id;
    enum ph_error error =
        api_list_open(call, ID_INTEGRATION, true, sizeof(struct integration_row), diag, &list);
    if (error == PH_OK) {
        error = api_path_application(call, list.store, diag, &application_id);
    }
    if (error == PH_OK) {
        error = integration_page(list.store, application_id, &list.page, &list.arena, diag,
                                 list.rows, &list.count, &list.has_more);
    }
    if (error != PH_OK) {
        return error;
    }
    const struct integration_row *rows = list.rows;
    struct json_out *out = api_list_begin(&list);
    for (size_t index = 0; index < list.count; index++) {
        write_row(out, call->codec, &rows[index]);
    }
    api_list_send(&list, list.count == 0 ? 0 : rows[0].id,
                  list.count == 0 ? 0 : rows[list.count - 1].id);
    return PH_OK;
}

enum ph_error api_integration_get(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct integration_row row;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = path_row(call, store, diag, &row);
    }
    if (error == PH_OK) {
        struct api_answer answer;
        api_answer_init(&answer);
        write_row(&answer.out, call->codec, &row);
        api_answer_send(call, 200, &answer);
    }
    return error;
}

enum ph_error api_integration_key(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct integration_row row;
    SECRET_AUTO struct secret key = SECRET_NONE;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = path_row(call, store, diag, &row);
    }
    if (error == PH_OK) {
        error = integration_key(store, &row, diag, &key);
    }
    if (error == PH_OK) {
        struct api_answer answer;
        api_answer_init(&answer);
        write_key(&answer.out, (struct slice){(const char *)key.bytes, key.length});
        api_answer_send(call, 200, &answer);
    }
    return error;
}

/* --- writes ----------------------------------------------------------------------------------- */

struct integration_job {
    struct api_job job;
    struct integration_row row; /* what the body gave */
};

static struct integration_job *job_of(struct api_job *job)
{
    return PH_CONTAINER_OF(job, struct integration_job, job);
}

static void read_feature_flags(struct input *input, struct integration_row *row)
{
    struct slice *flags;
    size_t count;
    size_t bytes = 0;
    if (input_strings(input, "featureFlags", INPUT_OPTIONAL, "feature_flags", FEATURE_FLAGS_MAX,
                      &flags, &count) != INPUT_VALUE ||
        input_end(input) != PH_OK) {
        return;
    }
    for (size_t index = 0; index < count; index++) {
        bytes += flags[index].len;
    }
    if (bytes > FEATURE_FLAGS_BYTES_MAX) {
        input_refuse(input, "feature_flags", "must have at most %d bytes in all",
                     FEATURE_FLAGS_BYTES_MAX);
        return;
    }
    row->feature_flags = input_names_json(input, flags, count);
}

static enum ph_error read_body(struct api_call *call, struct diag *diag,
                               struct integration_job **ret_job)
{
    struct integration_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    struct input input;
    input_open(&input, http_body(call->request), call->arena, diag);
    if (input_string(&input, "name", INPUT_REQUIRED, "name", &job->row.name) == INPUT_VALUE &&
        job->row.name.len == 0) {
        input_refuse(&input, "name", "must have at least one character");
    }
    read_feature_flags(&input, &job->row);
    *ret_job = job;
    return input_end(&input);
}

/* Appends a new key. Inside `run`, so that a batch that is run again gets another one. */
static void append_new_key(struct buf *key)
{
    uint8_t bytes[KEY_RANDOM_BYTES];
    random_bytes(bytes, sizeof bytes);
    buf_append_text(key, AUTH_KEY_PREFIX);
    base64url_append(key, bytes, sizeof bytes);
    secret_wipe(bytes, sizeof bytes);
    PH_ASSERT(!key->failed);
}

static enum ph_error run_create(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct integration_row row = job_of(job)->row;
    BUF_AUTO struct buf key;
    buf_init(&key, KEY_TEXT_MAX);
    enum ph_error error = api_path_application(job->call, txn->store, diag, &row.application_id);
    if (error != PH_OK) {
        return error;
    }
    row.id = writer_txn_new_id(txn);
    row.created_at_us = txn->now_us;
    row.updated_at_us = txn->now_us;
    append_new_key(&key);
    error = integration_insert(txn->store, &row, buf_slice(&key), diag);
    secret_wipe(key.data, key.len);
    if (error == PH_OK) {
        job->status = 201;
        write_row(&job->answer.out, job->call->codec, &row);
    }
    return error;
}

enum ph_error api_integration_create(struct api_call *call, struct diag *diag)
{
    struct integration_job *job;
    enum ph_error error = read_body(call, diag, &job);
    return error != PH_OK ? error : api_submit(call, &job->job, run_create, diag);
}

static enum ph_error run_put(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct integration_row row;
    enum ph_error error = path_row(job->call, txn->store, diag, &row);
    if (error != PH_OK) {
        return error;
    }
    row.name = job_of(job)->row.name;
    row.feature_flags = job_of(job)->row.feature_flags;
    row.updated_at_us = txn->now_us;
    error = integration_update(txn->store, &row, diag);
    if (error == PH_OK) {
        write_row(&job->answer.out, job->call->codec, &row);
    }
    return error;
}

enum ph_error api_integration_put(struct api_call *call, struct diag *diag)
{
    struct integration_job *job;
    enum ph_error error = read_body(call, diag, &job);
    if (error != PH_OK) {
        return error;
    }
    job->job.committed = api_tokens_changed;
    return api_submit(call, &job->job, run_put, diag);
}

static enum ph_error run_rotate(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct integration_row row;
    BUF_AUTO struct buf key;
    buf_init(&key, KEY_TEXT_MAX);
    enum ph_error error = path_row(job->call, txn->store, diag, &row);
    if (error != PH_OK) {
        return error;
    }
    row.updated_at_us = txn->now_us;
    append_new_key(&key);
    error = integration_set_key(txn->store, &row, buf_slice(&key), diag);
    if (error == PH_OK) {
        write_key(&job->answer.out, buf_slice(&key));
    }
    secret_wipe(key.data, key.len);
    return error;
}

enum ph_error api_integration_rotate(struct api_call *call, struct diag *diag)
{
    struct api_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    job->committed = api_tokens_changed;
    return api_submit(call, job, run_rotate, diag);
}

static enum ph_error run_delete(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct integration_row row;
    enum ph_error error = path_row(job->call, txn->store, diag, &row);
    job->status = 204;
    return error != PH_OK ? error : integration_delete(txn->store, row.id, diag);
}

enum ph_error api_integration_delete(struct api_call *call, struct diag *diag)
{
    struct api_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    job->committed = api_tokens_changed;
    return api_submit(call, job, run_delete, diag);
}
