/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a request: libmicrohttpd's callbacks, the body, and the counting of references.
 * libmicrohttpd calls the access handler once with the head, then for each piece of the body,
 * then once more with nothing; that last call runs the route's handler. An answer during the
 * first call ends the connection after it, one during the pieces is not possible.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/server_int.h"

#define SPARE_MAX 64
#define SPARE_BODY_MAX_BYTES ((size_t)16 * 1024)

static struct http_request *request_take(struct http_daemon *daemon)
{
    struct http_request *request = daemon->spare;
    if (request != NULL) {
        daemon->spare = request->next_spare;
        daemon->spare_count--;
    } else {
        request = ph_malloc(sizeof *request);
        arena_init(&request->arena, HTTP_ARENA_MAX_BYTES);
        request->body = NULL;
        request->body_capacity = 0;
    }
    size_t begin = offsetof(struct http_request, is_counted);
    memset((char *)request + begin, 0, offsetof(struct http_request, peer) - begin);
    atomic_init(&request->references, 1);
    request->daemon = daemon;
    request->linger_fd = -1;
    list_init(&request->parked);
    return request;
}

void http_request_destroy(struct http_request *request)
{
    arena_done(&request->arena);
    free(request->body);
    free(request);
}

/* Gives up libmicrohttpd's reference on the daemon's thread: the last one is kept for reuse. */
static void request_put_back(struct http_request *request)
{
    if (atomic_fetch_sub(&request->references, 1) != 1) {
        return; /* abandoned: the owner's http_respond frees it */
    }
    struct http_daemon *daemon = request->daemon;
    free(request->answer);
    request->answer = NULL;
    http_upload_free(request);
    if (daemon->spare_count == SPARE_MAX) {
        http_request_destroy(request);
        return;
    }
    arena_reset(&request->arena);
    if (request->body_capacity > SPARE_BODY_MAX_BYTES) {
        free(request->body);
        request->body = NULL;
        request->body_capacity = 0;
    }
    request->next_spare = daemon->spare;
    daemon->spare = request;
    daemon->spare_count++;
}

void http_request_unref(struct http_request *request)
{
    if (atomic_fetch_sub(&request->references, 1) == 1) {
        free(request->answer);
        http_upload_free(request);
        http_request_destroy(request);
    }
}

static struct http_connection *connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    PH_ASSERT(info != NULL && info->socket_context != NULL);
    return info->socket_context;
}

void *http_on_target(void *context, const char *target, struct MHD_Connection *mhd)
{
    struct http_daemon *daemon = context;
    struct http_request *request = request_take(daemon);
    request->mhd = mhd;
    request->connection = connection_of(mhd);
    http_connection_follow(request->connection);
    memcpy(request->peer, request->connection->peer, HTTP_PEER_MAX);
    request->raw_target = target;
    size_t length = strlen(target);
    char *copy = arena_alloc(&request->arena, length);
    PH_ASSERT(copy != NULL); /* the target fits libmicrohttpd's pool, so the arena too */
    memcpy(copy, target, length);
    request->target = (struct slice){copy, length};
    int64_t timeout_us = request->connection->settings->header_timeout_ms * CLOCK_US_PER_MS;
    http_connection_set_deadline(request->connection, clock_boot_us() + timeout_us, true);
    return request;
}

/* An answer before the request was read to its end: libmicrohttpd closes the connection after it,
 * the duplicate keeps the socket until the client has had the time to read the answer. */
static enum MHD_Result answer_early(struct http_request *request)
{
    const struct http_server *server = request->daemon->server;
    if (request->has_body && !server->is_tls) {
        request->linger_fd = fcntl(request->connection->fd, F_DUPFD_CLOEXEC, 0);
    }
    return http_answer_queue(request);
}

static enum MHD_Result refuse(struct http_request *request, int status, const char *code,
                              const char *detail)
{
    request->has_body = true; /* unknown, after a head that is not valid */
    http_answer_code(request, status, code, detail);
    return answer_early(request);
}

