/* SPDX-License-Identifier: Apache-2.0 */
/* One worker as the pool's thread sees it: start, socket, clock, end. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "jq/pool_int.h"

enum {
    /* The clock is looked at again no sooner than this. */
    CHECK_LEAST_US = 5000,
    /* Processor time until RLIMIT_CPU is renewed, and what the worker has from then on, beside
     * what one request may take. */
    CPU_RENEWAL_US = 1000000,
    CPU_ALLOWANCE_S = 10,
};
/* A buffer that grew beyond this for one large request is freed behind it. */
#define BUFFER_KEPT_BYTES ((size_t)1024 * 1024)
/* Real time of a start; of a request that gets too little processor time. */
#define START_US_MAX INT64_C(15000000)
#define STUCK_US_MIN INT64_C(5000000)

static bool set_up_spawn(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes,
                         int socket_fd)
{
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    return posix_spawn_file_actions_adddup2(actions, socket_fd, STDIN_FILENO) == 0 &&
           posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) ==
               0 &&
           posix_spawn_file_actions_adddup2(actions, STDOUT_FILENO, STDERR_FILENO) == 0 &&
           posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1) == 0 &&
           posix_spawnattr_setsigmask(attributes, &none) == 0 &&
           posix_spawnattr_setsigdefault(attributes, &all) == 0 &&
           posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) ==
               0;
}

/* 0, or an error number. */
static int spawn(const struct jq_pool_options *options, int socket_fd, pid_t *ret_pid)
{
    char memory[24];
    char output[24];
    (void)snprintf(memory, sizeof memory, "%zu", options->memory_bytes);
    (void)snprintf(output, sizeof output, "%zu", options->output_bytes_max);
    char name[] = "posthorn";
    char command[] = "jq-worker";
    char *arguments[] = {name, command, memory, output, NULL};
    char *environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    PH_ASSERT(posix_spawn_file_actions_init(&actions) == 0);
    PH_ASSERT(posix_spawnattr_init(&attributes) == 0);
    int code = set_up_spawn(&actions, &attributes, socket_fd)
                   ? posix_spawn(ret_pid, options->executable, &actions, &attributes, arguments,
                                 environment)
                   : ENOMEM;
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return code;
}

bool process_start(struct jq_pool *pool, struct process *process, int64_t now_us, struct diag *diag)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        (void)diag_set(diag, PH_IO, NULL, "could not make a socket: %s", strerror(errno));
        return false;
    }
    int code = spawn(&pool->options, ends[1], &process->pid);
    close(ends[1]);
    if (code != 0) {
        close(ends[0]);
        (void)diag_set(diag, PH_IO, NULL, "could not start a process: %s", strerror(code));
        return false;
    }
    PH_ASSERT(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    process->fd = ends[0];
    process->state = PROCESS_STARTING;
    process->generation++;
    process->answered = 0;
    process->is_leaving = false;
    process->cpu_limit_us = -CPU_RENEWAL_US; /* with the first request */
    process->begun_us = now_us;
    process->check_us = now_us + START_US_MAX;
    pool_count(pool, METRIC_JQ_WORKERS, 1);
    return true;
}

static void empty(struct buf *buf)
{
    if (buf->capacity > BUFFER_KEPT_BYTES) {
        buf_done(buf);
    } else {
        buf_clear(buf);
    }
}

int process_stop(struct process *process)
{
    int status = 0;
    /* No harm to one that is ending already: its status is settled. */
    (void)kill(process->pid, SIGKILL);
    close(process->fd);
    while (waitpid(process->pid, &status, 0) < 0 && errno == EINTR) {
    }
    process->state = PROCESS_DOWN;
    process->fd = -1;
    empty(&process->outgoing);
    empty(&process->incoming);
    process->outgoing_used = 0;
    return status;
}

void process_flush(struct process *process)
{
    while (process->outgoing_used < process->outgoing.len) {
        ssize_t count = send(process->fd, process->outgoing.data + process->outgoing_used,
                             process->outgoing.len - process->outgoing_used, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return; /* full; or closed, which reading finds out */
        }
        process->outgoing_used += (size_t)count;
    }
    empty(&process->outgoing);
    process->outgoing_used = 0;
}

