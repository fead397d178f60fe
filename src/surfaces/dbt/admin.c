/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Admin API as receivers of webhooks read it (versions 2 and 3): runs, and the jobs,
 * environments and projects that runs named. Parameters that we do not know are ignored, as there.
 */
#include "base/clock.h"
#include "core/scan.h"
#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/delivery.h"
#include "surfaces/dbt/run_answer.h"

#define LIST_LIMIT_DEFAULT 100
#define NUMBERS_MAX 100 /* of one list in a query */
#define NUMBERS_BYTES_MAX 4096
#define RANGE_ITEMS 2
#define PATTERN_BYTES_MAX 1024

/* --- parameters ------------------------------------------------------------------------------- */

/* One item of a list in a query: `[1,2]`, `["a","b"]` or `a,b`. False at the end. */
static bool next_item(struct slice *rest, struct slice *ret_item)
{
    while (slice_next(rest, ',', ret_item)) {
        struct slice item = slice_trim(*ret_item);
        while (item.len > 0 && strchr("[\"' ", item.ptr[0]) != NULL) {
            item = (struct slice){item.ptr + 1, item.len - 1};
        }
        while (item.len > 0 && strchr("]\"' ", item.ptr[item.len - 1]) != NULL) {
            item.len--;
        }
        if (item.len > 0) {
            *ret_item = item;
            return true;
        }
    }
    return false;
}

/* Appends the numbers of every parameter `name` as `1,22,`. */
static enum ph_error add_numbers(struct http_request *request, const char *name,
                                 bool (*read)(struct slice item, int64_t *ret_number),
                                 struct buf *list, struct diag *diag)
{
    struct slice text;
    size_t count = 0;
    for (size_t n = 0; (text = http_query(request, name, n)).ptr != NULL; n++) {
        struct slice item;
        while (next_item(&text, &item)) {
            int64_t number;
            if (!read(item, &number)) {
                return diag_set(diag, PH_BAD_REQUEST, name,
                                "expected an integer or a list of them");
            }
            if (++count > NUMBERS_MAX) {
                return diag_set(diag, PH_BAD_REQUEST, name, "must have at most %d items",
                                NUMBERS_MAX);
            }
            buf_append_format(list, "%lld,", (long long)number);
        }
    }
    return PH_OK;
}

static bool read_id(struct slice item, int64_t *ret_number)
{
    return slice_to_int64(item, ret_number);
}

/* A code of the Admin API, or its name. */
static bool read_status(struct slice item, int64_t *ret_number)
{
    if (slice_equal_nocase(item, SLICE_LITERAL("queued"))) {
        *ret_number = DBT_RUN_QUEUED;
    } else if (slice_equal_nocase(item, SLICE_LITERAL("starting"))) {
        *ret_number = DBT_RUN_STARTING;
    } else if (!slice_to_int64(item, ret_number)) {
        *ret_number = dbt_status_code(item);
    }
    return *ret_number > 0;
}

/* ",1,22," of `name` and `name`__in; SLICE_NONE when neither is there. */
static enum ph_error read_list(struct api_call *call, const char *name, const char *name_in,
                               bool (*read)(struct slice item, int64_t *ret_number),
                               struct diag *diag, struct slice *ret_list)
{
    BUF_AUTO struct buf list;
    buf_init(&list, NUMBERS_BYTES_MAX);
    buf_append_text(&list, ",");
    enum ph_error error = add_numbers(call->request, name, read, &list, diag);
    if (error == PH_OK) {
        error = add_numbers(call->request, name_in, read, &list, diag);
    }
    *ret_list = SLICE_NONE;
    if (error != PH_OK || list.len == 1) {
        return error;
    }
    *ret_list = list.failed ? SLICE_NONE : dbt_copy(call->arena, buf_slice(&list));
    return ret_list->ptr == NULL ? api_no_memory(diag) : PH_OK;
}

/* RFC 3339, or without a zone: UTC. */
static bool read_time(struct slice text, int64_t *ret_wall_us)
{
    char with_zone[48];
    if (clock_parse(text, ret_wall_us)) {
        return true;
    }
    int length = snprintf(with_zone, sizeof with_zone, "%.*sZ", text.len < 40 ? (int)text.len : 40,
                          text.ptr);
    return clock_parse((struct slice){with_zone, (size_t)length}, ret_wall_us);
}

