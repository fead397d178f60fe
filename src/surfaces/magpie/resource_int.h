/* SPDX-License-Identifier: Apache-2.0 */
/* What the operations on services, resources and permissions share. */
#ifndef PH_SURFACES_MAGPIE_RESOURCE_INT_H
#define PH_SURFACES_MAGPIE_RESOURCE_INT_H

#include "surfaces/magpie/identity_int.h"
#include "surfaces/magpie/permission.h"
#include "surfaces/magpie/resource.h"

/* A number in a path; PH_INVALID naming `resource_id`. */
PH_NODISCARD enum ph_error magpie_path_resource_id(struct api_call *call, struct diag *diag,
                                                   int64_t *ret_id);
/* The resource that the path's `resource_id` or `service_name` names. 404. */
PH_NODISCARD enum ph_error magpie_path_resource(struct api_call *call, struct store *store,
                                                struct diag *diag,
                                                struct magpie_resource *ret_resource);
/* Whether the route has such a parameter, "{user_name}"; the pattern says so. */
bool magpie_path_has(const struct api_call *call, const char *parameter);

/* The four members that every resource has. */
void magpie_resource_write_facts(struct json_out *out, const struct magpie_resource *resource);
/* `"children":{…}` of a resource: all below it. `rows` are those, or more of its service. */
void magpie_resource_write_children(struct json_out *out, const char *key,
                                    const struct magpie_resource *rows, size_t count, int64_t id);
/* `permission_names`: what may be given on it. */
void magpie_resource_write_allowed(struct json_out *out, const struct magpie_resource *resource);
void magpie_service_write_facts(struct api_call *call, struct json_out *out,
                                const struct magpie_service *service);
/* Answers with `permission_names` and `permissions` of what may be given on it. */
PH_NODISCARD enum ph_error magpie_resource_answer_allowed(struct api_call *call, struct diag *diag);
/* `{"name":…,"access":…,"scope":…,"type":…}` */
void magpie_permission_write(struct json_out *out, const struct magpie_permission *permission,
                             const char *type);
/* The explicit form as a JSON text. */
void magpie_permission_write_name(struct json_out *out, const struct magpie_permission *permission);
/* A permission in a body: a text, or an object of name, access and scope. PH_INVALID naming
 * `field`. */
PH_NODISCARD enum ph_error magpie_permission_read(enum scan_type type, struct slice json,
                                                  const char *field, struct arena *arena,
                                                  struct diag *diag,
                                                  struct magpie_permission *ret_permission);
/* Creates a resource below `parent` in a job that answers 201. */
PH_NODISCARD enum ph_error magpie_resource_submit(struct api_call *call, bool is_below_service,
                                                  struct diag *diag);

#endif
