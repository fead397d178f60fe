/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/magpie/user.h"

#include "surfaces/magpie/magpie_int.h"

#define SELECT_USER                                                                                \
    "SELECT id, name, email, status, EXISTS (SELECT 1 FROM magpie_membership"                      \
    " WHERE user_id = magpie_user.id AND group_id = 2) FROM magpie_user"
_Static_assert(MAGPIE_GROUP_ADMINISTRATORS_ID == 2, "as in the query");

/* --- one user --------------------------------------------------------------------------------- */

static enum ph_error read_one(struct db_statement *select, struct arena *arena, struct diag *diag,
                              struct magpie_user *ret_user)
{
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    if (!has_row) {
        return diag_set(diag, PH_NOT_FOUND, NULL, "no such user");
    }
    struct slice email = db_text(select, 2);
    struct magpie_user user = {
        .id = db_int64(select, 0),
        .name = magpie_copy(arena, db_text(select, 1)),
        .email = magpie_copy(arena, email),
        .status = db_int64(select, 3),
        .is_administrator = db_int64(select, 4) != 0,
    };
    bool is_copied = user.name.ptr != NULL && (user.email.ptr != NULL || email.ptr == NULL);
    db_done(select);
    if (!is_copied) {
        return diag_set(diag, PH_NO_MEMORY, NULL, "the request needs more memory than its limit");
    }
    *ret_user = user;
    return PH_OK;
}

enum ph_error magpie_user_find(struct store *store, struct slice name, struct arena *arena,
                               struct diag *diag, struct magpie_user *ret_user)
{
    struct db_statement *select = db_prepare(store->db, SELECT_USER " WHERE name = $1");
    db_bind_text(select, 1, name);
    return read_one(select, arena, diag, ret_user);
}

enum ph_error magpie_user_find_id(struct store *store, int64_t id, struct arena *arena,
                                  struct diag *diag, struct magpie_user *ret_user)
{
    struct db_statement *select = db_prepare(store->db, SELECT_USER " WHERE id = $1");
    db_bind_int64(select, 1, id);
    return read_one(select, arena, diag, ret_user);
}

enum ph_error magpie_user_password(struct store *store, int64_t id, struct arena *arena,
                                   struct diag *diag, struct slice *ret_password)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT password FROM magpie_user WHERE id = $1");
    db_bind_int64(select, 1, id);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    *ret_password = SLICE_NONE;
    if (has_row) {
        struct slice text = db_text(select, 0);
        *ret_password = magpie_copy(arena, text);
        bool is_copied = text.ptr == NULL || ret_password->ptr != NULL;
        db_done(select);
        if (!is_copied) {
            return diag_set(diag, PH_NO_MEMORY, NULL,
                            "the request needs more memory than its limit");
        }
    }
    return PH_OK;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Which of both another user has; no error when there is none (any more). */
static enum ph_error find_taken(struct store *store, const struct magpie_user *user,
                                struct diag *diag, const char **ret_field)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT name FROM magpie_user WHERE id <> $1"
                              " AND (name = $2 OR email = $3) ORDER BY name = $2 DESC LIMIT 1");
    db_bind_int64(select, 1, user->id);
    db_bind_text(select, 2, user->name);
    db_bind_text(select, 3, user->email);
    bool has_row;
    *ret_field = NULL;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error == PH_OK && has_row) {
        *ret_field = slice_equal(db_text(select, 0), user->name) ? "user_name" : "email";
        db_done(select);
    }
    return error;
}

static enum ph_error refuse_taken(struct diag *diag, const char *field)
{
    return diag_set(diag, PH_CONFLICT, field, "another user has this %s",
                    strcmp(field, "email") == 0 ? "email" : "name");
}

