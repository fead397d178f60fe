/* SPDX-License-Identifier: Apache-2.0 */
#include "generate.h"

#include "clock.h"
#include "http.h"
#include "inbuf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_PER_WAIT = 256, TRIES_MAX = 100, RETRY_AFTER_S_MAX = 60 };

/*
 * ready ──► busy ──► ready     one event, answered
 *            └─► retry ──► busy     503 with Retry-After: the same bytes again
 * ready ──► idle     nothing left to send, or the server cannot be reached any more
 */
enum connection_state { CONNECTION_READY, CONNECTION_BUSY, CONNECTION_RETRY, CONNECTION_IDLE };

struct connection {
    int fd; /* -1 = not connected */
    enum connection_state state;
    char *request;
    size_t sent;     /* bytes of the request */
    int64_t due_us;  /* latency counts from here */
    int64_t wake_us; /* when a ready or retrying connection may go on */
    unsigned tries;
    bool is_watching_out;
    struct inbuf in;
};

struct generator {
    const struct generate_options *options;
    struct generate_result *result;
    struct connection *connection;
    char *requests; /* one copy of the template for each connection */
    struct random_source random;
    int epoll_fd;
    unsigned busy;
    unsigned waiting; /* ready or retrying, with a wake_us */
    int64_t progress_us;
};

static bool connection_open(struct generator *g, struct connection *c)
{
    c->fd = net_connect(g->options->target);
    if (c->fd < 0) {
        return false;
    }
    inbuf_reset(&c->in);
    c->is_watching_out = false;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    return net_set_nonblocking(c->fd) && epoll_ctl(g->epoll_fd, EPOLL_CTL_ADD, c->fd, &event) == 0;
}

