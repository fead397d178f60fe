/* SPDX-License-Identifier: Apache-2.0 */
#include "app/wrap_witness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"

/* Who signals the processes of a job one by one gets to the next one sooner than that. */
#define MOMENT_NS 50000000L
/* A witness that says nothing for so long is stopped, or has no time. */
#define ANSWER_MS 1000

/* --- the witness itself --------------------------------------------------------------------------
 */

/* Puts dbt's words where our command line begins; nothing is left behind them. */
static void take_name(char *const *arguments)
{
    char *begin = program_invocation_name;
    char *from = arguments[0];
    char *end = from;
    const char *slash = strrchr(from, '/');
    (void)prctl(PR_SET_NAME, slash == NULL ? from : slash + 1);
    for (size_t index = 0; arguments[index] != NULL; index++) {
        if (arguments[index] != end) {
            return; /* elsewhere: not as the kernel put them */
        }
        end += strlen(end) + 1;
    }
    if (from > begin) {
        size_t length = (size_t)(end - from);
        memmove(begin, from, length);
        memset(begin + length, 0, (size_t)(from - begin));
    }
}

/* The file of the socket becomes 0, and is the only one. */
static void close_others(int fd)
{
    if (fd != 0) {
        (void)dup2(fd, 0);
    }
    if (close_range(1, ~0u, 0) != 0) {
        for (int other = 1; other < 1024; other++) {
            (void)close(other);
        }
    }
}

PH_NORETURN static void watch(int fd, char *const *arguments)
{
    const struct timespec moment = {.tv_nsec = MOMENT_NS};
    unsigned char number;
    close_others(fd);
    take_name(arguments);
    for (;;) {
        ssize_t got = recv(0, &number, 1, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got != 1) {
            _exit(0); /* we are gone */
        }
        sigset_t asked;
        (void)sigemptyset(&asked);
        (void)sigaddset(&asked, number);
        unsigned char has_it = sigtimedwait(&asked, NULL, &moment) == number;
        if (send(0, &has_it, 1, MSG_NOSIGNAL) != 1) {
            _exit(0);
        }
    }
}

/* --- beside it -----------------------------------------------------------------------------------
 */

void wrap_witness_start(struct wrap_witness *witness, const sigset_t *taken, char *const *arguments)
{
    int ends[2];
    *witness = (struct wrap_witness){.pid = -1, .fd = -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return;
    }
    witness->pid = fork();
    if (witness->pid == 0) {
        (void)pthread_sigmask(SIG_BLOCK, taken, NULL);
        watch(ends[1], arguments);
    }
    (void)close(ends[1]);
    if (witness->pid < 0) {
        (void)close(ends[0]);
    } else {
        witness->fd = ends[0];
    }
}

bool wrap_witness_ask(struct wrap_witness *witness, int number, bool *ret_has_it)
{
    unsigned char asked = (unsigned char)number;
    unsigned char has_it;
    struct pollfd answer = {.fd = witness->fd, .events = POLLIN};
    if (witness->pid < 0) {
        return false;
    }
    /* One system call of the sender signals a whole group, holding the kernel's list of processes.
     * A change of that list waits for it: when this has returned, all of the group have theirs. */
    (void)setpgid(0, getpgrp());
    if (send(witness->fd, &asked, 1, MSG_NOSIGNAL) != 1 || poll(&answer, 1, ANSWER_MS) != 1 ||
        recv(witness->fd, &has_it, 1, MSG_DONTWAIT) != 1) {
        wrap_witness_stop(witness); /* a late answer would be taken for the next one's */
        return false;
    }
    *ret_has_it = has_it != 0;
    return true;
}

void wrap_witness_stop(struct wrap_witness *witness)
{
    if (witness->pid < 0) {
        return;
    }
    (void)close(witness->fd);
    (void)kill(witness->pid, SIGKILL); /* it may be stopped */
    while (waitpid(witness->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    *witness = (struct wrap_witness){.pid = -1, .fd = -1};
}
