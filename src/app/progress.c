/* SPDX-License-Identifier: Apache-2.0 */
#include "app/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define WIDTH 30
#define LINE_MAX 256
/* Before this time a rate says little. */
#define RATE_AFTER_US CLOCK_US_PER_S

void progress_init(struct progress *progress)
{
    *progress = (struct progress){.is_shown = isatty(STDERR_FILENO) != 0};
}

static void write_time(struct buf *line, int64_t seconds)
{
    if (seconds >= 3600) {
        buf_append_format(line, ", %lld h %02lld min left", (long long)(seconds / 3600),
                          (long long)(seconds / 60 % 60));
    } else if (seconds >= 60) {
        buf_append_format(line, ", %lld min %02lld s left", (long long)(seconds / 60),
                          (long long)(seconds % 60));
    } else {
        buf_append_format(line, ", %lld s left", (long long)seconds);
    }
}

void progress_write(struct buf *line, int64_t done, int64_t total, int64_t began_at,
                    int64_t elapsed_us, const char *things)
{
    if (total < 0) {
        buf_append_format(line, "%lld %s, counting", (long long)done, things);
        return;
    }
    int64_t shown = done < total ? done : total;
    int filled = total == 0 ? WIDTH : (int)(shown * WIDTH / total);
    buf_append_byte(line, '[');
    for (int index = 0; index < WIDTH; index++) {
        buf_append_byte(line, index < filled ? '#' : '.');
    }
    buf_append_format(line, "] %3lld %% %lld of %lld %s",
                      (long long)(total == 0 ? 100 : shown * 100 / total), (long long)done,
                      (long long)total, things);
    if (elapsed_us >= RATE_AFTER_US && done > began_at && done < total) {
        double rate = (double)(done - began_at) * (double)CLOCK_US_PER_S / (double)elapsed_us;
        buf_append_format(line, ", %.*f/s", rate < 10 ? 1 : 0, rate);
        write_time(line, (int64_t)((double)(total - done) / rate) + 1);
    }
}

void progress_show(struct progress *progress, int64_t done, int64_t total, const char *things)
{
    if (!progress->is_shown) {
        return;
    }
    int64_t now_us = clock_boot_us();
    if (progress->began_us == 0 && total >= 0) {
        progress->began_us = now_us;
        progress->began_at = done;
    }
    BUF_AUTO struct buf line;
    buf_init(&line, LINE_MAX);
    progress_write(&line, done, total, progress->began_at, now_us - progress->began_us, things);
    (void)fprintf(stderr, "\r%s\033[K", buf_text(&line));
    (void)fflush(stderr);
}

void progress_hide(const struct progress *progress)
{
    if (progress->is_shown) {
        (void)fputs("\r\033[K", stderr);
        (void)fflush(stderr);
    }
}
