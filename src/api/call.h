/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request, and jobs for the writer that answer it: what the native API and the surfaces share.
 *
 * An operation's function runs on an http thread after the token was judged. It answers
 * (api_answer*), or hands a job to the writer (api_submit), and returns PH_OK; or it returns an
 * error with the diag filled, and the error is answered for it.
 */
#ifndef PH_API_CALL_H
#define PH_API_CALL_H

#include <stdatomic.h>

#include "api/api.h"
#include "api/auth.h"
#include "api/documents.h"
#include "api/password.h"
#include "api/payload_check.h"
#include "api/sign_in_limit.h"
#include "base/json_out.h"
#include "flow/writer.h"
#include "store/application.h"
#include "store/endpoint.h"
#include "store/surface_token.h"

#define API_BODY_MAX ((size_t)2 * 1024 * 1024)        /* of requests */
#define API_BATCH_BODY_MAX ((size_t)16 * 1024 * 1024) /* of those with many messages */
#define API_ANSWER_MAX ((size_t)64 * 1024 * 1024)     /* of answers */
#define API_ROWS_MAX ((size_t)32 * 1024 * 1024)       /* arena of one page's rows */

struct api {
    struct flow *flow;
    char *store_address;
    struct keyring *keyring;
    struct secret jwt_secret;
    struct log *log;
    struct metrics *metrics;
    _Atomic(char *) public_url;        /* without a slash at its end; NULL until it is known */
    atomic_ullong tokens_version;      /* grows after every committed change that ends tokens */
    atomic_ullong event_types_version; /* … that changes event types */
    struct documents documents;
    struct passwords *passwords;
    struct sign_in_limit *sign_in_limit;
    api_owner_function *find_owner; /* NULL = there are no owners */
    void *owner_context;
};

/* Owned by one http thread. */
struct api_thread {
    struct api *api;
    struct store *store; /* read only; NULL until opened, or after it failed */
    struct auth_cache *auth_cache;
    struct payload_checks *payload_checks;
};

/* One request. In the request's arena, so it lives until the answer. */
struct api_call {
    struct http_request *request;
    struct api *api;
    struct api_thread *thread; /* on the http thread only: jobs use their transaction's store */
    struct arena *arena;       /* the request's */
    const struct id_codec *codec;
    struct principal principal;
    /* Of operational webhooks (operational.c): the endpoints are those of the application with this
     * uid, not of one that the path names. SLICE_NONE elsewhere. */
    struct slice operational_uid;
    /* How errors are answered: http_respond_error, or in a surface's own form. Any thread. */
    void (*respond_error)(struct http_request *request, const struct diag *diag);
    /* Of a surface (surfaces/surface.h); NULL in the native API. */
    struct surface_instance *surface;
    const struct surface_token_row *surface_token; /* NULL = none was needed */
};

typedef enum ph_error(api_function)(struct api_call *call, struct diag *diag);

/*
 * Makes the call of a request and runs it: `judge` says who asks (NULL: nobody is asked), then
 * `function`. What fails is answered by call->respond_error, which `judge` may set. `context` is
 * the caller's.
 */
void api_run(struct http_request *request,
             enum ph_error (*judge)(struct api_call *call, const void *context, struct diag *diag),
             const void *context, api_function *function);

/* The `data` of each route: what the table says about the operation beside method and path; see
 * operations.def. */
struct api_operation {
    enum api_auth auth;
    api_function *function;
    const char *id;       /* "v1.application.create", as in the OpenAPI document */
    const char *summary;  /* one line without a full stop */
    const char *query;    /* names of parameters with spaces between */
    const char *request;  /* schema, `?` before it when the body may be left out; NULL = no body */
    const char *statuses; /* of success, with spaces between, the usual one first */
    const char *response; /* schema or media type; NULL = no body */
};

/* The http handler of every row. */
void api_handle(struct http_request *request);

/* --- reading, on the http thread ---------------------------------------------------------------
 */