/* `["…","…"]`: from and to. */
static enum ph_error read_range(struct http_request *request, const char *name, struct diag *diag,
                                int64_t *ret_from_us, int64_t *ret_to_us)
{
    struct slice text = http_query(request, name, 0);
    struct slice item;
    int64_t times[RANGE_ITEMS] = {0};
    size_t count = 0;
    if (text.ptr == NULL) {
        return PH_OK;
    }
    while (next_item(&text, &item)) {
        if (count == RANGE_ITEMS || !read_time(item, &times[count++])) {
            return diag_set(diag, PH_BAD_REQUEST, name, "expected two times");
        }
    }
    if (count != RANGE_ITEMS) {
        return diag_set(diag, PH_BAD_REQUEST, name, "expected two times");
    }
    *ret_from_us = times[0];
    *ret_to_us = times[1];
    return PH_OK;
}

static enum ph_error read_order(struct http_request *request, struct diag *diag,
                                struct dbt_run_query *query)
{
    static const struct {
        const char *name;
        enum dbt_run_order order;
    } orders[] = {
        {"id", DBT_RUN_BY_AGE},
        {"created_at", DBT_RUN_BY_AGE},
        {"started_at", DBT_RUN_BY_STARTED},
        {"finished_at", DBT_RUN_BY_FINISHED},
        {"updated_at", DBT_RUN_BY_UPDATED},
    };
    struct slice text = http_query(request, "order_by", 0);
    if (text.len == 0) {
        return PH_OK;
    }
    query->is_descending = text.ptr[0] == '-';
    if (query->is_descending) {
        text = (struct slice){text.ptr + 1, text.len - 1};
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(orders); index++) {
        if (slice_equal_text(text, orders[index].name)) {
            query->order = orders[index].order;
            return PH_OK;
        }
    }
    return diag_set(diag, PH_BAD_REQUEST, "order_by",
                    "value must be one of id, created_at, started_at, finished_at, updated_at, "
                    "with or without - before it");
}

/* What is not known is ignored: trigger is always there, others we have not. */
static struct dbt_related read_related(struct http_request *request)
{
    struct dbt_related related = {0};
    struct slice text;
    for (size_t n = 0; (text = http_query(request, "include_related", n)).ptr != NULL; n++) {
        struct slice item;
        while (next_item(&text, &item)) {
            related.steps = related.steps || slice_equal_text(item, "run_steps");
            related.job = related.job || slice_equal_text(item, "job");
            related.environment = related.environment || slice_equal_text(item, "environment");
        }
    }
    return related;
}

/* --- runs ------------------------------------------------------------------------------------- */

enum ph_error dbt_run_get(struct api_call *call, struct diag *diag)
{
    const struct dbt_related related = read_related(call->request);
    struct store *store;
    struct dbt_run run;
    int64_t number;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    enum ph_error error = dbt_path_number(call, "run_id", diag, &number);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = dbt_run_find(store, dbt_caller_of(call)->account.number, number, related.steps,
                             &arena, diag, &run);
    }
    if (error != PH_OK) {
        return error;
    }
    struct api_answer answer;
    api_answer_init(&answer);
    dbt_answer_begin(&answer.out);
    error = dbt_run_write(&answer.out, &run, &related, clock_wall_us(), &arena, diag);
    dbt_answer_end_success(&answer.out, 200);
    if (error == PH_OK) {
        api_answer_send(call, 200, &answer);
    } else {
        buf_done(&answer.body);
    }
    return error;
}

static enum ph_error read_query(struct api_call *call, struct diag *diag,
                                struct dbt_run_query *query)
{
    struct http_request *request = call->request;
    enum ph_error error = read_list(call, "job_definition_id", "job_definition_id__in", read_id,
                                    diag, &query->job_ids);
    if (error == PH_OK) {
        error = read_list(call, "environment_id", "environment_id__in", read_id, diag,
                          &query->environment_ids);
    }
    if (error == PH_OK) {
        error = read_list(call, "project_id", "project_id__in", read_id, diag, &query->project_ids);
    }
    if (error == PH_OK) {
        error = read_list(call, "status", "status__in", read_status, diag, &query->statuses);
    }
    if (error == PH_OK) {
        error = read_range(request, "created_at__range", diag, &query->created_from_us,
                           &query->created_to_us);
    }
    if (error == PH_OK) {
        error = read_range(request, "finished_at__range", diag, &query->finished_from_us,
                           &query->finished_to_us);
    }
    return error == PH_OK ? read_order(request, diag, query) : error;
}

