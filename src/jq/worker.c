/* SPDX-License-Identifier: Apache-2.0 */
#include "jq/worker.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "jq/worker_int.h"

enum {
    SOCKET_FD = 0,
    READ_BYTES = 64 * 1024,
    /* Between looks at the memory that no program explains. */
    WEAR_CHECK_REQUESTS = 256,
    EXIT_WITHOUT_MEMORY = 3,
    EXIT_NONSENSE = 4,
};

struct worker {
    size_t output_bytes_max;
    struct cache cache;
    struct buf received;
    size_t used; /* bytes at the front of `received` that are dealt with */
    struct buf text;
    struct buf reply;
    unsigned requests;
};

/* Id of the request that is at work, 0 = none. Global because the jq library tells its handler of
 * memory errors nothing; there is one worker in a process. */
static uint64_t current_id;

/* False when the pool is gone. */
static bool send_bytes(struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t count = write(SOCKET_FD, bytes.ptr, bytes.len);
        if (count < 0 && errno != EINTR) {
            return false;
        }
        if (count > 0) {
            bytes = (struct slice){bytes.ptr + count, bytes.len - (size_t)count};
        }
    }
    return true;
}

/* Nothing can be allocated any more. */
PH_NORETURN static void end_without_memory(void)
{
    if (current_id != 0) {
        char bytes[FRAME_REPLY_HEAD_BYTES + 1];
        struct buf reply = {.data = bytes, .capacity = sizeof bytes, .max = sizeof bytes - 1};
        frame_write_reply(&(struct frame_reply){.id = current_id, .status = FRAME_MEMORY}, &reply);
        (void)send_bytes(buf_slice(&reply));
    }
    _exit(EXIT_WITHOUT_MEMORY);
}

static void memory_is_out(void *nothing)
{
    (void)nothing;
    end_without_memory();
}

static enum frame_status work_on(struct worker *worker, const struct frame_request *request)
{
    struct compiled *compiled = cache_find(&worker->cache, request->hash);
    if (compiled == NULL && request->program.len == 0) {
        return FRAME_UNKNOWN;
    }
    if (compiled == NULL) {
        compiled = cache_add(&worker->cache, request->hash, request->program);
        if (compiled == NULL) {
            return FRAME_MEMORY;
        }
    }
    if (compiled->state == NULL) {
        buf_append_text(&worker->text, compiled->words);
        return FRAME_PROGRAM_ERROR;
    }
    if (request->kind == JQ_CHECK) {
        return FRAME_OK;
    }
    return evaluate_run(compiled, request->kind, request->input, worker->output_bytes_max,
                        &worker->text);
}

/* False when the worker has to end. */
static bool answer(struct worker *worker, const struct frame_request *request)
{
    current_id = request->id;
    buf_clear(&worker->text);
    buf_clear(&worker->reply);
    enum frame_status status = work_on(worker, request);
    bool has_bytes = status == FRAME_OK || status == FRAME_PROGRAM_ERROR;
    frame_write_reply(
        &(struct frame_reply){.id = request->id,
                              .status = status,
                              .bytes = has_bytes ? buf_slice(&worker->text) : SLICE_NONE},
        &worker->reply);
    if (status == FRAME_MEMORY || worker->text.failed || worker->reply.failed) {
        end_without_memory();
    }
    bool is_sent = send_bytes(buf_slice(&worker->reply));
    current_id = 0;
    worker->requests++;
    return is_sent &&
           (worker->requests % WEAR_CHECK_REQUESTS != 0 || !cache_is_worn(&worker->cache));
}

/* Answers what is there as a whole; moves the rest to the front. False when the worker has to
 * end. */
static bool answer_received(struct worker *worker)
{
    struct buf *received = &worker->received;
    for (;;) {
        struct slice rest = {received->data + worker->used, received->len - worker->used};
        struct frame_request request;
        size_t consumed = 0;
        enum frame_outcome outcome = frame_read_request(rest, &request, &consumed);
        if (outcome == FRAME_BAD) {
            _exit(EXIT_NONSENSE);
        }
        if (outcome == FRAME_MORE) {
            break;
        }
        if (!answer(worker, &request)) {
            return false;
        }
        worker->used += consumed;
    }
    if (worker->used > 0) {
        received->len -= worker->used;
        memmove(received->data, received->data + worker->used, received->len + 1);
        worker->used = 0;
    }
    return true;
}

/* Until the pool closes the socket. */
static void serve(struct worker *worker)
{
    for (;;) {
        char *place = buf_reserve(&worker->received, READ_BYTES);
        if (place == NULL) {
            end_without_memory();
        }
        ssize_t count = read(SOCKET_FD, place, READ_BYTES);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return;
        }
        buf_commit(&worker->received, (size_t)count);
        if (!answer_received(worker)) {
            return;
        }
    }
}

static bool greet(struct worker *worker, const struct diag *diag)
{
    buf_clear(&worker->reply);
    bool is_ready = diag->error == PH_OK;
    frame_write_reply(&(struct frame_reply){.status = is_ready ? FRAME_READY : FRAME_FAILED,
                                            .bytes = slice_of(is_ready ? "" : diag->text)},
                      &worker->reply);
    return send_bytes(buf_slice(&worker->reply)) && is_ready;
}

int jq_worker_run(size_t memory_bytes, size_t output_bytes_max)
{
    /* The terminal and the service manager send these to all processes; the pool decides when a
     * worker ends. */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    struct worker worker = {.output_bytes_max = output_bytes_max};
    cache_init(&worker.cache, memory_bytes / 2, memory_is_out);
    buf_init(&worker.received,
             FRAME_REQUEST_HEAD_BYTES + JQ_PROGRAM_BYTES_MAX + JQ_INPUT_BYTES_MAX + READ_BYTES);
    buf_init(&worker.text, output_bytes_max + JQ_WORDS_MAX);
    buf_init(&worker.reply, FRAME_REPLY_HEAD_BYTES + output_bytes_max + JQ_WORDS_MAX);
    struct diag diag = {.error = PH_OK};
    diag.error = sandbox_enter(memory_bytes, &diag);
    if (!greet(&worker, &diag)) {
        return 1;
    }
    serve(&worker);
    /* No clean-up: the kernel is quicker, and handlers of exit() have no business in here. */
    _exit(0);
}

int jq_worker_main(int count, char **arguments)
{
    int64_t memory_bytes = 0;
    int64_t output_bytes_max = 0;
    if (count != 2 || !slice_to_int64(slice_of(arguments[0]), &memory_bytes) ||
        !slice_to_int64(slice_of(arguments[1]), &output_bytes_max) || memory_bytes <= 0 ||
        output_bytes_max <= 0) {
        return 2;
    }
    return jq_worker_run((size_t)memory_bytes, (size_t)output_bytes_max);
}
