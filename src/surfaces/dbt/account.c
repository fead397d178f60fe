/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/dbt/account.h"

#include "store/application.h"
#include "store/event_type.h"
#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/id.h"
#include "surfaces/dbt/notice.h"

#define UID_TEXT_MAX 32

static const char *const plan_names[] = {
    [DBT_PLAN_ENTERPRISE] = "enterprise",
    [DBT_PLAN_TEAM] = "team",
};
_Static_assert(PH_ARRAY_LENGTH(plan_names) == DBT_PLAN_COUNT, "one name each");

bool dbt_plan_parse(struct slice text, enum dbt_plan *ret_plan)
{
    for (size_t index = 0; index < DBT_PLAN_COUNT; index++) {
        if (slice_equal_text(text, plan_names[index])) {
            *ret_plan = (enum dbt_plan)index;
            return true;
        }
    }
    return false;
}

/* --- the application -------------------------------------------------------------------------- */

static struct slice application_uid(int64_t number, char text[UID_TEXT_MAX])
{
    (void)snprintf(text, UID_TEXT_MAX, "dbt.%lld", (long long)number);
    return slice_of(text);
}

/* 0 when it is gone. */
static enum ph_error find_application(struct store *store, int64_t number, struct diag *diag,
                                      int64_t *ret_id)
{
    char uid[UID_TEXT_MAX];
    *ret_id = 0;
    enum ph_error error = application_resolve(store, slice_of(DEFAULT_ORGANISATION),
                                              application_uid(number, uid), diag, ret_id);
    return error == PH_NOT_FOUND ? PH_OK : error;
}

enum ph_error dbt_account_application(struct writer_txn *txn, int64_t number, struct diag *diag,
                                      int64_t *ret_application_id)
{
    char uid[UID_TEXT_MAX];
    char name[UID_TEXT_MAX + 16];
    enum ph_error error = find_application(txn->store, number, diag, ret_application_id);
    if (error != PH_OK || *ret_application_id != 0) {
        return error;
    }
    (void)snprintf(name, sizeof name, "dbt account %lld", (long long)number);
    const struct application_row row = {
        .id = writer_txn_new_id(txn),
        .org = slice_of(DEFAULT_ORGANISATION),
        .uid = application_uid(number, uid),
        .name = slice_of(name),
        .metadata = SLICE_LITERAL("{}"),
        .created_at_us = txn->now_us,
        .updated_at_us = txn->now_us,
    };
    *ret_application_id = row.id;
    return application_insert(txn->store, &row, diag);
}

enum ph_error dbt_owns_application(void *state, struct store *store, struct slice uid,
                                   struct diag *diag, bool *ret_owns)
{
    (void)state;
    int64_t number;
    *ret_owns = false;
    if (!slice_starts_with(uid, "dbt.") ||
        !slice_to_int64((struct slice){uid.ptr + 4, uid.len - 4}, &number)) {
        return PH_OK;
    }
    struct db_statement *select =
        db_prepare(store->db, "SELECT number FROM dbt_account WHERE number = $1");
    db_bind_int64(select, 1, number);
    enum ph_error error = db_step(select, diag, ret_owns);
    if (error == PH_OK && *ret_owns) {
        db_done(select);
    }
    return error;
}

/* Native endpoints of the application can name them then. */
static enum ph_error ensure_event_types(struct writer_txn *txn, struct arena *arena,
                                        struct diag *diag)
{
    static const struct {
        const char *name;
        const char *description;
    } types[] = {
        {"job.run.started", "A dbt job run is running"},
        {"job.run.completed", "A dbt job run has ended and its artifacts can be read"},
        {"job.run.errored", "A dbt job run has failed"},
        {"job.run.canceled", "A dbt job run was cancelled"},
        {DBT_NOTICE_FAILING, "A dbt webhook fails and will be deactivated"},
        {DBT_NOTICE_DEACTIVATED, "A dbt webhook was deactivated because it failed"},
    };
    enum ph_error error = PH_OK;
    for (size_t index = 0; error == PH_OK && index < PH_ARRAY_LENGTH(types); index++) {
        struct event_type_row row;
        error = event_type_find(txn->store, slice_of(DEFAULT_ORGANISATION),
                                slice_of(types[index].name), arena, diag, &row);
        if (error != PH_NOT_FOUND) {
            continue;
        }
        row = (struct event_type_row){
            .id = writer_txn_new_id(txn),
            .org = slice_of(DEFAULT_ORGANISATION),
            .name = slice_of(types[index].name),
            .description = slice_of(types[index].description),
            .group_name = SLICE_LITERAL("dbt"),
            .created_at_us = txn->now_us,
            .updated_at_us = txn->now_us,
        };
        error = event_type_insert(txn->store, &row, diag);
    }
    return error;
}