static enum ph_error answer_runs(struct api_call *call, const struct dbt_page *page,
                                 const struct dbt_related *related, const struct dbt_run *rows,
                                 size_t count, int64_t total, struct diag *diag)
{
    struct api_answer answer;
    enum ph_error error = PH_OK;
    int64_t now_us = clock_wall_us();
    api_answer_init(&answer);
    dbt_answer_begin(&answer.out);
    json_out_begin_array(&answer.out);
    for (size_t index = 0; error == PH_OK && index < count; index++) {
        ARENA_AUTO struct arena arena;
        arena_init(&arena, DBT_REPORT_BYTES_MAX);
        error = dbt_run_write(&answer.out, &rows[index], related, now_us, &arena, diag);
    }
    json_out_end_array(&answer.out);
    dbt_answer_end_list(&answer.out, page, count, total);
    if (error == PH_OK) {
        api_answer_send(call, 200, &answer);
    } else {
        buf_done(&answer.body);
    }
    return error;
}

enum ph_error dbt_runs_list(struct api_call *call, struct diag *diag)
{
    const struct dbt_related related = read_related(call->request);
    struct dbt_run_query query = {.account = dbt_caller_of(call)->account.number,
                                  .with_steps = related.steps};
    struct dbt_page page;
    struct store *store;
    struct dbt_run *rows = NULL;
    size_t count;
    int64_t total;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    enum ph_error error = dbt_page_read(call->request, LIST_LIMIT_DEFAULT, diag, &page);
    if (error == PH_OK) {
        error = read_query(call, diag, &query);
    }
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error != PH_OK) {
        return error;
    }
    query.offset = page.offset;
    query.limit = page.limit;
    rows = arena_calloc(&arena, (size_t)page.limit, sizeof *rows);
    if (rows == NULL) {
        return api_no_memory(diag);
    }
    error = dbt_run_page(store, &query, &arena, diag, rows, &count, &total);
    if (error == PH_NO_MEMORY && related.steps) {
        error = diag_set(diag, PH_TOO_LARGE, NULL,
                         "the steps of so many runs are too large, ask for fewer (limit)");
    }
    return error == PH_OK ? answer_runs(call, &page, &related, rows, count, total, diag) : error;
}

/* --- what runs name --------------------------------------------------------------------------- */

/* `%text%` for LIKE. SLICE_NONE when it is not asked for. */
static enum ph_error read_pattern(struct api_call *call, const char *name, struct diag *diag,
                                  struct slice *ret_pattern)
{
    struct slice text = http_query(call->request, name, 0);
    BUF_AUTO struct buf pattern;
    buf_init(&pattern, PATTERN_BYTES_MAX);
    *ret_pattern = SLICE_NONE;
    if (text.len == 0) {
        return PH_OK;
    }
    buf_append_text(&pattern, "%");
    for (size_t index = 0; index < text.len; index++) {
        if (strchr("%_!", text.ptr[index]) != NULL) {
            buf_append_byte(&pattern, '!');
        }
        buf_append_byte(&pattern, text.ptr[index]);
    }
    buf_append_text(&pattern, "%");
    if (pattern.failed) {
        return diag_set(diag, PH_BAD_REQUEST, name, "must have at most %d bytes",
                        PATTERN_BYTES_MAX / 2);
    }
    *ret_pattern = dbt_copy(call->arena, buf_slice(&pattern));
    return ret_pattern->ptr == NULL ? api_no_memory(diag) : PH_OK;
}