/* What stands in `incoming`. False: it is nonsense. */
static bool take_replies(struct jq_pool *pool, struct process *process)
{
    struct buf *incoming = &process->incoming;
    size_t used = 0;
    enum frame_outcome outcome = FRAME_DONE;
    while (outcome == FRAME_DONE) {
        struct frame_reply reply;
        size_t consumed = 0;
        outcome =
            frame_read_reply((struct slice){incoming->data + used, incoming->len - used},
                             pool->options.output_bytes_max + JQ_WORDS_MAX, &reply, &consumed);
        if (outcome == FRAME_BAD || (outcome == FRAME_DONE && !feed_reply(pool, process, &reply))) {
            return false;
        }
        if (process->state == PROCESS_DOWN) {
            return true; /* the reply has ended it */
        }
        used += consumed;
    }
    if (used == incoming->len) {
        empty(incoming);
    } else if (used > 0) {
        incoming->len -= used;
        memmove(incoming->data, incoming->data + used, incoming->len + 1);
    }
    return true;
}

void process_receive(struct jq_pool *pool, struct process *process)
{
    while (process->state != PROCESS_DOWN) {
        /* There is always room: the buffer holds the longest reply and one more read. */
        char *place = buf_reserve(&process->incoming, PROCESS_READ_BYTES);
        PH_ASSERT(place != NULL);
        ssize_t count = recv(process->fd, place, PROCESS_READ_BYTES, 0);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0 && errno == EAGAIN) {
            return;
        }
        if (count <= 0) {
            feed_end(pool, process, END_CLOSED, "");
            return;
        }
        buf_commit(&process->incoming, (size_t)count);
        if (!take_replies(pool, process)) {
            feed_end(pool, process, END_NONSENSE, "");
            return;
        }
        if (count < PROCESS_READ_BYTES) {
            return; /* poll tells when there is more, or the end */
        }
    }
}

/* So that a worker which nobody watches any more ends by itself. */
static void renew_cpu_limit(struct jq_pool *pool, struct process *process, int64_t cpu_us)
{
    struct rlimit limit;
    if (cpu_us - process->cpu_limit_us < CPU_RENEWAL_US) {
        return;
    }
    process->cpu_limit_us = cpu_us;
    if (prlimit(process->pid, RLIMIT_CPU, NULL, &limit) == 0) {
        rlim_t most =
            (rlim_t)((cpu_us + pool->options.timeout_us) / CLOCK_US_PER_S) + CPU_ALLOWANCE_S;
        limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
        (void)prlimit(process->pid, RLIMIT_CPU, &limit, NULL);
    }
}

void process_begin(struct jq_pool *pool, struct process *process, int64_t now_us)
{
    process->begun_us = now_us;
    process->check_us = now_us + pool->options.timeout_us;
    if (clock_process_us(process->pid, &process->begun_cpu_us)) {
        renew_cpu_limit(pool, process, process->begun_cpu_us);
    }
}

/*
 * Whether the worker is still at the request that it was at when the clock was read. Answers that
 * came while this thread was elsewhere are taken first: what they took is not the next one's.
 */
static bool is_still_at_it(struct jq_pool *pool, struct process *process)
{
    const struct list_node *first = process->running.next;
    int64_t begun_us = process->begun_us;
    process_receive(pool, process);
    return process->state == PROCESS_READY && process->running.next == first &&
           process->begun_us == begun_us;
}

void process_check_time(struct jq_pool *pool, struct process *process, int64_t now_us)
{
    if (process->state == PROCESS_STARTING && now_us >= process->check_us) {
        feed_end(pool, process, END_NO_START, "a worker did not start in time");
        return;
    }
    if (process->state != PROCESS_READY || process->running_count == 0 ||
        now_us < process->check_us) {
        return;
    }
    int64_t cpu_us = 0;
    if (!clock_process_us(process->pid, &cpu_us)) {
        process->check_us = now_us + CHECK_LEAST_US; /* it has ended, which reading finds out */
        return;
    }
    if (!is_still_at_it(pool, process)) {
        return;
    }
    int64_t used_us = cpu_us - process->begun_cpu_us;
    int64_t timeout_us = pool->options.timeout_us;
    int64_t stuck_us = timeout_us * 20 > STUCK_US_MIN ? timeout_us * 20 : STUCK_US_MIN;
    if (used_us >= timeout_us) {
        feed_end(pool, process, END_TIME, "");
    } else if (now_us - process->begun_us >= stuck_us) {
        feed_end(pool, process, END_STUCK, "");
    } else {
        /* The machine is busy, or the worker was paused: that is not the program's fault. */
        int64_t rest_us = timeout_us - used_us;
        process->check_us = now_us + (rest_us > CHECK_LEAST_US ? rest_us : CHECK_LEAST_US);
    }
}
