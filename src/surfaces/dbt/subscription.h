/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Webhook subscriptions: an endpoint of the account's application and a row beside it. What both
 * know (active, event types, jobs, description, URL) is the endpoint's, so that the native API may
 * change it. Thread: the store's owner; what writes runs inside the writer's transaction.
 */
#ifndef PH_SURFACES_DBT_SUBSCRIPTION_H
#define PH_SURFACES_DBT_SUBSCRIPTION_H

#include "store/endpoint.h"

struct dbt_subscription {
    struct endpoint_row endpoint;
    struct slice name;
    struct slice client_url; /* as it was given */
    struct slice delivery;   /* JSON object, see delivery.h */
    int64_t http_status_code;
    int64_t dispatched_at_us; /* 0 = never */
    int64_t updated_at_us;
    struct slice deactivate_reason; /* SLICE_NONE = none */
    int64_t failures_max;           /* in a row, that deactivate it; 0 = never */
    int64_t failing_max_us;         /* 0 = never */
};

/* By age, the oldest first. `rows` has room for `limit`; *ret_total counts all. */
PH_NODISCARD enum ph_error dbt_subscription_page(struct store *store, int64_t application_id,
                                                 int64_t offset, int64_t limit, struct arena *arena,
                                                 struct diag *diag, struct dbt_subscription *rows,
                                                 size_t *ret_count, int64_t *ret_total);
/* PH_NOT_FOUND, also when it is another application's. */
PH_NODISCARD enum ph_error dbt_subscription_find(struct store *store, int64_t application_id,
                                                 int64_t endpoint_id, struct arena *arena,
                                                 struct diag *diag,
                                                 struct dbt_subscription *ret_row);
/* The live one of any application after `after_id`, by id. PH_NOT_FOUND at the end. */
PH_NODISCARD enum ph_error dbt_subscription_next(struct store *store, int64_t after_id,
                                                 struct arena *arena, struct diag *diag,
                                                 struct dbt_subscription *ret_row);

/* The row beside the endpoint, which is inserted and updated by itself. */
PH_NODISCARD enum ph_error
dbt_subscription_insert(struct store *store, const struct dbt_subscription *row, struct diag *diag);
/* Writes name, URL, delivery, limits and updated_at; `is_fresh` forgets failures and the reason of
 * a deactivation. */
PH_NODISCARD enum ph_error dbt_subscription_update(struct store *store,
                                                   const struct dbt_subscription *row,
                                                   bool is_fresh, struct diag *diag);
PH_NODISCARD enum ph_error dbt_subscription_delete(struct store *store, int64_t endpoint_id,
                                                   struct diag *diag);

struct dbt_dispatch {
    int64_t endpoint_id;
    int64_t status_code; /* 0 = no answer */
    bool is_success;
    int64_t dispatched_at_us;
    int64_t now_us;
};

/* How a subscription stands after an attempt. */
struct dbt_standing {
    int64_t failures;         /* attempts in a row */
    int64_t failing_since_us; /* 0 = it does not fail */
    const char *reason;       /* a limit is passed: why it is to be deactivated. Static, or NULL */
    bool is_warning;          /* half of a limit is passed; once until it succeeds again */
};

/* Notes an attempt. Nothing happens when there is no such subscription. */
PH_NODISCARD enum ph_error dbt_subscription_dispatched(struct store *store,
                                                       const struct dbt_dispatch *dispatch,
                                                       struct diag *diag,
                                                       struct dbt_standing *ret_standing);
PH_NODISCARD enum ph_error dbt_subscription_deactivated(struct store *store, int64_t endpoint_id,
                                                        struct slice reason, struct diag *diag);

#endif
