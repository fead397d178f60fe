/* SPDX-License-Identifier: Apache-2.0 */
/*
 * W3C Trace Context (level 1): what a publisher's `traceparent` says and what is passed on. The
 * `tracestate` beside it is not kept. Pure.
 */
#ifndef PH_CORE_TRACE_H
#define PH_CORE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define TRACE_BYTES 17       /* as stored: id, flags */
#define TRACE_ID_TEXT_MAX 33 /* 32 hex digits */
#define TRACE_SPAN_BYTES 8
#define TRACE_PARENT_TEXT_MAX 56

struct trace {
    uint8_t id[16]; /* all zero = there is no trace */
    bool is_sampled;
};

/* A `traceparent` (section 3.2). Of later versions the part that version 00 knows is taken. False
 * leaves *ret_trace as it is. */
bool trace_parse(struct slice text, struct trace *ret_trace);
bool trace_exists(const struct trace *trace);
/* "4bf92f3577b34da6a3ce929d0e0e4736". */
void trace_format_id(const struct trace *trace, char ret_text[TRACE_ID_TEXT_MAX]);
/* A `traceparent` with this span as the parent. */
void trace_format_parent(const struct trace *trace, const uint8_t span[TRACE_SPAN_BYTES],
                         char ret_text[TRACE_PARENT_TEXT_MAX]);
/* To and from the stored form; anything but TRACE_BYTES bytes is no trace. */
void trace_to_bytes(const struct trace *trace, uint8_t ret_bytes[TRACE_BYTES]);
struct trace trace_from_bytes(struct slice bytes);

#endif
