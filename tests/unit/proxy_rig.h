/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A proxy for the tests of the HTTP sink: CONNECT (over TLS too) or SOCKS 5. Whatever address it is
 * told, it notes it and connects to one port of this machine, which stands for the world.
 */
#ifndef PH_UNIT_PROXY_RIG_H
#define PH_UNIT_PROXY_RIG_H

#include "unit/tls_rig.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "sinks/policy.h"

struct proxy {
    bool is_socks;
    SSL_CTX *tls;              /* NULL: spoken to in plain */
    const char *authorization; /* of CONNECT: the header's value that is wanted; NULL = any */
    const char *username;      /* of SOCKS; NULL = any */
    const char *password;
    const char *answer; /* to CONNECT, in place of connecting */
    bool is_endless;    /* the answer goes on for ever */
    unsigned port;      /* the world */
    uint8_t reply;      /* of SOCKS; 0 = connects */
    struct gate *gate;  /* held before connecting; may be NULL */

    pthread_mutex_t mutex;
    char target[320]; /* the last one asked for, "host:port" */
    char head[2048];  /* the last CONNECT */
    atomic_uint tunnels;
    atomic_uint asked;
    atomic_uint client_certificates; /* shown to the proxy */
};

/* Holds threads until it is opened. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_open;
};

#define GATE_INIT                                                                                  \
    {                                                                                              \
        .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER                    \
    }

static inline void gate_wait(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    while (!gate->is_open) {
        pthread_cond_wait(&gate->changed, &gate->mutex);
    }
    pthread_mutex_unlock(&gate->mutex);
}

static inline void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->is_open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->mutex);
}

/* One end of a connection. */
struct side {
    int fd;
    SSL *ssl; /* NULL = plain */
};

static inline ssize_t side_read(const struct side *side, void *bytes, size_t length)
{
    return side->ssl != NULL ? SSL_read(side->ssl, bytes, (int)length)
                             : recv(side->fd, bytes, length, 0);
}

static inline bool side_write(const struct side *side, const void *bytes, size_t length)
{
    return side->ssl != NULL ? SSL_write(side->ssl, bytes, (int)length) > 0
                             : raw_server_write_bytes(side->fd, bytes, length);
}

static inline bool side_read_all(const struct side *side, void *bytes, size_t length)
{
    size_t got = 0;
    while (got < length) {
        ssize_t count = side_read(side, (char *)bytes + got, length - got);
        if (count <= 0) {
            return false;
        }
        got += (size_t)count;
    }
    return true;
}

/* Both ways, until one end closes. */
static inline void proxy_relay(const struct side *client, const struct side *world)
{
    char bytes[16384];
    for (;;) {
        struct pollfd ready[2] = {{.fd = client->fd, .events = POLLIN},
                                  {.fd = world->fd, .events = POLLIN}};
        bool is_pending = client->ssl != NULL && SSL_pending(client->ssl) > 0;
        if (!is_pending && poll(ready, 2, -1) < 0) {
            return;
        }
        if (is_pending || ready[0].revents != 0) {
            ssize_t count = side_read(client, bytes, sizeof bytes);
            if (count <= 0 || !side_write(world, bytes, (size_t)count)) {
                return;
            }
        } else {
            ssize_t count = side_read(world, bytes, sizeof bytes);
            if (count <= 0 || !side_write(client, bytes, (size_t)count)) {
                return;
            }
        }
    }
}

static inline int proxy_connect(const struct proxy *proxy)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((uint16_t)proxy->port)};
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)(void *)&where, sizeof where) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static inline void proxy_note(struct proxy *proxy, const char *target, const char *head)
{
    pthread_mutex_lock(&proxy->mutex);
    (void)snprintf(proxy->target, sizeof proxy->target, "%s", target);
    (void)snprintf(proxy->head, sizeof proxy->head, "%s", head);
    pthread_mutex_unlock(&proxy->mutex);
    atomic_fetch_add(&proxy->asked, 1);
    if (proxy->gate != NULL) {
        gate_wait(proxy->gate);
    }
}

static inline void proxy_flood(const struct side *client)
{
    static const char line[] = "X-More: and more and more and more and more\r\n";
    while (side_write(client, line, sizeof line - 1)) {
    }
}

/* Answers CONNECT; true when the tunnel stands. */
static inline bool proxy_serve_connect(struct proxy *proxy, const struct side *client,
                                       int *ret_world_fd)
{
    char head[2048];
    size_t used = 0;
    while (used < sizeof head - 1 && (used < 4 || memcmp(head + used - 4, "\r\n\r\n", 4) != 0)) {
        if (side_read(client, head + used, 1) != 1) {
            return false;
        }
        used++;
    }
    head[used] = '\0';
    char target[320] = "";
    if (sscanf(head, "CONNECT %319s HTTP/1.1\r\n", target) != 1) {
        (void)snprintf(target, sizeof target, "not CONNECT");
    }
    proxy_note(proxy, target, head);
    char wanted[256];
    (void)snprintf(wanted, sizeof wanted, "\r\nProxy-Authorization: %s\r\n",
                   proxy->authorization != NULL ? proxy->authorization : "");
    const char *answer = proxy->answer;
    if (proxy->authorization != NULL && strstr(head, wanted) == NULL) {
        answer = "HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic realm=\"x\"\r\n"
                 "Content-Length: 6\r\n\r\nhidden";
    }
    if (answer != NULL) {
        (void)side_write(client, answer, strlen(answer));
        if (proxy->is_endless) {
            proxy_flood(client);
        }
        return false;
    }
    *ret_world_fd = proxy_connect(proxy);
    static const char ok[] = "HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n";
    return *ret_world_fd >= 0 && side_write(client, ok, sizeof ok - 1);
}

