/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens for an application's users, and their end: portal access, logout, expire-all (svix-api
 * spec sections 11 and 12).
 *
 * A portal token's jti is an id of the writer, so expire-all knows exactly which tokens came before
 * it, and one that is given out in the same millisecond afterwards lives.
 */
#include "api/api_int.h"
#include "api/input.h"
#include "base/clock.h"

#define EXPIRY_MIN_S 3600
#define EXPIRY_MAX_S 604800
#define EXPIRE_DELAY_MAX_S 259200
#define FEATURE_FLAGS_MAX 64
/* Of all flags together: the token has to fit into a header. */
#define FEATURE_FLAGS_BYTES_MAX 4096
#define SESSION_BYTES_MAX 256
#define SESSIONS_MAX 100
/* More than there are, so that the one message names the unknown one. */
#define CAPABILITIES_MAX 64
/* The link around the token. */
#define LINK_BYTES_MAX 4096

static void check_session(struct input *input, const char *field, struct slice session)
{
    if (session.len == 0 || session.len > SESSION_BYTES_MAX) {
        input_refuse(input, field, "must have 1 to %d bytes", SESSION_BYTES_MAX);
    }
}

/* --- portal access --------------------------------------------------------------------------- */

struct portal_job {
    struct api_job job;
    struct slice *feature_flags;
    size_t feature_flag_count;
    bool has_feature_flags;
    bool has_capabilities;
    unsigned capabilities;
    int64_t expiry_s;
    struct slice session_id;
    bool has_application;
    struct application_input application;
};

static void read_feature_flags(struct input *input, struct portal_job *job)
{
    size_t bytes = 0;
    job->has_feature_flags =
        input_strings(input, "featureFlags", INPUT_OPTIONAL, "feature_flags", FEATURE_FLAGS_MAX,
                      &job->feature_flags, &job->feature_flag_count) == INPUT_VALUE;
    for (size_t index = 0; index < job->feature_flag_count; index++) {
        bytes += job->feature_flags[index].len;
    }
    if (bytes > FEATURE_FLAGS_BYTES_MAX) {
        input_refuse(input, "feature_flags", "must have at most %d bytes in all",
                     FEATURE_FLAGS_BYTES_MAX);
    }
}

static void read_capabilities(struct input *input, struct portal_job *job)
{
    bool is_read_only;
    struct slice *names = NULL;
    size_t count = 0;
    (void)input_bool(input, "readOnly", INPUT_OPTIONAL, &is_read_only);
    enum input_state state = input_strings(input, "capabilities", INPUT_OPTIONAL, "capabilities",
                                           CAPABILITIES_MAX, &names, &count);
    for (size_t index = 0; index < count; index++) {
        unsigned capability = capability_parse(names[index]);
        if (capability == 0) {
            char field[40];
            (void)snprintf(field, sizeof field, "capabilities.[%zu]", index);
            input_refuse(input, field, "is not a capability; they are %s, %s, %s, %s, %s, %s",
                         capability_name(0), capability_name(1), capability_name(2),
                         capability_name(3), capability_name(4), capability_name(5));
        }
        job->capabilities |= capability;
    }
    if (state == INPUT_VALUE && (job->capabilities & CAPABILITY_VIEW_BASE) == 0) {
        input_refuse(input, "capabilities", "must have ViewBase among them");
    }
    if (is_read_only) {
        job->capabilities = capability_read_only(job->capabilities);
    }
    job->has_capabilities = state == INPUT_VALUE || is_read_only;
}

static void read_application(struct input *input, struct portal_job *job)
{
    struct input nested;
    if (input_open_nested(input, "application", INPUT_OPTIONAL, &nested) == INPUT_VALUE) {
        if (input_end(&nested) == PH_OK) {
            application_input_read(&nested, &job->application);
            job->has_application = true;
        }
        input_close_nested(input, &nested);
    }
}