static void choose_handler(struct http_request *request)
{
    const struct http_server *server = request->daemon->server;
    struct router_match match = {NULL, 0};
    if (request->segment_count <= ROUTER_SEGMENTS_MAX) {
        match =
            router_find(server->router, request->method, request->segments, request->segment_count);
    }
    request->row = match.row;
    request->allowed = match.allowed;
    if (request->method == HTTP_OPTIONS) {
        request->handler = http_handle_options;
        request->row = NULL;
    } else if (match.row != NULL) {
        request->handler = match.row->route->handler;
    } else if (match.allowed != 0) {
        request->handler = http_handle_method_not_allowed;
    } else {
        request->handler =
            server->options.not_found != NULL ? server->options.not_found : http_handle_not_found;
    }
    bool is_not_found = request->row == NULL && match.allowed == 0;
    request->body_max = request->row != NULL ? request->row->route->body_max_bytes
                        : is_not_found       ? server->options.not_found_body_max_bytes
                                             : 0;
    if (request->body_max == 0) {
        request->body_max = HTTP_BODY_IGNORED_MAX_BYTES;
        request->is_body_ignored = true;
    }
}

/* Makes room for the body up to `capacity` bytes; false without memory. */
static bool body_grow(struct http_request *request, size_t capacity)
{
    if (capacity <= request->body_capacity && request->body != NULL) {
        return true;
    }
    char *body = realloc(request->body, capacity + 1);
    if (body == NULL) {
        return false;
    }
    request->body = body;
    request->body_capacity = capacity;
    return true;
}

/* Counts a large body that has grown to `total` bytes; false when large bodies fill their room. */
static bool body_count(struct http_request *request, size_t total)
{
    struct http_server *server = request->daemon->server;
    if (total <= HTTP_BODY_LARGE_BYTES) {
        return true; /* bounded by the number of connections */
    }
    size_t more = total - request->counted_body_bytes;
    if (atomic_fetch_add(&server->body_bytes, more) + more > server->options.body_bytes_max) {
        (void)atomic_fetch_sub(&server->body_bytes, more);
        return false;
    }
    request->counted_body_bytes = total;
    http_count(server, METRIC_HTTP_BODY_BYTES, (int64_t)more);
    return true;
}

static void body_uncount(struct http_request *request)
{
    if (request->counted_body_bytes > 0) {
        struct http_server *server = request->daemon->server;
        (void)atomic_fetch_sub(&server->body_bytes, request->counted_body_bytes);
        http_count(server, METRIC_HTTP_BODY_BYTES, -(int64_t)request->counted_body_bytes);
        request->counted_body_bytes = 0;
    }
}

/* There is no room: what has come is let go, what still comes is not kept. */
static void body_refuse(struct http_request *request)
{
    http_count(request->daemon->server, METRIC_HTTP_BODIES_REFUSED, 1);
    request->is_body_refused = true;
    body_uncount(request);
    free(request->body);
    request->body = NULL;
    request->body_capacity = 0;
}

/* Whether a body of the announced length would find no room now. Nothing is set aside for it: that
 * would let a client hold the room without sending anything. */
static bool body_has_no_room(const struct http_request *request)
{
    const struct http_server *server = request->daemon->server;
    return request->body_expected > HTTP_BODY_LARGE_BYTES &&
           atomic_load(&server->body_bytes) + request->body_expected >
               server->options.body_bytes_max;
}

static void ensure_thread_context(struct http_daemon *daemon)
{
    if (!daemon->has_thread_context) {
        const struct http_server_options *options = &daemon->server->options;
        daemon->has_thread_context = true;
        if (options->thread_start != NULL) {
            daemon->thread_context = options->thread_start(options->context);
        }
        PH_ASSERT(pthread_setspecific(daemon->server->thread_key, daemon) == 0);
    }
}

/* The handler of a streamed route, with the head alone: it answers or begins an upload. */
static enum MHD_Result handle_head(struct http_request *request)
{
    ensure_thread_context(request->daemon);
    http_connection_set_deadline(request->connection, 0, false);
    request->state = REQUEST_HANDLED;
    request->handler(request);
    if (request->upload != NULL) {
        return MHD_YES;
    }
    PH_ASSERT(request->state == REQUEST_ANSWERED && !request->is_handed_over);
    return answer_early(request);
}

