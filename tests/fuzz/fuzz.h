/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets share. An invariant is a PH_ASSERT: it ends the process in every build. */
#ifndef PH_TESTS_FUZZ_FUZZ_H
#define PH_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline struct slice fuzz_text(const uint8_t *data, size_t size)
{
    return (struct slice){(const char *)data, size};
}

/* Takes the line at the front, without its line break. The last one may lack it; beyond that all
 * lines are empty. */
static inline struct slice fuzz_line(struct slice *rest)
{
    struct slice line = SLICE_LITERAL("");
    (void)slice_next(rest, '\n', &line);
    return line;
}

#endif
