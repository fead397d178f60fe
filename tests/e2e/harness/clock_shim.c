/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a server under test: its wall clock is off by the nanoseconds that stand as an
 * int64 in the file $CLOCK_SHIM, and can be set while it runs. Other clocks stay as they are. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset_ns; /* NULL while other libraries start before this one */

__attribute__((constructor)) static void start(void)
{
    int fd = open(getenv("CLOCK_SHIM"), O_RDONLY | O_CLOEXEC);
    void *file = mmap(NULL, sizeof *offset_ns, PROT_READ, MAP_SHARED, fd, 0);
    if (file == MAP_FAILED) {
        abort();
    }
    offset_ns = file;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    long result = syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && clock == CLOCK_REALTIME && offset_ns != NULL) {
        int64_t nanoseconds = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec + *offset_ns;
        time->tv_sec = (time_t)(nanoseconds / 1000000000);
        time->tv_nsec = (long)(nanoseconds % 1000000000);
    }
    return (int)result;
}
