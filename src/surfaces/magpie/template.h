/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Payload templates (magpie spec sections 4 and 5.2): `{{name}}` in the strings and keys of a
 * payload is replaced in a single pass; inserted text is never looked at again. Pure; any thread.
 */
#ifndef PH_SURFACES_MAGPIE_TEMPLATE_H
#define PH_SURFACES_MAGPIE_TEMPLATE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

enum magpie_type { MAGPIE_STRING, MAGPIE_INTEGER, MAGPIE_NULL };

struct magpie_value {
    enum magpie_type type;
    struct slice text; /* of a string */
    int64_t number;    /* of an integer */
};

/* A parameter of an action: one of the 19 names (section 3). */
struct magpie_parameter {
    const char *name; /* "user.name" */
    struct magpie_value value;
};

struct magpie_parameters {
    const struct magpie_parameter *items;
    size_t count;
};

/* Whether `name` is one that templates may have at all. */
bool magpie_template_knows(struct slice name);

/*
 * Appends the JSON text of `payload` with its tokens replaced, written as the original writes it:
 * `", "` and `": "` between things, everything beyond ASCII escaped, of equal keys the place of the
 * first and the value of the last. `payload` is any JSON value that was validated. Depth is bounded
 * by the scanner's. PH_NO_MEMORY at the arena's cap.
 */
PH_NODISCARD enum ph_error magpie_render_json(struct slice payload,
                                              const struct magpie_parameters *parameters,
                                              struct arena *arena, struct diag *diag,
                                              struct buf *ret_json);
/* Appends the text of a string payload (a JSON string) with its tokens replaced, as it is sent in
 * formats that are not JSON. PH_INVALID when the payload is no string. */
PH_NODISCARD enum ph_error magpie_render_text(struct slice payload,
                                              const struct magpie_parameters *parameters,
                                              struct arena *arena, struct diag *diag,
                                              struct buf *ret_text);
/* Calls `each` for every token `{{…}}` of the payload's strings and keys whose inside could be a
 * name (letters, digits, `_` and `.`), or one with spaces, for the checks at load. */
void magpie_template_names(struct slice payload, struct arena *arena,
                           void (*each)(void *context, struct slice name), void *context);

#endif
