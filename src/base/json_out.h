/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes JSON text into a buf: compact, keys in call order. Commas are placed by the writer.
 * The caller balances begin and end (asserted by json_out_end_document). One thread.
 */
#ifndef PH_BASE_JSON_OUT_H
#define PH_BASE_JSON_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct json_out {
    struct buf *buf; /* not owned */
    unsigned depth;
    bool needs_comma;
};

void json_out_init(struct json_out *out, struct buf *buf);
void json_out_end_document(const struct json_out *out); /* asserts that everything is closed */

void json_out_begin_object(struct json_out *out);
void json_out_end_object(struct json_out *out);
void json_out_begin_array(struct json_out *out);
void json_out_end_array(struct json_out *out);
/* `key` is our own ASCII text, written without escaping. */
void json_out_key(struct json_out *out, const char *key);
/* Any bytes; escaped per RFC 8259. Bytes that are not UTF-8 become U+FFFD. */
void json_out_string(struct json_out *out, struct slice text);
void json_out_int(struct json_out *out, int64_t value);
void json_out_double(struct json_out *out, double value); /* shortest form up to 6 decimals */
void json_out_bool(struct json_out *out, bool value);
void json_out_null(struct json_out *out);
/* Text that is valid JSON already, put in as it is. */
void json_out_raw(struct json_out *out, struct slice json);
void json_out_time(struct json_out *out, int64_t wall_us); /* RFC 3339 string */

/* Key and value in one call; a slice with NULL ptr is written as null. */
void json_out_member_string(struct json_out *out, const char *key, struct slice text);
void json_out_member_text(struct json_out *out, const char *key, const char *text);
void json_out_member_int(struct json_out *out, const char *key, int64_t value);
void json_out_member_bool(struct json_out *out, const char *key, bool value);
void json_out_member_null(struct json_out *out, const char *key);
void json_out_member_time(struct json_out *out, const char *key, int64_t wall_us);
void json_out_member_raw(struct json_out *out, const char *key, struct slice json);

#endif
