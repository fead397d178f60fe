/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "core/hex.h"
#include "core/scan.h"
#include "jq/pool_int.h"

enum {
    BACKOFF_FIRST_MS = 50,
    BACKOFF_DOUBLINGS_MAX = 7, /* to 6.4 s */
    /* Starts that fail in a row before requests are told so. */
    FAILURES_TOLERATED = 3,
};

static struct item *first_running(const struct process *process)
{
    return list_is_empty(&process->running)
               ? NULL
               : LIST_ELEMENT(process->running.next, struct item, node);
}

static size_t item_bytes(const struct item *item)
{
    return FRAME_REQUEST_HEAD_BYTES + (item->has_text ? item->request.program->text.len : 0) +
           item->request.input_len;
}

static bool knows(const struct process *process, const struct record *record)
{
    return record->known_to[process->index] == process->generation;
}

static int64_t expect_us(const struct process *process, const struct record *record)
{
    int64_t run_us = record->run_us > 0 ? record->run_us : EXPECTED_RUN_US;
    return knows(process, record) ? run_us : run_us + EXPECTED_COMPILE_US;
}

/* --- programs that are put aside ----------------------------------------------------------------
 */

static void put_aside(struct jq_pool *pool, const struct item *item, const char *words)
{
    struct record *record = records_get(&pool->records, item->request.program);
    char text[CLOCK_TEXT_MAX];
    char aside[JQ_WORDS_MAX / 2];
    char hash[17];
    clock_format(clock_wall_us() + pool->options.aside_us, text);
    (void)snprintf(aside, sizeof aside, "it is put aside until %s, because %s", text, words);
    records_put_aside(&pool->records, record, clock_boot_us() + pool->options.aside_us, aside);
    pool_count(pool, METRIC_JQ_PUT_ASIDE, 1);
    pool_show_aside(pool); /* before the answer: who has it may look */
    hex_encode(record->hash, 8, hash);
    log_write(pool->options.log, LOG_JQ_PROGRAM_ASIDE, LOG_TEXT("program", hash),
              LOG_INT("owner", item->request.owner), LOG_TEXT("reason", words));
}

static void finish_limit(struct jq_pool *pool, struct item *item, const char *words,
                         int64_t duration_us)
{
    put_aside(pool, item, words);
    pool_finish(
        pool, item,
        &(struct jq_result){
            .outcome = JQ_LIMIT, .words = words, .duration_us = duration_us, .is_put_aside = true});
}

/* Whether it was, and is answered now. The item is in no list. */
static bool answer_aside(struct jq_pool *pool, struct item *item, int64_t now_us)
{
    const struct record *record = records_get(&pool->records, item->request.program);
    if (record->aside_until_us <= now_us) {
        return false;
    }
    char words[sizeof record->aside_words];
    memcpy(words, record->aside_words, sizeof words);
    pool_finish(pool, item,
                &(struct jq_result){.outcome = JQ_LIMIT, .words = words, .is_put_aside = true});
    return true;
}

void feed_admit(struct jq_pool *pool, struct item *item, int64_t now_us)
{
    if (!answer_aside(pool, item, now_us)) {
        uint32_t number;
        memcpy(&number, item->request.program->hash, sizeof number);
        queue_append(&pool->processes[number % pool->options.workers].queue, item);
    }
}

/* --- who gets what ------------------------------------------------------------------------------
 */

static void send_item(struct jq_pool *pool, struct process *process, struct item *item,
                      int64_t now_us)
{
    struct record *record = records_get(&pool->records, item->request.program);
    item->expected_us = expect_us(process, record);
    process->expected_us += item->expected_us;
    item->has_text = item->sends_text || !knows(process, record);
    record->known_to[process->index] = process->generation;
    item->id = ++pool->last_id;
    frame_write_request(
        &(struct frame_request){.id = item->id,
                                .kind = item->request.kind,
                                .hash = item->request.program->hash,
                                .program =
                                    item->has_text ? item->request.program->text : SLICE_NONE,
                                .input = {item->request.input, item->request.input_len}},
        &process->outgoing);
    PH_ASSERT(!process->outgoing.failed);
    list_append(&process->running, &item->node);
    process->running_count++;
    process->running_bytes += item_bytes(item);
    if (process->running_count == 1) {
        process_begin(pool, process, now_us);
    }
}

