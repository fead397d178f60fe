/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Background tasks: adding one, list, get, cancel (svix-api spec section 12).
 *
 * The SDKs know three states: a task that waits for its turn is `running`, a cancelled one
 * `failed`; `data` tells them apart (`queued`, `cancelled`). An application's token sees the tasks
 * of its application, the organisation's all.
 */
#include "api/task.h"

#include "api/paging.h"

/* Text of all rows and results of one answer; what is beyond it is left out and said so. */
#define RESULTS_BYTES_MAX ((size_t)24 * 1024 * 1024)
#define RESULTS_STEP 200

/* --- writing -----------------------------------------------------------------------------------
 */

static const char *state_text(enum task_state state)
{
    switch (state) {
    case TASK_RUNNING:
        return "running";
    case TASK_FINISHED:
        return "finished";
    case TASK_FAILED:
    case TASK_CANCELLED:
        break;
    }
    return "failed";
}

static void member_id(struct json_out *out, const struct id_codec *codec, const char *name,
                      enum id_kind kind, int64_t id)
{
    char text[ID_TEXT_MAX];
    (void)id_format(codec, kind, id, text);
    json_out_member_text(out, name, text);
}

/* The members that all answers have, into an open object. */
static void write_members(struct json_out *out, const struct id_codec *codec,
                          const struct task_row *row)
{
    member_id(out, codec, "id", ID_TASK, row->id);
    json_out_member_text(out, "status", state_text(row->state));
    json_out_member_text(out, "task", task_kind_name(row->kind));
    json_out_member_time(out, "updatedAt", row->updated_at_us);
}

static void write_total(struct json_out *out, const struct task_row *row, int64_t most)
{
    if (!task_total_is_known(row)) {
        json_out_member_null(out, "messagesTotal");
        return;
    }
    bool is_capped = row->progress.total > most;
    json_out_member_int(out, "messagesTotal", is_capped ? most : row->progress.total);
    if (is_capped) {
        json_out_member_bool(out, "capped", true);
    }
}

static void write_window(struct json_out *out, const struct task_row *row)
{
    json_out_member_time(out, "since", row->since_us);
    json_out_member_time(out, "until", row->until_us);
}

static void write_progress(struct json_out *out, const struct id_codec *codec,
                           const struct task_row *row)
{
    const struct task_progress *progress = &row->progress;
    switch (row->kind) {
    case TASK_REPLAY:
    case TASK_RECOVER:
    case TASK_BULK_REPLAY:
        json_out_member_int(out, "messagesSent", progress->done);
        json_out_member_int(out, "messagesSkipped", progress->skipped);
        write_total(out, row, row->kind == TASK_RECOVER ? TASK_RECOVER_MAX : INT64_MAX);
        write_window(out, row);
        if (row->rate != 0) {
            json_out_member_int(out, "rate", row->rate);
        }
        break;
    case TASK_PURGE_CONTENT:
        json_out_member_int(out, "messagesPurged", progress->done);
        write_total(out, row, INT64_MAX);
        break;
    case TASK_APPLICATION_STATS:
        write_window(out, row);
        json_out_member_int(out, "applicationsDone", progress->done);
        break;
    case TASK_EVENT_TYPES:
        json_out_member_int(out, "applicationsDone", progress->done);
        break;
    case TASK_KIND_COUNT:
        break;
    }
    if (row->application_id != 0) {
        member_id(out, codec, "appId", ID_APPLICATION, row->application_id);
    }
    if (row->endpoint_id != 0) {
        member_id(out, codec, "endpointId", ID_ENDPOINT, row->endpoint_id);
    }
}

static void write_course(struct json_out *out, const struct task_row *row)
{
    if (row->started_at_us != 0) {
        json_out_member_time(out, "startedAt", row->started_at_us);
    } else if (row->state == TASK_RUNNING) {
        json_out_member_bool(out, "queued", true);
    }
    if (row->finished_at_us != 0) {
        json_out_member_time(out, "finishedAt", row->finished_at_us);
    }
    if (row->state == TASK_CANCELLED) {
        json_out_member_bool(out, "cancelled", true);
    }
    if (row->failure.ptr != NULL) {
        json_out_member_string(out, "error", row->failure);
    }
}

