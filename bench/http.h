/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PH_BENCH_HTTP_H
#define PH_BENCH_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Reads HTTP/1.1 messages (RFC 9112) out of a buffer: requests and responses with a Content-Length
 * or chunked body. It keeps no state: an unfinished message is read again from its start when more
 * bytes came, which costs a few hundred nanoseconds and saves a state machine. No allocation.
 */

enum http_state {
    HTTP_DONE, /* a whole message lies at the start of the buffer */
    HTTP_MORE, /* it is not all there yet */
    HTTP_BAD,  /* not HTTP/1.x as we speak it: close the connection */
};

enum http_kind { HTTP_REQUEST, HTTP_RESPONSE };

/* The header fields somebody here asks for. The svix-… names share the slot of the webhook-… ones.
 */
enum http_field { HTTP_ID, HTTP_TIMESTAMP, HTTP_SIGNATURE, HTTP_RETRY_AFTER, HTTP_FIELDS };

/* A piece of the buffer, not terminated; `data` is NULL when absent. */
struct http_slice {
    char *data;
    size_t bytes;
};

struct http_message {
    struct http_slice method; /* requests only */
    struct http_slice target; /* requests only: path and query as sent */
    int status;               /* responses only */
    bool is_keep_alive;
    bool is_chunked;
    bool wants_continue; /* Expect: 100-continue */
    bool has_length;
    uint64_t length; /* of Content-Length */
    struct http_slice field[HTTP_FIELDS];
    size_t head_bytes;  /* 0 while the head is unfinished */
    size_t total_bytes; /* valid with HTTP_DONE: what to consume */
    struct http_slice body;
};

/* Reads the message at `data`. A chunked body is joined in place once it is complete, so the bytes
   of the message are changed then. Slices point into `data`. `ret_message` is filled as far as the
   message was understood; with HTTP_MORE, `head_bytes` and `length` tell how much will come. */
enum http_state http_parse(char *data, size_t bytes, enum http_kind kind,
                           struct http_message *ret_message);

/* True when the slice holds exactly `text`. */
bool http_slice_is(struct http_slice slice, const char *text);

#endif
