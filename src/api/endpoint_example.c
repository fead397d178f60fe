/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Send-example (svix-api spec section 7): a real message to one endpoint, whatever types and
 * channels that asks for. Its payload is an example of the event type's schema of version 1.
 */
#include "api/input.h"
#include "api/message.h"
#include "api/message_input.h"
#include "core/name.h"
#include "store/event_type.h"

#define NAME_TOLD_MAX 100 /* bytes of a type's name in an error */

static const char ping_type[] = "svix.ping";
#define PING_PAYLOAD SLICE_LITERAL("{\"success\": true}")

struct example {
    struct slice event_type;
    int64_t index;
    struct slice payload; /* given by the caller, SLICE_NONE = the type's own */
};

static enum ph_error read_example(struct api_call *call, struct diag *diag,
                                  struct example *ret_example)
{
    struct input input;
    struct example example = {0};
    input_open(&input, http_body(call->request), call->arena, diag);
    if (input_string(&input, "eventType", INPUT_REQUIRED, "event_type", &example.event_type) ==
        INPUT_VALUE) {
        input_note(&input, name_check_event_type(example.event_type, "body.event_type", diag));
    }
    (void)input_int(&input, "exampleIndex", INPUT_OPTIONAL, 0, UINT32_MAX, &example.index);
    (void)input_raw(&input, "payload", INPUT_OPTIONAL, SCAN_OBJECT, &example.payload);
    *ret_example = example;
    return input_end(&input);
}

/* The last member `key` of an object value; false without one. */
static bool find_member(struct slice object, const char *key, enum scan_type *ret_type,
                        struct slice *ret_value)
{
    struct scan_cursor cursor;
    struct scan_member member;
    bool is_found = false;
    scan_cursor_init(&cursor, object);
    while (scan_next_member(&cursor, &member)) {
        if (scan_find(&member, 1, key) != NULL) {
            is_found = true;
            *ret_type = member.type;
            *ret_value = member.value;
        }
    }
    return is_found;
}

/* schemas["1"].examples[index], which must be an object as every payload is. */
static bool find_example(struct slice schemas, int64_t index, struct slice *ret_payload)
{
    enum scan_type type;
    struct slice schema;
    struct slice examples;
    if (schemas.ptr == NULL || !find_member(schemas, "1", &type, &schema) || type != SCAN_OBJECT ||
        !find_member(schema, "examples", &type, &examples) || type != SCAN_ARRAY) {
        return false;
    }
    struct scan_cursor cursor;
    scan_cursor_init(&cursor, examples);
    bool is_found = true;
    for (int64_t position = 0; is_found && position <= index; position++) {
        is_found = scan_next_element(&cursor, &type, ret_payload);
    }
    return is_found && type == SCAN_OBJECT;
}

/* What the type lacks, and what the caller can do. */
static enum ph_error refuse_type(const struct event_type_row *row, int64_t index, struct diag *diag)
{
    enum scan_type type;
    struct slice schema;
    struct slice name = row->name;
    name.len = name.len < NAME_TOLD_MAX ? name.len : NAME_TOLD_MAX;
    if (row->schemas.ptr == NULL || !find_member(row->schemas, "1", &type, &schema)) {
        (void)diag_set(diag, PH_BAD_REQUEST, NULL,
                       "event type %.*s has no schema of version 1 to take an example from: give "
                       "it one (`schemas`: {\"1\": {\"examples\": [{…}]}}), or send an example "
                       "of your own as `payload`",
                       SLICE_ARG(name));
    } else {
        (void)diag_set(diag, PH_BAD_REQUEST, NULL,
                       "version 1 of the schema of event type %.*s has no object at "
                       "examples[%lld]: add one, ask for another `exampleIndex`, or send an "
                       "example of your own as `payload`",
                       SLICE_ARG(name), (long long)index);
    }
    diag_code(diag, "invalid_scheme");
    return PH_BAD_REQUEST;
}

static enum ph_error choose_payload(struct api_call *call, struct store *store,
                                    const struct example *example, struct diag *diag,
                                    struct slice *ret_payload)
{
    if (slice_equal_text(example->event_type, ping_type)) {
        *ret_payload = example->payload.ptr != NULL ? example->payload : PING_PAYLOAD;
        return PH_OK;
    }
    struct event_type_row row;
    enum ph_error error =
        event_type_find(store, call->principal.org, example->event_type, call->arena, diag, &row);
    if (error == PH_OK && !event_type_is_visible(call, row.feature_flags)) {
        error = PH_NOT_FOUND;
    }
    if (error == PH_NOT_FOUND) {
        return diag_set(diag, PH_NOT_FOUND, NULL, "Event type not found");
    }
    if (error != PH_OK) {
        return error;
    }
    if (example->payload.ptr != NULL) {
        *ret_payload = example->payload;
    } else if (!find_example(row.schemas, example->index, ret_payload)) {
        error = refuse_type(&row, example->index, diag);
    }
    return error;
}

enum ph_error api_endpoint_send_example(struct api_call *call, struct diag *diag)
{
    struct example example;
    struct store *store;
    int64_t application_id;
    struct message_input message = {0};
    struct message_submission submission = {.status = 200};
    enum ph_error error = read_example(call, diag, &example);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = api_path_endpoint(call, store, ENDPOINT_LIVE, diag, &application_id,
                                  &submission.only_endpoint_id);
    }
    if (error == PH_OK) {
        error = choose_payload(call, store, &example, diag, &message.payload);
    }
    if (error != PH_OK) {
        return error;
    }
    const struct flow_settings *settings = flow_settings_take(call->api->flow);
    message.event_type = example.event_type;
    message.payload_retention_us = settings->payload_retention_us;
    flow_settings_drop(settings);
    return message_submit(call, &message, &submission, diag);
}
