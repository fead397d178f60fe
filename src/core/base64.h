/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64 (RFC 4648): the standard alphabet with padding, and the URL alphabet without (JWT).
 * Decoding is strict: no line breaks, no missing or needless padding, unused bits zero, so that
 * each byte string has one text. Pure; any thread.
 */
#ifndef PH_CORE_BASE64_H
#define PH_CORE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Characters of the padded text for `length` bytes, without a NUL. */
#define BASE64_LENGTH(length) (((length) + 2) / 3 * 4)

/* Writes BASE64_LENGTH(length) characters, no NUL. */
void base64_encode(const void *bytes, size_t length, char *ret_text);
void base64_append(struct buf *buf, const void *bytes, size_t length);
/* False for text that is not base64 or is longer than `capacity` bytes when decoded. */
bool base64_decode(struct slice text, uint8_t *ret_bytes, size_t capacity, size_t *ret_length);

void base64url_append(struct buf *buf, const void *bytes, size_t length);
bool base64url_decode(struct slice text, uint8_t *ret_bytes, size_t capacity, size_t *ret_length);

#endif
