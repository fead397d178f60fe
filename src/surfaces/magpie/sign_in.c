/* SPDX-License-Identifier: Apache-2.0 */
/* Signing in and out (magpie spec section 8): passwords against a session in a cookie. */
#include "base/clock.h"
#include "core/url.h"
#include "surfaces/magpie/identity_int.h"
#include "surfaces/magpie/session.h"

#define COOKIE_MAX 256

/* --- the cookie ------------------------------------------------------------------------------- */

/* A proxy in front may speak TLS in our place; one of our public addresses says so. */
static bool is_https(const struct api_call *call)
{
    const char *public_url = atomic_load(&call->api->public_url);
    BUF_AUTO struct buf base;
    buf_init(&base, (size_t)4 * URL_LENGTH_MAX);
    magpie_append_base_url(surface_state(call), &base);
    return http_is_tls(call->request) || slice_starts_with(buf_slice(&base), "https://") ||
           (public_url != NULL && strncmp(public_url, "https://", strlen("https://")) == 0);
}

/* An empty text takes it away. */
static void set_cookie(struct api_call *call, const char *text)
{
    char cookie[COOKIE_MAX];
    (void)snprintf(cookie, sizeof cookie,
                   MAGPIE_SESSION_COOKIE "=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict%s",
                   text, text[0] == '\0' ? 0 : MAGPIE_SESSION_S, is_https(call) ? "; Secure" : "");
    http_add_header(call->request, "Set-Cookie", cookie);
}

/* --- in --------------------------------------------------------------------------------------- */

struct sign_in_job {
    struct api_job job;
    struct password_job check;
    struct slice name;
    int64_t user_id; /* 0 = nobody has the name */
    char text[MAGPIE_SESSION_TEXT_MAX];
};

static enum ph_error refuse(struct diag *diag)
{
    return diag_set(diag, PH_UNAUTHORIZED, NULL, "Unauthorized: wrong user name or password.");
}

static enum ph_error run_sign_in(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct sign_in_job *sign_in = PH_CONTAINER_OF(job, struct sign_in_job, job);
    struct magpie_user user;
    enum ph_error error =
        magpie_user_find_id(txn->store, sign_in->user_id, job->call->arena, diag, &user);
    struct slice stored = SLICE_NONE;
    if (error == PH_OK) {
        error = magpie_user_password(txn->store, user.id, job->call->arena, diag, &stored);
    }
    /* It may have been changed while it was checked, which ends sessions. */
    if (error == PH_NOT_FOUND || (error == PH_OK && !slice_equal(stored, sign_in->check.stored))) {
        return refuse(diag);
    }
    magpie_session_text(sign_in->text);
    if (error == PH_OK) {
        error = magpie_session_insert(txn, slice_of(sign_in->text), user.id, diag);
    }
    if (error == PH_OK) {
        magpie_answer_job(job, 200, "Login successful.");
    }
    return error;
}

static void give_cookie(struct api_job *job)
{
    set_cookie(job->call, PH_CONTAINER_OF(job, struct sign_in_job, job)->text);
}

static void checked(struct password_job *check)
{
    struct sign_in_job *sign_in = PH_CONTAINER_OF(check, struct sign_in_job, check);
    struct api_call *call = sign_in->job.call;
    struct diag diag = check->diag;
    if (check->error == PH_OK && check->is_match) {
        api_enqueue(&sign_in->job);
        return;
    }
    if (check->error == PH_OK) {
        (void)refuse(&diag);
        metrics_add(call->api->metrics, METRIC_SIGN_INS_FAILED, 1);
        sign_in_limit_failed(call->api->sign_in_limit, sign_in->name,
                             slice_of(http_peer(call->request)), clock_boot_us());
    }
    call->respond_error(call->request, &diag);
}

