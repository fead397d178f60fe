/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of resources: a tree for each service, whose root is the service itself. A tree has at most
 * MAGPIE_RESOURCES_MAX rows, MAGPIE_DEPTH_MAX deep, so that it can be read, and deleted, at once.
 * Thread: the store's owner; what writes runs inside the writer's transaction.
 */
#ifndef PH_SURFACES_MAGPIE_RESOURCE_H
#define PH_SURFACES_MAGPIE_RESOURCE_H

#include "base/arena.h"
#include "flow/writer.h"

#define MAGPIE_RESOURCES_MAX 20000 /* below one service */
#define MAGPIE_DEPTH_MAX 32        /* below the service */

#define MAGPIE_TYPE_SERVICE "service"

struct magpie_resource {
    int64_t id;
    int64_t parent_id;  /* 0 = it is a service */
    int64_t service_id; /* its own id if it is one */
    struct slice name;
    struct slice display_name; /* empty: the name is shown */
    struct slice type;         /* "service", "route" */
    /* Of the service. */
    struct slice service_type;
    struct slice sync_type; /* SLICE_NONE = none */
};

/* What a service has besides. */
struct magpie_service {
    struct magpie_resource resource;
    struct slice url;
    struct slice configuration; /* JSON object, SLICE_NONE = none */
};

/* PH_NOT_FOUND naming `resource_id`, `service_name` or `resource_name`. Texts are copied into
 * `arena`. */
PH_NODISCARD enum ph_error magpie_resource_find(struct store *store, int64_t id,
                                                struct arena *arena, struct diag *diag,
                                                struct magpie_resource *ret_resource);
PH_NODISCARD enum ph_error magpie_resource_find_child(struct store *store, int64_t parent_id,
                                                      struct slice name, struct arena *arena,
                                                      struct diag *diag,
                                                      struct magpie_resource *ret_resource);
PH_NODISCARD enum ph_error magpie_service_find(struct store *store, struct slice name,
                                               struct arena *arena, struct diag *diag,
                                               struct magpie_service *ret_service);
PH_NODISCARD enum ph_error magpie_service_find_id(struct store *store, int64_t id,
                                                  struct arena *arena, struct diag *diag,
                                                  struct magpie_service *ret_service);

/* Inserts a service; PH_CONFLICT naming `service_name`. Sets the ids of *service. */
PH_NODISCARD enum ph_error magpie_service_insert(struct writer_txn *txn,
                                                 struct magpie_service *service, struct diag *diag);
/*
 * Inserts `child` (name, display name, type) below `parent`, and fills in the rest of it.
 * PH_FORBIDDEN when its type may not stand there, or the tree is too deep or too large; PH_CONFLICT
 * naming `resource_name` for a name that a sibling has.
 */
PH_NODISCARD enum ph_error magpie_resource_insert(struct writer_txn *txn,
                                                  const struct magpie_resource *parent,
                                                  struct magpie_resource *child, struct diag *diag);
/* Name and display name; PH_CONFLICT as above, of a service naming `service_name`. */
PH_NODISCARD enum ph_error magpie_resource_update(struct writer_txn *txn,
                                                  const struct magpie_resource *resource,
                                                  struct diag *diag);
/* Its name, URL and configuration. */
PH_NODISCARD enum ph_error magpie_service_update(struct writer_txn *txn,
                                                 const struct magpie_service *service,
                                                 struct diag *diag);
/* With all that stands below it and the permissions on them; a service too. */
PH_NODISCARD enum ph_error magpie_resource_delete(struct writer_txn *txn,
                                                  const struct magpie_resource *resource,
                                                  struct diag *diag);

/* All below a resource in the order of their ids, so parents first. *ret_rows is of the arena. Of
 * one snapshot: inside a transaction. */
PH_NODISCARD enum ph_error
magpie_resource_tree(struct store *store, const struct magpie_resource *root, struct arena *arena,
                     struct diag *diag, struct magpie_resource **ret_rows, size_t *ret_count);
/* Calls `each` for every service in the order of types and names, until it returns false; slices
 * live for the call. */
typedef bool magpie_service_each(void *context, const struct magpie_service *service);
PH_NODISCARD enum ph_error magpie_service_walk(struct store *store, magpie_service_each *each,
                                               void *context, struct diag *diag);

#endif
