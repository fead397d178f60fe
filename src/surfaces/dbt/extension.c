/* SPDX-License-Identifier: Apache-2.0 */
/* What dbt's own API cannot say of a webhook: how it is delivered, and a new secret (choices,
 * section dbt). */
#include "base/secret.h"
#include "jq/pool.h"
#include "store/endpoint_secret.h"
#include "surfaces/dbt/delivery.h"
#include "surfaces/dbt/webhook.h"

#define GRACE_DEFAULT_H 24
#define GRACE_MAX_H (7 * 24)
#define DELIVERY_BYTES_MAX 65536

/* --- delivery --------------------------------------------------------------------------------- */

enum ph_error dbt_delivery_get(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct dbt_subscription row;
    struct dbt_delivery delivery;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = dbt_webhook_of_path(call, store, diag, &row);
    }
    if (error == PH_OK) {
        error = dbt_delivery_parse(row.delivery, call->arena, diag, &delivery);
    }
    if (error == PH_OK) {
        struct api_answer answer;
        api_answer_init(&answer);
        dbt_answer_begin(&answer.out);
        dbt_delivery_write(&answer.out, &delivery);
        dbt_answer_end(&answer.out, 200);
        api_answer_send(call, 200, &answer);
    }
    return error;
}

struct delivery_job {
    struct api_job job;
    struct dbt_delivery delivery;
    struct slice text; /* as it is kept */
    struct dbt_settings settings;
};

static enum ph_error run_put(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct delivery_job *put = PH_CONTAINER_OF(job, struct delivery_job, job);
    struct dbt_subscription row;
    enum ph_error error = dbt_webhook_of_path(job->call, txn->store, diag, &row);
    if (error != PH_OK) {
        return error;
    }
    row.delivery = put->text;
    error = dbt_webhook_store(txn, &put->settings, job->call->arena, diag, &row,
                              row.endpoint.is_disabled);
    if (error == PH_OK) {
        dbt_answer_begin(&job->answer.out);
        dbt_delivery_write(&job->answer.out, &put->delivery);
        dbt_answer_end(&job->answer.out, 200);
    }
    return error;
}

static enum ph_error keep_text(struct delivery_job *put, struct arena *arena, struct diag *diag)
{
    BUF_AUTO struct buf text;
    struct json_out out;
    buf_init(&text, DELIVERY_BYTES_MAX);
    json_out_init(&out, &text);
    dbt_delivery_write(&out, &put->delivery);
    json_out_end_document(&out);
    if (text.failed) {
        return diag_set(diag, PH_BAD_REQUEST, "filters", "the filters are too long");
    }
    put->text = dbt_copy(arena, buf_slice(&text));
    return put->text.ptr == NULL ? api_no_memory(diag) : PH_OK;
}

/* On the pool's thread. */
static void regex_tried(void *context, const struct jq_result *result)
{
    struct delivery_job *put = context;
    struct diag diag;
    if (result->outcome == JQ_OK || result->outcome == JQ_FALSE) {
        api_enqueue(&put->job);
        return;
    }
    if (result->outcome == JQ_UNAVAILABLE) {
        (void)diag_set(&diag, PH_BUSY, NULL, "the jq workers cannot be had now: %s", result->words);
    } else {
        (void)diag_set(&diag, PH_BAD_REQUEST, "filters.job_name_regex", "%s", result->words);
    }
    put->job.call->respond_error(put->job.call->request, &diag);
}

/* jq has its own dialect of regular expressions: it says what it does not take. */
static enum ph_error submit_with_regex(struct api_call *call, struct delivery_job *put,
                                       struct diag *diag)
{
    static const char input[] = "null";
    BUF_AUTO struct buf text;
    struct jq_request request = {.kind = JQ_FILTER, .done = regex_tried, .context = put};
    buf_init(&text, ENDPOINT_PROGRAM_BYTES_MAX);
    dbt_delivery_trial(&put->delivery, &text);
    enum ph_error error =
        jq_program_new(buf_slice(&text), "filters.job_name_regex", diag, &request.program);
    if (error != PH_OK) {
        return error;
    }
    request.input = ph_memdup_text(input, sizeof input - 1);
    request.input_len = sizeof input - 1;
    api_suspend(call, &put->job, run_put);
    error = jq_pool_submit(flow_jq(call->api->flow), &request, diag);
    jq_program_unref(request.program);
    if (error != PH_OK) {
        free(request.input);
        call->respond_error(call->request, diag); /* suspended: it is no error of this function */
    }
    return PH_OK;
}

