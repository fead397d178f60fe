/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting and stopping. Stopping goes from outside to inside: no new connections, streams end,
 * then the requests in progress may end, then what is still suspended is answered 503
 * (libmicrohttpd aborts the process when it stops with a suspended connection), then the daemons
 * end.
 */
#include "http/server.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "http/server_int.h"

#define DESCRIPTORS_MAX ((rlim_t)1024 * 1024)
/* For the last answers to reach the sockets before the daemons close them. */
#define HALF_SENT_MS 2000 /* for requests that are still being sent when the server stops */
#define LAST_ANSWERS_MS 1000

void http_count(const struct http_server *server, enum metric metric, int64_t amount)
{
    if (server->options.metrics != NULL) {
        metrics_add(server->options.metrics, metric, amount);
    }
}

/* Percent signs stay: the path is split before it is decoded, see head.c. */
static size_t keep_escapes(void *context, struct MHD_Connection *mhd, char *text)
{
    (void)context;
    (void)mhd;
    return strlen(text);
}

static void stop_thread_context(void *context)
{
    struct http_daemon *daemon = context;
    const struct http_server_options *options = &daemon->server->options;
    if (options->thread_stop != NULL) {
        options->thread_stop(daemon->thread_context, options->context);
    }
}

static size_t raise_descriptor_limit(void)
{
    struct rlimit limit;
    PH_ASSERT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    rlim_t wanted = limit.rlim_max > DESCRIPTORS_MAX ? DESCRIPTORS_MAX : limit.rlim_max;
    if (limit.rlim_cur < wanted) {
        struct rlimit raised = {wanted, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
            limit = raised;
        }
    }
    return (size_t)(limit.rlim_cur > DESCRIPTORS_MAX ? DESCRIPTORS_MAX : limit.rlim_cur);
}

static void init_locks(struct http_server *server)
{
    PH_ASSERT(pthread_mutex_init(&server->connections_lock, NULL) == 0);
    PH_ASSERT(pthread_mutex_init(&server->linger_lock, NULL) == 0);
    PH_ASSERT(pthread_mutex_init(&server->drain_lock, NULL) == 0);
    PH_ASSERT(pthread_mutex_init(&server->settings_lock, NULL) == 0);
    clock_cond_init(&server->drain_changed);
}

static struct http_server *server_new(const struct http_server_options *options)
{
    PH_ASSERT(options->threads > 0);
    struct http_server *server = ph_calloc(1, sizeof *server);
    server->options = *options;
    server->is_tls = options->tls_cert_file != NULL;
    atomic_init(&server->settings, NULL);
    atomic_init(&server->references, 1);
    server->router = router_new(options->routes, options->route_count);
    server->is_head_layout_known = http_head_layout_is_known();
    server->wake_fd = -1;
    list_init(&server->connections);
    map_init(&server->address_counts);
    random_bytes(server->address_hash_key, sizeof server->address_hash_key);
    init_locks(server);
    PH_ASSERT(pthread_key_create(&server->thread_key, stop_thread_context) == 0);
    server->connection_fd_max = raise_descriptor_limit();
    server->connection_by_fd =
        ph_calloc(server->connection_fd_max, sizeof(struct http_connection *));
    server->daemons = ph_calloc(options->threads, sizeof *server->daemons);
    for (unsigned i = 0; i < options->threads; i++) {
        struct http_daemon *daemon = &server->daemons[i];
        daemon->server = server;
        list_init(&daemon->parked);
        list_init(&daemon->streams);
        PH_ASSERT(pthread_mutex_init(&daemon->lock, NULL) == 0);
    }
    return server;
}

