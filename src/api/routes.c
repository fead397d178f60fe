/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of operations.def as the router's table. */
#include "api/api_int.h"

/* Paths. */
#define APP "/api/v1/app/{app_id}"
#define ENDPOINT APP "/endpoint/{endpoint_id}"
#define MSG APP "/msg/{msg_id}"
#define SINK APP "/sink/{sink_id}"
#define POLLER APP "/poller/{sink_id}"
#define INTEGRATION APP "/integration/{integ_id}"
#define DESTINATION APP "/destination/{destination_id}"
#define EVENT_TYPE "/api/v1/event-type/{event_type_name}"
#define OPERATIONAL "/api/v1/operational-webhook/endpoint"
#define CONNECTOR "/api/v1/connector/{connector_id}"
#define STREAM_EVENT_TYPES "/api/v1/stream/event-type"
#define STREAM "/api/v1/stream/{stream_id}"
#define STREAM_SINK STREAM "/sink/{sink_id}"
#define POLLER_TOKEN "/api/v1/auth/stream/{stream_id}/sink/{sink_id}/poller/token"
#define SOURCE "/ingest/api/v1/source/{source_id}"
#define SOURCE_ENDPOINT SOURCE "/endpoint/{endpoint_id}"

/* Query parameters that go together. */
#define PAGE "limit iterator"
#define LIST PAGE " order"
#define EXCLUDE_APPS                                                                               \
    "exclude_apps_with_no_endpoints exclude_apps_with_disabled_endpoints "                         \
    "exclude_apps_with_svix_play_endpoints"
#define ATTEMPTS                                                                                   \
    PAGE " attempt_status status_code_class channel tag before after with_content with_msg "       \
         "expanded_statuses event_types"

#define BODY_OF_GET 0
#define BODY_OF_DELETE 0
#define BODY_OF_POST API_BODY_MAX
#define BODY_OF_PUT API_BODY_MAX
#define BODY_OF_PATCH API_BODY_MAX

#define OP(method, path, auth, function, id, summary, query, request, statuses, response)          \
    OP_OF(method, path, BODY_OF_##method, auth, function, id, summary, query, request, statuses,   \
          response)
#define OP_OF(method, path, body_max, auth, function, id, summary, query, request, statuses,       \
              response)                                                                            \
    {HTTP_##method, path, api_handle, body_max,                                                    \
     &(const struct api_operation){API_AUTH_##auth, function, id, summary, query, request,         \
                                   statuses, response}},
#define LATER(method, path, auth, id, summary)                                                     \
    OP(method, path, auth, api_not_implemented, id, summary, "", NULL, "", NULL)

static const struct http_route routes[] = {
#include "api/operations.def"
};

const struct http_route *api_routes(size_t *ret_count)
{
    *ret_count = PH_ARRAY_LENGTH(routes);
    return routes;
}
