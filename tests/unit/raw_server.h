/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP server for tests that says exactly the bytes a test wants, right or wrong. One thread
 * accepts, one thread per connection runs the test's function. Functions here may be called from
 * any thread; start and stop from the test.
 */
#ifndef PH_UNIT_RAW_SERVER_H
#define PH_UNIT_RAW_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct raw_server;

/* Serves one connection on a thread of its own; the descriptor is closed afterwards. */
typedef void raw_server_function(struct raw_server *server, int fd, void *context);

/* Listens on 127.0.0.1, any port. A failure ends the test program. */
struct raw_server *raw_server_start(raw_server_function *function, void *context);
/* The same on a given IPv4 address and port (0 = any). */
struct raw_server *raw_server_start_at(const char *address, unsigned port,
                                       raw_server_function *function, void *context);
/* Cuts all connections and waits for their threads. */
void raw_server_stop(struct raw_server *server);

unsigned raw_server_port(const struct raw_server *server);
/* Connections accepted so far. */
unsigned raw_server_connections(struct raw_server *server);
/* Connections that have ended, of those. */
unsigned raw_server_ended(struct raw_server *server);
/* Requests read in full so far by raw_server_read. */
unsigned raw_server_requests(struct raw_server *server);

/* Reads one request (headers and a body of Content-Length) and keeps its text for
 * raw_server_last. False when the connection ended. */
bool raw_server_read(struct raw_server *server, int fd);
/* The last request that was read, into `text` (cleared first). */
void raw_server_last(struct raw_server *server, struct buf *text);
/* Sends all; false when the peer has gone. */
bool raw_server_write(int fd, const char *text);
bool raw_server_write_bytes(int fd, const char *bytes, size_t length);
/* Waits until the peer ends the connection or `timeout_ms` (-1 = for ever) is over. True when it
 * ended. */
bool raw_server_wait_end(int fd, int timeout_ms);

#endif
