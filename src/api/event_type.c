/* SPDX-License-Identifier: Apache-2.0 */
/* Event types (svix-api spec section 8). */
#include "api/event_type.h"

#include <jansson.h>

#include "api/api_int.h"
#include "api/paging.h"
#include "core/name.h"

struct event_type_job {
    struct api_job job;
    struct event_type_input given;
    bool is_expunge;
};

static struct event_type_job *job_of(struct api_job *job)
{
    return PH_CONTAINER_OF(job, struct event_type_job, job);
}

/* An application token sees types without a flag, and those whose flag it has. */
bool event_type_is_visible(const struct api_call *call, struct slice feature_flags)
{
    if (call->principal.application_id == 0 || feature_flags.ptr == NULL) {
        return true;
    }
    json_t *array = json_loadb(feature_flags.ptr, feature_flags.len, 0, NULL);
    bool is_visible = json_array_size(array) == 0;
    for (size_t index = 0; !is_visible && index < json_array_size(array); index++) {
        const char *flag = json_string_value(json_array_get(array, index));
        for (size_t each = 0; each < call->principal.feature_flag_count; each++) {
            is_visible = is_visible || slice_equal_text(call->principal.feature_flags[each], flag);
        }
    }
    json_decref(array);
    return is_visible;
}

/* Event types are listed by name, so the iterator is a name. */
static enum ph_error read_page(struct api_call *call, struct diag *diag,
                               struct event_type_page *ret_page)
{
    struct event_type_page page = {0};
    enum ph_error error = paging_read_limit(call->request, diag, &page.limit);
    if (error == PH_OK) {
        error = query_bool(call->request, "include_archived", false, diag, &page.with_archived);
    }
    if (error == PH_OK) {
        error = query_bool(call->request, "with_content", false, diag, &page.with_schemas);
    }
    struct slice iterator = http_query(call->request, "iterator", 0);
    if (error == PH_OK && iterator.len > 0) {
        page.is_descending = iterator.ptr[0] == '-';
        struct slice name = iterator;
        if (page.is_descending) {
            name.ptr++;
            name.len--;
        }
        error = name_check_event_type(name, "query.iterator", diag);
        *(page.is_descending ? &page.upper : &page.lower) = name;
    }
    if (error == PH_OK) {
        *ret_page = page;
    }
    return error;
}

static void write_page(struct api_call *call, const struct event_type_page *page,
                       struct event_type_row *rows, size_t count, bool has_more)
{
    const struct id_page direction = {.is_reversed = page->is_descending};
    paging_arrange(&direction, rows, sizeof rows[0], count);
    struct api_answer answer;
    api_answer_init(&answer);
    paging_begin_list(&answer.out);
    for (size_t index = 0; index < count; index++) {
        if (event_type_is_visible(call, rows[index].feature_flags)) {
            event_type_write(&answer.out, &rows[index]);
        }
    }
    paging_end_list(&answer.out, count == 0 ? SLICE_NONE : rows[0].name,
                    count == 0 ? SLICE_NONE : rows[count - 1].name, !has_more);
    api_answer_send(call, 200, &answer);
}

enum ph_error api_event_type_list(struct api_call *call, struct diag *diag)
{
    struct event_type_page page;
    struct store *store;
    size_t count;
    bool has_more;
    enum ph_error error = read_page(call, diag, &page);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error != PH_OK) {
        return error;
    }
    struct event_type_row *rows = arena_calloc(call->arena, page.limit, sizeof *rows);
    if (rows == NULL) {
        return api_no_memory(diag);
    }
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    error =
        event_type_page(store, call->principal.org, &page, &arena, diag, rows, &count, &has_more);
    if (error == PH_OK) {
        write_page(call, &page, rows, count, has_more);
    }
    return error;
}

enum ph_error api_event_type_get(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct event_type_row row;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error =
            event_type_find(store, call->principal.org,
                            http_param(call->request, "event_type_name"), call->arena, diag, &row);
    }
    if (error == PH_OK && !event_type_is_visible(call, row.feature_flags)) {
        error = diag_set(diag, PH_NOT_FOUND, NULL, "Entity not found");
    }
    if (error == PH_OK) {
        struct api_answer answer;
        api_answer_init(&answer);
        event_type_write(&answer.out, &row);
        api_answer_send(call, 200, &answer);
    }
    return error;
}

/* --- writes ------------------------------------------------------------------------------------
 */

/*
 * Payloads cannot be held against a schema that does not compile. On the http thread, as compiling
 * may take its time: who changes the other half at the same moment has messages refused until the
 * schema is mended.
 */
static enum ph_error verify_schemas(struct api_call *call, const struct event_type_job *job,
                                    bool is_patch, struct diag *diag)
{
    struct event_type_row row = job->given.row;
    struct event_type_row stored;
    struct store *store;
    enum ph_error error = PH_OK;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    if (job->given.validates_payload == INPUT_ABSENT || is_patch) {
        error = api_begin_read(call, diag, &store);
        if (error == PH_OK) {
            error = event_type_find(store, call->principal.org,
                                    http_param(call->request, "event_type_name"), &arena, diag,
                                    &stored);
        }
        if (error == PH_NOT_FOUND) {
            return PH_OK; /* for the writer to say, and a new one does not validate */
        }
        if (error == PH_OK) {
            event_type_input_merge(&job->given, &stored, is_patch, &row);
        }
    }
    if (error == PH_OK && row.validates_payload) {
        error = payload_schemas_verify(row.schemas, "body.schemas", diag);
    }
    return error;
}

