/* SPDX-License-Identifier: Apache-2.0 */
#include "base/siphash.h"

#include "base/compiler.h"

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t load64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "siphash reads little endian words");

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return (value << bits) | (value >> (64 - bits));
}

static void sip_rounds(struct sip *s, int count)
{
    for (int round = 0; round < count; round++) {
        s->v0 += s->v1;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v0 = rotate(s->v0, 32);
        s->v2 += s->v3;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 += s->v3;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 += s->v1;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v2 = rotate(s->v2, 32);
    }
}

static struct sip sip_absorb(const uint8_t key[16], const void *data, size_t length, int is_wide)
{
    const uint8_t *bytes = data;
    uint64_t k0 = load64(key);
    uint64_t k1 = load64(key + 8);
    struct sip s = {k0 ^ 0x736f6d6570736575ULL, k1 ^ 0x646f72616e646f6dULL,
                    k0 ^ 0x6c7967656e657261ULL, k1 ^ 0x7465646279746573ULL};
    s.v1 ^= is_wide ? 0xee : 0;
    size_t whole = length / 8 * 8;
    for (size_t index = 0; index < whole; index += 8) {
        uint64_t word = load64(bytes + index);
        s.v3 ^= word;
        sip_rounds(&s, 2);
        s.v0 ^= word;
    }
    uint64_t last = (uint64_t)length << 56;
    for (size_t index = whole; index < length; index++) {
        last |= (uint64_t)bytes[index] << (8 * (index - whole));
    }
    s.v3 ^= last;
    sip_rounds(&s, 2);
    s.v0 ^= last;
    return s;
}

uint64_t siphash64(const uint8_t key[16], const void *bytes, size_t length)
{
    struct sip s = sip_absorb(key, bytes, length, 0);
    s.v2 ^= 0xff;
    sip_rounds(&s, 4);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

void siphash128(const uint8_t key[16], const void *bytes, size_t length, uint8_t ret_hash[16])
{
    struct sip s = sip_absorb(key, bytes, length, 1);
    s.v2 ^= 0xee;
    sip_rounds(&s, 4);
    uint64_t half = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    memcpy(ret_hash, &half, sizeof half);
    s.v1 ^= 0xdd;
    sip_rounds(&s, 4);
    half = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    memcpy(ret_hash + 8, &half, sizeof half);
}
