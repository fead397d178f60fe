/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Permissions and what they can stand on (magpie spec section 9): names, the three forms of a
 * permission, types of services and resources and how they nest. Pure; any thread.
 */
#ifndef PH_SURFACES_MAGPIE_PERMISSION_H
#define PH_SURFACES_MAGPIE_PERMISSION_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

/* Stored in the database: append only, never renumber. */
enum magpie_access { MAGPIE_ALLOW, MAGPIE_DENY };
enum magpie_scope { MAGPIE_RECURSIVE, MAGPIE_MATCH };

struct magpie_permission {
    const char *name; /* one of the 23, static text */
    enum magpie_access access;
    enum magpie_scope scope;
};

#define MAGPIE_PERMISSION_TEXT_MAX 64

/*
 * Reads `name`, `name-match`, `name-deny`, `name-access` and `name-access-scope`; what is left out
 * is allow and recursive. PH_INVALID naming `field`.
 */
PH_NODISCARD enum ph_error magpie_permission_parse(struct slice text, const char *field,
                                                   struct diag *diag,
                                                   struct magpie_permission *ret_permission);
/* From the members of an object; SLICE_NONE = left out. PH_INVALID naming `field`. */
PH_NODISCARD enum ph_error magpie_permission_from(struct slice name, struct slice access,
                                                  struct slice scope, const char *field,
                                                  struct diag *diag,
                                                  struct magpie_permission *ret_permission);
/* Appends the explicit form, "read-allow-match". */
void magpie_permission_append(const struct magpie_permission *permission, struct buf *text);
const char *magpie_access_name(enum magpie_access access); /* "allow" */
const char *magpie_scope_name(enum magpie_scope scope);    /* "recursive" */
/* All names, 0..MAGPIE_PERMISSION_COUNT - 1. Static text. */
#define MAGPIE_PERMISSION_COUNT 23
const char *magpie_permission_at(size_t index);
/* The static text of a permission's name, NULL when there is no such permission. */
const char *magpie_permission_name(struct slice name);

/* All types of services, NULL behind the last one. Static text. */
const char *magpie_service_type_at(size_t index);
/* Whether there is such a type of service, or of resource. */
bool magpie_is_service_type(struct slice service_type);
bool magpie_is_resource_type(struct slice resource_type);
/* Whether a resource of type `child` may stand below `parent` ("service" at the top) in a service
 * of this type. */
bool magpie_may_nest(struct slice service_type, struct slice parent, struct slice child);
/* Whether the permission may be given on a resource of this type ("service" for the service itself)
 * in a service of this type. */
bool magpie_may_permit(struct slice service_type, struct slice resource_type, const char *name);

#endif
