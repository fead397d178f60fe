/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KSUID text: 20 bytes as 27 base-62 digits (0-9, A-Z, a-z). Bytewise order of the text is that of
 * the bytes. The bytes are held as five 32-bit limbs, most significant first. Pure.
 */
#ifndef PH_CORE_KSUID_H
#define PH_CORE_KSUID_H

#include <stdbool.h>
#include <stdint.h>

#define KSUID_LENGTH 27
#define KSUID_LIMBS 5

/* Writes KSUID_LENGTH digits without NUL. */
void ksuid_write(const uint32_t limbs[KSUID_LIMBS], char *ret_digits);
/* Reads KSUID_LENGTH digits; false for other characters and for 2^160 or more. */
bool ksuid_read(const char *digits, uint32_t ret_limbs[KSUID_LIMBS]);

#endif
