/* SPDX-License-Identifier: Apache-2.0 */
/* The application `magpie`, whose messages are the surface's events. */
#include "store/application.h"
#include "store/event_type.h"
#include "surfaces/magpie/magpie_int.h"
#include "surfaces/magpie/user.h"

#define ARENA_BYTES ((size_t)1024 * 1024)

static enum ph_error ensure_event_type(struct writer_txn *txn, enum magpie_action action,
                                       struct diag *diag)
{
    struct event_type_row row;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    struct slice name = slice_of(magpie_action_event_type(action));
    enum ph_error error =
        event_type_find(txn->store, slice_of(DEFAULT_ORGANISATION), name, &arena, diag, &row);
    if (error != PH_NOT_FOUND) {
        return error;
    }
    row = (struct event_type_row){
        .id = writer_txn_new_id(txn),
        .org = slice_of(DEFAULT_ORGANISATION),
        .name = name,
        .description = slice_of(magpie_action_description(action)),
        .group_name = SLICE_LITERAL("magpie"),
        .created_at_us = txn->now_us,
        .updated_at_us = txn->now_us,
    };
    return event_type_insert(txn->store, &row, diag);
}

static enum ph_error insert_application(struct writer_txn *txn, struct diag *diag,
                                        int64_t *ret_application_id)
{
    const struct application_row row = {
        .id = writer_txn_new_id(txn),
        .org = slice_of(DEFAULT_ORGANISATION),
        .uid = SLICE_LITERAL(MAGPIE_APPLICATION),
        .name = SLICE_LITERAL("Magpie"),
        .metadata = SLICE_LITERAL("{}"),
        .created_at_us = txn->now_us,
        .updated_at_us = txn->now_us,
    };
    *ret_application_id = row.id;
    return application_insert(txn->store, &row, diag);
}

enum ph_error magpie_application_ensure(struct writer_txn *txn, struct diag *diag,
                                        int64_t *ret_application_id)
{
    enum ph_error error =
        application_resolve(txn->store, slice_of(DEFAULT_ORGANISATION),
                            SLICE_LITERAL(MAGPIE_APPLICATION), diag, ret_application_id);
    if (error == PH_NOT_FOUND) {
        error = insert_application(txn, diag, ret_application_id);
    }
    for (unsigned action = 0; error == PH_OK && action < MAGPIE_ACTION_COUNT; action++) {
        error = ensure_event_type(txn, (enum magpie_action)action, diag);
    }
    return error;
}

enum ph_error magpie_owns_application(void *state, struct store *store, struct slice uid,
                                      struct diag *diag, bool *ret_owns)
{
    const struct magpie *magpie = state;
    bool is_ours = slice_equal_text(uid, MAGPIE_APPLICATION);
    *ret_owns = is_ours && magpie->settings.config_path != NULL;
    if (!is_ours || *ret_owns) {
        return PH_OK;
    }
    struct db_statement *select =
        db_prepare(store->db, "SELECT id FROM magpie_user WHERE id <> $1 LIMIT 1");
    db_bind_int64(select, 1, MAGPIE_USER_ANONYMOUS_ID);
    enum ph_error error = db_step(select, diag, ret_owns);
    if (error == PH_OK && *ret_owns) {
        db_done(select);
    }
    return error;
}
