/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by scan.c (structure) and scan_string.c (strings). */
#ifndef PH_CORE_SCAN_INT_H
#define PH_CORE_SCAN_INT_H

#include "core/scan.h"

struct scanner {
    const char *begin;
    const char *at;
    const char *end;
    const char *words; /* what was wrong at `at`, set on failure */
    bool has_escapes;  /* set, never cleared, by scan_skip_string */
};

/* From the opening quote to behind the closing one. */
bool scan_skip_string(struct scanner *scanner);

#endif
