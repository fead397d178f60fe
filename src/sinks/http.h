/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP sink: libcurl multi on an epoll set of its own. One instance per deliver thread, which
 * makes every call and gets every callback.
 * HTTP/1.1 keep-alive, HTTP/2 over TLS by ALPN, certificates verified, redirects never followed,
 * no proxy from the environment, only http and https, address guard on the resolved address at
 * connect time (core/address.h), bounded reading of the answer, names looked up by
 * sinks/resolver.h. The process must ignore SIGPIPE.
 */
#ifndef PH_SINKS_HTTP_H
#define PH_SINKS_HTTP_H

#include "core/address.h"
#include "sinks/resolver.h"
#include "sinks/sink.h"

struct sink_http;

/* Limits on what a receiver may send; beyond them the attempt fails with ATTEMPT_PROTOCOL. */
#define SINK_HTTP_HEADER_BYTES_MAX 65536
#define SINK_HTTP_INFORMATIONAL_MAX 100

struct sink_http_options {
    const struct cidr_set *allow_subnets; /* not owned; may be NULL */
    struct resolver *resolver;            /* not owned, shared by all threads; outlives the sink */
    const char *ca_file;                  /* PEM; NULL = the system's. Copied. */
    const char *user_agent; /* default User-Agent unless a header gives one; NULL = none. Copied. */
    size_t read_max_bytes;  /* of the answer's body; the connection is closed there (65536) */
    size_t keep_max_bytes;  /* given in the result (20000); above 0 */
    size_t connections_max; /* open sockets in all; above it sends wait inside curl */
    sink_result_function *on_result;
    void *context;
};

/* Once per process before threads start / after they ended. */
PH_NODISCARD enum ph_error sink_http_global_init(struct diag *diag);
void sink_http_global_done(void);

PH_NODISCARD enum ph_error sink_http_new(const struct sink_http_options *options, struct diag *diag,
                                         struct sink_http **ret_sink);
/* Attempts in flight end with ATTEMPT_CANCELLED (on_result is called for each; a send from there
 * fails with PH_SHUTTING_DOWN). NULL is accepted. */
void sink_http_free(struct sink_http *sink);

/* Starts an attempt; sink_http_run must be called soon (sink_http_deadline_us says so). Fails
 * without calling on_result: PH_INVALID for a URL, method or header that cannot be sent (the diag
 * names it), PH_NO_MEMORY, PH_SHUTTING_DOWN. */
PH_NODISCARD enum ph_error sink_http_send(struct sink_http *sink,
                                          const struct sink_request *request, struct diag *diag);

/* Readable when sink_http_run has something to do: an epoll descriptor that the owner adds to
 * its own epoll set. */
int sink_http_fd(const struct sink_http *sink);
/* CLOCK_BOOTTIME microseconds at which sink_http_run must be called at the latest, or INT64_MAX. */
int64_t sink_http_deadline_us(const struct sink_http *sink);
/* Handles ready sockets and timers, calls on_result for finished attempts. Never blocks. */
void sink_http_run(struct sink_http *sink);
size_t sink_http_in_flight(const struct sink_http *sink);
/* New guard table (not owned; may be NULL): kept connections are closed, so that none outlives its
 * permission; the old table is not looked at again. Attempts that are being answered end as they
 * would have. */
void sink_http_set_allow_subnets(struct sink_http *sink, const struct cidr_set *allow_subnets);

#endif
