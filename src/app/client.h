/* SPDX-License-Identifier: Apache-2.0 */
/* A small blocking HTTP client for the command line, on libcurl. One call at a time per thread. */
#ifndef PH_APP_CLIENT_H
#define PH_APP_CLIENT_H

#include "base/buf.h"
#include "base/error.h"

/* A file that goes out as the body, from its beginning. */
struct client_upload {
    int fd;
    int64_t size_bytes;
};

struct client_request {
    const char *method;
    const char *url;
    const char *token;           /* NULL = none */
    const char *scheme;          /* of the token; NULL = Bearer */
    const char *content_type;    /* NULL = application/json */
    const char *idempotency_key; /* NULL = none */
    const char *last_event_id;   /* NULL or empty = none */
    bool is_local;               /* the server of the data directory: no proxy, any certificate */
    struct slice body;           /* SLICE_NONE = none */
    const struct client_upload *upload; /* the body instead; NULL = none */
};

/* PH_OK with any HTTP status; the answer's body is appended (cut at its maximum). PH_IO with words
 * when there was no answer. */
PH_NODISCARD enum ph_error client_call(const struct client_request *request, struct buf *body,
                                       struct diag *diag, long *ret_status);

struct client_reader {
    /* A piece of the answer's body; false ends the call. NULL: all of it goes to `body`. */
    bool (*take)(void *context, struct slice bytes);
    /* Asked once a second and after each signal; false ends the call. */
    bool (*goes_on)(void *context);
    void *context;
};

/* As client_call for an answer that goes on: of status 200 the reader gets each piece as it comes,
 * of another one `body`. PH_OK at its end, and when the reader ended it; PH_IO when it broke off or
 * nothing came for 45 seconds: three signs of life are missing then. */
PH_NODISCARD enum ph_error client_follow(const struct client_request *request,
                                         const struct client_reader *reader, struct buf *body,
                                         struct diag *diag, long *ret_status);

/* Percent-encodes what goes into a path or a query. */
void client_append_escaped(struct buf *url, const char *text);

#endif
