/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>

void buf_init(struct buf *buf, size_t max)
{
    PH_ASSERT(max > 0);
    *buf = (struct buf){.max = max};
}

void buf_done(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){.max = buf->max};
}

void buf_wipe(struct buf *buf)
{
    if (buf->data != NULL) {
        explicit_bzero(buf->data, buf->capacity);
    }
    buf_done(buf);
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->failed = false;
    if (buf->data != NULL) {
        buf->data[0] = '\0';
    }
}

char *buf_reserve(struct buf *buf, size_t length)
{
    if (buf->failed || length > buf->max - buf->len) {
        buf->failed = true;
        return NULL;
    }
    size_t needed = buf->len + length + 1;
    if (needed > buf->capacity) {
        size_t capacity = buf->capacity == 0 ? 128 : buf->capacity * 2;
        if (capacity < needed) {
            capacity = needed;
        }
        if (capacity > buf->max + 1) {
            capacity = buf->max + 1;
        }
        char *data = realloc(buf->data, capacity);
        if (data == NULL) {
            buf->failed = true;
            return NULL;
        }
        buf->data = data;
        buf->capacity = capacity;
    }
    return buf->data + buf->len;
}

void buf_commit(struct buf *buf, size_t length)
{
    PH_ASSERT(buf->len + length < buf->capacity);
    buf->len += length;
    buf->data[buf->len] = '\0';
}

void buf_drop(struct buf *buf, size_t length)
{
    PH_ASSERT(length <= buf->len);
    if (length > 0) {
        buf->len -= length;
        memmove(buf->data, buf->data + length, buf->len + 1);
    }
}

void buf_append(struct buf *buf, const void *bytes, size_t length)
{
    char *target = buf_reserve(buf, length);
    if (target != NULL) {
        if (length > 0) {
            memcpy(target, bytes, length);
        }
        buf_commit(buf, length);
    }
}

void buf_append_slice(struct buf *buf, struct slice text)
{
    buf_append(buf, text.ptr, text.len);
}

void buf_append_text(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_append_byte(struct buf *buf, char byte)
{
    buf_append(buf, &byte, 1);
}

void buf_append_int64(struct buf *buf, int64_t value)
{
    char digits[24];
    size_t position = sizeof digits;
    uint64_t rest = value < 0 ? (uint64_t)0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--position] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        digits[--position] = '-';
    }
    buf_append(buf, digits + position, sizeof digits - position);
}

void buf_append_format(struct buf *buf, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    PH_ASSERT(length >= 0);
    char *target = buf_reserve(buf, (size_t)length);
    if (target != NULL) {
        (void)vsnprintf(target, (size_t)length + 1, format, again);
        buf_commit(buf, (size_t)length);
    }
    va_end(again);
}

const char *buf_text(const struct buf *buf)
{
    return buf->data == NULL ? "" : buf->data;
}

struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){buf_text(buf), buf->len};
}

char *buf_take(struct buf *buf, size_t *ret_length)
{
    if (buf->failed) {
        return NULL;
    }
    char *data = buf->data == NULL ? ph_memdup_text("", 0) : buf->data;
    if (ret_length != NULL) {
        *ret_length = buf->len;
    }
    *buf = (struct buf){.max = buf->max};
    return data;
}
