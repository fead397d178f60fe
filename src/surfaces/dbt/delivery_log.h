/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of events at a subscription, out of the core's deliveries and attempts. Read only.
 * Thread: the store's owner.
 */
#ifndef PH_SURFACES_DBT_DELIVERY_LOG_H
#define PH_SURFACES_DBT_DELIVERY_LOG_H

#include "base/arena.h"
#include "store/store.h"

#define DBT_LOG_COUNT_MAX 10000 /* events that a list counts */

struct dbt_log_event {
    int64_t message_id;
    int64_t endpoint_id;
    struct slice event_type;
    struct slice channels; /* JSON array, SLICE_NONE = none */
    struct slice payload;  /* SLICE_NONE = gone */
    int64_t status_code;   /* of the newest attempt, 0 = none, or no answer */
};

struct dbt_log_query {
    int64_t application_id;
    int64_t endpoint_id;
    int64_t after_id; /* messages behind it */
    int64_t offset;
    int64_t limit;
};

/* The newest first; `rows` has room for the limit. Events that the subscription's filter kept away
 * are none. *ret_total counts up to DBT_LOG_COUNT_MAX. */
PH_NODISCARD enum ph_error dbt_log_page(struct store *store, const struct dbt_log_query *query,
                                        struct arena *arena, struct diag *diag,
                                        struct dbt_log_event *rows, size_t *ret_count,
                                        int64_t *ret_total);
/* One event; query->offset and limit are not looked at. PH_NOT_FOUND. */
PH_NODISCARD enum ph_error dbt_log_find(struct store *store, const struct dbt_log_query *query,
                                        int64_t message_id, struct arena *arena, struct diag *diag,
                                        struct dbt_log_event *ret_event);
/* Which event an attempt was of. PH_NOT_FOUND. */
PH_NODISCARD enum ph_error dbt_log_of_attempt(struct store *store, int64_t attempt_id,
                                              struct diag *diag, int64_t *ret_message_id,
                                              int64_t *ret_endpoint_id);
/* Since when the endpoint's present key signs: wall clock. PH_NOT_FOUND. */
PH_NODISCARD enum ph_error dbt_log_key_since(struct store *store, int64_t endpoint_id,
                                             struct diag *diag, int64_t *ret_since_us);

#endif
