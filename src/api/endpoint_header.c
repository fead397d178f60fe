/* SPDX-License-Identifier: Apache-2.0 */
/* Custom headers of endpoints (svix-api spec section 7). */
#include <jansson.h>

#include "api/endpoint.h"
#include "core/header_rule.h"

#define DELETE_HEADERS_MAX HEADER_COUNT_MAX

static enum ph_error broken(struct diag *diag)
{
    return diag_set(diag, PH_STORE, "store", "the stored headers cannot be read");
}

enum ph_error api_endpoint_headers_get(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct endpoint_row row;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = endpoint_path_row(call, store, diag, &row);
    }
    if (error != PH_OK) {
        return error;
    }
    json_t *object = json_loadb(row.headers.ptr, row.headers.len, JSON_ALLOW_NUL, NULL);
    if (object == NULL) {
        return broken(diag);
    }
    const char *name;
    json_t *value;
    struct api_answer answer;
    api_answer_init(&answer);
    json_out_begin_object(&answer.out);
    json_out_key(&answer.out, "headers");
    json_out_begin_object(&answer.out);
    json_object_foreach(object, name, value)
    {
        if (!header_rule_is_sensitive(slice_of(name))) {
            json_out_member_text(&answer.out, name, json_string_value(value));
        }
    }
    json_out_end_object(&answer.out);
    json_out_key(&answer.out, "sensitive");
    json_out_begin_array(&answer.out);
    json_object_foreach(object, name, value)
    {
        if (header_rule_is_sensitive(slice_of(name))) {
            json_out_string(&answer.out, slice_of(name));
        }
    }
    json_out_end_array(&answer.out);
    json_out_end_object(&answer.out);
    json_decref(object);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

struct headers_job {
    struct api_job job;
    struct slice headers; /* JSON object text */
    bool is_patch;
    struct slice *deleted;
    size_t deleted_count;
};

/* Removes a name without regard to case. */
static void remove_name(json_t *object, struct slice name)
{
    const char *each;
    json_t *value;
    void *next;
    json_object_foreach_safe(object, next, each, value)
    {
        if (slice_equal_nocase(slice_of(each), name)) {
            (void)json_object_del(object, each);
        }
    }
}

/* The stored headers with the changes applied; `null` removes. */
static json_t *merge(const struct headers_job *job, struct slice stored)
{
    json_t *object = json_loadb(stored.ptr, stored.len, JSON_ALLOW_NUL, NULL);
    json_t *changes = json_loadb(job->headers.ptr, job->headers.len, JSON_ALLOW_NUL, NULL);
    const char *name;
    json_t *value;
    json_object_foreach(changes, name, value)
    {
        remove_name(object, slice_of(name));
        if (json_is_string(value)) {
            (void)json_object_set(object, name, value);
        }
    }
    for (size_t index = 0; index < job->deleted_count; index++) {
        remove_name(object, job->deleted[index]);
    }
    json_decref(changes);
    return object;
}

/* Several changes may each be small and yet add up. */
static enum ph_error check_sum(json_t *object, struct diag *diag)
{
    size_t bytes = 0;
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        bytes += strlen(name) + json_string_length(value);
    }
    if (json_object_size(object) > HEADER_COUNT_MAX || bytes > HEADER_BYTES_MAX) {
        return diag_set(diag, PH_INVALID, "body.headers",
                        "an endpoint has at most %d headers with %d bytes", HEADER_COUNT_MAX,
                        HEADER_BYTES_MAX);
    }
    return PH_OK;
}

static enum ph_error set_headers(struct headers_job *job, struct writer_txn *txn,
                                 struct endpoint_row *row, struct diag *diag)
{
    static const struct slice none = {"{}", 2};
    json_t *object = merge(job, job->is_patch ? row->headers : none);
    enum ph_error error = check_sum(object, diag);
    char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
    json_decref(object);
    if (text == NULL || error != PH_OK) {
        free(text);
        return error != PH_OK ? error : broken(diag);
    }
    row->headers = slice_of(text);
    row->updated_at_us = txn->now_us;
    error = endpoint_update(txn->store, row, diag);
    free(text);
    return error;
}

static enum ph_error run_set(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct headers_job *headers = PH_CONTAINER_OF(job, struct headers_job, job);
    struct endpoint_row row;
    enum ph_error error = endpoint_path_row(job->call, txn->store, diag, &row);
    if (error == PH_OK) {
        error = set_headers(headers, txn, &row, diag);
    }
    if (error == PH_OK) {
        error = endpoint_changed(txn, row.application_id, row.id, diag);
    }
    job->status = 204;
    return error;
}

static enum ph_error submit(struct api_call *call, bool is_patch, struct diag *diag)
{
    struct headers_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    job->is_patch = is_patch;
    struct input input;
    input_open(&input, http_body(call->request), call->arena, diag);
    endpoint_read_headers(&input, is_patch ? INPUT_OPTIONAL : INPUT_REQUIRED, is_patch,
                          &job->headers);
    if (is_patch) {
        (void)input_strings(&input, "deleteHeaders", INPUT_OPTIONAL, "delete_headers",
                            DELETE_HEADERS_MAX, &job->deleted, &job->deleted_count);
    }
    if (job->headers.ptr == NULL) {
        job->headers = SLICE_LITERAL("{}");
    }
    enum ph_error error = input_end(&input);
    return error != PH_OK ? error : api_submit(call, &job->job, run_set, diag);
}

enum ph_error api_endpoint_headers_put(struct api_call *call, struct diag *diag)
{
    return submit(call, false, diag);
}

enum ph_error api_endpoint_headers_patch(struct api_call *call, struct diag *diag)
{
    return submit(call, true, diag);
}
