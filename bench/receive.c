/* SPDX-License-Identifier: Apache-2.0 */
#include "receive.h"

#include "clock.h"
#include "idset.h"
#include "inbuf.h"
#include "net.h"
#include "signature.h"
#include "tally.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS_PER_WAIT = 256,
    OUT_BYTES = 4096,
    ANSWER_BYTES_MAX = 1024, /* no single answer is longer */
    ANSWER_HEAD_BYTES = 128
};

/*
 * reading ──► waiting ──► reading     a delayed answer became due
 *    └──────► hung                    never answered, until the peer goes away
 * Pipelined requests stay in the buffer while a connection waits.
 */
enum connection_state { CONNECTION_READING, CONNECTION_WAITING, CONNECTION_HUNG };

struct connection {
    int fd;
    enum connection_state state;
    uint32_t interest; /* what epoll watches */
    bool is_closing;   /* close once `out` is sent */
    bool is_gated;     /* came in through the gate */
    bool has_continued;
    int64_t due_us; /* while waiting */
    struct connection *previous;
    struct connection *next;
    struct inbuf in;
    size_t out_start;
    size_t out_end;
    char out[OUT_BYTES];
};

/* See receive.h. `fd` is bound always and listens while the gate is open; `lock` is for those who
   change it. */
struct gate {
    pthread_mutex_t lock;
    _Atomic int fd;
    _Atomic bool is_open;
    uint16_t port;
    _Atomic int64_t first_us; /* of the first delivery since it was opened; 0 = none yet */
};

struct receiver_thread {
    pthread_t thread;
    struct receiver *receiver;
    struct tally *tally;
    struct signature_verifier *verifier;
    int epoll_fd;
    /* Delayed answers, the earliest first: the delay is the same for all, so appending keeps order.
     */
    struct connection *first_waiting;
    struct connection *last_waiting;
};

struct receiver {
    struct receive_options options;
    char answer[ANSWER_HEAD_BYTES];
    size_t answer_bytes;
    int listen_fd;
    struct gate gate;
    struct idset *seen;
    _Atomic uint64_t generation;
    struct tally *tallies; /* one per thread */
    struct receiver_thread *threads;
};

static void waiting_append(struct receiver_thread *self, struct connection *c)
{
    c->previous = self->last_waiting;
    c->next = NULL;
    if (self->last_waiting != NULL) {
        self->last_waiting->next = c;
    } else {
        self->first_waiting = c;
    }
    self->last_waiting = c;
}

static void waiting_remove(struct receiver_thread *self, struct connection *c)
{
    if (c->previous != NULL) {
        c->previous->next = c->next;
    } else {
        self->first_waiting = c->next;
    }
    if (c->next != NULL) {
        c->next->previous = c->previous;
    } else {
        self->last_waiting = c->previous;
    }
}

static void connection_close(struct receiver_thread *self, struct connection *c)
{
    if (c->state == CONNECTION_WAITING) {
        waiting_remove(self, c);
    }
    close(c->fd);
    inbuf_done(&c->in);
    free(c);
}

