/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Look-up of host names away from the threads that deliver: a bounded pool of threads that call a
 * blocking look-up function, at most one at a time per host, and a cache (30 s for addresses, 5 s
 * for failures). A dead name server so costs its own hosts only.
 *
 * Concurrency: one `struct resolver` per process, any thread; one `struct resolver_client` per
 * thread that asks, used by that thread alone. Everything inside is behind the resolver's mutex;
 * answers are immutable and counted.
 */
#ifndef PH_SINKS_RESOLVER_H
#define PH_SINKS_RESOLVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "base/metrics.h"

#define RESOLVER_TEXT_MAX 1024 /* room for the text of an answer, its NUL included */

struct resolver;
struct resolver_client;

struct resolver_answer {
    atomic_uint references;
    uint64_t generation; /* differs from that of every other answer in the process, above 0 */
    int64_t expires_us;  /* CLOCK_BOOTTIME */
    bool is_found;
    char text[RESOLVER_TEXT_MAX]; /* "192.0.2.1,[2001:db8::1]", or words for a person */
};

/* Embedded in what waits for the answer. */
struct resolver_query {
    struct list_node node;
    struct resolver_client *client;
    struct resolver_answer *answer;
};

/*
 * Blocking; called on a thread of the pool. Returns whether the name has an address. `ret_text`
 * (`text_size` bytes) gets the addresses, separated by commas, IPv6 ones in brackets; else why not.
 */
typedef bool resolver_lookup_function(void *context, const char *host, char *ret_text,
                                      size_t text_size);

struct resolver_options {
    resolver_lookup_function *lookup; /* NULL = resolver_system_lookup */
    void *context;                    /* for `lookup` */
    unsigned threads_max;             /* 0 = 16 */
    size_t queue_max;                 /* hosts that wait for a thread; 0 = 4096 */
    int64_t keep_us;                  /* addresses stay in the cache; 0 = 30 s */
    int64_t keep_failure_us;          /* failures stay in the cache; 0 = 5 s */
    struct metrics *metrics;          /* may be NULL; not used after resolver_free */
};

/* `options` may be NULL. Threads are started when there is something to look up. */
PH_NODISCARD enum ph_error resolver_new(const struct resolver_options *options, struct diag *diag,
                                        struct resolver **ret_resolver);
/* All clients must be freed before. Does not wait for look-ups that hang: their threads end by
 * themselves. NULL is accepted. */
void resolver_free(struct resolver *resolver);

PH_NODISCARD enum ph_error resolver_client_new(struct resolver *resolver, struct diag *diag,
                                               struct resolver_client **ret_client);
/* Every query of it must be answered or forgotten before. NULL is accepted. */
void resolver_client_free(struct resolver_client *client);

/*
 * Asks for a host name. From the cache: PH_OK and `*ret_answer` (the caller drops it with
 * resolver_answer_unref). Otherwise PH_OK and NULL: `query` waits, and the client's descriptor
 * becomes readable when it is answered. PH_BUSY when too many names wait already.
 */
PH_NODISCARD enum ph_error resolver_ask(struct resolver_client *client, const char *host,
                                        struct resolver_query *query,
                                        struct resolver_answer **ret_answer);
/* Takes back a query that waits or is answered but not yet taken. */
void resolver_forget(struct resolver_query *query);
/* An eventfd, readable when resolver_take has something to give. */
int resolver_client_fd(const struct resolver_client *client);
/* The next answered query (its `answer` now belongs to the caller), or NULL. Resets the eventfd
 * when it is the last one. */
PH_NODISCARD struct resolver_query *resolver_take(struct resolver_client *client);

/* Any thread. NULL is accepted by unref. */
struct resolver_answer *resolver_answer_ref(struct resolver_answer *answer);
void resolver_answer_unref(struct resolver_answer *answer);

/* getaddrinfo for stream sockets of both families. */
bool resolver_system_lookup(void *context, const char *host, char *ret_text, size_t text_size);

#endif
