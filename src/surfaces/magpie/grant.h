/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Permissions that users and groups have on resources: rows, and the changes that are told of
 * (magpie spec section 3.1). At most one of a name for each of them on a resource. Thread: the
 * store's owner; what writes runs inside the writer's transaction.
 */
#ifndef PH_SURFACES_MAGPIE_GRANT_H
#define PH_SURFACES_MAGPIE_GRANT_H

#include "surfaces/magpie/notice.h"

/* The one of this name. *ret_has is false when there is none. */
PH_NODISCARD enum ph_error magpie_grant_find(struct store *store,
                                             const struct magpie_holder *holder,
                                             int64_t resource_id, const char *name,
                                             struct diag *diag, bool *ret_has,
                                             struct magpie_permission *ret_permission);
/* Calls `each` for all that the holder has on the resource, by name. */
typedef void magpie_grant_each(void *context, const struct magpie_permission *permission);
PH_NODISCARD enum ph_error magpie_grant_walk(struct store *store,
                                             const struct magpie_holder *holder,
                                             int64_t resource_id, magpie_grant_each *each,
                                             void *context, struct diag *diag);

/* A permission with where it stands. */
struct magpie_held {
    int64_t resource_id;
    struct slice resource_name;
    struct slice resource_type;
    struct slice service_name;
    struct magpie_permission permission;
};
/* Calls `each` for all that the holder has anywhere, by resource and name, until it returns false;
 * slices live for the call. */
typedef bool magpie_held_each(void *context, const struct magpie_held *held);
PH_NODISCARD enum ph_error magpie_grant_walk_all(struct store *store,
                                                 const struct magpie_holder *holder,
                                                 magpie_held_each *each, void *context,
                                                 struct diag *diag);

enum magpie_grant_end {
    MAGPIE_GRANT_NEW,
    MAGPIE_GRANT_REPLACED,  /* it had other modifiers: told as taken, then as given */
    MAGPIE_GRANT_UNCHANGED, /* nothing was told */
};
/* Gives a permission in place of one of the same name. PH_BAD_REQUEST when the resource does not
 * know it. */
PH_NODISCARD enum ph_error magpie_grant_set(struct magpie *magpie, struct writer_txn *txn,
                                            const struct magpie_holder *holder,
                                            const struct magpie_resource *resource,
                                            const struct magpie_permission *permission,
                                            struct diag *diag, enum magpie_grant_end *ret_end);
/* Takes the one of this name; it is told with the modifiers that it had. *ret_had is false when
 * there was none. */
PH_NODISCARD enum ph_error magpie_grant_remove(struct magpie *magpie, struct writer_txn *txn,
                                               const struct magpie_holder *holder,
                                               const struct magpie_resource *resource,
                                               const char *name, struct diag *diag, bool *ret_had);

#endif
