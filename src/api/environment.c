/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An organisation's environment as one JSON document (svix-api spec section 12): its event types,
 * archived ones too. What an export gives, an import takes, here or elsewhere: all of it is judged
 * first, then written in steps.
 * Settings and connectors are the original's; there are none here.
 */
#include "api/api_int.h"
#include "api/event_type.h"
#include "api/stepped.h"
#include "base/clock.h"
#include "core/name.h"

#define ENVIRONMENT_VERSION 1
#define EVENT_TYPES_MAX 10000
/* So that what was exported is not too large to be imported. */
#define EXPORT_BYTES_MAX API_BATCH_BODY_MAX
#define PAGE_ROWS 250

/* --- export ----------------------------------------------------------------------------------- */

static enum ph_error too_large(struct diag *diag)
{
    enum ph_error error = diag_set(
        diag, PH_BAD_REQUEST, NULL,
        "an export has at most %d event types and %zu MiB: read them with GET /api/v1/event-type",
        EVENT_TYPES_MAX, EXPORT_BYTES_MAX / (1024 * 1024));
    diag_code(diag, "limit_reached");
    return error;
}

/* All of the organisation's event types into the open array of the answer. */
static enum ph_error write_event_types(struct api_call *call, struct store *store,
                                       struct api_answer *answer, struct diag *diag)
{
    struct event_type_row *rows = arena_calloc(call->arena, PAGE_ROWS, sizeof *rows);
    if (rows == NULL) {
        return api_no_memory(diag);
    }
    BUF_AUTO struct buf last_name;
    buf_init(&last_name, NAME_EVENT_TYPE_MAX);
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    size_t total = 0;
    for (bool has_more = true; has_more;) {
        const struct event_type_page page = {
            .lower = buf_slice(&last_name),
            .limit = PAGE_ROWS,
            .with_archived = true,
            .with_schemas = true,
        };
        size_t count;
        arena_reset(&arena);
        enum ph_error error = event_type_page(store, call->principal.org, &page, &arena, diag, rows,
                                              &count, &has_more);
        if (error != PH_OK) {
            return error;
        }
        for (size_t index = 0; index < count; index++) {
            event_type_write(&answer->out, &rows[index]);
        }
        total += count;
        if (total > EVENT_TYPES_MAX || answer->body.len > EXPORT_BYTES_MAX) {
            return too_large(diag);
        }
        if (count > 0) {
            buf_clear(&last_name);
            buf_append_slice(&last_name, rows[count - 1].name);
        }
    }
    return PH_OK;
}

enum ph_error api_environment_export(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct api_answer answer;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error != PH_OK) {
        return error;
    }
    api_answer_init(&answer);
    json_out_begin_object(&answer.out);
    json_out_member_int(&answer.out, "version", ENVIRONMENT_VERSION);
    json_out_member_time(&answer.out, "createdAt", clock_wall_us());
    json_out_key(&answer.out, "eventTypes");
    json_out_begin_array(&answer.out);
    error = write_event_types(call, store, &answer, diag);
    if (error != PH_OK) {
        buf_done(&answer.body);
        return error;
    }
    json_out_end_array(&answer.out);
    json_out_member_null(&answer.out, "settings");
    json_out_key(&answer.out, "connectors");
    json_out_begin_array(&answer.out);
    json_out_end_array(&answer.out);
    json_out_end_object(&answer.out);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

/* --- import ----------------------------------------------------------------------------------- */

struct import_job {
    struct stepped_job stepped;
    struct arena arena; /* of the event types */
    struct event_type_input *types;
    size_t count;
};

static struct import_job *job_of(struct api_job *job)
{
    return PH_CONTAINER_OF(job, struct import_job, stepped.job);
}

static void read_event_types(struct input *input, struct import_job *job)
{
    struct input_objects objects;
    if (input_objects_open(input, "eventTypes", INPUT_OPTIONAL, EVENT_TYPES_MAX, &objects) !=
        INPUT_VALUE) {
        return;
    }
    job->types = arena_calloc(&job->arena, objects.count, sizeof *job->types);
    if (job->types == NULL) {
        input_note(input, api_no_memory(input->diag));
        return;
    }
    while (input_objects_next(&objects)) {
        struct event_type_input *type = &job->types[job->count++];
        event_type_input_name(&objects.item, type);
        event_type_input_read(&objects.item, false, type);
    }
}

static int compare_names(const void *left, const void *right)
{
    const struct slice *a = left;
    const struct slice *b = right;
    return slice_compare(*a, *b);
}

