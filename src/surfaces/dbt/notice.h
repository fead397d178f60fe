/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices to an account: its webhook fails and will be deactivated, or is. They are messages of the
 * account's application, so that a native endpoint or a sink can bring them to somebody; webhooks
 * never get them. Thread: the writer's, inside its transaction.
 */
#ifndef PH_SURFACES_DBT_NOTICE_H
#define PH_SURFACES_DBT_NOTICE_H

#include "flow/writer.h"
#include "surfaces/dbt/subscription.h"

#define DBT_NOTICE_FAILING "dbt.webhook.failing"
#define DBT_NOTICE_DEACTIVATED "dbt.webhook.deactivated"

/* Deactivated when the standing has a reason, else failing. */
PH_NODISCARD enum ph_error dbt_notice_emit(struct writer_txn *txn, int64_t endpoint_id,
                                           const struct dbt_standing *standing, struct diag *diag);

#endif