/* It has to be the first of a fresh worker, and alone. */
static void feed_suspect(struct jq_pool *pool, struct process *process, int64_t now_us)
{
    if (process->running_count > 0) {
        return;
    }
    if (process->answered > 0) {
        feed_end(pool, process, END_NOT_FRESH, "");
        return;
    }
    struct item *item = item_take_first(&process->suspects);
    if (!answer_aside(pool, item, now_us)) {
        send_item(pool, process, item, now_us);
    }
}

/* When the first turn of somebody else's queue may be stolen; INT64_MAX for never. */
static int64_t theft_us(const struct jq_pool *pool, const struct process *thief,
                        struct process **ret_home)
{
    int64_t next_us = INT64_MAX;
    for (unsigned index = 0; index < pool->options.workers; index++) {
        struct process *home = &pool->processes[index];
        const struct item *first = queue_first(&home->queue);
        /* A start takes as long as another one. */
        bool is_pointless = thief->state == PROCESS_DOWN && home->state != PROCESS_READY;
        if (first != NULL && home != thief && !is_pointless &&
            first->submitted_us + STEAL_US < next_us) {
            next_us = first->submitted_us + STEAL_US;
            *ret_home = home;
        }
    }
    return next_us;
}

/* Its own queue, or one whose turn has waited long; NULL for none. */
static struct queue *source_of(struct jq_pool *pool, struct process *process, int64_t now_us)
{
    struct process *home = process;
    bool is_own = process->queue.count > 0;
    return is_own || theft_us(pool, process, &home) <= now_us ? &home->queue : NULL;
}

static bool has_room(struct process *process, const struct item *item, int64_t expected_us)
{
    return process->running_count == 0 ||
           (process->expected_us + expected_us <= BATCH_EXPECTED_US &&
            process->running_bytes + JQ_PROGRAM_BYTES_MAX + item->request.input_len <=
                BATCH_BYTES_MAX);
}

static void feed(struct jq_pool *pool, struct process *process, int64_t now_us)
{
    if (!list_is_empty(&process->suspects)) {
        feed_suspect(pool, process, now_us);
        return;
    }
    const struct item *running = first_running(process);
    if (running != NULL && running->is_suspect) {
        return;
    }
    while (process->running_count < BATCH_MAX && !process->is_leaving) {
        struct queue *queue = source_of(pool, process, now_us);
        if (queue == NULL) {
            break;
        }
        struct item *item = queue_first(queue);
        int64_t expected_us =
            expect_us(process, records_get(&pool->records, item->request.program));
        if (!has_room(process, item, expected_us)) {
            break;
        }
        (void)queue_take(queue, expected_us);
        if (answer_aside(pool, item, now_us)) {
            continue;
        }
        if (now_us - item->submitted_us > pool->options.wait_us_max) {
            pool_finish_words(pool, item, JQ_UNAVAILABLE, "it waited too long for a jq worker");
            continue;
        }
        send_item(pool, process, item, now_us);
    }
}

void feed_refuse_all(struct jq_pool *pool, struct process *process, const char *words)
{
    struct list_node *node;
    while ((node = list_take_first(&process->suspects)) != NULL) {
        pool_finish_words(pool, LIST_ELEMENT(node, struct item, node), JQ_UNAVAILABLE, words);
    }
    while (queue_first(&process->queue) != NULL) {
        struct item *item = queue_take(&process->queue, 0);
        pool_finish_words(pool, item, JQ_UNAVAILABLE, words);
    }
}

static void back_off(struct process *process)
{
    unsigned doublings =
        process->failures < BACKOFF_DOUBLINGS_MAX ? process->failures : BACKOFF_DOUBLINGS_MAX;
    process->restart_us =
        clock_boot_us() + ((int64_t)BACKOFF_FIRST_MS << doublings) * CLOCK_US_PER_MS;
    process->failures++;
}

