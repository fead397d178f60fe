/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Artifacts as receivers read them: the list of paths, and the files. A large one is streamed chunk
 * by chunk, as fast as the client reads; all of it on the http thread of the connection.
 */
#include "base/clock.h"
#include "http/stream.h"
#include "surfaces/dbt/artifact.h"
#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/run.h"

#define STALL_US (60 * CLOCK_US_PER_S)

static enum ph_error find_run(struct api_call *call, struct diag *diag, struct store **ret_store,
                              struct dbt_run *ret_run)
{
    int64_t number;
    enum ph_error error = dbt_path_number(call, "run_id", diag, &number);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, ret_store);
    }
    return error == PH_OK ? dbt_run_find(*ret_store, dbt_caller_of(call)->account.number, number,
                                         false, call->arena, diag, ret_run)
                          : error;
}

enum ph_error dbt_artifacts_list(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct dbt_run run;
    size_t count;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    struct dbt_artifact *rows = arena_calloc(&arena, DBT_ARTIFACTS_MAX, sizeof *rows);
    if (rows == NULL) {
        return api_no_memory(diag);
    }
    enum ph_error error = find_run(call, diag, &store, &run);
    if (error == PH_OK) {
        error = dbt_artifact_list(store, run.id, &arena, diag, rows, &count);
    }
    if (error == PH_OK) {
        struct api_answer answer;
        api_answer_init(&answer);
        dbt_answer_begin(&answer.out);
        json_out_begin_array(&answer.out);
        for (size_t index = 0; index < count; index++) {
            json_out_string(&answer.out, rows[index].path);
        }
        json_out_end_array(&answer.out);
        dbt_answer_end_success(&answer.out, 200);
        api_answer_send(call, 200, &answer);
    }
    return error;
}

/* --- a file ----------------------------------------------------------------------------------- */

struct download {
    struct http_stream *stream;
    struct api_thread *thread;
    int64_t artifact_id;
    int64_t chunks;
    int64_t next;
    bool is_gone; /* the client */
    bool is_ended;
};

static bool ends_with(struct slice text, const char *end)
{
    size_t length = strlen(end);
    return text.len >= length &&
           slice_equal_text((struct slice){text.ptr + text.len - length, length}, end);
}

/* Never anything that a browser would run. */
static const char *type_of(struct slice path)
{
    static const char *const texts[] = {".sql", ".log", ".txt", ".yml", ".yaml", ".md", ".csv"};
    if (ends_with(path, ".json")) {
        return "application/json";
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(texts); index++) {
        if (ends_with(path, texts[index])) {
            return "text/plain; charset=utf-8";
        }
    }
    return "application/octet-stream";
}

static void append_chunk(void *context, struct slice content)
{
    struct download *download = context;
    download->is_gone = !http_stream_append(download->stream, content);
}

/* Appends until enough waits for the client. */
static void feed(void *context)
{
    struct download *download = context;
    struct store *store = download->thread->store;
    struct diag diag;
    while (!download->is_ended && !download->is_gone &&
           http_stream_waiting(download->stream) < DBT_ARTIFACT_CHUNK_BYTES) {
        if (download->next == download->chunks) {
            download->is_ended = true;
            http_stream_end(download->stream);
            return;
        }
        if (store == NULL || dbt_artifact_chunk(store, download->artifact_id, download->next, &diag,
                                                append_chunk, download) != PH_OK) {
            http_stream_cut(download->stream);
            return;
        }
        download->next++;
    }
}

static void closed(void *context)
{
    struct download *download = context;
    if (!download->is_ended) {
        http_stream_end(download->stream);
    }
    free(download);
}

static void start_download(struct api_call *call, const struct dbt_artifact *artifact)
{
    struct download *download = ph_calloc(1, sizeof *download);
    download->thread = call->thread;
    download->artifact_id = artifact->id;
    download->chunks = artifact->chunks;
    const struct http_stream_options options = {
        .content_type = type_of(artifact->path),
        .length_bytes = (uint64_t)artifact->bytes,
        .stall_us = STALL_US,
        .has_room = feed,
        .room_bytes = DBT_ARTIFACT_CHUNK_BYTES,
        .closed = closed,
        .context = download,
    };
    download->stream = http_stream_start(call->request, &options);
    if (download->stream == NULL) {
        free(download); /* answered */
    } else {
        feed(download);
    }
}

static enum ph_error answer_whole(struct api_call *call, struct store *store,
                                  const struct dbt_artifact *artifact, struct diag *diag)
{
    struct buf content;
    buf_init(&content, DBT_ARTIFACT_CHUNK_BYTES);
    enum ph_error error = dbt_artifact_read(store, artifact, diag, &content);
    if (error == PH_OK) {
        http_respond(call->request, 200, type_of(artifact->path), &content);
    }
    buf_done(&content);
    return error;
}

static enum ph_error answer_file(struct api_call *call, struct store *store,
                                 const struct dbt_artifact *artifact, struct diag *diag)
{
    http_add_header(call->request, "X-Content-Type-Options", "nosniff");
    if (artifact->bytes <= (int64_t)DBT_ARTIFACT_CHUNK_BYTES) {
        return answer_whole(call, store, artifact, diag);
    }
    start_download(call, artifact);
    return PH_OK;
}

enum ph_error dbt_artifact_get(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct dbt_run run;
    struct dbt_artifact artifact;
    struct slice path = http_rest(call->request);
    enum ph_error error = find_run(call, diag, &store, &run);
    if (error == PH_OK && !dbt_artifact_path_is_valid(path)) {
        error = dbt_not_found(diag);
    }
    if (error == PH_OK) {
        error = dbt_artifact_find(store, run.id, path, diag, &artifact);
    }
    return error == PH_OK ? answer_file(call, store, &artifact, diag) : error;
}

/* That of the job's latest run, as those who compare with production fetch it. */
enum ph_error dbt_job_artifact_get(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct dbt_artifact artifact;
    int64_t job_id;
    struct slice path = http_rest(call->request);
    enum ph_error error = dbt_path_number(call, "job_id", diag, &job_id);
    if (error == PH_OK && !dbt_artifact_path_is_valid(path)) {
        error = dbt_not_found(diag);
    }
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = dbt_artifact_find_latest(store, dbt_caller_of(call)->account.number, job_id, path,
                                         diag, &artifact);
    }
    return error == PH_OK ? answer_file(call, store, &artifact, diag) : error;
}
