/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server on libmicrohttpd: listeners, strict parsing, routing, limits, suspended
 * requests.
 *
 * Concurrency: `accept` is one thread that owns the listening sockets and feeds `threads` daemons
 * without a socket of their own (MHD_add_connection). Handlers run on a daemon's thread. A
 * handler either answers before it returns, or calls http_suspend and lets another thread answer
 * later with http_respond; whoever answers gives the request up. Exactly one answer per request
 * (asserted). The table of suspended requests is under a lock, so that stopping can wait for them.
 */
#ifndef PH_HTTP_SERVER_H
#define PH_HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json_out.h"
#include "base/log.h"
#include "base/metrics.h"
#include "core/trace.h"

struct http_server;
struct http_request;

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_METHOD_COUNT
};

typedef void http_handler(struct http_request *request);

/* One row of a route table. `pattern` has literal segments and `{name}` parameters, one whole
 * segment each ("/api/v1/app/{app_id}/msg"); the last one may be `{name*}`, which takes one segment
 * or more (http_rest). A trailing slash of the request path is ignored.
 * HEAD is served by the GET route (the body is left out). */
#define HTTP_BODY_STREAMED SIZE_MAX
struct http_route {
    enum http_method method;
    const char *pattern;
    http_handler *handler;
    /* 0 = no body is expected (one up to 64 KiB is read and ignored); HTTP_BODY_STREAMED = the
     * handler is called before the body has come, see upload.h. */
    size_t body_max_bytes;
    const void *data; /* the owner's own, see http_route_of */
};

struct http_server_options {
    const struct http_route *routes; /* one table; lives as long as the server */
    size_t route_count;
    /* What to answer when no route fits; NULL = 404 with the JSON envelope. 405 is answered when
     * the path fits another method. */
    http_handler *not_found;
    /* Answers what the server itself refuses (400, 405, 413, 503) in a form of its own; false
     * without an answer = the JSON envelope. NULL = always that. */
    bool (*refuse)(struct http_request *request, int status, const char *detail);
    size_t not_found_body_max_bytes;      /* of the body that it gets; 0 = it gets none */
    unsigned threads;                     /* daemons, 1.. */
    unsigned connections_max;             /* in all; above it a fixed 503 and close */
    unsigned connections_per_address_max; /* 0 = no such limit */
    unsigned streams_max;                 /* see stream.h; above it 503 */
    int64_t header_timeout_ms;            /* total time for the request head, 10 000 */
    int64_t body_timeout_ms;              /* total time for the body, 30 000 */
    int64_t idle_timeout_s;               /* keep-alive idle time, 75 */
    size_t
        body_bytes_max; /* of large bodies (above 64 KiB) until they are answered; above it 503 */
    size_t answer_bytes_max; /* of large answers that clients have not read; above it 503 */
    /* Addresses or networks ("10.0.0.0/8") of proxies whose X-Forwarded-For or Forwarded is
     * believed: not they are held to connections_per_address_max but the clients they name, by the
     * requests these have in progress. Only read by http_server_start and http_server_reload. */
    const char *const *trusted_proxies;
    size_t trusted_proxy_count;
    const char *tls_cert_file; /* PEM, with tls_key_file; NULL = plain */
    const char *tls_key_file;
    /* Called on each daemon's thread before its first request / at its end, to make what the
     * handlers of that thread own (a store reader). May be NULL. */
    void *(*thread_start)(void *context);
    void (*thread_stop)(void *thread_context, void *context);
    void *context; /* see http_context */
    struct log *log;
    struct metrics *metrics;
};

/* Listens on `addresses` ("127.0.0.1:8071", "[::1]:0"; port 0 picks one) and starts serving.
 * Errors name the address and the reason (PH_IO, PH_INVALID). */
PH_NODISCARD enum ph_error http_server_start(const struct http_server_options *options,
                                             const char *const *addresses, size_t address_count,
                                             struct diag *diag, struct http_server **ret_server);
/*
 * Takes new limits, timeouts, trusted proxies, certificate and key; the rest of `options` is not
 * looked at, and TLS is neither switched on nor off. A certificate that cannot
 * be used is an error that leaves the former in place and changes the rest; a proxy that is no
 * network changes nothing. Kept connections take the new values with their next request. Main
 * thread.
 */
