/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Concurrency: submitters put requests into the inbox under the lock and wake the pool's thread
 * through an eventfd; all else is that thread's own, and `done` is called without the lock.
 */
#include "jq/pool.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "jq/pool_int.h"

#define POLL_MS_MAX 3600000

void pool_count(struct jq_pool *pool, enum metric metric, int64_t amount)
{
    if (pool->options.metrics != NULL) {
        metrics_add(pool->options.metrics, metric, amount);
    }
}

void pool_show_aside(struct jq_pool *pool)
{
    if (pool->options.metrics != NULL) {
        metrics_set(pool->options.metrics, METRIC_JQ_ASIDE, (int64_t)pool->records.aside_count);
    }
}

static void count_result(struct jq_pool *pool, const struct jq_result *result)
{
    static const enum metric by_outcome[] = {
        [JQ_OK] = METRIC_JQ_OK,         [JQ_FALSE] = METRIC_JQ_NEGATIVE,
        [JQ_NULL] = METRIC_JQ_NEGATIVE, [JQ_PROGRAM_ERROR] = METRIC_JQ_ERRORS,
        [JQ_LIMIT] = METRIC_JQ_LIMITS,  [JQ_UNAVAILABLE] = METRIC_JQ_UNAVAILABLE,
    };
    pool_count(pool, by_outcome[result->outcome], 1);
    pool_count(pool, METRIC_JQ_QUEUE, -1);
    if (pool->options.metrics != NULL && result->duration_us > 0) {
        metrics_observe(pool->options.metrics, METRIC_JQ_SECONDS, result->duration_us);
    }
}

void pool_finish(struct jq_pool *pool, struct item *item, const struct jq_result *result)
{
    struct jq_result whole = *result;
    whole.words = whole.words != NULL ? whole.words : "";
    queue_settle(item, whole.duration_us);
    count_result(pool, &whole);
    pthread_mutex_lock(&pool->lock);
    pool->count--;
    pool->bytes -= item->request.input_len;
    pthread_mutex_unlock(&pool->lock);
    item->request.done(item->request.context, &whole);
    jq_program_unref(item->request.program);
    free(item->request.input);
    free(item);
}

void pool_finish_words(struct jq_pool *pool, struct item *item, enum jq_outcome outcome,
                       const char *words)
{
    pool_finish(pool, item, &(struct jq_result){.outcome = outcome, .words = words});
}

/* False when the pool stops. */
static bool admit_all(struct jq_pool *pool)
{
    struct list_node admitted;
    list_init(&admitted);
    pthread_mutex_lock(&pool->lock);
    list_splice(&admitted, &pool->inbox);
    bool is_stopping = pool->is_stopping;
    pthread_mutex_unlock(&pool->lock);
    int64_t now_us = clock_boot_us();
    struct list_node *node;
    while ((node = list_take_first(&admitted)) != NULL) {
        feed_admit(pool, LIST_ELEMENT(node, struct item, node), now_us);
    }
    return !is_stopping;
}

static int wait_ms(int64_t next_us)
{
    int64_t wait_us = next_us - clock_boot_us();
    if (wait_us <= 0) {
        return 0;
    }
    int64_t ms = wait_us / CLOCK_US_PER_MS + 1;
    return ms < POLL_MS_MAX ? (int)ms : POLL_MS_MAX;
}

static void wait_for_events(struct jq_pool *pool, int64_t next_us)
{
    struct pollfd polled[JQ_WORKERS_MAX + 1];
    polled[0] = (struct pollfd){.fd = pool->wake_fd, .events = POLLIN};
    for (unsigned index = 0; index < pool->options.workers; index++) {
        const struct process *process = &pool->processes[index];
        /* A negative descriptor is passed over. */
        polled[index + 1] = (struct pollfd){.fd = process->fd, .events = POLLIN};
        if (process->outgoing_used < process->outgoing.len) {
            polled[index + 1].events |= POLLOUT;
        }
    }
    int count = poll(polled, pool->options.workers + 1, wait_ms(next_us));
    PH_ASSERT(count >= 0 || errno == EINTR);
    if (count <= 0) {
        return;
    }
    if (polled[0].revents != 0) {
        eventfd_t ignored;
        (void)eventfd_read(pool->wake_fd, &ignored);
    }
    for (unsigned index = 0; index < pool->options.workers; index++) {
        struct process *process = &pool->processes[index];
        if ((polled[index + 1].revents & POLLOUT) != 0) {
            process_flush(process);
        }
        if ((polled[index + 1].revents & ~POLLOUT) != 0) {
            process_receive(pool, process);
        }
    }
}

