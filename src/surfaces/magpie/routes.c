/* SPDX-License-Identifier: Apache-2.0 */
/* The surface's table of routes. */
#include "surfaces/magpie/identity_int.h"

#define OPERATION(who, wanted, operation, name)                                                    \
    &(const struct surface_operation)                                                              \
    {                                                                                              \
        .auth = SURFACE_AUTH_##who, .permission = MAGPIE_NEED_##wanted, .function = (operation),   \
        .id = "magpie." name                                                                       \
    }
#define PUBLIC(method, pattern, body_max, operation, name)                                         \
    {                                                                                              \
        HTTP_##method, (pattern), surface_handle, (body_max),                                      \
            OPERATION(NONE, SELF, operation, name)                                                 \
    }
#define ROUTE(method, pattern, body_max, wanted, operation, name)                                  \
    {                                                                                              \
        HTTP_##method, (pattern), surface_handle, (body_max),                                      \
            OPERATION(TOKEN, wanted, operation, name)                                              \
    }

#define BODY ((size_t)256 * 1024)
#define USER "/users/{user_name}"
#define GROUP "/groups/{group_name}"
#define SERVICE "/services/{service_name}"
#define RESOURCE "/resources/{resource_id}"

/* One of the four collections of permissions. */
#define GRANTS(pattern, who, name)                                                                 \
    ROUTE(GET, pattern "/permissions", 0, who, magpie_grant_list, name ".list"),                   \
        ROUTE(POST, pattern "/permissions", BODY, ADMINISTRATOR, magpie_grant_post,                \
              name ".create"),                                                                     \
        ROUTE(PUT, pattern "/permissions", BODY, ADMINISTRATOR, magpie_grant_put, name ".set"),    \
        ROUTE(DELETE, pattern "/permissions", BODY, ADMINISTRATOR, magpie_grant_delete,            \
              name ".delete"),                                                                     \
        ROUTE(DELETE, pattern "/permissions/{permission_name}", 0, ADMINISTRATOR,                  \
              magpie_grant_delete_named, name ".delete_named")

const struct http_route magpie_routes[] = {
    PUBLIC(POST, "/signin", BODY, magpie_sign_in, "sign_in"),
    PUBLIC(GET, "/signout", 0, magpie_sign_out, "sign_out"),
    PUBLIC(GET, "/session", 0, magpie_session_get, "session.get"),
    PUBLIC(GET, "/tmp/{token}", 0, magpie_callback_use, "callback.use"),

    ROUTE(GET, "/users", 0, ADMINISTRATOR, magpie_user_list, "user.list"),
    ROUTE(POST, "/users", BODY, ADMINISTRATOR, magpie_user_create, "user.create"),
    ROUTE(GET, USER, 0, SELF, magpie_user_get, "user.get"),
    ROUTE(PATCH, USER, BODY, SELF, magpie_user_patch, "user.update"),
    ROUTE(DELETE, USER, 0, SELF, magpie_user_remove, "user.delete"),
    ROUTE(GET, USER "/groups", 0, SELF, magpie_user_groups_list, "user.groups.list"),
    ROUTE(POST, USER "/groups", BODY, ADMINISTRATOR, magpie_user_groups_add, "user.groups.add"),
    ROUTE(DELETE, USER GROUP, 0, ADMINISTRATOR, magpie_user_groups_remove, "user.groups.remove"),

    ROUTE(GET, "/groups", 0, ADMINISTRATOR, magpie_group_list, "group.list"),
    ROUTE(POST, "/groups", BODY, ADMINISTRATOR, magpie_group_create, "group.create"),
    ROUTE(GET, GROUP, 0, ADMINISTRATOR, magpie_group_get, "group.get"),
    ROUTE(PATCH, GROUP, BODY, ADMINISTRATOR, magpie_group_patch, "group.update"),
    ROUTE(DELETE, GROUP, 0, ADMINISTRATOR, magpie_group_remove, "group.delete"),
    ROUTE(GET, GROUP "/users", 0, ADMINISTRATOR, magpie_group_users_list, "group.users.list"),

    ROUTE(GET, "/services", 0, ADMINISTRATOR, magpie_service_list, "service.list"),
    ROUTE(POST, "/services", BODY, ADMINISTRATOR, magpie_service_create, "service.create"),
    ROUTE(GET, "/services/types", 0, ADMINISTRATOR, magpie_service_type_list, "service.types.list"),
    ROUTE(GET, "/services/types/{service_type}", 0, ADMINISTRATOR, magpie_service_type_get,
          "service.types.get"),
    ROUTE(GET, SERVICE, 0, ADMINISTRATOR, magpie_service_get, "service.get"),
    ROUTE(PATCH, SERVICE, BODY, ADMINISTRATOR, magpie_service_patch, "service.update"),
    ROUTE(DELETE, SERVICE, 0, ADMINISTRATOR, magpie_service_remove, "service.delete"),
    ROUTE(GET, SERVICE "/permissions", 0, ADMINISTRATOR, magpie_service_permissions_list,
          "service.permissions.list"),
    ROUTE(GET, SERVICE "/resources", 0, ADMINISTRATOR, magpie_service_resources_list,
          "service.resources.list"),
    ROUTE(POST, SERVICE "/resources", BODY, ADMINISTRATOR, magpie_service_resources_create,
          "service.resources.create"),

    ROUTE(GET, "/resources", 0, ADMINISTRATOR, magpie_resource_list, "resource.list"),
    ROUTE(POST, "/resources", BODY, ADMINISTRATOR, magpie_resource_create, "resource.create"),
    ROUTE(GET, RESOURCE, 0, ADMINISTRATOR, magpie_resource_get, "resource.get"),
    ROUTE(PATCH, RESOURCE, BODY, ADMINISTRATOR, magpie_resource_patch, "resource.update"),
    ROUTE(DELETE, RESOURCE, 0, ADMINISTRATOR, magpie_resource_remove, "resource.delete"),
    ROUTE(GET, RESOURCE "/permissions", 0, ADMINISTRATOR, magpie_resource_permissions_list,
          "resource.permissions.list"),

    ROUTE(GET, USER "/permissions", 0, SELF, magpie_grant_list_all, "user.permission.list"),
    ROUTE(GET, GROUP "/permissions", 0, ADMINISTRATOR, magpie_grant_list_all,
          "group.permission.list"),
    GRANTS(USER RESOURCE, SELF, "user.resource.permission"),
    GRANTS(USER SERVICE, SELF, "user.service.permission"),
    GRANTS(GROUP RESOURCE, ADMINISTRATOR, "group.resource.permission"),
    GRANTS(GROUP SERVICE, ADMINISTRATOR, "group.service.permission"),
    ROUTE(PATCH, "/permissions", BODY, ADMINISTRATOR, magpie_batch_patch, "permission.batch"),

    ROUTE(GET, "/webhooks", 0, ADMINISTRATOR, magpie_webhooks_list, "webhook.list"),
    ROUTE(POST, "/webhooks/reload", BODY, ADMINISTRATOR, magpie_webhooks_reload, "webhook.reload"),
    ROUTE(POST, "/events", BODY, ADMINISTRATOR, magpie_events_create, "event.create"),
};
_Static_assert(PH_ARRAY_LENGTH(magpie_routes) == MAGPIE_ROUTE_COUNT, "as in the header");
