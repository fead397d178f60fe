/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transformation of an endpoint as a resource of its own (svix-api spec section 12): the same
 * jq program as the endpoint's `transform`, and a dry run of programs over a sample.
 */
#include "api/endpoint.h"
#include "api/program.h"
#include "jq/event.h"
#include "jq/pool.h"

#define CODE_BYTES_MIN 1
#define RESULT_ARENA_BYTES (8u << 20)
/* Integers beyond 2^53 may change in jq, which has doubles. */
#define EXACT_INTEGER_MAX "9007199254740992"

/* --- get -------------------------------------------------------------------------------------- */

enum ph_error api_transformation_get(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct endpoint_row row;
    struct endpoint_options options;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = endpoint_path_row(call, store, diag, &row);
    }
    if (error == PH_OK) {
        error = endpoint_options_read(row.options, call->arena, diag, &options);
    }
    if (error != PH_OK) {
        return error;
    }
    struct api_answer answer;
    api_answer_init(&answer);
    json_out_begin_object(&answer.out);
    json_out_member_string(&answer.out, "code", options.transform);
    json_out_member_bool(&answer.out, "enabled",
                         options.transform.ptr != NULL && !options.is_transform_off);
    json_out_member_raw(&answer.out, "variables",
                        options.variables.ptr == NULL ? SLICE_LITERAL("null") : options.variables);
    if (options.transform_updated_us == 0) {
        json_out_member_null(&answer.out, "updatedAt");
    } else {
        json_out_member_time(&answer.out, "updatedAt", options.transform_updated_us);
    }
    json_out_end_object(&answer.out);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

/* --- patch ------------------------------------------------------------------------------------ */

struct patch_job {
    struct api_job job;
    enum input_state code;
    enum input_state enabled;
    enum input_state variables;
    struct slice code_text;
    bool is_enabled;
    struct slice variables_json;
};

static void merge(const struct patch_job *patch, int64_t now_us, struct endpoint_options *options)
{
    if (patch->code != INPUT_ABSENT) {
        options->transform = patch->code_text;
    }
    if (patch->enabled == INPUT_VALUE) {
        options->is_transform_off = !patch->is_enabled;
    }
    if (patch->variables != INPUT_ABSENT) {
        options->variables = patch->variables == INPUT_NULL ? SLICE_NONE : patch->variables_json;
    }
    options->transform_updated_us = now_us;
}

static enum ph_error run_patch(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct patch_job *patch = PH_CONTAINER_OF(job, struct patch_job, job);
    struct endpoint_row row;
    struct endpoint_options options;
    enum ph_error error = endpoint_path_row(job->call, txn->store, diag, &row);
    if (error == PH_OK) {
        error = endpoint_options_read(row.options, job->call->arena, diag, &options);
    }
    if (error == PH_OK) {
        merge(patch, txn->now_us, &options);
        error = endpoint_options_store(&options, job->call->arena, diag, &row);
    }
    if (error == PH_OK) {
        row.updated_at_us = txn->now_us;
        error = endpoint_update(txn->store, &row, diag);
    }
    if (error == PH_OK) {
        error = endpoint_changed(txn, row.application_id, row.id, diag);
        job->status = 204;
    }
    return error;
}

enum ph_error api_transformation_patch(struct api_call *call, struct diag *diag)
{
    struct patch_job *patch = api_job_new(call, sizeof *patch, diag);
    if (patch == NULL) {
        return PH_NO_MEMORY;
    }
    struct input input;
    input_open(&input, http_body(call->request), call->arena, diag);
    patch->code = input_string(&input, "code", INPUT_NULLABLE, "code", &patch->code_text);
    if (patch->code == INPUT_VALUE && input_end(&input) == PH_OK &&
        (patch->code_text.len < CODE_BYTES_MIN ||
         patch->code_text.len > ENDPOINT_PROGRAM_BYTES_MAX)) {
        input_refuse(&input, "code", "must be %d to %d bytes", CODE_BYTES_MIN,
                     ENDPOINT_PROGRAM_BYTES_MAX);
    }
    patch->enabled = input_bool(&input, "enabled", INPUT_OPTIONAL, &patch->is_enabled);
    patch->variables = input_metadata(&input, "variables", INPUT_NULLABLE, &patch->variables_json);
    if (input_end(&input) != PH_OK) {
        return input_end(&input);
    }
    const struct api_program programs[API_PROGRAMS_MAX] = {{patch->code_text, "body.code"}};
    return api_submit_with_programs(call, &patch->job, run_patch, programs, diag);
}

