/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of connections: limits, deadlines.
 *
 * Concurrency: the accept thread adds, the daemons' threads remove, the sweep walks; all under
 * `connections_lock`. A connection leaves the table before its socket is closed, so the sweep
 * never shuts down a descriptor that belongs to somebody else by now.
 */
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/siphash.h"
#include "http/server_int.h"

static void lock(struct http_server *server)
{
    PH_ASSERT(pthread_mutex_lock(&server->connections_lock) == 0);
}

static void unlock(struct http_server *server)
{
    PH_ASSERT(pthread_mutex_unlock(&server->connections_lock) == 0);
}

/* An IPv6 client owns its whole /64, so that is what is counted. Never 0. */
static uint64_t address_key(const struct http_server *server, const uint8_t address[16])
{
    static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};
    bool is_ipv4 = memcmp(address, mapped_prefix, sizeof mapped_prefix) == 0;
    return siphash64(server->address_hash_key, address, is_ipv4 ? 16 : 8) | 1;
}

/* The map's values are the counts themselves. Called with the lock held. */
static uintptr_t address_count(const struct http_server *server, uint64_t key)
{
    return (uintptr_t)map_get(&server->address_counts, key);
}

static void address_count_add(struct http_server *server, uint64_t key, int step)
{
    uintptr_t count = address_count(server, key) + (uintptr_t)step;
    if (count == 0) {
        (void)map_remove(&server->address_counts, key);
    } else {
        (void)map_set(&server->address_counts, key, (void *)count);
    }
}

/* Called with the lock held. */
static void remove_locked(struct http_server *server, struct http_connection *connection)
{
    list_remove(&connection->node);
    server->connection_by_fd[connection->fd] = NULL;
    server->connection_count--;
    (void)atomic_fetch_sub(&connection->daemon->connection_count, 1);
    if (connection->address_key != 0) {
        address_count_add(server, connection->address_key, -1);
    }
    http_count(server, METRIC_HTTP_CONNECTIONS, -1);
}

static void connection_free(struct http_connection *connection)
{
    http_settings_unref(connection->settings);
    free(connection);
}

static bool add_locked(struct http_server *server, struct http_connection *connection)
{
    struct http_connection *stale = server->connection_by_fd[connection->fd];
    if (stale != NULL) {
        /* The kernel gave the number out again, so the socket is closed: libmicrohttpd could not
         * set the connection up and gave no notice. */
        remove_locked(server, stale);
        connection_free(stale);
    }
    unsigned most = connection->settings->connections_per_address_max;
    uint64_t key = connection->address_key;
    if (server->connection_count >= connection->settings->connections_max ||
        (key != 0 && address_count(server, key) >= most)) {
        return false;
    }
    if (key != 0) {
        address_count_add(server, key, 1);
    }
    list_append(&server->connections, &connection->node);
    server->connection_by_fd[connection->fd] = connection;
    server->connection_count++;
    (void)atomic_fetch_add(&connection->daemon->connection_count, 1);
    http_count(server, METRIC_HTTP_CONNECTIONS, 1);
    return true;
}

static void judge_address(struct http_connection *connection)
{
    const struct http_settings *settings = connection->settings;
    connection->is_proxy =
        connection->has_address &&
        http_networks_contain(settings->proxies, settings->proxy_count, connection->address);
}

