/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers. http_respond stores the answer in the request; the daemon's thread gives it to
 * libmicrohttpd, after the handler returned or after the resumed connection called again.
 */
#include "base/clock.h"
#include "http/server_int.h"

#define JSON_TYPE "application/json"
/* Smaller ones are bounded by the number of connections. */
#define ANSWER_LARGE_BYTES 65536
#define ANSWER_MIN_BYTES_PER_MS 8 /* the slowest client that may read, beside the idle time */

void http_add_header(struct http_request *request, const char *name, const char *value)
{
    PH_ASSERT(request->is_handed_over || request->state != REQUEST_ANSWERED);
    struct http_answer_header *header = arena_alloc(&request->arena, sizeof *header);
    char *name_copy = arena_dup(&request->arena, slice_of(name));
    char *value_copy = arena_dup(&request->arena, slice_of(value));
    if (header == NULL || name_copy == NULL || value_copy == NULL) {
        return; /* a handler that filled its 4 MiB gets an answer without the header */
    }
    /* A value made from what a client sent must not begin a new line. */
    for (char *byte = value_copy; *byte != '\0'; byte++) {
        if ((unsigned char)*byte < 0x20 || *byte == 0x7f) {
            *byte = ' ';
        }
    }
    *header = (struct http_answer_header){NULL, name_copy, value_copy};
    struct http_answer_header **end = &request->answer_headers;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = header;
}

static void store_answer(struct http_request *request, int status, const char *content_type,
                         char *data, size_t length)
{
    request->state = REQUEST_ANSWERED;
    request->status = status;
    request->content_type = content_type;
    request->answer = data;
    request->answer_length = length;
}

/* The owner of a suspended request answers, perhaps after the server gave the request up. */
static void answer_parked(struct http_request *request, int status, const char *content_type,
                          char *data, size_t length)
{
    struct http_daemon *daemon = request->daemon;
    struct http_server *server = daemon->server;
    PH_ASSERT(pthread_mutex_lock(&daemon->lock) == 0);
    if (request->state == REQUEST_ABANDONED) {
        PH_ASSERT(pthread_mutex_unlock(&daemon->lock) == 0);
        free(data);
        http_request_unref(request);
        http_server_unref(server);
        return;
    }
    PH_ASSERT(request->state == REQUEST_PARKED);
    store_answer(request, status, content_type, data, length);
    list_remove(&request->parked);
    (void)atomic_fetch_sub(&request->references, 1);
    struct MHD_Connection *mhd = request->mhd;
    (void)atomic_fetch_add(&daemon->resuming, 1);
    PH_ASSERT(pthread_mutex_unlock(&daemon->lock) == 0);
    /* Outside the lock: resuming writes to an event descriptor, and the daemon's thread may want
     * to park the next request meanwhile. A stopping server waits for `resuming`. */
    MHD_resume_connection(mhd);
    (void)atomic_fetch_sub(&daemon->resuming, 1);
}

void http_respond(struct http_request *request, int status, const char *content_type,
                  struct buf *body)
{
    PH_ASSERT(status >= 200 && status <= 599);
    char *data = NULL;
    size_t length = 0;
    if (body != NULL) {
        data = buf_take(body, &length);
        if (data == NULL) {
            buf_done(body);
            status = 500;
            content_type = JSON_TYPE;
            data = ph_strdup("{}");
            length = 2;
        }
    }
    if (request->is_handed_over) {
        answer_parked(request, status, content_type, data, length);
        return;
    }
    PH_ASSERT(request->state == REQUEST_HANDLED || request->state == REQUEST_READING);
    store_answer(request, status, content_type, data, length);
}

void http_respond_json(struct http_request *request, int status, struct buf *body)
{
    http_respond(request, status, JSON_TYPE, body);
}

void http_respond_empty(struct http_request *request, int status)
{
    http_respond(request, status, NULL, NULL);
}

/* --- giving it to libmicrohttpd ----------------------------------------------------------------
 */

static const char *method_name(enum http_method method)
{
    static const char *const names[] = {"GET",   "HEAD",   "POST",    "PUT",
                                        "PATCH", "DELETE", "OPTIONS", "other"};
    return names[method];
}

static enum log_event event_of(int status)
{
    if (status == 501) {
        return LOG_REQUEST_NOT_BUILT; /* the client's wish, and nothing that failed */
    }
    /* 503 is the normal answer to overload: the metric counts it, the log would only grow. */
    return status >= 500 && status != 503 ? LOG_REQUEST_FAILED : LOG_REQUEST_SERVED;
}

static void note_outcome(const struct http_request *request, int status)
{
    const struct http_server *server = request->daemon->server;
    http_count(server, METRIC_HTTP_REQUESTS, 1);
    if (status == 501) {
        /* Apart, so that an alert on 5xx is about the server. */
        http_count(server, METRIC_HTTP_REQUESTS_NOT_BUILT, 1);
    } else if (status >= 500) {
        http_count(server, METRIC_HTTP_REQUESTS_5XX, 1);
    } else if (status >= 400) {
        http_count(server, METRIC_HTTP_REQUESTS_4XX, 1);
    }
    enum log_event event = event_of(status);
    if (request->state == REQUEST_ABANDONED || !log_wants(server->options.log, event)) {
        return;
    }
    struct log_field fields[6] = {
        LOG_TEXT("method", method_name(request->method)),
        LOG_SLICE("path", request->hides_path && request->row != NULL
                              ? slice_of(request->row->route->pattern)
                              : request->path),
        LOG_INT("status", status),
        LOG_TEXT("peer", request->peer),
    };
    size_t count = 4;
    if (request->error_text != NULL) {
        fields[count++] = LOG_TEXT("error", request->error_text);
    }
    struct trace trace;
    char trace_text[TRACE_ID_TEXT_MAX];
    if (http_trace(request, &trace)) {
        trace_format_id(&trace, trace_text);
        fields[count++] = LOG_TEXT("trace_id", trace_text);
    }
    log_fields(server->options.log, event, fields, count);
}