PH_NODISCARD enum ph_error http_server_reload(struct http_server *server,
                                              const struct http_server_options *options,
                                              struct diag *diag);
/* "127.0.0.1:8071" of listener `index` with the real port; owned by the server. */
const char *http_server_address(const struct http_server *server, size_t index);
/* Stops accepting, lets requests in progress (suspended ones too) end for at most `drain_ms`;
 * those left are answered 503 by their owners' http_respond later or cut. Frees the server. */
void http_server_stop(struct http_server *server, int64_t drain_ms);

/* --- the request, on the handler's thread ------------------------------------------------- */

enum http_method http_method_of(const struct http_request *request);
const struct http_route *http_route_of(const struct http_request *request);
void *http_context(const struct http_request *request);        /* options.context */
void *http_thread_context(const struct http_request *request); /* from thread_start */
/* What went wrong, for the log line of the request; http_respond_error knows. Before it is
 * answered. */
void http_note_error(struct http_request *request, const char *text);
/* The path has a secret: the log has the route's pattern in its place. Before it is answered. */
void http_hide_path(struct http_request *request);
/* Whether it came by TLS to this server; what a proxy did is not known. */
bool http_is_tls(const struct http_request *request);
/* The raw path, undecoded, without query. */
struct slice http_path(const struct http_request *request);
/* Decoded parameter by its name in the pattern; always present for names in the pattern. */
struct slice http_param(const struct http_request *request, const char *name);
/* What the pattern's `{name*}` took: its decoded segments with slashes between. SLICE_NONE at the
 * cap of the request's memory. */
struct slice http_rest(struct http_request *request);
/* Header value, name without case; SLICE_NONE when absent. Values are trimmed. */
struct slice http_header(const struct http_request *request, const char *name);
/* n-th (from 0) decoded value of a query parameter; SLICE_NONE when there is none. A parameter
 * without `=` has an empty value (ptr not NULL). */
struct slice http_query(const struct http_request *request, const char *name, size_t n);
/* All decoded query parameters in order; false at the end. */
bool http_query_at(const struct http_request *request, size_t index, struct slice *ret_name,
                   struct slice *ret_value);
/* The raw query string after `?`, or empty. */
struct slice http_query_text(const struct http_request *request);
/* The whole body; valid until the request is answered. */
struct slice http_body(const struct http_request *request);
/* The client's `traceparent`; false without exactly one that is valid. */
bool http_trace(const struct http_request *request, struct trace *ret_trace);
/* Client address as text, through trusted proxies when configured. */
const char *http_peer(const struct http_request *request);
/* Memory that lives until the request is answered; cap 4 MiB. */
struct arena *http_arena(struct http_request *request);
/* The owner's own pointer per request. */
void http_set_user(struct http_request *request, void *user);
void *http_user(const struct http_request *request);

/* --- answering ------------------------------------------------------------------------------ */

/* From now on another thread answers; the handler must not touch the request after it handed it
 * over. Call before handing over. */
void http_suspend(struct http_request *request);
/* Adds a response header (copied). Before http_respond. */
void http_add_header(struct http_request *request, const char *name, const char *value);
/*
 * Answers and gives the request up. `body` is taken (emptied) when not NULL. `content_type` is a
 * literal, ignored without a body. Any thread when suspended, else the handler's thread. A body
 * that failed (limit) becomes a 500 with `{}`.
 */
void http_respond(struct http_request *request, int status, const char *content_type,
                  struct buf *body);
/* JSON in `body`. */
void http_respond_json(struct http_request *request, int status, struct buf *body);
/* 204 without body. */
void http_respond_empty(struct http_request *request, int status);
/*
 * The API's error answer from a filled diag (svix-api spec section 4): `{"code","detail"}`; 422 is
 * `{"detail":[{"loc":[…],"msg","type"}]}` with loc = field split at dots and type = code or
 * "value_error"; 500 is `{}`. 503 and 507 carry `Retry-After: 1`. The log line of the request has
 * the diag's words.
 */
void http_respond_error(struct http_request *request, const struct diag *diag);
/* The same as one value of an answer to several things at once: writes the body, returns the
 * status. */
int http_error_write(const struct diag *diag, struct json_out *out);

#endif
