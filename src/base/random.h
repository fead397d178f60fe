/* SPDX-License-Identifier: Apache-2.0 */
/* The only file that asks for randomness. Any thread. */
#ifndef PH_BASE_RANDOM_H
#define PH_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills from the kernel (getrandom); fit for keys. A failure ends the process. */
void random_bytes(void *ret_bytes, size_t length);
/* Uniform in 0..2^64-1. */
uint64_t random_u64(void);
/* Uniform in [0, 1). */
double random_unit(void);

#endif
