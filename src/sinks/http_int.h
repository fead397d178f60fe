/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the HTTP sink. All of it belongs to the sink's thread.
 *
 *   http.c           life of a sink and of an attempt
 *   http_transfer.c  a curl easy handle with its buffers: request in, answer out, limits
 *   http_result.c    from curl's error codes to a result with words
 *   http_events.c    sockets and timers between curl and epoll
 *   http_route.c     what is known about a URL and about a host with its port
 */
#ifndef PH_SINKS_HTTP_INT_H
#define PH_SINKS_HTTP_INT_H

#include <curl/curl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "sinks/http.h"

#define HTTP_ROUTE_SLOTS 2048   /* a power of two */
#define HTTP_PLACE_BUCKETS 1024 /* a power of two */
#define HTTP_RESOLVE_NODES 4    /* one host to add, up to three to forget */
#define HTTP_NAME_MAX 300       /* "host:port" with its NUL; longer hosts do not exist */

/* A curl multi handle with its kept connections: they were all allowed by one guard table. */
struct http_pool {
    struct list_node node; /* in sink.pools */
    struct sink_http *sink;
    CURLM *multi;
    int64_t deadline_us; /* curl's timer; INT64_MAX when none */
    size_t in_flight;
    uint64_t serial; /* of the sink's pools, above 0 */
};

/* State of a descriptor, by number. */
struct http_socket {
    struct http_pool *pool;
    uint32_t wanted;     /* epoll events that curl waits for; 0 when none */
    uint32_t registered; /* epoll events that the kernel watches; 0 when not in the set */
    bool is_plain;       /* without TLS */
    bool is_connection;  /* opened and closed by our callbacks */
};

/* A host with its port. */
struct http_place {
    struct http_place *next;         /* in its bucket */
    struct list_node forgotten_node; /* in sink.forgotten when nothing refers to it */
    unsigned references;             /* routes */
    uint64_t hash;
    struct resolver_answer *answer; /* the last one; NULL before the first and for literals */
    uint64_t loaded_serial;         /* pool that was given `loaded_generation`; 0 = none */
    uint64_t loaded_generation;
    bool is_localhost;       /* curl knows its addresses */
    bool needs_lookup;       /* a name, not an address */
    char *host;              /* as curl writes it: lower case, punycode, no brackets */
    char key[HTTP_NAME_MAX]; /* "host:port" as CURLOPT_RESOLVE wants it */
};

/* What a URL says; cached because parsing costs microseconds. */
struct http_route {
    unsigned references; /* the cache slot and attempts in flight */
    uint64_t hash;
    struct http_place *place;
    bool is_https;
    char url[];
};

enum http_method { HTTP_POST, HTTP_GET, HTTP_HEAD, HTTP_CUSTOM };

enum http_stop {
    HTTP_STOP_NONE,
    HTTP_STOP_BODY,          /* enough of the body was read */
    HTTP_STOP_HEADERS,       /* too many bytes of headers */
    HTTP_STOP_INFORMATIONAL, /* too many 1xx answers */
};

/* One attempt. The curl handle and the buffers are used again by the next one. */
struct http_transfer {
    struct list_node node; /* in sink.active or sink.idle */
    struct heap_node timer;
    struct resolver_query query;
    struct sink_http *sink;
    struct http_pool *pool; /* NULL while it is not with curl */
    struct http_route *route;
    CURL *easy;
    bool is_waiting_for_name; /* `query` is with the resolver; it may have an answer already */
    bool is_repeated;         /* given to curl a second time */
    bool has_opened;          /* a socket was opened for this attempt */

    /* Request. */
    void *user;
    size_t body_bytes;
    int64_t timeout_ms;
    int64_t started_us;
    struct curl_slist *header_nodes;
    size_t header_capacity;
    struct buf header_text;
    struct curl_slist resolve_nodes[HTTP_RESOLVE_NODES];
    struct buf resolve_text;

    /* What the curl handle is set to, so that only changes are set. */
    bool has_resolve;
    bool has_pipewait;
    bool is_fresh; /* CURLOPT_FRESH_CONNECT and CURLOPT_FORBID_REUSE */
    enum http_method method;
    char method_name[16];
    int64_t connect_timeout_ms; /* 0 = curl's default */

    /* Connection. */
    struct sockaddr_storage address; /* last one tried; AF_UNSPEC when none */
    int last_fd;                     /* its socket, which may be closed again */
    char blocked_text[160];          /* why an address was refused, or empty */
    char curl_error[CURL_ERROR_SIZE];

