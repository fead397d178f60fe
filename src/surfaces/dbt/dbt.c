/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/dbt/dbt.h"

#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/format.h"

/* --- routes ----------------------------------------------------------------------------------- */

#define ACCOUNT_V2 "/api/v2/accounts/{account_id}"
#define ACCOUNT_V3 "/api/v3/accounts/{account_id}"
#define RUN_V2 ACCOUNT_V2 "/runs/{run_id}"
#define ALL_WEBHOOKS "/api/v3/accounts/{account_id}/webhooks"
#define SUBSCRIPTION ALL_WEBHOOKS "/subscription/{subscription_id}"

#define ALL_RUNS "/api/posthorn/accounts/{account_id}/runs"
#define RUN ALL_RUNS "/{run_id}"
#define EXTENSION "/api/posthorn/accounts/{account_id}/subscriptions/{subscription_id}"

#define OPERATION(wanted, operation, name)                                                         \
    &(const struct surface_operation)                                                              \
    {                                                                                              \
        .auth = SURFACE_AUTH_TOKEN, .permission = DBT_PERMISSION_##wanted,                         \
        .function = (operation), .id = "dbt." name                                                 \
    }
#define ROUTE(method, pattern, body_max, wanted, operation, name)                                  \
    {                                                                                              \
        HTTP_##method, (pattern), surface_handle, (body_max), OPERATION(wanted, operation, name)   \
    }

/* A slash at the end of a path is ignored by the router. */
static const struct http_route routes[] = {
    ROUTE(GET, "/api/v2/accounts", 0, ANY, dbt_accounts_list, "accounts.list"),
    ROUTE(GET, "/api/v3/accounts", 0, ANY, dbt_accounts_list, "accounts.list"),
    ROUTE(GET, ACCOUNT_V2, 0, ANY, dbt_account_get, "account.get"),
    ROUTE(GET, ACCOUNT_V3, 0, ANY, dbt_account_get, "account.get"),
    /* Clients ask for these before any webhook work, whatever their token may do. */
    ROUTE(GET, ACCOUNT_V2 "/projects", 0, ANY, dbt_projects_list, "projects.list"),
    ROUTE(GET, ACCOUNT_V3 "/projects", 0, ANY, dbt_projects_list, "projects.list"),
    ROUTE(GET, ACCOUNT_V2 "/projects/{project_id}", 0, ANY, dbt_project_get, "project.get"),
    ROUTE(GET, ACCOUNT_V3 "/projects/{project_id}", 0, ANY, dbt_project_get, "project.get"),
    ROUTE(GET, ACCOUNT_V3 "/projects/{project_id}/environments", 0, ANY,
          dbt_project_environments_list, "project.environments"),
    ROUTE(GET, ACCOUNT_V3 "/projects/{project_id}/environments/{environment_id}", 0, ANY,
          dbt_environment_get, "environment.get"),
    ROUTE(GET, ACCOUNT_V2 "/environments", 0, ANY, dbt_environments_list, "environments.list"),
    ROUTE(GET, ACCOUNT_V3 "/environments", 0, ANY, dbt_environments_list, "environments.list"),
    ROUTE(GET, ACCOUNT_V2 "/environments/{environment_id}", 0, ANY, dbt_environment_get,
          "environment.get"),
    ROUTE(GET, ACCOUNT_V3 "/environments/{environment_id}", 0, ANY, dbt_environment_get,
          "environment.get"),
    ROUTE(GET, ACCOUNT_V2 "/jobs", 0, ANY, dbt_jobs_list, "jobs.list"),
    ROUTE(GET, ACCOUNT_V2 "/jobs/{job_id}", 0, ANY, dbt_job_get, "job.get"),
    ROUTE(GET, ACCOUNT_V2 "/jobs/{job_id}/artifacts/{path*}", 0, RUNS, dbt_job_artifact_get,
          "job.artifact"),
    ROUTE(GET, ACCOUNT_V2 "/runs", 0, RUNS, dbt_runs_list, "runs.list"),
    ROUTE(GET, RUN_V2, 0, RUNS, dbt_run_get, "run.get"),
    ROUTE(GET, RUN_V2 "/artifacts", 0, RUNS, dbt_artifacts_list, "artifacts.list"),
    ROUTE(GET, RUN_V2 "/artifacts/{path*}", 0, RUNS, dbt_artifact_get, "artifact.get"),
    ROUTE(GET, ALL_WEBHOOKS "/subscriptions", 0, WEBHOOKS, dbt_webhook_list, "webhook.list"),
    ROUTE(POST, ALL_WEBHOOKS "/subscriptions", API_BODY_MAX, WEBHOOKS, dbt_webhook_create,
          "webhook.create"),
    ROUTE(GET, SUBSCRIPTION, 0, WEBHOOKS, dbt_webhook_get, "webhook.get"),
    ROUTE(PUT, SUBSCRIPTION, API_BODY_MAX, WEBHOOKS, dbt_webhook_put, "webhook.update"),
    ROUTE(DELETE, SUBSCRIPTION, 0, WEBHOOKS, dbt_webhook_delete, "webhook.delete"),
    ROUTE(GET, SUBSCRIPTION "/test", 0, WEBHOOKS, dbt_webhook_test, "webhook.test"),
    ROUTE(GET, SUBSCRIPTION "/events", 0, WEBHOOKS, dbt_log_list, "log.list"),
    ROUTE(GET, SUBSCRIPTION "/event/{event_id}/receipt", 0, WEBHOOKS, dbt_log_webhook_receipts,
          "log.webhook_receipts"),
    ROUTE(GET, ALL_WEBHOOKS "/event/{event_id}", 0, WEBHOOKS, dbt_log_event_get, "log.event"),
    ROUTE(GET, ALL_WEBHOOKS "/event/{event_id}/receipts", 0, WEBHOOKS, dbt_log_event_receipts,
          "log.event_receipts"),
    ROUTE(GET, ALL_WEBHOOKS "/receipt/{receipt_id}", 0, WEBHOOKS, dbt_log_receipt_get,
          "log.receipt"),
    ROUTE(GET, EXTENSION "/delivery", 0, WEBHOOKS, dbt_delivery_get, "delivery.get"),
    ROUTE(PUT, EXTENSION "/delivery", API_BODY_MAX, WEBHOOKS, dbt_delivery_put, "delivery.update"),
    ROUTE(POST, EXTENSION "/secret/rotate", API_BODY_MAX, WEBHOOKS, dbt_secret_rotate,
          "secret.rotate"),
    ROUTE(PUT, RUN, API_BODY_MAX, RUNS, dbt_run_put, "run.report"),
    ROUTE(POST, RUN "/ingested", 0, RUNS, dbt_run_ingested, "run.ingested"),
    ROUTE(GET, RUN "/nodes", 0, RUNS, dbt_nodes_list, "run.nodes"),
    ROUTE(PUT, RUN "/artifacts/{path*}", HTTP_BODY_STREAMED, RUNS, dbt_artifact_put,
          "artifact.upload"),
};

