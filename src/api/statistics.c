/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics: of an endpoint at once, from indexes alone; of all applications as background tasks
 * (svix-api spec sections 7, 12).
 */
#include "api/input.h"
#include "api/paging.h"
#include "api/task.h"
#include "base/clock.h"
#include "store/attempt_list.h"
#include "store/usage.h"

#define DAY_US (INT64_C(86400) * CLOCK_US_PER_S)
#define HOUR_US (INT64_C(3600) * CLOCK_US_PER_S)
#define WINDOW_US (28 * DAY_US)
#define SLACK_US (300 * CLOCK_US_PER_S)
#define COUNTED_MAX 1000000 /* rows that one call counts: some tenths of a second */
#define APPLICATIONS_MAX 1000
#define PARAMETERS_BYTES_MAX ((size_t)64 * 1024)

/* --- of an endpoint ----------------------------------------------------------------------------
 */

static enum ph_error bad_range(struct diag *diag, const char *words)
{
    enum ph_error error = diag_set(diag, PH_BAD_REQUEST, NULL, "%s", words);
    diag_code(diag, "invalid_range");
    return error;
}

/* `since` and `until`, 28 days back from now when they are not given. With `unit_us` the window is
 * widened to whole units. */
static enum ph_error read_range(struct http_request *request, int64_t unit_us, struct diag *diag,
                                struct replay_range *ret_range)
{
    int64_t now_us = clock_wall_us();
    int64_t since_us;
    int64_t until_us;
    enum ph_error error = query_time(request, "since", diag, &since_us);
    if (error == PH_OK) {
        error = query_time(request, "until", diag, &until_us);
    }
    if (error != PH_OK) {
        return error;
    }
    if (until_us > now_us) {
        return bad_range(diag, "`until` cannot be in the future");
    }
    bool is_open = until_us == 0;
    until_us = is_open ? now_us : until_us;
    since_us = since_us == 0 ? until_us - WINDOW_US : since_us;
    if (since_us > until_us) {
        return bad_range(diag, "`since` cannot be later than `until`");
    }
    if (until_us - since_us > WINDOW_US + SLACK_US) {
        return bad_range(diag, "the range cannot be longer than 28 days");
    }
    if (unit_us > 0) {
        since_us -= since_us % unit_us;
        until_us += unit_us - 1 - (until_us + unit_us - 1) % unit_us;
    }
    int64_t floor = id_floor(since_us);
    *ret_range = (struct replay_range){
        .after_id = floor > 0 ? floor - 1 : 0,
        .before_id = is_open ? INT64_MAX : id_floor(until_us),
    };
    return PH_OK;
}

/* Of the endpoint that the path names, deleted ones too. `ret_pending` may be NULL. */
static enum ph_error count_in(struct api_call *call, const struct replay_range *range,
                              struct diag *diag, struct usage_attempts *ret_attempts,
                              struct usage_pending *ret_pending)
{
    struct store *store;
    int64_t application_id;
    int64_t endpoint_id;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = api_path_endpoint(call, store, ENDPOINT_WITH_DELETED, diag, &application_id,
                                  &endpoint_id);
    }
    if (error == PH_OK) {
        error = usage_count_attempts(store, endpoint_id, range, COUNTED_MAX, diag, ret_attempts);
    }
    if (error == PH_OK && ret_pending != NULL) {
        error = usage_count_pending(store, endpoint_id, range, COUNTED_MAX, diag, ret_pending);
    }
    return error;
}

static enum ph_error find_counts(struct api_call *call, int64_t unit_us, struct diag *diag,
                                 struct usage_attempts *ret_attempts,
                                 struct usage_pending *ret_pending)
{
    struct replay_range range;
    enum ph_error error = read_range(call->request, unit_us, diag, &range);
    return error == PH_OK ? count_in(call, &range, diag, ret_attempts, ret_pending) : error;
}