static enum ph_error start_daemon(struct http_daemon *daemon, struct diag *diag)
{
    const struct http_server *server = daemon->server;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET |
                     MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;
    flags |= server->is_tls ? MHD_USE_TLS : 0U;
    /* Asked for in each handshake, so that a reload can change it. */
    enum MHD_OPTION tls_option = server->is_tls ? MHD_OPTION_HTTPS_CERT_CALLBACK : MHD_OPTION_END;
    /* Where head.c sees all by itself the library need not be strict: its own refusals are HTML. */
    int strictness = server->is_head_layout_known ? 0 : 1;
    /* The daemon's own limit is never reached: ours comes first and answers. It knows no timeout
     * either: the sweep of connection.c has a deadline for each state, which a reload can change.
     */
    daemon->mhd = MHD_start_daemon(
        flags, 0, NULL, NULL, http_on_access, daemon, MHD_OPTION_NOTIFY_COMPLETED,
        http_on_completed, daemon, MHD_OPTION_NOTIFY_CONNECTION, http_connection_notify, daemon,
        MHD_OPTION_URI_LOG_CALLBACK, http_on_target, daemon, MHD_OPTION_UNESCAPE_CALLBACK,
        keep_escapes, NULL, MHD_OPTION_STRICT_FOR_CLIENT, strictness, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)server->connection_fd_max + 1024, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        HTTP_CONNECTION_POOL_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, 0U, tls_option,
        http_credentials_give, MHD_OPTION_END);
    if (daemon->mhd == NULL) {
        return diag_set(diag, PH_IO, NULL, "could not start an HTTP thread: %s", strerror(errno));
    }
    return PH_OK;
}

static enum ph_error start_daemons(struct http_server *server, struct diag *diag)
{
    enum ph_error error = PH_OK;
    for (unsigned i = 0; error == PH_OK && i < server->options.threads; i++) {
        error = start_daemon(&server->daemons[i], diag);
    }
    return error;
}

static enum ph_error start_listeners(struct http_server *server, const char *const *addresses,
                                     size_t address_count, struct diag *diag)
{
    server->listeners = ph_calloc(address_count, sizeof *server->listeners);
    for (size_t i = 0; i < address_count; i++) {
        enum ph_error error = http_listen(addresses[i], diag, &server->listeners[i]);
        if (error != PH_OK) {
            return error;
        }
        server->listener_count++;
    }
    return PH_OK;
}

static enum ph_error start_accepting(struct http_server *server, struct diag *diag)
{
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->wake_fd < 0) {
        return diag_set(diag, PH_IO, NULL, "could not make an event descriptor: %s",
                        strerror(errno));
    }
    int reason = pthread_create(&server->accept_thread, NULL, http_accept_main, server);
    if (reason != 0) {
        return diag_set(diag, PH_IO, NULL, "could not start the accept thread: %s",
                        strerror(reason));
    }
    (void)pthread_setname_np(server->accept_thread, "http-accept");
    server->has_accept_thread = true;
    return PH_OK;
}

enum ph_error http_server_start(const struct http_server_options *options,
                                const char *const *addresses, size_t address_count,
                                struct diag *diag, struct http_server **ret_server)
{
    PH_ASSERT(address_count > 0 && address_count <= HTTP_LISTENERS_MAX);
    struct http_server *server = server_new(options);
    struct http_settings *settings;
    enum ph_error error = http_settings_new(options, diag, &settings);
    if (error == PH_OK) {
        atomic_store(&server->settings, settings);
        error = start_listeners(server, addresses, address_count, diag);
    }
    if (error == PH_OK) {
        error = start_daemons(server, diag);
    }
    if (error == PH_OK) {
        error = start_accepting(server, diag);
    }
    if (error != PH_OK) {
        http_server_stop(server, 0);
        return error;
    }
    *ret_server = server;
    return PH_OK;
}

const char *http_server_address(const struct http_server *server, size_t index)
{
    PH_ASSERT(index < server->listener_count);
    return server->listeners[index].address;
}

/* --- stopping --------------------------------------------------------------------------------- */

/* Whether no request is being answered; with `counts_unread` also none half sent. */
static bool is_idle(struct http_server *server, bool counts_unread)
{
    for (unsigned i = 0; i < server->options.threads; i++) {
        struct http_daemon *daemon = &server->daemons[i];
        if (atomic_load(counts_unread ? &daemon->in_progress : &daemon->handling) != 0) {
            return false;
        }
    }
    return true;
}

static void tell_progress(struct http_server *server, bool is_last)
{
    if (is_last && atomic_load(&server->is_stopping)) {
        PH_ASSERT(pthread_mutex_lock(&server->drain_lock) == 0);
        PH_ASSERT(pthread_cond_signal(&server->drain_changed) == 0);
        PH_ASSERT(pthread_mutex_unlock(&server->drain_lock) == 0);
    }
}

