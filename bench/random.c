/* SPDX-License-Identifier: Apache-2.0 */
#include "random.h"

#include "clock.h"

#include <stddef.h>
#include <sys/random.h>

void random_init(struct random_source *random)
{
    if (getrandom(&random->state, sizeof random->state, 0) != (ssize_t)sizeof random->state) {
        random->state = (uint64_t)clock_now_us();
    }
}

/* splitmix64, by Sebastiano Vigna, in the public domain. */
uint64_t random_next(struct random_source *random)
{
    random->state += 0x9e3779b97f4a7c15ULL;
    uint64_t x = random->state;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

void random_uuid(struct random_source *random, char *text)
{
    static const char hex[] = "0123456789abcdef";
    uint64_t high = random_next(random);
    uint64_t low = random_next(random);
    high = (high & ~(uint64_t)0xf000) | 0x4000;
    low = (low & ~((uint64_t)3 << 62)) | ((uint64_t)2 << 62);
    size_t at = 0;
    for (unsigned digit = 0; digit < 32; digit++) {
        if (digit == 8 || digit == 12 || digit == 16 || digit == 20) {
            text[at++] = '-';
        }
        const uint64_t word = digit < 16 ? high : low;
        text[at++] = hex[(word >> (60 - 4 * (digit % 16))) & 15];
    }
}
