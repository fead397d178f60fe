/* SPDX-License-Identifier: Apache-2.0 */
/* What the endpoint files share. Thread: as api_int.h says of calls and jobs. */
#ifndef PH_API_ENDPOINT_H
#define PH_API_ENDPOINT_H

#include "api/api_int.h"
#include "api/input.h"
#include "core/signature.h"
#include "flow/endpoint_options.h"

enum endpoint_body { ENDPOINT_BODY_CREATE, ENDPOINT_BODY_UPDATE, ENDPOINT_BODY_PATCH };

/* The fields that only this server has. What is absent stays as it is, in a PUT too: clients of
 * other servers do not know them. */
struct endpoint_options_input {
    struct endpoint_options options;
    struct endpoint_credentials credentials;
    enum input_state timeout;
    enum input_state retry_schedule;
    enum input_state max_in_flight;
    enum input_state method;
    enum input_state ordering;
    enum input_state compression;
    enum input_state signature;
    enum input_state filter;
    enum input_state transform;
    enum input_state auth;
    enum input_state proxy;
};

struct endpoint_job {
    struct api_job job;
    struct endpoint_row row; /* what the body gave */
    struct endpoint_options_input options;
    struct slice secret; /* text of a key, SLICE_NONE = make one */
    struct slice *event_type_names;
    size_t event_type_count;
    /* PATCH: what each field was. */
    enum input_state uid;
    enum input_state url;
    enum input_state description;
    enum input_state throttle_rate;
    enum input_state version;
    enum input_state disabled;
    enum input_state event_types;
    enum input_state channels;
    enum input_state metadata;
};

/* Reads EndpointIn, EndpointUpdate or EndpointPatch into a new job. */
PH_NODISCARD enum ph_error endpoint_read_body(struct api_call *call, enum endpoint_body body,
                                              struct diag *diag, struct endpoint_job **ret_job);
/* `eventTypes` (or `filterTypes`): names, and as JSON text; at least one where it is given. */
enum input_state endpoint_read_event_types(struct input *input, enum input_need need,
                                           struct slice **ret_names, size_t *ret_count,
                                           struct slice *ret_json);
/* Inside a transaction: every event type must exist and not be archived. PH_INVALID. */
PH_NODISCARD enum ph_error endpoint_check_event_types(struct api_call *call, struct writer_txn *txn,
                                                      const struct slice *names, size_t count,
                                                      struct diag *diag);
/* The live endpoint that the path names. */
PH_NODISCARD enum ph_error endpoint_path_row(struct api_call *call, struct store *store,
                                             struct diag *diag, struct endpoint_row *ret_row);
/* The key of a text that was checked before, or a new one of the configured kind for SLICE_NONE. */
PH_NODISCARD enum ph_error endpoint_key_from(struct api_call *call, struct slice text,
                                             struct diag *diag, struct signing_key **ret_key);
/* Inside a transaction: ingest and the deliverer see the change after the commit. */
PH_NODISCARD enum ph_error endpoint_changed(struct writer_txn *txn, int64_t application_id,
                                            int64_t endpoint_id, struct diag *diag);
void endpoint_options_input_read(struct input *input, struct endpoint_options_input *ret_given);
/* Puts what was given into the row's options and credentials, in memory of the arena. PH_INVALID
 * for what does not go together, PH_NO_MEMORY. */
PH_NODISCARD enum ph_error endpoint_options_apply(const struct endpoint_options_input *given,
                                                  int64_t now_us, struct arena *arena,
                                                  struct diag *diag, struct endpoint_row *row);
/* Puts options into the row, in memory of the arena. PH_NO_MEMORY. */
PH_NODISCARD enum ph_error endpoint_options_store(const struct endpoint_options *options,
                                                  struct arena *arena, struct diag *diag,
                                                  struct endpoint_row *row);
/* The members of EndpointOut for them, without secrets, into an open object. */
void endpoint_options_output(struct json_out *out, const struct endpoint_row *row);
/* Reads an object of header names and values (`null` values only where `may_be_null`) as JSON
 * object text. */
void endpoint_read_headers(struct input *input, enum input_need need, bool may_be_null,
                           struct slice *ret_json);

#endif