    /* Answer. */
    int status_code;
    unsigned informational_count;
    size_t header_bytes;
    size_t body_read_bytes;
    struct buf body;
    enum http_stop stop;
    bool has_final_headers; /* what comes now are trailers */
    bool has_retry_after;
    bool has_hint;
    char retry_after[128];
    char hint[64];
    char error_text[320];
};

struct sink_http {
    struct sink_http_options options; /* strings are copies */
    const struct cidr_set *allow_subnets;
    int epoll_fd;
    struct resolver_client *resolver;
    struct list_node pools; /* the last one takes new attempts; others drain */
    uint64_t next_serial;
    struct heap timers; /* http_transfer.timer, CLOCK_BOOTTIME */
    struct list_node active;
    struct list_node idle;
    size_t in_flight;
    size_t idle_count;
    const void *call_ssl; /* the TLS connection that curl reads in this call, see http_flood.c */
    int64_t call_ssl_since_us;
    unsigned call_records;
    bool is_flooded; /* a connection was ended since the results were taken last */
    bool is_closing;
    struct http_socket *sockets; /* by descriptor */
    size_t socket_capacity;
    uint8_t hash_key[16];
    struct http_route *routes[HTTP_ROUTE_SLOTS];
    struct http_place *places[HTTP_PLACE_BUCKETS];
    struct list_node forgotten; /* places without routes that the pool's cache still holds */
};

/* http_transfer.c */
/* NULL when curl gives no handle. */
PH_NODISCARD struct http_transfer *http_transfer_new(struct sink_http *sink);
void http_transfer_free(struct http_transfer *transfer);
/* Sets everything of a request but the addresses. PH_INVALID names the field. */
PH_NODISCARD enum ph_error http_transfer_prepare(struct http_transfer *transfer,
                                                 const struct sink_request *request,
                                                 struct diag *diag);
/* Empties what the attempt left, for the next one. */
void http_transfer_reset(struct http_transfer *transfer);
/* From now on (re)connects only, and its connection is not kept. */
void http_transfer_make_fresh(struct http_transfer *transfer);

/* http_flood.c */
/* Before each call of curl that may read. */
void http_flood_begin(struct sink_http *sink);
CURLcode http_flood_on_ssl_context(CURL *easy, void *context, void *sink_pointer);

/* http_result.c */
/* Fills the result (slices into the transfer) for curl's outcome. */
void http_result_of_curl(struct http_transfer *transfer, CURLcode code,
                         struct sink_result *ret_result);
void http_result_of_timeout(struct http_transfer *transfer, struct sink_result *ret_result);
/* Any other failure, with these words. */
void http_result_of_failure(struct http_transfer *transfer, enum attempt_failure failure,
                            const char *words, struct sink_result *ret_result);
/* "192.0.2.1:443" or "[2001:db8::1]:443"; "?" for another family. */
void http_address_text(const struct sockaddr *address, char *ret_text, size_t text_size);

/* http_events.c */
PH_NODISCARD struct http_pool *http_pool_new(struct sink_http *sink);
/* Closes its connections. Nothing may be in flight. */
void http_pool_free(struct http_pool *pool);
curl_socket_t http_open_socket(void *transfer, curlsocktype purpose, struct curl_sockaddr *address);
int http_close_socket(void *sink, curl_socket_t fd);
/* Ready descriptors: gives them to curl. Sets whether the resolver has answers. */
void http_events_poll(struct sink_http *sink, bool *ret_has_answers);
/* Runs curl's timer if it is due. */
void http_pool_run_timer(struct http_pool *pool, int64_t now_us);

/* http_route.c */
/* The route of a URL with a reference for the caller; PH_INVALID when curl does not take it. */
PH_NODISCARD enum ph_error http_route_find(struct sink_http *sink, const char *url,
                                           struct diag *diag, struct http_route **ret_route);
void http_route_unref(struct sink_http *sink, struct http_route *route);
void http_routes_done(struct sink_http *sink);
/* After a change of pools: the places that only wait to be forgotten by the old one go. */
void http_places_forget(struct sink_http *sink);
/* Whether the place's answer may still be used. */
bool http_place_is_known(const struct http_place *place, int64_t now_us);
/* Puts the addresses (and some hosts to forget) on the transfer's CURLOPT_RESOLVE list if this pool
 * has not seen them. True when there was something to tell: curl must then see this transfer before
 * any other one of the place. */
PH_NODISCARD bool http_place_load(struct http_pool *pool, struct http_transfer *transfer);

#endif