/* RFC 1929. */
static inline bool proxy_check_password(struct proxy *proxy, const struct side *client)
{
    uint8_t lengths[2];
    char username[256] = "";
    char password[256] = "";
    if (!side_read_all(client, lengths, 2) || !side_read_all(client, username, lengths[1]) ||
        !side_read_all(client, lengths, 1) || !side_read_all(client, password, lengths[0])) {
        return false;
    }
    bool is_right =
        strcmp(username, proxy->username) == 0 && strcmp(password, proxy->password) == 0;
    const uint8_t answer[2] = {1, is_right ? 0 : 1};
    return side_write(client, answer, sizeof answer) && is_right;
}

/* RFC 1928; true when the tunnel stands. */
static inline bool proxy_serve_socks(struct proxy *proxy, const struct side *client,
                                     int *ret_world_fd)
{
    uint8_t head[4];
    uint8_t methods[256];
    if (!side_read_all(client, head, 2) || !side_read_all(client, methods, head[1])) {
        return false;
    }
    uint8_t method = proxy->username != NULL ? 2 : 0;
    bool is_offered = memchr(methods, method, head[1]) != NULL;
    const uint8_t chosen[2] = {5, is_offered ? method : 0xff};
    if (!side_write(client, chosen, sizeof chosen) || !is_offered ||
        (method == 2 && !proxy_check_password(proxy, client)) || !side_read_all(client, head, 4)) {
        return false;
    }
    uint8_t address[256] = {0};
    uint8_t length = head[3] == 1 ? 4 : 16;
    if ((head[3] == 3 && !side_read_all(client, &length, 1)) ||
        !side_read_all(client, address, length) || !side_read_all(client, methods, 2)) {
        return false;
    }
    char host[256];
    if (head[3] == 3) {
        (void)snprintf(host, sizeof host, "%s", (const char *)address);
    } else {
        assert_non_null(inet_ntop(head[3] == 1 ? AF_INET : AF_INET6, address, host, sizeof host));
    }
    char target[320];
    (void)snprintf(target, sizeof target, head[3] == 4 ? "[%s]:%u" : "%s:%u", host,
                   (unsigned)methods[0] << 8 | methods[1]);
    proxy_note(proxy, target, "");
    *ret_world_fd = proxy->reply == 0 ? proxy_connect(proxy) : -1;
    const uint8_t reply[10] = {5, proxy->reply, 0, 1};
    return side_write(client, reply, sizeof reply) && *ret_world_fd >= 0;
}

static inline bool proxy_accept_tls(struct proxy *proxy, struct side *client)
{
    if (proxy->tls == NULL) {
        return true;
    }
    client->ssl = SSL_new(proxy->tls);
    SSL_set_fd(client->ssl, client->fd);
    if (SSL_accept(client->ssl) != 1) {
        return false;
    }
    X509 *certificate = SSL_get1_peer_certificate(client->ssl);
    if (certificate != NULL) {
        atomic_fetch_add(&proxy->client_certificates, 1);
        X509_free(certificate);
    }
    return true;
}

/* For raw_server_start; the context is the proxy. */
static inline void serve_proxy(struct raw_server *raw, int fd, void *context)
{
    struct proxy *proxy = context;
    struct side client = {.fd = fd};
    struct side world = {.fd = -1};
    (void)raw;
    if (proxy_accept_tls(proxy, &client)) {
        bool stands = proxy->is_socks ? proxy_serve_socks(proxy, &client, &world.fd)
                                      : proxy_serve_connect(proxy, &client, &world.fd);
        if (stands) {
            atomic_fetch_add(&proxy->tunnels, 1);
            proxy_relay(&client, &world);
        } else {
            (void)shutdown(fd, SHUT_WR);
            (void)raw_server_wait_end(fd, -1);
        }
    }
    if (world.fd >= 0) {
        close(world.fd);
    }
    SSL_free(client.ssl);
}

static inline void proxy_target(struct proxy *proxy, char target[320])
{
    pthread_mutex_lock(&proxy->mutex);
    (void)snprintf(target, 320, "%s", proxy->target);
    pthread_mutex_unlock(&proxy->mutex);
}

static inline void proxy_head(struct proxy *proxy, char head[2048])
{
    pthread_mutex_lock(&proxy->mutex);
    (void)snprintf(head, 2048, "%s", proxy->head);
    pthread_mutex_unlock(&proxy->mutex);
}

