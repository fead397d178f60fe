/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the HTTP server share. Nobody outside src/http includes this.
 *
 * Concurrency:
 * - A request belongs to its daemon's thread, from the request line to the notice of completion.
 *   When it is parked (http_suspend), `state`, `answer` and the list of parked requests are
 *   guarded by the daemon's lock, and its owner holds a second reference.
 * - A connection is in the server's table, guarded by `connections_lock`; its deadline is atomic,
 *   written by the daemon's thread and read by the accept thread.
 * - What a reload changes is an immutable snapshot, see settings.c. The accept thread holds one,
 * and each connection another, which follows the server's with each request.
 * - Lock order: daemon lock, then libmicrohttpd's own. `connections_lock`, `linger_lock`,
 *   `drain_lock` and `settings_lock` are innermost and never held together.
 */
#ifndef PH_HTTP_SERVER_INT_H
#define PH_HTTP_SERVER_INT_H

#include <gnutls/abstract.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/list.h"
#include "base/map.h"
#include "http/forwarded.h"
#include "http/router.h"
#include "http/server.h"

#define HTTP_BODY_IGNORED_MAX_BYTES ((size_t)64 * 1024) /* read though nobody wants it */
#define HTTP_BODY_LARGE_BYTES ((size_t)64 * 1024)       /* from here on bodies are counted */
#define HTTP_ARENA_MAX_BYTES ((size_t)4 * 1024 * 1024)
#define HTTP_CONNECTION_POOL_BYTES                                                                 \
    ((size_t)32 * 1024) /* libmicrohttpd's memory, so the head too                                 \
                         */
#define HTTP_PEER_MAX 48
#define HTTP_HEADERS_INLINE 24

struct http_credentials;
struct http_upload;

struct http_settings {
    atomic_int references;
    unsigned connections_max;
    unsigned connections_per_address_max;
    unsigned streams_max;
    int64_t header_timeout_ms;
    int64_t body_timeout_ms;
    int64_t idle_timeout_s;
    struct http_network *proxies;
    size_t proxy_count;
    struct http_credentials *credentials; /* NULL = plain */
};

struct http_connection {
    struct list_node node; /* in the server's list */
    struct http_daemon *daemon;
    struct http_settings *settings; /* the daemon's thread's */
    int fd;
    bool has_address;
    uint8_t address[16];
    bool is_proxy;        /* its address is one of the trusted proxies */
    uint64_t address_key; /* in the server's count per address; 0 = not counted */
    /* CLOCK_BOOTTIME microseconds after which the sweep shuts the socket down; 0 = never. */
    atomic_int_fast64_t deadline_us;
    atomic_bool is_reading; /* a request may come, or comes */
    atomic_bool has_ended;  /* the last sweep found the end of the stream and nothing before it */
    char peer[HTTP_PEER_MAX];
};

struct http_daemon {
    struct http_server *server;
    struct MHD_Daemon *mhd;
    atomic_uint connection_count;
    atomic_int resuming;    /* threads between an answer and the end of MHD_resume_connection */
    atomic_int in_progress; /* requests whose head is complete and that are not completed */
    atomic_int handling;    /* those of them that were read to their end */

    pthread_mutex_t lock;
    struct list_node parked; /* suspended requests without an answer */
    bool is_closing;         /* parking is over: what is suspended now is answered 503 at once */
    struct list_node streams;
    bool refuses_streams;

    /* Only the daemon's thread. */
    bool has_thread_context;
    void *thread_context;
    struct http_request *spare; /* finished requests for the next use, the hottest first */
    unsigned spare_count;
};

struct http_listener {
    int fd;
    char address[HTTP_PEER_MAX + 8];
};

/* A socket that was answered before it was read to its end. Closing it at once would make the
 * kernel send a reset, which can overtake the answer; it is read for a moment instead. */
struct http_linger {
    int fd;
    int64_t until_us;
};
#define HTTP_LINGER_MAX 64
#define HTTP_LINGER_US INT64_C(2000000)

struct http_server {
    struct http_server_options options;
    struct router *router;
    struct http_daemon *daemons;
    struct http_listener *listeners;
    size_t listener_count;
    bool is_tls;
    pthread_mutex_t settings_lock;
    struct http_settings *_Atomic settings; /* swapped under the lock */
    bool is_head_layout_known;              /* see head.c */
    pthread_key_t thread_key; /* its destructor runs thread_stop on the daemon's thread */

    atomic_size_t answer_bytes; /* of large answers that are being sent */
    atomic_size_t body_bytes;   /* of large bodies that have come and are not answered */
    atomic_uint stream_count;
    atomic_bool is_stopping; /* answers say `Connection: close` */
    atomic_int references;   /* the running server and each abandoned request */

    pthread_t accept_thread;
    bool has_accept_thread;
    atomic_bool accept_stops;
    int wake_fd; /* eventfd: look at accept_stops and at the lingering sockets */

    pthread_mutex_t connections_lock;
    struct list_node connections;
    unsigned connection_count;
    struct http_connection **connection_by_fd;
    size_t connection_fd_max;
    struct map address_counts; /* address key -> count */
    uint8_t address_hash_key[16];

