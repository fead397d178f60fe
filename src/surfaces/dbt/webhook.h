/* SPDX-License-Identifier: Apache-2.0 */
/* What other calls on a webhook share with those of webhook.c. */
#ifndef PH_SURFACES_DBT_WEBHOOK_H
#define PH_SURFACES_DBT_WEBHOOK_H

#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/subscription.h"

/* The subscription that the path's `subscription_id` names, in the caller's account. PH_NOT_FOUND.
 * `store` is the reader's or a transaction's. */
PH_NODISCARD enum ph_error dbt_webhook_of_path(struct api_call *call, struct store *store,
                                               struct diag *diag, struct dbt_subscription *ret_row);
/* Writes a subscription that was changed, its endpoint with it. */
PH_NODISCARD enum ph_error dbt_webhook_store(struct writer_txn *txn,
                                             const struct dbt_settings *settings,
                                             struct arena *arena, struct diag *diag,
                                             struct dbt_subscription *row, bool was_disabled);
/* After every change of an endpoint row or its secret. */
PH_NODISCARD enum ph_error
dbt_webhook_changed(struct writer_txn *txn, const struct endpoint_row *endpoint, struct diag *diag);

/* A fresh secret as text; `text` holds it afterwards. */
void dbt_secret_make(struct buf *text);
/* Makes it the endpoint's current key: the bytes of the text. */
PH_NODISCARD enum ph_error dbt_secret_insert(struct writer_txn *txn, int64_t endpoint_id,
                                             struct slice text, struct diag *diag);

#endif
