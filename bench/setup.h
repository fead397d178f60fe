/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PH_BENCH_SETUP_H
#define PH_BENCH_SETUP_H

#include "net.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Makes what a load needs on a server that speaks the Svix API: an application, the event type and
 * endpoints. Blocking, one connection, run before the load.
 */
enum { SETUP_TEXT_BYTES = 160 };

struct setup_endpoint {
    char id[SETUP_TEXT_BYTES];
    char secret[SETUP_TEXT_BYTES];
    char url[512];
};

struct setup_options {
    const struct net_target *target;
    const char *token;
    const char *app; /* existing application; NULL = make one */
    const char *event_type;
    const char *receiver;        /* base URL; endpoint n gets {receiver}/hook/{n} */
    const char *endpoint_secret; /* whsec_… for all endpoints; NULL = the server chooses */
    size_t endpoints;
};

struct setup {
    char app[SETUP_TEXT_BYTES];
    struct setup_endpoint *endpoint;
    size_t endpoints;
};

/* Makes it all; false, with the reason on stderr, when the server refuses something. */
bool setup_init(struct setup *setup, const struct setup_options *options);
void setup_done(struct setup *setup);

#endif