static int64_t expire_aside(struct jq_pool *pool, int64_t now_us)
{
    int64_t next_us = records_expire(&pool->records, now_us);
    pool_show_aside(pool);
    return next_us;
}

static void end_all(struct jq_pool *pool)
{
    for (unsigned index = 0; index < pool->options.workers; index++) {
        struct process *process = &pool->processes[index];
        if (process->state != PROCESS_DOWN) {
            feed_end(pool, process, END_STOP, "");
        }
    }
    for (unsigned index = 0; index < pool->options.workers; index++) {
        feed_refuse_all(pool, &pool->processes[index], "the server is shutting down");
    }
}

static void *pool_thread(void *argument)
{
    struct jq_pool *pool = argument;
    while (admit_all(pool)) {
        int64_t now_us = clock_boot_us();
        int64_t expiry_us = expire_aside(pool, now_us);
        feed_all(pool, now_us);
        int64_t next_us = feed_next_us(pool);
        wait_for_events(pool, expiry_us < next_us ? expiry_us : next_us);
        now_us = clock_boot_us();
        for (unsigned index = 0; index < pool->options.workers; index++) {
            process_check_time(pool, &pool->processes[index], now_us);
        }
    }
    end_all(pool);
    return NULL;
}

/* --- callers ------------------------------------------------------------------------------------
 */

static void set_defaults(struct jq_pool_options *options)
{
    options->workers = options->workers > 0 ? options->workers : 2;
    options->timeout_us = options->timeout_us > 0 ? options->timeout_us : CLOCK_US_PER_S / 4;
    options->memory_bytes =
        options->memory_bytes > 0 ? options->memory_bytes : (size_t)256 * 1024 * 1024;
    options->output_bytes_max =
        options->output_bytes_max > 0 ? options->output_bytes_max : (size_t)4 * 1024 * 1024;
    options->queue_max = options->queue_max > 0 ? options->queue_max : 4096;
    options->queue_bytes_max =
        options->queue_bytes_max > 0 ? options->queue_bytes_max : (size_t)64 * 1024 * 1024;
    options->wait_us_max = options->wait_us_max > 0 ? options->wait_us_max : 30 * CLOCK_US_PER_S;
    options->aside_us = options->aside_us > 0 ? options->aside_us : 60 * CLOCK_US_PER_S;
    options->executable = options->executable != NULL ? options->executable : "/proc/self/exe";
}

struct jq_pool *jq_pool_new(const struct jq_pool_options *options)
{
    struct jq_pool *pool = ph_calloc(1, sizeof *pool);
    if (options != NULL) {
        pool->options = *options;
    }
    set_defaults(&pool->options);
    PH_ASSERT(pool->options.workers <= JQ_WORKERS_MAX);
    PH_ASSERT(pthread_mutex_init(&pool->lock, NULL) == 0);
    list_init(&pool->inbox);
    pool->wake_fd = -1;
    return pool;
}

static void init_process(struct jq_pool *pool, unsigned index)
{
    struct process *process = &pool->processes[index];
    process->index = index;
    process->fd = -1;
    queue_init(&process->queue);
    list_init(&process->suspects);
    list_init(&process->running);
    buf_init(&process->outgoing, BATCH_BYTES_MAX + FRAME_REQUEST_HEAD_BYTES + JQ_PROGRAM_BYTES_MAX +
                                     JQ_INPUT_BYTES_MAX);
    buf_init(&process->incoming, 2 * (FRAME_REPLY_HEAD_BYTES + JQ_WORDS_MAX) +
                                     pool->options.output_bytes_max + PROCESS_READ_BYTES);
}

