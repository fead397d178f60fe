/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams. libmicrohttpd asks for bytes by calling read_stream. With none there it would ask again
 * at once and for ever, so the connection is suspended in there, and resumed by whoever appends.
 * While it is suspended nobody looks at its socket: the sweep does, for a client that has gone.
 *
 * Concurrency: all of a stream's state is under its lock, also whether its connection is there
 * (`request`): that is taken away when libmicrohttpd has completed the request, and the socket is
 * closed after that. The lists of streams are under the daemons' locks. Lock order: daemon, stream,
 * then libmicrohttpd's own.
 */
#include "http/stream.h"

#include <poll.h>

#include "base/clock.h"
#include "http/server_int.h"

/* Memory of a buffer that is kept for the next text. */
#define KEPT_BYTES ((size_t)16 * 1024)
/* Of libmicrohttpd, for a client of HTTP/1.0; others are read into the connection's own memory. */
#define BLOCK_BYTES 4096

struct http_stream {
    pthread_mutex_t lock;
    atomic_int references; /* the owner's, the request's and the response's */
    struct http_stream_options options;
    struct list_node node; /* in the daemon's list, under the daemon's lock */

    /* Under the lock. */
    struct http_request *request; /* NULL when it is completed */
    bool is_suspended;
    bool is_ended;  /* after what waits nothing follows */
    bool is_broken; /* nothing follows at all */
    struct buf text;
    size_t taken; /* bytes of `text` that libmicrohttpd has got */
    int64_t appended_us;
    int64_t taken_us; /* when libmicrohttpd took something */
};

static void lock(struct http_stream *stream)
{
    PH_ASSERT(pthread_mutex_lock(&stream->lock) == 0);
}

static void unlock(struct http_stream *stream)
{
    PH_ASSERT(pthread_mutex_unlock(&stream->lock) == 0);
}

static void stream_free(struct http_stream *stream)
{
    buf_done(&stream->text);
    PH_ASSERT(pthread_mutex_destroy(&stream->lock) == 0);
    free(stream);
}

static void stream_unref(struct http_stream *stream)
{
    if (atomic_fetch_sub(&stream->references, 1) == 1) {
        stream_free(stream);
    }
}

/* --- with the lock held ----------------------------------------------------------------------- */

static size_t waiting(const struct http_stream *stream)
{
    return stream->text.len - stream->taken;
}

static bool is_open(const struct http_stream *stream)
{
    return stream->request != NULL && !stream->is_ended && !stream->is_broken;
}

static void resume(struct http_stream *stream)
{
    if (stream->is_suspended) {
        stream->is_suspended = false;
        MHD_resume_connection(stream->request->mhd);
    }
}

/* The socket is there as long as the request is. Whether libmicrohttpd waits for it or for us, it
 * sees the end now. */
static void break_off(struct http_stream *stream)
{
    stream->is_broken = true;
    (void)shutdown(stream->request->connection->fd, SHUT_RDWR);
    resume(stream);
}

/* Moves at most `max` bytes out. */
static size_t take(struct http_stream *stream, char *target, size_t max)
{
    size_t length = waiting(stream) < max ? waiting(stream) : max;
    memcpy(target, stream->text.data + stream->taken, length);
    stream->taken += length;
    if (stream->taken == stream->text.len) {
        stream->taken = 0;
        if (stream->text.capacity > KEPT_BYTES) {
            buf_done(&stream->text);
        } else {
            buf_clear(&stream->text);
        }
    } else if (stream->taken >= stream->text.len / 2) {
        buf_drop(&stream->text, stream->taken);
        stream->taken = 0;
    }
    return length;
}

static void append(struct http_stream *stream, struct slice text, int64_t now_us)
{
    stream->appended_us = now_us;
    if (waiting(stream) == 0) {
        stream->taken_us = now_us;
    }
    bool is_behind = waiting(stream) > HTTP_STREAM_BEHIND_MAX_BYTES;
    if (!is_behind) {
        buf_append_slice(&stream->text, text);
    }
    if (is_behind || stream->text.failed) {
        http_count(stream->request->daemon->server, METRIC_HTTP_STREAMS_CUT, 1);
        break_off(stream);
    } else {
        resume(stream);
    }
}

