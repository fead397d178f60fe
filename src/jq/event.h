/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What filters and transforms see of a message, and what a transform gives back. Pure; any thread.
 */
#ifndef PH_JQ_EVENT_H
#define PH_JQ_EVENT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

struct jq_header {
    struct slice name;
    struct slice value;
};

/* {type, data, id, channels, timestamp, headers} */
struct jq_event {
    struct slice type;
    struct slice data; /* the payload, JSON text that was validated; put in as it is */
    struct slice id;
    const struct slice *channels; /* [] for none */
    size_t channel_count;
    int64_t timestamp_us;            /* wall clock; RFC 3339 for the program */
    const struct jq_header *headers; /* names in lower case for the program; {} for none */
    size_t header_count;
};

/* Appends the input of a program. `json` wants room for the data and twice the rest. */
void jq_event_write(const struct jq_event *event, struct buf *json);

/* What to send. Absent members are SLICE_NONE: the endpoint's own then. */
struct jq_transformed {
    struct slice body; /* the bytes: a string as it is, other values as JSON text. Never absent */
    bool is_body_json;
    struct slice method;       /* POST, PUT or PATCH */
    struct slice url;          /* normalised (core/url.h) */
    struct jq_header *headers; /* each replaces or joins the endpoint's, Content-Type too; the last
                                * of a name holds */
    size_t header_count;
};

/*
 * Reads {body, headers?, url?, method?} from the output of a transform that is JQ_OK; null stands
 * for an absent optional member. Slices into `output` or memory of `arena`. PH_INVALID naming the
 * member, such as "transform.headers"; PH_NO_MEMORY at the arena's cap.
 */
PH_NODISCARD enum ph_error jq_transformed_read(struct slice output, struct arena *arena,
                                               struct diag *diag,
                                               struct jq_transformed *ret_transformed);

#endif
