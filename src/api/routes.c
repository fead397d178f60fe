/* SPDX-License-Identifier: Apache-2.0 */
/* The table of operations: one row each, nothing about an operation stands anywhere else. */
#include "api/api_int.h"

#define BODY API_BODY_MAX
#define APP "/api/v1/app/{app_id}"
#define ENDPOINT APP "/endpoint/{endpoint_id}"
#define MSG APP "/msg/{msg_id}"

/* R(method, pattern, body, auth, function, id) */
#define R(method, pattern, body, auth, function, id)                                               \
    {                                                                                              \
        HTTP_##method, pattern, api_handle, body, &(const struct api_operation)                    \
        {                                                                                          \
            API_AUTH_##auth, function, id                                                          \
        }                                                                                          \
    }
#define LATER(method, pattern, auth) R(method, pattern, BODY, auth, api_not_implemented, pattern)

static const struct http_route routes[] = {
    R(GET, "/health", 0, NONE, api_health_live, "health.live"),
    R(GET, "/health/ready", 0, NONE, api_health_ready, "health.ready"),
    R(GET, "/metrics", 0, NONE, api_metrics, "metrics"),
    R(GET, "/api/v1/health", 0, NONE, api_health, "v1.health.get"),
    R(GET, "/api/v1/health/ping", 0, NONE, api_health_ping, "v1.health.ping"),

    R(GET, "/api/v1/app", 0, ORGANISATION, api_application_list, "v1.application.list"),
    R(POST, "/api/v1/app", BODY, ORGANISATION, api_application_create, "v1.application.create"),
    R(GET, APP, 0, APPLICATION, api_application_get, "v1.application.get"),
    R(PUT, APP, BODY, ORGANISATION, api_application_put, "v1.application.update"),
    R(PATCH, APP, BODY, ORGANISATION, api_application_patch, "v1.application.patch"),
    R(DELETE, APP, 0, ORGANISATION, api_application_delete, "v1.application.delete"),

    R(GET, "/api/v1/event-type", 0, READ_ALL, api_event_type_list, "v1.event-type.list"),
    R(POST, "/api/v1/event-type", BODY, ORGANISATION, api_event_type_create,
      "v1.event-type.create"),
    R(GET, "/api/v1/event-type/{name}", 0, READ_ALL, api_event_type_get, "v1.event-type.get"),
    R(PUT, "/api/v1/event-type/{name}", BODY, ORGANISATION, api_event_type_put,
      "v1.event-type.update"),
    R(PATCH, "/api/v1/event-type/{name}", BODY, ORGANISATION, api_event_type_patch,
      "v1.event-type.patch"),
    R(DELETE, "/api/v1/event-type/{name}", 0, ORGANISATION, api_event_type_delete,
      "v1.event-type.delete"),

    R(GET, APP "/endpoint", 0, APPLICATION, api_endpoint_list, "v1.endpoint.list"),
    R(POST, APP "/endpoint", BODY, APPLICATION, api_endpoint_create, "v1.endpoint.create"),
    R(GET, ENDPOINT, 0, APPLICATION, api_endpoint_get, "v1.endpoint.get"),
    R(PUT, ENDPOINT, BODY, APPLICATION, api_endpoint_put, "v1.endpoint.update"),
    R(PATCH, ENDPOINT, BODY, APPLICATION, api_endpoint_patch, "v1.endpoint.patch"),
    R(DELETE, ENDPOINT, 0, APPLICATION, api_endpoint_delete, "v1.endpoint.delete"),
    R(GET, ENDPOINT "/secret", 0, APPLICATION, api_endpoint_secret_get, "v1.endpoint.get-secret"),
    R(POST, ENDPOINT "/secret/rotate", BODY, APPLICATION, api_endpoint_secret_rotate,
      "v1.endpoint.rotate-secret"),
    R(GET, ENDPOINT "/headers", 0, APPLICATION, api_endpoint_headers_get,
      "v1.endpoint.get-headers"),
    R(PUT, ENDPOINT "/headers", BODY, APPLICATION, api_endpoint_headers_put,
      "v1.endpoint.update-headers"),
    R(PATCH, ENDPOINT "/headers", BODY, APPLICATION, api_endpoint_headers_patch,
      "v1.endpoint.patch-headers"),
    R(GET, ENDPOINT "/msg", 0, APPLICATION, api_attempted_messages,
      "v1.message-attempt.list-attempted-messages"),

    R(GET, APP "/msg", 0, APPLICATION, api_message_list, "v1.message.list"),
    R(POST, APP "/msg", BODY, ORGANISATION, api_message_create, "v1.message.create"),
    R(GET, MSG, 0, APPLICATION, api_message_get, "v1.message.get"),
    R(DELETE, MSG "/content", 0, ORGANISATION, api_message_expunge, "v1.message.expunge-content"),
    R(POST, MSG "/endpoint/{endpoint_id}/resend", BODY, APPLICATION, api_message_resend,
      "v1.message-attempt.resend"),

    R(GET, APP "/attempt/endpoint/{endpoint_id}", 0, APPLICATION, api_attempt_list_by_endpoint,
      "v1.message-attempt.list-by-endpoint"),
    R(GET, APP "/attempt/msg/{msg_id}", 0, APPLICATION, api_attempt_list_by_message,
      "v1.message-attempt.list-by-msg"),
    R(GET, MSG "/attempt/{attempt_id}", 0, APPLICATION, api_attempt_get, "v1.message-attempt.get"),
    R(DELETE, MSG "/attempt/{attempt_id}/content", 0, ORGANISATION, api_attempt_expunge,
      "v1.message-attempt.expunge-content"),
    R(GET, MSG "/endpoint", 0, APPLICATION, api_attempted_endpoints,
      "v1.message-attempt.list-attempted-destinations"),
    R(GET, MSG "/attempt", 0, APPLICATION, api_attempt_list_of_message,
      "v1.message-attempt.list-by-msg-deprecated"),
    R(GET, MSG "/endpoint/{endpoint_id}/attempt", 0, APPLICATION, api_attempt_list_of_delivery,
      "v1.message-attempt.list-by-endpoint-deprecated"),

    /* Known to the SDKs and not built: 501 with the envelope. */
    LATER(POST, "/api/v1/auth/app-portal-access/{app_id}", ORGANISATION),
    LATER(POST, "/api/v1/auth/dashboard-access/{app_id}", ORGANISATION),
    LATER(POST, "/api/v1/auth/app/{app_id}/expire-all", ORGANISATION),
    LATER(POST, "/api/v1/auth/logout", READ_ALL),
    LATER(POST, ENDPOINT "/recover", APPLICATION),
    LATER(POST, ENDPOINT "/replay-missing", APPLICATION),
    LATER(POST, ENDPOINT "/bulk-replay", APPLICATION),
    LATER(POST, ENDPOINT "/send-example", APPLICATION),
    LATER(GET, ENDPOINT "/stats", APPLICATION),
    LATER(GET, ENDPOINT "/transformation", APPLICATION),
    LATER(PATCH, ENDPOINT "/transformation", APPLICATION),
    LATER(GET, "/api/v1/background-task", ORGANISATION),
    LATER(GET, "/api/v1/background-task/{task_id}", ORGANISATION),
    LATER(POST, "/api/v1/stats/usage/app", ORGANISATION),
    LATER(PUT, "/api/v1/stats/usage/event-types", ORGANISATION),
    LATER(POST, APP "/msg/precheck/active", APPLICATION),
    LATER(POST, APP "/msg/bulk-expunge", ORGANISATION),
    LATER(POST, APP "/msg/expunge-all-contents", ORGANISATION),
    LATER(GET, APP "/poller/{sink_id}", APPLICATION),
    LATER(GET, APP "/integration", APPLICATION),
    LATER(POST, APP "/integration", APPLICATION),
    LATER(GET, "/api/v1/operational-webhook/endpoint", ORGANISATION),
    LATER(POST, "/api/v1/operational-webhook/endpoint", ORGANISATION),
    LATER(POST, "/api/v1/event-type/import/openapi", ORGANISATION),
    LATER(POST, "/api/v1/environment/export", ORGANISATION),
    LATER(POST, "/api/v1/environment/import", ORGANISATION),
};

const struct http_route *api_routes(size_t *ret_count)
{
    *ret_count = PH_ARRAY_LENGTH(routes);
    return routes;
}
