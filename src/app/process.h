/* SPDX-License-Identifier: Apache-2.0 */
/* What this process asks of the kernel for itself. Main thread, before other threads start. */
#ifndef PH_APP_PROCESS_H
#define PH_APP_PROCESS_H

#include <stdbool.h>

/* No core dumps, to a file or to a program that collects them, and no debugger but root's: keys are
 * in the memory. Builds with a sanitizer leave it be, because their leak check attaches to itself:
 * false then. */
bool process_hide_memory(void);

#endif