/* --- the daemon's thread ---------------------------------------------------------------------- */

static ssize_t read_stream(void *context, uint64_t position, char *target, size_t max)
{
    (void)position;
    struct http_stream *stream = context;
    const struct http_stream_options *options = &stream->options;
    bool gives_room = false;
    ssize_t result = 0;
    lock(stream);
    size_t before = waiting(stream);
    if (stream->is_broken) {
        result = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (before > 0) {
        result = (ssize_t)take(stream, target, max);
        stream->taken_us = clock_boot_us();
        gives_room = before >= options->room_bytes && waiting(stream) < options->room_bytes;
    } else if (stream->is_ended) {
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        stream->is_suspended = true;
        MHD_suspend_connection(stream->request->mhd);
    }
    unlock(stream);
    if (gives_room && options->has_room != NULL) {
        options->has_room(options->context);
    }
    return result;
}

static void free_response(void *context)
{
    stream_unref(context);
}

struct MHD_Response *http_stream_response(struct http_request *request)
{
    struct http_stream *stream = request->stream;
    struct MHD_Response *response = MHD_create_response_from_callback(
        stream->options.length_bytes > 0 ? stream->options.length_bytes : MHD_SIZE_UNKNOWN,
        BLOCK_BYTES, read_stream, stream, free_response);
    if (response != NULL) {
        (void)atomic_fetch_add(&stream->references, 1);
        (void)MHD_add_response_header(response, "Content-Type", request->content_type);
    }
    return response;
}

void http_stream_completed(struct http_request *request)
{
    struct http_stream *stream = request->stream;
    if (stream == NULL) {
        return;
    }
    struct http_daemon *daemon = request->daemon;
    request->stream = NULL;
    PH_ASSERT(pthread_mutex_lock(&daemon->lock) == 0);
    list_remove(&stream->node);
    PH_ASSERT(pthread_mutex_unlock(&daemon->lock) == 0);
    lock(stream);
    PH_ASSERT(!stream->is_suspended);
    stream->request = NULL;
    unlock(stream);
    (void)atomic_fetch_sub(&daemon->server->stream_count, 1);
    http_count(daemon->server, METRIC_HTTP_STREAMS, -1);
    if (stream->options.closed != NULL) {
        stream->options.closed(stream->options.context);
    }
    stream_unref(stream);
}

/* Counts one more; false when there are too many. */
static bool take_place(struct http_request *request)
{
    struct http_server *server = request->daemon->server;
    unsigned most = request->connection->settings->streams_max;
    if (atomic_fetch_add(&server->stream_count, 1) >= most) {
        (void)atomic_fetch_sub(&server->stream_count, 1);
        http_count(server, METRIC_HTTP_STREAMS_REFUSED, 1);
        return false;
    }
    return true;
}

static struct http_stream *stream_new(struct http_request *request,
                                      const struct http_stream_options *options)
{
    struct http_stream *stream = ph_calloc(1, sizeof *stream);
    PH_ASSERT(pthread_mutex_init(&stream->lock, NULL) == 0);
    atomic_init(&stream->references, 2);
    stream->options = *options;
    stream->request = request;
    stream->appended_us = clock_boot_us();
    stream->taken_us = stream->appended_us;
    /* Less than what waits has been taken and not dropped yet. */
    buf_init(&stream->text, 2 * HTTP_STREAM_BEHIND_MAX_BYTES + HTTP_STREAM_TEXT_MAX_BYTES);
    list_init(&stream->node);
    return stream;
}

/* False when the server has begun to stop. */
static bool join_list(struct http_daemon *daemon, struct http_stream *stream)
{
    PH_ASSERT(pthread_mutex_lock(&daemon->lock) == 0);
    bool joins = !daemon->refuses_streams;
    if (joins) {
        list_append(&daemon->streams, &stream->node);
    }
    PH_ASSERT(pthread_mutex_unlock(&daemon->lock) == 0);
    return joins;
}

struct http_stream *http_stream_start(struct http_request *request,
                                      const struct http_stream_options *options)
{
    PH_ASSERT(request->state == REQUEST_HANDLED && !request->is_handed_over);
    if (request->method == HTTP_HEAD) {
        BUF_AUTO struct buf nothing;
        buf_init(&nothing, 1);
        request->head_length = options->length_bytes;
        http_respond(request, 200, options->content_type, &nothing);
        return NULL;
    }
    if (!take_place(request)) {
        http_answer_code(request, 503, "service_unavailable", "Too many streams are open.");
        return NULL;
    }
    struct http_server *server = request->daemon->server;
    struct http_stream *stream = stream_new(request, options);
    if (!join_list(request->daemon, stream)) {
        (void)atomic_fetch_sub(&server->stream_count, 1);
        stream_free(stream);
        http_answer_code(request, 503, "service_unavailable", "The server is shutting down.");
        return NULL;
    }
    http_count(server, METRIC_HTTP_STREAMS, 1);
    request->state = REQUEST_ANSWERED;
    request->status = 200;
    request->content_type = options->content_type;
    request->stream = stream;
    return stream;
}

/* --- any thread ------------------------------------------------------------------------------- */

bool http_stream_append(struct http_stream *stream, struct slice text)
{
    int64_t now_us = clock_boot_us();
    lock(stream);
    if (is_open(stream) && text.len > 0) {
        append(stream, text, now_us);
    }
    bool goes_on = is_open(stream);
    unlock(stream);
    return goes_on;
}

size_t http_stream_waiting(struct http_stream *stream)
{
    lock(stream);
    size_t bytes = waiting(stream);
    unlock(stream);
    return bytes;
}

void http_stream_cut(struct http_stream *stream)
{
    lock(stream);
    if (is_open(stream)) {
        break_off(stream);
    }
    unlock(stream);
}

/* With the lock held. */
static void end(struct http_stream *stream)
{
    if (is_open(stream)) {
        stream->is_ended = true;
        resume(stream);
    }
}

void http_stream_end(struct http_stream *stream)
{
    lock(stream);
    end(stream);
    unlock(stream);
    stream_unref(stream);
}

/* With the lock held. While the connection is suspended libmicrohttpd does not see that the client
 * has ended its side, and while it waits to write neither. */
static bool has_gone(const struct http_stream *stream)
{
    struct pollfd state = {stream->request->connection->fd, POLLRDHUP, 0};
    return poll(&state, 1, 0) > 0 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

static void sweep(struct http_stream *stream, int64_t now_us)
{
    const struct http_stream_options *options = &stream->options;
    lock(stream);
    bool is_stalled = options->stall_us > 0 && waiting(stream) > 0 &&
                      now_us - stream->taken_us >= options->stall_us;
    if (stream->request != NULL && !stream->is_broken && (is_stalled || has_gone(stream))) {
        break_off(stream);
    } else if (is_open(stream) && stream->is_suspended && options->idle_text != NULL &&
               now_us - stream->appended_us >= options->idle_us) {
        append(stream, slice_of(options->idle_text), now_us);
    }
    unlock(stream);
}

void http_streams_sweep(struct http_server *server, int64_t now_us)
{
    for (unsigned i = 0; i < server->options.threads; i++) {
        struct http_daemon *daemon = &server->daemons[i];
        PH_ASSERT(pthread_mutex_lock(&daemon->lock) == 0);
        LIST_FOR_EACH(node, following, &daemon->streams)
        {
            sweep(LIST_ELEMENT(node, struct http_stream, node), now_us);
        }
        PH_ASSERT(pthread_mutex_unlock(&daemon->lock) == 0);
    }
}

void http_streams_end(struct http_daemon *daemon)
{
    PH_ASSERT(pthread_mutex_lock(&daemon->lock) == 0);
    daemon->refuses_streams = true;
    LIST_FOR_EACH(node, following, &daemon->streams)
    {
        struct http_stream *stream = LIST_ELEMENT(node, struct http_stream, node);
        lock(stream);
        end(stream);
        unlock(stream);
    }
    PH_ASSERT(pthread_mutex_unlock(&daemon->lock) == 0);
}
