/* SPDX-License-Identifier: Apache-2.0 */
#include "core/ksuid.h"

#include <string.h>

/* Digits are made five at a time: one division of the long number gives five digits. */
#define GROUP_DIGITS 5
#define GROUP_VALUE 916132832u /* 62^5 */

static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

void ksuid_write(const uint32_t limbs[KSUID_LIMBS], char *ret_digits)
{
    uint32_t rest_of[KSUID_LIMBS];
    memcpy(rest_of, limbs, sizeof rest_of);
    unsigned first = 0; /* limbs before it are zero by now */
    int position = KSUID_LENGTH;
    while (position > 0) {
        uint64_t rest = 0;
        for (unsigned index = first; index < KSUID_LIMBS; index++) {
            rest = rest << 32 | rest_of[index];
            rest_of[index] = (uint32_t)(rest / GROUP_VALUE);
            rest %= GROUP_VALUE;
        }
        while (first < KSUID_LIMBS && rest_of[first] == 0) {
            first++;
        }
        uint32_t group = (uint32_t)rest;
        for (int count = 0; count < GROUP_DIGITS && position > 0; count++) {
            ret_digits[--position] = alphabet[group % 62];
            group /= 62;
        }
    }
}

/* Value of a base-62 digit, or -1. */
static int digit_value(char byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    if (byte >= 'A' && byte <= 'Z') {
        return byte - 'A' + 10;
    }
    if (byte >= 'a' && byte <= 'z') {
        return byte - 'a' + 36;
    }
    return -1;
}

bool ksuid_read(const char *digits, uint32_t ret_limbs[KSUID_LIMBS])
{
    memset(ret_limbs, 0, KSUID_LIMBS * sizeof ret_limbs[0]);
    for (int position = 0; position < KSUID_LENGTH; position++) {
        int value = digit_value(digits[position]);
        if (value < 0) {
            return false;
        }
        uint64_t carry = (uint64_t)value;
        for (int index = KSUID_LIMBS - 1; index >= 0; index--) {
            carry += (uint64_t)ret_limbs[index] * 62;
            ret_limbs[index] = (uint32_t)carry;
            carry >>= 32;
        }
        if (carry != 0) {
            return false;
        }
    }
    return true;
}