static void watch(struct receiver_thread *self, struct connection *c)
{
    uint32_t interest = c->state == CONNECTION_READING ? EPOLLIN : EPOLLRDHUP;
    if (c->out_start < c->out_end) {
        interest = EPOLLOUT | EPOLLRDHUP; /* a peer that does not read is not read either */
    }
    if (interest != c->interest) {
        struct epoll_event event = {.events = interest, .data.ptr = c};
        epoll_ctl(self->epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
        c->interest = interest;
    }
}

/* Sends what it can; false when the connection is broken. */
static bool flush(struct connection *c)
{
    while (c->out_start < c->out_end) {
        const ssize_t sent =
            send(c->fd, c->out + c->out_start, c->out_end - c->out_start, MSG_NOSIGNAL);
        if (sent < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        c->out_start += (size_t)sent;
    }
    c->out_start = 0;
    c->out_end = 0;
    return true;
}

/* The caller has made sure of room: see has_room(). */
static void append(struct connection *c, const char *text, size_t bytes)
{
    memcpy(c->out + c->out_end, text, bytes);
    c->out_end += bytes;
}

static bool has_room(const struct connection *c)
{
    return OUT_BYTES - c->out_end >= ANSWER_BYTES_MAX + ANSWER_HEAD_BYTES;
}

/* Makes every thread accept what comes to the gate. */
static bool gate_watch(struct receiver *receiver)
{
    for (size_t i = 0; i < receiver->options.threads; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE,
                                    .data.ptr = &receiver->gate};
        if (epoll_ctl(receiver->threads[i].epoll_fd, EPOLL_CTL_ADD, atomic_load(&receiver->gate.fd),
                      &event) != 0) {
            return false;
        }
    }
    return true;
}

static bool gate_open(struct receiver *receiver)
{
    struct gate *gate = &receiver->gate;
    pthread_mutex_lock(&gate->lock);
    bool is_good = true;
    if (!atomic_load(&gate->is_open)) {
        atomic_store(&gate->first_us, 0);
        atomic_store(&gate->is_open, true);
        is_good = net_start_listening(atomic_load(&gate->fd)) && gate_watch(receiver);
    }
    pthread_mutex_unlock(&gate->lock);
    return is_good;
}

/* Closing the socket refuses what is in its queue; another takes the port at once. */
static bool gate_close(struct receiver *receiver)
{
    struct gate *gate = &receiver->gate;
    pthread_mutex_lock(&gate->lock);
    bool is_good = true;
    if (atomic_exchange(&gate->is_open, false)) {
        close(atomic_load(&gate->fd));
        const int fd = net_bind(receiver->options.address, gate->port, &gate->port);
        atomic_store(&gate->fd, fd);
        is_good = fd >= 0;
    }
    pthread_mutex_unlock(&gate->lock);
    return is_good;
}

static bool is_shut_out(const struct receiver *receiver, const struct connection *c)
{
    return c->is_gated && !atomic_load_explicit(&receiver->gate.is_open, memory_order_relaxed);
}

static void gate_count(struct gate *gate)
{
    int64_t none = 0;
    if (atomic_load_explicit(&gate->first_us, memory_order_relaxed) == 0) {
        atomic_compare_exchange_strong(&gate->first_us, &none, clock_now_us());
    }
}

static void append_stats(struct receiver *receiver, struct connection *c)
{
    char body[ANSWER_BYTES_MAX];
    char head[ANSWER_HEAD_BYTES];
    const size_t bytes = tally_report(receiver->tallies, receiver->options.threads,
                                      atomic_load(&receiver->generation),
                                      atomic_load(&receiver->gate.first_us), body, sizeof body);
    const int head_bytes = snprintf(head, sizeof head,
                                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                    "Content-Length: %zu\r\n\r\n",
                                    bytes);
    append(c, head, (size_t)head_bytes);
    append(c, body, bytes);
}

/* Does what a POST to a path of ours asks for; false when the path is a delivery's. */
static bool control(struct receiver *receiver, struct http_slice target, bool *ret_is_done)
{
    if (http_slice_is(target, "/reset")) {
        idset_clear(receiver->seen);
        atomic_fetch_add(&receiver->generation, 1);
        *ret_is_done = true;
    } else if (http_slice_is(target, "/open")) {
        *ret_is_done = gate_open(receiver);
    } else if (http_slice_is(target, "/close")) {
        *ret_is_done = gate_close(receiver);
    } else {
        return false;
    }
    return true;
}

/* True when the request was one of ours and has been answered. */
static bool answer_control(struct receiver *receiver, struct connection *c,
                           const struct http_message *m)
{
    static const char no_content[] = "HTTP/1.1 204 No Content\r\n\r\n";
    static const char not_found[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    static const char failed[] = "HTTP/1.1 500 Failed\r\nContent-Length: 0\r\n\r\n";
    if (http_slice_is(m->method, "POST") || http_slice_is(m->method, "PUT")) {
        bool is_done = false;
        if (c->is_gated || !control(receiver, m->target, &is_done)) {
            return false;
        }
        if (is_done) {
            append(c, no_content, sizeof no_content - 1);
        } else {
            append(c, failed, sizeof failed - 1);
        }
    } else if (http_slice_is(m->target, "/stats")) {
        append_stats(receiver, c);
    } else {
        append(c, not_found, sizeof not_found - 1);
    }
    return true;
}

static bool must_hang(const struct receiver *receiver, const struct http_message *m)
{
    const char *prefix = receiver->options.hang_prefix;
    return prefix != NULL && m->target.bytes >= strlen(prefix) &&
           memcmp(m->target.data, prefix, strlen(prefix)) == 0;
}

static void handle(struct receiver_thread *self, struct connection *c, const struct http_message *m)
{
    struct receiver *receiver = self->receiver;
    c->is_closing = !m->is_keep_alive;
    c->has_continued = false;
    if (answer_control(receiver, c, m)) {
        return;
    }
    const uint64_t generation = atomic_load_explicit(&receiver->generation, memory_order_relaxed);
    if (must_hang(receiver, m)) {
        tally_hung(self->tally, generation);
        c->state = CONNECTION_HUNG;
        return;
    }
    tally_delivery(self->tally, generation, receiver->seen, self->verifier, m);
    if (c->is_gated) {
        gate_count(&receiver->gate);
    }
    if (receiver->options.delay_ms > 0) {
        c->state = CONNECTION_WAITING;
        c->due_us = clock_now_us() + (int64_t)receiver->options.delay_ms * 1000;
        waiting_append(self, c);
        return;
    }
    append(c, receiver->answer, receiver->answer_bytes);
}

/* A message that is not complete: make room for the rest and, if asked, tell the peer to go on. */
static bool expect_more(struct connection *c, const struct http_message *m)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (m->head_bytes == 0) {
        return true;
    }
    if (m->wants_continue && !c->has_continued) {
        append(c, go_on, sizeof go_on - 1);
        c->has_continued = true;
    }
    return inbuf_reserve(&c->in, m->head_bytes + (size_t)m->length);
}

/* Answers every complete request in the buffer with one send; false: close the connection. */
static bool process(struct receiver_thread *self, struct connection *c)
{
    struct http_message m;
    while (c->state == CONNECTION_READING && !c->is_closing && c->in.start < c->in.end) {
        if (!has_room(c) && !flush(c)) {
            return false;
        }
        if (!has_room(c)) {
            break;
        }
        const enum http_state state =
            http_parse(c->in.data + c->in.start, c->in.end - c->in.start, HTTP_REQUEST, &m);
        if (state == HTTP_BAD || (state == HTTP_MORE && !expect_more(c, &m))) {
            return false;
        }
        if (state == HTTP_MORE) {
            break;
        }
        handle(self, c, &m);
        inbuf_consume(&c->in, m.total_bytes);
    }
    if (!flush(c)) {
        return false;
    }
    const bool is_sent = c->out_start == c->out_end;
    if (c->is_closing && is_sent && c->state == CONNECTION_READING) {
        return false;
    }
    watch(self, c);
    return true;
}

static void on_event(struct receiver_thread *self, struct connection *c, uint32_t events)
{
    if ((events & (EPOLLERR | EPOLLHUP)) != 0 || is_shut_out(self->receiver, c) ||
        ((events & EPOLLRDHUP) != 0 && c->state != CONNECTION_READING)) {
        connection_close(self, c);
        return;
    }
    if ((events & EPOLLIN) != 0) {
        const enum inbuf_result result = inbuf_receive(&c->in, c->fd);
        if (result == INBUF_CLOSED) {
            connection_close(self, c);
            return;
        }
        if (result == INBUF_EMPTY) {
            return;
        }
    }
    if (!process(self, c)) {
        connection_close(self, c);
    }
}

/* Takes one connection: the others stay for the other threads, or for the next round. */
static void accept_one(struct receiver_thread *self, int listen_fd, bool is_gated)
{
    const int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE) {
            fprintf(stderr, "ph-receiver: out of file descriptors: raise ulimit -n\n");
            abort(); /* going on would look like a slow receiver */
        }
        return;
    }
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL) {
        close(fd);
        return;
    }
    c->fd = fd;
    c->is_gated = is_gated;
    c->state = CONNECTION_READING;
    c->interest = EPOLLIN;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        connection_close(self, c);
    }
}