enum ph_error dbt_delivery_put(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct dbt_subscription row;
    struct input input;
    struct delivery_job *put = api_job_new(call, sizeof *put, diag);
    if (put == NULL) {
        return PH_NO_MEMORY;
    }
    put->settings = dbt_settings_of(dbt_caller_of(call)->dbt);
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = dbt_webhook_of_path(call, store, diag, &row); /* 404 whatever the body */
    }
    if (error == PH_OK) {
        input_open(&input, http_body(call->request), call->arena, diag);
        error = dbt_delivery_read(&input, &put->delivery);
    }
    if (error == PH_OK) {
        error = keep_text(put, call->arena, diag);
    }
    if (error == PH_OK && put->delivery.job_name_regex.ptr != NULL) {
        return submit_with_regex(call, put, diag);
    }
    return error == PH_OK ? api_submit(call, &put->job, run_put, diag) : error;
}

/* --- the secret ------------------------------------------------------------------------------- */

struct rotate_job {
    struct api_job job;
    int64_t grace_h;
};

static enum ph_error check_old_keys(struct writer_txn *txn, int64_t endpoint_id, struct diag *diag)
{
    int64_t count;
    enum ph_error error =
        endpoint_secret_count_old(txn->store, endpoint_id, txn->now_us, diag, &count);
    if (error == PH_OK && count >= ENDPOINT_SECRET_OLD_MAX) {
        error = diag_set(diag, PH_CONFLICT, NULL,
                         "too many former secrets are still valid; wait until one has ended");
    }
    return error;
}

static enum ph_error rotate(struct writer_txn *txn, int64_t endpoint_id, int64_t grace_h,
                            struct slice secret, struct diag *diag)
{
    int64_t ends_us = txn->now_us + grace_h * INT64_C(3600000000);
    enum ph_error error = check_old_keys(txn, endpoint_id, diag);
    if (error == PH_OK) {
        error = endpoint_secret_expire_current(txn->store, endpoint_id, ends_us, txn->now_us, diag);
    }
    return error == PH_OK ? dbt_secret_insert(txn, endpoint_id, secret, diag) : error;
}

static enum ph_error run_rotate(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct rotate_job *rotation = PH_CONTAINER_OF(job, struct rotate_job, job);
    struct dbt_subscription row;
    struct buf secret;
    buf_init(&secret, SIGNING_KEY_HMAC_MAX);
    dbt_secret_make(&secret);
    enum ph_error error = dbt_webhook_of_path(job->call, txn->store, diag, &row);
    if (error == PH_OK) {
        error = rotate(txn, row.endpoint.id, rotation->grace_h, buf_slice(&secret), diag);
    }
    if (error == PH_OK) {
        error = dbt_webhook_changed(txn, &row.endpoint, diag);
    }
    if (error == PH_OK) {
        dbt_answer_begin(&job->answer.out);
        json_out_begin_object(&job->answer.out);
        json_out_member_string(&job->answer.out, "hmac_secret", buf_slice(&secret));
        json_out_end_object(&job->answer.out);
        dbt_answer_end(&job->answer.out, 200);
    }
    buf_wipe(&secret);
    return error;
}

enum ph_error dbt_secret_rotate(struct api_call *call, struct diag *diag)
{
    struct input input;
    struct store *store;
    struct dbt_subscription row;
    struct rotate_job *rotation = api_job_new(call, sizeof *rotation, diag);
    if (rotation == NULL) {
        return PH_NO_MEMORY;
    }
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = dbt_webhook_of_path(call, store, diag, &row); /* 404 whatever the body */
    }
    if (error != PH_OK) {
        return error;
    }
    input_open_optional(&input, http_body(call->request), call->arena, diag);
    if (input_end(&input) == PH_OK && input_int(&input, "grace_hours", INPUT_OPTIONAL, 0,
                                                GRACE_MAX_H, &rotation->grace_h) != INPUT_VALUE) {
        rotation->grace_h = GRACE_DEFAULT_H;
    }
    return input_end(&input) == PH_OK ? api_submit(call, &rotation->job, run_rotate, diag)
                                      : input_end(&input);
}
