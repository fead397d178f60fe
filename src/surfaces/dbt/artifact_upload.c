/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uploads of artifacts. Each piece of the body is one write; while it is written nothing more is
 * read from the client, so an upload has one piece in memory.
 *
 * Concurrency: the upload goes from the http thread, which brings a piece, to the writer and back.
 */
#include "http/upload.h"
#include "surfaces/dbt/artifact.h"
#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/run.h"

struct upload {
    struct general_job job; /* the piece on its way, or the end of what was cut */
    struct api_call *call;  /* the request's: gone with it */
    struct writer *writer;
    int64_t account;
    int64_t number;
    int64_t run_id;
    int64_t bytes_max;
    int64_t bytes;       /* of all pieces that came */
    int64_t chunks;      /* that are committed */
    int64_t artifact_id; /* 0 until the first is */
    struct slice piece;
    bool is_last;
    int64_t new_id; /* results of `run` */
    bool is_new;
    size_t path_length;
    char path[DBT_ARTIFACT_PATH_BYTES_MAX];
};

static struct slice path_of(const struct upload *upload)
{
    return (struct slice){upload->path, upload->path_length};
}

/* The run that artifacts may be added to. */
static enum ph_error find_open_run(struct store *store, int64_t account, int64_t number,
                                   struct arena *arena, struct diag *diag, int64_t *ret_id)
{
    struct dbt_run run;
    enum ph_error error = dbt_run_find(store, account, number, false, arena, diag, &run);
    if (error == PH_OK && run.ingested_at_us != 0) {
        error = diag_set(diag, PH_CONFLICT, NULL,
                         "the artifacts of the run are complete, none can be added");
    }
    if (error == PH_OK) {
        *ret_id = run.id;
    }
    return error;
}

/* --- what was cut ----------------------------------------------------------------------------- */

static enum ph_error run_give_up(struct general_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct upload *upload = PH_CONTAINER_OF(job, struct upload, job);
    return dbt_artifact_give_up(txn->store, upload->artifact_id, diag);
}

static void free_upload(struct general_job *job, enum ph_error error, const struct diag *diag)
{
    (void)error;
    (void)diag;
    free(PH_CONTAINER_OF(job, struct upload, job));
}

/* Ends an upload of which nothing becomes. What cannot be written now is swept later. */
static void give_up(struct upload *upload)
{
    struct diag diag;
    upload->job = (struct general_job){.run = run_give_up, .done = free_upload};
    if (upload->artifact_id == 0 || writer_submit(upload->writer, &upload->job, &diag) != PH_OK) {
        free(upload);
    }
}

static void cut(void *context)
{
    give_up(context);
}

static void refuse(struct upload *upload, const struct diag *diag)
{
    struct api_call *call = upload->call;
    give_up(upload);
    call->respond_error(call->request, diag);
}

/* --- a piece ---------------------------------------------------------------------------------- */

static enum ph_error begin_artifact(struct upload *upload, struct writer_txn *txn,
                                    struct diag *diag)
{
    upload->new_id = upload->artifact_id;
    if (upload->artifact_id != 0) {
        return PH_OK;
    }
    upload->new_id = writer_txn_new_id(txn);
    return dbt_artifact_begin(txn->store, upload->new_id, upload->run_id, path_of(upload),
                              txn->now_us, diag);
}

static enum ph_error run_piece(struct general_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct upload *upload = PH_CONTAINER_OF(job, struct upload, job);
    ARENA_AUTO struct arena arena;
    arena_init(&arena, (size_t)1024 * 1024);
    enum ph_error error =
        find_open_run(txn->store, upload->account, upload->number, &arena, diag, &upload->run_id);
    if (error == PH_OK) {
        error = begin_artifact(upload, txn, diag);
    }
    if (error == PH_OK && upload->piece.len > 0) {
        error = dbt_artifact_add(txn->store, upload->new_id, upload->chunks, upload->piece,
                                 txn->now_us, diag);
    }
    if (error == PH_OK && upload->is_last) {
        error = dbt_artifact_finish(txn->store, upload->new_id, upload->run_id, path_of(upload),
                                    txn->now_us, diag, &upload->is_new);
    }
    return error;
}

