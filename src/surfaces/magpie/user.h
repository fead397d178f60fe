/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of users, and who is in which group. Thread: the store's owner; what writes runs inside the
 * writer's transaction. Nothing here tells anybody of a change.
 */
#ifndef PH_SURFACES_MAGPIE_USER_H
#define PH_SURFACES_MAGPIE_USER_H

#include "base/arena.h"
#include "flow/writer.h"
#include "surfaces/magpie/rule.h"

/* Of sql/0012_magpie.sql. */
#define MAGPIE_USER_ANONYMOUS_ID 1
#define MAGPIE_GROUP_ANONYMOUS_ID 1
#define MAGPIE_GROUP_ADMINISTRATORS_ID 2

#define MAGPIE_ANONYMOUS "anonymous"           /* the user and the group of everybody */
#define MAGPIE_ADMINISTRATOR "admin"           /* a user, once it is made */
#define MAGPIE_ADMINISTRATORS "administrators" /* a group */
#define MAGPIE_CURRENT "current"               /* in paths: the caller */

struct magpie_user {
    int64_t id;
    struct slice name;
    struct slice email; /* SLICE_NONE = none */
    int64_t status;     /* enum magpie_status */
    bool is_administrator;
};

/* PH_NOT_FOUND without words for clients. Texts are copied into `arena`. */
PH_NODISCARD enum ph_error magpie_user_find(struct store *store, struct slice name,
                                            struct arena *arena, struct diag *diag,
                                            struct magpie_user *ret_user);
PH_NODISCARD enum ph_error magpie_user_find_id(struct store *store, int64_t id, struct arena *arena,
                                               struct diag *diag, struct magpie_user *ret_user);
/* The stored text of the password, SLICE_NONE = none. */
PH_NODISCARD enum ph_error magpie_user_password(struct store *store, int64_t id,
                                                struct arena *arena, struct diag *diag,
                                                struct slice *ret_password);

/* Inserts a user of `name`, `email` and `status`. PH_CONFLICT naming the field when one of both is
 * taken; nothing was written then. */
PH_NODISCARD enum ph_error magpie_user_insert(struct writer_txn *txn,
                                              const struct magpie_user *user, struct slice password,
                                              struct diag *diag, int64_t *ret_id);
/* Name, e-mail and status; PH_CONFLICT as above. A password of SLICE_NONE stays as it is. */
PH_NODISCARD enum ph_error magpie_user_update(struct writer_txn *txn,
                                              const struct magpie_user *user, struct slice password,
                                              struct diag *diag);
/* With its memberships, permissions, callbacks and sessions. */
PH_NODISCARD enum ph_error magpie_user_delete(struct writer_txn *txn, int64_t id,
                                              struct diag *diag);
/* A delivery about the user failed, or its receiver said so. No such user: PH_OK, nothing. */
PH_NODISCARD enum ph_error magpie_user_set_webhook_error(struct writer_txn *txn, int64_t user_id,
                                                         struct diag *diag);

/* *ret_is_new is false when the user was a member before. */
PH_NODISCARD enum ph_error magpie_membership_insert(struct writer_txn *txn, int64_t user_id,
                                                    int64_t group_id, struct diag *diag,
                                                    bool *ret_is_new);
/* PH_NOT_FOUND when the user is no member. */
PH_NODISCARD enum ph_error magpie_membership_delete(struct writer_txn *txn, int64_t user_id,
                                                    int64_t group_id, struct diag *diag);

/* Whether somebody else is an administrator still when this user is none any more. Others who ask
 * wait until this transaction has ended. */
PH_NODISCARD enum ph_error magpie_has_other_administrator(struct writer_txn *txn, int64_t user_id,
                                                          struct diag *diag, bool *ret_has);

/*
 * Calls `each` for the users whose status is in `statuses` (bits), in the order of their names.
 * With `with_groups` each comes once for every group it is in, groups in the order of their names
 * (SLICE_NONE = in none). The slices live for the call. It ends early when `each` returns false.
 */
typedef bool magpie_user_each(void *context, const struct magpie_user *user, struct slice group);
PH_NODISCARD enum ph_error magpie_user_walk(struct store *store, int64_t statuses, bool with_groups,
                                            magpie_user_each *each, void *context,
                                            struct diag *diag);
/* The groups of a user by name. */
typedef void magpie_name_each(void *context, struct slice name);
PH_NODISCARD enum ph_error magpie_user_walk_groups(struct store *store, int64_t user_id,
                                                   magpie_name_each *each, void *context,
                                                   struct diag *diag);

#endif
