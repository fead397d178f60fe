/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test of a webhook (dbt spec section 3.6): a sample event is really sent, signed like any
 * other, and the caller waits for what the endpoint says. It is no message: the log does not have
 * it, and the webhook stays as it is.
 */
#include "base/clock.h"
#include "flow/trial.h"
#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/event.h"
#include "surfaces/dbt/webhook.h"

#define TIMEOUT_MS 10000
#define PAYLOAD_BYTES_MAX 16384
#define RUN_S 61

struct test {
    struct trial trial; /* first */
    struct api_call *call;
    enum dbt_test_answer answer;
    char event_id[DBT_ID_TEXT_MAX];
};

/* --- the sample ------------------------------------------------------------------------------- */

static bool find_type(struct slice name, enum dbt_event_type *ret_type)
{
    for (size_t index = 0; index < DBT_EVENT_TYPE_COUNT; index++) {
        if (slice_equal_text(name, dbt_event_type_name((enum dbt_event_type)index))) {
            *ret_type = (enum dbt_event_type)index;
            return true;
        }
    }
    return false;
}

/* `event_type` chooses one; the original has no choice. */
static enum ph_error read_type(struct api_call *call, struct diag *diag,
                               enum dbt_event_type *ret_type)
{
    struct slice name = http_query(call->request, "event_type", 0);
    *ret_type = DBT_EVENT_COMPLETED;
    if (name.ptr != NULL && !find_type(name, ret_type)) {
        return diag_set(diag, PH_BAD_REQUEST, "event_type",
                        "value must be one of ['job.run.started', 'job.run.completed', "
                        "'job.run.errored', 'job.run.canceled']");
    }
    return PH_OK;
}

/* Made-up values, not of the caller's projects. */
static struct dbt_run_facts sample(int64_t account, enum dbt_event_type type, int64_t now_us)
{
    static const enum dbt_run_status statuses[] = {
        [DBT_EVENT_STARTED] = DBT_RUN_RUNNING,
        [DBT_EVENT_COMPLETED] = DBT_RUN_SUCCESS,
        [DBT_EVENT_ERRORED] = DBT_RUN_ERROR,
        [DBT_EVENT_CANCELED] = DBT_RUN_CANCELLED,
    };
    return (struct dbt_run_facts){
        .account = account,
        .job_id = 123,
        .run_id = 12345,
        .environment_id = 1234,
        .project_id = 12,
        .job_name = SLICE_LITERAL("Test job"),
        .environment_name = SLICE_LITERAL("Test environment"),
        .project_name = SLICE_LITERAL("Test project"),
        .dbt_version = SLICE_LITERAL("1.0.0"),
        .status_message =
            type == DBT_EVENT_ERRORED ? SLICE_LITERAL("dbt command failed") : SLICE_NONE,
        .reason = SLICE_LITERAL("Test of the webhook"),
        .status = statuses[type],
        .started_at_us = now_us - RUN_S * CLOCK_US_PER_S,
        .finished_at_us = now_us,
    };
}

static enum ph_error write_payload(struct test *test, int64_t account, enum dbt_event_type type,
                                   const struct dbt_settings *settings, struct diag *diag)
{
    const struct dbt_run_facts run = sample(account, type, clock_wall_us());
    BUF_AUTO struct buf payload;
    struct json_out out;
    buf_init(&payload, PAYLOAD_BYTES_MAX);
    json_out_init(&out, &payload);
    json_out_begin_object(&out);
    json_out_member_int(&out, "accountId", account);
    json_out_key(&out, "data");
    dbt_event_write_data(type, &run, settings, &out);
    json_out_end_object(&out);
    json_out_end_document(&out);
    test->trial.payload = dbt_copy(test->call->arena, buf_slice(&payload));
    return test->trial.payload.ptr == NULL ? api_no_memory(diag) : PH_OK;
}

/* --- the answer ------------------------------------------------------------------------------- */

static void write_verification(struct json_out *out, const struct trial_outcome *outcome)
{
    char text[TRIAL_WORDS_MAX];
    json_out_key(out, "verification_error");
    if (outcome->is_success) {
        json_out_null(out);
    } else if (outcome->words[0] != '\0') {
        json_out_string(out, slice_of(outcome->words));
    } else {
        (void)snprintf(text, sizeof text, "the endpoint answered %d", outcome->status_code);
        json_out_string(out, slice_of(text));
    }
    (void)snprintf(text, sizeof text, "%d", outcome->status_code);
    json_out_member_text(out, "verification_status_code", text);
}

/* On a deliverer's thread. */
static void answer(struct trial *trial, const struct trial_outcome *outcome)
{
    struct test *test = PH_CONTAINER_OF(trial, struct test, trial);
    struct api_answer answer;
    api_answer_init(&answer);
    dbt_answer_begin(&answer.out);
    json_out_begin_object(&answer.out);
    if (test->answer != DBT_TEST_EVENT_ID) {
        write_verification(&answer.out, outcome);
    }
    if (test->answer != DBT_TEST_VERIFICATION) {
        json_out_member_text(&answer.out, "event_id", test->event_id);
    }
    json_out_end_object(&answer.out);
    dbt_answer_end(&answer.out, 200);
    api_answer_send(test->call, 200, &answer);
}

enum ph_error dbt_webhook_test(struct api_call *call, struct diag *diag)
{
    const struct dbt_caller *caller = dbt_caller_of(call);
    struct dbt_settings settings = dbt_settings_of(caller->dbt);
    struct store *store;
    struct dbt_subscription row;
    enum dbt_event_type type;
    struct test *test = arena_calloc(call->arena, 1, sizeof *test);
    if (test == NULL) {
        return api_no_memory(diag);
    }
    test->call = call;
    test->answer = settings.test_answer;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = dbt_webhook_of_path(call, store, diag, &row);
    }
    if (error == PH_OK) {
        error = read_type(call, diag, &type);
    }
    if (error == PH_OK) {
        error = write_payload(test, caller->account.number, type, &settings, diag);
    }
    if (error != PH_OK) {
        return error;
    }
    test->trial.endpoint_id = row.endpoint.id;
    test->trial.message_id = trial_message_id();
    test->trial.event_type = slice_of(dbt_event_type_name(type));
    test->trial.timeout_ms = TIMEOUT_MS;
    test->trial.done = answer;
    dbt_event_id_format(call->codec, test->trial.message_id, row.endpoint.id, test->event_id);
    http_suspend(call->request);
    flow_try(call->api->flow, &test->trial); /* neither may be touched any more */
    return PH_OK;
}