static void answer_row(struct api_job *job, int status, const struct event_type_row *row)
{
    job->status = status;
    event_type_write(&job->answer.out, row);
}

static enum ph_error insert(struct api_job *job, struct writer_txn *txn, struct slice name,
                            struct diag *diag)
{
    struct event_type_row row = job_of(job)->given.row;
    row.id = writer_txn_new_id(txn);
    row.org = job->call->principal.org;
    row.name = name;
    row.created_at_us = txn->now_us;
    row.updated_at_us = txn->now_us;
    enum ph_error error = event_type_insert(txn->store, &row, diag);
    if (error == PH_OK) {
        answer_row(job, 201, &row);
    }
    return error;
}

/* Overwrites a stored type with what the body gave. */
static enum ph_error overwrite(struct api_job *job, struct writer_txn *txn, int status,
                               bool is_patch, const struct event_type_row *stored,
                               struct diag *diag)
{
    struct event_type_row row;
    event_type_input_merge(&job_of(job)->given, stored, is_patch, &row);
    row.updated_at_us = txn->now_us;
    enum ph_error error = event_type_update(txn->store, &row, diag);
    if (error == PH_OK) {
        answer_row(job, status, &row);
    }
    return error;
}

static enum ph_error find(struct api_job *job, struct writer_txn *txn, struct slice name,
                          struct diag *diag, struct event_type_row *ret_row)
{
    return event_type_find(txn->store, job->call->principal.org, name, job->call->arena, diag,
                           ret_row);
}

static enum ph_error submit(struct api_call *call, struct event_type_job *job,
                            enum ph_error (*run)(struct api_job *job, struct writer_txn *txn,
                                                 struct diag *diag),
                            struct diag *diag)
{
    job->job.committed = payload_types_changed;
    return api_submit(call, &job->job, run, diag);
}

static enum ph_error run_create(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct slice name = job_of(job)->given.row.name;
    struct event_type_row stored;
    enum ph_error error = find(job, txn, name, diag, &stored);
    if (error == PH_NOT_FOUND) {
        return insert(job, txn, name, diag);
    }
    if (error == PH_OK && !stored.is_archived) {
        error = diag_set(diag, PH_CONFLICT, NULL, "An event_type with this name already exists");
        diag_code(diag, "event_type_exists");
    }
    if (error == PH_OK) {
        stored.validates_payload = false; /* nothing of the former life stays */
        error = overwrite(job, txn, 201, false, &stored, diag);
    }
    return error;
}

enum ph_error api_event_type_create(struct api_call *call, struct diag *diag)
{
    struct event_type_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    struct input input;
    input_open(&input, http_body(call->request), call->arena, diag);
    event_type_input_name(&input, &job->given);
    event_type_input_read(&input, false, &job->given);
    enum ph_error error = input_end(&input);
    if (error == PH_OK && job->given.row.validates_payload) {
        error = payload_schemas_verify(job->given.row.schemas, "body.schemas", diag);
    }
    return error != PH_OK ? error : submit(call, job, run_create, diag);
}

static enum ph_error run_put(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct slice name = http_param(job->call->request, "event_type_name");
    struct event_type_row stored;
    enum ph_error error = find(job, txn, name, diag, &stored);
    if (error == PH_NOT_FOUND) {
        return insert(job, txn, name, diag);
    }
    return error != PH_OK ? error : overwrite(job, txn, 200, false, &stored, diag);
}

enum ph_error api_event_type_put(struct api_call *call, struct diag *diag)
{
    struct event_type_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    struct input input;
    input_open(&input, http_body(call->request), call->arena, diag);
    event_type_input_read(&input, false, &job->given);
    enum ph_error error = input_end(&input);
    if (error == PH_OK) {
        error = name_check_event_type(http_param(call->request, "event_type_name"),
                                      "path.event_type_name", diag);
    }
    if (error == PH_OK) {
        error = verify_schemas(call, job, false, diag);
    }
    return error != PH_OK ? error : submit(call, job, run_put, diag);
}

static enum ph_error run_patch(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct event_type_row stored;
    enum ph_error error =
        find(job, txn, http_param(job->call->request, "event_type_name"), diag, &stored);
    return error != PH_OK ? error : overwrite(job, txn, 200, true, &stored, diag);
}

enum ph_error api_event_type_patch(struct api_call *call, struct diag *diag)
{
    struct event_type_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    struct input input;
    input_open(&input, http_body(call->request), call->arena, diag);
    event_type_input_read(&input, true, &job->given);
    enum ph_error error = input_end(&input);
    bool concerns_schemas =
        job->given.schemas != INPUT_ABSENT || job->given.validates_payload != INPUT_ABSENT;
    if (error == PH_OK && concerns_schemas) {
        error = verify_schemas(call, job, true, diag);
    }
    return error != PH_OK ? error : submit(call, job, run_patch, diag);
}

/* Archives, or removes for good. */
static enum ph_error run_delete(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct event_type_row row;
    enum ph_error error =
        find(job, txn, http_param(job->call->request, "event_type_name"), diag, &row);
    if (error != PH_OK) {
        return error;
    }
    job->status = 204;
    if (job_of(job)->is_expunge) {
        return event_type_delete(txn->store, row.id, diag);
    }
    row.is_archived = true;
    row.updated_at_us = txn->now_us;
    return event_type_update(txn->store, &row, diag);
}

enum ph_error api_event_type_delete(struct api_call *call, struct diag *diag)
{
    struct event_type_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    enum ph_error error = query_bool(call->request, "expunge", false, diag, &job->is_expunge);
    return error != PH_OK ? error : submit(call, job, run_delete, diag);
}
