/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Concurrency: the mutex guards counters, the list of connections and the last request.
 */
#include "unit/raw_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 2048, REQUEST_MAX = 16 * 1024 * 1024 };

struct connection {
    struct raw_server *server;
    pthread_t thread;
    int fd;
    bool is_open;
};

struct raw_server {
    pthread_mutex_t mutex;
    pthread_t thread;
    int listen_fd;
    unsigned port;
    raw_server_function *function;
    void *context;
    struct connection connections[CONNECTIONS_MAX];
    unsigned connection_count;
    unsigned ended_count;
    unsigned request_count;
    struct buf last;
    bool is_stopping;
};

static void *serve(void *argument)
{
    struct connection *connection = argument;
    struct raw_server *server = connection->server;
    server->function(server, connection->fd, server->context);
    pthread_mutex_lock(&server->mutex);
    connection->is_open = false;
    server->ended_count++;
    close(connection->fd);
    pthread_mutex_unlock(&server->mutex);
    return NULL;
}

static void *accept_all(void *argument)
{
    struct raw_server *server = argument;
    for (;;) {
        int fd = accept(server->listen_fd, NULL, NULL);
        pthread_mutex_lock(&server->mutex);
        if (fd < 0 || server->is_stopping || server->connection_count == CONNECTIONS_MAX) {
            pthread_mutex_unlock(&server->mutex);
            if (fd >= 0) {
                close(fd);
            }
            return NULL;
        }
        struct connection *connection = &server->connections[server->connection_count++];
        *connection = (struct connection){.server = server, .fd = fd, .is_open = true};
        PH_ASSERT(pthread_create(&connection->thread, NULL, serve, connection) == 0);
        pthread_mutex_unlock(&server->mutex);
    }
}

struct raw_server *raw_server_start_at(const char *address, unsigned port,
                                       raw_server_function *function, void *context)
{
    struct raw_server *server = ph_calloc(1, sizeof *server);
    server->function = function;
    server->context = context;
    buf_init(&server->last, REQUEST_MAX);
    PH_ASSERT(pthread_mutex_init(&server->mutex, NULL) == 0);
    server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int yes = 1;
    (void)setsockopt(server->listen_fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    PH_ASSERT(inet_pton(AF_INET, address, &where.sin_addr) == 1);
    PH_ASSERT(bind(server->listen_fd, (struct sockaddr *)(void *)&where, sizeof where) == 0);
    PH_ASSERT(listen(server->listen_fd, 512) == 0);
    socklen_t length = sizeof where;
    PH_ASSERT(getsockname(server->listen_fd, (struct sockaddr *)(void *)&where, &length) == 0);
    server->port = ntohs(where.sin_port);
    PH_ASSERT(pthread_create(&server->thread, NULL, accept_all, server) == 0);
    return server;
}

struct raw_server *raw_server_start(raw_server_function *function, void *context)
{
    return raw_server_start_at("127.0.0.1", 0, function, context);
}

void raw_server_stop(struct raw_server *server)
{
    pthread_mutex_lock(&server->mutex);
    server->is_stopping = true;
    for (unsigned i = 0; i < server->connection_count; i++) {
        if (server->connections[i].is_open) {
            (void)shutdown(server->connections[i].fd, SHUT_RDWR);
        }
    }
    pthread_mutex_unlock(&server->mutex);
    /* Wakes accept. */
    (void)shutdown(server->listen_fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listen_fd);
    for (unsigned i = 0; i < server->connection_count; i++) {
        pthread_join(server->connections[i].thread, NULL);
    }
    buf_done(&server->last);
    pthread_mutex_destroy(&server->mutex);
    free(server);
}

unsigned raw_server_port(const struct raw_server *server)
{
    return server->port;
}

static unsigned read_counter(struct raw_server *server, const unsigned *counter)
{
    pthread_mutex_lock(&server->mutex);
    unsigned value = *counter;
    pthread_mutex_unlock(&server->mutex);
    return value;
}

unsigned raw_server_connections(struct raw_server *server)
{
    return read_counter(server, &server->connection_count);
}

unsigned raw_server_ended(struct raw_server *server)
{
    return read_counter(server, &server->ended_count);
}

unsigned raw_server_requests(struct raw_server *server)
{
    return read_counter(server, &server->request_count);
}

/* Length of headers and body, or 0 when the headers are not complete yet. */
static size_t request_length(const struct buf *text)
{
    const char *end = strstr(buf_text(text), "\r\n\r\n");
    if (end == NULL) {
        return 0;
    }
    size_t length = (size_t)(end - text->data) + 4;
    const char *field = strcasestr(text->data, "\r\nContent-Length:");
    if (field != NULL && field < end) {
        length += (size_t)strtoull(field + 17, NULL, 10);
    }
    return length;
}

bool raw_server_read(struct raw_server *server, int fd)
{
    struct buf text BUF_AUTO;
    buf_init(&text, REQUEST_MAX);
    for (;;) {
        size_t needed = request_length(&text);
        if (needed > 0 && text.len >= needed) {
            break;
        }
        char *room = buf_reserve(&text, 65536);
        ssize_t count = room == NULL ? -1 : recv(fd, room, 65536, 0);
        if (count <= 0) {
            return false;
        }
        buf_commit(&text, (size_t)count);
    }
    pthread_mutex_lock(&server->mutex);
    server->request_count++;
    buf_clear(&server->last);
    buf_append_slice(&server->last, buf_slice(&text));
    pthread_mutex_unlock(&server->mutex);
    return true;
}

void raw_server_last(struct raw_server *server, struct buf *text)
{
    pthread_mutex_lock(&server->mutex);
    buf_clear(text);
    buf_append_slice(text, buf_slice(&server->last));
    pthread_mutex_unlock(&server->mutex);
}

bool raw_server_write_bytes(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t count = send(fd, bytes, length, MSG_NOSIGNAL);
        if (count <= 0) {
            return false;
        }
        bytes += count;
        length -= (size_t)count;
    }
    return true;
}

bool raw_server_write(int fd, const char *text)
{
    return raw_server_write_bytes(fd, text, strlen(text));
}

bool raw_server_wait_end(int fd, int timeout_ms)
{
    char bytes[256];
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, timeout_ms) == 0) {
            return false;
        }
        if (recv(fd, bytes, sizeof bytes, 0) <= 0) {
            return true;
        }
    }
}
