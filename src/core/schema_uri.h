/* SPDX-License-Identifier: Apache-2.0 */
/* URI references as `$id` and `$ref` of JSON Schema need them (RFC 3986 section 5.2). Pure. */
#ifndef PH_CORE_SCHEMA_URI_H
#define PH_CORE_SCHEMA_URI_H

#include "base/buf.h"

#define SCHEMA_URI_MAX 2048

/* Appends what `reference` means where `base` holds (empty = nowhere), without its fragment.
 * *ret_fragment is a slice into `reference`, SLICE_NONE without `#`. */
void schema_uri_resolve(struct slice base, struct slice reference, struct buf *uri,
                        struct slice *ret_fragment);
/* Appends the text with %XX decoded; then, when `is_pointer`, ~1 and ~0 too (RFC 6901). */
void schema_uri_decode(struct slice text, bool is_pointer, struct buf *decoded);

#endif
