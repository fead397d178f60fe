/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile requests, byte by byte; slow clients; too many clients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/server.h"
#include "unit/http_client.h"

static void handle(struct http_request *request)
{
    BUF_AUTO struct buf body;
    buf_init(&body, 1 << 16);
    buf_append_slice(&body, http_param(request, "name"));
    buf_append_text(&body, "|");
    buf_append_slice(&body, http_body(request));
    http_respond(request, 200, "text/plain", &body);
}

static const struct http_route routes[] = {
    {HTTP_GET, "/{name}", handle, 0, NULL},
    {HTTP_POST, "/{name}", handle, 1000, NULL},
};

static struct http_server_options options(void)
{
    struct http_server_options value = server_options();
    value.routes = routes;
    value.route_count = PH_ARRAY_LENGTH(routes);
    return value;
}

struct hostile {
    const char *bytes;
    size_t length;
    int status; /* 0 = cut without an answer */
};

#define CASE(status, text)                                                                         \
    {                                                                                              \
        (text), sizeof(text) - 1, (status)                                                         \
    }
#define POST "POST /a HTTP/1.1\r\nHost: x\r\n"
#define GET "GET /a HTTP/1.1\r\nHost: x\r\n"
/* Would be answered 200 if it were taken for a second request. */
#define SMUGGLED "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

