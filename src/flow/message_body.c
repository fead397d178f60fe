/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/message_body.h"

struct message_body *message_body_new(struct slice bytes, const struct trace *trace)
{
    struct message_body *body = ph_malloc(sizeof *body + bytes.len + 1);
    atomic_init(&body->references, 1);
    body->trace = trace == NULL ? (struct trace){0} : *trace;
    body->length = bytes.len;
    if (bytes.len > 0) {
        memcpy(body->bytes, bytes.ptr, bytes.len);
    }
    body->bytes[bytes.len] = '\0';
    return body;
}

struct message_body *message_body_ref(struct message_body *body)
{
    int former = atomic_fetch_add_explicit(&body->references, 1, memory_order_relaxed);
    PH_ASSERT(former > 0);
    return body;
}

void message_body_unref(struct message_body *body)
{
    if (body != NULL &&
        atomic_fetch_sub_explicit(&body->references, 1, memory_order_acq_rel) == 1) {
        free(body);
    }
}
