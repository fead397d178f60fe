/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the HTTP sink. All of it belongs to the sink's thread.
 *
 *   http.c           life of a sink and of an attempt
 *   http_pool.c      life of a pool: kept connections that belong together
 *   http_transfer.c  a curl easy handle with its buffers: request in, answer out, limits
 *   http_result.c    from curl's error codes to a result with words
 *   http_events.c    sockets and timers between curl and epoll
 *   http_route.c     what is known about a URL and about a host with its port
 *   http_proxy.c     proxies, and the address that one is given
 *   http_trust.c     whose certificates are believed
 *   http_flood.c     ends what has no end
 */
#ifndef PH_SINKS_HTTP_INT_H
#define PH_SINKS_HTTP_INT_H

#include <curl/curl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/secret.h"
#include "sinks/http.h"
#include "sinks/policy.h"

#define HTTP_ROUTE_SLOTS 2048   /* a power of two */
#define HTTP_PLACE_BUCKETS 1024 /* a power of two */
#define HTTP_RESOLVE_NODES 4    /* one host to add, up to three to forget */
#define HTTP_NAME_MAX 300       /* "host:port" with its NUL; longer hosts do not exist */
#define HTTP_POLICY_BUCKETS 64  /* a power of two */

enum http_proxy_kind { HTTP_PROXY_NONE, HTTP_PROXY_HTTP, HTTP_PROXY_HTTPS, HTTP_PROXY_SOCKS5 };

/* What a proxy URL says. Owns its parts. */
struct http_proxy {
    enum http_proxy_kind kind;
    char *host; /* as curl writes it; IPv6 in brackets */
    uint16_t port;
    struct secret username; /* decoded; both empty when the URL has none */
    struct secret password;
};

/*
 * A curl multi handle with its kept connections and its easy handles. All of them belong to one
 * guard table, one client certificate and one proxy, so that nothing made for one policy (a
 * connection, a TLS session) can carry the request of another:
 *
 *   live ──other guard table, other egress proxy, not needed for long──► retired ──empty──► freed
 */
struct http_pool {
    struct list_node node;  /* in sink.pools, or in sink.resting */
    struct http_pool *next; /* in its bucket of sink.policies */
    struct sink_http *sink;
    CURLM *multi;
    int64_t deadline_us;   /* curl's timer; INT64_MAX when none */
    int64_t rested_us;     /* CLOCK_BOOTTIME, since when nothing is in flight */
    size_t in_flight;      /* attempts; those that wait for a name too */
    bool is_retired;       /* takes no new attempts */
    struct list_node idle; /* transfers to use again */
    size_t idle_count;
    struct list_node loads;     /* http_load.in_pool */
    struct list_node forgotten; /* http_load.in_forgotten */

    /* What it was made for; all empty for requests without a policy. */
    uint8_t key[SINK_POLICY_KEY_BYTES];
    struct secret cert_pem;
    struct secret key_pem;
    struct secret ca_pem;
    struct http_proxy proxy;
    struct http_place *proxy_place; /* with a reference; NULL without proxy */
    bool is_operators_proxy;        /* the guard does not judge its address */
    bool proxy_resolves;            /* names of receivers are left to the proxy */
    struct buf proxy_url;           /* for curl, without credentials */
    struct buf proxy_authorization; /* header line for the proxy; wiped */
    struct curl_slist proxy_headers;
};

/* What curl's cache of names in one pool has of a place. */
struct http_load {
    struct list_node in_place;
    struct list_node in_pool;
    struct list_node in_forgotten; /* when its place is needed no more */
    struct http_pool *pool;
    struct http_place *place;
    uint64_t generation; /* of the answer */
};

/* State of a descriptor, by number. */
struct http_socket {
    struct http_pool *pool;
    uint32_t wanted;     /* epoll events that curl waits for; 0 when none */
    uint32_t registered; /* epoll events that the kernel watches; 0 when not in the set */
    bool is_http1;       /* what comes while nothing was asked is an answer to nothing */
    bool is_connection;  /* opened and closed by our callbacks */
};

/* A host with its port. It lives while a route, a pool (as its proxy) or a load refers to it. */
struct http_place {
    struct http_place *next; /* in its bucket */
    unsigned references;     /* routes and proxies */
    uint64_t hash;
    struct resolver_answer *answer; /* the last one; NULL before the first and for literals */
    struct list_node loads;         /* http_load.in_place */
    unsigned turn;                  /* which of its addresses a proxy is given */
    bool is_localhost;              /* curl knows its addresses */
    bool needs_lookup;              /* a name, not an address */
    char *host;                     /* as curl writes it: lower case, punycode, IPv6 in brackets */
    char key[HTTP_NAME_MAX];        /* "host:port" as CURLOPT_RESOLVE wants it */
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

/* One attempt. The curl handle and the buffers are used again by the next one of its pool. */
struct http_transfer {
    struct list_node node; /* in sink.active or pool.idle */
    struct heap_node timer;
    struct resolver_query query;
    struct sink_http *sink;
    struct http_pool *pool;
    struct http_route *route;
    CURL *easy;
    bool is_with_curl; /* in the pool's multi handle */
    struct http_place
        *asked;           /* `query` is with the resolver for it; it may have an answer already */
    unsigned names_asked; /* of the proxy and the receiver, in this order */
    bool is_repeated;     /* given to curl a second time */
    bool has_opened;      /* a socket was opened for this attempt */

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
    struct curl_slist connect_to; /* the address that a proxy is given */
    char connect_to_text[96];