/* The thread's store with a read snapshot open; it is closed when the function returns. */
PH_NODISCARD enum ph_error api_begin_read(struct api_call *call, struct diag *diag,
                                          struct store **ret_store);
/*
 * The application named by the path's `app_id` (id or uid), which must be the token's own if it is
 * an application token. PH_NOT_FOUND otherwise; that of operational webhooks is 0 while it is not
 * made. `store` is the reader's or a transaction's.
 */
PH_NODISCARD enum ph_error api_path_application(struct api_call *call, struct store *store,
                                                struct diag *diag, int64_t *ret_application_id);
/* The application and the endpoint named by the path's `endpoint_id`. */
PH_NODISCARD enum ph_error api_path_endpoint(struct api_call *call, struct store *store,
                                             enum endpoint_scope scope, struct diag *diag,
                                             int64_t *ret_application_id, int64_t *ret_endpoint_id);

/* An answer in the making: `out` writes into a buffer of at most API_ANSWER_MAX bytes. Finish with
 * api_answer, or drop it with buf_done(&answer.body). */
struct api_answer {
    struct buf body;
    struct json_out out;
};

void api_answer_init(struct api_answer *answer);
void api_answer_send(struct api_call *call, int status, struct api_answer *answer);

/* --- writing, through the writer
 * ------------------------------------------------------------------ */

/*
 * A general job that answers the request. Embed it first in a struct of the request's arena and
 * give it to api_submit; the rest of that struct is the operation's own.
 *
 * `run` is called on the writer thread inside the transaction, perhaps more than once: it reads the
 * struct, writes the store, sets `status`, and writes the body into `answer` (emptied before each
 * call; nothing written means an empty body). With an error nothing of it stays and the error is
 * answered. Idempotency keys of POST requests are looked after around it.
 */
struct api_job {
    struct general_job job;
    struct api_call *call;
    enum ph_error (*run)(struct api_job *job, struct writer_txn *txn, struct diag *diag);
    /* After the commit and before the answer, not when the answer is a kept one; or NULL. */
    void (*committed)(struct api_job *job);
    /* Before the answer, however it ends: frees what is not in the arena; or NULL. */
    void (*ended)(struct api_job *job);
    bool is_replayed;
    /* After an error and before it is answered; or NULL. */
    void (*failed)(struct api_job *job);
    /* What an idempotency key keeps in place of the answer, as JSON, and the answer made of it; or
     * both are NULL. */
    void (*keep)(struct api_job *job, struct json_out *out);
    enum ph_error (*replay)(struct api_job *job, struct writer_txn *txn, struct slice kept,
                            struct diag *diag);
    int status;
    struct api_answer answer;
    bool has_key;
    uint8_t key_hash[16];
};

/* A cleared struct of the request's arena whose first member is an api_job. NULL at the cap: then
 * the diag is filled with PH_NO_MEMORY. */
PH_NODISCARD void *api_job_new(struct api_call *call, size_t size_bytes, struct diag *diag);
/* Suspends the request and queues the job. After PH_OK neither may be touched. */
PH_NODISCARD enum ph_error
api_submit(struct api_call *call, struct api_job *job,
           enum ph_error (*run)(struct api_job *job, struct writer_txn *txn, struct diag *diag),
           struct diag *diag);

/* The two halves of api_submit, for what goes on in another thread in between: after api_suspend
 * any thread calls api_enqueue, or answers with http_respond_error. */
void api_suspend(struct api_call *call, struct api_job *job,
                 enum ph_error (*run)(struct api_job *job, struct writer_txn *txn,
                                      struct diag *diag));
void api_enqueue(struct api_job *job);

/* For api_job.committed: what http threads remember of tokens and keys is out of date. */
void api_tokens_changed(struct api_job *job);

/* For jq_request.owner: requests of one application or organisation take turns with others'. */
uint64_t api_jq_owner(const struct api_call *call);

/* PH_NO_MEMORY with words: the request's arena is at its cap. */
PH_NODISCARD enum ph_error api_no_memory(struct diag *diag);

#endif