static const struct hostile refused[] = {
    /* Where does the message end? */
    CASE(400, POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
    CASE(400, POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" SMUGGLED),
    CASE(400, POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc" SMUGGLED),
    CASE(400, POST "Content-Length: 3\r\ncontent-length: 0\r\n\r\nabc" SMUGGLED),
    CASE(400, POST "Content-Length: 3, 3\r\n\r\nabc" SMUGGLED),
    CASE(400, POST "Content-Length: +3\r\n\r\nabc" SMUGGLED),
    CASE(400, POST "Content-Length: -1\r\n\r\nabc" SMUGGLED),
    CASE(400, POST "Content-Length: 0x3\r\n\r\nabc" SMUGGLED),
    CASE(400, POST "Content-Length: 3 4\r\n\r\nabc" SMUGGLED),
    CASE(400, POST "Content-Length:\r\n\r\n" SMUGGLED),
    CASE(413, POST "Content-Length: 99999999999999999999\r\n\r\nabc" SMUGGLED),
    CASE(413, POST "Content-Length: 1001\r\n\r\nabc" SMUGGLED),
    CASE(400, POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" SMUGGLED),
    CASE(400, POST "Transfer-Encoding: identity\r\n\r\n" SMUGGLED),
    CASE(400, POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" SMUGGLED),
    CASE(400, POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" SMUGGLED),
    CASE(400,
         POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
    CASE(400, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n" SMUGGLED),
    CASE(400, POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
    CASE(400, POST "Transfer-Encoding:\x0b"
                   "chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
    CASE(400, "POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
    CASE(400, POST "Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n" SMUGGLED),
    CASE(400, POST "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n" SMUGGLED),
    CASE(400, POST "Transfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n" SMUGGLED),
    CASE(400, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n" SMUGGLED),
    CASE(413, POST "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc" SMUGGLED),
    /* Whom is it for? */
    CASE(400, "GET /a HTTP/1.1\r\n\r\n"),
    CASE(400, "GET /a HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /a HTTP/1.1\r\nHost: x\r\nhOsT: y\r\n\r\n"),
    CASE(400, "GET /a HTTP/1.1\r\nHost : x\r\n\r\n"),
    /* Lines. */
    CASE(400, "GET /a HTTP/1.1\nHost: x\n\n"),
    CASE(400, "GET /a HTTP/1.1\r\nHost: x\nX: 1\r\n\r\n"),
    CASE(400, "GET /a HTTP/1.1\r\nHost: x\r\nX: 1\n\r\n"),
    CASE(400, "GET /a HTTP/1.1\r\nHost: x\r\nX: 1\r\n\n"),
    CASE(400, GET "X: a\r\n b\r\n\r\n"),
    CASE(400, GET "X: a\r\n\tContent-Length: 3\r\nY: 1\r\n\r\n"),
    CASE(400, "GET /a HTTP/1.1\r\n Host: x\r\n\r\n"),
    CASE(400, GET "X: a\rb\r\n\r\n"),
    CASE(400, GET "X: a\0b\r\n\r\n"),
    CASE(400, GET "X: a\0b\r\nY: 1\r\n\r\n"),
    CASE(400, GET "X\0: a\r\n\r\n"),
    CASE(400, GET "X: a\x01\r\n\r\n"),
    CASE(400, GET "X: \x1b[31m\r\n\r\n"),
    CASE(400, GET "X: a\x7f\r\n\r\n"),
    CASE(400, GET "X\r\n\r\n"),
    CASE(400, GET ": x\r\n\r\n"),
    CASE(400, GET "X Y: x\r\n\r\n"),
    CASE(400, GET "X@: x\r\n\r\n"),
    CASE(400, GET "X\xc3\xa4: x\r\n\r\n"),
    CASE(400, GET "{X}: x\r\n\r\n"),
    /* The request line. */
    CASE(400, "GET  /a HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /a  HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /a\tb HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /a\x01 HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /a\0 HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET\0 /a HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /a HTTP/1.1\0\r\nHost: x\r\n\r\n"),
    CASE(0, "GET\t/a\tHTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(0, " GET /a HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "G@T /a HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /a\r\n\r\n"),
    CASE(400, "GET /a HTTP/1.2\r\nHost: x\r\n\r\n"),
    CASE(505, "GET /a HTTP/2.0\r\nHost: x\r\n\r\n"),
    CASE(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    CASE(400, "GET * HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET a HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET ../a HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET ftp://x/a HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(0, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    /* Escapes. */
    CASE(400, "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /% HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /%4 HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /%4g HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /%u0041 HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /%c0%ae%c0%ae HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /a?b=%00 HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /a?%zz HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(400, "GET /a?b=%ff HTTP/1.1\r\nHost: x\r\n\r\n"),
};

static const struct hostile served[] = {
    CASE(200, GET "\r\n"),
    CASE(200, "\r\n\r\n" GET "\r\n"),
    CASE(200, GET "X:\r\nY: \r\nZ:  \t spaced \t \r\n\r\n"),
    CASE(200, GET "X: \xc3\xa4\xff\r\n\r\n"),
    CASE(200, GET "Cookie: a=b; c=d\r\nAuthorization: Bearer x\r\n\r\n"),
    CASE(200,
         GET "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n"),
    CASE(200, "GET /a?b&c=&=d&& HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(200, "GET /%2f..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(200, "GET /\xc3\xa4 HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(200, "GET HTTP://x/a HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(200, "GET /a HTTP/1.0\r\n\r\n"),
    CASE(200, POST "Content-Length: 0\r\n\r\n"),
    CASE(200, POST "Content-Length: 003\r\n\r\nabc"),
    CASE(200,
         POST "Transfer-Encoding: CHUNKED\r\n\r\n03;ext=\"1\"\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"),
    CASE(404, "GET /.. HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(404, "GET /%2e%2e HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(404, "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"),
    CASE(405, "get /a HTTP/1.1\r\nHost: x\r\n\r\n"),
};

/* Everything up to the end of the stream; the connection must end by itself. */
static size_t read_all(int fd, char *ret_bytes, size_t capacity)
{
    size_t length = 0;
    for (;;) {
        struct pollfd wanted = {fd, POLLIN, 0};
        assert_int_equal(poll(&wanted, 1, WAIT_MS), 1);
        ssize_t got = recv(fd, ret_bytes + length, capacity - 1 - length, 0);
        if (got <= 0) {
            ret_bytes[length] = '\0';
            return length;
        }
        length += (size_t)got;
    }
}

static void test_refuses_what_can_be_read_in_two_ways(void **state)
{
    (void)state;
    struct http_server_options wanted = options();
    struct http_server *server = start_http_server(&wanted);
    for (size_t i = 0; i < PH_ARRAY_LENGTH(refused); i++) {
        int fd = client_connect(http_server_address(server, 0));
        (void)client_send(fd, refused[i].bytes, refused[i].length);
        char bytes[8192];
        size_t length = read_all(fd, bytes, sizeof bytes);
        (void)close(fd);
        int status = length == 0 ? 0 : (int)strtol(bytes + 9, NULL, 10);
        if (status != refused[i].status || strstr(bytes, " 200 OK") != NULL) {
            fail_msg("case %zu (%s) gave %s", i, refused[i].bytes, bytes);
        }
    }
    http_server_stop(server, 1000);
}

static void test_serves_what_is_odd_but_valid(void **state)
{
    (void)state;
    struct http_server_options wanted = options();
    struct http_server *server = start_http_server(&wanted);
    for (size_t i = 0; i < PH_ARRAY_LENGTH(served); i++) {
        int fd = client_connect(http_server_address(server, 0));
        (void)client_send(fd, served[i].bytes, served[i].length);
        struct reply *reply = client_read(fd, false);
        if (reply->status != served[i].status) {
            fail_msg("case %zu (%s) gave %d %s", i, served[i].bytes, reply->status, reply->body);
        }
        free(reply);
        (void)close(fd);
    }
    http_server_stop(server, 1000);
}

static int ask_with_header(const struct http_server *server, size_t count, size_t length)
{
    BUF_AUTO struct buf text;
    buf_init(&text, 1 << 20);
    buf_append_text(&text, GET);
    for (size_t i = 0; i < count; i++) {
        buf_append_format(&text, "X-%zu: ", i);
        for (size_t k = 0; k < length; k++) {
            buf_append_byte(&text, 'v');
        }
        buf_append_text(&text, "\r\n");
    }
    buf_append_text(&text, "\r\n");
    int fd = client_connect(http_server_address(server, 0));
    (void)client_send(fd, buf_text(&text), text.len);
    char head[16] = "";
    struct pollfd wanted = {fd, POLLIN, 0};
    assert_int_equal(poll(&wanted, 1, WAIT_MS), 1);
    ssize_t got = recv(fd, head, sizeof head - 1, 0);
    (void)close(fd);
    return got < 12 ? 0 : (int)strtol(head + 9, NULL, 10);
}

static void test_limits_the_head(void **state)
{
    (void)state;
    struct http_server_options wanted = options();
    struct http_server *server = start_http_server(&wanted);
    assert_int_equal(ask_with_header(server, 1, 8000), 200);
    assert_int_equal(ask_with_header(server, 1, 20000), 200);
    assert_int_equal(ask_with_header(server, 100, 10), 200);
    assert_int_equal(ask_with_header(server, 1, 40000), 431);
    assert_int_equal(ask_with_header(server, 5000, 10), 431);
    http_server_stop(server, 1000);
}

/* Sends `head`, then a byte every few milliseconds, until the server ends the connection. */
static int64_t drip(const struct http_server *server, const char *head)
{
    int64_t begin_us = clock_boot_us(); /* not later than the server's own */
    int fd = client_connect(http_server_address(server, 0));
    assert_true(client_send_text(fd, head));
    struct pollfd wanted = {fd, POLLIN, 0};
    while (poll(&wanted, 1, 10) == 0) {
        assert_true(clock_boot_us() - begin_us < WAIT_MS * CLOCK_US_PER_MS);
        (void)client_send(fd, "x", 1);
    }
    char byte;
    assert_true(recv(fd, &byte, 1, 0) <= 0); /* no answer, just the end */
    (void)close(fd);
    return clock_boot_us() - begin_us;
}

static void test_cuts_slow_clients(void **state)
{
    (void)state;
    static const int64_t limit_us = 200 * CLOCK_US_PER_MS;
    struct http_server_options wanted = options();
    wanted.header_timeout_ms = 200;
    struct http_server *server = start_http_server(&wanted);
    /* This one only waits between its requests, so the others' fate is not its own. */
    int patient = client_connect(http_server_address(server, 0));
    assert_true(client_send_text(patient, GET "\r\n"));
    free(client_read(patient, false));
    assert_true(drip(server, "") >= limit_us);
    assert_true(drip(server, "GET /a") >= limit_us);
    assert_true(drip(server, GET "X: ") >= limit_us);
    assert_true(client_send_text(patient, GET "\r\n"));
    struct reply *reply = client_read(patient, false);
    assert_int_equal(reply->status, 200);
    free(reply);
    (void)close(patient);
    http_server_stop(server, 1000);

    wanted = options();
    wanted.body_timeout_ms = 200;
    server = start_http_server(&wanted);
    assert_true(drip(server, POST "Content-Length: 1000\r\n\r\n") >= limit_us);
    assert_true(drip(server, POST "Transfer-Encoding: chunked\r\n\r\n3e8\r\n") >= limit_us);
    http_server_stop(server, 1000);
}

struct counted {
    struct metrics *metrics;
    int64_t connections;
};

static bool has_connections(void *context)
{
    const struct counted *counted = context;
    return metrics_get(counted->metrics, METRIC_HTTP_CONNECTIONS) == counted->connections;
}

static void check_limit(struct http_server_options *wanted)
{
    struct metrics metrics;
    metrics_init(&metrics);
    wanted->metrics = &metrics;
    struct http_server *server = start_http_server(wanted);
    const char *address = http_server_address(server, 0);
    int fds[2];
    for (size_t i = 0; i < PH_ARRAY_LENGTH(fds); i++) {
        fds[i] = client_connect(address);
    }
    for (int round = 0; round < 2; round++) {
        struct reply *reply = client_ask(address, GET "\r\n");
        assert_int_equal(reply->status, 503);
        assert_string_equal(reply_header(reply, "retry-after"), "1");
        assert_string_equal(reply_header(reply, "connection"), "close");
        assert_non_null(strstr(reply->body, "\"code\":\"service_unavailable\""));
        free(reply);
    }
    assert_int_equal(metrics_get(&metrics, METRIC_HTTP_CONNECTIONS_REFUSED), 2);
    (void)close(fds[0]);
    wait_for(has_connections, &(struct counted){&metrics, 1});
    struct reply *reply = client_ask(address, GET "\r\n");
    assert_int_equal(reply->status, 200);
    free(reply);
    (void)close(fds[1]);
    wait_for(has_connections, &(struct counted){&metrics, 0});
    http_server_stop(server, 1000);
}

static void test_turns_clients_away_beyond_the_limit(void **state)
{
    (void)state;
    struct http_server_options wanted = options();
    wanted.connections_max = 2;
    wanted.threads = 2;
    check_limit(&wanted);
}

static void test_turns_clients_of_one_address_away(void **state)
{
    (void)state;
    struct http_server_options wanted = options();
    wanted.connections_per_address_max = 2;
    check_limit(&wanted);
}

static void test_does_not_count_a_trusted_proxy(void **state)
{
    (void)state;
    static const char *const proxies[] = {"127.0.0.1"};
    struct http_server_options wanted = options();
    wanted.connections_per_address_max = 1;
    wanted.trusted_proxies = proxies;
    wanted.trusted_proxy_count = 1;
    struct http_server *server = start_http_server(&wanted);
    int fd = client_connect(http_server_address(server, 0));
    struct reply *reply = client_ask(http_server_address(server, 0), GET "\r\n");
    assert_int_equal(reply->status, 200);
    free(reply);
    (void)close(fd);
    http_server_stop(server, 1000);
}

static bool is_answered(struct http_server *server, const char *head, int status)
{
    struct reply *reply = client_ask(http_server_address(server, 0), head);
    bool is_right = reply->status == status;
    free(reply);
    return is_right;
}

struct probe {
    struct http_server *server;
    const char *head;
};

static bool is_served(void *context)
{
    const struct probe *probe = context;
    return is_answered(probe->server, probe->head, 200);
}

/* What a client has in progress counts, whatever the proxy keeps open. */
static void test_counts_the_clients_behind_a_proxy(void **state)
{
    (void)state;
    static const char *const proxies[] = {"127.0.0.1"};
    static const char first[] = GET "X-Forwarded-For: 192.0.2.1\r\n\r\n";
    struct http_server_options wanted = options();
    wanted.connections_per_address_max = 1;
    wanted.trusted_proxies = proxies;
    wanted.trusted_proxy_count = 1;
    struct http_server *server = start_http_server(&wanted);
    int fd = client_connect(http_server_address(server, 0));
    assert_true(client_send_text(fd, POST "X-Forwarded-For: 192.0.2.1\r\nExpect: 100-continue\r\n"
                                          "Content-Length: 2\r\n\r\n"));
    struct reply *reply = client_read(fd, false);
    assert_int_equal(reply->status, 100); /* the head was read, so it is counted */
    free(reply);
    assert_true(is_answered(server, first, 503));
    assert_true(is_answered(server, GET "X-Forwarded-For: 192.0.2.2\r\n\r\n", 200));
    assert_true(client_send_text(fd, "ab"));
    reply = client_read(fd, false);
    assert_int_equal(reply->status, 200);
    free(reply);
    wait_for(is_served, &(struct probe){server, first});
    (void)close(fd);
    http_server_stop(server, 1000);
}

/* New limits and proxies hold for what comes next, on kept connections too. */
static void test_takes_new_settings_while_running(void **state)
{
    (void)state;
    static const char *const proxies[] = {"127.0.0.0/8"};
    struct http_server_options wanted = options();
    struct diag diag;
    struct http_server *server = start_http_server(&wanted);
    const char *address = http_server_address(server, 0);
    int kept = client_connect(address);
    assert_true(client_send_text(kept, GET "\r\n"));
    free(client_read(kept, false));

    wanted.connections_max = 1;
    wanted.idle_timeout_s = 1;
    assert_int_equal(http_server_reload(server, &wanted, &diag), PH_OK);
    assert_true(is_answered(server, GET "\r\n", 503));
    int64_t begin_us = clock_boot_us();
    assert_true(client_send_text(kept, GET "\r\n"));
    struct reply *reply = client_read(kept, false);
    assert_int_equal(reply->status, 200);
    free(reply);
    assert_true(client_is_closed(kept)); /* before the 30 s that it was accepted with */
    assert_true(clock_boot_us() - begin_us < WAIT_MS * CLOCK_US_PER_MS);
    (void)close(kept);

    wanted.connections_max = 100;
    wanted.header_timeout_ms = 200;
    wanted.connections_per_address_max = 1;
    wanted.trusted_proxies = proxies;
    wanted.trusted_proxy_count = 1;
    assert_int_equal(http_server_reload(server, &wanted, &diag), PH_OK);
    int slow = client_connect(address);
    assert_true(client_is_closed(slow));
    (void)close(slow);
    static const char *const bad[] = {"10.0.0.0/33"};
    wanted.trusted_proxies = bad;
    assert_int_equal(http_server_reload(server, &wanted, &diag), PH_INVALID);
    assert_true(is_answered(server, GET "X-Forwarded-For: 192.0.2.2\r\n\r\n", 200));
    http_server_stop(server, 1000);
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    return count;
}

static int group_set_up(void **state)
{
    static size_t count;
    count = open_descriptors();
    *state = &count;
    return 0;
}

static int group_tear_down(void **state)
{
    return open_descriptors() == *(size_t *)*state ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuses_what_can_be_read_in_two_ways),
        cmocka_unit_test(test_serves_what_is_odd_but_valid),
        cmocka_unit_test(test_limits_the_head),
        cmocka_unit_test(test_cuts_slow_clients),
        cmocka_unit_test(test_turns_clients_away_beyond_the_limit),
        cmocka_unit_test(test_turns_clients_of_one_address_away),
        cmocka_unit_test(test_does_not_count_a_trusted_proxy),
        cmocka_unit_test(test_counts_the_clients_behind_a_proxy),
        cmocka_unit_test(test_takes_new_settings_while_running),
    };
    return cmocka_run_group_tests_name("http_strict", tests, group_set_up, group_tear_down);
}