static enum ph_error read_portal(struct api_call *call, struct diag *diag, struct portal_job *job)
{
    struct input input;
    input_open_optional(&input, http_body(call->request), call->arena, diag);
    read_feature_flags(&input, job);
    read_capabilities(&input, job);
    read_application(&input, job);
    if (input_int(&input, "expiry", INPUT_OPTIONAL, INT64_MIN, INT64_MAX, &job->expiry_s) !=
        INPUT_VALUE) {
        job->expiry_s = EXPIRY_MAX_S;
    }
    if (job->expiry_s < EXPIRY_MIN_S || job->expiry_s > EXPIRY_MAX_S) {
        input_refuse(&input, "expiry", "must be from %d to %d seconds", EXPIRY_MIN_S, EXPIRY_MAX_S);
    }
    if (input_string(&input, "sessionId", INPUT_OPTIONAL, "session_id", &job->session_id) ==
        INPUT_VALUE) {
        check_session(&input, "session_id", job->session_id);
    }
    return input_end(&input);
}

static enum ph_error find_or_make_application(struct portal_job *job, struct writer_txn *txn,
                                              struct diag *diag, int64_t *ret_application_id)
{
    struct api_call *call = job->job.call;
    struct slice name = http_param(call->request, "app_id");
    enum ph_error error =
        application_resolve(txn->store, call->principal.org, name, diag, ret_application_id);
    if (error == PH_NOT_FOUND && job->has_application) {
        error = application_create_at(txn, call->principal.org, name, &job->application, diag,
                                      ret_application_id);
    }
    return error;
}

static void append_token(const struct portal_job *job, struct writer_txn *txn,
                         const char *application, struct buf *token)
{
    const struct api_call *call = job->job.call;
    int64_t now_s = txn->now_us / CLOCK_US_PER_S;
    char jti[ID_TEXT_MAX];
    size_t jti_length = id_format(call->codec, ID_TOKEN, writer_txn_new_id(txn), jti);
    struct slice capabilities[CAPABILITY_COUNT];
    size_t capability_count = 0;
    for (size_t index = 0; index < CAPABILITY_COUNT; index++) {
        if ((job->capabilities & 1u << index) != 0) {
            capabilities[capability_count++] = slice_of(capability_name(index));
        }
    }
    const struct jwt_claims claims = {
        .iss = SLICE_LITERAL("svix-server"),
        .sub = slice_of(application),
        .org = call->principal.org,
        .jti = {jti, jti_length},
        .iat_ms = now_s * 1000,
        .nbf_s = now_s,
        .exp_s = now_s + job->expiry_s,
        .session_id = job->session_id,
        .has_feature_flags = job->has_feature_flags,
        .feature_flags = job->feature_flags,
        .feature_flag_count = job->feature_flag_count,
        .has_capabilities = job->has_capabilities,
        .capabilities = capabilities,
        .capability_count = capability_count,
    };
    const struct secret *secret = &call->api->jwt_secret;
    const struct jwt_key key = {JWT_HS256, {(const char *)secret->bytes, secret->length}};
    jwt_sign(&key, &claims, token);
}

/* The token stands behind `#`, which browsers keep to themselves: no log on the way sees it. */
static void append_link(const struct api_call *call, const char *application, struct slice token,
                        struct buf *link)
{
    buf_append_text(link, atomic_load(&call->api->public_url));
    buf_append_format(link, "/console/#app=%s&key=", application);
    buf_append_slice(link, token);
}

static enum ph_error run_portal(struct api_job *api_job, struct writer_txn *txn, struct diag *diag)
{
    struct portal_job *job = PH_CONTAINER_OF(api_job, struct portal_job, job);
    int64_t application_id;
    enum ph_error error = find_or_make_application(job, txn, diag, &application_id);
    if (error != PH_OK) {
        return error;
    }
    char application[ID_TEXT_MAX];
    (void)id_format(api_job->call->codec, ID_APPLICATION, application_id, application);
    BUF_AUTO struct buf token;
    BUF_AUTO struct buf link;
    buf_init(&token, JWT_TEXT_MAX);
    buf_init(&link, JWT_TEXT_MAX + LINK_BYTES_MAX);
    append_token(job, txn, application, &token);
    append_link(api_job->call, application, buf_slice(&token), &link);
    if (token.failed || link.failed) {
        return diag_set(diag, PH_INVALID, "body.feature_flags", "the token would be too long");
    }
    struct json_out *out = &api_job->answer.out;
    json_out_begin_object(out);
    json_out_member_string(out, "url", buf_slice(&link));
    json_out_member_string(out, "token", buf_slice(&token));
    json_out_end_object(out);
    secret_wipe(token.data, token.len);
    secret_wipe(link.data, link.len);
    return PH_OK;
}

