/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PH_BENCH_RECEIVE_H
#define PH_BENCH_RECEIVE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The receiver: answers every POST at once and counts it. `GET /stats` gives the counts as one line
 * of JSON, `POST /reset` starts them anew.
 *
 * The gate is a second port for deliveries. `POST /open` lets connections in; until then, and after
 * `POST /close`, they are refused, and what comes on a connection from before is not answered: the
 * connection ends. So a receiver that goes away and comes back keeps its counts.
 *
 * Concurrency: each thread has its own epoll set, connections and tally and shares only the listen
 * sockets and the set of ids. It runs until the process is ended.
 */
struct receive_options {
    const char *address;
    uint16_t port;             /* 0 picks one */
    unsigned threads;          /* 1..64 */
    int status;                /* of every answer to a delivery, 200..599 */
    unsigned delay_ms;         /* before each answer */
    const char *hang_prefix;   /* paths that are never answered; NULL = none */
    const char *verify_secret; /* whsec_… to check signatures with; NULL = do not check */
};

struct receiver;

struct receiver_ports {
    uint16_t main;
    uint16_t gate; /* bound all the time, so that nothing else takes it */
};

/* Listens and starts the threads; NULL, with the reason on stderr, when it cannot. */
struct receiver *receiver_start(const struct receive_options *options,
                                struct receiver_ports *ret_ports);

/* Waits for the threads, which is for ever. */
void receiver_join(struct receiver *receiver);

#endif
