/* SPDX-License-Identifier: Apache-2.0 */
#include "app/wrap_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"

#define CODE_NOT_FOUND 127
#define CODE_NOT_RUN 126
#define CODE_SIGNAL 128
/* timeout(1) signals its child and then the whole group: it means one. */
#define SAME_US (CLOCK_US_PER_S / 10)

struct passed_signal {
    int number;
    bool ends; /* who sends it wants an end */
};

static const struct passed_signal passed_signals[] = {
    {SIGINT, true},  {SIGTERM, true},  {SIGHUP, true},
    {SIGQUIT, true}, {SIGUSR1, false}, {SIGUSR2, false},
};

/* --- start --------------------------------------------------------------------------------------
 */

/* Those that are not ignored. From now on they come by the descriptor. */
static bool take_signals(struct wrap_process *process, sigset_t *ret_taken)
{
    sigset_t taken;
    (void)sigemptyset(&taken);
    (void)sigaddset(&taken, SIGCHLD);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(passed_signals); index++) {
        struct sigaction now;
        int number = passed_signals[index].number;
        if (sigaction(number, NULL, &now) == 0 && now.sa_handler != SIG_IGN) {
            (void)sigaddset(&taken, number);
        }
    }
    /* Where it is ignored, children vanish without a status. */
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    (void)sigaction(SIGCHLD, &usual, &process->child_before);
    PH_ASSERT(pthread_sigmask(SIG_BLOCK, &taken, &process->mask_before) == 0);
    *ret_taken = taken;
    process->signal_fd = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
    return process->signal_fd >= 0;
}

PH_NORETURN static void become(const struct wrap_process *process, char *const *arguments, int tell)
{
    (void)sigaction(SIGCHLD, &process->child_before, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &process->mask_before, NULL);
    (void)execvp(arguments[0], arguments);
    int error = errno;
    ssize_t put = write(tell, &error, sizeof error);
    _exit(put == (ssize_t)sizeof error ? CODE_NOT_FOUND : CODE_NOT_RUN);
}