/* Of two with one name it would not be clear which one counts. */
static void refuse_twins(struct input *input, struct import_job *job)
{
    struct slice *names = arena_calloc(&job->arena, job->count + 1, sizeof *names);
    if (names == NULL) {
        input_note(input, api_no_memory(input->diag));
        return;
    }
    for (size_t index = 0; index < job->count; index++) {
        names[index] = job->types[index].row.name;
    }
    qsort(names, job->count, sizeof *names, compare_names);
    for (size_t index = 1; index < job->count; index++) {
        if (slice_equal(names[index], names[index - 1])) {
            input_refuse(input, "eventTypes", "`%.*s` stands there twice", SLICE_ARG(names[index]));
            return;
        }
    }
}

static enum ph_error read_body(struct api_call *call, struct import_job *job, struct diag *diag)
{
    struct input input;
    struct input_objects connectors;
    struct slice settings;
    input_open(&input, http_body(call->request), &job->arena, diag);
    read_event_types(&input, job);
    if (input_end(&input) == PH_OK) {
        refuse_twins(&input, job);
    }
    /* Those of the original say how its own pages look. */
    (void)input_raw(&input, "settings", INPUT_OPTIONAL, SCAN_OBJECT, &settings);
    if (input_objects_open(&input, "connectors", INPUT_OPTIONAL, SIZE_MAX, &connectors) ==
            INPUT_VALUE &&
        connectors.count > 0) {
        input_refuse(&input, "connectors", "there are no connectors here: leave them out");
    }
    return input_end(&input);
}

/* As with a PUT of each: what holds payloads against its schema needs one that works. */
static enum ph_error verify_schemas(struct api_call *call, const struct import_job *job,
                                    struct diag *diag)
{
    enum ph_error error = PH_OK;
    for (size_t index = 0; error == PH_OK && index < job->count; index++) {
        const struct event_type_input *type = &job->types[index];
        bool is_checked = type->row.validates_payload;
        char field[INPUT_PATH_MAX];
        (void)snprintf(field, sizeof field, "body.eventTypes.[%zu].schemas", index);
        if (type->validates_payload == INPUT_ABSENT) {
            error = payload_is_checked(call, type->row.name, diag, &is_checked);
        }
        if (error == PH_OK && is_checked) {
            error = payload_schemas_verify(type->row.schemas, field, diag);
        }
    }
    return error;
}

static enum ph_error save(const struct api_job *job, struct writer_txn *txn,
                          const struct event_type_input *type, struct arena *arena,
                          struct diag *diag)
{
    struct slice org = job->call->principal.org;
    struct event_type_row stored;
    struct event_type_row row = type->row;
    enum ph_error error = event_type_find(txn->store, org, row.name, arena, diag, &stored);
    if (error == PH_OK) {
        /* Only what was active all the time was looked at by verify_schemas. */
        stored.validates_payload = stored.validates_payload && !stored.is_archived;
        event_type_input_merge(type, &stored, false, &row);
        row.updated_at_us = txn->now_us;
        return event_type_update(txn->store, &row, diag);
    }
    if (error == PH_NOT_FOUND) {
        row.id = writer_txn_new_id(txn);
        row.org = org;
        row.created_at_us = txn->now_us;
        row.updated_at_us = txn->now_us;
        error = event_type_insert(txn->store, &row, diag);
    }
    return error;
}

static enum ph_error run_step(struct stepped_job *stepped, struct writer_txn *txn,
                              struct diag *diag)
{
    const struct import_job *job = PH_CONTAINER_OF(stepped, struct import_job, stepped);
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    enum ph_error error = PH_OK;
    size_t bytes = 0;
    while (error == PH_OK && stepped->next < job->count && bytes < STEPPED_BYTES_MAX &&
           stepped->next - stepped->position < STEPPED_ROWS_MAX) {
        arena_reset(&arena);
        bytes += job->types[stepped->next].row.schemas.len;
        error = save(&stepped->job, txn, &job->types[stepped->next++], &arena, diag);
    }
    stepped->has_more = stepped->next < job->count;
    return error;
}

static enum ph_error run_answer(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    (void)txn;
    (void)diag;
    job->status = 204;
    return PH_OK;
}

static void end_import(struct api_job *job)
{
    arena_done(&job_of(job)->arena);
}

enum ph_error api_environment_import(struct api_call *call, struct diag *diag)
{
    struct import_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    /* Of a byte of the body, at most so many are made: short feature flags become slices. */
    arena_init(&job->arena, http_body(call->request).len * 8 + (size_t)64 * 1024);
    job->stepped.job.ended = end_import;
    job->stepped.job.committed = payload_types_changed;
    enum ph_error error = read_body(call, job, diag);
    if (error == PH_OK) {
        error = verify_schemas(call, job, diag);
    }
    if (error == PH_OK) {
        return stepped_submit(call, &job->stepped, run_step, run_answer);
    }
    arena_done(&job->arena);
    return error;
}
