/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that must never be printed and are wiped when freed. Owned by one holder; copied only by
 * secret_dup. There is deliberately no way to format one.
 */
#ifndef PH_BASE_SECRET_H
#define PH_BASE_SECRET_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct secret {
    uint8_t *bytes; /* NULL when empty */
    size_t length;
};

#define SECRET_NONE ((struct secret){NULL, 0})
#define SECRET_AUTO PH_CLEANUP(secret_done)

PH_NODISCARD struct secret secret_new(const void *bytes, size_t length);
PH_NODISCARD struct secret secret_dup(const struct secret *secret);
void secret_done(struct secret *secret); /* wipes and frees */
/* Wipes memory in a way that the compiler keeps. */
void secret_wipe(void *bytes, size_t length);
/* Compares without telling by time where they differ. */
bool secret_equal(const void *left, const void *right, size_t length);

#endif
