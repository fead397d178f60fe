/* SPDX-License-Identifier: Apache-2.0 */
/* A progress bar on standard error, while that is a terminal; otherwise nothing. Main thread. */
#ifndef PH_APP_PROGRESS_H
#define PH_APP_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct progress {
    bool is_shown;
    int64_t began_us; /* boot clock, of the first step that was shown */
    int64_t began_at; /* where it stood then */
};

void progress_init(struct progress *progress);
/* `done` of `total` (-1 = not known yet) `things`. */
void progress_show(struct progress *progress, int64_t done, int64_t total, const char *things);
/* Takes the bar away, so that other words can stand there. */
void progress_hide(const struct progress *progress);

/* The line that is shown, without the means to draw it over itself; `elapsed_us` since it stood at
 * `began_at`. */
void progress_write(struct buf *line, int64_t done, int64_t total, int64_t began_at,
                    int64_t elapsed_us, const char *things);

#endif