    pthread_mutex_t linger_lock;
    struct http_linger lingering[HTTP_LINGER_MAX]; /* handed to the accept thread */
    size_t linger_count;

    pthread_mutex_t drain_lock;
    pthread_cond_t drain_changed;
};

struct http_field {
    struct slice name;
    struct slice value;
};

/* One header of the answer. */
struct http_answer_header {
    struct http_answer_header *next;
    const char *name;
    const char *value;
};

/*
 *   READING ──► HANDLED ──────────────► ANSWERED     the handler answered before it returned
 *      │           └────► PARKED ─────► ANSWERED     http_suspend, then http_respond
 *      │                    └─────────► ABANDONED    the server stopped first: 503
 *      └──────────────────────────────► ANSWERED     refused without a handler
 *
 * An upload goes from READING to PARKED and back with each piece.
 */
enum http_request_state {
    REQUEST_READING,
    REQUEST_HANDLED,
    REQUEST_PARKED,
    REQUEST_ANSWERED,
    REQUEST_ABANDONED
};

struct http_request {
    /* Kept from use to use. */
    struct arena arena;
    char *body;
    size_t body_capacity;  /* of `body`, the final NUL not counted */
    atomic_int references; /* libmicrohttpd's, and the owner's of a suspended request */
    /* From here to `peer` cleared for each request. */
    bool is_counted;     /* in the daemon's in_progress */
    bool is_read;        /* ... and in its handling */
    bool is_handed_over; /* http_suspend was called */
    bool is_suspended;   /* ... and libmicrohttpd was told; only for the handler's thread */
    bool is_queued;      /* the answer is given to libmicrohttpd */
    uint64_t client_key; /* counted for the client behind a proxy; 0 = not */
    bool is_http_1_0;
    bool hides_path; /* the log has the route's pattern */
    bool is_body_ignored;
    bool is_body_too_large;
    bool is_body_refused;
    size_t counted_body_bytes; /* of the server's body_bytes */
    bool has_body;
    bool has_origin;
    bool expects_continue;
    enum http_method method;
    enum http_request_state state;
    struct http_daemon *daemon;
    struct http_connection *connection; /* gone when the request is completed */
    struct MHD_Connection *mhd;
    const char *raw_target; /* libmicrohttpd's memory, only compared */
    struct list_node parked;
    struct http_request *next_spare;
    int linger_fd; /* -1 or a duplicate of the socket that the accept thread reads to the end */
    void *user;

    struct slice target; /* as sent, without what an absolute form has before the path */
    struct slice path;
    struct slice query_text;
    const struct router_row *row;
    unsigned allowed; /* methods of the path */
    http_handler *handler;
    size_t segment_count;
    size_t field_count;
    size_t field_capacity;
    struct http_field *fields;
    struct http_field *query;
    size_t query_count;
    size_t body_length;
    size_t body_expected; /* Content-Length, or 0 */
    size_t body_max;

    int status;
    const char *content_type;
    const char *error_text;     /* of the diag that was answered, for the log; NULL = none */
    struct http_stream *stream; /* the answer goes on; NULL = it does not */
    struct http_upload *upload; /* the body is handed on in pieces; NULL = it is not */
    char *answer;               /* malloc'ed or NULL */
    size_t answer_length;
    size_t counted_bytes; /* in the server's answer_bytes */
    uint64_t head_length; /* of the stream that a HEAD request asks for; 0 = not known */
    struct http_answer_header *answer_headers;

    char peer[HTTP_PEER_MAX];
    struct slice segments[ROUTER_SEGMENTS_MAX];
    struct http_field fields_inline[HTTP_HEADERS_INLINE];
};

/* --- server.c --- */
void http_server_unref(struct http_server *server);
void http_count(const struct http_server *server, enum metric metric, int64_t amount);
/* A request of `daemon` is completed; wakes a waiting http_server_stop. */
void http_progress_end(struct http_daemon *daemon, bool was_read);
/* It goes on for as long as the client likes: a stopping server does not wait for it to end. */
void http_progress_goes_on(struct http_daemon *daemon);

/* --- accept.c: the accept thread --- */
#define HTTP_LISTENERS_MAX 16
PH_NODISCARD enum ph_error http_listen(const char *address, struct diag *diag,
                                       struct http_listener *ret_listener);
/* Makes the accept thread look at its orders. Any thread. */
void http_accept_wake(struct http_server *server);
void *http_accept_main(void *server);
/* Gives a socket to the accept thread, which reads it to the end for a moment and closes it. */
void http_linger(struct http_server *server, int fd);

/* --- connection.c --- */
/* Registers an accepted socket. NULL when a limit is reached (the socket is still the caller's). */
struct http_connection *http_connection_new(struct http_server *server,
                                            struct http_settings *settings, int fd,
                                            const struct sockaddr *address,
                                            struct http_daemon *daemon);
void http_connection_free(struct http_server *server, struct http_connection *connection);
/* Daemon's thread: libmicrohttpd starts and ends a connection. */
void http_connection_notify(void *daemon, struct MHD_Connection *mhd, void **socket_context,
                            enum MHD_ConnectionNotificationCode code);
