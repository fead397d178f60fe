/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts: a number that clients put into paths, and the application `dbt.{number}` that has its
 * messages and endpoints. Thread: the store's owner; what writes runs inside the writer's
 * transaction.
 */
#ifndef PH_SURFACES_DBT_ACCOUNT_H
#define PH_SURFACES_DBT_ACCOUNT_H

#include "flow/writer.h"

#define DBT_ACCOUNT_NAME_BYTES_MAX 256
#define DBT_ACCOUNT_NUMBER_MAX INT64_C(9007199254740991) /* clients in JavaScript read it */

enum dbt_plan { DBT_PLAN_ENTERPRISE, DBT_PLAN_TEAM, DBT_PLAN_COUNT };

struct dbt_account {
    int64_t number;
    struct slice identifier; /* act_… */
    struct slice name;
    enum dbt_plan plan;
    int64_t created_at_us;
    int64_t application_id; /* 0 = somebody deleted it; it is made again when it is needed */
};

bool dbt_plan_parse(struct slice text, enum dbt_plan *ret_plan);

/* Texts are copied into `arena`. PH_NOT_FOUND. */
PH_NODISCARD enum ph_error dbt_account_find(struct store *store, int64_t number,
                                            struct arena *arena, struct diag *diag,
                                            struct dbt_account *ret_account);

struct dbt_account_change {
    int64_t number;
    struct slice name; /* SLICE_NONE = as it is; of a new one "Account N" */
    bool has_plan;
    enum dbt_plan plan;
};

/* Makes the account, its application and the event types if they are new; changes name and plan
 * where they are given. */
PH_NODISCARD enum ph_error dbt_account_ensure(struct writer_txn *txn,
                                              const struct dbt_account_change *change,
                                              struct arena *arena, struct diag *diag,
                                              struct dbt_account *ret_account);
/* The application of an account, made anew when it is gone. */
PH_NODISCARD enum ph_error dbt_account_application(struct writer_txn *txn, int64_t number,
                                                   struct diag *diag, int64_t *ret_application_id);

/* surface.owns_application: those of accounts. */
PH_NODISCARD enum ph_error dbt_owns_application(void *state, struct store *store, struct slice uid,
                                                struct diag *diag, bool *ret_owns);

#endif
