/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PH_BENCH_TEMPLATE_H
#define PH_BENCH_TEMPLATE_H

#include "random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The request of the load, built once. Each connection has a copy, and an event is made by writing
 * its few changing characters in place: all of them have a fixed width, so nothing moves, nothing
 * is allocated and one send() carries head and body.
 */
struct template_options {
    const char *host;       /* for the Host field */
    const char *target;     /* path and query */
    const char *token;      /* bearer token; NULL = none */
    const char *event_type; /* wraps the payload as a native message; NULL = the payload alone, with
                               the webhook-id that a delivery carries */
    size_t payload_bytes;   /* wanted; at least what the fields need, about 560 */
    bool has_idempotency_key;
};

struct template
{
    char *data;
    size_t bytes;
    size_t payload_bytes;
    /* Where the changing parts lie; 0 = not in this request. */
    size_t sent_at;
    size_t event_at;
    size_t id_at;
    size_t key_at;
};

/* Builds the request; false when out of memory. */
bool template_init(struct template *request, const struct template_options *options);
void template_done(struct template *request);

/* Makes event number `sequence` in `data`, a copy of the template's data. `sent_us` is what the
   receiver takes the latency from. `random` is used for the idempotency key only. */
void template_fill(const struct template *request, char *data, uint64_t sequence, int64_t sent_us,
                   struct random_source *random);

#endif