/* For libmicrohttpd, which asks for no bytes when it only sends the head. */
static ssize_t read_nothing(void *context, uint64_t position, char *target, size_t max)
{
    (void)context;
    (void)position;
    (void)target;
    (void)max;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *make_head(const struct http_request *request)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(request->head_length, 1, read_nothing, NULL, NULL);
    if (response != NULL) {
        (void)MHD_add_response_header(response, "Content-Type", request->content_type);
    }
    return response;
}

static struct MHD_Response *make_response(struct http_request *request)
{
    if (request->head_length > 0) {
        return make_head(request);
    }
    if (request->stream != NULL) {
        return http_stream_response(request);
    }
    if (request->answer == NULL) {
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(
        request->answer_length, request->answer, MHD_RESPMEM_MUST_FREE);
    if (response != NULL) {
        request->answer = NULL; /* libmicrohttpd frees it */
        if (request->content_type != NULL) {
            (void)MHD_add_response_header(response, "Content-Type", request->content_type);
        }
    }
    return response;
}

/* Takes room for a large answer. False when it was replaced by 503, because clients that do not
 * read have used the room up. */
static bool count_answer(struct http_request *request)
{
    struct http_server *server = request->daemon->server;
    size_t bytes = request->answer_length;
    if (bytes < ANSWER_LARGE_BYTES) {
        return true;
    }
    if (atomic_fetch_add(&server->answer_bytes, bytes) + bytes > server->options.answer_bytes_max) {
        (void)atomic_fetch_sub(&server->answer_bytes, bytes);
        http_count(server, METRIC_HTTP_ANSWERS_REFUSED, 1);
        free(request->answer);
        static const char text[] = "{\"code\":\"service_unavailable\",\"detail\":\"Too many large "
                                   "answers are being read, try again soon.\"}";
        request->answer = ph_strdup(text);
        request->answer_length = sizeof text - 1;
        request->content_type = JSON_TYPE;
        request->status = 503;
        return false;
    }
    request->counted_bytes = bytes;
    http_count(server, METRIC_HTTP_ANSWER_BYTES, (int64_t)bytes);
    return true;
}

void http_answer_read(struct http_request *request)
{
    if (request->counted_bytes > 0) {
        struct http_server *server = request->daemon->server;
        (void)atomic_fetch_sub(&server->answer_bytes, request->counted_bytes);
        http_count(server, METRIC_HTTP_ANSWER_BYTES, -(int64_t)request->counted_bytes);
        request->counted_bytes = 0;
    }
}

/* The owner of an abandoned request may still write to it: only what it cannot touch is used. */
static struct MHD_Response *make_abandoned(void)
{
    static const char text[] = "{\"code\":\"service_unavailable\","
                               "\"detail\":\"The server is shutting down.\"}";
    struct MHD_Response *response =
        MHD_create_response_from_buffer(sizeof text - 1, ph_strdup(text), MHD_RESPMEM_MUST_FREE);
    if (response != NULL) {
        (void)MHD_add_response_header(response, "Content-Type", JSON_TYPE);
        (void)MHD_add_response_header(response, "Retry-After", "1");
    }
    return response;
}

/* How long the client may take to read. */
static void set_deadline(struct http_request *request)
{
    int64_t timeout_us =
        request->connection->settings->idle_timeout_s * CLOCK_US_PER_S +
        (int64_t)request->answer_length / ANSWER_MIN_BYTES_PER_MS * CLOCK_US_PER_MS;
    int64_t deadline_us = request->stream != NULL ? 0 : clock_boot_us() + timeout_us;
    http_connection_set_deadline(request->connection, deadline_us, false);
}

enum MHD_Result http_answer_queue(struct http_request *request)
{
    struct http_server *server = request->daemon->server;
    bool is_abandoned = request->state == REQUEST_ABANDONED;
    bool is_refused = !is_abandoned && !count_answer(request);
    int status = is_abandoned ? 503 : request->status;
    note_outcome(request, status);
    set_deadline(request);
    if (!is_abandoned && request->stream != NULL) {
        request->is_read = false;
        http_progress_goes_on(request->daemon);
    }
    struct MHD_Response *response = is_abandoned ? make_abandoned() : make_response(request);
    if (response == NULL) {
        return MHD_NO;
    }
    if (!is_abandoned) {
        for (const struct http_answer_header *header = request->answer_headers; header != NULL;
             header = header->next) {
            (void)MHD_add_response_header(response, header->name, header->value);
        }
    }
    if (is_refused) {
        (void)MHD_add_response_header(response, "Retry-After", "1");
    }
    if (request->has_origin) {
        (void)MHD_add_response_header(response, "Access-Control-Allow-Origin", "*");
    }
    if (atomic_load_explicit(&server->is_stopping, memory_order_relaxed)) {
        (void)MHD_add_response_header(response, "Connection", "close");
    }
    enum MHD_Result result = MHD_queue_response(request->mhd, (unsigned)status, response);
    MHD_destroy_response(response);
    return result;
}