/* --- dry run ---------------------------------------------------------------------------------- */

/* In the request's arena; the pool's thread goes on with it. */
struct simulation {
    struct api_call *call;
    struct jq_program *filter;
    struct jq_program *transform;
    struct slice sample;
    bool has_verdict; /* of the filter */
    bool is_wanted;
};

static bool is_beyond_doubles(const char *digits, size_t length)
{
    size_t exact = strlen(EXACT_INTEGER_MAX);
    return length > exact || (length == exact && strcmp(digits, EXACT_INTEGER_MAX) > 0);
}

/* Whether the text has an integer that jq might change. */
static bool has_large_integer(struct slice json)
{
    bool is_in_string = false;
    for (size_t at = 0; at < json.len; at++) {
        char byte = json.ptr[at];
        if (is_in_string) {
            at += byte == '\\';
            is_in_string = byte != '"';
            continue;
        }
        is_in_string = byte == '"';
        if (byte < '0' || byte > '9') {
            continue;
        }
        char digits[64];
        size_t length = 0;
        while (at + length < json.len && length < sizeof digits - 1 &&
               strchr("0123456789.eE+-", json.ptr[at + length]) != NULL &&
               json.ptr[at + length] != '\0') {
            digits[length] = json.ptr[at + length];
            length++;
        }
        digits[length] = '\0';
        if (strpbrk(digits, ".eE") == NULL && is_beyond_doubles(digits, length)) {
            return true;
        }
        at += length - 1;
    }
    return false;
}

static void answer_simulation(struct simulation *simulation, struct slice result, const char *error)
{
    struct api_answer answer;
    api_answer_init(&answer);
    struct json_out *out = &answer.out;
    json_out_begin_object(out);
    json_out_key(out, "delivers");
    if (simulation->has_verdict) {
        json_out_bool(out, simulation->is_wanted);
    } else {
        json_out_null(out);
    }
    json_out_member_raw(out, "result", result.ptr == NULL ? SLICE_LITERAL("null") : result);
    json_out_key(out, "error");
    if (error == NULL) {
        json_out_null(out);
    } else {
        json_out_string(out, slice_of(error));
    }
    json_out_key(out, "warnings");
    json_out_begin_array(out);
    if (has_large_integer(simulation->sample)) {
        json_out_string(
            out, SLICE_LITERAL("jq may change integers beyond " EXACT_INTEGER_MAX " (2^53)"));
    }
    json_out_end_array(out);
    json_out_end_object(out);
    jq_program_unref(simulation->filter);
    jq_program_unref(simulation->transform);
    api_answer_send(simulation->call, 200, &answer);
}

static void simulate_next(struct simulation *simulation);

static void simulated_filter(struct simulation *simulation, const struct jq_result *result)
{
    jq_program_unref(simulation->filter);
    simulation->filter = NULL;
    if (result->outcome == JQ_OK || result->outcome == JQ_FALSE) {
        simulation->has_verdict = true;
        simulation->is_wanted = result->outcome == JQ_OK;
        simulate_next(simulation);
        return;
    }
    char words[JQ_WORDS_MAX + 16];
    (void)snprintf(words, sizeof words, "filter: %s", result->words);
    answer_simulation(simulation, SLICE_NONE, words);
}

static void simulated_transform(struct simulation *simulation, const struct jq_result *result)
{
    char words[JQ_WORDS_MAX + 16];
    if (result->outcome == JQ_NULL) {
        answer_simulation(simulation, SLICE_NONE, NULL);
        return;
    }
    if (result->outcome != JQ_OK) {
        (void)snprintf(words, sizeof words, "transform: %s", result->words);
        answer_simulation(simulation, SLICE_NONE, words);
        return;
    }
    ARENA_AUTO struct arena arena;
    arena_init(&arena, RESULT_ARENA_BYTES);
    struct jq_transformed transformed;
    struct diag diag;
    if (jq_transformed_read(result->output, &arena, &diag, &transformed) == PH_OK) {
        answer_simulation(simulation, result->output, NULL);
        return;
    }
    char told[sizeof diag.field + sizeof diag.text + 2]; /* as an attempt tells it */
    (void)snprintf(told, sizeof told, "%s: %s", diag.field[0] != '\0' ? diag.field : "transform",
                   diag.text);
    answer_simulation(simulation, result->output, told);
}

