/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this folder share beside calls and jobs (call.h). One operation is one row of
 * operations.def and one function of the type `api_function`.
 */
#ifndef PH_API_API_INT_H
#define PH_API_API_INT_H

#include "api/call.h"

/* --- shared pieces
 * -------------------------------------------------------------------------------- */

/* ApplicationIn as it stands in a body, and as message create brings it along. */
struct application_input {
    struct slice name;
    struct slice uid;
    int64_t throttle_rate;
    struct slice metadata;
};
struct input;
void application_input_read(struct input *input, struct application_input *ret_application);
/* Inside a transaction: a new application. PH_CONFLICT when the uid is taken. */
PH_NODISCARD enum ph_error application_create_in(struct writer_txn *txn, struct slice org,
                                                 const struct application_input *application,
                                                 struct diag *diag,
                                                 struct application_row *ret_row);
/* The same for a call whose path names an application that is missing: the new one must have that
 * name as its uid, so that the path leads to it. */
PH_NODISCARD enum ph_error application_create_at(struct writer_txn *txn, struct slice org,
                                                 struct slice path_name,
                                                 const struct application_input *application,
                                                 struct diag *diag, int64_t *ret_application_id);
void application_write(struct json_out *out, const struct id_codec *codec,
                       const struct application_row *row);

/* Whether the call's token sees an event type with these feature flags (as stored). */
bool event_type_is_visible(const struct api_call *call, struct slice feature_flags);

/* The members that EndpointOut and MessageEndpointOut share (without `id`), into an open object. */
void endpoint_write_common(struct json_out *out, const struct endpoint_row *row);
/* EndpointOut, or what it is called for operational webhooks. */
void endpoint_write(struct json_out *out, const struct api_call *call,
                    const struct endpoint_row *row);

/* --- operations
 * ------------------------------------------------------------------------------------ */

api_function api_not_implemented;
api_function api_root, api_reference, api_openapi;
api_function api_redrive;
api_function api_health_live, api_health_ready, api_metrics, api_health, api_health_ping;

api_function api_application_list, api_application_create, api_application_get;
api_function api_application_put, api_application_patch, api_application_delete;

api_function api_app_portal_access, api_logout, api_expire_all;

api_function api_event_type_list, api_event_type_create, api_event_type_get;
api_function api_event_type_put, api_event_type_patch, api_event_type_delete;
api_function api_event_type_import;

api_function api_environment_export, api_environment_import;

api_function api_endpoint_list, api_endpoint_create, api_endpoint_get;
api_function api_endpoint_put, api_endpoint_patch, api_endpoint_delete;
api_function api_endpoint_secret_get, api_endpoint_secret_rotate;
api_function api_endpoint_headers_get, api_endpoint_headers_put, api_endpoint_headers_patch;

api_function api_operational_list, api_operational_create, api_operational_get;
api_function api_operational_put, api_operational_delete;
api_function api_operational_secret_get, api_operational_secret_rotate;
api_function api_operational_headers_get, api_operational_headers_put;

api_function api_message_create, api_message_create_batch, api_message_list, api_message_get;
api_function api_message_expunge, api_message_resend, api_message_raw, api_message_precheck;
api_function api_message_explain;
api_function api_endpoint_send_example;
api_function api_transformation_get, api_transformation_patch;
api_function api_transformation_simulate, api_endpoint_transformation_simulate;

api_function api_integration_list, api_integration_create, api_integration_get;
api_function api_integration_put, api_integration_delete;
api_function api_integration_key, api_integration_rotate;

api_function api_sink_list, api_sink_create, api_sink_get, api_sink_put;
api_function api_sink_patch, api_sink_delete;
api_function api_poller_poll, api_poller_consumer_poll, api_poller_consumer_seek;
api_function api_stream;

api_function api_message_bulk_expunge, api_message_expunge_all;

api_function api_endpoint_recover, api_endpoint_replay_missing, api_endpoint_bulk_replay;
api_function api_endpoint_cancel_messages, api_endpoint_stats, api_endpoint_attempt_stats;
api_function api_task_list, api_task_get, api_task_cancel;
api_function api_statistics_applications, api_statistics_event_types, api_attempt_count;

api_function api_attempt_list_by_endpoint, api_attempt_list_by_message;
api_function api_attempt_get, api_attempt_expunge;
api_function api_attempted_messages, api_attempted_endpoints;
/* Deprecated: GET …/msg/{msg_id}/attempt and GET …/msg/{msg_id}/endpoint/{endpoint_id}/attempt. */
api_function api_attempt_list_of_message, api_attempt_list_of_delivery;

#endif
