/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The accept thread: takes connections, turns away those beyond the limits, gives the others to
 * the daemon with the fewest, sweeps deadlines, reads lingering sockets to their end. A daemon of
 * libmicrohttpd would let clients beyond its limit hang in the backlog; here they get a 503.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <fcntl.h>

#include "base/clock.h"
#include "http/server_int.h"

#define ACCEPTS_PER_ROUND 64
#define SWEEP_MAX_US INT64_C(500000)
#define PAUSE_US INT64_C(50000) /* when the kernel has no memory for one more connection */

/* What the accept thread alone knows. */
struct accept_state {
    struct http_server *server;
    struct http_settings *settings;
    struct pollfd polls[1 + HTTP_LISTENERS_MAX + HTTP_LINGER_MAX];
    struct http_linger lingering[HTTP_LINGER_MAX];
    size_t linger_count;
    int spare_fd; /* given up for a moment when descriptors run out, to turn a client away */
    int64_t next_sweep_us;
    int64_t sweep_us;
    int64_t paused_until_us; /* no accepting before */
    int64_t refused_logged_us;
    int64_t refused_count; /* since the last log line */
};

/* --- listening -------------------------------------------------------------------------------- */

static enum ph_error split_address(const char *address, struct diag *diag, char ret_host[64],
                                   char ret_port[8])
{
    const char *colon = strrchr(address, ':');
    const char *host = address;
    size_t host_length = colon == NULL ? 0 : (size_t)(colon - address);
    if (host_length >= 2 && host[0] == '[' && host[host_length - 1] == ']') {
        host++;
        host_length -= 2;
    }
    int64_t port = -1;
    if (host_length == 0 || host_length >= 64 || colon == NULL || strlen(colon + 1) >= 8 ||
        !slice_to_int64(slice_of(colon + 1), &port) || port < 0 || port > 65535) {
        return diag_set(diag, PH_INVALID, "listen",
                        "\"%s\" is no address such as 127.0.0.1:8071 or [::1]:8071", address);
    }
    memcpy(ret_host, host, host_length);
    ret_host[host_length] = '\0';
    (void)snprintf(ret_port, 8, "%d", (int)port);
    return PH_OK;
}

