/* SPDX-License-Identifier: Apache-2.0 */
#include "api/message_input.h"

#include "api/input.h"
#include "base/clock.h"
#include "core/name.h"

#define HOUR_US (3600 * CLOCK_US_PER_S)

static void read_names(struct input *input, struct message_input *message)
{
    if (input_string(input, "eventType", INPUT_REQUIRED, "event_type", &message->event_type) ==
            INPUT_VALUE &&
        input->error == PH_OK) {
        input_note(input,
                   name_check_event_type(message->event_type, "body.event_type", input->diag));
    }
    if (input_string(input, "eventId", INPUT_OPTIONAL, "event_id", &message->event_id) ==
            INPUT_VALUE &&
        input->error == PH_OK) {
        input_note(input,
                   name_check_uid(message->event_id, ID_MESSAGE, "body.event_id", input->diag));
    }
}

static void read_payload(struct input *input, struct message_input *message)
{
    bool is_alias = input_find(input, "payload") == NULL && input_find(input, "data") != NULL;
    (void)input_raw(input, is_alias ? "data" : "payload", INPUT_REQUIRED, SCAN_OBJECT,
                    &message->payload);
    struct input parameters;
    if (input_open_nested(input, "transformationsParams", INPUT_OPTIONAL, &parameters) !=
        INPUT_VALUE) {
        return;
    }
    /* The text may be anything, NUL too: it is a body, not a column of text. */
    struct slice json;
    if (parameters.error == PH_OK &&
        input_raw(&parameters, "rawPayload", INPUT_OPTIONAL, SCAN_STRING, &json) == INPUT_VALUE) {
        struct diag diag;
        enum ph_error error = scan_string(json, input->arena, &diag, &message->raw_body);
        if (error != PH_OK) {
            const char *field = input_field(&parameters, "rawPayload");
            (void)diag_set(input->diag, error, field, "%s", diag.text);
            diag_code(input->diag, diag.code);
            input_note(&parameters, error);
        }
    }
    input_close_nested(input, &parameters);
}

static void read_retention(struct input *input, struct message_input *message)
{
    int64_t days;
    int64_t hours;
    bool has_days = input_int(input, "payloadRetentionPeriod", INPUT_OPTIONAL, 0, UINT32_MAX,
                              &days) == INPUT_VALUE;
    bool has_hours = input_int(input, "payloadRetentionHours", INPUT_OPTIONAL, 0, UINT32_MAX,
                               &hours) == INPUT_VALUE;
    if (has_days && (days < 1 || days > MESSAGE_RETENTION_DAYS_MAX)) {
        input_refuse(input, "payload_retention_period", "must be from 1 to %d days",
                     MESSAGE_RETENTION_DAYS_MAX);
    } else if (has_hours && (hours < 1 || hours > MESSAGE_RETENTION_HOURS_MAX)) {
        input_refuse(input, "payload_retention_hours", "must be from 1 to %d hours",
                     MESSAGE_RETENTION_HOURS_MAX);
    } else if (has_hours && has_days) {
        input_refuse(input, "payload_retention_hours",
                     "must not be given together with payloadRetentionPeriod");
    } else if (has_hours || has_days) {
        message->payload_retention_us = has_hours ? hours * HOUR_US : days * 24 * HOUR_US;
    }
}

static void read_channels(struct input *input, struct message_input *message)
{
    struct slice *channels = NULL;
    (void)input_channels(input, INPUT_OPTIONAL, &message->channels_json, &channels,
                         &message->channel_count);
    message->channels = channels;
    PH_ASSERT(message->channel_count <= INGEST_CHANNELS_MAX);
}

/* Letters, digits and -_./\# (svix-api spec section 9). */
static bool is_tag(struct slice tag)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-_./\\#";
    for (size_t index = 0; index < tag.len; index++) {
        if (memchr(allowed, tag.ptr[index], sizeof allowed - 1) == NULL) {
            return false;
        }
    }
    return tag.len > 0 && tag.len <= NAME_CHANNEL_MAX;
}