    /* What the curl handle is set to, so that only changes are set. */
    bool has_resolve;
    bool has_pipewait;
    bool is_fresh; /* CURLOPT_FRESH_CONNECT and CURLOPT_FORBID_REUSE */
    enum http_method method;
    char method_name[16];
    bool method_has_body;
    bool is_head_with_body;
    int64_t connect_timeout_ms; /* 0 = curl's default */

    /* Connection. */
    struct sockaddr_storage address; /* last one tried; AF_UNSPEC when none */
    int last_fd;                     /* its socket, which may be closed again */
    uint64_t progress_call;          /* call of curl in which `progress_count` counts */
    unsigned progress_count;
    const void *ssl_context;  /* of its handshake; only compared */
    const char *verify_words; /* what is wrong with the peer's certificate; static text or NULL */
    bool is_asked_for_certificate;
    char blocked_text[160]; /* why an address was refused, or empty */
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
    enum attempt_failure early_failure; /* known without curl, with `error_text`; else ANSWERED */
    char error_text[320];
};

struct sink_http {
    struct sink_http_options options; /* strings are copies */
    const struct cidr_set *allow_subnets;
    struct http_proxy egress; /* the operator's */
    bool egress_resolves;
    int epoll_fd;
    struct resolver_client *resolver;
    struct http_pool *plain;  /* for requests without a policy; NULL until needed again */
    struct list_node pools;   /* with attempts in flight; the plain one always */
    struct list_node resting; /* without: retired ones, then those that rest longest */
    struct http_pool *policies[HTTP_POLICY_BUCKETS]; /* the live ones, by key */
    size_t policy_count;
    struct heap timers; /* http_transfer.timer, CLOCK_BOOTTIME */
    struct list_node active;
    size_t in_flight;
    struct x509_store_st *trust; /* certificate authorities, see http_trust.c; NULL before use */
    int64_t trust_loaded_us;
    uint64_t call;        /* number of the present call of curl */
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
};

/* http_pool.c */
/* The pool for a request with this policy (NULL = none), made if needed. PH_INVALID for a policy
 * that cannot be used, PH_BUSY when all pools are busy, PH_NO_MEMORY. */
PH_NODISCARD enum ph_error http_pool_find(struct sink_http *sink, const struct sink_policy *policy,
                                          struct diag *diag, struct http_pool **ret_pool);
/* An attempt of the pool begins, and ends. The pool outlives the present call of the sink. */
void http_pool_enter(struct http_pool *pool);
void http_pool_leave(struct http_pool *pool);
/* Takes a handle of the pool, or makes one (NULL when curl gives none), and gives it back. */
PH_NODISCARD struct http_transfer *http_pool_take_idle(struct http_pool *pool);
void http_pool_give_back(struct http_transfer *transfer);
/* No pool takes new attempts any more: kept connections go with the last attempt in flight. */
void http_pools_retire(struct sink_http *sink);
/* Frees the pools that are retired and empty, and those that have rested for long. */
void http_pools_sweep(struct sink_http *sink, int64_t now_us);
/* When http_pools_sweep has something to do, or INT64_MAX. */
int64_t http_pools_sweep_at(const struct sink_http *sink);
/* For the end of the sink; nothing may be in flight. */
void http_pools_done(struct sink_http *sink);

/* http_transfer.c */
/* NULL when curl gives no handle. */
PH_NODISCARD struct http_transfer *http_transfer_new(struct http_pool *pool);
void http_transfer_free(struct http_transfer *transfer);
/* Sets everything of a request but the addresses. PH_INVALID names the field. */
PH_NODISCARD enum ph_error http_transfer_prepare(struct http_transfer *transfer,
                                                 const struct sink_request *request,
                                                 struct diag *diag);
/* Empties what the attempt left, for the next one. */
void http_transfer_reset(struct http_transfer *transfer);
/* From now on (re)connects only, and its connection is not kept. */
void http_transfer_make_fresh(struct http_transfer *transfer);

/* http_proxy.c */
/* Parses scheme://[user:password@]host[:port]; PH_INVALID names `field`, never the text. */
PH_NODISCARD enum ph_error http_proxy_parse(struct slice url, const char *field, struct diag *diag,
                                            struct http_proxy *ret_proxy);
void http_proxy_done(struct http_proxy *proxy); /* wipes */
void http_proxy_copy(const struct http_proxy *proxy, struct http_proxy *ret_copy);
/* The options of a handle whose pool has a proxy. */
void http_proxy_set_options(struct http_transfer *transfer);
/* Says to which address the proxy shall connect: one of the receiver's that the guard allows. False
 * when there is none; then the transfer has an early failure. */
PH_NODISCARD bool http_proxy_choose_address(struct http_transfer *transfer);
/* No answer came: the next attempt gives the proxy another address, if the receiver has one. */
void http_proxy_note_failure(struct http_transfer *transfer);
/* After a change of the guard: false when the request is not sent yet and its address is not
 * allowed any more; then the transfer has an early failure. */
PH_NODISCARD bool http_proxy_judge_again(struct http_transfer *transfer);
/* The address of the operator's own proxy, which needs no permission. */
bool http_proxy_is_trusted(const struct http_pool *pool, const struct sockaddr *address);

/* http_trust.c */
CURLcode http_trust_on_ssl_context(CURL *easy, void *context, void *transfer);
void http_trust_done(struct sink_http *sink);

/* http_flood.c */
/* Before each call of curl that may read. */
void http_flood_begin(struct sink_http *sink);
/* `ssl_context` is an SSL_CTX. */
void http_flood_watch(struct sink_http *sink, void *ssl_context);
/* Ends a proxy's endless answer to CONNECT: a CURLOPT_XFERINFOFUNCTION. */
int http_flood_on_progress(void *transfer, curl_off_t download_total, curl_off_t downloaded,
                           curl_off_t upload_total, curl_off_t uploaded);

/* http_result.c */
/* Fills the result (slices into the transfer) for curl's outcome. */
void http_result_of_curl(struct http_transfer *transfer, CURLcode code,
                         struct sink_result *ret_result);
void http_result_of_timeout(struct http_transfer *transfer, struct sink_result *ret_result);
/* Any other failure, with these words. */
void http_result_of_failure(struct http_transfer *transfer, enum attempt_failure failure,
                            const char *words, struct sink_result *ret_result);
/* Early failures: the place's answer says that there is no address; any other one. */
void http_result_say_unknown_name(struct http_transfer *transfer, const struct http_place *place);
void http_result_say_early(struct http_transfer *transfer, enum attempt_failure failure,
                           const char *words);
/* The transfer's early failure. */
void http_result_of_early_failure(struct http_transfer *transfer, struct sink_result *ret_result);
/* "192.0.2.1:443" or "[2001:db8::1]:443"; "?" for another family. */
void http_address_text(const struct sockaddr *address, char *ret_text, size_t text_size);
/* What is said of an address that the guard refuses; `whose` goes in front ("of the proxy "). */
void http_blocked_text(const struct sockaddr *address, const char *whose, const char *rule,
                       char *ret_text, size_t text_size);

/* http_events.c */
/* Sockets and timer of a new multi handle go through the sink's epoll set. */
void http_events_attach(struct http_pool *pool);
curl_socket_t http_open_socket(void *transfer, curlsocktype purpose, struct curl_sockaddr *address);
int http_close_socket(void *sink, curl_socket_t fd);
/* Ready descriptors: gives them to curl. Sets whether the resolver has answers. */
void http_events_poll(struct sink_http *sink, bool *ret_has_answers);
/* Runs curl's timer if it is due. */
void http_pool_run_timer(struct http_pool *pool, int64_t now_us);
/* The transfer has ended: from now on it is known whether its new connection speaks HTTP/1. */
void http_events_note_protocol(struct http_transfer *transfer);

/* http_route.c */
/* The route of a URL with a reference for the caller; PH_INVALID when curl does not take it. */
PH_NODISCARD enum ph_error http_route_find(struct sink_http *sink, const char *url,
                                           struct diag *diag, struct http_route **ret_route);
void http_route_unref(struct sink_http *sink, struct http_route *route);
void http_routes_done(struct sink_http *sink);
/* With a reference. `host` as curl writes it; copied. */
struct http_place *http_place_find(struct sink_http *sink, const char *host, const char *port);
void http_place_unref(struct sink_http *sink, struct http_place *place); /* NULL is fine */
/* Whether the place's answer may still be used. */
bool http_place_is_known(const struct http_place *place, int64_t now_us);
/* Puts the addresses (and some hosts to forget) on the transfer's CURLOPT_RESOLVE list if its pool
 * has not seen them. True when there was something to tell: curl must then see this transfer before
 * any other one of the place. */
PH_NODISCARD bool http_place_load(struct http_transfer *transfer, struct http_place *place);
/* The pool's cache of names goes with it. */
void http_loads_done(struct http_pool *pool);

#endif