static void write_result(struct json_out *out, const struct id_codec *codec, enum task_kind kind,
                         const struct task_result *result)
{
    json_out_begin_object(out);
    member_id(out, codec, "appId", ID_APPLICATION, result->application_id);
    if (kind == TASK_EVENT_TYPES) {
        json_out_member_raw(out, "explicitlySubscribedEventTypes", result->event_types);
        json_out_member_bool(out, "hasCatchAllEndpoint", result->is_catch_all);
    } else {
        json_out_member_string(out, "appUid", result->application_uid);
        json_out_member_int(out, "messageDestinations", result->deliveries);
        json_out_member_int(out, "messages", result->messages);
        json_out_member_int(out, "attempts", result->attempts);
    }
    json_out_end_object(out);
}

/* What a statistics task that has finished found. */
static enum ph_error write_results(struct api_answer *answer, const struct id_codec *codec,
                                   struct store *store, const struct task_row *row,
                                   struct diag *diag)
{
    struct task_result rows[RESULTS_STEP];
    size_t count = RESULTS_STEP;
    int64_t after_id = 0;
    bool is_cut = row->progress.skipped > 0;
    enum ph_error error = PH_OK;
    json_out_key(&answer->out, row->kind == TASK_EVENT_TYPES ? "event_types" : "appStats");
    json_out_begin_array(&answer->out);
    while (error == PH_OK && count == RESULTS_STEP && !is_cut) {
        ARENA_AUTO struct arena arena;
        arena_init(&arena, API_ROWS_MAX);
        error =
            task_result_page(store, row->id, after_id, &arena, diag, rows, RESULTS_STEP, &count);
        for (size_t index = 0; error == PH_OK && index < count && !is_cut; index++) {
            is_cut = answer->body.len > RESULTS_BYTES_MAX;
            write_result(&answer->out, codec, row->kind, &rows[index]);
            after_id = rows[index].application_id;
        }
    }
    json_out_end_array(&answer->out);
    if (is_cut) {
        json_out_member_bool(&answer->out, "truncated", true);
    }
    return error;
}

/* BackgroundTaskOut. After an error the answer is dropped by the caller. */
static enum ph_error write_task(struct api_answer *answer, const struct id_codec *codec,
                                struct store *store, const struct task_row *row, struct diag *diag)
{
    struct json_out *out = &answer->out;
    bool has_results = row->kind == TASK_APPLICATION_STATS || row->kind == TASK_EVENT_TYPES;
    enum ph_error error = PH_OK;
    json_out_begin_object(out);
    write_members(out, codec, row);
    json_out_key(out, "data");
    json_out_begin_object(out);
    write_progress(out, codec, row);
    write_course(out, row);
    if (has_results && row->state == TASK_FINISHED) {
        error = write_results(answer, codec, store, row, diag);
    }
    json_out_end_object(out);
    json_out_end_object(out);
    return error;
}

/* --- adding ------------------------------------------------------------------------------------
 */

static void write_unresolved(struct json_out *out, const struct task_job *task)
{
    json_out_key(out, "unresolvedAppIds");
    json_out_begin_array(out);
    for (size_t index = 0; index < task->unresolved_count; index++) {
        json_out_string(out, task->unresolved[index]);
    }
    json_out_end_array(out);
}

