/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event types from an OpenAPI document (svix-api spec section 12). The document is read and all of
 * it judged on the http thread; what differs from the store is found and written in steps, so that
 * what is published meanwhile does not wait for ten thousand of them.
 */
#include <jansson.h>

#include "api/api_int.h"
#include "api/import_openapi.h"
#include "api/input.h"
#include "api/stepped.h"
#include "api/yaml_json.h"
#include "store/event_type.h"

#define DOCUMENT_ARENA_BYTES ((size_t)32 * 1024 * 1024)

struct import_job {
    struct stepped_job stepped;
    struct arena arena; /* of the items */
    struct import_item *items;
    size_t count;
    bool *is_modified;   /* for each item */
    struct slice *names; /* of the items, sorted */
    bool replaces_all;
};

static struct import_job *job_of(struct api_job *job)
{
    return PH_CONTAINER_OF(job, struct import_job, stepped.job);
}

/* --- the document ----------------------------------------------------------------------------- */

static enum ph_error load_json(struct slice text, const char *field, struct diag *diag,
                               json_t **ret_document)
{
    json_error_t reason;
    *ret_document = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &reason);
    if (*ret_document == NULL) {
        return diag_set(diag, PH_INVALID, field, "line %d: %s", reason.line, reason.text);
    }
    return PH_OK;
}

/* JSON or YAML. Most JSON is YAML, but what is meant as JSON is told what is wrong with it as such.
 */
static enum ph_error load_raw(struct slice text, struct diag *diag, json_t **ret_document)
{
    const char *field = "body.spec_raw";
    struct slice trimmed = slice_trim(text);
    if (trimmed.len > 0 && trimmed.ptr[0] == '{') {
        struct diag as_json;
        if (load_json(text, field, &as_json, ret_document) == PH_OK ||
            yaml_to_json(text, field, diag, ret_document) == PH_OK) {
            return PH_OK;
        }
        *diag = as_json;
        return diag->error;
    }
    return yaml_to_json(text, field, diag, ret_document);
}

/* Types that hold payloads against their schema go on doing it, so it has to be one that works. */
static enum ph_error verify_schemas(struct api_call *call, const struct import_job *job,
                                    const char *field, struct diag *diag)
{
    enum ph_error error = PH_OK;
    for (size_t index = 0; error == PH_OK && index < job->count; index++) {
        bool is_checked;
        struct diag reason;
        struct slice name = job->items[index].name;
        error = payload_is_checked(call, name, diag, &is_checked);
        if (error == PH_OK && is_checked &&
            payload_schemas_verify(job->items[index].schemas, field, &reason) != PH_OK) {
            error = diag_set(diag, reason.error, field, "event type %.*s: %.180s", SLICE_ARG(name),
                             reason.text);
        }
    }
    return error;
}

static enum ph_error read_body(struct api_call *call, struct import_job *job, bool *ret_is_dry,
                               struct diag *diag)
{
    struct input input;
    struct slice spec;
    struct slice raw;
    input_open(&input, http_body(call->request), call->arena, diag);
    (void)input_bool(&input, "dryRun", INPUT_OPTIONAL, ret_is_dry);
    (void)input_bool(&input, "replaceAll", INPUT_OPTIONAL, &job->replaces_all);
    bool has_spec = input_raw(&input, "spec", INPUT_OPTIONAL, SCAN_OBJECT, &spec) == INPUT_VALUE;
    bool has_raw = input_string(&input, "specRaw", INPUT_OPTIONAL, "spec_raw", &raw) == INPUT_VALUE;
    enum ph_error error = input_end(&input);
    if (error == PH_OK && has_spec == has_raw) {
        error = diag_set(diag, PH_BAD_REQUEST, NULL, "exactly one of spec and specRaw is needed");
    }
    if (error != PH_OK) {
        return error;
    }
    json_t *document;
    error =
        has_spec ? load_json(spec, "body.spec", diag, &document) : load_raw(raw, diag, &document);
    if (error != PH_OK) {
        return error;
    }
    const char *field = has_spec ? "body.spec" : "body.spec_raw";
    error = import_openapi(document, field, &job->arena, diag, &job->items, &job->count);
    json_decref(document);
    return error == PH_OK ? verify_schemas(call, job, field, diag) : error;
}

