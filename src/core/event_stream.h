/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a stream of server-sent events (HTML standard, section 9.2.6), piece by piece as it comes
 * from a connection. Pure; one thread.
 */
#ifndef PH_CORE_EVENT_STREAM_H
#define PH_CORE_EVENT_STREAM_H

#include "base/buf.h"
#include "base/error.h"

#define EVENT_STREAM_LINE_MAX ((size_t)8 * 1024 * 1024) /* bytes, also of an event's data */

struct stream_event {
    struct slice name; /* "message" when the stream gives none */
    struct slice id;   /* the last one that the stream gave, empty before the first */
    struct slice data; /* its lines with \n between them */
};

struct event_stream {
    struct buf line;
    struct buf data;
    struct buf name;
    struct buf id;      /* of the block at hand */
    struct buf last_id; /* as of the end of the last block */
    int64_t retry_ms;   /* what the stream asks for, 0 = nothing */
    bool has_data;
    bool is_after_return; /* a line feed now belongs to the line end before */
    bool has_begun;       /* a byte order mark may come no more */
};

void event_stream_init(struct event_stream *stream);
void event_stream_done(struct event_stream *stream);
/* A new connection: what was half read is dropped, the last id stays. */
void event_stream_restart(struct event_stream *stream);
/* Where a new connection should go on; sets what it goes on behind. */
struct slice event_stream_last_id(const struct event_stream *stream);
void event_stream_set_last_id(struct event_stream *stream, struct slice id);
/* Calls `each` for every event that ends within `bytes`; false from it ends the reading. The slices
 * are valid during the call. PH_INVALID when a line or an event is too long. */
PH_NODISCARD enum ph_error event_stream_feed(struct event_stream *stream, struct slice bytes,
                                             bool (*each)(void *context,
                                                          const struct stream_event *event),
                                             void *context, struct diag *diag);

#endif