static void release_thread_state(struct jq_pool *pool)
{
    for (unsigned index = 0; pool->processes != NULL && index < pool->options.workers; index++) {
        queue_done(&pool->processes[index].queue);
        buf_done(&pool->processes[index].outgoing);
        buf_done(&pool->processes[index].incoming);
    }
    if (pool->processes != NULL) {
        records_done(&pool->records);
    }
    free(pool->processes);
    pool->processes = NULL;
    if (pool->wake_fd >= 0) {
        close(pool->wake_fd);
        pool->wake_fd = -1;
    }
}

/* With the lock. */
static bool start_thread(struct jq_pool *pool)
{
    pool->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (pool->wake_fd < 0) {
        return false;
    }
    pool->processes = ph_calloc(pool->options.workers, sizeof pool->processes[0]);
    for (unsigned index = 0; index < pool->options.workers; index++) {
        init_process(pool, index);
    }
    records_init(&pool->records, pool->options.workers);
    /* Signals are for the main thread: the new thread starts with all of them blocked. */
    sigset_t all;
    sigset_t former;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former);
    pool->is_started = pthread_create(&pool->thread, NULL, pool_thread, pool) == 0;
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    if (!pool->is_started) {
        release_thread_state(pool);
    }
    return pool->is_started;
}

/* With the lock. */
static enum ph_error check_room(struct jq_pool *pool, const struct jq_request *request,
                                struct diag *diag)
{
    if (pool->is_stopping) {
        return diag_set(diag, PH_SHUTTING_DOWN, NULL, "the server is shutting down");
    }
    if (request->input_len > JQ_INPUT_BYTES_MAX) {
        return diag_set(diag, PH_TOO_LARGE, NULL, "a jq program takes at most %zu bytes",
                        JQ_INPUT_BYTES_MAX);
    }
    if (pool->count >= pool->options.queue_max ||
        pool->bytes + request->input_len > pool->options.queue_bytes_max) {
        return diag_set(diag, PH_BUSY, NULL, "too many jq programs wait for their turn");
    }
    if (!pool->is_started && !start_thread(pool)) {
        return diag_set(diag, PH_BUSY, NULL, "could not start the thread of the jq workers");
    }
    return PH_OK;
}

enum ph_error jq_pool_submit(struct jq_pool *pool, const struct jq_request *request,
                             struct diag *diag)
{
    PH_ASSERT((request->kind == JQ_CHECK) == (request->input_len == 0));
    struct item *item = ph_calloc(1, sizeof *item);
    item->submitted_us = clock_boot_us();
    list_init(&item->node);
    item->request = *request;
    pthread_mutex_lock(&pool->lock);
    enum ph_error error = check_room(pool, request, diag);
    if (error == PH_OK) {
        (void)jq_program_ref(request->program);
        pool->count++;
        pool->bytes += request->input_len;
        pool_count(pool, METRIC_JQ_QUEUE, 1);
        bool was_empty = list_is_empty(&pool->inbox);
        list_append(&pool->inbox, &item->node);
        if (was_empty) {
            /* Cannot fail: the counter is far from its end. */
            (void)eventfd_write(pool->wake_fd, 1);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    if (error != PH_OK) {
        free(item);
    }
    return error;
}

void jq_pool_stop(struct jq_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool must_join = pool->is_started && !pool->is_stopping;
    pool->is_stopping = true;
    if (must_join) {
        (void)eventfd_write(pool->wake_fd, 1);
    }
    pthread_mutex_unlock(&pool->lock);
    if (must_join) {
        PH_ASSERT(pthread_join(pool->thread, NULL) == 0);
    }
}

void jq_pool_free(struct jq_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    jq_pool_stop(pool);
    release_thread_state(pool);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