static enum ph_error read_named_query(struct api_call *call, bool is_in_project, struct diag *diag,
                                      struct dbt_named_query *query)
{
    enum ph_error error = read_list(call, "pk", "pk__in", read_id, diag, &query->numbers);
    if (error == PH_OK) {
        error = read_list(call, "environment_id", "environment_id__in", read_id, diag,
                          &query->environment_ids);
    }
    query->name = http_query(call->request, "name", 0);
    if (error == PH_OK) {
        error = read_pattern(call, "name__icontains", diag, &query->name_pattern);
    }
    if (error != PH_OK || !is_in_project) {
        return error != PH_OK ? error
                              : read_list(call, "project_id", "project_id__in", read_id, diag,
                                          &query->project_ids);
    }
    int64_t project;
    char text[32];
    error = dbt_path_number(call, "project_id", diag, &project);
    if (error == PH_OK) {
        (void)snprintf(text, sizeof text, ",%lld,", (long long)project);
        query->project_ids = dbt_copy(call->arena, slice_of(text));
    }
    return error;
}

static enum ph_error list_named(struct api_call *call, enum dbt_named_kind kind, bool is_in_project,
                                struct diag *diag)
{
    const int64_t account = dbt_caller_of(call)->account.number;
    struct dbt_named_query query = {.account = account, .kind = kind};
    struct dbt_page page;
    struct store *store;
    size_t count;
    int64_t total;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    enum ph_error error = dbt_page_read(call->request, LIST_LIMIT_DEFAULT, diag, &page);
    if (error == PH_OK) {
        error = read_named_query(call, is_in_project, diag, &query);
    }
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error != PH_OK) {
        return error;
    }
    query.offset = page.offset;
    query.limit = page.limit;
    struct dbt_named *rows = arena_calloc(&arena, (size_t)page.limit, sizeof *rows);
    if (rows == NULL) {
        return api_no_memory(diag);
    }
    error = dbt_named_page(store, &query, &arena, diag, rows, &count, &total);
    if (error == PH_OK && !dbt_caller_of(call)->sees_names) {
        count = 0;
        total = 0;
    }
    if (error != PH_OK) {
        return error;
    }
    struct api_answer answer;
    api_answer_init(&answer);
    dbt_answer_begin(&answer.out);
    json_out_begin_array(&answer.out);
    for (size_t index = 0; index < count; index++) {
        dbt_named_write(&answer.out, kind, account, &rows[index]);
    }
    json_out_end_array(&answer.out);
    dbt_answer_end_list(&answer.out, &page, count, total);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

enum ph_error dbt_projects_list(struct api_call *call, struct diag *diag)
{
    return list_named(call, DBT_PROJECT, false, diag);
}

enum ph_error dbt_jobs_list(struct api_call *call, struct diag *diag)
{
    return list_named(call, DBT_JOB, false, diag);
}

enum ph_error dbt_environments_list(struct api_call *call, struct diag *diag)
{
    return list_named(call, DBT_ENVIRONMENT, false, diag);
}

enum ph_error dbt_project_environments_list(struct api_call *call, struct diag *diag)
{
    return list_named(call, DBT_ENVIRONMENT, true, diag);
}

static enum ph_error get_named(struct api_call *call, enum dbt_named_kind kind,
                               const char *parameter, struct diag *diag)
{
    const int64_t account = dbt_caller_of(call)->account.number;
    struct store *store;
    struct dbt_named named;
    int64_t number;
    enum ph_error error = dbt_path_number(call, parameter, diag, &number);
    if (error == PH_OK && !dbt_caller_of(call)->sees_names) {
        error = dbt_not_found(diag);
    }
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = dbt_named_find(store, account, kind, number, call->arena, diag, &named);
    }
    if (error == PH_OK) {
        struct api_answer answer;
        api_answer_init(&answer);
        dbt_answer_begin(&answer.out);
        dbt_named_write(&answer.out, kind, account, &named);
        dbt_answer_end_success(&answer.out, 200);
        api_answer_send(call, 200, &answer);
    }
    return error;
}

enum ph_error dbt_project_get(struct api_call *call, struct diag *diag)
{
    return get_named(call, DBT_PROJECT, "project_id", diag);
}

enum ph_error dbt_job_get(struct api_call *call, struct diag *diag)
{
    return get_named(call, DBT_JOB, "job_id", diag);
}

enum ph_error dbt_environment_get(struct api_call *call, struct diag *diag)
{
    return get_named(call, DBT_ENVIRONMENT, "environment_id", diag);
}
