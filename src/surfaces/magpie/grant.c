/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/magpie/grant.h"

#include "surfaces/magpie/magpie_int.h"

/* --- rows ------------------------------------------------------------------------------------- */

/* The statement for users or for groups, with the holder as its $1. */
static struct db_statement *prepare(struct store *store, const struct magpie_holder *holder,
                                    const char *of_user, const char *of_group)
{
    PH_ASSERT((holder->user == NULL) != (holder->group == NULL));
    struct db_statement *statement =
        db_prepare(store->db, holder->user != NULL ? of_user : of_group);
    db_bind_int64(statement, 1, holder->user != NULL ? holder->user->id : holder->group->id);
    return statement;
}

static bool read_row(struct db_statement *select, struct magpie_permission *ret_permission)
{
    *ret_permission = (struct magpie_permission){
        .name = magpie_permission_name(db_text(select, 0)),
        .access = (enum magpie_access)db_int64(select, 1),
        .scope = (enum magpie_scope)db_int64(select, 2),
    };
    return ret_permission->name != NULL;
}

#define SELECT_OF(holder) "SELECT name, access, scope FROM magpie_" holder "_permission"

enum ph_error magpie_grant_find(struct store *store, const struct magpie_holder *holder,
                                int64_t resource_id, const char *name, struct diag *diag,
                                bool *ret_has, struct magpie_permission *ret_permission)
{
    struct db_statement *select = prepare(
        store, holder, SELECT_OF("user") " WHERE user_id = $1 AND resource_id = $2 AND name = $3",
        SELECT_OF("group") " WHERE group_id = $1 AND resource_id = $2 AND name = $3");
    db_bind_int64(select, 2, resource_id);
    db_bind_text(select, 3, slice_of(name));
    enum ph_error error = db_step(select, diag, ret_has);
    if (error == PH_OK && *ret_has) {
        *ret_has = read_row(select, ret_permission);
        db_done(select);
    }
    return error;
}

enum ph_error magpie_grant_walk(struct store *store, const struct magpie_holder *holder,
                                int64_t resource_id, magpie_grant_each *each, void *context,
                                struct diag *diag)
{
    struct db_statement *select = prepare(
        store, holder, SELECT_OF("user") " WHERE user_id = $1 AND resource_id = $2 ORDER BY name",
        SELECT_OF("group") " WHERE group_id = $1 AND resource_id = $2 ORDER BY name");
    db_bind_int64(select, 2, resource_id);
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        struct magpie_permission permission;
        if (read_row(select, &permission)) {
            each(context, &permission);
        }
    }
    return error;
}

#define SELECT_HELD_BY(holder)                                                                     \
    "SELECT held.name, access, scope, resource.id, resource.name, resource.type, service.name"     \
    " FROM magpie_" holder "_permission AS held"                                                   \
    " JOIN magpie_resource AS resource ON resource.id = held.resource_id"                          \
    " JOIN magpie_resource AS service"                                                             \
    " ON service.id = COALESCE(resource.service_id, resource.id)"                                  \
    " WHERE held." holder "_id = $1 ORDER BY held.resource_id, held.name"

enum ph_error magpie_grant_walk_all(struct store *store, const struct magpie_holder *holder,
                                    magpie_held_each *each, void *context, struct diag *diag)
{
    struct db_statement *select =
        prepare(store, holder, SELECT_HELD_BY("user"), SELECT_HELD_BY("group"));
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        struct magpie_held held = {
            .resource_id = db_int64(select, 3),
            .resource_name = db_text(select, 4),
            .resource_type = db_text(select, 5),
            .service_name = db_text(select, 6),
        };
        if (read_row(select, &held.permission) && !each(context, &held)) {
            db_done(select);
            return PH_OK;
        }
    }
    return error;
}

#define UPSERT_OF(holder)                                                                          \
    "INSERT INTO magpie_" holder "_permission (" holder "_id, resource_id, name, access, scope)"   \
    " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (" holder "_id, resource_id, name)"                  \
    " DO UPDATE SET access = excluded.access, scope = excluded.scope"

static enum ph_error upsert(struct writer_txn *txn, const struct magpie_holder *holder,
                            int64_t resource_id, const struct magpie_permission *permission,
                            struct diag *diag)
{
    struct db_statement *statement =
        prepare(txn->store, holder, UPSERT_OF("user"), UPSERT_OF("group"));
    db_bind_int64(statement, 2, resource_id);
    db_bind_text(statement, 3, slice_of(permission->name));
    db_bind_int64(statement, 4, permission->access);
    db_bind_int64(statement, 5, permission->scope);
    return db_exec(statement, diag);
}

#define DELETE_OF(holder)                                                                          \
    "DELETE FROM magpie_" holder "_permission WHERE " holder "_id = $1 AND resource_id = $2"       \
    " AND name = $3"

static enum ph_error delete_row(struct writer_txn *txn, const struct magpie_holder *holder,
                                int64_t resource_id, const char *name, struct diag *diag)
{
    struct db_statement *statement =
        prepare(txn->store, holder, DELETE_OF("user"), DELETE_OF("group"));
    db_bind_int64(statement, 2, resource_id);
    db_bind_text(statement, 3, slice_of(name));
    return db_exec(statement, diag);
}

/* --- changes ---------------------------------------------------------------------------------- */

static bool is_same(const struct magpie_permission *left, const struct magpie_permission *right)
{
    return left->access == right->access && left->scope == right->scope;
}

enum ph_error magpie_grant_set(struct magpie *magpie, struct writer_txn *txn,
                               const struct magpie_holder *holder,
                               const struct magpie_resource *resource,
                               const struct magpie_permission *permission, struct diag *diag,
                               enum magpie_grant_end *ret_end)
{
    struct magpie_permission former;
    bool has_former;
    if (!magpie_may_permit(resource->service_type, resource->type, permission->name)) {
        return diag_set(diag, PH_BAD_REQUEST, "permission_name",
                        "this permission cannot be given on such a resource");
    }
    enum ph_error error = magpie_grant_find(txn->store, holder, resource->id, permission->name,
                                            diag, &has_former, &former);
    if (error != PH_OK) {
        return error;
    }
    if (has_former && is_same(&former, permission)) {
        *ret_end = MAGPIE_GRANT_UNCHANGED;
        return PH_OK;
    }
    *ret_end = has_former ? MAGPIE_GRANT_REPLACED : MAGPIE_GRANT_NEW;
    error = upsert(txn, holder, resource->id, permission, diag);
    const struct magpie_permission_change taken = {false, holder, resource, &former};
    const struct magpie_permission_change given = {true, holder, resource, permission};
    if (error == PH_OK && has_former) {
        error = magpie_notice_permission(magpie, txn, &taken, diag);
    }
    return error == PH_OK ? magpie_notice_permission(magpie, txn, &given, diag) : error;
}

enum ph_error magpie_grant_remove(struct magpie *magpie, struct writer_txn *txn,
                                  const struct magpie_holder *holder,
                                  const struct magpie_resource *resource, const char *name,
                                  struct diag *diag, bool *ret_had)
{
    struct magpie_permission former;
    enum ph_error error =
        magpie_grant_find(txn->store, holder, resource->id, name, diag, ret_had, &former);
    if (error == PH_OK && *ret_had) {
        error = delete_row(txn, holder, resource->id, name, diag);
    }
    const struct magpie_permission_change taken = {false, holder, resource, &former};
    return error == PH_OK && *ret_had ? magpie_notice_permission(magpie, txn, &taken, diag) : error;
}
