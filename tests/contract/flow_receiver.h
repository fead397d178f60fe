/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A webhook receiver that keeps what it got, answers as told and can hold its answers back.
 * Inline, so that only the tests of the flow link what it needs.
 *
 * Concurrency: everything below `lock` is guarded by it; requests up to `count` never change.
 */
#ifndef PH_TESTS_CONTRACT_FLOW_RECEIVER_H
#define PH_TESTS_CONTRACT_FLOW_RECEIVER_H

#include <pthread.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "contract/contract.h"
#include "core/id.h"
#include "unit/raw_server.h"

#define RECEIVER_REQUESTS_MAX 300
#define RECEIVER_STATUSES_MAX 8
#define RIG_WAIT_US (30 * CLOCK_US_PER_S)

struct received {
    char id[ID_TEXT_MAX];
    char timestamp[24];
    char signatures[512];
    char content_type[64];
    char custom[64]; /* X-Custom, empty when absent */
    char body[512];
    size_t body_length;
};

struct receiver {
    struct raw_server *server;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t answers_left;                 /* at 0 they wait; SIZE_MAX = no end */
    int statuses[RECEIVER_STATUSES_MAX]; /* of the first answers; the last repeats */
    size_t status_count;
    const char *answer_header; /* "name: value\r\n" */
    struct received requests[RECEIVER_REQUESTS_MAX];
    size_t count;
    size_t open_count; /* requests without an answer */
    size_t open_peak;
};

static inline void receiver_copy_header(const char *text, const char *name, char *ret_value,
                                        size_t capacity)
{
    char mark[64];
    (void)snprintf(mark, sizeof mark, "\r\n%s: ", name);
    const char *found = strcasestr(text, mark);
    if (found != NULL) {
        found += strlen(mark);
        (void)snprintf(ret_value, capacity, "%.*s", (int)strcspn(found, "\r"), found);
    }
}

/* One request into `request`; false when the connection ended. */
static inline bool receiver_read(int fd, struct received *request)
{
    BUF_AUTO struct buf text;
    buf_init(&text, 65536);
    *request = (struct received){0};
    for (;;) {
        const char *end = strstr(buf_text(&text), "\r\n\r\n");
        if (end != NULL) {
            char length[24] = "0";
            receiver_copy_header(text.data, "content-length", length, sizeof length);
            size_t head = (size_t)(end - text.data) + 4;
            request->body_length = (size_t)strtoull(length, NULL, 10);
            if (text.len >= head + request->body_length) {
                PH_ASSERT(request->body_length < sizeof request->body);
                memcpy(request->body, text.data + head, request->body_length);
                break;
            }
        }
        char *room = buf_reserve(&text, 4096);
        ssize_t got = recv(fd, room, 4096, 0);
        if (got <= 0) {
            return false;
        }
        buf_commit(&text, (size_t)got);
    }
    receiver_copy_header(text.data, "webhook-id", request->id, sizeof request->id);
    receiver_copy_header(text.data, "webhook-timestamp", request->timestamp,
                         sizeof request->timestamp);
    receiver_copy_header(text.data, "webhook-signature", request->signatures,
                         sizeof request->signatures);
    receiver_copy_header(text.data, "content-type", request->content_type,
                         sizeof request->content_type);
    receiver_copy_header(text.data, "x-custom", request->custom, sizeof request->custom);
    return true;
}

static inline void receiver_serve(struct raw_server *server, int fd, void *context)
{
    (void)server;
    struct receiver *receiver = context;
    struct received request;
    while (receiver_read(fd, &request)) {
        char answer[256];
        (void)pthread_mutex_lock(&receiver->lock);
        PH_ASSERT(receiver->count < RECEIVER_REQUESTS_MAX);
        size_t number = receiver->count;
        receiver->requests[receiver->count++] = request;
        receiver->open_count++;
        if (receiver->open_count > receiver->open_peak) {
            receiver->open_peak = receiver->open_count;
        }
        (void)pthread_cond_broadcast(&receiver->changed);
        while (receiver->answers_left == 0) {
            (void)pthread_cond_wait(&receiver->changed, &receiver->lock);
        }
        if (receiver->answers_left != SIZE_MAX) {
            receiver->answers_left--;
        }
        receiver->open_count--;
        if (number >= receiver->status_count) {
            number = receiver->status_count - 1;
        }
        (void)snprintf(answer, sizeof answer,
                       "HTTP/1.1 %d Told\r\n%sContent-Length: 6\r\n\r\nanswer",
                       receiver->statuses[number], receiver->answer_header);
        (void)pthread_mutex_unlock(&receiver->lock);
        if (!raw_server_write(fd, answer)) {
            return;
        }
    }
}

/* Answers 200. The statuses and the header may be set before the first request. */
static inline struct receiver *receiver_start(void)
{
    struct receiver *receiver = ph_calloc(1, sizeof *receiver);
    (void)pthread_mutex_init(&receiver->lock, NULL);
    clock_cond_init(&receiver->changed);
    receiver->statuses[0] = 200;
    receiver->status_count = 1;
    receiver->answer_header = "";
    receiver->answers_left = SIZE_MAX;
    receiver->server = raw_server_start(receiver_serve, receiver);
    return receiver;
}

/* Lets so many answers go from now on (SIZE_MAX: all) and holds the others back. */
static inline void receiver_allow(struct receiver *receiver, size_t answers)
{
    (void)pthread_mutex_lock(&receiver->lock);
    receiver->answers_left = answers;
    (void)pthread_cond_broadcast(&receiver->changed);
    (void)pthread_mutex_unlock(&receiver->lock);
}

static inline void receiver_answer_with(struct receiver *receiver, int status)
{
    (void)pthread_mutex_lock(&receiver->lock);
    receiver->statuses[0] = status;
    receiver->status_count = 1;
    (void)pthread_mutex_unlock(&receiver->lock);
}

static inline void receiver_stop(struct receiver *receiver)
{
    receiver_allow(receiver, SIZE_MAX);
    raw_server_stop(receiver->server);
    (void)pthread_cond_destroy(&receiver->changed);
    (void)pthread_mutex_destroy(&receiver->lock);
    free(receiver);
}

static inline size_t receiver_count(struct receiver *receiver)
{
    (void)pthread_mutex_lock(&receiver->lock);
    size_t count = receiver->count;
    (void)pthread_mutex_unlock(&receiver->lock);
    return count;
}

/* Waits until at least `count` requests came in. */
static inline void receiver_await(struct receiver *receiver, size_t count)
{
    struct timespec until = clock_deadline(RIG_WAIT_US);
    int waited = 0;
    (void)pthread_mutex_lock(&receiver->lock);
    while (receiver->count < count && waited == 0) {
        waited = pthread_cond_timedwait(&receiver->changed, &receiver->lock, &until);
    }
    size_t got = receiver->count;
    (void)pthread_mutex_unlock(&receiver->lock);
    assert_in_range(got, count, SIZE_MAX);
}

/* How many requests had this webhook-id. */
static inline size_t receiver_count_of(struct receiver *receiver, const char *id)
{
    size_t found = 0;
    (void)pthread_mutex_lock(&receiver->lock);
    for (size_t index = 0; index < receiver->count; index++) {
        found += strcmp(receiver->requests[index].id, id) == 0;
    }
    (void)pthread_mutex_unlock(&receiver->lock);
    return found;
}

#endif
