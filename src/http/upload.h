/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies that are handed on in pieces while they come, for what is too large for memory. The
 * handler of a route with HTTP_BODY_STREAMED is called when the head has been read: it answers (an
 * error), or begins an upload. Then comes one piece after the other; while the owner has one,
 * nothing is read. Each piece must arrive within http.body_timeout.
 *
 * Concurrency: `piece` comes from the http thread of the connection; the owner then calls
 * http_upload_continue or answers with http_respond, once, from any thread, perhaps at once. The
 * last piece is always answered. `cut` comes in place of a further piece: from the http thread, or
 * from within http_upload_continue when the server has stopped meanwhile.
 */
#ifndef PH_HTTP_UPLOAD_H
#define PH_HTTP_UPLOAD_H

#include "http/server.h"

#define HTTP_UPLOAD_PIECE_BYTES ((size_t)256 * 1024)

struct http_upload_options {
    /* All but the last have HTTP_UPLOAD_PIECE_BYTES; the last may be empty. Valid until the owner
     * continues or answers. An answer to a piece that is not the last is sent when the client has
     * sent the rest, which nobody gets. */
    void (*piece)(void *context, struct slice bytes, bool is_last);
    /* The client is gone, or was too slow: no piece follows. The request must not be touched. */
    void (*cut)(void *context);
    void *context;
};

/* Instead of an answer. PH_BUSY when large bodies fill their room (http.body_bytes_max): then the
 * handler answers. */
PH_NODISCARD enum ph_error http_upload_begin(struct http_request *request,
                                             const struct http_upload_options *options,
                                             struct diag *diag);
/* The piece was taken: on with the next. The request may not be touched any more. */
void http_upload_continue(struct http_request *request);
/* Content-Length; 0 when the client did not say. */
uint64_t http_body_expected(const struct http_request *request);

#endif