static enum ph_error run_add(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct task_job *task = PH_CONTAINER_OF(job, struct task_job, job);
    struct task_row row = task->row;
    enum ph_error error = PH_OK;
    task->was_refused = false;
    if (task->scope == TASK_OF_ENDPOINT) {
        error = api_path_endpoint(job->call, txn->store, ENDPOINT_LIVE, diag, &row.application_id,
                                  &row.endpoint_id);
    } else if (task->scope == TASK_OF_APPLICATION) {
        error = api_path_application(job->call, txn->store, diag, &row.application_id);
    }
    if (error != PH_OK) {
        return error;
    }
    row.org = job->call->principal.org;
    if (row.until_us == 0 || row.until_us > txn->now_us) {
        row.until_us = txn->now_us;
    }
    error = task_add(txn, &row, diag);
    task->was_refused = error == PH_BAD_REQUEST || error == PH_BUSY;
    if (error == PH_OK) {
        struct json_out *out = &job->answer.out;
        job->status = 202;
        json_out_begin_object(out);
        write_members(out, job->call->codec, &row);
        if (task->has_unresolved) {
            write_unresolved(out, task);
        }
        json_out_end_object(out);
    }
    return error;
}

static void count_added(struct api_job *job)
{
    metrics_add(job->call->api->metrics, METRIC_TASKS_ADDED, 1);
}

static void count_refused(struct api_job *job)
{
    const struct task_job *task = PH_CONTAINER_OF(job, struct task_job, job);
    if (task->was_refused) {
        metrics_add(job->call->api->metrics, METRIC_TASKS_REFUSED, 1);
    }
}

enum ph_error task_submit(struct api_call *call, struct task_job *task, struct diag *diag)
{
    task->job.committed = count_added;
    task->job.failed = count_refused;
    return api_submit(call, &task->job, run_add, diag);
}

/* --- reading and cancelling ---------------------------------------------------------------------
 */

/* The task that the path names, if the token may see it. */
static enum ph_error find_task(struct api_call *call, struct store *store, struct diag *diag,
                               struct task_row *ret_row)
{
    int64_t id;
    if (!id_parse(call->codec, ID_TASK, http_param(call->request, "task_id"), &id)) {
        return diag_set(diag, PH_NOT_FOUND, NULL, "Entity not found");
    }
    struct task_row row;
    enum ph_error error = task_find(store, id, call->arena, diag, &row);
    if (error != PH_OK) {
        return error;
    }
    const struct principal *principal = &call->principal;
    if (!slice_equal(row.org, principal->org) ||
        (principal->application_id != 0 && principal->application_id != row.application_id)) {
        return diag_set(diag, PH_NOT_FOUND, NULL, "Entity not found");
    }
    *ret_row = row;
    return PH_OK;
}

enum ph_error api_task_get(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct task_row row;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = find_task(call, store, diag, &row);
    }
    if (error != PH_OK) {
        return error;
    }
    struct api_answer answer;
    api_answer_init(&answer);
    error = write_task(&answer, call->codec, store, &row, diag);
    if (error == PH_OK) {
        api_answer_send(call, 200, &answer);
    } else {
        buf_done(&answer.body);
    }
    return error;
}

struct cancel_job {
    struct api_job job;
    bool was_cancelled;
};

static enum ph_error run_cancel(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct cancel_job *cancel = PH_CONTAINER_OF(job, struct cancel_job, job);
    struct task_row row;
    cancel->was_cancelled = false;
    enum ph_error error = find_task(job->call, txn->store, diag, &row);
    if (error == PH_OK) {
        error = task_cancel(txn, &row, diag, &cancel->was_cancelled);
    }
    if (error == PH_OK && cancel->was_cancelled) {
        row.state = TASK_CANCELLED;
        row.updated_at_us = txn->now_us;
        row.finished_at_us = txn->now_us;
    }
    return error == PH_OK ? write_task(&job->answer, job->call->codec, txn->store, &row, diag)
                          : error;
}

static void count_cancelled(struct api_job *job)
{
    const struct cancel_job *cancel = PH_CONTAINER_OF(job, struct cancel_job, job);
    if (cancel->was_cancelled) {
        metrics_add(job->call->api->metrics, METRIC_TASKS_CANCELLED, 1);
    }
}

