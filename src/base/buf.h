/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte buffer with a mandatory maximum. Owned by one thread.
 * Appending past the maximum (or out of memory) sets `failed`, which sticks, and appends nothing
 * more: build the whole text, then look once. A NUL always stands behind the last byte.
 */
#ifndef PH_BASE_BUF_H
#define PH_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct buf {
    char *data;
    size_t len;
    size_t capacity;
    size_t max;
    bool failed;
};

/* An empty buffer that allocates with the first append. `max` in bytes, above 0. */
void buf_init(struct buf *buf, size_t max);
void buf_done(struct buf *buf);  /* frees; the buffer may be initialised again */
void buf_wipe(struct buf *buf);  /* buf_done for secrets: clears the memory first */
void buf_clear(struct buf *buf); /* keeps memory and maximum; resets `failed` */

void buf_append(struct buf *buf, const void *bytes, size_t length);
void buf_append_slice(struct buf *buf, struct slice text);
void buf_append_text(struct buf *buf, const char *text);
void buf_append_byte(struct buf *buf, char byte);
void buf_append_int64(struct buf *buf, int64_t value);
PH_PRINTF(2, 3) void buf_append_format(struct buf *buf, const char *format, ...);
/* Makes room for `length` bytes and returns where to write them, or NULL (and `failed`). After
 * writing call buf_commit. */
char *buf_reserve(struct buf *buf, size_t length);
void buf_commit(struct buf *buf, size_t length);

/* Removes `length` bytes (at most all) from the front; the rest moves. */
void buf_drop(struct buf *buf, size_t length);
/* The content; valid until the next append. Never NULL ptr. */
struct slice buf_slice(const struct buf *buf);
/* The content as NUL-terminated text; valid until the next append. Never NULL. */
const char *buf_text(const struct buf *buf);
/* Moves the memory out (free() it) and empties the buffer; `ret_length` may be NULL. Never NULL
 * unless `failed`. */
PH_NODISCARD char *buf_take(struct buf *buf, size_t *ret_length);

#define BUF_AUTO PH_CLEANUP(buf_done)

#endif
