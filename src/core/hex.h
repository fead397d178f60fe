/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal text. Pure; any thread. */
#ifndef PH_CORE_HEX_H
#define PH_CORE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Lower case; writes 2 * length characters and a NUL. */
void hex_encode(const void *bytes, size_t length, char *ret_text);
void hex_append(struct buf *buf, const void *bytes, size_t length); /* lower case */
/* Either case, even length. False for anything else or more than `capacity` bytes. */
bool hex_decode(struct slice text, uint8_t *ret_bytes, size_t capacity, size_t *ret_length);

#endif
