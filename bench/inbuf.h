/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PH_BENCH_INBUF_H
#define PH_BENCH_INBUF_H

#include <stdbool.h>
#include <stddef.h>

/* The input buffer of one connection. It grows with the largest message seen and is reused for all
   later ones, so that a request costs no allocation. Used by the thread that owns the connection.
 */
struct inbuf {
    char *data;
    size_t start; /* first unread byte */
    size_t end;   /* one past the last received byte */
    size_t bytes; /* allocated */
};

enum inbuf_result { INBUF_DATA, INBUF_EMPTY, INBUF_CLOSED };

void inbuf_done(struct inbuf *in);

/* Forgets the content and keeps the memory. */
void inbuf_reset(struct inbuf *in);

/* Makes place for a message of `message_bytes` in all, counted from `start`; false when that is
   over 16 MiB or memory is out. */
bool inbuf_reserve(struct inbuf *in, size_t message_bytes);

/* One recv() of whatever fits. INBUF_EMPTY: nothing there now; INBUF_CLOSED: end, error, or too
 * big. */
enum inbuf_result inbuf_receive(struct inbuf *in, int fd);

/* Steps over a message that has been dealt with. */
void inbuf_consume(struct inbuf *in, size_t message_bytes);

#endif
