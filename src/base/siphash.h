/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-2-4 with 64 or 128 bits of output (Aumasson and Bernstein): a keyed hash for tables
 * whose keys come from outside and for the tail of ids. Pure. */
#ifndef PH_BASE_SIPHASH_H
#define PH_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t siphash64(const uint8_t key[16], const void *bytes, size_t length);
void siphash128(const uint8_t key[16], const void *bytes, size_t length, uint8_t ret_hash[16]);

#endif
