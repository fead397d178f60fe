/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Concurrency: the upload belongs to the daemon's thread; while a piece is with the owner the
 * request is parked, as after http_suspend, and this thread does not touch it.
 */
#include "http/upload.h"

#include "base/clock.h"
#include "http/server_int.h"

/* libmicrohttpd gives at most its pool at once, and all of it is taken: what goes beyond a piece is
 * the beginning of the next. */
#define BUFFER_BYTES (HTTP_UPLOAD_PIECE_BYTES + HTTP_CONNECTION_POOL_BYTES)
#define DRAIN_MAX_BYTES ((size_t)64 * 1024 * 1024)

struct http_upload {
    struct http_upload_options options;
    size_t length;  /* of what is in `bytes` */
    size_t handed;  /* bytes of it that the owner had */
    size_t drained; /* bytes read after an answer */
    char bytes[BUFFER_BYTES];
};

void http_upload_free(struct http_request *request)
{
    free(request->upload);
    request->upload = NULL;
}

uint64_t http_body_expected(const struct http_request *request)
{
    return request->body_expected;
}

static void begin_reading(struct http_request *request)
{
    const struct http_settings *settings = request->connection->settings;
    http_connection_set_deadline(
        request->connection, clock_boot_us() + settings->body_timeout_ms * CLOCK_US_PER_MS, true);
}

enum ph_error http_upload_begin(struct http_request *request,
                                const struct http_upload_options *options, struct diag *diag)
{
    struct http_server *server = request->daemon->server;
    PH_ASSERT(request->state == REQUEST_HANDLED && !request->is_handed_over);
    PH_ASSERT(request->row != NULL && request->row->route->body_max_bytes == HTTP_BODY_STREAMED);
    PH_ASSERT(request->upload == NULL);
    if (atomic_fetch_add(&server->body_bytes, BUFFER_BYTES) + BUFFER_BYTES >
        server->options.body_bytes_max) {
        (void)atomic_fetch_sub(&server->body_bytes, BUFFER_BYTES);
        http_count(server, METRIC_HTTP_BODIES_REFUSED, 1);
        return diag_set(diag, PH_BUSY, NULL, "too many large requests are being read");
    }
    request->counted_body_bytes = BUFFER_BYTES;
    http_count(server, METRIC_HTTP_BODY_BYTES, (int64_t)BUFFER_BYTES);
    struct http_upload *upload = ph_malloc(sizeof *upload);
    upload->options = *options;
    upload->length = 0;
    upload->handed = 0;
    upload->drained = 0;
    request->upload = upload;
    request->state = REQUEST_READING;
    begin_reading(request);
    return PH_OK;
}

/* Forgets what the owner had. */
static void drop_handed(struct http_upload *upload)
{
    upload->length -= upload->handed;
    memmove(upload->bytes, upload->bytes + upload->handed, upload->length);
    upload->handed = 0;
}

/* Gives the owner a piece. False when the server stops: nothing is read any more, and the owner
 * learns it when it continues. */
static bool hand_over(struct http_request *request, bool is_last)
{
    struct http_upload *upload = request->upload;
    const struct http_upload_options options = upload->options;
    upload->handed = is_last ? upload->length : HTTP_UPLOAD_PIECE_BYTES;
    const struct slice bytes = {upload->bytes, upload->handed};
    request->state = REQUEST_HANDLED;
    http_connection_set_deadline(request->connection, 0, false);
    http_suspend(request);
    bool is_parked = request->is_suspended;
    options.piece(options.context, bytes, is_last);
    return is_parked;
}

static enum http_request_state state_of(struct http_request *request)
{
    PH_ASSERT(pthread_mutex_lock(&request->daemon->lock) == 0);
    enum http_request_state state = request->state;
    PH_ASSERT(pthread_mutex_unlock(&request->daemon->lock) == 0);
    return state;
}

/* libmicrohttpd goes on with the next chunk of a chunked body though the connection is suspended:
 * what is not taken then it brings again when it is resumed. */
enum MHD_Result http_upload_read(struct http_request *request, const char *data, size_t *size)
{
    struct http_upload *upload = request->upload;
    enum http_request_state state = state_of(request);
    size_t length = *size;
    if (state == REQUEST_PARKED) {
        return MHD_YES;
    }
    *size = 0;
    if (state == REQUEST_ABANDONED) {
        return MHD_NO;
    }
    if (state == REQUEST_ANSWERED) {
        upload->drained += length;
        return upload->drained > DRAIN_MAX_BYTES ? MHD_NO : MHD_YES;
    }
    drop_handed(upload);
    PH_ASSERT(length <= BUFFER_BYTES - upload->length);
    memcpy(upload->bytes + upload->length, data, length);
    upload->length += length;
    if (upload->length >= HTTP_UPLOAD_PIECE_BYTES) {
        return hand_over(request, false) ? MHD_YES : MHD_NO;
    }
    return MHD_YES;
}

enum MHD_Result http_upload_end(struct http_request *request)
{
    drop_handed(request->upload);
    return hand_over(request, true) ? MHD_YES : http_answer_queue(request);
}

/* The server gave the request up. */
static void end_abandoned(struct http_request *request)
{
    struct http_server *server = request->daemon->server;
    const struct http_upload_options options = request->upload->options;
    options.cut(options.context);
    http_request_unref(request);
    http_server_unref(server);
}

void http_upload_continue(struct http_request *request)
{
    struct http_daemon *daemon = request->daemon;
    PH_ASSERT(pthread_mutex_lock(&daemon->lock) == 0);
    if (request->state == REQUEST_ABANDONED) {
        PH_ASSERT(pthread_mutex_unlock(&daemon->lock) == 0);
        end_abandoned(request);
        return;
    }
    PH_ASSERT(request->state == REQUEST_PARKED);
    request->state = REQUEST_READING;
    request->is_handed_over = false;
    request->is_suspended = false;
    list_remove(&request->parked);
    (void)atomic_fetch_sub(&request->references, 1);
    begin_reading(request);
    struct MHD_Connection *mhd = request->mhd;
    (void)atomic_fetch_add(&daemon->resuming, 1);
    PH_ASSERT(pthread_mutex_unlock(&daemon->lock) == 0);
    MHD_resume_connection(mhd);
    (void)atomic_fetch_sub(&daemon->resuming, 1);
}

void http_upload_completed(struct http_request *request)
{
    if (request->upload != NULL && request->state == REQUEST_READING) {
        const struct http_upload_options options = request->upload->options;
        options.cut(options.context);
    }
}
