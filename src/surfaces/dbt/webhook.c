/* SPDX-License-Identifier: Apache-2.0 */
/* Webhook subscriptions: list, get, create, update, delete (dbt spec section 3). */
#include "surfaces/dbt/webhook.h"

#include "base/random.h"
#include "base/secret.h"
#include "core/base64.h"
#include "core/url.h"
#include "store/endpoint_secret.h"
#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/hook.h"
#include "surfaces/dbt/subscription.h"
#include "surfaces/dbt/webhook_input.h"

#define SECRET_RANDOM_BYTES 32
#define URL_TEXT_MAX 4096

/* --- what is shown ---------------------------------------------------------------------------- */

/* Microseconds as text. */
static void write_micros(struct json_out *out, const char *key, int64_t wall_us)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", (long long)wall_us);
    json_out_member_text(out, key, text);
}

/* "job.41" of the endpoint's channels as "41", or as 41. */
static void write_jobs(struct json_out *out, struct slice channels, bool is_integers)
{
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    json_out_key(out, "job_ids");
    json_out_begin_array(out);
    if (channels.ptr != NULL) {
        scan_cursor_init(&cursor, channels);
        while (scan_next_element(&cursor, &type, &value)) {
            struct slice name = {value.ptr + 1, value.len - 2};
            int64_t job;
            if (!slice_starts_with(name, "job.")) {
                continue; /* somebody's who uses the native API */
            }
            struct slice digits = {name.ptr + 4, name.len - 4};
            if (is_integers && slice_to_int64(digits, &job)) {
                json_out_int(out, job);
            } else {
                json_out_string(out, digits);
            }
        }
    }
    json_out_end_array(out);
}

/* As it was given, unless the native API gave the endpoint another one since. */
static struct slice shown_url(const struct dbt_subscription *row, struct buf *normal)
{
    bool is_same = url_normalise(row->client_url, NULL, NULL, normal) == PH_OK &&
                   slice_equal(buf_slice(normal), row->endpoint.url);
    return is_same ? row->client_url : row->endpoint.url;
}

static void write_account(struct json_out *out, const struct dbt_account *account, bool is_integer)
{
    json_out_key(out, "account_id");
    if (is_integer) {
        json_out_int(out, account->number);
    } else {
        char text[32];
        (void)snprintf(text, sizeof text, "%lld", (long long)account->number);
        json_out_string(out, slice_of(text));
    }
}

/* `secret` SLICE_NONE: it is not shown again. */
static void write_webhook(struct json_out *out, const struct id_codec *codec,
                          const struct dbt_caller *caller, const struct dbt_settings *settings,
                          const struct dbt_subscription *row, struct slice secret)
{
    static const char all_types[] = "[\"job.run.started\",\"job.run.completed\","
                                    "\"job.run.errored\"]";
    char text[DBT_ID_TEXT_MAX];
    BUF_AUTO struct buf normal;
    buf_init(&normal, URL_TEXT_MAX);
    dbt_id_format(codec, DBT_ID_SUBSCRIPTION, row->endpoint.id, text);
    json_out_begin_object(out);
    json_out_member_text(out, "id", text);
    json_out_member_string(out, "account_identifier", caller->account.identifier);
    json_out_member_string(out, "name", row->name);
    json_out_member_string(out, "description", row->endpoint.description);
    write_jobs(out, row->endpoint.channels, settings->has_integer_types);
    json_out_member_raw(out, "event_types",
                        row->endpoint.event_types.ptr != NULL ? row->endpoint.event_types
                                                              : slice_of(all_types));
    json_out_member_string(out, "client_url", shown_url(row, &normal));
    if (secret.ptr != NULL) {
        json_out_member_string(out, "hmac_secret", secret);
    }
    json_out_member_bool(out, "active", !row->endpoint.is_disabled);
    write_micros(out, "created_at", row->endpoint.created_at_us);
    write_micros(out, "updated_at", row->updated_at_us);
    write_account(out, &caller->account, settings->has_integer_types);
    (void)snprintf(text, sizeof text, "%lld", (long long)row->http_status_code);
    json_out_member_text(out, "http_status_code", text);
    if (row->dispatched_at_us != 0) {
        write_micros(out, "dispatched_at", row->dispatched_at_us);
    }
    if (row->deactivate_reason.ptr != NULL && row->endpoint.is_disabled) {
        json_out_member_string(out, "deactivate_reason", row->deactivate_reason);
    }
    json_out_end_object(out);
}

