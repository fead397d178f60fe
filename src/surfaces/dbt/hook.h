/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoint that delivers a subscription. Pure; any thread. */
#ifndef PH_SURFACES_DBT_HOOK_H
#define PH_SURFACES_DBT_HOOK_H

#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/delivery.h"
#include "surfaces/dbt/subscription.h"

/*
 * Sets the endpoint's options from the subscription, what it says of delivery, and the settings;
 * the subscription's limits of failures too. Options that only the native API knows stay, and so
 * do timeout and retry schedule when they were changed there. Memory of `arena`. *ret_changed (may
 * be NULL) tells whether anything is different now.
 */
PH_NODISCARD enum ph_error dbt_hook_apply(const struct dbt_settings *settings, struct arena *arena,
                                          struct diag *diag, struct dbt_subscription *row,
                                          bool *ret_changed);

#endif
