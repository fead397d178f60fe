/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs users' jq programs in child processes (`posthorn jq-worker`) under limits of time, memory
 * and output. A program that loops, allocates or crashes costs a worker, never the server.
 *
 * Concurrency: any thread submits. One thread of the pool's own, started with the first request,
 * feeds the workers and calls the `done` functions; they must not block, and may submit.
 * Until the first request a pool is a few hundred bytes: no thread, no process.
 */
#ifndef PH_JQ_POOL_H
#define PH_JQ_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/slice.h"
#include "jq/program.h"

#define JQ_WORKERS_MAX 64
#define JQ_INPUT_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define JQ_WORDS_MAX 1024 /* bytes of `words`, its NUL included */

struct jq_pool;

enum jq_kind {
    JQ_FILTER,    /* the first output is judged; what comes behind it is not computed */
    JQ_TRANSFORM, /* one output, or none */
    JQ_CHECK      /* is compiled, not run; has no input */
};

enum jq_outcome {
    JQ_OK,            /* a filter says yes; a transform gave `output`; a program compiles */
    JQ_FALSE,         /* a filter says no: its first output is false or null, or it has none */
    JQ_NULL,          /* a transform drops: its output is null, or it has none */
    JQ_PROGRAM_ERROR, /* does not compile, raised an error, or gave more than one output */
    JQ_LIMIT,         /* too much time, memory or output, ended its worker, or is put aside */
    JQ_UNAVAILABLE    /* not the program's fault: try again later */
};

struct jq_result {
    enum jq_outcome outcome;
    struct slice output; /* JSON text of a transform that is JQ_OK, checked by the scanner */
    const char *words;   /* for a person, of JQ_PROGRAM_ERROR, JQ_LIMIT, JQ_UNAVAILABLE; else "".
                          * May quote the input: fit for the attempt's record, not for logs */
    int64_t duration_us; /* in the worker, compiling included; 0 when none had it */
    bool is_put_aside;   /* the program is put aside, because of this evaluation or already */
};

/* On the pool's thread, exactly once per accepted request. The result is gone when it returns. */
typedef void jq_done_function(void *context, const struct jq_result *result);

struct jq_request {
    struct jq_program *program; /* the pool takes a reference of its own */
    enum jq_kind kind;
    uint64_t owner;   /* whose turn it is goes by owners: the application's id; 0 = nobody's */
    char *input;      /* from malloc (buf_take), one JSON value as text; NULL for JQ_CHECK */
    size_t input_len; /* at most JQ_INPUT_BYTES_MAX */
    jq_done_function *done;
    void *context;
};

struct jq_pool_options {
    unsigned workers;        /* 1..JQ_WORKERS_MAX; 0 = 2 */
    int64_t timeout_us;      /* of a worker's processor time for one evaluation; 0 = 0.25 s */
    size_t memory_bytes;     /* that a worker may allocate; 0 = 256 MiB */
    size_t output_bytes_max; /* of one result; 0 = 4 MiB */
    size_t queue_max;        /* requests that wait or run; 0 = 4096 */
    size_t queue_bytes_max;  /* of their inputs; 0 = 64 MiB */
    int64_t wait_us_max;     /* for a worker, then it is JQ_UNAVAILABLE; 0 = 30 s */
    int64_t aside_us;        /* how long a program is put aside; 0 = 60 s */
    const char *executable;  /* takes the argument jq-worker; NULL = /proc/self/exe. Not copied */
    struct metrics *metrics; /* may be NULL */
    const struct log *log;   /* may be NULL */
};

/* `options` may be NULL (all defaults) and is copied. Never NULL. */
struct jq_pool *jq_pool_new(const struct jq_pool_options *options);

/*
 * PH_OK: the pool owns `input` and calls `done` later, never from within this call. Otherwise the
 * caller keeps `input` and `done` is not called: PH_BUSY when the queue is full in number or bytes
 * or the thread cannot start, PH_SHUTTING_DOWN after jq_pool_stop, PH_TOO_LARGE for the input.
 */
PH_NODISCARD enum ph_error jq_pool_submit(struct jq_pool *pool, const struct jq_request *request,
                                          struct diag *diag);

/* Ends the workers. What waits or runs is JQ_UNAVAILABLE; when this returns every `done` has been
 * called. Not from within a `done`. May be called again. */
void jq_pool_stop(struct jq_pool *pool);
/* Stops, then frees; no thread may use the pool any more. NULL is fine. */
void jq_pool_free(struct jq_pool *pool);

#endif
