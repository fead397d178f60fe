/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP sink: libcurl multi on an epoll set of its own. One instance per deliver thread, which
 * makes every call and gets every callback.
 * HTTP/1.1 keep-alive, HTTP/2 over TLS by ALPN, certificates verified, redirects never followed,
 * no proxy from the environment, only http and https, address guard on the resolved address at
 * connect time (core/address.h), bounded reading of the answer, names looked up by
 * sinks/resolver.h. The process must ignore SIGPIPE.
 *
 * Through a proxy (a request's policy, or the operator's) everything is tunnelled: CONNECT, or
 * SOCKS 5, to an address of the receiver that the guard allows; the name is for TLS and Host only.
 * A policy's proxy is itself judged by the guard.
 */
#ifndef PH_SINKS_HTTP_H
#define PH_SINKS_HTTP_H

#include "base/metrics.h"
#include "core/address.h"
#include "sinks/resolver.h"
#include "sinks/sink.h"

struct sink_http;

/* Limits on what a receiver may send; beyond them the attempt fails with ATTEMPT_PROTOCOL. */
#define SINK_HTTP_HEADER_BYTES_MAX 65536
#define SINK_HTTP_INFORMATIONAL_MAX 100

/* Pools of requests with a policy that are kept; see posthorn_sink_policies. */
#define SINK_HTTP_POLICIES_MAX 256
/* So many connections of such a pool stay open when nothing is in flight, for so long. */
#define SINK_HTTP_POLICY_CONNECTIONS_KEPT 8
#define SINK_HTTP_POLICY_REST_US INT64_C(120000000)

/* The way out of the whole server. */
struct sink_http_egress {
    const char
        *proxy_url;      /* as in sinks/policy.h; NULL or empty = none. Not judged by the guard. */
    bool proxy_resolves; /* the proxy looks names up, and alone judges their addresses */
};

struct sink_http_options {
    const struct cidr_set *allow_subnets; /* not owned; may be NULL */
    struct sink_http_egress egress;       /* copied */
    struct resolver *resolver;            /* not owned, shared by all threads; outlives the sink */
    struct metrics *metrics;              /* not owned; may be NULL */
    const char *ca_file;                  /* PEM; NULL = the system's. Copied. */
    const char *user_agent; /* default User-Agent unless a header gives one; NULL = none. Copied. */
    size_t read_max_bytes;  /* of the answer's body; the connection is closed there (65536) */
    size_t keep_max_bytes;  /* given in the result (20000); above 0 */
    size_t connections_max; /* open sockets of a pool; above it sends wait inside curl */
    size_t policies_max;    /* 0 = SINK_HTTP_POLICIES_MAX */
    int64_t policy_rest_us; /* 0 = SINK_HTTP_POLICY_REST_US */
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
 * without calling on_result: PH_INVALID for a URL, method, header or policy that cannot be used
 * (the diag names it), PH_BUSY when policies_max others have attempts in flight or too many names
 * are being looked up, PH_NO_MEMORY, PH_SHUTTING_DOWN. */
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
/* Another way out for attempts from now on; kept connections are closed. PH_INVALID naming
 * "egress_proxy": then the former stays. */
PH_NODISCARD enum ph_error sink_http_set_egress(struct sink_http *sink,
                                                const struct sink_http_egress *egress,
                                                struct diag *diag);
/* Live pools of policies. */
size_t sink_http_policy_count(const struct sink_http *sink);

#endif
