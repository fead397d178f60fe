/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the dbt surface share: its state, who calls, and how it answers. */
#ifndef PH_SURFACES_DBT_DBT_INT_H
#define PH_SURFACES_DBT_DBT_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "api/input.h"
#include "flow/endpoint_options.h"
#include "flow/upkeep.h"
#include "surfaces/dbt/account.h"
#include "surfaces/dbt/dbt.h"
#include "surfaces/dbt/id.h"

/* --- settings --------------------------------------------------------------------------------- */

/* Which name the body has for the subscription's id. */
enum dbt_id_key { DBT_ID_KEY_BOTH, DBT_ID_KEY_WEBHOOKS_ID, DBT_ID_KEY_WEBHOOK_ID };

/* What the `test` call says. */
enum dbt_test_answer { DBT_TEST_BOTH, DBT_TEST_VERIFICATION, DBT_TEST_EVENT_ID };

/* What the options say, the profile with what overrides it. */
struct dbt_settings {
    enum dbt_id_key id_key;
    enum dbt_test_answer test_answer;
    bool has_integer_types;     /* account_id and job_ids are numbers in answers */
    bool reactivates_on_url;    /* a new URL switches an inactive webhook on */
    bool is_canceled_completed; /* a cancelled run is a completed event, spelled Canceled */
    int64_t log_us;             /* age up to which deliveries are listed */
    int64_t failures_max;       /* failed attempts in a row that deactivate a webhook, 0 = never */
    int64_t failing_max_us;     /* likewise, time of nothing but failures */
    int64_t timeout_ms;         /* of an attempt, 0 = as all others */
    struct retry_schedule retry_schedule; /* at most four delays: five attempts */
    int64_t artifact_wait_us; /* after the end of a run that is not ingested it is completed */
    int64_t artifact_bytes_max;
    int64_t run_us; /* how long runs are kept */
};

struct dbt {
    struct api *api; /* NULL when only tokens are made */
    struct flow *flow;
    struct log *log;
    struct metrics *metrics; /* likewise */
    atomic_int references;   /* the surface's and the upkeep's */
    pthread_mutex_t lock;    /* for `settings` */
    struct dbt_settings settings;
    struct upkeep *upkeep; /* NULL when there is no flow */
};

/* A copy of the present settings. Any thread. */
struct dbt_settings dbt_settings_of(struct dbt *dbt);
/* From the options; PH_INVALID. */
PH_NODISCARD enum ph_error dbt_settings_read(const struct surface_environment *environment,
                                             struct diag *diag, struct dbt_settings *ret_settings);
/* Brings the endpoints of all subscriptions in line with the settings. Main thread. */
PH_NODISCARD enum ph_error dbt_subscriptions_refresh(struct dbt *dbt, struct diag *diag);

/* --- who calls -------------------------------------------------------------------------------- */

/* What an operation needs; surface_operation.permission. */
enum dbt_permission {
    DBT_PERMISSION_ANY,      /* a valid token */
    DBT_PERMISSION_WEBHOOKS, /* to read or write webhooks */
    DBT_PERMISSION_RUNS,     /* to report or read runs */
};

/* The caller, and the account of the path; in the request's arena. */
struct dbt_caller {
    struct dbt *dbt;
    struct dbt_account account; /* number 0: the path names none */
    int64_t token_account;
    int64_t user_id; /* of a personal token, 0 = none */
    bool is_service;
    bool sees_names; /* of projects, environments and jobs */
};

const struct dbt_caller *dbt_caller_of(const struct api_call *call);

/* surface.authorize: 403, and 404 for accounts that the token does not see. */
PH_NODISCARD enum ph_error
dbt_authorize(struct api_call *call, const struct surface_operation *operation, struct diag *diag);
/* surface.token_of: `Token` and `Bearer`. */
struct slice dbt_token_of(struct http_request *request);
/* surface.check_token and surface.make_token */
PH_NODISCARD enum ph_error dbt_token_check(struct slice arguments, struct diag *diag);
PH_NODISCARD enum ph_error dbt_token_make(struct surface_instance *instance, struct writer_txn *txn,
                                          const struct surface_token_request *request,
                                          struct diag *diag, struct buf *ret_text);
extern const struct surface_token_flag dbt_token_flags[];
#define DBT_TOKEN_FLAG_COUNT 5

/* --- answers ---------------------------------------------------------------------------------- */

#define DBT_PAGE_LIMIT_DEFAULT 10
#define DBT_PAGE_LIMIT_MAX 100
#define DBT_PAGE_OFFSET_MAX INT64_C(1000000000)

struct dbt_page {
    int64_t offset;
    int64_t limit;
};

/* `limit` (when it is absent: the one given) and `offset` of a list; a limit above the greatest
 * counts as that. */
PH_NODISCARD enum ph_error dbt_page_read(struct http_request *request, int64_t limit,
                                         struct diag *diag, struct dbt_page *ret_page);

/* `{"data":` … `,"status":{"code":200}}`: write the data in between. */
void dbt_answer_begin(struct json_out *out);
void dbt_answer_end(struct json_out *out, int status);
/* With `extra`: how many of how many. */
void dbt_answer_end_list(struct json_out *out, const struct dbt_page *page, size_t count,
                         int64_t total);
/* With `is_success` in the status, as neighbours of the webhook calls and delete have it. */
void dbt_answer_end_success(struct json_out *out, int status);

/* surface.respond_error. Fields of requests are in `data`. */
void dbt_respond_error(struct http_request *request, const struct diag *diag);
/* surface.not_found */
void dbt_respond_not_found(struct http_request *request);
/* surface.refuse */
bool dbt_refuse(struct http_request *request, int status, const char *detail);
/* What is answered for what nobody has, or the caller does not see. */
PH_NODISCARD enum ph_error dbt_not_found(struct diag *diag);

/* --- runs ------------------------------------------------------------------------------------- */

/* What is due of runs, and the end of old ones; begins it (upkeep.c). Main thread. */
void dbt_upkeep_start(struct dbt *dbt);
void dbt_unref(struct dbt *dbt);

/* The number in the path's `name` parameter; PH_NOT_FOUND when it is none. */
PH_NODISCARD enum ph_error dbt_path_number(const struct api_call *call, const char *name,
                                           struct diag *diag, int64_t *ret_number);

/* --- small things ----------------------------------------------------------------------------- */

/* SLICE_NONE for an absent text, and at the arena's cap. */
static inline struct slice dbt_copy(struct arena *arena, struct slice text)
{
    if (text.ptr == NULL) {
        return SLICE_NONE;
    }
    text.ptr = arena_dup(arena, text);
    return text.ptr == NULL ? SLICE_NONE : text;
}

/* --- operations ------------------------------------------------------------------------------- */

api_function dbt_accounts_list, dbt_account_get;
api_function dbt_webhook_list, dbt_webhook_create, dbt_webhook_get, dbt_webhook_put;
api_function dbt_webhook_delete, dbt_webhook_test;
api_function dbt_log_list, dbt_log_event_get, dbt_log_event_receipts;
api_function dbt_log_webhook_receipts, dbt_log_receipt_get;
api_function dbt_delivery_get, dbt_delivery_put, dbt_secret_rotate;
api_function dbt_run_put, dbt_run_ingested, dbt_run_get, dbt_runs_list, dbt_nodes_list;
api_function dbt_artifact_put, dbt_artifact_get, dbt_artifacts_list, dbt_job_artifact_get;
api_function dbt_projects_list, dbt_project_get, dbt_jobs_list, dbt_job_get;
api_function dbt_environments_list, dbt_environment_get, dbt_project_environments_list;

#endif
