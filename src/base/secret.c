/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

struct secret secret_new(const void *bytes, size_t length)
{
    struct secret secret = SECRET_NONE;
    if (length > 0) {
        secret.bytes = ph_malloc(length);
        memcpy(secret.bytes, bytes, length);
        secret.length = length;
    }
    return secret;
}

struct secret secret_dup(const struct secret *secret)
{
    return secret_new(secret->bytes, secret->length);
}

void secret_wipe(void *bytes, size_t length)
{
    if (length > 0) {
        explicit_bzero(bytes, length);
    }
}

void secret_done(struct secret *secret)
{
    secret_wipe(secret->bytes, secret->length);
    free(secret->bytes);
    *secret = SECRET_NONE;
}

bool secret_equal(const void *left, const void *right, size_t length)
{
    const volatile unsigned char *a = left;
    const volatile unsigned char *b = right;
    unsigned char difference = 0;
    for (size_t index = 0; index < length; index++) {
        difference = (unsigned char)(difference | (a[index] ^ b[index]));
    }
    return difference == 0;
}
