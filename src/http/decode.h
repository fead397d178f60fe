/* SPDX-License-Identifier: Apache-2.0 */
/* Percent-decoding (RFC 3986 section 2.1). Pure; any thread. */
#ifndef PH_HTTP_DECODE_H
#define PH_HTTP_DECODE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/slice.h"

/*
 * Decodes `raw` once. With `plus_is_space` a `+` is a space (form encoding, for queries). False
 * for an escape that is not two hexadecimal digits, for a NUL byte and for text that is not UTF-8
 * afterwards: such text never reaches a handler. The result is `raw` itself when there is nothing
 * to decode, else memory of `arena`. False too when the arena is at its cap.
 */
PH_NODISCARD bool http_decode(struct slice raw, bool plus_is_space, struct arena *arena,
                              struct slice *ret_text);

#endif
