/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that runs as if it had been started without us: in our process group and terminal,
 * with our standard streams, signal mask and dispositions.
 *
 * A signal to us alone is passed on. One to the whole group, of the terminal (Ctrl-C, Ctrl-\,
 * hanging up) or of a process (a CI runner), the program has already: a witness in the group tells
 * the two apart (wrap_witness.h). Signals that were ignored when we were started stay ignored.
 * SIGTSTP stops both, SIGCONT continues both.
 *
 * Main thread, before other threads start; they inherit the mask that blocks these signals.
 */
#ifndef PH_APP_WRAP_PROCESS_H
#define PH_APP_WRAP_PROCESS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "app/wrap_witness.h"

struct wrap_process {
    pid_t pid;
    int signal_fd;
    int start_error;   /* errno of what kept it from starting; 0 = it runs */
    int status;        /* of waitpid, when it has ended */
    int ending_signal; /* the first of SIGINT, SIGTERM, SIGHUP, SIGQUIT that came; 0 = none */
    struct wrap_witness witness;
    struct {
        int number; /* 0 = none yet */
        pid_t sender;
        int64_t came_at_us; /* boot time */
    } shared;               /* the last signal that the program had beside us */
    sigset_t mask_before;
    struct sigaction child_before; /* of SIGCHLD */
};

/* `arguments` end with NULL. False when it could not be started: `start_error` says why. Finish
 * with wrap_process_done in either case. */
bool wrap_process_start(struct wrap_process *process, char *const *arguments);
/* While it runs, or after: until `fd` can be read or so much time has passed; signals are passed on
 * meanwhile. */
void wrap_process_attend(struct wrap_process *process, int fd, int64_t wait_us);
/* Until it has ended. */
void wrap_process_wait(struct wrap_process *process);
/* After its end: until `fd` can be read or so much time has passed (true), or one of the signals
 * that end comes (false). */
bool wrap_process_linger(struct wrap_process *process, int fd, int64_t wait_us);
void wrap_process_done(struct wrap_process *process);

/* Its exit code as shells say it: 128 + n after signal n; 127 when there was no such program, 126
 * when it could not be run. */
int wrap_process_code(const struct wrap_process *process);

#endif
