/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Validating JSON scanner (RFC 8259): finds the members of an object without building a tree, so
 * that payloads are kept and sent byte for byte. UTF-8 is strict, nesting is at most 128 deep,
 * numbers may have any size. `\u` escapes are checked for four hexadecimal digits; whether
 * surrogates pair is judged only where a string is decoded (scan_string). Pure; any thread.
 *
 * Errors are PH_INVALID with field "body", code "value_error.jsondecode" and words such as
 * "expected `,` or `}` at offset 17".
 */
#ifndef PH_CORE_SCAN_H
#define PH_CORE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

#define SCAN_DEPTH_MAX 128

enum scan_type {
    SCAN_OBJECT,
    SCAN_ARRAY,
    SCAN_STRING,
    SCAN_NUMBER,
    SCAN_TRUE,
    SCAN_FALSE,
    SCAN_NULL
};

/* "string" for SCAN_STRING; true and false are both "boolean". Static text. */
const char *scan_type_name(enum scan_type type);

struct scan_member {
    struct slice key; /* between the quotes, not decoded */
    bool key_has_escapes;
    enum scan_type type;
    struct slice value; /* from the first to the last byte of the value, quotes included */
};

/*
 * `text` is one object and white space around it. Its members in order; slices into `text`.
 * More than `max_members` is PH_INVALID. The same key may come several times: scan_find takes the
 * last. *ret_error_offset (may be NULL) is set on failure only.
 */
PH_NODISCARD enum ph_error scan_object(struct slice text, struct scan_member *members,
                                       size_t max_members, size_t *ret_count, struct diag *diag,
                                       size_t *ret_error_offset);
/* The last member with this key (plain text), or NULL. Escaped keys are compared decoded. */
const struct scan_member *scan_find(const struct scan_member *members, size_t count,
                                    const char *key);
/* Any one value and white space around it. `ret_type` may be NULL. */
PH_NODISCARD enum ph_error scan_document(struct slice text, enum scan_type *ret_type,
                                         struct diag *diag, size_t *ret_error_offset);
/* One value at the front, after white space; what follows is not looked at. *ret_value is the
 * value, *ret_consumed the bytes up to its end. False when there is none. */
bool scan_value(struct slice text, enum scan_type *ret_type, struct slice *ret_value,
                size_t *ret_consumed);

/*
 * Reads the elements of the array that is a member of an object, in one pass over the text: what
 * is given was validated, what follows is validated while it is walked.
 *
 *     scan_elements_init(&elements, text, "messages");
 *     while (scan_elements_next(&elements, members, max_members, &element)) { … }
 *     error = scan_elements_end(&elements, diag);
 */
struct scan_elements {
    const char *key;
    const char *begin;
    const char *at;
    const char *end;
    const char *words; /* what is wrong at `at`, NULL = nothing so far */
    enum scan_place { SCAN_OUTSIDE, SCAN_INSIDE, SCAN_AT_END } place;
    bool is_started; /* a member, inside an element, was read */
    bool is_found;   /* the key */
    bool has_array;
};

struct scan_element {
    enum scan_type type;
    struct slice value;
    bool has_members; /* an object whose members are in the table: there are not too many */
    size_t member_count;
};

/* `key` is plain text, and lives as long as the reader. */
void scan_elements_init(struct scan_elements *elements, struct slice text, const char *key);
/* The next element, with its members in the table if it is an object (scan_object). False at the
 * end of the text, and where it is not valid. */
bool scan_elements_next(struct scan_elements *elements, struct scan_member *members,
                        size_t max_members, struct scan_element *ret_element);
/* After false. PH_INVALID as scan_object, also for a key that comes twice; PH_NOT_FOUND without
 * such a member that is an array (`diag` is not filled then). */
PH_NODISCARD enum ph_error scan_elements_end(const struct scan_elements *elements,
                                             struct diag *diag);

/*
 * Decodes a string value (quotes included). The result is a slice into `value` when nothing is
 * escaped, else memory of `arena`. It may hold NUL bytes (\u0000). PH_INVALID for a lone surrogate
 * and for what is not a string; PH_NO_MEMORY at the arena's cap.
 */
PH_NODISCARD enum ph_error scan_string(struct slice value, struct arena *arena, struct diag *diag,
                                       struct slice *ret_text);
/* A number value that is written as an integer and is within int64; "1e3" and "12.0" are not. */
bool scan_int64(struct slice value, int64_t *ret_number);

/* Walks the elements of an array value or the members of an object value. */
struct scan_cursor {
    struct slice rest;
    bool is_started;
};

/* `value` is an array or object that was validated before. */
void scan_cursor_init(struct scan_cursor *cursor, struct slice value);
/* False at the end. */
bool scan_next_element(struct scan_cursor *cursor, enum scan_type *ret_type,
                       struct slice *ret_value);
bool scan_next_member(struct scan_cursor *cursor, struct scan_member *ret_member);

#endif