/* An extension: only answers that are cut have it. */
static void put_approximated(struct api_answer *answer, bool is_cut)
{
    if (is_cut) {
        json_out_member_bool(&answer->out, "approximated", true);
    }
}

enum ph_error api_endpoint_stats(struct api_call *call, struct diag *diag)
{
    struct usage_attempts attempts;
    struct usage_pending pending;
    enum ph_error error = find_counts(call, 0, diag, &attempts, &pending);
    if (error != PH_OK) {
        return error;
    }
    struct api_answer answer;
    api_answer_init(&answer);
    json_out_begin_object(&answer.out);
    json_out_member_int(&answer.out, "success", attempts.success);
    json_out_member_int(&answer.out, "pending", pending.untried);
    json_out_member_int(&answer.out, "sending", pending.tried);
    json_out_member_int(&answer.out, "fail", attempts.fail);
    json_out_member_int(&answer.out, "canceled", 0); /* no attempt is ever cancelled */
    put_approximated(&answer, attempts.is_cut || pending.is_cut);
    json_out_end_object(&answer.out);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

enum ph_error api_endpoint_attempt_stats(struct api_call *call, struct diag *diag)
{
    struct usage_attempts attempts;
    enum ph_error error = find_counts(call, HOUR_US, diag, &attempts, NULL);
    if (error != PH_OK) {
        return error;
    }
    struct api_answer answer;
    api_answer_init(&answer);
    json_out_begin_object(&answer.out);
    json_out_member_int(&answer.out, "success", attempts.success);
    json_out_member_int(&answer.out, "fail", attempts.fail);
    json_out_member_int(&answer.out, "canceled", 0);
    put_approximated(&answer, attempts.is_cut);
    json_out_end_object(&answer.out);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

/* --- attempts to an endpoint, counted -----------------------------------------------------------
 */

/* Filters of the list that no index counts by: to leave one out would count something else. */
static enum ph_error refuse_filters(struct http_request *request, struct diag *diag)
{
    static const char *const names[] = {"channel", "tag", "event_types", "status_code_class"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(names); index++) {
        if (http_query(request, names[index], 0).ptr != NULL) {
            return diag_set(diag, PH_BAD_REQUEST, NULL,
                            "Invalid query parameter `%s`: attempts cannot be counted by it",
                            names[index]);
        }
    }
    return PH_OK;
}

enum ph_error api_attempt_count(struct api_call *call, struct diag *diag)
{
    int64_t before_us = 0;
    int64_t after_us = 0;
    int64_t status = ATTEMPT_ANY_STATUS;
    struct usage_attempts attempts;
    enum ph_error error = refuse_filters(call->request, diag);
    if (error == PH_OK) {
        error = query_time(call->request, "before", diag, &before_us);
    }
    if (error == PH_OK) {
        error = query_time(call->request, "after", diag, &after_us);
    }
    if (error == PH_OK) {
        error = query_int(call->request, "status", 0, ATTEMPT_STATUS_COUNT - 1, ATTEMPT_ANY_STATUS,
                          diag, &status);
    }
    int64_t floor = id_floor(after_us);
    const struct replay_range range = {
        .after_id = floor > 0 ? floor - 1 : 0,
        .before_id = before_us == 0 ? INT64_MAX : id_floor(before_us),
    };
    if (error == PH_OK) {
        error = count_in(call, &range, diag, &attempts, NULL);
    }
    if (error != PH_OK) {
        return error;
    }
    int64_t count = status == ATTEMPT_ANY_STATUS ? attempts.success + attempts.fail
                    : status == ATTEMPT_SUCCESS  ? attempts.success
                    : status == ATTEMPT_FAIL     ? attempts.fail
                                                 : 0;
    struct api_answer answer;
    api_answer_init(&answer);
    json_out_begin_object(&answer.out);
    json_out_member_int(&answer.out, "count", count);
    json_out_member_bool(&answer.out, "approximated", attempts.is_cut);
    json_out_end_object(&answer.out);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

/* --- of all applications ------------------------------------------------------------------------
 */

static struct task_job *new_job(struct api_call *call, enum task_kind kind, struct diag *diag)
{
    struct task_job *task = api_job_new(call, sizeof *task, diag);
    if (task != NULL) {
        task->scope = TASK_OF_ORGANISATION;
        task->row.kind = kind;
        task->row.parameters = SLICE_LITERAL("{}");
    }
    return task;
}

enum ph_error api_statistics_event_types(struct api_call *call, struct diag *diag)
{
    struct task_job *task = new_job(call, TASK_EVENT_TYPES, diag);
    return task == NULL ? PH_NO_MEMORY : task_submit(call, task, diag);
}

static int compare_ids(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* Ids in order, each once, as the task keeps them. */
static struct slice write_ids(struct api_call *call, int64_t *ids, size_t count)
{
    BUF_AUTO struct buf text;
    buf_init(&text, PARAMETERS_BYTES_MAX);
    qsort(ids, count, sizeof ids[0], compare_ids);
    struct json_out out;
    json_out_init(&out, &text);
    json_out_begin_object(&out);
    json_out_key(&out, "appIds");
    json_out_begin_array(&out);
    for (size_t index = 0; index < count; index++) {
        if (index == 0 || ids[index] != ids[index - 1]) {
            json_out_int(&out, ids[index]);
        }
    }
    json_out_end_array(&out);
    json_out_end_object(&out);
    struct slice whole = buf_slice(&text);
    whole.ptr = text.failed ? NULL : arena_dup(call->arena, whole);
    return whole;
}

/* The applications that the request names; what names none is given back in the answer. */
static enum ph_error resolve(struct api_call *call, struct task_job *task,
                             const struct slice *names, size_t count, struct diag *diag)
{
    struct store *store;
    int64_t *ids = arena_calloc(call->arena, count, sizeof ids[0]);
    struct slice *unresolved = arena_calloc(call->arena, count, sizeof unresolved[0]);
    size_t found = 0;
    if (ids == NULL || unresolved == NULL) {
        return api_no_memory(diag);
    }
    enum ph_error error = api_begin_read(call, diag, &store);
    for (size_t index = 0; error == PH_OK && index < count; index++) {
        error = application_resolve(store, call->principal.org, names[index], diag, &ids[found]);
        if (error == PH_OK) {
            found++;
        } else if (error == PH_NOT_FOUND) {
            unresolved[task->unresolved_count++] = names[index];
            error = PH_OK;
        }
    }
    if (error == PH_OK && found == 0) {
        error = diag_set(diag, PH_INVALID, "body.app_ids", "none of the applications is known");
    }
    if (error != PH_OK) {
        return error;
    }
    task->unresolved = unresolved;
    task->row.parameters = write_ids(call, ids, found);
    return task->row.parameters.ptr == NULL ? api_no_memory(diag) : PH_OK;
}

enum ph_error api_statistics_applications(struct api_call *call, struct diag *diag)
{
    struct task_job *task = new_job(call, TASK_APPLICATION_STATS, diag);
    if (task == NULL) {
        return PH_NO_MEMORY;
    }
    struct input input;
    struct slice *names;
    size_t count;
    task->has_unresolved = true;
    input_open(&input, http_body(call->request), call->arena, diag);
    (void)input_time(&input, "since", INPUT_REQUIRED, &task->row.since_us);
    (void)input_time(&input, "until", INPUT_REQUIRED, &task->row.until_us);
    enum input_state has_names = input_strings(&input, "appIds", INPUT_OPTIONAL, "app_ids",
                                               APPLICATIONS_MAX, &names, &count);
    if (task->row.since_us > task->row.until_us) {
        input_refuse(&input, "since", "must not be later than `until`");
    }
    enum ph_error error = input_end(&input);
    if (error == PH_OK && has_names == INPUT_VALUE && count > 0) {
        error = resolve(call, task, names, count, diag);
    }
    return error == PH_OK ? task_submit(call, task, diag) : error;
}
