/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program that has broken out of the jq library would find: one socket, anonymous memory
 * that cannot be executed, and the clock. System calls that the C library tries on its own (zone
 * files, modules, terminals) are answered with an error, all others end the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "jq/worker_int.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif

enum {
    STACK_BYTES_MAX = 8 * 1024 * 1024,
    /* The pool renews it every second of processor time; it holds when the pool is gone. */
    PROCESSOR_SECONDS = 10,
};

#ifndef HAS_SANITIZER
struct call_rule {
    int call;
    unsigned comparisons; /* how many of those below */
    struct scmp_arg_cmp comparison[2];
};

static bool allow_calls(scmp_filter_ctx filter)
{
    /* Written out: the library's macros leave a field to chance, which clang may refuse. */
    const struct scmp_arg_cmp not_executable = {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0};
    const struct scmp_arg_cmp anonymous = {3, SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS};
    const struct scmp_arg_cmp standard_descriptor = {0, SCMP_CMP_LE, 2, 0};
    const struct scmp_arg_cmp standard_input = {0, SCMP_CMP_EQ, 0, 0};
    const struct scmp_arg_cmp own_process = {0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0};
    const struct call_rule rules[] = {
        {SCMP_SYS(read), 1, {standard_input}},
        {SCMP_SYS(write), 1, {standard_descriptor}},
        {SCMP_SYS(writev), 1, {standard_descriptor}},
        {SCMP_SYS(mmap), 2, {not_executable, anonymous}},
        {SCMP_SYS(mprotect), 1, {not_executable}},
        {SCMP_SYS(munmap), 0, {{0}}},
        {SCMP_SYS(mremap), 0, {{0}}},
        {SCMP_SYS(madvise), 0, {{0}}},
        {SCMP_SYS(brk), 0, {{0}}},
        {SCMP_SYS(futex), 0, {{0}}},
        {SCMP_SYS(sched_yield), 0, {{0}}},
        {SCMP_SYS(clock_gettime), 0, {{0}}},
        {SCMP_SYS(gettimeofday), 0, {{0}}},
        {SCMP_SYS(time), 0, {{0}}},
        {SCMP_SYS(getrandom), 0, {{0}}},
        {SCMP_SYS(sysinfo), 0, {{0}}}, /* qsort asks how much memory there is */
        {SCMP_SYS(restart_syscall), 0, {{0}}},
        {SCMP_SYS(exit), 0, {{0}}},
        {SCMP_SYS(exit_group), 0, {{0}}},
        /* For abort(). */
        {SCMP_SYS(rt_sigprocmask), 0, {{0}}},
        {SCMP_SYS(rt_sigaction), 0, {{0}}},
        {SCMP_SYS(rt_sigreturn), 0, {{0}}},
        {SCMP_SYS(getpid), 0, {{0}}},
        {SCMP_SYS(gettid), 0, {{0}}},
        {SCMP_SYS(tgkill), 1, {own_process}},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rules); index++) {
        const struct call_rule *rule = &rules[index];
        if (seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rule->call, rule->comparisons,
                                   rule->comparison) != 0) {
            return false;
        }
    }
    return true;
}

static bool refuse_calls(scmp_filter_ctx filter)
{
    static const struct {
        int call;
        unsigned short error;
    } refused[] = {
        {SCMP_SYS(open), ENOENT},       {SCMP_SYS(openat), ENOENT},  {SCMP_SYS(access), ENOENT},
        {SCMP_SYS(faccessat), ENOENT},  {SCMP_SYS(stat), ENOENT},    {SCMP_SYS(lstat), ENOENT},
        {SCMP_SYS(faccessat2), ENOENT}, {SCMP_SYS(openat2), ENOENT}, {SCMP_SYS(statfs), ENOENT},
        {SCMP_SYS(newfstatat), ENOENT}, {SCMP_SYS(statx), ENOENT},   {SCMP_SYS(readlink), ENOENT},
        {SCMP_SYS(readlinkat), ENOENT}, {SCMP_SYS(getcwd), ENOENT},  {SCMP_SYS(fstat), EBADF},
        {SCMP_SYS(close), EBADF},       {SCMP_SYS(lseek), ESPIPE},   {SCMP_SYS(ioctl), ENOTTY},
        {SCMP_SYS(fcntl), EACCES},      {SCMP_SYS(socket), EACCES},  {SCMP_SYS(getuid), EACCES},
        {SCMP_SYS(geteuid), EACCES},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(refused); index++) {
        if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(refused[index].error), refused[index].call,
                             0) != 0) {
            return false;
        }
    }
    return true;
}