static void cannot_start(struct jq_pool *pool, struct process *process, const char *words)
{
    back_off(process);
    (void)snprintf(process->trouble, sizeof process->trouble, "%s", words);
    log_write(pool->options.log, LOG_JQ_WORKER_FAILED, LOG_INT("worker", process->index),
              LOG_TEXT("error", words));
}

static bool is_any_up(const struct jq_pool *pool)
{
    for (unsigned index = 0; index < pool->options.workers; index++) {
        if (pool->processes[index].state != PROCESS_DOWN) {
            return true;
        }
    }
    return false;
}

static bool has_work(const struct process *process)
{
    return process->queue.count > 0 || !list_is_empty(&process->suspects);
}

static bool is_wanted(struct jq_pool *pool, struct process *process, int64_t now_us)
{
    return has_work(process) || source_of(pool, process, now_us) != NULL;
}

void feed_all(struct jq_pool *pool, int64_t now_us)
{
    for (unsigned index = 0; index < pool->options.workers; index++) {
        struct process *process = &pool->processes[index];
        struct diag diag = {.error = PH_OK};
        if (process->state == PROCESS_DOWN && now_us >= process->restart_us &&
            is_wanted(pool, process, now_us) && !process_start(pool, process, now_us, &diag)) {
            cannot_start(pool, process, diag.text);
        }
        /* Others may be able to take what waits here. */
        if (process->state == PROCESS_DOWN && process->failures >= FAILURES_TOLERATED &&
            !is_any_up(pool)) {
            feed_refuse_all(pool, process, process->trouble);
        }
        if (process->state == PROCESS_READY) {
            feed(pool, process, now_us);
        }
        if (process->state == PROCESS_READY) {
            process_flush(process);
        }
    }
}

int64_t feed_next_us(const struct jq_pool *pool)
{
    int64_t next_us = INT64_MAX;
    for (unsigned index = 0; index < pool->options.workers; index++) {
        const struct process *process = &pool->processes[index];
        struct process *home = NULL;
        int64_t at_us = INT64_MAX;
        if (process->state == PROCESS_DOWN) {
            at_us = has_work(process) ? 0 : theft_us(pool, process, &home);
            at_us = at_us < process->restart_us && at_us != INT64_MAX ? process->restart_us : at_us;
        } else if (process->state == PROCESS_STARTING || process->running_count > 0) {
            at_us = process->check_us;
        } else if (!has_work(process)) {
            at_us = theft_us(pool, process, &home);
        }
        next_us = at_us < next_us ? at_us : next_us;
    }
    return next_us;
}

/* --- answers ------------------------------------------------------------------------------------
 */

/* Takes the first running item off. */
static struct item *take_running(struct process *process)
{
    struct item *item = item_take_first(&process->running);
    process->running_count--;
    process->running_bytes -= item_bytes(item);
    process->expected_us -= item->expected_us;
    return item;
}

/* Words of a worker may be any bytes. */
static void copy_words(struct slice bytes, char ret_words[JQ_WORDS_MAX])
{
    size_t length = bytes.len < JQ_WORDS_MAX ? bytes.len : JQ_WORDS_MAX - 1;
    bool is_text = slice_is_utf8_text((struct slice){bytes.ptr, length});
    for (size_t index = 0; index < length; index++) {
        unsigned char byte = (unsigned char)bytes.ptr[index];
        bool is_plain = is_text || (byte >= 0x20 && byte < 0x7f);
        ret_words[index] = is_plain ? (char)byte : '?';
    }
    ret_words[length] = '\0';
}

static void make_suspect(struct jq_pool *pool, struct item *item)
{
    item->is_suspect = true;
    item->sends_text = false;
    queue_settle(item, item->charged_us);
    uint32_t number;
    memcpy(&number, item->request.program->hash, sizeof number);
    list_append(&pool->processes[number % pool->options.workers].suspects, &item->node);
}

