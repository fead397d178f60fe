/* SPDX-License-Identifier: Apache-2.0 */
#include "arguments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t arguments_number(const char *option, const char *text, uint64_t minimum, uint64_t maximum)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || value < minimum ||
        value > maximum) {
        fprintf(stderr, "--%s: want a number from %" PRIu64 " to %" PRIu64 ", not \"%s\"\n", option,
                minimum, maximum, text);
        exit(2);
    }
    return value;
}