/* Sets no_new_privs too. */
static enum ph_error filter_calls(struct diag *diag)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    bool is_loaded =
        filter != NULL &&
        seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
        allow_calls(filter) && refuse_calls(filter) && seccomp_load(filter) == 0;
    if (filter != NULL) {
        seccomp_release(filter);
    }
    return is_loaded ? PH_OK
                     : diag_set(diag, PH_IO, NULL,
                                "cannot filter system calls (seccomp): jq programs do not run "
                                "without");
}

/* Bytes of address space in use, 0 when unknown. */
static size_t address_space_bytes(void)
{
    char text[64] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    int64_t pages = 0;
    size_t end = length > 0 ? slice_find((struct slice){text, (size_t)length}, ' ') : 0;
    return slice_to_int64((struct slice){text, end}, &pages)
               ? (size_t)pages * (size_t)sysconf(_SC_PAGESIZE)
               : 0;
}
#endif

static bool limit_to(__rlimit_resource_t resource, rlim_t most)
{
    const struct rlimit limit = {most, most};
    return setrlimit(resource, &limit) == 0;
}

static bool set_limits(size_t memory_bytes)
{
    struct rlimit processor;
    bool is_set = getrlimit(RLIMIT_CPU, &processor) == 0;
    if (is_set && processor.rlim_max > PROCESSOR_SECONDS) {
        /* The hard limit stays, so that the pool may raise the soft one. */
        processor.rlim_cur = PROCESSOR_SECONDS;
        is_set = setrlimit(RLIMIT_CPU, &processor) == 0;
    }
    struct rlimit stack;
    is_set = is_set && getrlimit(RLIMIT_STACK, &stack) == 0 &&
             (stack.rlim_cur <= STACK_BYTES_MAX || limit_to(RLIMIT_STACK, STACK_BYTES_MAX)) &&
             limit_to(RLIMIT_CORE, 0) && limit_to(RLIMIT_FSIZE, 0);
#ifdef HAS_SANITIZER
    (void)memory_bytes; /* the shadow memory of sanitizers is larger than any limit */
#else
    size_t used = address_space_bytes();
    is_set = is_set && used > 0 && limit_to(RLIMIT_AS, used + STACK_BYTES_MAX + memory_bytes);
#endif
    return is_set && limit_to(RLIMIT_NOFILE, 3);
}

enum ph_error sandbox_enter(size_t memory_bytes, struct diag *diag)
{
    extern char **environ;
    static char *no_environment[] = {NULL};
    environ = no_environment;
    /* A server that dies takes its workers along. One that died before this line has closed the
     * socket, which ends the worker too. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || close_range(3, ~0U, 0) != 0) {
        return diag_set(diag, PH_IO, NULL, "cannot give up descriptors and privileges: %s",
                        strerror(errno));
    }
    (void)prctl(PR_SET_NAME, "jq-worker", 0, 0, 0); /* it was started as /proc/self/exe */
    if (!set_limits(memory_bytes)) {
        return diag_set(diag, PH_IO, NULL, "cannot set limits of memory and processor time: %s",
                        strerror(errno));
    }
#ifdef HAS_SANITIZER
    return PH_OK; /* the sanitizer's own calls are many */
#else
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return filter_calls(diag);
#endif
}
