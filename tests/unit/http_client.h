/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A raw HTTP client and a small server for the tests of src/http: bytes go out as they are
 * written here. Every wait ends after WAIT_MS and fails the test.
 */
#ifndef PH_TESTS_UNIT_HTTP_CLIENT_H
#define PH_TESTS_UNIT_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "http/server.h"

#define WAIT_MS 60000

struct reply {
    int status;       /* 0 when the connection ended without an answer */
    char head[4096];  /* status line and headers, NUL-terminated */
    char body[65536]; /* NUL-terminated */
    size_t body_length;
};

/* A connection to "127.0.0.1:PORT". */
int client_connect(const char *address);
/* Sends everything; false when the other side is gone. */
bool client_send(int fd, const void *bytes, size_t length);
bool client_send_text(int fd, const char *text);
/* Reads one answer. `is_head`: the answer has no body whatever its length says. */
struct reply *client_read(int fd, bool is_head);
/* Waits for the end of the stream; true when nothing came before it. */
bool client_is_closed(int fd);
/* Connects, sends, reads one answer, closes. Free the answer with free(). */
struct reply *client_ask(const char *address, const char *text);
/* Value of a header of the answer, "" when there is none; valid until the next call. */
const char *reply_header(const struct reply *reply, const char *name);

/* Options with short limits that tests then change; no routes. */
struct http_server_options server_options(void);
struct http_server *start_http_server(const struct http_server_options *options);

/* Waits until `condition(context)` is true. */
void wait_for(bool (*condition)(void *context), void *context);

#endif