/* On the pool's thread. */
static void simulated(void *context, const struct jq_result *result)
{
    struct simulation *simulation = context;
    if (result->outcome == JQ_UNAVAILABLE) {
        struct diag diag;
        (void)diag_set(&diag, PH_BUSY, NULL, "the jq workers cannot be had now: %s", result->words);
        jq_program_unref(simulation->filter);
        jq_program_unref(simulation->transform);
        http_respond_error(simulation->call->request, &diag);
    } else if (simulation->filter != NULL) {
        simulated_filter(simulation, result);
    } else {
        simulated_transform(simulation, result);
    }
}

/* The filter, then the transform of what it wants. */
static void simulate_next(struct simulation *simulation)
{
    bool is_over =
        simulation->transform == NULL || (simulation->has_verdict && !simulation->is_wanted);
    if (simulation->filter == NULL && is_over) {
        answer_simulation(simulation, SLICE_NONE, NULL);
        return;
    }
    struct jq_request request = {
        .program = simulation->filter != NULL ? simulation->filter : simulation->transform,
        .kind = simulation->filter != NULL ? JQ_FILTER : JQ_TRANSFORM,
        .owner = api_jq_owner(simulation->call),
        .input = ph_memdup_text(simulation->sample.ptr, simulation->sample.len),
        .input_len = simulation->sample.len,
        .done = simulated,
        .context = simulation,
    };
    struct diag diag;
    if (jq_pool_submit(flow_jq(simulation->call->api->flow), &request, &diag) != PH_OK) {
        free(request.input);
        jq_program_unref(simulation->filter);
        jq_program_unref(simulation->transform);
        http_respond_error(simulation->call->request, &diag);
    }
}

/* What the body does not give is the endpoint's. */
static enum ph_error take_from_endpoint(struct api_call *call, struct diag *diag,
                                        enum input_state filter_state, enum input_state code_state,
                                        struct slice *filter, struct slice *code)
{
    struct store *store;
    struct endpoint_row row;
    struct endpoint_options options;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = endpoint_path_row(call, store, diag, &row);
    }
    if (error == PH_OK) {
        error = endpoint_options_read(row.options, call->arena, diag, &options);
    }
    if (error == PH_OK) {
        *filter = filter_state == INPUT_ABSENT ? options.filter : *filter;
        *code = code_state == INPUT_ABSENT ? options.transform : *code;
    }
    return error;
}

static enum ph_error simulate(struct api_call *call, bool has_endpoint, struct diag *diag)
{
    struct slice filter;
    struct slice code;
    struct simulation *simulation = arena_calloc(call->arena, 1, sizeof *simulation);
    if (simulation == NULL) {
        return api_no_memory(diag);
    }
    struct input input;
    input_open(&input, http_body(call->request), call->arena, diag);
    enum input_state filter_state =
        input_string(&input, "filter", INPUT_NULLABLE, "filter", &filter);
    enum input_state code_state = input_string(&input, "code", INPUT_NULLABLE, "code", &code);
    (void)input_raw(&input, "sample", INPUT_REQUIRED, SCAN_OBJECT, &simulation->sample);
    enum ph_error error = input_end(&input);
    if (error == PH_OK && has_endpoint) {
        error = take_from_endpoint(call, diag, filter_state, code_state, &filter, &code);
    }
    if (error == PH_OK && filter.ptr != NULL) {
        error = jq_program_new(filter, "body.filter", diag, &simulation->filter);
    }
    if (error == PH_OK && code.ptr != NULL) {
        error = jq_program_new(code, "body.code", diag, &simulation->transform);
    }
    if (error != PH_OK) {
        jq_program_unref(simulation->filter);
        return error;
    }
    simulation->call = call;
    http_suspend(call->request);
    simulate_next(simulation);
    return PH_OK;
}

enum ph_error api_transformation_simulate(struct api_call *call, struct diag *diag)
{
    return simulate(call, false, diag);
}

enum ph_error api_endpoint_transformation_simulate(struct api_call *call, struct diag *diag)
{
    return simulate(call, true, diag);
}
