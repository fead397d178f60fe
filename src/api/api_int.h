/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this folder share: the server's side, one request's side, and jobs.
 *
 * One operation is one row of operations.def and one function of the type `api_function`.
 * The function runs on an http thread after the token was judged. It answers (api_answer*), or
 * hands a job to the writer (api_submit), and returns PH_OK; or it returns an error with the diag
 * filled, and the error is answered for it.
 */
#ifndef PH_API_API_INT_H
#define PH_API_API_INT_H

#include <stdatomic.h>

#include "api/api.h"
#include "api/auth.h"
#include "api/documents.h"
#include "base/json_out.h"
#include "flow/writer.h"
#include "store/application.h"
#include "store/endpoint.h"

#define API_BODY_MAX ((size_t)2 * 1024 * 1024)    /* of requests */
#define API_ANSWER_MAX ((size_t)64 * 1024 * 1024) /* of answers */
#define API_ROWS_MAX ((size_t)32 * 1024 * 1024)   /* arena of one page's rows */

struct api {
    struct flow *flow;
    char *store_address;
    struct keyring *keyring;
    struct secret jwt_secret;
    struct log *log;
    struct metrics *metrics;
    _Atomic(char *) public_url;   /* without a slash at its end; NULL until it is known */
    atomic_ullong tokens_version; /* grows after every committed change that ends tokens */
    struct documents documents;
};

/* Owned by one http thread. */
struct api_thread {
    struct api *api;
    struct store *store; /* read only; NULL until opened, or after it failed */
    struct auth_cache *auth_cache;
};

/* One request. In the request's arena, so it lives until the answer. */
struct api_call {
    struct http_request *request;
    struct api *api;
    struct api_thread *thread; /* on the http thread only: jobs use their transaction's store */
    struct arena *arena;       /* the request's */
    const struct id_codec *codec;
    struct principal principal;
};

typedef enum ph_error(api_function)(struct api_call *call, struct diag *diag);

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
 * an application token. PH_NOT_FOUND otherwise. `store` is the reader's or a transaction's.
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

/* --- shared pieces
 * -------------------------------------------------------------------------------- */

/* PH_NO_MEMORY with words: the request's arena is at its cap. */
PH_NODISCARD enum ph_error api_no_memory(struct diag *diag);

/* ApplicationIn as it stands in a body, and as message create brings it along. */
struct application_input {
    struct slice name;
    struct slice uid;
    int64_t throttle_rate;
    struct slice metadata;
};
struct input;
void application_input_read(struct input *input, struct application_input *ret_application);
/* Inside a transaction: a new application. PH_CONFLICT when the uid is taken. */
PH_NODISCARD enum ph_error application_create_in(struct writer_txn *txn, struct slice org,
                                                 const struct application_input *application,
                                                 struct diag *diag,
                                                 struct application_row *ret_row);
/* The same for a call whose path names an application that is missing: the new one must have that
 * name as its uid, so that the path leads to it. */
PH_NODISCARD enum ph_error application_create_at(struct writer_txn *txn, struct slice org,
                                                 struct slice path_name,
                                                 const struct application_input *application,
                                                 struct diag *diag, int64_t *ret_application_id);
void application_write(struct json_out *out, const struct id_codec *codec,
                       const struct application_row *row);

/* Whether the call's token sees an event type with these feature flags (as stored). */
bool event_type_is_visible(const struct api_call *call, struct slice feature_flags);

/* The members that EndpointOut and MessageEndpointOut share (without `id`), into an open object. */
void endpoint_write_common(struct json_out *out, const struct endpoint_row *row);
void endpoint_write(struct json_out *out, const struct id_codec *codec,
                    const struct endpoint_row *row);

/* --- operations
 * ------------------------------------------------------------------------------------ */

api_function api_not_implemented;
api_function api_root, api_reference, api_openapi;
api_function api_health_live, api_health_ready, api_metrics, api_health, api_health_ping;

api_function api_application_list, api_application_create, api_application_get;
api_function api_application_put, api_application_patch, api_application_delete;

api_function api_app_portal_access, api_logout, api_expire_all;

api_function api_event_type_list, api_event_type_create, api_event_type_get;
api_function api_event_type_put, api_event_type_patch, api_event_type_delete;

api_function api_endpoint_list, api_endpoint_create, api_endpoint_get;
api_function api_endpoint_put, api_endpoint_patch, api_endpoint_delete;
api_function api_endpoint_secret_get, api_endpoint_secret_rotate;
api_function api_endpoint_headers_get, api_endpoint_headers_put, api_endpoint_headers_patch;

api_function api_message_create, api_message_list, api_message_get, api_message_expunge;
api_function api_message_resend, api_message_raw, api_message_precheck;
api_function api_endpoint_send_example;
api_function api_transformation_get, api_transformation_patch;
api_function api_transformation_simulate, api_endpoint_transformation_simulate;

api_function api_integration_list, api_integration_create, api_integration_get;
api_function api_integration_put, api_integration_delete;
api_function api_integration_key, api_integration_rotate;

api_function api_sink_list, api_sink_create, api_sink_get, api_sink_put;
api_function api_sink_patch, api_sink_delete;
api_function api_poller_poll, api_poller_consumer_poll, api_poller_consumer_seek;
api_function api_stream;

api_function api_message_bulk_expunge, api_message_expunge_all;

api_function api_endpoint_recover, api_endpoint_replay_missing, api_endpoint_bulk_replay;
api_function api_endpoint_cancel_messages, api_endpoint_stats, api_endpoint_attempt_stats;
api_function api_task_list, api_task_get, api_task_cancel;
api_function api_statistics_applications, api_statistics_event_types;

api_function api_attempt_list_by_endpoint, api_attempt_list_by_message;
api_function api_attempt_get, api_attempt_expunge;
api_function api_attempted_messages, api_attempted_endpoints;
/* Deprecated: GET …/msg/{msg_id}/attempt and GET …/msg/{msg_id}/endpoint/{endpoint_id}/attempt. */
api_function api_attempt_list_of_message, api_attempt_list_of_delivery;

#endif
