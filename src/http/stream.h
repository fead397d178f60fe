/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that go on: a handler starts a stream, and another thread appends to it until it ends or
 * the client is gone. For server-sent events.
 *
 * What was appended and not yet given to the socket waits in memory, at most
 * HTTP_STREAM_BEHIND_MAX_BYTES and one more text: a client that is farther behind is cut. Whoever
 * appends should look at http_stream_waiting and hold back long before.
 *
 * Concurrency: each stream has a lock of its own. The calls may come from any thread; the callbacks
 * come from the http thread of the connection and hold no lock of the stream. A stream belongs to
 * whoever started it until http_stream_end, also when the client or the server is long gone.
 */
#ifndef PH_HTTP_STREAM_H
#define PH_HTTP_STREAM_H

#include "http/server.h"

#define HTTP_STREAM_BEHIND_MAX_BYTES ((size_t)1024 * 1024)
#define HTTP_STREAM_TEXT_MAX_BYTES ((size_t)8 * 1024 * 1024) /* of one append */

struct http_stream;

struct http_stream_options {
    const char *content_type; /* a literal */
    /* Of the whole answer, told as its Content-Length; an answer that ends before is seen to be
     * cut. 0 = not known. */
    uint64_t length_bytes;
    /* A client that takes nothing of what waits for so long is cut. 0 = it may. */
    int64_t stall_us;
    /* A literal that is sent when nothing else was for idle_us, so that proxies see life and dead
     * clients are noticed. NULL = nothing. */
    const char *idle_text;
    int64_t idle_us;
    /* Called when what waits has become less than room_bytes again. NULL = never. */
    void (*has_room)(void *context);
    size_t room_bytes;
    /* Called once, as the last of the callbacks: nothing that is appended from now on gets
     * anywhere. Ending the stream is still the owner's to do, here or later. */
    void (*closed)(void *context);
    void *context;
};

/*
 * Answers the request with 200 and a body to come; headers are added before. The handler's thread,
 * in place of http_respond; the request is given up. NULL when there is nothing to stream: the
 * client only wants the head (HEAD), or the request was answered 503 because http.streams_max
 * streams are open or the server stops.
 */
PH_NODISCARD struct http_stream *http_stream_start(struct http_request *request,
                                                   const struct http_stream_options *options);
/* False when it goes nowhere: the client is gone, or cut just now, or the server stops. */
bool http_stream_append(struct http_stream *stream, struct slice text);
/* Bytes that wait for the client to read. */
size_t http_stream_waiting(struct http_stream *stream);
/* Cuts the client off: what was to come cannot be had. Ending the stream is still the owner's. */
void http_stream_cut(struct http_stream *stream);
/* Ends the answer after what was appended, and gives the stream up. */
void http_stream_end(struct http_stream *stream);

#endif