/* --- what differs from the store -------------------------------------------------------------- */

static bool is_same(struct slice left, struct slice right)
{
    return (left.ptr == NULL) == (right.ptr == NULL) && slice_equal(left, right);
}

static bool is_unchanged(const struct import_item *item, const struct event_type_row *row)
{
    return !row->is_archived && row->is_deprecated == item->is_deprecated &&
           is_same(row->description, item->description) && is_same(row->schemas, item->schemas) &&
           is_same(row->feature_flags, item->feature_flags) &&
           is_same(row->group_name, item->group_name);
}

/* The stored row, in the arena; *ret_is_new when there is none. */
static enum ph_error find_stored(struct api_call *call, struct store *store,
                                 const struct import_item *item, struct arena *arena,
                                 struct diag *diag, struct event_type_row *ret_row,
                                 bool *ret_is_new)
{
    enum ph_error error =
        event_type_find(store, call->principal.org, item->name, arena, diag, ret_row);
    *ret_is_new = error == PH_NOT_FOUND;
    return *ret_is_new ? PH_OK : error;
}

static void put_item(const struct import_item *item, struct event_type_row *row)
{
    row->description = item->description;
    /* Only what was there all the time was looked at by verify_schemas. */
    row->validates_payload = row->validates_payload && !row->is_archived;
    row->is_archived = false;
    row->is_deprecated = item->is_deprecated;
    row->schemas = item->schemas;
    row->feature_flags = item->feature_flags;
    row->group_name = item->group_name;
}

static enum ph_error save_item(struct import_job *job, struct writer_txn *txn, size_t index,
                               struct arena *arena, struct diag *diag)
{
    const struct import_item *item = &job->items[index];
    struct event_type_row row;
    bool is_new;
    enum ph_error error =
        find_stored(job->stepped.job.call, txn->store, item, arena, diag, &row, &is_new);
    if (error != PH_OK) {
        return error;
    }
    job->is_modified[index] = is_new || !is_unchanged(item, &row);
    if (!job->is_modified[index]) {
        return PH_OK;
    }
    if (is_new) {
        row = (struct event_type_row){
            .id = writer_txn_new_id(txn),
            .org = job->stepped.job.call->principal.org,
            .name = item->name,
            .created_at_us = txn->now_us,
        };
    }
    row.updated_at_us = txn->now_us;
    put_item(item, &row);
    return is_new ? event_type_insert(txn->store, &row, diag)
                  : event_type_update(txn->store, &row, diag);
}

static int compare_names(const void *left, const void *right)
{
    const struct slice *a = left;
    const struct slice *b = right;
    return slice_compare(*a, *b);
}

static bool is_in_document(void *context, struct slice name)
{
    const struct import_job *job = context;
    return job->count > 0 &&
           bsearch(&name, job->names, job->count, sizeof name, compare_names) != NULL;
}

/* What the transaction needs beside the items. */
static enum ph_error prepare(struct import_job *job, struct diag *diag)
{
    job->is_modified = arena_calloc(&job->arena, job->count + 1, sizeof *job->is_modified);
    job->names = arena_calloc(&job->arena, job->count + 1, sizeof *job->names);
    if (job->is_modified == NULL || job->names == NULL) {
        return api_no_memory(diag);
    }
    for (size_t index = 0; index < job->count; index++) {
        job->names[index] = job->items[index].name;
    }
    qsort(job->names, job->count, sizeof *job->names, compare_names);
    return PH_OK;
}

/* --- the answer ------------------------------------------------------------------------------- */