static void finish_output(struct jq_pool *pool, struct item *item, struct slice json,
                          int64_t duration_us)
{
    struct jq_result result = {.outcome = JQ_OK, .duration_us = duration_us};
    struct diag diag = {.error = PH_OK};
    char words[JQ_WORDS_MAX];
    if (item->request.kind == JQ_TRANSFORM) {
        result.output = json;
        if (scan_document(json, NULL, &diag, NULL) != PH_OK) {
            (void)snprintf(words, sizeof words, "its output is not taken: %s", diag.text);
            result = (struct jq_result){
                .outcome = JQ_PROGRAM_ERROR, .words = words, .duration_us = duration_us};
        }
    }
    pool_finish(pool, item, &result);
}

static void finish_reply(struct jq_pool *pool, struct item *item, const struct frame_reply *reply,
                         int64_t duration_us)
{
    char words[JQ_WORDS_MAX] = "";
    struct jq_result result = {.words = words, .duration_us = duration_us};
    if (reply->status == FRAME_OK) {
        finish_output(pool, item, reply->bytes, duration_us);
        return;
    }
    if (reply->status == FRAME_OUTPUT) {
        result.outcome = JQ_LIMIT;
        (void)snprintf(words, sizeof words, "its output has more than %zu bytes",
                       pool->options.output_bytes_max);
    } else if (reply->status == FRAME_PROGRAM_ERROR) {
        result.outcome = JQ_PROGRAM_ERROR;
        copy_words(reply->bytes, words);
    } else {
        result.outcome = reply->status == FRAME_FALSE ? JQ_FALSE : JQ_NULL;
    }
    pool_finish(pool, item, &result);
}

static void greeted(struct jq_pool *pool, struct process *process, const struct frame_reply *reply)
{
    if (reply->status == FRAME_READY) {
        process->state = PROCESS_READY;
        process->failures = 0;
        process->trouble[0] = '\0';
        return;
    }
    char words[JQ_WORDS_MAX];
    copy_words(reply->bytes, words);
    feed_end(pool, process, END_NO_START, words);
}

static void finish_memory(struct jq_pool *pool, struct process *process, struct item *item,
                          int64_t duration_us)
{
    process->is_leaving = true;
    if (process->answered > 0 && !item->is_suspect) {
        /* What others left behind may have filled it. */
        make_suspect(pool, item);
        return;
    }
    char words[96];
    (void)snprintf(words, sizeof words, "it needed more than %zu MiB of memory",
                   pool->options.memory_bytes / 1024 / 1024);
    finish_limit(pool, item, words, duration_us);
}

static bool is_possible(const struct item *item, const struct frame_reply *reply)
{
    switch (reply->status) {
    case FRAME_FALSE:
        return item->request.kind == JQ_FILTER;
    case FRAME_NULL:
        return item->request.kind == JQ_TRANSFORM;
    case FRAME_UNKNOWN:
        return !item->has_text;
    case FRAME_OK:
    case FRAME_PROGRAM_ERROR:
    case FRAME_OUTPUT:
    case FRAME_MEMORY:
        return true;
    case FRAME_READY:
    case FRAME_FAILED:
    case FRAME_STATUS_COUNT:
        break;
    }
    return false;
}

bool feed_reply(struct jq_pool *pool, struct process *process, const struct frame_reply *reply)
{
    if (reply->id == 0) {
        if (process->state != PROCESS_STARTING) {
            return false;
        }
        greeted(pool, process, reply);
        return true;
    }
    struct item *item = first_running(process);
    if (item == NULL || item->id != reply->id || process->is_leaving || !is_possible(item, reply)) {
        return false;
    }
    int64_t now_us = clock_boot_us();
    int64_t duration_us = now_us - process->begun_us;
    struct record *record = records_get(&pool->records, item->request.program);
    item = take_running(process);
    if (reply->status == FRAME_UNKNOWN) {
        item->sends_text = true;
        queue_put_back(item->queue, item);
    } else if (reply->status == FRAME_MEMORY) {
        finish_memory(pool, process, item, duration_us);
    } else {
        if (!item->has_text && item->request.kind != JQ_CHECK) {
            record->run_us =
                record->run_us == 0 ? duration_us + 1 : (3 * record->run_us + duration_us) / 4 + 1;
        }
        finish_reply(pool, item, reply, duration_us);
        process->answered++;
    }
    if (process->running_count > 0) {
        process_begin(pool, process, now_us);
    }
    return true;
}

