/* SPDX-License-Identifier: Apache-2.0 */
/* SIGINT and SIGTERM as a flag, for commands that end what they do in order. Main thread. */
#ifndef PH_APP_INTERRUPT_H
#define PH_APP_INTERRUPT_H

#include <stdbool.h>

/* From now on the signals set the flag and wake what waits; SIGPIPE is ignored. */
void interrupt_catch(void);
bool interrupt_came(void);

#endif
