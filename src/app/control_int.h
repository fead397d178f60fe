/* SPDX-License-Identifier: Apache-2.0 */
/* What both ends of the control socket share: its address, and lines. */
#ifndef PH_APP_CONTROL_INT_H
#define PH_APP_CONTROL_INT_H

#include <sys/un.h>

#include "base/buf.h"
#include "base/error.h"

/* The longest line of either end. */
#define CONTROL_LINE_BYTES_MAX 65536

/* A socket and the address of DIRECTORY/control.sock. A path that is too long for an address leads
 * through the open directory; *ret_directory_fd is to be closed after use (-1: none). */
PH_NODISCARD enum ph_error control_open(const char *directory, struct diag *diag, int *ret_fd,
                                        struct sockaddr_un *ret_address, int *ret_directory_fd);
void control_close(int fd); /* -1 is fine */
/* All of it, without SIGPIPE. False when the other end is gone or takes nothing for a second. */
bool control_send(int fd, struct slice bytes);

enum control_read { CONTROL_LINE, CONTROL_END, CONTROL_TOO_LONG, CONTROL_TOO_LATE };

/* Reads until `pending`, whose maximum bounds the line, holds a whole line: *ret_line is it,
 * without its end, and valid until control_drop_line. `timeout_ms` is for all of it, -1 = none.
 * Something to read at `stop_fd` (-1: none) ends it too. */
enum control_read control_read_line(int fd, int stop_fd, int64_t timeout_ms, struct buf *pending,
                                    struct slice *ret_line);
/* Forgets the line that was read; what came behind it stays. */
void control_drop_line(struct buf *pending, struct slice line);

#endif