static void answer_due(struct receiver_thread *self)
{
    const int64_t now_us = clock_now_us();
    while (self->first_waiting != NULL && self->first_waiting->due_us <= now_us) {
        struct connection *c = self->first_waiting;
        waiting_remove(self, c);
        c->state = CONNECTION_READING;
        append(c, self->receiver->answer, self->receiver->answer_bytes);
        if (!process(self, c)) {
            connection_close(self, c);
        }
    }
}

static int wait_ms(const struct receiver_thread *self)
{
    if (self->first_waiting == NULL) {
        return -1;
    }
    const int64_t left_us = self->first_waiting->due_us - clock_now_us();
    return left_us <= 0 ? 0 : (int)((left_us + 999) / 1000);
}

static void *run_thread(void *argument)
{
    struct receiver_thread *self = argument;
    struct epoll_event events[EVENTS_PER_WAIT];
    for (;;) {
        const int count = epoll_wait(self->epoll_fd, events, EVENTS_PER_WAIT, wait_ms(self));
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL) {
                accept_one(self, self->receiver->listen_fd, false);
            } else if (events[i].data.ptr == &self->receiver->gate) {
                accept_one(self, atomic_load(&self->receiver->gate.fd), true);
            } else {
                on_event(self, events[i].data.ptr, events[i].events);
            }
        }
        if (self->first_waiting != NULL) {
            answer_due(self);
        }
    }
    return NULL;
}

