/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between curl_multi_socket_action and epoll.
 *
 * A kept connection stays in the epoll set when curl says "remove" after a transfer: the next
 * transfer on it wants the same events, so two system calls per transfer are saved. If such a
 * connection reports something meanwhile (mostly: the receiver closed it) it is taken out then.
 */
#include "sinks/http_int.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/clock.h"

enum { EVENTS_PER_RUN = 256 };

static struct http_socket *socket_at(struct sink_http *sink, int fd)
{
    size_t index = (size_t)fd;
    if (index >= sink->socket_capacity) {
        size_t capacity = sink->socket_capacity == 0 ? 64 : sink->socket_capacity;
        while (capacity <= index) {
            capacity *= 2;
        }
        sink->sockets = ph_realloc(sink->sockets, capacity * sizeof *sink->sockets);
        memset(sink->sockets + sink->socket_capacity, 0,
               (capacity - sink->socket_capacity) * sizeof *sink->sockets);
        sink->socket_capacity = capacity;
    }
    return &sink->sockets[index];
}

static void watch(struct sink_http *sink, struct http_socket *entry, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.fd = fd}};
    int operation = EPOLL_CTL_ADD;
    if (events == 0) {
        operation = EPOLL_CTL_DEL;
    } else if (entry->registered != 0) {
        operation = EPOLL_CTL_MOD;
    }
    /* A failure leaves the transfer to its total timeout. */
    (void)epoll_ctl(sink->epoll_fd, operation, fd, &event);
    entry->registered = events;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *pool_pointer, void *socket_data)
{
    (void)easy;
    (void)socket_data;
    struct http_pool *pool = pool_pointer;
    struct http_socket *entry = socket_at(pool->sink, fd);
    uint32_t wanted = 0;
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) {
        wanted |= EPOLLIN;
    }
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) {
        wanted |= EPOLLOUT;
    }
    entry->pool = pool;
    entry->wanted = wanted;
    bool can_stay = wanted == 0 && entry->is_connection;
    if (wanted != entry->registered && !can_stay) {
        watch(pool->sink, entry, fd, wanted);
    }
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *pool_pointer)
{
    (void)multi;
    struct http_pool *pool = pool_pointer;
    if (timeout_ms < 0) {
        pool->deadline_us = INT64_MAX;
    } else if (timeout_ms == 0) {
        pool->deadline_us = 0;
    } else {
        pool->deadline_us = clock_boot_us() + timeout_ms * CLOCK_US_PER_MS;
    }
    return 0;
}

curl_socket_t http_open_socket(void *transfer_pointer, curlsocktype purpose,
                               struct curl_sockaddr *address)
{
    struct http_transfer *transfer = transfer_pointer;
    struct sink_http *sink = transfer->sink;
    const char *rule = NULL;
    bool is_inet = address->family == AF_INET || address->family == AF_INET6;
    if (purpose != CURLSOCKTYPE_IPCXN || !is_inet) {
        return CURL_SOCKET_BAD;
    }
    bool is_proxy = transfer->pool->proxy_place != NULL;
    if (!http_proxy_is_trusted(transfer->pool, &address->addr) &&
        !address_check(&address->addr, sink->allow_subnets, &rule)) {
        http_blocked_text(&address->addr, is_proxy ? "of the proxy " : "", rule,
                          transfer->blocked_text, sizeof transfer->blocked_text);
        return CURL_SOCKET_BAD;
    }
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0) {
        return CURL_SOCKET_BAD;
    }
    /* No more than is ever read of an answer waits in the kernel, which keeps calls of curl short.
     */
    int receive_bytes = 65536;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    *socket_at(sink, fd) =
        (struct http_socket){.is_connection = true, .is_http1 = !transfer->route->is_https};
    transfer->has_opened = true;
    transfer->last_fd = fd;
    size_t length =
        address->addrlen < sizeof transfer->address ? address->addrlen : sizeof transfer->address;
    memcpy(&transfer->address, &address->addr, length);
    return fd;
}

