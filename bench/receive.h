/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PH_BENCH_RECEIVE_H
#define PH_BENCH_RECEIVE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The receiver: answers every POST at once and counts it. `GET /stats` gives the counts as one line
 * of JSON, `POST /reset` starts them anew.
 *
 * Concurrency: each thread has its own epoll set, connections and tally and shares only the listen
 * socket and the set of ids. It runs until the process is ended.
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

/* Listens and starts the threads; NULL, with the reason on stderr, when it cannot. */
struct receiver *receiver_start(const struct receive_options *options, uint16_t *ret_port);

/* Waits for the threads, which is for ever. */
void receiver_join(struct receiver *receiver);

#endif