static void read_tags(struct input *input, struct message_input *message)
{
    struct slice *tags;
    size_t count;
    if (input_strings(input, "tags", INPUT_OPTIONAL, "tags", 4096, &tags, &count) != INPUT_VALUE ||
        input->error != PH_OK || count == 0) {
        return;
    }
    if (count > MESSAGE_TAGS_MAX) {
        input_refuse(input, "tags", "a message has at most %d tags", MESSAGE_TAGS_MAX);
    }
    for (size_t index = 0; index < count && input->error == PH_OK; index++) {
        if (!is_tag(tags[index])) {
            char where[32];
            (void)snprintf(where, sizeof where, "tags.[%zu]", index);
            input_refuse(input, where, "must be 1 to %d of a-z A-Z 0-9 - _ . / \\ #",
                         NAME_CHANNEL_MAX);
        }
    }
    if (input->error == PH_OK) {
        message->tags_json = input_names_json(input, tags, count);
    }
}

static void read_delivery(struct input *input, struct message_input *message)
{
    if (input_string(input, "orderingKey", INPUT_OPTIONAL, "ordering_key",
                     &message->ordering_key) == INPUT_VALUE &&
        (message->ordering_key.len == 0 || message->ordering_key.len > MESSAGE_ORDERING_KEY_MAX)) {
        input_refuse(input, "ordering_key", "must be 1 to %d bytes", MESSAGE_ORDERING_KEY_MAX);
    }
    if (input_time(input, "deliverAt", INPUT_OPTIONAL, &message->deliver_at_us) == INPUT_VALUE &&
        message->deliver_at_us > clock_wall_us() + MESSAGE_DELAY_DAYS_MAX * 24 * HOUR_US) {
        input_refuse(input, "deliver_at", "must be at most %d days from now",
                     MESSAGE_DELAY_DAYS_MAX);
    }
}

static void read_application(struct input *input, struct message_input *message)
{
    struct input nested;
    if (input_open_nested(input, "application", INPUT_OPTIONAL, &nested) == INPUT_VALUE) {
        if (nested.error == PH_OK) {
            application_input_read(&nested, &message->application);
            message->has_application = true;
        }
        input_close_nested(input, &nested);
    }
}

static enum ph_error read_members(struct input *input, int64_t default_retention_us,
                                  struct message_input *ret_message)
{
    struct message_input message = {.payload_retention_us = default_retention_us};
    read_names(input, &message);
    read_payload(input, &message);
    read_channels(input, &message);
    read_tags(input, &message);
    read_delivery(input, &message);
    read_retention(input, &message);
    read_application(input, &message);
    if (input->error == PH_OK) {
        *ret_message = message;
    }
    return input->error;
}

enum ph_error message_input_read_members(struct scan_member *members, size_t count,
                                         int64_t default_retention_us, struct arena *arena,
                                         struct diag *diag, struct message_input *ret_message)
{
    struct input input = {
        .members = members, .count = count, .arena = arena, .path = "body", .diag = diag};
    return read_members(&input, default_retention_us, ret_message);
}

enum ph_error message_input_read(struct slice body, int64_t default_retention_us,
                                 struct arena *arena, struct diag *diag,
                                 struct message_input *ret_message)
{
    struct scan_member members[MESSAGE_MEMBERS_MAX];
    struct input input = {.members = members, .arena = arena, .path = "body", .diag = diag};
    if (scan_object(body, members, MESSAGE_MEMBERS_MAX, &input.count, NULL, NULL) != PH_OK) {
        /* Not valid, or just large: find out with the full table. */
        input_open(&input, body, arena, diag);
    }
    if (input.error != PH_OK) {
        return input.error;
    }
    return read_members(&input, default_retention_us, ret_message);
}
