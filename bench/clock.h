/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PH_BENCH_CLOCK_H
#define PH_BENCH_CLOCK_H

#include <stdint.h>

/* The clock of the benchmark. Any thread may call it. */

/* Microseconds of CLOCK_MONOTONIC. Generator, receiver and `bench/run` run on one machine and share
   this clock, so a time written by one can be subtracted by another. */
int64_t clock_now_us(void);

#endif
