/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

#include "base/compiler.h"

void random_bytes(void *ret_bytes, size_t length)
{
    char *target = ret_bytes;
    while (length > 0) {
        ssize_t got = getrandom(target, length, 0);
        PH_ASSERT(got > 0 || errno == EINTR);
        if (got > 0) {
            target += got;
            length -= (size_t)got;
        }
    }
}

uint64_t random_u64(void)
{
    uint64_t value;
    random_bytes(&value, sizeof value);
    return value;
}

double random_unit(void)
{
    return (double)(random_u64() >> 11) * 0x1.0p-53;
}