/* --- reads ------------------------------------------------------------------------------------ */

enum ph_error dbt_webhook_list(struct api_call *call, struct diag *diag)
{
    const struct dbt_caller *caller = dbt_caller_of(call);
    struct dbt_settings settings = dbt_settings_of(caller->dbt);
    struct dbt_page page;
    struct store *store;
    size_t count;
    int64_t total;
    enum ph_error error = dbt_page_read(call->request, DBT_PAGE_LIMIT_DEFAULT, diag, &page);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error != PH_OK) {
        return error;
    }
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    struct dbt_subscription *rows = arena_calloc(&arena, (size_t)page.limit, sizeof *rows);
    if (rows == NULL) {
        return api_no_memory(diag);
    }
    error = dbt_subscription_page(store, caller->account.application_id, page.offset, page.limit,
                                  &arena, diag, rows, &count, &total);
    if (error != PH_OK) {
        return error;
    }
    struct api_answer answer;
    api_answer_init(&answer);
    dbt_answer_begin(&answer.out);
    json_out_begin_array(&answer.out);
    for (size_t index = 0; index < count; index++) {
        write_webhook(&answer.out, call->codec, caller, &settings, &rows[index], SLICE_NONE);
    }
    json_out_end_array(&answer.out);
    dbt_answer_end_list(&answer.out, &page, count, total);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

enum ph_error dbt_webhook_of_path(struct api_call *call, struct store *store, struct diag *diag,
                                  struct dbt_subscription *ret_row)
{
    const struct dbt_caller *caller = dbt_caller_of(call);
    int64_t id;
    if (!dbt_id_parse(call->codec, DBT_ID_SUBSCRIPTION,
                      http_param(call->request, "subscription_id"), &id)) {
        return dbt_not_found(diag);
    }
    return dbt_subscription_find(store, caller->account.application_id, id, call->arena, diag,
                                 ret_row);
}

enum ph_error dbt_webhook_get(struct api_call *call, struct diag *diag)
{
    const struct dbt_caller *caller = dbt_caller_of(call);
    struct store *store;
    struct dbt_subscription row;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = dbt_webhook_of_path(call, store, diag, &row);
    }
    if (error == PH_OK) {
        struct dbt_settings settings = dbt_settings_of(caller->dbt);
        struct api_answer answer;
        api_answer_init(&answer);
        dbt_answer_begin(&answer.out);
        write_webhook(&answer.out, call->codec, caller, &settings, &row, SLICE_NONE);
        dbt_answer_end(&answer.out, 200);
        api_answer_send(call, 200, &answer);
    }
    return error;
}

/* --- writes ----------------------------------------------------------------------------------- */

struct webhook_job {
    struct api_job job;
    struct dbt_webhook_input input;
    struct dbt_settings settings;
};

static struct webhook_job *job_of(struct api_job *job)
{
    return PH_CONTAINER_OF(job, struct webhook_job, job);
}

enum ph_error dbt_webhook_changed(struct writer_txn *txn, const struct endpoint_row *endpoint,
                                  struct diag *diag)
{
    writer_txn_endpoint_changed(txn, endpoint->id);
    return application_touch(txn->store, endpoint->application_id, diag);
}

void dbt_secret_make(struct buf *text)
{
    uint8_t entropy[SECRET_RANDOM_BYTES];
    random_bytes(entropy, sizeof entropy);
    base64url_append(text, entropy, sizeof entropy);
    secret_wipe(entropy, sizeof entropy);
}

