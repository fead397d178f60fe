/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Formats: what a delivery looks like that is not simply the message's payload. Each surface has
 * one; an endpoint names it in its options and keeps what the format needs to know of it there.
 *
 * The table of formats is set once, before any thread starts, and only read then.
 */
#ifndef PH_FLOW_FORMAT_H
#define PH_FLOW_FORMAT_H

#include "core/delivery_state.h"
#include "jq/event.h"

struct writer_txn;

/* The message and the endpoint of one attempt. */
struct format_event {
    const struct id_codec *codec;
    int64_t message_id;
    int64_t endpoint_id;
    struct slice event_type;
    struct slice event_id; /* SLICE_NONE = none */
    struct slice payload;  /* JSON text, as it was ingested */
    struct slice config;   /* the endpoint's JSON object for this format; SLICE_NONE = none */
    int64_t attempts;      /* made before this one */
};

/* How an attempt ended, inside the transaction that records it. */
struct format_outcome {
    int64_t message_id;
    int64_t endpoint_id;
    enum delivery_state state; /* pending: another attempt follows */
    bool is_manual;
    bool is_success;
    int status_code; /* 0 = no answer */
    int64_t duration_ms;
    int64_t attempt_id;
};

struct delivery_format {
    const char *name;
    /*
     * What is sent: the body always, the rest where it differs from the endpoint's. The same event
     * gives the same bytes each time. Memory of `arena`. An error is a failed attempt with the
     * diag's words. On a deliverer's thread.
     */
    enum ph_error (*render)(const struct format_event *event, struct arena *arena,
                            struct diag *diag, struct jq_transformed *ret_request);
    /* After the attempt was inserted, in its transaction; NULL = nobody wants to know. It may write
     * and emit messages (ingest_in). An error fails the batch, which is tried again until there is
     * none: errors of the store only. On the writer's thread. */
    enum ph_error (*recorded)(struct writer_txn *txn, const struct format_outcome *outcome,
                              struct diag *diag);
};

/* The table must outlive all flows. */
void delivery_formats_set(const struct delivery_format *const *formats, size_t count);
/* NULL when there is no such format. */
const struct delivery_format *delivery_format_find(struct slice name);

#endif