/* --- ends ---------------------------------------------------------------------------------------
 */

static const char *const end_words[] = {
    [END_CLOSED] = "ended",
    [END_TIME] = "killed: its program took too long",
    [END_STUCK] = "killed: it got no processor time",
    [END_NONSENSE] = "killed: what it said was no answer",
    [END_NO_START] = "did not start",
    [END_NOT_FRESH] = "replaced by a fresh one",
    [END_STOP] = "stopped",
};

/* How a worker ended for which its program is to blame, as far as that is known. */
static const char *words_of_end(int status)
{
    switch (WIFSIGNALED(status) ? WTERMSIG(status) : 0) {
    case SIGABRT:
        return "jq gave up and ended itself, as it does at a value out of its range";
    case SIGSEGV:
    case SIGBUS:
        return "jq ended with a memory fault, as with too deep a recursion or nesting";
    case SIGFPE:
        return "jq ended with an arithmetic fault, as with a division out of range";
    case SIGSYS:
        return "jq was ended because it asked for what is forbidden";
    default:
        return "jq ended without an answer";
    }
}

/* What is held against the request that was at work; it is in no list. */
static void judge(struct jq_pool *pool, struct item *item, enum process_end end, int status,
                  int64_t duration_us)
{
    char words[96];
    if (end == END_TIME || (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)) {
        (void)snprintf(words, sizeof words, "it took more than %.6g s of processor time",
                       (double)pool->options.timeout_us / (double)CLOCK_US_PER_S);
        finish_limit(pool, item, words, duration_us);
    } else if (!item->is_suspect) {
        make_suspect(pool, item);
    } else if (end == END_STUCK ||
               (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && end == END_CLOSED)) {
        /* Somebody's kill, or a machine that does not get on. */
        pool_finish_words(pool, item, JQ_UNAVAILABLE, "its jq worker was killed twice");
    } else {
        finish_limit(pool, item, words_of_end(status), duration_us);
    }
}

static void log_end(struct jq_pool *pool, const struct process *process, enum process_end end,
                    int status)
{
    if (end != END_STOP && end != END_NOT_FRESH) {
        pool_count(pool, METRIC_JQ_WORKERS_ENDED, 1);
        log_write(pool->options.log, LOG_JQ_WORKER_ENDED, LOG_INT("worker", process->index),
                  LOG_INT("pid", process->pid), LOG_TEXT("reason", end_words[end]),
                  LOG_INT("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
                  LOG_INT("exit_code", WIFEXITED(status) ? WEXITSTATUS(status) : 0));
    }
}

void feed_end(struct jq_pool *pool, struct process *process, enum process_end end,
              const char *words)
{
    bool was_starting = process->state == PROCESS_STARTING;
    bool is_blameless = process->is_leaving || process->running_count == 0 || end == END_STOP;
    int64_t duration_us = clock_boot_us() - process->begun_us;
    int status = process_stop(process);
    pool_count(pool, METRIC_JQ_WORKERS, -1);
    log_end(pool, process, end, status);
    /* A worker that ends with 0 has answered what it was at. */
    is_blameless =
        is_blameless || (end == END_CLOSED && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    struct item *culprit = NULL;
    if (!is_blameless) {
        culprit = item_take_first(&process->running);
    }
    /* The others never had their turn: back in their order. */
    while (!list_is_empty(&process->running)) {
        struct item *item = LIST_ELEMENT(process->running.previous, struct item, node);
        list_remove(&item->node);
        if (item->is_suspect) {
            make_suspect(pool, item);
        } else {
            queue_put_back(item->queue, item);
        }
    }
    process->running_count = 0;
    process->running_bytes = 0;
    process->expected_us = 0;
    if (culprit != NULL) {
        judge(pool, culprit, end, status, duration_us);
    }
    if (was_starting) {
        cannot_start(pool, process, words[0] != '\0' ? words : "a jq worker ended at its start");
    } else if (culprit == NULL && process->answered == 0 && end == END_CLOSED) {
        back_off(process);
    } else {
        process->restart_us = 0;
    }
}