int http_close_socket(void *sink_pointer, curl_socket_t fd)
{
    /* Closing takes it out of the epoll set. */
    *socket_at(sink_pointer, fd) = (struct http_socket){0};
    return close(fd);
}

static void act(struct http_pool *pool, curl_socket_t fd, int ready)
{
    int running = 0;
    http_flood_begin(pool->sink);
    (void)curl_multi_socket_action(pool->multi, fd, ready, &running);
}

/*
 * A kept HTTP/1 connection on which something came that nobody asked for. Curl would take it for
 * the answer to the next request (measured with 7.88); ended and empty it is given up. Over TLS it
 * may have been a late session ticket: then only a handshake is lost.
 */
static void discard_unasked(int fd)
{
    char scratch[4096];
    for (int round = 0; round < 64; round++) {
        if (recv(fd, scratch, sizeof scratch, MSG_DONTWAIT) <= 0) {
            break;
        }
    }
    (void)shutdown(fd, SHUT_RDWR);
}

void http_events_poll(struct sink_http *sink, bool *ret_has_answers)
{
    struct epoll_event events[EVENTS_PER_RUN];
    *ret_has_answers = false;
    int count = epoll_wait(sink->epoll_fd, events, EVENTS_PER_RUN, 0);
    int resolver_fd = resolver_client_fd(sink->resolver);
    for (int i = 0; i < count; i++) {
        int fd = events[i].data.fd;
        if (fd == resolver_fd) {
            *ret_has_answers = true;
            continue;
        }
        /* An earlier event of this round may have closed the descriptor, or even reused it for a
         * new connection: curl copes with an event that is none. */
        struct http_socket *entry = socket_at(sink, fd);
        if (entry->wanted == 0) {
            if (entry->is_http1 && (events[i].events & EPOLLIN) != 0) {
                discard_unasked(fd);
            }
            if (entry->registered != 0) {
                watch(sink, entry, fd, 0);
            }
            continue;
        }
        int ready = 0;
        if ((events[i].events & EPOLLIN) != 0) {
            ready |= CURL_CSELECT_IN;
        }
        if ((events[i].events & EPOLLOUT) != 0) {
            ready |= CURL_CSELECT_OUT;
        }
        if ((events[i].events & (EPOLLERR | EPOLLHUP)) != 0) {
            /* Reading gives the reason; the error bit alone would hide it. */
            ready |= CURL_CSELECT_ERR | CURL_CSELECT_IN;
        }
        act(entry->pool, fd, ready);
    }
}

void http_pool_run_timer(struct http_pool *pool, int64_t now_us)
{
    if (pool->deadline_us <= now_us) {
        /* Curl calls on_timer again when there is a next time. */
        pool->deadline_us = INT64_MAX;
        act(pool, CURL_SOCKET_TIMEOUT, 0);
    }
}

void http_events_note_protocol(struct http_transfer *transfer)
{
    /* Curl searches for the socket, so it is asked once in a connection's life. */
    long version = 0;
    curl_socket_t fd = CURL_SOCKET_BAD;
    if (!transfer->has_opened || !transfer->route->is_https ||
        curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_VERSION, &version) != CURLE_OK ||
        (version != CURL_HTTP_VERSION_1_0 && version != CURL_HTTP_VERSION_1_1) ||
        curl_easy_getinfo(transfer->easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK ||
        fd == CURL_SOCKET_BAD) {
        return;
    }
    struct http_socket *entry = socket_at(transfer->sink, fd);
    entry->is_http1 = entry->is_connection;
}

void http_events_attach(struct http_pool *pool)
{
    curl_multi_setopt(pool->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(pool->multi, CURLMOPT_SOCKETDATA, pool);
    curl_multi_setopt(pool->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(pool->multi, CURLMOPT_TIMERDATA, pool);
}
