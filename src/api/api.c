/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Concurrency: `struct api` is read-only once made, but for its atomic members. A job of api_submit
 * runs and ends on the writer thread while its request is suspended; the http thread does not touch
 * it meanwhile.
 */
#include "api/api.h"

#include "api/api_int.h"
#include "api/idempotency.h"
#include "base/clock.h"
#include "store/idempotency.h"

struct api *api_new(const struct api_options *options)
{
    struct api *api = ph_calloc(1, sizeof *api);
    api->flow = options->flow;
    api->store_address = ph_strdup(options->store_address);
    api->keyring = options->keyring;
    api->jwt_secret = secret_dup(&options->jwt_secret);
    api->log = options->log;
    api->metrics = options->metrics;
    size_t route_count;
    const struct http_route *routes = api_routes(&route_count);
    documents_init(&api->documents, routes, route_count);
    api->passwords = passwords_new(options->metrics);
    api->sign_in_limit = sign_in_limit_new();
    return api;
}

void api_set_owner(struct api *api, api_owner_function *find_owner, void *context)
{
    api->find_owner = find_owner;
    api->owner_context = context;
}

void api_stop(struct api *api)
{
    if (api != NULL) {
        passwords_stop(api->passwords);
    }
}

void api_free(struct api *api)
{
    if (api != NULL) {
        passwords_free(api->passwords);
        sign_in_limit_free(api->sign_in_limit);
        documents_done(&api->documents);
        secret_done(&api->jwt_secret);
        free(atomic_load(&api->public_url));
        free(api->store_address);
        free(api);
    }
}

void api_set_public_url(struct api *api, const char *url)
{
    struct slice text = slice_of(url);
    while (text.len > 0 && text.ptr[text.len - 1] == '/') {
        text.len--;
    }
    char *former = atomic_exchange(&api->public_url, slice_dup(text));
    PH_ASSERT(former == NULL);
}

void *api_thread_start(void *api)
{
    struct api_thread *thread = ph_calloc(1, sizeof *thread);
    thread->api = api;
    thread->auth_cache = auth_cache_new();
    thread->payload_checks = payload_checks_new();
    return thread;
}

void api_thread_stop(void *api_thread, void *api)
{
    (void)api;
    struct api_thread *thread = api_thread;
    if (thread != NULL) {
        auth_cache_free(thread->auth_cache);
        payload_checks_free(thread->payload_checks);
        store_close(thread->store);
        free(thread);
    }
}

/* --- one request ---------------------------------------------------------------------------- */

static void end_read(struct api_thread *thread)
{
    if (thread->store != NULL && db_in_transaction(thread->store->db)) {
        db_rollback(thread->store->db);
    }
}

static enum ph_error begin_read(void *call, struct diag *diag, struct store **ret_store)
{
    return api_begin_read(call, diag, ret_store);
}

static enum ph_error authenticate(struct api_call *call, const void *data, struct diag *diag)
{
    const struct api_operation *operation = data;
    enum api_auth auth = operation->auth;
    if (auth == API_AUTH_NONE) {
        return PH_OK;
    }
    const struct auth_context context = {
        .cache = call->thread->auth_cache,
        .codec = call->codec,
        .jwt_key = {JWT_HS256,
                    {(const char *)call->api->jwt_secret.bytes, call->api->jwt_secret.length}},
        .now_us = clock_wall_us(),
        .version = atomic_load(&call->api->tokens_version),
        .begin_read = begin_read,
        .reader = call,
    };
    enum http_method method = http_method_of(call->request);
    return api_authenticate(&context, auth, method == HTTP_GET || method == HTTP_HEAD,
                            http_header(call->request, "authorization"), call->arena, diag,
                            &call->principal);
}

