/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of one message in memory, shared by its deliveries.
 *
 * Concurrency: immutable after message_body_new; the reference count is atomic.
 */
#ifndef PH_FLOW_MESSAGE_BODY_H
#define PH_FLOW_MESSAGE_BODY_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/slice.h"
#include "core/trace.h"

struct message_body {
    atomic_int references;
    struct trace trace; /* the publisher's */
    size_t length;
    char bytes[]; /* what is sent and signed */
};

/* `trace` may be NULL. */
struct message_body *message_body_new(struct slice bytes, const struct trace *trace);
struct message_body *message_body_ref(struct message_body *body);
void message_body_unref(struct message_body *body); /* NULL is fine */
static inline struct slice message_body_slice(const struct message_body *body)
{
    return (struct slice){body->bytes, body->length};
}

#endif