enum ph_error dbt_secret_insert(struct writer_txn *txn, int64_t endpoint_id, struct slice text,
                                struct diag *diag)
{
    struct signing_key *key = NULL;
    enum ph_error error = signing_key_from_bytes(SIGNATURE_HMAC_SHA256, text, diag, &key);
    if (error == PH_OK) {
        error = endpoint_secret_insert(txn->store, writer_txn_new_id(txn), endpoint_id, key, diag);
    }
    signing_key_free(key);
    return error;
}

/* What the body says, in the endpoint and beside it. */
static void take_input(const struct dbt_webhook_input *input, struct dbt_subscription *row)
{
    row->name = input->name;
    row->client_url = input->client_url;
    row->endpoint.url = input->url;
    row->endpoint.description = input->description;
    row->endpoint.event_types = input->event_types;
    row->endpoint.channels = input->channels;
}

static enum ph_error insert(struct webhook_job *webhook, struct writer_txn *txn,
                            struct dbt_subscription *row, struct slice secret, struct diag *diag)
{
    struct arena *arena = webhook->job.call->arena;
    enum ph_error error = dbt_hook_apply(&webhook->settings, arena, diag, row, NULL);
    if (error == PH_OK) {
        error = endpoint_insert(txn->store, &row->endpoint, diag);
    }
    if (error == PH_OK) {
        error = dbt_subscription_insert(txn->store, row, diag);
    }
    if (error == PH_OK) {
        error = dbt_secret_insert(txn, row->endpoint.id, secret, diag);
    }
    return error == PH_OK ? dbt_webhook_changed(txn, &row->endpoint, diag) : error;
}

static enum ph_error run_create(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct webhook_job *webhook = job_of(job);
    const struct dbt_caller *caller = dbt_caller_of(job->call);
    char uid[DBT_ID_TEXT_MAX];
    struct dbt_subscription row = {
        .delivery = SLICE_LITERAL("{}"),
        .updated_at_us = txn->now_us,
        .endpoint =
            {
                .id = writer_txn_new_id(txn),
                .uid = slice_of(uid),
                .version = 1,
                .is_disabled = !webhook->input.is_active,
                .metadata = SLICE_LITERAL("{}"),
                .headers = SLICE_LITERAL("{}"),
                .created_at_us = txn->now_us,
                .updated_at_us = txn->now_us,
            },
    };
    dbt_id_format(job->call->codec, DBT_ID_SUBSCRIPTION, row.endpoint.id, uid);
    row.endpoint.uid = slice_of(uid);
    take_input(&webhook->input, &row);
    struct buf secret;
    buf_init(&secret, SIGNING_KEY_HMAC_MAX);
    dbt_secret_make(&secret);
    enum ph_error error =
        dbt_account_application(txn, caller->account.number, diag, &row.endpoint.application_id);
    if (error == PH_OK) {
        error = insert(webhook, txn, &row, buf_slice(&secret), diag);
    }
    if (error == PH_OK) {
        job->status = 201;
        dbt_answer_begin(&job->answer.out);
        write_webhook(&job->answer.out, job->call->codec, caller, &webhook->settings, &row,
                      buf_slice(&secret));
        dbt_answer_end(&job->answer.out, 201);
    }
    buf_wipe(&secret);
    return error;
}

/* Reads the body into a new job. */
static enum ph_error begin(struct api_call *call, struct diag *diag, struct webhook_job **ret_job)
{
    struct webhook_job *webhook = api_job_new(call, sizeof *webhook, diag);
    if (webhook == NULL) {
        return PH_NO_MEMORY;
    }
    webhook->settings = dbt_settings_of(dbt_caller_of(call)->dbt);
    *ret_job = webhook;
    return dbt_webhook_read(call, diag, &webhook->input);
}