enum ph_error api_task_cancel(struct api_call *call, struct diag *diag)
{
    struct cancel_job *cancel = api_job_new(call, sizeof *cancel, diag);
    if (cancel == NULL) {
        return PH_NO_MEMORY;
    }
    cancel->job.committed = count_cancelled;
    return api_submit(call, &cancel->job, run_cancel, diag);
}

/* --- list --------------------------------------------------------------------------------------
 */

/* One of the texts, as its number; TASK_ANY when the parameter is absent. */
static enum ph_error query_name(struct http_request *request, const char *name,
                                const char *const *texts, int count, struct diag *diag,
                                int *ret_number)
{
    struct slice given = http_query(request, name, 0);
    *ret_number = TASK_ANY;
    for (int index = 0; given.ptr != NULL && index < count; index++) {
        if (slice_equal_text(given, texts[index])) {
            *ret_number = index;
        }
    }
    if (given.ptr != NULL && *ret_number == TASK_ANY) {
        return diag_set(diag, PH_BAD_REQUEST, NULL,
                        "Invalid query parameter `%s`: not a known value", name);
    }
    return PH_OK;
}

static enum ph_error read_query(struct api_call *call, struct diag *diag,
                                struct task_query *ret_query)
{
    /* The last two are the cloud's; nothing has them here. */
    const char *kinds[TASK_KIND_COUNT + 2] = {
        [TASK_KIND_COUNT] = "message.broadcast",
        [TASK_KIND_COUNT + 1] = "sdk.generate",
    };
    const char *states[TASK_CANCELLED];
    for (int kind = 0; kind < TASK_KIND_COUNT; kind++) {
        kinds[kind] = task_kind_name((enum task_kind)kind);
    }
    for (int state = 0; state < TASK_CANCELLED; state++) {
        states[state] = state_text((enum task_state)state);
    }
    struct task_query query = {
        .org = call->principal.org,
        .application_id = call->principal.application_id,
    };
    enum ph_error error = paging_read(call->request, call->codec, ID_TASK, true, diag, &query.page);
    if (error == PH_OK) {
        error = query_name(call->request, "task", kinds, PH_ARRAY_LENGTH(kinds), diag, &query.kind);
    }
    if (error == PH_OK) {
        error = query_name(call->request, "status", states, PH_ARRAY_LENGTH(states), diag,
                           &query.state);
    }
    if (error == PH_OK) {
        *ret_query = query;
    }
    return error;
}

static enum ph_error answer_list(struct api_call *call, struct store *store,
                                 const struct task_query *query, struct task_row *rows,
                                 const struct list_end *end, struct diag *diag)
{
    paging_arrange(&query->page, rows, sizeof rows[0], end->count);
    struct api_answer answer;
    api_answer_init(&answer);
    paging_begin_list(&answer.out);
    enum ph_error error = PH_OK;
    for (size_t index = 0; error == PH_OK && index < end->count; index++) {
        error = write_task(&answer, call->codec, store, &rows[index], diag);
    }
    if (error != PH_OK) {
        buf_done(&answer.body);
        return error;
    }
    int64_t first = end->count == 0 ? 0 : rows[0].id;
    int64_t last = end->count == 0 ? 0 : rows[end->count - 1].id;
    if (end->last_examined_id != 0) {
        *(query->page.is_reversed ? &first : &last) = end->last_examined_id;
    }
    paging_end_id_list(&answer.out, call->codec, ID_TASK, first, last, !end->has_more);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

enum ph_error api_task_list(struct api_call *call, struct diag *diag)
{
    struct task_query query;
    struct store *store;
    enum ph_error error = read_query(call, diag, &query);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error != PH_OK) {
        return error;
    }
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    struct task_row *rows = arena_calloc(call->arena, query.page.limit, sizeof *rows);
    if (rows == NULL) {
        return api_no_memory(diag);
    }
    struct list_end end;
    error = task_page(store, &query, &arena, diag, rows, &end);
    return error == PH_OK ? answer_list(call, store, &query, rows, &end, diag) : error;
}
