/* SPDX-License-Identifier: Apache-2.0 */
#include "app/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t has_come;

static void note_signal(int number)
{
    (void)number;
    has_come = 1;
}

void interrupt_catch(void)
{
    /* Without SA_RESTART: what waits is to wake up. */
    struct sigaction action = {.sa_handler = note_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

bool interrupt_came(void)
{
    return has_come != 0;
}