static void connection_close(struct connection *c)
{
    if (c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
}

static void watch_out(struct generator *g, struct connection *c, bool is_wanted)
{
    if (c->is_watching_out != is_wanted) {
        struct epoll_event event = {.events = EPOLLIN | (is_wanted ? (uint32_t)EPOLLOUT : 0),
                                    .data.ptr = c};
        epoll_ctl(g->epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
        c->is_watching_out = is_wanted;
    }
}

/* Sends what it can of the request; false when the connection is broken. */
static bool push(struct generator *g, struct connection *c)
{
    const size_t bytes = g->options->request->bytes;
    const ssize_t sent = send(c->fd, c->request + c->sent, bytes - c->sent, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        return false;
    }
    c->sent += sent < 0 ? 0 : (size_t)sent;
    watch_out(g, c, c->sent < bytes);
    return true;
}

/* Sends the request that lies in `c->request`, from its start; connects first if need be. */
static bool begin(struct generator *g, struct connection *c)
{
    c->sent = 0;
    c->tries++;
    return (c->fd >= 0 || connection_open(g, c)) && push(g, c);
}

/* Makes the next event, if one may still be begun and is due; sets the state accordingly. */
static bool prepare_next(struct generator *g, struct connection *c)
{
    const struct generate_options *options = g->options;
    struct generate_result *result = g->result;
    const int64_t now_us = clock_now_us();
    c->due_us = now_us;
    if (options->rate != 0) {
        const double per_s = (double)options->rate / (double)options->request->events;
        c->due_us = result->start_us + (int64_t)((double)result->issued * 1e6 / per_s);
    }
    const int64_t limit_us =
        options->seconds == 0 ? INT64_MAX : result->start_us + (int64_t)options->seconds * 1000000;
    if (result->issued >= options->requests || c->due_us >= limit_us || now_us >= limit_us) {
        c->state = CONNECTION_IDLE;
        return false;
    }
    if (c->due_us > now_us) {
        c->state = CONNECTION_READY;
        c->wake_us = c->due_us;
        g->waiting++;
        return false;
    }
    template_fill(options->request, c->request, result->issued, c->due_us, &g->random);
    result->issued++;
    c->tries = 0;
    return true;
}

/* Begins events until one is under way. An event whose connection broke may or may not have been
   taken: it counts as an error and is not sent again. */
static void start_next(struct generator *g, struct connection *c)
{
    while (prepare_next(g, c)) {
        if (begin(g, c)) {
            c->state = CONNECTION_BUSY;
            g->busy++;
            return;
        }
        g->result->connection_errors++;
        connection_close(c);
        if (!connection_open(g, c)) {
            connection_close(c);
            c->state = CONNECTION_IDLE;
            return;
        }
    }
}

/* The wait a 503 asks for, or -1 when it asks for none. A date instead of seconds counts as 1 s. */
static int64_t retry_after_us(const struct http_message *m)
{
    const struct http_slice text = m->field[HTTP_RETRY_AFTER];
    if (m->status != 503 || text.data == NULL) {
        return -1;
    }
    int64_t seconds = 0;
    for (size_t i = 0; i < text.bytes && seconds <= RETRY_AFTER_S_MAX; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return 1000000;
        }
        seconds = seconds * 10 + (text.data[i] - '0');
    }
    return (seconds > RETRY_AFTER_S_MAX ? RETRY_AFTER_S_MAX : seconds) * 1000000;
}

static void on_answer(struct generator *g, struct connection *c, const struct http_message *m)
{
    struct generate_result *result = g->result;
    const int64_t now_us = clock_now_us();
    const int64_t wait_us = retry_after_us(m);
    g->busy--;
    g->progress_us = now_us;
    result->status[m->status % GENERATE_STATUSES]++;
    if (!m->is_keep_alive || c->sent < g->options->request->bytes) {
        connection_close(c); /* or it was refused before it was all sent */
    }
    if (wait_us >= 0 && c->tries < TRIES_MAX) {
        result->retries++;
        c->state = CONNECTION_RETRY;
        c->wake_us = now_us + wait_us;
        g->waiting++;
        return;
    }
    result->end_us = now_us;
    if (m->status >= 200 && m->status < 300) {
        result->accepted++;
        histogram_add(&result->latency, now_us - c->due_us);
    }
    start_next(g, c);
}

static void on_broken(struct generator *g, struct connection *c)
{
    connection_close(c);
    if (c->state == CONNECTION_BUSY) { /* an unused connection may be closed by the server */
        g->busy--;
        g->result->connection_errors++;
        start_next(g, c);
    }
}

static void on_event(struct generator *g, struct connection *c, uint32_t events)
{
    struct http_message m;
    if (c->fd < 0) {
        return;
    }
    if ((events & EPOLLOUT) != 0 && !push(g, c)) {
        on_broken(g, c);
        return;
    }
    if ((events & ~(uint32_t)EPOLLOUT) == 0) {
        return;
    }
    const enum inbuf_result got = inbuf_receive(&c->in, c->fd);
    if (got == INBUF_EMPTY) {
        return;
    }
    if (got == INBUF_CLOSED || c->state != CONNECTION_BUSY) {
        on_broken(g, c);
        return;
    }
    for (;;) {
        const enum http_state state =
            http_parse(c->in.data + c->in.start, c->in.end - c->in.start, HTTP_RESPONSE, &m);
        if (state == HTTP_MORE) {
            return;
        }
        if (state == HTTP_BAD) {
            on_broken(g, c);
            return;
        }
        inbuf_consume(&c->in, m.total_bytes);
        if (m.status >= 200) {
            break; /* others announce an answer, they are none */
        }
    }
    on_answer(g, c, &m);
}

/* Lets connections go on whose time has come; returns the next time, or INT64_MAX. */
static int64_t wake_due(struct generator *g)
{
    int64_t next_us = INT64_MAX;
    const int64_t now_us = clock_now_us();
    for (unsigned i = 0; i < g->options->connections && g->waiting > 0; i++) {
        struct connection *c = &g->connection[i];
        if (c->state != CONNECTION_READY && c->state != CONNECTION_RETRY) {
            continue;
        }
        if (c->wake_us <= now_us) {
            g->waiting--;
            if (c->state == CONNECTION_READY) {
                start_next(g, c);
            } else {
                c->state = CONNECTION_BUSY;
                g->busy++;
                if (!begin(g, c)) {
                    on_broken(g, c);
                }
            }
        }
        if ((c->state == CONNECTION_READY || c->state == CONNECTION_RETRY) &&
            c->wake_us < next_us) {
            next_us = c->wake_us;
        }
    }
    return next_us;
}

static void loop(struct generator *g)
{
    struct epoll_event events[EVENTS_PER_WAIT];
    const int64_t stall_us = (int64_t)g->options->stall_s * 1000000;
    while (g->busy > 0 || g->waiting > 0) {
        int64_t left_us = 1000000;
        if (g->waiting > 0) {
            const int64_t next_us = wake_due(g);
            const int64_t now_us = clock_now_us();
            if (next_us - now_us < left_us) {
                left_us = next_us > now_us ? next_us - now_us : 0;
            }
        }
        const struct timespec timeout = {.tv_sec = left_us / 1000000,
                                         .tv_nsec = left_us % 1000000 * 1000};
        const int count = epoll_pwait2(g->epoll_fd, events, EVENTS_PER_WAIT, &timeout, NULL);
        for (int i = 0; i < count; i++) {
            on_event(g, events[i].data.ptr, events[i].events);
        }
        if (g->busy == 0 || g->waiting == g->options->connections) {
            g->progress_us = clock_now_us();
        } else if (count <= 0 && clock_now_us() - g->progress_us > stall_us) {
            fprintf(stderr, "ph-load: nothing answered for %u s, giving up\n", g->options->stall_s);
            return;
        }
    }
}

static bool open_all(struct generator *g)
{
    const struct template *request = g->options->request;
    for (unsigned i = 0; i < g->options->connections; i++) {
        struct connection *c = &g->connection[i];
        c->fd = -1;
        c->state = CONNECTION_IDLE;
        c->request = g->requests + i * request->bytes;
        memcpy(c->request, request->data, request->bytes);
    }
    for (unsigned i = 0; i < g->options->connections; i++) {
        if (!connection_open(g, &g->connection[i])) {
            return false;
        }
    }
    return true;
}

bool generate_run(const struct generate_options *options, struct generate_result *ret_result)
{
    struct generator g = {.options = options, .result = ret_result};
    *ret_result = (struct generate_result){0};
    random_init(&g.random);
    g.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    g.connection = calloc(options->connections, sizeof *g.connection);
    g.requests = calloc(options->connections, options->request->bytes);
    const bool is_open =
        g.epoll_fd >= 0 && g.connection != NULL && g.requests != NULL && open_all(&g);
    if (is_open) {
        ret_result->start_us = clock_now_us();
        ret_result->end_us = ret_result->start_us;
        g.progress_us = ret_result->start_us;
        for (unsigned i = 0; i < options->connections; i++) {
            start_next(&g, &g.connection[i]);
        }
        loop(&g);
        ret_result->unanswered = g.busy;
    } else {
        fprintf(stderr, "ph-load: could not connect to %s: %m\n", options->target->host);
    }
    for (unsigned i = 0; g.connection != NULL && i < options->connections; i++) {
        connection_close(&g.connection[i]);
        inbuf_done(&g.connection[i].in);
    }
    free(g.requests);
    free(g.connection);
    if (g.epoll_fd >= 0) {
        close(g.epoll_fd);
    }
    return is_open;
}