static bool start_thread(struct receiver *receiver, size_t index)
{
    struct receiver_thread *self = &receiver->threads[index];
    const char *secret = receiver->options.verify_secret;
    self->receiver = receiver;
    self->tally = &receiver->tallies[index];
    if (secret != NULL) {
        self->verifier = signature_verifier_new(secret);
        if (self->verifier == NULL) {
            fprintf(stderr, "ph-receiver: cannot use the secret: want whsec_ and base64\n");
            return false;
        }
    }
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = NULL};
    if (self->epoll_fd < 0 ||
        epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, receiver->listen_fd, &event) != 0) {
        perror("ph-receiver: cannot use epoll");
        return false;
    }
    return pthread_create(&self->thread, NULL, run_thread, self) == 0;
}

static int report_bind(const struct receive_options *options, int fd)
{
    if (fd < 0) {
        fprintf(stderr, "ph-receiver: could not listen on %s:%u: %m\n", options->address,
                options->port);
    }
    return fd;
}

/* Both sockets; false, with the reason on stderr, when one cannot be had. */
static bool bind_ports(struct receiver *receiver, struct receiver_ports *ret_ports)
{
    const struct receive_options *options = &receiver->options;
    struct gate *gate = &receiver->gate;
    receiver->listen_fd =
        report_bind(options, net_bind(options->address, options->port, &ret_ports->main));
    if (receiver->listen_fd < 0 || !net_start_listening(receiver->listen_fd)) {
        return false;
    }
    pthread_mutex_init(&gate->lock, NULL);
    atomic_init(&gate->fd, report_bind(options, net_bind(options->address, 0, &gate->port)));
    ret_ports->gate = gate->port;
    return atomic_load(&gate->fd) >= 0;
}

struct receiver *receiver_start(const struct receive_options *options,
                                struct receiver_ports *ret_ports)
{
    struct receiver *receiver = calloc(1, sizeof *receiver);
    if (receiver == NULL) {
        return NULL;
    }
    receiver->options = *options;
    receiver->seen = idset_new();
    receiver->tallies = calloc(options->threads, sizeof *receiver->tallies);
    receiver->threads = calloc(options->threads, sizeof *receiver->threads);
    receiver->answer_bytes =
        (size_t)snprintf(receiver->answer, sizeof receiver->answer,
                         options->status == 204 ? "HTTP/1.1 %d No Content\r\n\r\n"
                                                : "HTTP/1.1 %d Answer\r\nContent-Length: 0\r\n\r\n",
                         options->status);
    if (!bind_ports(receiver, ret_ports)) {
        return NULL;
    }
    if (receiver->seen == NULL || receiver->tallies == NULL || receiver->threads == NULL) {
        fprintf(stderr, "ph-receiver: out of memory\n");
        return NULL;
    }
    for (size_t i = 0; i < options->threads; i++) {
        if (!start_thread(receiver, i)) {
            return NULL;
        }
    }
    return receiver;
}

void receiver_join(struct receiver *receiver)
{
    for (size_t i = 0; i < receiver->options.threads; i++) {
        pthread_join(receiver->threads[i].thread, NULL);
    }
}
