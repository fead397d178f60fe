/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdarg.h>

struct error_row {
    const char *name;
    int http_status;
    bool may_succeed_later;
    const char *text;
};

static const struct error_row rows[] = {
#define X(name, status, later, text) {#name, status, later, text},
#include "base/error.def"
#undef X
};

static const char *const names[] = {
    "ok",         "bad_request", "unauthorized",    "forbidden", "not_found",     "conflict",
    "too_large",  "invalid",     "not_implemented", "busy",      "shutting_down", "store_full",
    "store_busy", "store",       "sealed",          "io",        "no_memory",     "internal",
};
_Static_assert(PH_ARRAY_LENGTH(names) == PH_ERROR_COUNT, "one lower-case name per error");

static const struct error_row *row_of(enum ph_error error)
{
    PH_ASSERT((unsigned)error < PH_ERROR_COUNT);
    return &rows[error];
}

const char *ph_error_name(enum ph_error error)
{
    PH_ASSERT((unsigned)error < PH_ERROR_COUNT);
    return names[error];
}

const char *ph_error_text(enum ph_error error)
{
    return row_of(error)->text;
}

int ph_error_http_status(enum ph_error error)
{
    return row_of(error)->http_status;
}

bool ph_error_may_succeed_later(enum ph_error error)
{
    return row_of(error)->may_succeed_later;
}

enum ph_error diag_set(struct diag *diag, enum ph_error error, const char *field,
                       const char *format, ...)
{
    if (diag == NULL) {
        return error;
    }
    diag->error = error;
    diag->code[0] = '\0';
    (void)snprintf(diag->field, sizeof diag->field, "%s", field == NULL ? "" : field);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(diag->text, sizeof diag->text, format, arguments);
    va_end(arguments);
    return error;
}

void diag_code(struct diag *diag, const char *code)
{
    if (diag != NULL) {
        (void)snprintf(diag->code, sizeof diag->code, "%s", code);
    }
}