enum ph_error magpie_user_insert(struct writer_txn *txn, const struct magpie_user *user,
                                 struct slice password, struct diag *diag, int64_t *ret_id)
{
    struct db_statement *insert =
        db_prepare(txn->store->db, "INSERT INTO magpie_user (name, email, password, status,"
                                   " created_at) VALUES ($1, $2, $3, $4, $5)"
                                   " ON CONFLICT DO NOTHING RETURNING id");
    db_bind_text(insert, 1, user->name);
    db_bind_text(insert, 2, user->email);
    db_bind_text(insert, 3, password);
    db_bind_int64(insert, 4, user->status);
    db_bind_int64(insert, 5, txn->now_us);
    bool has_row;
    const char *field;
    enum ph_error error = db_step(insert, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    if (has_row) {
        *ret_id = db_int64(insert, 0);
        db_done(insert);
        return PH_OK;
    }
    error = find_taken(txn->store, user, diag, &field);
    return error != PH_OK ? error : refuse_taken(diag, field == NULL ? "user_name" : field);
}

enum ph_error magpie_user_update(struct writer_txn *txn, const struct magpie_user *user,
                                 struct slice password, struct diag *diag)
{
    const char *field;
    enum ph_error error = find_taken(txn->store, user, diag, &field);
    if (error != PH_OK) {
        return error;
    }
    if (field != NULL) {
        return refuse_taken(diag, field);
    }
    struct db_statement *update =
        db_prepare(txn->store->db, "UPDATE magpie_user SET name = $2, email = $3, status = $4,"
                                   " password = COALESCE($5, password) WHERE id = $1");
    db_bind_int64(update, 1, user->id);
    db_bind_text(update, 2, user->name);
    db_bind_text(update, 3, user->email);
    db_bind_int64(update, 4, user->status);
    db_bind_text(update, 5, password);
    return db_exec(update, diag);
}

enum ph_error magpie_user_delete(struct writer_txn *txn, int64_t id, struct diag *diag)
{
    static const char *const statements[] = {
        "DELETE FROM magpie_user_permission WHERE user_id = $1",
        "DELETE FROM magpie_membership WHERE user_id = $1",
        "DELETE FROM magpie_callback WHERE user_id = $1",
        "DELETE FROM magpie_session WHERE user_id = $1",
        "DELETE FROM magpie_user WHERE id = $1",
    };
    enum ph_error error = PH_OK;
    for (size_t index = 0; error == PH_OK && index < PH_ARRAY_LENGTH(statements); index++) {
        struct db_statement *statement = db_prepare(txn->store->db, statements[index]);
        db_bind_int64(statement, 1, id);
        error = db_exec(statement, diag);
    }
    return error;
}

enum ph_error magpie_user_set_webhook_error(struct writer_txn *txn, int64_t user_id,
                                            struct diag *diag)
{
    struct db_statement *update =
        db_prepare(txn->store->db, "UPDATE magpie_user SET status = 2 WHERE id = $1");
    _Static_assert(MAGPIE_STATUS_WEBHOOK_ERROR == 2, "as in the statement");
    db_bind_int64(update, 1, user_id);
    return db_exec(update, diag);
}

/* --- memberships ------------------------------------------------------------------------------ */

enum ph_error magpie_membership_insert(struct writer_txn *txn, int64_t user_id, int64_t group_id,
                                       struct diag *diag, bool *ret_is_new)
{
    struct db_statement *insert =
        db_prepare(txn->store->db, "INSERT INTO magpie_membership (user_id, group_id)"
                                   " VALUES ($1, $2) ON CONFLICT DO NOTHING");
    db_bind_int64(insert, 1, user_id);
    db_bind_int64(insert, 2, group_id);
    enum ph_error error = db_exec(insert, diag);
    if (error == PH_OK) {
        *ret_is_new = db_changes(txn->store->db) > 0;
    }
    return error;
}

enum ph_error magpie_membership_delete(struct writer_txn *txn, int64_t user_id, int64_t group_id,
                                       struct diag *diag)
{
    struct db_statement *statement = db_prepare(
        txn->store->db, "DELETE FROM magpie_membership WHERE user_id = $1 AND group_id = $2");
    db_bind_int64(statement, 1, user_id);
    db_bind_int64(statement, 2, group_id);
    enum ph_error error = db_exec(statement, diag);
    if (error == PH_OK && db_changes(txn->store->db) == 0) {
        error = diag_set(diag, PH_NOT_FOUND, "group_name", "the user is not in this group");
    }
    return error;
}

enum ph_error magpie_has_other_administrator(struct writer_txn *txn, int64_t user_id,
                                             struct diag *diag, bool *ret_has)
{
    /* Of two that leave at once, by two writers, the second sees what the first has done. */
    struct db_statement *lock =
        db_prepare(txn->store->db, "UPDATE magpie_group SET name = name WHERE id = $1");
    db_bind_int64(lock, 1, MAGPIE_GROUP_ADMINISTRATORS_ID);
    enum ph_error error = db_exec(lock, diag);
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *select =
        db_prepare(txn->store->db, "SELECT user_id FROM magpie_membership WHERE group_id = $1"
                                   " AND user_id <> $2 LIMIT 1");
    db_bind_int64(select, 1, MAGPIE_GROUP_ADMINISTRATORS_ID);
    db_bind_int64(select, 2, user_id);
    error = db_step(select, diag, ret_has);
    if (error == PH_OK && *ret_has) {
        db_done(select);
    }
    return error;
}

/* --- lists ------------------------------------------------------------------------------------ */

enum ph_error magpie_user_walk(struct store *store, int64_t statuses, bool with_groups,
                               magpie_user_each *each, void *context, struct diag *diag)
{
    struct db_statement *select = db_prepare(
        store->db, with_groups
                       ? "SELECT magpie_user.id, magpie_user.name, email, status, magpie_group.name"
                         " FROM magpie_user LEFT JOIN magpie_membership"
                         " ON magpie_membership.user_id = magpie_user.id"
                         " LEFT JOIN magpie_group ON magpie_group.id = magpie_membership.group_id"
                         " WHERE (status & $1) <> 0 ORDER BY magpie_user.name, magpie_group.name"
                       : "SELECT id, name, email, status, NULL FROM magpie_user"
                         " WHERE (status & $1) <> 0 ORDER BY name");
    db_bind_int64(select, 1, statuses);
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        const struct magpie_user user = {
            .id = db_int64(select, 0),
            .name = db_text(select, 1),
            .email = db_text(select, 2),
            .status = db_int64(select, 3),
        };
        if (!each(context, &user, db_text(select, 4))) {
            db_done(select);
            return PH_OK;
        }
    }
    return error;
}

enum ph_error magpie_user_walk_groups(struct store *store, int64_t user_id, magpie_name_each *each,
                                      void *context, struct diag *diag)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT magpie_group.name FROM magpie_membership JOIN magpie_group"
                              " ON magpie_group.id = magpie_membership.group_id"
                              " WHERE magpie_membership.user_id = $1 ORDER BY magpie_group.name");
    db_bind_int64(select, 1, user_id);
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        each(context, db_text(select, 0));
    }
    return error;
}
