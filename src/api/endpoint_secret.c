/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets of endpoints: read, and rotate with overlap (svix-api spec section 7). */
#include "store/endpoint_secret.h"

#include "api/endpoint.h"
#include "base/clock.h"
#include "base/random.h"
#include "flow/operational.h"

#define GRACE_DEFAULT_S 86400
#define GRACE_MAX_S 604800
#define KEY_TEXT_MAX 256

enum ph_error endpoint_key_from(struct api_call *call, struct slice text, struct diag *diag,
                                struct signing_key **ret_key)
{
    if (text.ptr != NULL) {
        return signing_key_parse(text, "body.secret", diag, ret_key);
    }
    uint8_t entropy[SIGNING_KEY_RANDOM_BYTES];
    random_bytes(entropy, sizeof entropy);
    const struct flow_settings *settings = flow_settings_take(call->api->flow);
    *ret_key = signing_key_generate(settings->default_signature_type, entropy);
    flow_settings_drop(settings);
    secret_wipe(entropy, sizeof entropy);
    return PH_OK;
}

/* EndpointSecretOut: what a receiver verifies with. */
static void write_key(struct json_out *out, const struct signing_key *key)
{
    BUF_AUTO struct buf text;
    buf_init(&text, KEY_TEXT_MAX);
    signing_key_append_public(key, &text);
    json_out_begin_object(out);
    json_out_member_string(out, "key", buf_slice(&text));
    json_out_end_object(out);
    secret_wipe(text.data, text.len);
}

enum ph_error api_endpoint_secret_get(struct api_call *call, struct diag *diag)
{
    struct store *store;
    int64_t application_id;
    int64_t endpoint_id;
    struct signing_key *key;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = api_path_endpoint(call, store, ENDPOINT_LIVE, diag, &application_id, &endpoint_id);
    }
    if (error == PH_OK) {
        error = endpoint_secret_current(store, endpoint_id, diag, &key);
    }
    if (error != PH_OK) {
        return error;
    }
    struct api_answer answer;
    api_answer_init(&answer);
    write_key(&answer.out, key);
    signing_key_free(key);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

struct rotate_job {
    struct api_job job;
    struct slice key;
    int64_t grace_s;
};

static enum ph_error check_old_keys(struct writer_txn *txn, int64_t endpoint_id, struct diag *diag)
{
    int64_t count;
    enum ph_error error =
        endpoint_secret_count_old(txn->store, endpoint_id, txn->now_us, diag, &count);
    if (error == PH_OK && count >= ENDPOINT_SECRET_OLD_MAX) {
        error = diag_set(diag, PH_BAD_REQUEST, NULL,
                         "You can only rotate to a new key while at most %d old keys are valid",
                         ENDPOINT_SECRET_OLD_MAX);
        diag_code(diag, "limit_reached");
    }
    return error;
}

static enum ph_error run_rotate(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct rotate_job *rotate = PH_CONTAINER_OF(job, struct rotate_job, job);
    int64_t application_id;
    int64_t endpoint_id;
    struct signing_key *key = NULL;
    enum ph_error error = api_path_endpoint(job->call, txn->store, ENDPOINT_LIVE, diag,
                                            &application_id, &endpoint_id);
    if (error == PH_OK && rotate->grace_s > 0) {
        error = check_old_keys(txn, endpoint_id, diag);
    }
    if (error == PH_OK) {
        error = endpoint_key_from(job->call, rotate->key, diag, &key);
    }
    if (error == PH_OK) {
        error = endpoint_secret_expire_current(txn->store, endpoint_id,
                                               txn->now_us + rotate->grace_s * CLOCK_US_PER_S,
                                               txn->now_us, diag);
    }
    if (error == PH_OK) {
        error = endpoint_secret_insert(txn->store, writer_txn_new_id(txn), endpoint_id, key, diag);
    }
    if (error == PH_OK) {
        error = endpoint_changed(txn, application_id, endpoint_id, diag);
    }
    if (error == PH_OK) {
        error = operational_tell_endpoint(txn, OPERATIONAL_ENDPOINT_UPDATED, endpoint_id, diag);
    }
    /* The original's specification says 204; of endpoints the SDKs read the new key. */
    bool is_read = job->call->operational_uid.ptr == NULL;
    job->status = is_read ? 200 : 204;
    if (error == PH_OK && is_read) {
        write_key(&job->answer.out, key);
    }
    signing_key_free(key);
    return error;
}

enum ph_error api_endpoint_secret_rotate(struct api_call *call, struct diag *diag)
{
    struct rotate_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    struct input input;
    input_open_optional(&input, http_body(call->request), call->arena, diag);
    if (input_string(&input, "key", INPUT_OPTIONAL, "key", &job->key) == INPUT_VALUE &&
        input_end(&input) == PH_OK) {
        struct signing_key *key = NULL;
        input_note(&input, signing_key_parse(job->key, "body.key", diag, &key));
        signing_key_free(key);
    }
    if (input_int(&input, "gracePeriodSeconds", INPUT_OPTIONAL, INT64_MIN, INT64_MAX,
                  &job->grace_s) != INPUT_VALUE) {
        job->grace_s = GRACE_DEFAULT_S;
    }
    if (job->grace_s < 0 || job->grace_s > GRACE_MAX_S) {
        input_refuse(&input, "grace_period_seconds", "must be between 0 and %d", GRACE_MAX_S);
    }
    enum ph_error error = input_end(&input);
    return error != PH_OK ? error : api_submit(call, &job->job, run_rotate, diag);
}
