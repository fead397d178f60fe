/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of functions that can fail, and the words that go with them.
 * Any thread; no state.
 */
#ifndef PH_BASE_ERROR_H
#define PH_BASE_ERROR_H

#include <stdbool.h>

#include "base/compiler.h"

enum ph_error {
#define X(name, status, later, text) PH_##name,
#include "base/error.def"
#undef X
    PH_ERROR_COUNT
};

/* Name in lower case with underscores ("not_found"), for logs. Static text. */
const char *ph_error_name(enum ph_error error);
/* The table's sentence. Static text. */
const char *ph_error_text(enum ph_error error);
/* HTTP status that the API gives for it, 200 for PH_OK. */
int ph_error_http_status(enum ph_error error);
/* Whether the same call may succeed later without any change. */
bool ph_error_may_succeed_later(enum ph_error error);

#define DIAG_PART '\x1f'

/*
 * What went wrong, filled by the function where it happened. Owned by the caller, fixed size:
 * longer words are cut. `field` names the input (for the API a dotted path such as
 * "body.eventTypes", or one with DIAG_PART for its dots where a part may have a dot itself), or is
 * empty. `code` is an API error code that differs from the default of the status, or is empty.
 */
struct diag {
    enum ph_error error;
    char code[48];
    char field[96];
    char text[320];
};

/* Sets error, field (may be NULL) and words; returns `error` so that callers can `return` it.
 * `diag` may be NULL. */
PH_PRINTF(4, 5)
enum ph_error diag_set(struct diag *diag, enum ph_error error, const char *field,
                       const char *format, ...);
/* Sets the API error code beside an already set diag. */
void diag_code(struct diag *diag, const char *code);

#endif