/* What the child could not do; 0 when another program runs in it. */
static int read_error(int told)
{
    int error = 0;
    ssize_t got;
    do {
        got = read(told, &error, sizeof error);
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof error ? error : 0;
}

static void reap(struct wrap_process *process)
{
    while (waitpid(process->pid, &process->status, 0) < 0 && errno == EINTR) {
    }
}

bool wrap_process_start(struct wrap_process *process, char *const *arguments)
{
    int ends[2];
    sigset_t taken;
    *process = (struct wrap_process){.pid = -1, .signal_fd = -1, .witness = {.pid = -1}};
    if (!take_signals(process, &taken) || pipe2(ends, O_CLOEXEC) != 0) {
        process->start_error = errno;
        return false;
    }
    process->pid = fork();
    if (process->pid == 0) {
        become(process, arguments, ends[1]);
    }
    process->start_error = process->pid < 0 ? errno : 0;
    (void)close(ends[1]);
    if (process->pid > 0) {
        process->start_error = read_error(ends[0]);
        if (process->start_error != 0) {
            reap(process);
        }
    }
    (void)close(ends[0]);
    /* Behind it: what came before is passed on rather than lost. */
    if (process->start_error == 0) {
        wrap_witness_start(&process->witness, &taken, arguments);
    }
    /* Only now: what was started has the disposition that we were given. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    return process->start_error == 0;
}

/* --- signals -------------------------------------------------------------------------------------
 */

/* Whether the program got the signal beside us. Without the witness it is a guess: the kernel sends
 * those of the terminal to its whole foreground group, but tells of its loss the leader of the
 * session alone. */
static bool has_it(struct wrap_process *process, const struct signalfd_siginfo *signal_info)
{
    int number = (int)signal_info->ssi_signo;
    pid_t sender = (pid_t)signal_info->ssi_pid;
    bool has_witness_it;
    if (wrap_witness_ask(&process->witness, number, &has_witness_it)) {
        int64_t now_us = clock_boot_us();
        bool is_same = process->shared.number == number && process->shared.sender == sender &&
                       now_us - process->shared.came_at_us < SAME_US;
        if (has_witness_it) {
            process->shared.number = number;
            process->shared.sender = sender;
            process->shared.came_at_us = now_us;
        }
        return has_witness_it || is_same;
    }
    bool is_leaders = signal_info->ssi_signo == SIGHUP && getsid(0) == getpid();
    return signal_info->ssi_code == SI_KERNEL && !is_leaders;
}

/* Gives whether it is one that ends. */
static bool take_signal(struct wrap_process *process, const struct signalfd_siginfo *signal_info,
                        bool is_running)
{
    int number = (int)signal_info->ssi_signo;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(passed_signals); index++) {
        if (passed_signals[index].number != number) {
            continue;
        }
        if (is_running && !has_it(process, signal_info)) {
            (void)kill(process->pid, number);
        }
        if (passed_signals[index].ends && is_running && process->ending_signal == 0) {
            process->ending_signal = number;
        }
        return passed_signals[index].ends;
    }
    return false;
}

/* All that have come; gives whether one of them ends. */
static bool take_all(struct wrap_process *process, bool is_running)
{
    struct signalfd_siginfo signal_info;
    bool ends = false;
    while (read(process->signal_fd, &signal_info, sizeof signal_info) ==
           (ssize_t)sizeof signal_info) {
        ends = take_signal(process, &signal_info, is_running) || ends;
    }
    return ends;
}

/* Until it has ended, its status not yet taken: its number stays its own, for signals too. */
static bool has_ended(const struct wrap_process *process)
{
    siginfo_t ended = {0};
    return waitid(P_PID, (id_t)process->pid, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           ended.si_pid != 0;
}

static int ms_until(int64_t deadline_us)
{
    int64_t left_us = deadline_us - clock_boot_us();
    return left_us <= 0 ? 0 : (int)((left_us + CLOCK_US_PER_MS - 1) / CLOCK_US_PER_MS);
}

void wrap_process_attend(struct wrap_process *process, int fd, int64_t wait_us)
{
    int64_t deadline_us = clock_boot_us() + wait_us;
    struct pollfd ready[2] = {{.fd = process->signal_fd, .events = POLLIN},
                              {.fd = fd, .events = POLLIN}};
    int wait_ms = ms_until(deadline_us);
    while (wait_ms > 0 && ready[1].revents == 0) {
        (void)poll(ready, 2, wait_ms);
        (void)take_all(process, process->pid > 0 && !has_ended(process));
        wait_ms = ms_until(deadline_us);
    }
}

void wrap_process_wait(struct wrap_process *process)
{
    while (!has_ended(process)) {
        struct pollfd ready = {.fd = process->signal_fd, .events = POLLIN};
        (void)poll(&ready, 1, -1);
        (void)take_all(process, true);
    }
    /* One that ended it came to us as well, perhaps just now. */
    (void)take_all(process, true);
    reap(process);
    wrap_witness_stop(&process->witness);
}

bool wrap_process_linger(struct wrap_process *process, int fd, int64_t wait_us)
{
    int64_t deadline_us = clock_boot_us() + wait_us;
    for (;;) {
        struct pollfd ready[2] = {{.fd = process->signal_fd, .events = POLLIN},
                                  {.fd = fd, .events = POLLIN}};
        int wait_ms = ms_until(deadline_us);
        if (wait_ms == 0) {
            return true;
        }
        int count = poll(ready, 2, wait_ms);
        if (count > 0 && (ready[0].revents & POLLIN) != 0 && take_all(process, false)) {
            return false;
        }
        if (count > 0 && ready[1].revents != 0) {
            return true;
        }
    }
}

void wrap_process_done(struct wrap_process *process)
{
    if (process->signal_fd >= 0) {
        (void)close(process->signal_fd);
    }
}

int wrap_process_code(const struct wrap_process *process)
{
    if (process->start_error != 0) {
        return process->start_error == ENOENT ? CODE_NOT_FOUND : CODE_NOT_RUN;
    }
    return WIFEXITED(process->status) ? WEXITSTATUS(process->status)
                                      : CODE_SIGNAL + WTERMSIG(process->status);
}