static const char no_room[] = "Too many large requests are being read, try again soon.";

static enum MHD_Result on_head(struct http_request *request, const char *method,
                               const char *version)
{
    struct http_daemon *daemon = request->daemon;
    request->is_counted = true;
    (void)atomic_fetch_add(&daemon->in_progress, 1);
    const char *problem = http_head_read(request, method, version);
    if (problem != NULL) {
        return refuse(request, 400, "bad_request", problem);
    }
    uint8_t client[16];
    if (http_peer_read(request, client) && !http_client_take(request, client)) {
        http_count(daemon->server, METRIC_HTTP_CONNECTIONS_REFUSED, 1);
        return refuse(request, 503, "service_unavailable", "Too many connections.");
    }
    choose_handler(request);
    if (request->row != NULL && request->row->route->body_max_bytes == HTTP_BODY_STREAMED) {
        return handle_head(request);
    }
    if (request->body_expected > request->body_max) {
        http_handle_too_large(request);
        return answer_early(request);
    }
    if (!request->has_body) {
        http_connection_set_deadline(request->connection, 0, false);
        return MHD_YES;
    }
    if (!request->is_body_ignored && body_has_no_room(request)) {
        http_count(daemon->server, METRIC_HTTP_BODIES_REFUSED, 1);
        return refuse(request, 503, "service_unavailable", no_room);
    }
    if (!request->is_body_ignored && !body_grow(request, request->body_expected)) {
        return refuse(request, 503, "no_memory", "no memory for the body, try again");
    }
    int64_t timeout_us = request->connection->settings->body_timeout_ms * CLOCK_US_PER_MS;
    http_connection_set_deadline(request->connection, clock_boot_us() + timeout_us, true);
    return MHD_YES;
}

#define CUT_BODY "{\"code\":\"payload_too_large\",\"detail\":\"Request payload is too large.\"}"
_Static_assert(sizeof CUT_BODY - 1 == 69, "the length in the header below");
static const char cut_text[] = "HTTP/1.1 413 Payload Too Large\r\n"
                               "Content-Type: application/json\r\n"
                               "Connection: close\r\n"
                               "Content-Length: 69\r\n"
                               "\r\n" CUT_BODY;

/*
 * A body that goes on past twice its limit: no answer can be queued here, so the socket gets it
 * directly. Nothing else writes to it, because libmicrohttpd has nothing to send yet.
 */