/* --- start and stop --------------------------------------------------------------------------- */

static enum ph_error start(const struct surface_environment *environment, struct diag *diag,
                           void **ret_state)
{
    struct dbt *dbt = ph_calloc(1, sizeof *dbt);
    dbt->api = environment->api;
    dbt->flow = environment->flow;
    dbt->log = environment->log;
    dbt->metrics = environment->metrics;
    (void)pthread_mutex_init(&dbt->lock, NULL);
    atomic_init(&dbt->references, 1);
    *ret_state = dbt;
    enum ph_error error = dbt_settings_read(environment, diag, &dbt->settings);
    if (error == PH_OK && dbt->api != NULL) {
        error = dbt_subscriptions_refresh(dbt, diag);
    }
    if (error == PH_OK && dbt->api != NULL) {
        dbt_upkeep_start(dbt);
    }
    return error;
}

void dbt_unref(struct dbt *dbt)
{
    if (atomic_fetch_sub(&dbt->references, 1) == 1) {
        (void)pthread_mutex_destroy(&dbt->lock);
        free(dbt);
    }
}

static void stop(void *state)
{
    dbt_unref(state);
}

static enum ph_error reload(void *state, const struct surface_environment *environment,
                            struct diag *diag)
{
    struct dbt *dbt = state;
    struct dbt_settings settings;
    enum ph_error error = dbt_settings_read(environment, diag, &settings);
    if (error != PH_OK) {
        return error;
    }
    (void)pthread_mutex_lock(&dbt->lock);
    dbt->settings = settings;
    (void)pthread_mutex_unlock(&dbt->lock);
    return dbt_subscriptions_refresh(dbt, diag);
}

const struct surface surface_dbt = {
    .name = "dbt",
    .routes = routes,
    .route_count = PH_ARRAY_LENGTH(routes),
    .format = &dbt_format,
    .token_of = dbt_token_of,
    .authorize = dbt_authorize,
    .respond_error = dbt_respond_error,
    .not_found = dbt_respond_not_found,
    .refuse = dbt_refuse,
    .token_flags = dbt_token_flags,
    .token_flag_count = DBT_TOKEN_FLAG_COUNT,
    .check_token = dbt_token_check,
    .make_token = dbt_token_make,
    .owns_application = dbt_owns_application,
    .start = start,
    .stop = stop,
    .reload = reload,
};
