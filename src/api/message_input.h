/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MessageIn (svix-api spec section 9): the body of the hot path. Small bodies are read with a table
 * of members on the stack; the payload is kept as the slice that the publisher sent. Pure but for
 * the arena. Thread: the request's.
 */
#ifndef PH_API_MESSAGE_INPUT_H
#define PH_API_MESSAGE_INPUT_H

#include "api/api_int.h"
#include "core/scan.h"
#include "flow/ingest.h"

#define MESSAGE_RETENTION_DAYS_MAX 90
#define MESSAGE_RETENTION_HOURS_MAX 2160
#define MESSAGE_TAGS_MAX 5
#define MESSAGE_ORDERING_KEY_MAX 256
#define MESSAGE_DELAY_DAYS_MAX 90

/* MessageIn has 13 members of its own; what has many more is read the slow way. */
#define MESSAGE_MEMBERS_MAX 24

struct message_input {
    struct slice event_type;
    struct slice event_id;      /* SLICE_NONE = none */
    struct slice channels_json; /* SLICE_NONE = none */
    const struct slice *channels;
    size_t channel_count;      /* 0..INGEST_CHANNELS_MAX */
    struct slice tags_json;    /* SLICE_NONE = none */
    struct slice ordering_key; /* SLICE_NONE = none */
    int64_t deliver_at_us;     /* wall clock, 0 = at once */
    struct slice payload;      /* the object as it stands in the body */
    struct slice raw_body;     /* decoded transformationsParams.rawPayload, SLICE_NONE = none */
    int64_t payload_retention_us;
    bool has_application;
    struct application_input application;
};

/*
 * Reads a body; unknown members are ignored. What is not given takes `default_retention_us`. All
 * slices live as long as `body` and `arena`. PH_INVALID as input.h says; PH_NO_MEMORY.
 */
PH_NODISCARD enum ph_error message_input_read(struct slice body, int64_t default_retention_us,
                                              struct arena *arena, struct diag *diag,
                                              struct message_input *ret_message);
/* The same for one whose members were scanned already. */
PH_NODISCARD enum ph_error message_input_read_members(struct scan_member *members, size_t count,
                                                      int64_t default_retention_us,
                                                      struct arena *arena, struct diag *diag,
                                                      struct message_input *ret_message);

#endif
