/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is told of changes (magpie spec section 3): the parameters of each action, emitted in the
 * transaction of the change. Writer thread.
 */
#ifndef PH_SURFACES_MAGPIE_NOTICE_H
#define PH_SURFACES_MAGPIE_NOTICE_H

#include "surfaces/magpie/group.h"
#include "surfaces/magpie/permission.h"
#include "surfaces/magpie/resource.h"
#include "surfaces/magpie/user.h"

struct magpie;

/* A user was made, or has another status. Makes the callback of the event, hook or not. */
PH_NODISCARD enum ph_error magpie_notice_user_created(struct magpie *magpie, struct writer_txn *txn,
                                                      const struct magpie_user *user,
                                                      struct diag *diag);
PH_NODISCARD enum ph_error magpie_notice_user_status(struct magpie *magpie, struct writer_txn *txn,
                                                     const struct magpie_user *user,
                                                     struct diag *diag);
PH_NODISCARD enum ph_error magpie_notice_user_deleted(struct magpie *magpie, struct writer_txn *txn,
                                                      const struct magpie_user *user,
                                                      struct diag *diag);
/* Who has a permission: one of both is NULL. */
struct magpie_holder {
    const struct magpie_user *user;
    const struct magpie_group *group;
};

/* A permission was given to, or taken from, a user or a group. */
struct magpie_permission_change {
    bool is_given;
    const struct magpie_holder *holder;
    const struct magpie_resource *resource;
    const struct magpie_permission *permission;
};
PH_NODISCARD enum ph_error magpie_notice_permission(struct magpie *magpie, struct writer_txn *txn,
                                                    const struct magpie_permission_change *change,
                                                    struct diag *diag);

#endif