static int open_listener(const struct addrinfo *found)
{
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    /* Accepted sockets inherit both on Linux. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (found->ai_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 4096) != 0) {
        int reason = errno;
        (void)close(fd);
        errno = reason;
        return -1;
    }
    return fd;
}

static void name_listener(struct http_listener *listener)
{
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    PH_ASSERT(getsockname(listener->fd, (struct sockaddr *)&bound, &length) == 0);
    char host[HTTP_PEER_MAX];
    char port[8];
    PH_ASSERT(getnameinfo((struct sockaddr *)&bound, length, host, sizeof host, port, sizeof port,
                          NI_NUMERICHOST | NI_NUMERICSERV) == 0);
    (void)snprintf(listener->address, sizeof listener->address,
                   bound.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

enum ph_error http_listen(const char *address, struct diag *diag,
                          struct http_listener *ret_listener)
{
    char host[64];
    char port[8];
    enum ph_error error = split_address(address, diag, host, port);
    if (error != PH_OK) {
        return error;
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int outcome = getaddrinfo(host, port, &hints, &found);
    if (outcome != 0) {
        return diag_set(diag, PH_INVALID, "listen", "cannot find the address %s: %s", address,
                        gai_strerror(outcome));
    }
    int fd = open_listener(found);
    freeaddrinfo(found);
    if (fd < 0) {
        return diag_set(diag, PH_IO, "listen", "could not listen on %s: %s", address,
                        strerror(errno));
    }
    ret_listener->fd = fd;
    name_listener(ret_listener);
    return PH_OK;
}

/* --- lingering -------------------------------------------------------------------------------- */

void http_accept_wake(struct http_server *server)
{
    uint64_t one = 1;
    ssize_t written = write(server->wake_fd, &one, sizeof one);
    (void)written; /* a full counter wakes too */
}

void http_linger(struct http_server *server, int fd)
{
    struct http_linger linger = {fd, clock_boot_us() + HTTP_LINGER_US};
    PH_ASSERT(pthread_mutex_lock(&server->linger_lock) == 0);
    bool has_room = server->linger_count < HTTP_LINGER_MAX;
    if (has_room) {
        server->lingering[server->linger_count++] = linger;
    }
    PH_ASSERT(pthread_mutex_unlock(&server->linger_lock) == 0);
    if (has_room) {
        http_accept_wake(server);
    } else {
        (void)close(fd);
    }
}

static void linger_add(struct accept_state *state, struct http_linger linger)
{
    if (state->linger_count == HTTP_LINGER_MAX) {
        (void)close(linger.fd);
        return;
    }
    (void)shutdown(linger.fd, SHUT_WR);
    state->lingering[state->linger_count++] = linger;
}

static void linger_take(struct accept_state *state)
{
    struct http_server *server = state->server;
    struct http_linger taken[HTTP_LINGER_MAX];
    PH_ASSERT(pthread_mutex_lock(&server->linger_lock) == 0);
    size_t count = server->linger_count;
    memcpy(taken, server->lingering, count * sizeof taken[0]);
    server->linger_count = 0;
    PH_ASSERT(pthread_mutex_unlock(&server->linger_lock) == 0);
    for (size_t i = 0; i < count; i++) {
        linger_add(state, taken[i]);
    }
}

/* True when the socket is at its end. */
static bool linger_read(int fd)
{
    char scratch[16384];
    for (int round = 0; round < 16; round++) {
        ssize_t got = recv(fd, scratch, sizeof scratch, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            return true;
        }
        if (got < 0) {
            return false;
        }
    }
    return false;
}

static void linger_run(struct accept_state *state, int64_t now_us)
{
    size_t kept = 0;
    for (size_t i = 0; i < state->linger_count; i++) {
        struct http_linger linger = state->lingering[i];
        if (now_us >= linger.until_us || linger_read(linger.fd)) {
            (void)close(linger.fd);
        } else {
            state->lingering[kept++] = linger;
        }
    }
    state->linger_count = kept;
}

/* --- accepting -------------------------------------------------------------------------------- */

#define REFUSED_BODY "{\"code\":\"service_unavailable\",\"detail\":\"Too many connections.\"}"
_Static_assert(sizeof REFUSED_BODY - 1 == 63, "the length in the header below");
static const char refused_text[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                   "Content-Type: application/json\r\n"
                                   "Retry-After: 1\r\n"
                                   "Connection: close\r\n"
                                   "Content-Length: 63\r\n"
                                   "\r\n" REFUSED_BODY;

/* Counts the client and tells it. True when it got the text and may linger. */
static bool refuse(struct accept_state *state, int fd)
{
    struct http_server *server = state->server;
    int64_t now_us = clock_boot_us();
    http_count(server, METRIC_HTTP_CONNECTIONS_REFUSED, 1);
    state->refused_count++;
    if (now_us - state->refused_logged_us >= CLOCK_US_PER_S) {
        log_write(server->options.log, LOG_CONNECTION_REFUSED,
                  LOG_INT("count", state->refused_count));
        state->refused_logged_us = now_us;
        state->refused_count = 0;
    }
    return !server->is_tls &&
           send(fd, refused_text, sizeof refused_text - 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
}

static struct http_daemon *least_busy(struct http_server *server)
{
    struct http_daemon *best = &server->daemons[0];
    for (unsigned i = 1; i < server->options.threads; i++) {
        if (atomic_load(&server->daemons[i].connection_count) <
            atomic_load(&best->connection_count)) {
            best = &server->daemons[i];
        }
    }
    return best;
}

/* Often enough that a deadline is at most a quarter late. */
static int64_t sweep_interval_us(const struct http_settings *settings)
{
    int64_t shortest_ms = settings->header_timeout_ms < settings->body_timeout_ms
                              ? settings->header_timeout_ms
                              : settings->body_timeout_ms;
    int64_t interval_us = shortest_ms * CLOCK_US_PER_MS / 4;
    if (interval_us < CLOCK_US_PER_MS) {
        return CLOCK_US_PER_MS;
    }
    return interval_us > SWEEP_MAX_US ? SWEEP_MAX_US : interval_us;
}

static void follow_settings(struct accept_state *state)
{
    if (http_settings_follow(state->server, &state->settings)) {
        state->sweep_us = sweep_interval_us(state->settings);
        state->next_sweep_us = clock_boot_us() + state->sweep_us;
    }
}

static void take(struct accept_state *state, int fd, const struct sockaddr *address,
                 socklen_t length)
{
    struct http_server *server = state->server;
    struct http_daemon *daemon = least_busy(server);
    follow_settings(state); /* here, so that a reload holds for whoever connects after it */
    struct http_connection *connection =
        http_connection_new(server, state->settings, fd, address, daemon);
    if (connection == NULL) {
        if (refuse(state, fd)) {
            linger_add(state, (struct http_linger){fd, clock_boot_us() + HTTP_LINGER_US});
        } else {
            (void)close(fd);
        }
        return;
    }
    /* On success the connection may be closed and freed before this returns. */
    if (MHD_add_connection(daemon->mhd, fd, address, length) != MHD_YES) {
        http_connection_free(server, connection); /* the socket is closed already */
        http_count(server, METRIC_HTTP_CONNECTIONS_REFUSED, 1);
    }
}

/* No descriptor is left: a client in the backlog would make poll return for ever. */
static void turn_away(struct accept_state *state, int listener)
{
    if (state->spare_fd >= 0) {
        (void)close(state->spare_fd);
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            (void)refuse(state, fd);
            (void)close(fd);
        }
    }
    state->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (state->spare_fd < 0) {
        state->paused_until_us = clock_boot_us() + PAUSE_US;
    }
}

static void accept_from(struct accept_state *state, int listener)
{
    for (int i = 0; i < ACCEPTS_PER_ROUND; i++) {
        struct sockaddr_storage address;
        socklen_t length = sizeof address;
        int fd =
            accept4(listener, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take(state, fd, (struct sockaddr *)&address, length);
        } else if (errno == EMFILE || errno == ENFILE) {
            turn_away(state, listener);
            return;
        } else if (errno == EAGAIN) {
            return;
        } else if (errno == ENOBUFS || errno == ENOMEM) {
            state->paused_until_us = clock_boot_us() + PAUSE_US;
            return;
        }
        /* Other errors belong to the one connection (accept(2)): try the next. */
    }
}

static nfds_t fill_polls(struct accept_state *state, int64_t now_us)
{
    struct http_server *server = state->server;
    short wanted = now_us < state->paused_until_us ? 0 : POLLIN;
    nfds_t count = 0;
    state->polls[count++] = (struct pollfd){server->wake_fd, POLLIN, 0};
    for (size_t i = 0; i < server->listener_count; i++) {
        state->polls[count++] = (struct pollfd){server->listeners[i].fd, wanted, 0};
    }
    for (size_t i = 0; i < state->linger_count; i++) {
        state->polls[count++] = (struct pollfd){state->lingering[i].fd, POLLIN, 0};
    }
    return count;
}

static void round_once(struct accept_state *state)
{
    struct http_server *server = state->server;
    int64_t now_us = clock_boot_us();
    nfds_t count = fill_polls(state, now_us);
    int64_t wait_us = state->next_sweep_us - now_us;
    int wait_ms = wait_us <= 0 ? 0 : (int)(wait_us / CLOCK_US_PER_MS) + 1;
    int ready = poll(state->polls, count, wait_ms);
    now_us = clock_boot_us();
    follow_settings(state);
    if (ready > 0 && (state->polls[0].revents & POLLIN) != 0) {
        uint64_t value;
        ssize_t got = read(server->wake_fd, &value, sizeof value);
        (void)got;
        linger_take(state);
    }
    for (size_t i = 0; ready > 0 && i < server->listener_count; i++) {
        if (state->polls[1 + i].revents != 0) {
            accept_from(state, server->listeners[i].fd);
        }
    }
    linger_run(state, now_us);
    if (now_us >= state->next_sweep_us) {
        http_connection_sweep(server, now_us);
        http_streams_sweep(server, now_us);
        state->next_sweep_us = now_us + state->sweep_us;
    }
}

void *http_accept_main(void *context)
{
    struct http_server *server = context;
    PH_ASSERT(server->listener_count <= HTTP_LISTENERS_MAX);
    struct accept_state *state = ph_calloc(1, sizeof *state);
    state->server = server;
    follow_settings(state);
    state->refused_logged_us = INT64_MIN / 2;
    state->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    while (!atomic_load(&server->accept_stops)) {
        round_once(state);
    }
    linger_take(state);
    for (size_t i = 0; i < state->linger_count; i++) {
        (void)close(state->lingering[i].fd);
    }
    if (state->spare_fd >= 0) {
        (void)close(state->spare_fd);
    }
    http_settings_unref(state->settings);
    free(state);
    return NULL;
}
