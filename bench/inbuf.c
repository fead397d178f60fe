/* SPDX-License-Identifier: Apache-2.0 */
#include "inbuf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { FIRST_BYTES = 8192, MAX_BYTES = 16 << 20 };

void inbuf_done(struct inbuf *in)
{
    free(in->data);
    *in = (struct inbuf){0};
}

void inbuf_reset(struct inbuf *in)
{
    in->start = 0;
    in->end = 0;
}

bool inbuf_reserve(struct inbuf *in, size_t message_bytes)
{
    if (in->bytes - in->start >= message_bytes) {
        return true;
    }
    if (in->start > 0) {
        memmove(in->data, in->data + in->start, in->end - in->start);
        in->end -= in->start;
        in->start = 0;
    }
    if (in->bytes >= message_bytes) {
        return true;
    }
    size_t bytes = in->bytes == 0 ? FIRST_BYTES : in->bytes;
    while (bytes < message_bytes && bytes < MAX_BYTES) {
        bytes *= 2;
    }
    char *data = bytes < message_bytes ? NULL : realloc(in->data, bytes);
    if (data == NULL) {
        return false;
    }
    in->data = data;
    in->bytes = bytes;
    return true;
}

enum inbuf_result inbuf_receive(struct inbuf *in, int fd)
{
    if (in->end == in->bytes && !inbuf_reserve(in, in->end - in->start + 1)) {
        return INBUF_CLOSED;
    }
    const ssize_t got = recv(fd, in->data + in->end, in->bytes - in->end, 0);
    if (got > 0) {
        in->end += (size_t)got;
        return INBUF_DATA;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return INBUF_EMPTY;
    }
    return INBUF_CLOSED;
}

void inbuf_consume(struct inbuf *in, size_t message_bytes)
{
    in->start += message_bytes;
    if (in->start == in->end) {
        inbuf_reset(in);
    }
}
