/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients send, turned into typed fields with the exact errors of the API (svix-api spec
 * section 4). Bodies are read by the scanner (core/scan.h): no tree, nothing rewritten, values are
 * slices into the body unless they had escapes.
 *
 * Two kinds of 422: what does not decode (malformed, missing, wrong type) has the code
 * `value_error.jsondecode` and the JSON name in its location; what decodes but is not allowed has
 * `value_error` and, as the original, the name in snake_case (`throttle_rate`).
 *
 * The first error sticks: read all fields, then look once at input_end. Readers set their output
 * to the empty value (SLICE_NONE, 0, false) when the field is absent, null or wrong. Thread: the
 * request's. Everything lives as long as the arena and the body.
 */
#ifndef PH_API_INPUT_H
#define PH_API_INPUT_H

#include "base/arena.h"
#include "base/error.h"
#include "core/scan.h"

#define INPUT_MEMBERS_MAX 256   /* of one object of a request */
#define INPUT_METADATA_MAX 4096 /* bytes of JSON */
#define INPUT_PATH_MAX 96       /* of an element of an array, its NUL included */

struct input {
    struct scan_member *members;
    size_t count;
    struct arena *arena;
    const char *path; /* "body", or "body.application" for a nested object */
    struct diag *diag;
    enum ph_error error; /* the first one */
};

/* What a field may be. An absent field is an error only where it is required. */
enum input_need {
    INPUT_REQUIRED, /* null is a wrong type */
    INPUT_OPTIONAL, /* null is the same as absent */
    INPUT_NULLABLE, /* null is told apart: PATCH clears the value */
    INPUT_NOT_NULL, /* may be absent, but null is a wrong type: PATCH of what cannot be cleared */
};

enum input_state { INPUT_ABSENT, INPUT_NULL, INPUT_VALUE };

/* Reads the body of a request: one JSON object. `diag` must not be NULL. */
void input_open(struct input *input, struct slice body, struct arena *arena, struct diag *diag);
/* The same, but an empty body counts as `{}`. */
void input_open_optional(struct input *input, struct slice body, struct arena *arena,
                         struct diag *diag);
/* Opens the object `name` of `parent` as an input of its own with the parent's diag. Errors of the
 * nested input reach the parent through input_close_nested. */
enum input_state input_open_nested(struct input *parent, const char *name, enum input_need need,
                                   struct input *ret_nested);
void input_close_nested(struct input *parent, const struct input *nested);
/*
 * The elements of an array of objects, each an input of its own:
 *
 *     if (input_objects_open(&input, "items", INPUT_REQUIRED, max, &objects) == INPUT_VALUE) {
 *         while (input_objects_next(&objects)) { … &objects.item … }
 *     }
 *
 * An item's error is the parent's and ends it. The members of one are forgotten with the next,
 * what was read of them is not. More than `max` elements are a value_error.
 */
struct input_objects {
    struct input item;
    size_t count; /* of all of them */
    struct input *parent;
    const char *name;
    struct scan_cursor cursor;
    size_t index;
    char path[INPUT_PATH_MAX]; /* "body.items.[3]" */
};
enum input_state input_objects_open(struct input *parent, const char *name, enum input_need need,
                                    size_t max, struct input_objects *ret_objects);
bool input_objects_next(struct input_objects *objects);
/* The first error, or PH_OK. The diag was filled then. */
PH_NODISCARD enum ph_error input_end(const struct input *input);

/* A text without NUL (a NUL is a value_error naming `field`, the snake_case name). */
enum input_state input_string(struct input *input, const char *name, enum input_need need,
                              const char *field, struct slice *ret_text);
/* An integer of minimum..maximum; others are of a wrong type. */
enum input_state input_int(struct input *input, const char *name, enum input_need need,
                           int64_t minimum, int64_t maximum, int64_t *ret_value);
enum input_state input_bool(struct input *input, const char *name, enum input_need need,
                            bool *ret_value);
/* RFC 3339; microseconds since 1970. */
enum input_state input_time(struct input *input, const char *name, enum input_need need,
                            int64_t *ret_wall_us);
/* Any value of one type, as the JSON text that the client sent. */
enum input_state input_raw(struct input *input, const char *name, enum input_need need,
                           enum scan_type type, struct slice *ret_json);
/* An array of texts; each is checked as by input_string. At most `max`, above it a value_error. */
enum input_state input_strings(struct input *input, const char *name, enum input_need need,
                               const char *field, size_t max, struct slice **ret_texts,
                               size_t *ret_count);
/* An object of texts, written anew as compact JSON of at most INPUT_METADATA_MAX bytes (above it
 * a value_error), the last of equal keys. Gives "{}" when absent or null. */
enum input_state input_metadata(struct input *input, const char *name, enum input_need need,
                                struct slice *ret_json);
/* The member as it stands, or NULL. */
const struct scan_member *input_find(const struct input *input, const char *name);

/* Refuses a decoded value: value_error at path + "." + `field` ("throttle_rate", "channels.[2]").
 * Nothing when an error is there already. */
PH_PRINTF(3, 4)
void input_refuse(struct input *input, const char *field, const char *format, ...);
/* Takes over a check that filled the diag by itself (core/name.h with input_field). */
void input_note(struct input *input, enum ph_error error);
/* path + "." + `field` in memory of the arena, for functions that name a field. */
const char *input_field(struct input *input, const char *field);

/* --- common fields ---------------------------------------------------------------------------- */

/* `uid`, checked for `kind`. */
enum input_state input_uid(struct input *input, enum input_need need, int kind,
                           struct slice *ret_uid);
/* `throttleRate`, or its old name `rateLimit`; 1..65535, 0 when absent or null. */
enum input_state input_throttle_rate(struct input *input, enum input_need need, int64_t *ret_rate);
/* `channels`: 1..10 different names, as JSON text and, when `ret_names` is not NULL, as slices.
 * SLICE_NONE when absent or null. */
enum input_state input_channels(struct input *input, enum input_need need, struct slice *ret_json,
                                struct slice **ret_names, size_t *ret_count);
/* JSON array text of names, in memory of the arena. Sticks PH_NO_MEMORY at its cap. */
struct slice input_names_json(struct input *input, const struct slice *names, size_t count);

#endif
