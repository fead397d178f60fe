/* SPDX-License-Identifier: Apache-2.0 */
#include "base/usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

void usage_describe(struct metrics *metrics, const char *version)
{
    struct metric_sample sample = {.value = 1};
    (void)snprintf(sample.label, sizeof sample.label, "%s", version);
    metrics_set_family(metrics, METRIC_BUILD_INFO, &sample, 1);
    metrics_set(metrics, METRIC_PROCESS_START_TIME, clock_wall_us() / CLOCK_US_PER_S);
}

/* The second number of /proc/self/statm, in pages. */
static bool resident_pages(int64_t *ret_pages)
{
    char text[256];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t length = read(fd, text, sizeof text);
    (void)close(fd);
    struct slice rest = {text, length < 0 ? 0 : (size_t)length};
    struct slice number;
    return slice_next(&rest, ' ', &number) && slice_next(&rest, ' ', &number) &&
           slice_to_int64(number, ret_pages);
}

static bool open_descriptors(int64_t *ret_count)
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) {
        return false;
    }
    int64_t count = -3; /* ".", ".." and the descriptor that is reading */
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    *ret_count = count;
    return true;
}

void usage_refresh(struct metrics *metrics)
{
    int64_t number;
    struct rlimit limit;
    if (resident_pages(&number)) {
        metrics_set(metrics, METRIC_PROCESS_RESIDENT_BYTES, number * sysconf(_SC_PAGESIZE));
    }
    if (open_descriptors(&number)) {
        metrics_set(metrics, METRIC_PROCESS_OPEN_FDS, number);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        metrics_set(metrics, METRIC_PROCESS_MAX_FDS,
                    limit.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_cur);
    }
    metrics_set(metrics, METRIC_UPTIME_SECONDS,
                (clock_boot_us() - metrics->started_boot_us) / CLOCK_US_PER_S);
}
