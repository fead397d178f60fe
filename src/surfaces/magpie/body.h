/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of requests: a JSON object or a form, read by the same names (magpie spec section 8). An
 * empty body has no members. The first error sticks: read all, then look once at magpie_body_end.
 * Thread: the request's. Texts are slices into the body or memory of the arena.
 */
#ifndef PH_SURFACES_MAGPIE_BODY_H
#define PH_SURFACES_MAGPIE_BODY_H

#include "base/arena.h"
#include "base/error.h"
#include "core/scan.h"

struct magpie_field {
    struct slice name;
    struct slice value;
};

struct magpie_body {
    bool is_form;
    struct scan_member *members; /* of JSON */
    struct magpie_field *fields; /* of a form */
    size_t count;
    struct arena *arena;
    struct diag *diag;
    enum ph_error error;      /* the first one */
    enum ph_error type_error; /* what a value of a wrong type is: PH_INVALID or PH_BAD_REQUEST */
};

enum magpie_given { MAGPIE_ABSENT, MAGPIE_GIVEN_NULL, MAGPIE_GIVEN };

/* `content_type` is the header's value, SLICE_NONE = none: JSON. What begins with a brace is JSON
 * whatever the header says, as `curl -d` sends it. A text that is neither is PH_BAD_REQUEST. */
void magpie_body_open(struct magpie_body *body, struct slice content_type, struct slice text,
                      enum ph_error type_error, struct arena *arena, struct diag *diag);
/* One object inside another body. */
void magpie_body_open_object(struct magpie_body *body, struct slice json, struct arena *arena,
                             struct diag *diag);
PH_NODISCARD enum ph_error magpie_body_end(const struct magpie_body *body);

/* A text without NUL; SLICE_NONE when it is absent, null or wrong. */
enum magpie_given magpie_body_text(struct magpie_body *body, const char *name,
                                   struct slice *ret_text);
/* The same, but PH_BAD_REQUEST naming it when it is absent, null or empty. */
struct slice magpie_body_required(struct magpie_body *body, const char *name);
/* A number from 0, or its decimal text; 0 when there is none. */
enum magpie_given magpie_body_number(struct magpie_body *body, const char *name,
                                     int64_t *ret_number);
/* true and false, or these words. */
enum magpie_given magpie_body_bool(struct magpie_body *body, const char *name, bool *ret_value);
/* A JSON object (in a form: its text). */
enum magpie_given magpie_body_object(struct magpie_body *body, const char *name,
                                     struct slice *ret_json);
/* Any value as JSON (in a form: as a JSON string), and its type. */
enum magpie_given magpie_body_value(struct magpie_body *body, const char *name,
                                    enum scan_type *ret_type, struct slice *ret_json);
/* Refuses a value: `error` at `name`. Nothing when an error is there already. */
PH_PRINTF(4, 5)
void magpie_body_refuse(struct magpie_body *body, enum ph_error error, const char *name,
                        const char *format, ...);

#endif