static void write_item(struct json_out *out, const struct import_item *item)
{
    const struct slice none = SLICE_LITERAL("null");
    json_out_begin_object(out);
    json_out_member_string(out, "name", item->name);
    json_out_member_string(out, "description", item->description);
    json_out_member_raw(out, "schemas", item->schemas.ptr == NULL ? none : item->schemas);
    json_out_member_bool(out, "deprecated", item->is_deprecated);
    json_out_member_string(out, "groupName", item->group_name);
    json_out_member_raw(out, "featureFlags",
                        item->feature_flags.ptr == NULL ? none : item->feature_flags);
    json_out_end_object(out);
}

/* `modified` is what was done, `to_modify` what a dry run leaves to be done. */
static void write_answer(struct json_out *out, const struct import_job *job, bool is_dry)
{
    json_out_begin_object(out);
    json_out_key(out, "data");
    json_out_begin_object(out);
    json_out_key(out, "modified");
    json_out_begin_array(out);
    for (size_t index = 0; index < job->count && !is_dry; index++) {
        if (job->is_modified[index]) {
            json_out_string(out, job->items[index].name);
        }
    }
    json_out_end_array(out);
    if (is_dry) {
        json_out_key(out, "to_modify");
        json_out_begin_array(out);
        for (size_t index = 0; index < job->count; index++) {
            if (job->is_modified[index]) {
                write_item(out, &job->items[index]);
            }
        }
        json_out_end_array(out);
    }
    json_out_end_object(out);
    json_out_end_object(out);
}

/* The items first, then the others: its position goes to the number of items. */
static enum ph_error run_step(struct stepped_job *stepped, struct writer_txn *txn,
                              struct diag *diag)
{
    struct import_job *job = PH_CONTAINER_OF(stepped, struct import_job, stepped);
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    enum ph_error error = PH_OK;
    if (stepped->position == job->count && job->replaces_all) {
        return event_type_archive_others(txn->store, stepped->job.call->principal.org, txn->now_us,
                                         is_in_document, job, STEPPED_ROWS_MAX, diag,
                                         &stepped->has_more);
    }
    size_t bytes = 0;
    while (error == PH_OK && stepped->next < job->count && bytes < STEPPED_BYTES_MAX &&
           stepped->next - stepped->position < STEPPED_ROWS_MAX) {
        arena_reset(&arena);
        bytes += job->items[stepped->next].schemas.len;
        error = save_item(job, txn, stepped->next++, &arena, diag);
    }
    stepped->has_more = stepped->next < job->count || job->replaces_all;
    return error;
}

static enum ph_error run_answer(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    (void)txn;
    (void)diag;
    write_answer(&job->answer.out, job_of(job), false);
    return PH_OK;
}

static enum ph_error run_dry(struct api_call *call, struct import_job *job, struct diag *diag,
                             struct api_answer *answer)
{
    struct store *store;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    enum ph_error error = api_begin_read(call, diag, &store);
    for (size_t index = 0; error == PH_OK && index < job->count; index++) {
        struct event_type_row row;
        bool is_new;
        arena_reset(&arena);
        error = find_stored(call, store, &job->items[index], &arena, diag, &row, &is_new);
        job->is_modified[index] =
            error == PH_OK && (is_new || !is_unchanged(&job->items[index], &row));
    }
    if (error == PH_OK) {
        write_answer(&answer->out, job, true);
    }
    return error;
}

static void end_import(struct api_job *job)
{
    arena_done(&job_of(job)->arena);
}

enum ph_error api_event_type_import(struct api_call *call, struct diag *diag)
{
    struct import_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    bool is_dry;
    arena_init(&job->arena, DOCUMENT_ARENA_BYTES);
    job->stepped.job.ended = end_import;
    job->stepped.job.committed = payload_types_changed;
    enum ph_error error = read_body(call, job, &is_dry, diag);
    if (error == PH_OK) {
        error = prepare(job, diag);
    }
    if (error == PH_OK && !is_dry) {
        return stepped_submit(call, &job->stepped, run_step, run_answer);
    }
    struct api_answer answer;
    api_answer_init(&answer);
    if (error == PH_OK) {
        error = run_dry(call, job, diag, &answer);
    }
    arena_done(&job->arena);
    if (error == PH_OK) {
        api_answer_send(call, 200, &answer);
    }
    buf_done(&answer.body);
    return error;
}
