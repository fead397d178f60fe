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
 *
 * The endpoints are numbered; request n is for endpoint n modulo their count, which lies in
 * application n modulo the count of applications. So a load visits all of them in turn.
 */
enum template_kind {
    TEMPLATE_MESSAGE,     /* the payload as a native message */
    TEMPLATE_PAYLOAD,     /* the payload alone, with the webhook-id that a delivery carries */
    TEMPLATE_APPLICATION, /* makes application {uid}-{number} */
    TEMPLATE_ENDPOINT,    /* makes endpoint {receiver}/hook/{number} */
    TEMPLATE_USER         /* makes user {uid}-{number} of the magpie surface */
};

struct template_options {
    enum template_kind kind;
    const char *host;            /* for the Host field */
    const char *base;            /* path in front of all others */
    const char *path;            /* post there instead; NULL = where the kind says */
    const char *token;           /* bearer token; NULL = none */
    const char *event_type;      /* of messages */
    const char *uid;             /* of the applications, without their number */
    const char *receiver;        /* base URL of the endpoints */
    const char *endpoint_secret; /* whsec_… for all endpoints; NULL = the server chooses */
    uint64_t applications;       /* 1.. */
    uint64_t endpoints;          /* 0 = none */
    size_t batch;                /* messages of one request, 0 = one and no list */
    size_t payload_bytes;        /* wanted; at least what the fields need, about 560 */
    bool has_idempotency_key;
    bool has_channel; /* each endpoint listens to a channel of its own, each message goes to one */
};

struct template
{
    char *data;
    size_t bytes;
    size_t payload_bytes;
    uint64_t applications;
    uint64_t endpoints;
    size_t events; /* messages in one request */
    /* Where the changing parts lie, and what they are. */
    struct template_place {
        size_t at;
        int field;
    } * place;
    size_t places;
};

/* Builds the request; false when out of memory. */
bool template_init(struct template *request, const struct template_options *options);
void template_done(struct template *request);

/* Makes request number `number` in `data`, a copy of the template's data. `sent_us` is what the
   receiver takes the latency from. `random` is used for the idempotency key only. */
void template_fill(const struct template *request, char *data, uint64_t number, int64_t sent_us,
                   struct random_source *random);

#endif