static void answer(struct upload *upload)
{
    struct api_answer answer;
    int status = upload->is_new ? 201 : 200;
    api_answer_init(&answer);
    dbt_answer_begin(&answer.out);
    json_out_begin_object(&answer.out);
    json_out_member_string(&answer.out, "path", path_of(upload));
    json_out_member_int(&answer.out, "bytes", upload->bytes);
    json_out_end_object(&answer.out);
    dbt_answer_end_success(&answer.out, status);
    api_answer_send(upload->call, status, &answer);
    free(upload);
}

static void piece_done(struct general_job *job, enum ph_error error, const struct diag *diag)
{
    struct upload *upload = PH_CONTAINER_OF(job, struct upload, job);
    if (error != PH_OK) {
        struct diag copy = *diag;
        refuse(upload, &copy);
        return;
    }
    upload->artifact_id = upload->new_id;
    upload->chunks++;
    if (upload->is_last) {
        answer(upload);
    } else {
        http_upload_continue(upload->call->request);
    }
}

static enum ph_error too_large(int64_t bytes_max, struct diag *diag)
{
    return diag_set(diag, PH_TOO_LARGE, NULL, "an artifact has at most %lld bytes",
                    (long long)bytes_max);
}

static void take_piece(void *context, struct slice bytes, bool is_last)
{
    struct upload *upload = context;
    struct diag diag;
    upload->bytes += (int64_t)bytes.len;
    upload->piece = bytes;
    upload->is_last = is_last;
    if (upload->bytes > upload->bytes_max) {
        (void)too_large(upload->bytes_max, &diag);
        refuse(upload, &diag);
        return;
    }
    upload->job = (struct general_job){.run = run_piece, .done = piece_done};
    if (writer_submit(upload->writer, &upload->job, &diag) != PH_OK) {
        refuse(upload, &diag);
    }
}

/* --- the head --------------------------------------------------------------------------------- */

static enum ph_error check(struct api_call *call, const struct dbt_settings *settings,
                           struct slice path, struct diag *diag, int64_t *ret_number,
                           int64_t *ret_run_id)
{
    const struct dbt_caller *caller = dbt_caller_of(call);
    struct store *store;
    enum ph_error error = dbt_path_number(call, "run_id", diag, ret_number);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = find_open_run(store, caller->account.number, *ret_number, call->arena, diag,
                              ret_run_id);
    }
    if (error == PH_OK && !dbt_artifact_path_is_valid(path)) {
        error = diag_set(diag, PH_BAD_REQUEST, "path",
                         "expected names with slashes between, at most %d bytes",
                         DBT_ARTIFACT_PATH_BYTES_MAX);
    }
    if (error == PH_OK &&
        http_body_expected(call->request) > (uint64_t)settings->artifact_bytes_max) {
        error = too_large(settings->artifact_bytes_max, diag);
    }
    return error;
}

enum ph_error dbt_artifact_put(struct api_call *call, struct diag *diag)
{
    const struct dbt_caller *caller = dbt_caller_of(call);
    const struct dbt_settings settings = dbt_settings_of(caller->dbt);
    const struct slice path = http_rest(call->request);
    int64_t number;
    int64_t run_id;
    enum ph_error error = check(call, &settings, path, diag, &number, &run_id);
    if (error != PH_OK) {
        return error;
    }
    struct upload *upload = ph_calloc(1, sizeof *upload);
    upload->call = call;
    upload->writer = flow_writer(call->api->flow);
    upload->account = caller->account.number;
    upload->number = number;
    upload->run_id = run_id;
    upload->bytes_max = settings.artifact_bytes_max;
    upload->path_length = path.len;
    memcpy(upload->path, path.ptr, path.len);
    const struct http_upload_options options = {.piece = take_piece, .cut = cut, .context = upload};
    error = http_upload_begin(call->request, &options, diag);
    if (error != PH_OK) {
        free(upload);
    }
    return error;
}