static enum MHD_Result cut(struct http_request *request)
{
    struct http_server *server = request->daemon->server;
    http_count(server, METRIC_HTTP_REQUESTS, 1);
    http_count(server, METRIC_HTTP_REQUESTS_4XX, 1);
    int fd = request->connection->fd;
    if (!server->is_tls &&
        send(fd, cut_text, sizeof cut_text - 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
        request->linger_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    }
    return MHD_NO;
}

static enum MHD_Result on_body(struct http_request *request, const char *data, size_t *size)
{
    if (request->upload != NULL) {
        return http_upload_read(request, data, size);
    }
    size_t length = *size;
    *size = 0;
    size_t total = request->body_length + length;
    if (total > 2 * request->body_max) {
        return cut(request);
    }
    if (total > request->body_max) {
        request->is_body_too_large = true;
    }
    bool is_kept = !request->is_body_too_large && !request->is_body_ignored;
    if (is_kept && !request->is_body_refused && !body_count(request, total)) {
        body_refuse(request);
    }
    if (is_kept && !request->is_body_refused) {
        if (total > request->body_capacity) {
            size_t doubled = request->body_capacity < 2048 ? 4096 : request->body_capacity * 2;
            size_t capacity = doubled < total ? total : doubled;
            if (!body_grow(request, capacity > request->body_max ? request->body_max : capacity)) {
                return MHD_NO;
            }
        }
        memcpy(request->body + request->body_length, data, length);
    }
    request->body_length = total;
    return MHD_YES;
}

static enum MHD_Result on_complete(struct http_request *request)
{
    ensure_thread_context(request->daemon);
    http_connection_set_deadline(request->connection, 0, false);
    request->is_read = true;
    (void)atomic_fetch_add(&request->daemon->handling, 1);
    if (request->upload != NULL) {
        return http_upload_end(request);
    }
    if (request->is_body_too_large) {
        http_handle_too_large(request);
        return http_answer_queue(request);
    }
    if (request->is_body_refused) {
        http_answer_code(request, 503, "service_unavailable", no_room);
        return http_answer_queue(request);
    }
    if (request->is_body_ignored) {
        request->body_length = 0;
    }
    if (request->body != NULL) {
        request->body[request->body_length] = '\0';
    }
    request->state = REQUEST_HANDLED;
    request->handler(request);
    /* A suspended request may be another thread's by now: only what this thread wrote is read. */
    if (request->is_suspended) {
        return MHD_YES;
    }
    if (request->is_handed_over) {
        return http_answer_queue(request);
    }
    PH_ASSERT(request->state == REQUEST_ANSWERED); /* a handler answers or suspends */
    return http_answer_queue(request);
}

enum MHD_Result http_on_access(void *context, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *data_size, void **request_pointer)
{
    (void)context;
    (void)mhd;
    (void)url; /* the target came to http_on_target, unchanged */
    struct http_request *request = *request_pointer;
    PH_ASSERT(request != NULL);
    if (!request->is_counted) {
        return on_head(request, method, version);
    }
    if (*data_size > 0) {
        return on_body(request, data, data_size);
    }
    if (request->is_suspended) {
        return http_answer_queue(request); /* resumed */
    }
    return on_complete(request);
}

void http_on_completed(void *context, struct MHD_Connection *mhd, void **request_pointer,
                       enum MHD_RequestTerminationCode code)
{
    (void)mhd;
    (void)code;
    struct http_daemon *daemon = context;
    struct http_request *request = *request_pointer;
    if (request == NULL) {
        return;
    }
    *request_pointer = NULL;
    http_client_release(request);
    body_uncount(request);
    int64_t timeout_us = request->connection->settings->idle_timeout_s * CLOCK_US_PER_S;
    http_connection_set_deadline(request->connection, clock_boot_us() + timeout_us, true);
    if (request->linger_fd >= 0) {
        http_linger(daemon->server, request->linger_fd);
    }
    http_answer_read(request);
    http_upload_completed(request);
    http_stream_completed(request);
    bool was_counted = request->is_counted;
    bool was_read = request->is_read;
    request_put_back(request);
    if (was_counted) {
        http_progress_end(daemon, was_read);
    }
}

/* --- suspending ------------------------------------------------------------------------------ */

static void set_abandoned(struct http_request *request)
{
    request->state = REQUEST_ABANDONED;
    (void)atomic_fetch_add(&request->daemon->server->references, 1);
}

void http_suspend(struct http_request *request)
{
    struct http_daemon *daemon = request->daemon;
    PH_ASSERT(request->state == REQUEST_HANDLED);
    (void)atomic_fetch_add(&request->references, 1);
    request->is_handed_over = true;
    PH_ASSERT(pthread_mutex_lock(&daemon->lock) == 0);
    if (daemon->is_closing) {
        set_abandoned(request);
    } else {
        request->state = REQUEST_PARKED;
        request->is_suspended = true;
        list_append(&daemon->parked, &request->parked);
        MHD_suspend_connection(request->mhd);
    }
    PH_ASSERT(pthread_mutex_unlock(&daemon->lock) == 0);
}

void http_abandon_parked(struct http_daemon *daemon)
{
    PH_ASSERT(pthread_mutex_lock(&daemon->lock) == 0);
    daemon->is_closing = true;
    struct list_node *node;
    while ((node = list_take_first(&daemon->parked)) != NULL) {
        struct http_request *request = LIST_ELEMENT(node, struct http_request, parked);
        set_abandoned(request);
        MHD_resume_connection(request->mhd);
    }
    PH_ASSERT(pthread_mutex_unlock(&daemon->lock) == 0);
    /* Who took a request off the list before is about to resume it; that takes microseconds. */
    while (atomic_load(&daemon->resuming) != 0) {
        (void)sched_yield();
    }
}
