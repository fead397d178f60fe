/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool with real workers: the test's own executable is started again with "jq-worker". Requests
 * are asked one by one (rig_run) or as calls that are waited for.
 */
#ifndef TESTS_UNIT_JQ_RIG_H
#define TESTS_UNIT_JQ_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/clock.h"
#include "jq/pool.h"
#include "jq/worker.h"

struct rig {
    struct metrics metrics;
    struct log log;
    struct jq_pool *pool;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    size_t answered;
};

/* One request and its answer. */
struct call {
    struct rig *rig;
    unsigned answers;
    enum jq_outcome outcome;
    char *output; /* NUL-terminated; NULL without */
    size_t output_len;
    char words[JQ_WORDS_MAX];
    int64_t duration_us;
    bool is_put_aside;
};

static inline void rig_start(struct rig *rig, struct jq_pool_options options)
{
    *rig = (struct rig){.mutex = PTHREAD_MUTEX_INITIALIZER};
    pthread_cond_init(&rig->changed, NULL);
    metrics_init(&rig->metrics);
    log_init(&rig->log, 2, false, LOG_LEVEL_ERROR);
    options.metrics = &rig->metrics;
    options.log = &rig->log;
    rig->pool = jq_pool_new(&options);
}

static inline void rig_end(struct rig *rig)
{
    jq_pool_free(rig->pool);
    assert_int_equal(metrics_get(&rig->metrics, METRIC_JQ_QUEUE), 0);
    assert_int_equal(metrics_get(&rig->metrics, METRIC_JQ_WORKERS), 0);
    pthread_cond_destroy(&rig->changed);
}

static inline void call_done(void *context, const struct jq_result *result)
{
    struct call *call = context;
    pthread_mutex_lock(&call->rig->mutex);
    call->answers++;
    call->outcome = result->outcome;
    if (result->output.ptr != NULL) {
        call->output = slice_dup(result->output);
        call->output_len = result->output.len;
    }
    (void)snprintf(call->words, sizeof call->words, "%s", result->words);
    call->duration_us = result->duration_us;
    call->is_put_aside = result->is_put_aside;
    call->rig->answered++;
    pthread_cond_broadcast(&call->rig->changed);
    pthread_mutex_unlock(&call->rig->mutex);
}

static inline enum ph_error rig_submit(struct rig *rig, enum jq_kind kind, const char *text,
                                       const char *input, uint64_t owner, struct call *call)
{
    struct diag diag;
    struct jq_program *program = NULL;
    *call = (struct call){.rig = rig};
    assert_int_equal(jq_program_new(slice_of(text), "filter", &diag, &program), PH_OK);
    struct jq_request request = {
        .program = program, .kind = kind, .owner = owner, .done = call_done, .context = call};
    if (kind != JQ_CHECK) {
        request.input = ph_strdup(input);
        request.input_len = strlen(input);
    }
    enum ph_error error = jq_pool_submit(rig->pool, &request, &diag);
    if (error != PH_OK) {
        free(request.input);
    }
    jq_program_unref(program);
    return error;
}

/* Until so many were answered since the start. */
static inline void rig_wait(struct rig *rig, size_t answered)
{
    pthread_mutex_lock(&rig->mutex);
    while (rig->answered < answered) {
        pthread_cond_wait(&rig->changed, &rig->mutex);
    }
    pthread_mutex_unlock(&rig->mutex);
}

/* Runs one program and waits; free with call_free. */
static inline struct call rig_run(struct rig *rig, enum jq_kind kind, const char *text,
                                  const char *input)
{
    struct call call;
    pthread_mutex_lock(&rig->mutex);
    size_t before = rig->answered;
    pthread_mutex_unlock(&rig->mutex);
    assert_int_equal(rig_submit(rig, kind, text, input, 1, &call), PH_OK);
    rig_wait(rig, before + 1);
    assert_int_equal(call.answers, 1);
    return call;
}

static inline void call_free(struct call *call)
{
    free(call->output);
    call->output = NULL;
}

/* Of main: the test's executable is also the worker. */
#define RIG_WORKER(count, arguments)                                                               \
    do {                                                                                           \
        if ((count) > 1 && strcmp((arguments)[1], "jq-worker") == 0) {                             \
            return jq_worker_main((count)-2, (arguments) + 2);                                     \
        }                                                                                          \
    } while (0)

#endif