void api_run(struct http_request *request,
             enum ph_error (*judge)(struct api_call *call, const void *context, struct diag *diag),
             const void *context, api_function *function)
{
    struct api_thread *thread = http_thread_context(request);
    struct diag diag = {0};
    struct api_call *call = arena_calloc(http_arena(request), 1, sizeof *call);
    PH_ASSERT(call != NULL); /* the arena is fresh */
    call->request = request;
    call->api = http_context(request);
    call->thread = thread;
    call->arena = http_arena(request);
    call->codec = flow_id_codec(call->api->flow);
    call->respond_error = http_respond_error;
    enum ph_error error = judge == NULL ? PH_OK : judge(call, context, &diag);
    if (error == PH_OK) {
        error = function(call, &diag);
    }
    end_read(thread);
    if (error != PH_OK) {
        call->respond_error(request, &diag);
    }
}

void api_handle(struct http_request *request)
{
    const struct api_operation *operation = http_route_of(request)->data;
    api_run(request, authenticate, operation, operation->function);
}

enum ph_error api_begin_read(struct api_call *call, struct diag *diag, struct store **ret_store)
{
    struct api_thread *thread = call->thread;
    enum ph_error error = PH_OK;
    if (thread->store == NULL) {
        error = store_open(call->api->store_address, DB_READ_ONLY, diag, &thread->store);
        if (error == PH_OK) {
            thread->store->keyring = call->api->keyring;
        }
    }
    if (error == PH_OK && !db_in_transaction(thread->store->db)) {
        error = db_begin_read(thread->store->db, diag);
        if (error != PH_OK) {
            store_close(thread->store);
            thread->store = NULL;
        }
    }
    if (error == PH_OK) {
        *ret_store = thread->store;
    }
    return error;
}

enum ph_error api_path_application(struct api_call *call, struct store *store, struct diag *diag,
                                   int64_t *ret_application_id)
{
    int64_t id;
    bool is_operational = call->operational_uid.ptr != NULL;
    struct slice name =
        is_operational ? call->operational_uid : http_param(call->request, "app_id");
    enum ph_error error = application_resolve(store, call->principal.org, name, diag, &id);
    if (error == PH_NOT_FOUND && is_operational) {
        *ret_application_id = 0;
        return PH_OK;
    }
    if (error != PH_OK) {
        return error;
    }
    if (call->principal.application_id != 0 && call->principal.application_id != id) {
        return diag_set(diag, PH_NOT_FOUND, NULL, "Entity not found");
    }
    *ret_application_id = id;
    return PH_OK;
}

enum ph_error api_path_endpoint(struct api_call *call, struct store *store,
                                enum endpoint_scope scope, struct diag *diag,
                                int64_t *ret_application_id, int64_t *ret_endpoint_id)
{
    int64_t application_id;
    enum ph_error error = api_path_application(call, store, diag, &application_id);
    if (error == PH_OK) {
        error = endpoint_resolve(store, application_id, http_param(call->request, "endpoint_id"),
                                 scope, diag, ret_endpoint_id);
    }
    if (error == PH_OK) {
        *ret_application_id = application_id;
    }
    return error;
}

void api_answer_init(struct api_answer *answer)
{
    buf_init(&answer->body, API_ANSWER_MAX);
    json_out_init(&answer->out, &answer->body);
}

void api_answer_send(struct api_call *call, int status, struct api_answer *answer)
{
    json_out_end_document(&answer->out);
    http_respond_json(call->request, status, &answer->body);
    buf_done(&answer->body);
}

enum ph_error api_no_memory(struct diag *diag)
{
    return diag_set(diag, PH_NO_MEMORY, NULL, "the request needs more memory than its limit");
}

enum ph_error api_not_implemented(struct api_call *call, struct diag *diag)
{
    (void)call;
    return diag_set(diag, PH_NOT_IMPLEMENTED, NULL, "This API endpoint is not yet implemented.");
}

void api_tokens_changed(struct api_job *job)
{
    (void)atomic_fetch_add(&job->call->api->tokens_version, 1);
}

/* --- jobs ------------------------------------------------------------------------------------- */

void *api_job_new(struct api_call *call, size_t size_bytes, struct diag *diag)
{
    PH_ASSERT(size_bytes >= sizeof(struct api_job));
    void *job = arena_calloc(call->arena, 1, size_bytes);
    if (job == NULL) {
        diag_set(diag, PH_NO_MEMORY, NULL, "the request needs more memory than its limit");
    }
    return job;
}

