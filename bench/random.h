/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PH_BENCH_RANDOM_H
#define PH_BENCH_RANDOM_H

#include <stdint.h>

/* Pseudo-random numbers for ids: quick, seeded by the kernel, not for secrets. One per thread. */
struct random_source {
    uint64_t state;
};

void random_init(struct random_source *random);
uint64_t random_next(struct random_source *random);

enum { RANDOM_UUID_BYTES = 36 };

/* Writes a version 4 UUID (RFC 9562), 36 characters, not terminated. */
void random_uuid(struct random_source *random, char *text);

#endif
