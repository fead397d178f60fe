/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PH_BENCH_ARGUMENTS_H
#define PH_BENCH_ARGUMENTS_H

#include <stdint.h>

/* Numbers of the command line. */

/* Reads a decimal number in minimum..maximum. Anything else is wrong usage: it names the option on
   stderr and ends the process with 2. */
uint64_t arguments_number(const char *option, const char *text, uint64_t minimum, uint64_t maximum);

#endif
