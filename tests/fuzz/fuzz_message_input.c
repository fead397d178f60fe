/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a new message: what is taken keeps every promise of message_input.h. */
#include "api/message_input.h"
#include "base/clock.h"
#include "core/name.h"
#include "core/scan.h"
#include "fuzz/fuzz.h"

#define ARENA_BYTES ((size_t)1024 * 1024)
#define DEFAULT_RETENTION_US INT64_C(77)

static bool is_within(struct slice part, struct slice whole)
{
    return part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len;
}

static void check_channels(const struct message_input *message)
{
    struct scan_cursor cursor;
    struct slice element;
    enum scan_type type;
    PH_ASSERT(message->channel_count <= INGEST_CHANNELS_MAX);
    PH_ASSERT((message->channels_json.ptr == NULL) == (message->channel_count == 0));
    if (message->channel_count == 0) {
        return;
    }
    PH_ASSERT(scan_document(message->channels_json, &type, NULL, NULL) == PH_OK);
    PH_ASSERT(type == SCAN_ARRAY);
    scan_cursor_init(&cursor, message->channels_json);
    for (size_t index = 0; index < message->channel_count; index++) {
        PH_ASSERT(name_check_channel(message->channels[index], "x", NULL) == PH_OK);
        PH_ASSERT(scan_next_element(&cursor, &type, &element) && type == SCAN_STRING);
        struct slice inner = {element.ptr + 1, element.len - 2};
        PH_ASSERT(slice_equal(inner, message->channels[index]));
        for (size_t other = 0; other < index; other++) {
            PH_ASSERT(!slice_equal(message->channels[index], message->channels[other]));
        }
    }
    PH_ASSERT(!scan_next_element(&cursor, &type, &element));
}

static void check_message(struct slice body, const struct message_input *message)
{
    enum scan_type type;
    PH_ASSERT(scan_document(body, &type, NULL, NULL) == PH_OK && type == SCAN_OBJECT);
    PH_ASSERT(name_check_event_type(message->event_type, "x", NULL) == PH_OK);
    if (message->event_id.ptr != NULL) {
        PH_ASSERT(name_check_uid(message->event_id, ID_MESSAGE, "x", NULL) == PH_OK);
    }
    PH_ASSERT(is_within(message->payload, body));
    PH_ASSERT(scan_document(message->payload, &type, NULL, NULL) == PH_OK && type == SCAN_OBJECT);
    PH_ASSERT(slice_equal(slice_trim(message->payload), message->payload));
    int64_t retention_us = message->payload_retention_us;
    PH_ASSERT(retention_us == DEFAULT_RETENTION_US ||
              (retention_us >= 3600 * CLOCK_US_PER_S &&
               retention_us <= MESSAGE_RETENTION_DAYS_MAX * 86400 * CLOCK_US_PER_S));
    check_channels(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = fuzz_text(data, size);
    struct diag diag = {.error = PH_OK};
    struct message_input message;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    enum ph_error error = message_input_read(body, DEFAULT_RETENTION_US, &arena, &diag, &message);
    if (error == PH_OK) {
        check_message(body, &message);
    } else {
        PH_ASSERT(error == PH_INVALID || error == PH_NO_MEMORY);
        PH_ASSERT(diag.text[0] != '\0' && diag.error == error);
        PH_ASSERT(error != PH_INVALID || strncmp(diag.field, "body", 4) == 0);
    }
    return 0;
}
