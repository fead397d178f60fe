/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A view of bytes that somebody else owns. Not NUL-terminated. `ptr` may be NULL when `len` is 0;
 * a NULL `ptr` also means "absent" where a function says so.
 */
#ifndef PH_BASE_SLICE_H
#define PH_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct slice {
    const char *ptr;
    size_t len;
};

/* For printf("%.*s"). */
#define SLICE_ARG(slice) (int)(slice).len, (slice).ptr
#define SLICE_LITERAL(text) ((struct slice){(text), sizeof(text) - 1})
#define SLICE_NONE ((struct slice){NULL, 0})

struct slice slice_of(const char *text); /* NULL gives SLICE_NONE */
bool slice_equal(struct slice left, struct slice right);
bool slice_equal_text(struct slice left, const char *right);
/* ASCII letters compare without case. */
bool slice_equal_nocase(struct slice left, struct slice right);
bool slice_starts_with(struct slice whole, const char *prefix);
int slice_compare(struct slice left, struct slice right); /* bytewise, as memcmp */
/* Offset of the first `byte`, or `len` when there is none. */
size_t slice_find(struct slice whole, char byte);
/* Without spaces, tabs, CR and LF at both ends. */
struct slice slice_trim(struct slice whole);
/* Takes the part before `separator` off `*rest` (which moves behind it). False when `*rest` is
 * absent (ptr NULL); after the last part `*rest` becomes absent. */
bool slice_next(struct slice *rest, char separator, struct slice *ret_part);
/* Whole slice as decimal integer within int64. False for anything else, the empty text too. */
bool slice_to_int64(struct slice text, int64_t *ret_value);
/* Whole slice as a plain decimal number (digits, optional sign, fraction; no exponent). */
bool slice_to_double(struct slice text, double *ret_value);
/* A NUL-terminated copy, freed by the caller. */
PH_NODISCARD char *slice_dup(struct slice text);
/* Valid UTF-8 (RFC 3629: no surrogates, no overlong forms) without NUL bytes. */
bool slice_is_utf8_text(struct slice text);

#endif
