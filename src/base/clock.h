/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only file that reads a clock. Wall times are microseconds since 1970-01-01 UTC; boot times
 * are microseconds of CLOCK_BOOTTIME, for timers and durations. Any thread.
 */
#ifndef PH_BASE_CLOCK_H
#define PH_BASE_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/slice.h"

#define CLOCK_US_PER_S INT64_C(1000000)
#define CLOCK_US_PER_MS INT64_C(1000)
#define CLOCK_TEXT_MAX 40

int64_t clock_wall_us(void);
int64_t clock_boot_us(void);
int64_t clock_thread_us(void); /* processor time that this thread has used */
/* Microseconds of processor time that a process has used. False when there is no such process. */
bool clock_process_us(pid_t pid, int64_t *ret_us);
/* A condition variable whose timed waits go by CLOCK_MONOTONIC, so that a step of the wall clock
 * does not lengthen them; and the absolute time `wait_us` (0..) from now for them. */
void clock_cond_init(pthread_cond_t *cond);
struct timespec clock_deadline(int64_t wait_us);

/* RFC 3339 in UTC with six fraction digits and Z ("2026-01-05T10:11:12.131415Z"), NUL-terminated.
 * Years 0001..9999. */
void clock_format(int64_t wall_us, char ret_text[CLOCK_TEXT_MAX]);
/* RFC 3339 date-time: T, t or a space between; any number of fraction digits (cut to
 * microseconds); Z, z or a numeric offset. False for anything else. */
bool clock_parse(struct slice text, int64_t *ret_wall_us);
/* HTTP date (RFC 9110 section 5.6.7: IMF-fixdate, RFC 850 and asctime forms). */
bool clock_parse_http_date(struct slice text, int64_t now_wall_us, int64_t *ret_wall_us);

#endif