/* --- a sink, its proxy, and the world ----------------------------------------------------------
 */

static char ok_answer[] = OK_ANSWER;

/* One public name, and addresses that tests choose; "lost.test" has none. */
struct names {
    pthread_mutex_t mutex;
    const char *addresses;
};

#define NAMES_INIT(text)                                                                           \
    {                                                                                              \
        .mutex = PTHREAD_MUTEX_INITIALIZER, .addresses = (text)                                    \
    }
#define PUBLIC "93.184.216.34"

static inline bool look_up_name(void *context, const char *host, char *ret_text, size_t text_size)
{
    struct names *names = context;
    if (strcmp(host, "lost.test") == 0) {
        (void)snprintf(ret_text, text_size, "could not look up lost.test: no such name");
        return false;
    }
    pthread_mutex_lock(&names->mutex);
    bool is_proxy = strcmp(host, "proxy.test") == 0;
    (void)snprintf(ret_text, text_size, "%s", is_proxy ? "127.0.0.1" : names->addresses);
    pthread_mutex_unlock(&names->mutex);
    return true;
}

static inline void names_set(struct names *names, const char *addresses)
{
    pthread_mutex_lock(&names->mutex);
    names->addresses = addresses;
    pthread_mutex_unlock(&names->mutex);
}

/* A proxy, a receiver behind it, and a sink that may reach the proxy's address only. */
struct stage {
    struct names names;
    struct resolver_options resolver;
    struct proxy proxy;
    struct raw_server *proxy_server;
    struct raw_server *world;
    struct rig rig;
    struct cidr_set proxy_subnet;
    char proxy_url[URL_MAX];
    struct sink_policy policy;
};

enum kind { PLAIN, SOCKS };

static inline void stage_init_with(struct stage *stage, enum kind kind, const char *addresses,
                                   const struct rig_options *options, raw_server_function *world,
                                   void *context)
{
    memset(stage, 0, sizeof *stage);
    stage->names = (struct names)NAMES_INIT(addresses);
    stage->resolver =
        (struct resolver_options){.lookup = look_up_name, .context = &stage->names, .keep_us = 1};
    stage->proxy = (struct proxy){.mutex = PTHREAD_MUTEX_INITIALIZER, .is_socks = kind == SOCKS};
    stage->world = raw_server_start(world, context);
    stage->proxy.port = raw_server_port(stage->world);
    stage->proxy_server = raw_server_start(serve_proxy, &stage->proxy);
    struct rig_options complete = options != NULL ? *options : (struct rig_options){0};
    complete.resolver = &stage->resolver;
    rig_init(&stage->rig, &complete);
    if (!complete.is_guarded) {
        assert_int_equal(cidr_set_parse(SLICE_LITERAL("127.0.0.1/32"), "allow_subnets", NULL,
                                        &stage->proxy_subnet),
                         PH_OK);
        sink_http_set_allow_subnets(stage->rig.sink, &stage->proxy_subnet);
    }
    (void)snprintf(stage->proxy_url, sizeof stage->proxy_url, "%s://127.0.0.1:%u",
                   kind == SOCKS ? "socks5h" : "http", raw_server_port(stage->proxy_server));
    stage->policy = (struct sink_policy){.proxy = slice_of(stage->proxy_url)};
    sink_policy_identify(&stage->policy);
}

static inline void stage_init(struct stage *stage, enum kind kind, const char *addresses)
{
    stage_init_with(stage, kind, addresses, NULL, answer_text, ok_answer);
}

static inline void stage_done(struct stage *stage)
{
    rig_stop(&stage->rig);
    raw_server_stop(stage->proxy_server);
    raw_server_stop(stage->world);
    cidr_set_done(&stage->proxy_subnet);
}

/* One POST through the stage's policy. */
static inline void call(struct stage *stage, const char *url, struct outcome *outcome)
{
    struct sink_request request = request_of(url, outcome);
    request.policy = &stage->policy;
    exchange(&stage->rig, &request);
    assert_null(strstr(outcome->error_text, "hidden"));
}

static inline void set_proxy(struct stage *stage, const char *url)
{
    (void)snprintf(stage->proxy_url, sizeof stage->proxy_url, "%s", url);
    stage->policy = (struct sink_policy){.proxy = slice_of(stage->proxy_url)};
    sink_policy_identify(&stage->policy);
}

static inline void expect(const struct outcome *outcome, enum attempt_failure failure,
                          const char *words)
{
    if (outcome->failure != failure || strstr(outcome->error_text, words) == NULL) {
        print_error("failure %d, \"%s\"\n", (int)outcome->failure, outcome->error_text);
    }
    assert_int_equal(outcome->failure, failure);
    assert_int_equal(outcome->status_code, failure == ATTEMPT_ANSWERED ? 200 : 0);
    assert_non_null(strstr(outcome->error_text, words));
}

static inline void assert_target(struct stage *stage, const char *wanted)
{
    char target[320];
    proxy_target(&stage->proxy, target);
    assert_string_equal(target, wanted);
}

#endif