enum ph_error dbt_webhook_create(struct api_call *call, struct diag *diag)
{
    struct webhook_job *webhook;
    enum ph_error error = begin(call, diag, &webhook);
    return error != PH_OK ? error : api_submit(call, &webhook->job, run_create, diag);
}

enum ph_error dbt_webhook_store(struct writer_txn *txn, const struct dbt_settings *settings,
                                struct arena *arena, struct diag *diag,
                                struct dbt_subscription *row, bool was_disabled)
{
    row->updated_at_us = txn->now_us;
    row->endpoint.updated_at_us = txn->now_us;
    enum ph_error error = dbt_hook_apply(settings, arena, diag, row, NULL);
    if (error == PH_OK) {
        error = endpoint_update(txn->store, &row->endpoint, diag);
    }
    if (error == PH_OK) {
        error = dbt_subscription_update(txn->store, row, was_disabled && !row->endpoint.is_disabled,
                                        diag);
    }
    return error == PH_OK ? dbt_webhook_changed(txn, &row->endpoint, diag) : error;
}

static enum ph_error run_put(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct webhook_job *webhook = job_of(job);
    struct dbt_subscription row;
    enum ph_error error = dbt_webhook_of_path(job->call, txn->store, diag, &row);
    if (error != PH_OK) {
        return error;
    }
    bool was_disabled = row.endpoint.is_disabled;
    bool has_new_url = !slice_equal(row.endpoint.url, webhook->input.url);
    if (webhook->input.has_active) {
        row.endpoint.is_disabled = !webhook->input.is_active;
    }
    if (was_disabled && has_new_url && webhook->settings.reactivates_on_url) {
        row.endpoint.is_disabled = false;
    }
    take_input(&webhook->input, &row);
    error = dbt_webhook_store(txn, &webhook->settings, job->call->arena, diag, &row, was_disabled);
    if (error == PH_OK) {
        dbt_answer_begin(&job->answer.out);
        write_webhook(&job->answer.out, job->call->codec, dbt_caller_of(job->call),
                      &webhook->settings, &row, SLICE_NONE);
        dbt_answer_end(&job->answer.out, 200);
    }
    return error;
}

enum ph_error dbt_webhook_put(struct api_call *call, struct diag *diag)
{
    /* What does not exist is 404 whatever the body: clients take 400 for "gone" too. */
    struct store *store;
    struct dbt_subscription row;
    struct webhook_job *webhook;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = dbt_webhook_of_path(call, store, diag, &row);
    }
    if (error == PH_OK) {
        error = begin(call, diag, &webhook);
    }
    return error != PH_OK ? error : api_submit(call, &webhook->job, run_put, diag);
}

static enum ph_error run_delete(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct dbt_subscription row;
    char id_text[DBT_ID_TEXT_MAX];
    enum ph_error error = dbt_webhook_of_path(job->call, txn->store, diag, &row);
    if (error == PH_OK) {
        error = endpoint_delete(txn->store, row.endpoint.id, txn->now_us, diag);
    }
    if (error == PH_OK) {
        error = dbt_subscription_delete(txn->store, row.endpoint.id, diag);
    }
    if (error == PH_OK) {
        error = dbt_webhook_changed(txn, &row.endpoint, diag);
    }
    if (error == PH_OK) {
        dbt_id_format(job->call->codec, DBT_ID_SUBSCRIPTION, row.endpoint.id, id_text);
        dbt_answer_begin(&job->answer.out);
        json_out_begin_object(&job->answer.out);
        json_out_member_text(&job->answer.out, "id", id_text);
        json_out_end_object(&job->answer.out);
        dbt_answer_end_success(&job->answer.out, 200);
    }
    return error;
}

enum ph_error dbt_webhook_delete(struct api_call *call, struct diag *diag)
{
    struct webhook_job *webhook = api_job_new(call, sizeof *webhook, diag);
    return webhook == NULL ? PH_NO_MEMORY : api_submit(call, &webhook->job, run_delete, diag);
}