/* Gives the answer that the key got before, if it got one (job->is_replayed). */
static enum ph_error replay(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct idempotency_row row;
    enum ph_error error =
        idempotency_find(txn->store, job->key_hash, txn->now_us, job->call->arena, diag, &row);
    if (error != PH_OK) {
        return error == PH_NOT_FOUND ? PH_OK : error;
    }
    job->is_replayed = true;
    job->status = (int)row.status;
    if (job->replay != NULL) {
        return job->replay(job, txn, row.response, diag);
    }
    buf_append_slice(&job->answer.body, row.response);
    return PH_OK;
}

static enum ph_error keep_answer(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    BUF_AUTO struct buf kept;
    buf_init(&kept, API_ANSWER_MAX);
    struct idempotency_row row = {
        .status = job->status,
        .response = buf_slice(&job->answer.body),
    };
    if (job->keep != NULL) {
        struct json_out out;
        json_out_init(&out, &kept);
        job->keep(job, &out);
        row.response = buf_slice(&kept);
    }
    return idempotency_insert(txn->store, job->key_hash, txn->now_us, &row, diag);
}

static enum ph_error run_job(struct general_job *general, struct writer_txn *txn, struct diag *diag)
{
    struct api_job *job = PH_CONTAINER_OF(general, struct api_job, job);
    job->status = 200;
    job->is_replayed = false;
    buf_clear(&job->answer.body);
    json_out_init(&job->answer.out, &job->answer.body);
    if (job->has_key) {
        enum ph_error error = replay(job, txn, diag);
        if (error != PH_OK || job->is_replayed) {
            return error;
        }
    }
    enum ph_error error = job->run(job, txn, diag);
    if (error == PH_OK && job->has_key) {
        error = keep_answer(job, txn, diag);
    }
    return error;
}

static void finish_job(struct general_job *general, enum ph_error error, const struct diag *diag)
{
    struct api_job *job = PH_CONTAINER_OF(general, struct api_job, job);
    struct http_request *request = job->call->request;
    void (*respond_error)(struct http_request * request, const struct diag *diag) =
        job->call->respond_error;
    struct buf body = job->answer.body; /* the job goes with the request's arena */
    int status = job->status;
    if (error == PH_OK && !job->is_replayed && job->committed != NULL) {
        job->committed(job);
    } else if (error != PH_OK && job->failed != NULL) {
        job->failed(job);
    }
    if (job->ended != NULL) {
        job->ended(job);
    }
    if (error != PH_OK) {
        struct diag copy = *diag;
        buf_done(&body);
        respond_error(request, &copy);
    } else if (body.len == 0) {
        buf_done(&body);
        http_respond_empty(request, status);
    } else {
        http_respond_json(request, status, &body);
        buf_done(&body);
    }
}

void api_suspend(struct api_call *call, struct api_job *job,
                 enum ph_error (*run)(struct api_job *job, struct writer_txn *txn,
                                      struct diag *diag))
{
    bool is_auto;
    job->call = call;
    job->run = run;
    job->job.run = run_job;
    job->job.done = finish_job;
    job->has_key = api_idempotency_hash(call->request, call->codec, job->key_hash, &is_auto);
    api_answer_init(&job->answer);
    /* What is borrowed from the http thread's cache ends with the handler. */
    call->principal.feature_flags = NULL;
    call->principal.feature_flag_count = 0;
    end_read(call->thread);
    http_suspend(call->request);
}

void api_enqueue(struct api_job *job)
{
    struct diag diag;
    if (writer_submit(flow_writer(job->call->api->flow), &job->job, &diag) != PH_OK) {
        struct http_request *request = job->call->request;
        void (*respond_error)(struct http_request * request, const struct diag *diag) =
            job->call->respond_error;
        if (job->ended != NULL) {
            job->ended(job);
        }
        respond_error(request, &diag);
    }
}

enum ph_error api_submit(struct api_call *call, struct api_job *job,
                         enum ph_error (*run)(struct api_job *job, struct writer_txn *txn,
                                              struct diag *diag),
                         struct diag *diag)
{
    (void)diag;
    api_suspend(call, job, run);
    api_enqueue(job);
    return PH_OK;
}