void http_progress_end(struct http_daemon *daemon, bool was_read)
{
    bool is_last = was_read && atomic_fetch_sub(&daemon->handling, 1) == 1;
    is_last = atomic_fetch_sub(&daemon->in_progress, 1) == 1 || is_last;
    tell_progress(daemon->server, is_last);
}

void http_progress_goes_on(struct http_daemon *daemon)
{
    tell_progress(daemon->server, atomic_fetch_sub(&daemon->handling, 1) == 1);
}

static void wait_until_idle(struct http_server *server, bool counts_unread, int64_t timeout_ms)
{
    struct timespec until = clock_deadline(timeout_ms * CLOCK_US_PER_MS);
    PH_ASSERT(pthread_mutex_lock(&server->drain_lock) == 0);
    while (!is_idle(server, counts_unread) &&
           pthread_cond_timedwait(&server->drain_changed, &server->drain_lock, &until) == 0) {
    }
    PH_ASSERT(pthread_mutex_unlock(&server->drain_lock) == 0);
}

static void stop_accepting(struct http_server *server)
{
    if (server->has_accept_thread) {
        atomic_store(&server->accept_stops, true);
        http_accept_wake(server);
        PH_ASSERT(pthread_join(server->accept_thread, NULL) == 0);
        server->has_accept_thread = false;
    }
    for (size_t i = 0; i < server->listener_count; i++) {
        (void)close(server->listeners[i].fd);
    }
    server->listener_count = 0;
}

static void stop_daemons(struct http_server *server)
{
    for (unsigned i = 0; i < server->options.threads; i++) {
        struct http_daemon *daemon = &server->daemons[i];
        if (daemon->mhd != NULL) {
            MHD_stop_daemon(daemon->mhd);
            daemon->mhd = NULL;
        }
        while (daemon->spare != NULL) {
            struct http_request *request = daemon->spare;
            daemon->spare = request->next_spare;
            http_request_destroy(request);
        }
    }
    PH_ASSERT(pthread_key_delete(server->thread_key) == 0);
}

void http_server_stop(struct http_server *server, int64_t drain_ms)
{
    if (server == NULL) {
        return;
    }
    atomic_store(&server->is_stopping, true);
    stop_accepting(server);
    for (unsigned i = 0; i < server->options.threads; i++) {
        http_streams_end(&server->daemons[i]);
    }
    /* A client that stalls within its request would hold the server up for as long as it likes. */
    wait_until_idle(server, true, drain_ms < HALF_SENT_MS ? drain_ms : HALF_SENT_MS);
    wait_until_idle(server, false, drain_ms);
    for (unsigned i = 0; i < server->options.threads; i++) {
        http_abandon_parked(&server->daemons[i]);
    }
    wait_until_idle(server, false, LAST_ANSWERS_MS);
    stop_daemons(server);
    http_server_unref(server);
}

void http_server_unref(struct http_server *server)
{
    if (atomic_fetch_sub(&server->references, 1) != 1) {
        return;
    }
    for (size_t i = 0; i < server->linger_count; i++) {
        (void)close(server->lingering[i].fd);
    }
    LIST_FOR_EACH(node, following, &server->connections)
    {
        /* Never announced by libmicrohttpd, see connection.c. */
        http_connection_free(server, LIST_ELEMENT(node, struct http_connection, node));
    }
    if (server->wake_fd >= 0) {
        (void)close(server->wake_fd);
    }
    for (unsigned i = 0; i < server->options.threads; i++) {
        PH_ASSERT(pthread_mutex_destroy(&server->daemons[i].lock) == 0);
    }
    PH_ASSERT(pthread_mutex_destroy(&server->connections_lock) == 0);
    PH_ASSERT(pthread_mutex_destroy(&server->linger_lock) == 0);
    PH_ASSERT(pthread_mutex_destroy(&server->drain_lock) == 0);
    PH_ASSERT(pthread_mutex_destroy(&server->settings_lock) == 0);
    PH_ASSERT(pthread_cond_destroy(&server->drain_changed) == 0);
    map_done(&server->address_counts);
    router_free(server->router);
    free(server->connection_by_fd);
    free(server->daemons);
    free(server->listeners);
    http_settings_unref(atomic_load(&server->settings));
    free(server);
}