/* --- the account ------------------------------------------------------------------------------ */

enum ph_error dbt_account_find(struct store *store, int64_t number, struct arena *arena,
                               struct diag *diag, struct dbt_account *ret_account)
{
    struct db_statement *select = db_prepare(
        store->db, "SELECT identifier, name, plan, created_at FROM dbt_account WHERE number = $1");
    db_bind_int64(select, 1, number);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    if (!has_row) {
        return diag_set(diag, PH_NOT_FOUND, NULL, "no such account");
    }
    struct dbt_account account = {
        .number = number,
        .identifier = dbt_copy(arena, db_text(select, 0)),
        .name = dbt_copy(arena, db_text(select, 1)),
        .plan = (enum dbt_plan)db_int64(select, 2),
        .created_at_us = db_int64(select, 3),
    };
    db_done(select);
    if (account.identifier.ptr == NULL || account.name.ptr == NULL ||
        (unsigned)account.plan >= DBT_PLAN_COUNT) {
        return diag_set(diag, PH_STORE, "store", "the row of an account cannot be read");
    }
    error = find_application(store, number, diag, &account.application_id);
    if (error == PH_OK) {
        *ret_account = account;
    }
    return error;
}

static enum ph_error insert(struct writer_txn *txn, const struct dbt_account_change *change,
                            struct diag *diag)
{
    char identifier[DBT_ID_TEXT_MAX];
    char name[UID_TEXT_MAX];
    int64_t application_id;
    enum ph_error error = dbt_account_application(txn, change->number, diag, &application_id);
    if (error != PH_OK) {
        return error;
    }
    dbt_id_format(&txn->store->codec, DBT_ID_ACCOUNT, application_id, identifier);
    (void)snprintf(name, sizeof name, "Account %lld", (long long)change->number);
    struct db_statement *statement =
        db_prepare(txn->store->db, "INSERT INTO dbt_account (number, identifier, name, plan,"
                                   " created_at) VALUES ($1, $2, $3, $4, $5)");
    db_bind_int64(statement, 1, change->number);
    db_bind_text(statement, 2, slice_of(identifier));
    db_bind_text(statement, 3, change->name.ptr != NULL ? change->name : slice_of(name));
    db_bind_int64(statement, 4, change->has_plan ? change->plan : DBT_PLAN_ENTERPRISE);
    db_bind_int64(statement, 5, txn->now_us);
    return db_exec(statement, diag);
}

static enum ph_error update(struct writer_txn *txn, const struct dbt_account_change *change,
                            const struct dbt_account *account, struct diag *diag)
{
    if (change->name.ptr == NULL && !change->has_plan) {
        return PH_OK;
    }
    struct db_statement *statement =
        db_prepare(txn->store->db, "UPDATE dbt_account SET name = $2, plan = $3 WHERE number = $1");
    db_bind_int64(statement, 1, change->number);
    db_bind_text(statement, 2, change->name.ptr != NULL ? change->name : account->name);
    db_bind_int64(statement, 3, change->has_plan ? change->plan : account->plan);
    return db_exec(statement, diag);
}

enum ph_error dbt_account_ensure(struct writer_txn *txn, const struct dbt_account_change *change,
                                 struct arena *arena, struct diag *diag,
                                 struct dbt_account *ret_account)
{
    int64_t application_id;
    enum ph_error error = dbt_account_find(txn->store, change->number, arena, diag, ret_account);
    if (error == PH_OK) {
        error = update(txn, change, ret_account, diag);
    } else if (error == PH_NOT_FOUND) {
        error = insert(txn, change, diag);
    }
    if (error == PH_OK) {
        error = dbt_account_application(txn, change->number, diag, &application_id);
    }
    if (error == PH_OK) {
        error = ensure_event_types(txn, arena, diag);
    }
    return error != PH_OK ? error
                          : dbt_account_find(txn->store, change->number, arena, diag, ret_account);
}