enum ph_error api_app_portal_access(struct api_call *call, struct diag *diag)
{
    struct portal_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    if (atomic_load(&call->api->public_url) == NULL) {
        return diag_set(diag, PH_BUSY, NULL, "the server is starting");
    }
    enum ph_error error = read_portal(call, diag, job);
    return error != PH_OK ? error : api_submit(call, &job->job, run_portal, diag);
}

/* --- the end of tokens ------------------------------------------------------------------------ */

static enum ph_error run_logout(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct principal *principal = &job->call->principal;
    int64_t expires_at_us = INT64_MAX;
    if (principal->token_exp_s != 0) {
        expires_at_us = (principal->token_exp_s + JWT_LEEWAY_S + 1) * CLOCK_US_PER_S;
    }
    job->status = 204;
    return token_revoke(txn->store, principal->application_id, principal->token_hash, expires_at_us,
                        diag);
}

enum ph_error api_logout(struct api_call *call, struct diag *diag)
{
    struct api_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    job->committed = api_tokens_changed;
    return api_submit(call, job, run_logout, diag);
}

struct expire_job {
    struct api_job job;
    int64_t delay_s;
    struct slice *session_ids;
    size_t session_count; /* 0 = all tokens */
};

static enum ph_error run_expire_all(struct api_job *api_job, struct writer_txn *txn,
                                    struct diag *diag)
{
    struct expire_job *job = PH_CONTAINER_OF(api_job, struct expire_job, job);
    struct token_cutoff cutoff = {
        .issued_before_id = writer_txn_new_id(txn),
        .issued_before_us = txn->now_us,
        .effective_at_us = txn->now_us + job->delay_s * CLOCK_US_PER_S,
    };
    enum ph_error error =
        api_path_application(api_job->call, txn->store, diag, &cutoff.application_id);
    if (error == PH_OK && job->session_count == 0) {
        error = token_expire(txn->store, &cutoff, txn->now_us, diag);
    }
    for (size_t index = 0; error == PH_OK && index < job->session_count; index++) {
        cutoff.session_id = job->session_ids[index];
        error = token_expire(txn->store, &cutoff, txn->now_us, diag);
    }
    api_job->status = 204;
    return error;
}

enum ph_error api_expire_all(struct api_call *call, struct diag *diag)
{
    struct expire_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    struct input input;
    input_open_optional(&input, http_body(call->request), call->arena, diag);
    (void)input_int(&input, "expiry", INPUT_OPTIONAL, INT64_MIN, INT64_MAX, &job->delay_s);
    if (job->delay_s < 0 || job->delay_s > EXPIRE_DELAY_MAX_S) {
        input_refuse(&input, "expiry", "must be from 0 to %d seconds", EXPIRE_DELAY_MAX_S);
    }
    (void)input_strings(&input, "sessionIds", INPUT_OPTIONAL, "session_ids", SESSIONS_MAX,
                        &job->session_ids, &job->session_count);
    for (size_t index = 0; index < job->session_count; index++) {
        char field[40];
        (void)snprintf(field, sizeof field, "session_ids.[%zu]", index);
        check_session(&input, field, job->session_ids[index]);
    }
    job->job.committed = api_tokens_changed;
    enum ph_error error = input_end(&input);
    return error != PH_OK ? error : api_submit(call, &job->job, run_expire_all, diag);
}