struct http_connection *http_connection_new(struct http_server *server,
                                            struct http_settings *settings, int fd,
                                            const struct sockaddr *address,
                                            struct http_daemon *daemon)
{
    if ((size_t)fd >= server->connection_fd_max) {
        return NULL;
    }
    struct http_connection *connection = ph_calloc(1, sizeof *connection);
    connection->daemon = daemon;
    connection->fd = fd;
    connection->settings = http_settings_ref(settings);
    connection->has_address = http_address_bytes(address, connection->address);
    judge_address(connection);
    if (connection->has_address) {
        http_peer_text(connection->address, connection->peer);
        if (settings->connections_per_address_max > 0 && !connection->is_proxy) {
            connection->address_key = address_key(server, connection->address);
        }
    }
    /* A client that stops reading its answer is cut by the kernel after the idle time. */
    int64_t unread_ms = settings->idle_timeout_s * 1000;
    int user_timeout_ms = unread_ms < INT_MAX ? (int)unread_ms : INT_MAX;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
    int64_t timeout_us = settings->header_timeout_ms * CLOCK_US_PER_MS;
    atomic_init(&connection->deadline_us, clock_boot_us() + timeout_us);
    atomic_init(&connection->is_reading, true);
    atomic_init(&connection->has_ended, false);
    lock(server);
    bool is_added = add_locked(server, connection);
    unlock(server);
    if (!is_added) {
        connection_free(connection);
        return NULL;
    }
    return connection;
}

void http_connection_free(struct http_server *server, struct http_connection *connection)
{
    lock(server);
    remove_locked(server, connection);
    unlock(server);
    connection_free(connection);
}

void http_connection_follow(struct http_connection *connection)
{
    if (http_settings_follow(connection->daemon->server, &connection->settings)) {
        judge_address(connection);
    }
}

bool http_client_take(struct http_request *request, const uint8_t address[16])
{
    struct http_server *server = request->daemon->server;
    unsigned most = request->connection->settings->connections_per_address_max;
    if (most == 0) {
        return true;
    }
    uint64_t key = address_key(server, address);
    lock(server);
    bool has_room = address_count(server, key) < most;
    if (has_room) {
        address_count_add(server, key, 1);
        request->client_key = key;
    }
    unlock(server);
    return has_room;
}

void http_client_release(struct http_request *request)
{
    if (request->client_key != 0) {
        struct http_server *server = request->daemon->server;
        lock(server);
        address_count_add(server, request->client_key, -1);
        unlock(server);
        request->client_key = 0;
    }
}

void http_connection_notify(void *context, struct MHD_Connection *mhd, void **socket_context,
                            enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = ((struct http_daemon *)context)->server;
    if ((int)code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        PH_ASSERT(info != NULL);
        lock(server);
        *socket_context = server->connection_by_fd[info->connect_fd];
        unlock(server);
        PH_ASSERT(*socket_context != NULL);
    } else if (*socket_context != NULL) {
        http_connection_free(server, *socket_context);
        *socket_context = NULL;
    }
}

void http_connection_set_deadline(struct http_connection *connection, int64_t deadline_us,
                                  bool is_reading)
{
    atomic_store_explicit(&connection->is_reading, is_reading, memory_order_relaxed);
    atomic_store_explicit(&connection->has_ended, false, memory_order_relaxed);
    atomic_store_explicit(&connection->deadline_us, deadline_us, memory_order_relaxed);
}

/*
 * Whether the client ended its side amid a request or between two. libmicrohttpd 0.9.75 misses an
 * end that comes together with the last bytes (edge-triggered, measured). Twice in a row, since
 * its thread may just have taken those bytes.
 */
static bool is_over(struct http_connection *connection)
{
    char byte;
    if (!atomic_load_explicit(&connection->is_reading, memory_order_relaxed) ||
        recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0) {
        return false;
    }
    return atomic_exchange_explicit(&connection->has_ended, true, memory_order_relaxed);
}

void http_connection_sweep(struct http_server *server, int64_t now_us)
{
    lock(server);
    LIST_FOR_EACH(node, following, &server->connections)
    {
        struct http_connection *connection = LIST_ELEMENT(node, struct http_connection, node);
        int64_t deadline_us = atomic_load_explicit(&connection->deadline_us, memory_order_relaxed);
        if ((deadline_us != 0 && deadline_us <= now_us) || is_over(connection)) {
            /* libmicrohttpd sees the end of the stream and closes the connection. */
            (void)shutdown(connection->fd, SHUT_RDWR);
        }
    }
    unlock(server);
}