/* Whether so many sign-ins failed that this one is not looked at: then it is answered. */
static bool is_limited(struct api_call *call, struct slice name)
{
    char seconds[24];
    struct api_answer answer;
    int64_t wait_s = sign_in_limit_wait_s(call->api->sign_in_limit, name,
                                          slice_of(http_peer(call->request)), clock_boot_us());
    if (wait_s == 0) {
        return false;
    }
    metrics_add(call->api->metrics, METRIC_SIGN_INS_LIMITED, 1);
    (void)snprintf(seconds, sizeof seconds, "%lld", (long long)wait_s);
    http_add_header(call->request, "Retry-After", seconds);
    api_answer_init(&answer);
    magpie_answer_begin(&answer.out, 429, "Too many sign-ins have failed. Try again later.");
    magpie_answer_end(&answer.out);
    api_answer_send(call, 429, &answer);
    return true;
}

/* Whose password it would be; who is unknown takes as long. */
static enum ph_error find_password(struct api_call *call, struct sign_in_job *sign_in,
                                   struct diag *diag)
{
    struct store *store;
    struct magpie_user user;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = magpie_user_find(store, sign_in->name, call->arena, diag, &user);
    }
    if (error == PH_NOT_FOUND) {
        return PH_OK;
    }
    if (error == PH_OK) {
        sign_in->user_id = user.id;
        error = magpie_user_password(store, user.id, call->arena, diag, &sign_in->check.stored);
    }
    return error;
}

enum ph_error magpie_sign_in(struct api_call *call, struct diag *diag)
{
    struct magpie_body body;
    struct sign_in_job *sign_in = api_job_new(call, sizeof *sign_in, diag);
    if (sign_in == NULL) {
        return PH_NO_MEMORY;
    }
    magpie_body_of(call, PH_BAD_REQUEST, diag, &body);
    sign_in->name = magpie_body_required(&body, "user_name");
    sign_in->check.password = magpie_body_required(&body, "password");
    if (sign_in->check.password.len > PASSWORD_BYTES_MAX) {
        magpie_body_refuse(&body, PH_BAD_REQUEST, "password", "no password is that long");
    }
    enum ph_error error = magpie_body_end(&body);
    if (error != PH_OK || is_limited(call, sign_in->name)) {
        return error;
    }
    error = find_password(call, sign_in, diag);
    if (error != PH_OK) {
        return error;
    }
    sign_in->check.is_check = true;
    sign_in->check.done = checked;
    list_init(&sign_in->check.node);
    sign_in->job.committed = give_cookie;
    api_suspend(call, &sign_in->job, run_sign_in);
    sign_in->job.has_key = false; /* a kept answer would have no cookie */
    return passwords_submit(call->api->passwords, &sign_in->check, diag);
}

/* --- out, and who is in ----------------------------------------------------------------------- */

struct sign_out_job {
    struct api_job job;
    int64_t session_id;
};

static enum ph_error run_sign_out(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    int64_t id = PH_CONTAINER_OF(job, struct sign_out_job, job)->session_id;
    enum ph_error error = magpie_session_delete(txn, id, diag);
    if (error == PH_OK) {
        magpie_answer_job(job, 200, "Sign out successful.");
    }
    return error;
}

enum ph_error magpie_sign_out(struct api_call *call, struct diag *diag)
{
    struct magpie_caller caller = {0};
    struct api_answer answer;
    enum ph_error error = magpie_find_caller(call, diag, &caller);
    if (error != PH_OK && error != PH_UNAUTHORIZED) {
        return error;
    }
    set_cookie(call, "");
    if (caller.session_id == 0) {
        magpie_answer_init(&answer, "Sign out successful.");
        return magpie_answer_send(call, &answer, PH_OK, diag);
    }
    struct sign_out_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    job->session_id = caller.session_id;
    return api_submit(call, &job->job, run_sign_out, diag);
}

enum ph_error magpie_session_get(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct magpie_caller caller;
    struct api_answer answer;
    enum ph_error error = magpie_find_caller(call, diag, &caller);
    bool is_signed_in = error == PH_OK;
    if (error == PH_UNAUTHORIZED) {
        error = PH_OK;
    }
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error != PH_OK) {
        return error;
    }
    magpie_answer_init(&answer, "Get session successful.");
    json_out_member_bool(&answer.out, "authenticated", is_signed_in);
    if (is_signed_in) {
        json_out_key(&answer.out, "user");
        error = magpie_user_write(store, &caller.user, &answer.out, diag);
    }
    return magpie_answer_send(call, &answer, error, diag);
}
