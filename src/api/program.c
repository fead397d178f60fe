/* SPDX-License-Identifier: Apache-2.0 */
/* A request whose programs are compiled is suspended; the pool's thread goes on with it. */
#include "api/program.h"

#include "base/siphash.h"
#include "jq/pool.h"

/* In the request's arena. */
struct check {
    struct api_job *job;
    struct jq_program *programs[API_PROGRAMS_MAX];
    const char *fields[API_PROGRAMS_MAX];
    size_t at;
};

uint64_t api_jq_owner(const struct api_call *call)
{
    static const uint8_t key[16] = {0};
    return call->principal.application_id != 0
               ? (uint64_t)call->principal.application_id
               : siphash64(key, call->principal.org.ptr, call->principal.org.len);
}

static void check_next(struct check *check);

static void free_programs(struct check *check)
{
    for (size_t index = 0; index < API_PROGRAMS_MAX; index++) {
        jq_program_unref(check->programs[index]);
        check->programs[index] = NULL;
    }
}

static void refuse(struct check *check, const struct diag *diag)
{
    struct http_request *request = check->job->call->request;
    void (*respond_error)(struct http_request * request, const struct diag *diag) =
        check->job->call->respond_error;
    free_programs(check);
    respond_error(request, diag);
}

/* On the pool's thread. */
static void compiled(void *context, const struct jq_result *result)
{
    struct check *check = context;
    struct diag diag;
    if (result->outcome == JQ_OK) {
        check->at++;
        check_next(check);
        return;
    }
    if (result->outcome == JQ_UNAVAILABLE) {
        (void)diag_set(&diag, PH_BUSY, NULL, "the jq workers cannot be had now: %s", result->words);
    } else {
        (void)diag_set(&diag, PH_INVALID, check->fields[check->at], "%s", result->words);
    }
    refuse(check, &diag);
}

static void check_next(struct check *check)
{
    while (check->at < API_PROGRAMS_MAX && check->programs[check->at] == NULL) {
        check->at++;
    }
    if (check->at == API_PROGRAMS_MAX) {
        struct api_job *job = check->job;
        free_programs(check);
        api_enqueue(job);
        return;
    }
    struct diag diag;
    const struct jq_request request = {
        .program = check->programs[check->at],
        .kind = JQ_CHECK,
        .owner = api_jq_owner(check->job->call),
        .done = compiled,
        .context = check,
    };
    if (jq_pool_submit(flow_jq(check->job->call->api->flow), &request, &diag) != PH_OK) {
        refuse(check, &diag);
    }
}

enum ph_error api_submit_with_programs(
    struct api_call *call, struct api_job *job,
    enum ph_error (*run)(struct api_job *job, struct writer_txn *txn, struct diag *diag),
    const struct api_program programs[API_PROGRAMS_MAX], struct diag *diag)
{
    struct check *check = arena_calloc(call->arena, 1, sizeof *check);
    if (check == NULL) {
        return api_no_memory(diag);
    }
    check->job = job;
    for (size_t index = 0; index < API_PROGRAMS_MAX; index++) {
        check->fields[index] = programs[index].field;
        if (programs[index].text.ptr != NULL) {
            enum ph_error error = jq_program_new(programs[index].text, programs[index].field, diag,
                                                 &check->programs[index]);
            if (error != PH_OK) {
                free_programs(check);
                return error;
            }
        }
    }
    api_suspend(call, job, run);
    check_next(check);
    return PH_OK;
}