/* Daemon's thread, with each request: takes what a reload changed. */
void http_connection_follow(struct http_connection *connection);
/* Counts a request of a client behind a trusted proxy as a connection of the client's. False when
 * it has too many. http_client_release ends it. */
bool http_client_take(struct http_request *request, const uint8_t address[16]);
void http_client_release(struct http_request *request);
/* Shuts down the sockets that are past their deadline. */
void http_connection_sweep(struct http_server *server, int64_t now_us);
/* Until when the connection may go on as it is (0 = no limit), and whether it waits for bytes. */
void http_connection_set_deadline(struct http_connection *connection, int64_t deadline_us,
                                  bool is_reading);

/* --- peer.c --- */
/* An IPv4 or IPv6 address, IPv4 as mapped. False for other families. */
bool http_address_bytes(const struct sockaddr *address, uint8_t ret_bytes[16]);
/* When the connection is from a trusted proxy that names the client: sets request->peer to it. */
bool http_peer_read(struct http_request *request, uint8_t ret_address[16]);
/* "192.0.2.1" or "2001:db8::1". */
void http_peer_text(const uint8_t address[16], char ret_text[HTTP_PEER_MAX]);

/* --- request.c: callbacks of libmicrohttpd, on the daemon's thread --- */
void *http_on_target(void *daemon, const char *target, struct MHD_Connection *mhd);
enum MHD_Result http_on_access(void *daemon, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *data_size, void **request);
void http_on_completed(void *daemon, struct MHD_Connection *mhd, void **request,
                       enum MHD_RequestTerminationCode code);
void http_request_unref(struct http_request *request);
void http_request_destroy(struct http_request *request);
/* Answers the parked requests of a stopping server with 503; their owners may answer later. */
void http_abandon_parked(struct http_daemon *daemon);

/* --- head.c --- */
/* What is wrong with the head, or NULL: copies the header fields into the request, splits and
 * checks the target. The text is for the client. */
const char *http_head_read(struct http_request *request, const char *method, const char *version);
/* Whether libmicrohttpd is the version whose way of parsing head.c knows. */
bool http_head_layout_is_known(void);

/* --- query.c --- */
/* Decodes the query; false when an escape is malformed or the text is not UTF-8. */
bool http_query_parse(struct http_request *request);

/* --- respond.c --- */
/* Gives the answer in the request to libmicrohttpd. */
enum MHD_Result http_answer_queue(struct http_request *request);
/* --- errors.c --- */
/* The client has read it, or is gone: gives back what it was counted for. */
void http_answer_read(struct http_request *request);
/* Answers with the envelope {"code","detail"}; the state must allow an answer. */
void http_answer_code(struct http_request *request, int status, const char *code,
                      const char *detail);

/* --- stream.c --- */
struct MHD_Response *http_stream_response(struct http_request *request);
/* The request is completed: nothing touches its connection any more. Daemon's thread. */
void http_stream_completed(struct http_request *request);
/* Cuts clients that have gone, sends to those that wait long. Accept thread. */
void http_streams_sweep(struct http_server *server, int64_t now_us);
/* Ends all streams of a stopping server and lets none begin. */
void http_streams_end(struct http_daemon *daemon);

/* --- upload.c: the daemon's thread --- */
/* A part of the body; its end. */
enum MHD_Result http_upload_read(struct http_request *request, const char *data, size_t *size);
enum MHD_Result http_upload_end(struct http_request *request);
/* The connection is done with the request: an upload that was under way is cut. */
void http_upload_completed(struct http_request *request);
void http_upload_free(struct http_request *request);

/* --- builtin.c: handlers of the server itself --- */
http_handler http_handle_not_found;
http_handler http_handle_method_not_allowed;
http_handler http_handle_options;
http_handler http_handle_too_large;

/* --- tls.c --- */
/* A certificate chain with its key, from PEM files of at most 1 MiB. */
PH_NODISCARD enum ph_error http_credentials_load(const char *cert_file, const char *key_file,
                                                 struct diag *diag,
                                                 struct http_credentials **ret_credentials);
struct http_credentials *http_credentials_ref(struct http_credentials *credentials);
void http_credentials_unref(struct http_credentials *credentials); /* NULL is fine */
/* A gnutls_certificate_retrieve_function2 that gives the credentials of the connection. */
int http_credentials_give(gnutls_session_t session, const gnutls_datum_t *authorities,
                          int authority_count, const gnutls_pk_algorithm_t *algorithms,
                          int algorithm_count, gnutls_pcert_st **ret_chain, unsigned *ret_length,
                          gnutls_privkey_t *ret_key);

/* --- settings.c --- */
PH_NODISCARD enum ph_error http_settings_new(const struct http_server_options *options,
                                             struct diag *diag,
                                             struct http_settings **ret_settings);
struct http_settings *http_settings_ref(struct http_settings *settings);
void http_settings_unref(struct http_settings *settings); /* NULL is fine */
/* Exchanges a reference for one to the server's present settings. False when it is that already.
 * Any thread. */
bool http_settings_follow(struct http_server *server, struct http_settings **held);

#endif
