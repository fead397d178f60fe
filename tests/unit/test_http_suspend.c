/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that another thread answers, clients that go away meanwhile, and stopping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/server.h"
#include "unit/http_client.h"

#define PARKED_MAX 256

/* What handlers hand over, in order of arrival. */
struct desk {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct http_request *parked[PARKED_MAX];
    size_t count;
    size_t taken;
    bool is_closed;
};

static void desk_init(struct desk *desk)
{
    *desk = (struct desk){.count = 0};
    assert_int_equal(pthread_mutex_init(&desk->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&desk->changed, NULL), 0);
}

static void desk_done(struct desk *desk)
{
    (void)pthread_mutex_destroy(&desk->lock);
    (void)pthread_cond_destroy(&desk->changed);
}

static void desk_put(struct desk *desk, struct http_request *request)
{
    (void)pthread_mutex_lock(&desk->lock);
    PH_ASSERT(desk->count < PARKED_MAX);
    desk->parked[desk->count++] = request;
    (void)pthread_cond_broadcast(&desk->changed);
    (void)pthread_mutex_unlock(&desk->lock);
}

/* Waits for the next one; NULL after desk_close. */
static struct http_request *desk_take(struct desk *desk)
{
    struct http_request *request = NULL;
    (void)pthread_mutex_lock(&desk->lock);
    while (desk->taken == desk->count && !desk->is_closed) {
        (void)pthread_cond_wait(&desk->changed, &desk->lock);
    }
    if (desk->taken < desk->count) {
        request = desk->parked[desk->taken++];
        if (desk->taken == desk->count) {
            desk->taken = 0;
            desk->count = 0;
        }
    }
    (void)pthread_mutex_unlock(&desk->lock);
    return request;
}

static void desk_close(struct desk *desk)
{
    (void)pthread_mutex_lock(&desk->lock);
    desk->is_closed = true;
    (void)pthread_cond_broadcast(&desk->changed);
    (void)pthread_mutex_unlock(&desk->lock);
}

static void handle_park(struct http_request *request)
{
    http_suspend(request);
    desk_put(http_context(request), request);
}

static void handle_now(struct http_request *request)
{
    http_respond_empty(request, 204);
}

/* Suspends and answers on the same thread: the queue that it wanted to use was full. */
static void handle_turned_down(struct http_request *request)
{
    struct diag diag;
    http_suspend(request);
    (void)diag_set(&diag, PH_BUSY, NULL, "the queue is full");
    http_respond_error(request, &diag);
}

static const struct http_route routes[] = {
    {HTTP_POST, "/park/{name}", handle_park, 1000, NULL},
    {HTTP_GET, "/now", handle_now, 0, NULL},
    {HTTP_GET, "/down", handle_turned_down, 0, NULL},
};

static void answer(struct http_request *request)
{
    BUF_AUTO struct buf body;
    buf_init(&body, 4096);
    buf_append_slice(&body, http_param(request, "name"));
    buf_append_text(&body, ":");
    buf_append_slice(&body, http_body(request));
    buf_append_text(&body, ":");
    buf_append_slice(&body, http_header(request, "x-thing"));
    http_add_header(request, "X-Answered", "later");
    http_respond(request, 202, "text/plain", &body);
}

static void *answer_all(void *context)
{
    struct http_request *request;
    while ((request = desk_take(context)) != NULL) {
        answer(request);
    }
    return NULL;
}

static struct http_server *start(struct desk *desk, unsigned threads)
{
    desk_init(desk);
    struct http_server_options options = server_options();
    options.routes = routes;
    options.route_count = PH_ARRAY_LENGTH(routes);
    options.threads = threads;
    options.context = desk;
    return start_http_server(&options);
}

static const char park[] = "POST /park/a HTTP/1.1\r\nHost: x\r\nX-Thing: t\r\n"
                           "Content-Length: 4\r\n\r\nbody";

static void test_another_thread_answers(void **state)
{
    (void)state;
    struct desk desk;
    struct http_server *server = start(&desk, 2);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, answer_all, &desk), 0);
    int fds[8];
    for (size_t i = 0; i < PH_ARRAY_LENGTH(fds); i++) {
        fds[i] = client_connect(http_server_address(server, 0));
    }
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < PH_ARRAY_LENGTH(fds); i++) {
            /* Two in one packet: the second waits until the first is answered. */
            assert_true(client_send_text(fds[i], park));
            assert_true(client_send_text(fds[i], "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"));
        }
        for (size_t i = 0; i < PH_ARRAY_LENGTH(fds); i++) {
            struct reply *reply = client_read(fds[i], false);
            assert_int_equal(reply->status, 202);
            assert_string_equal(reply->body, "a:body:t");
            assert_string_equal(reply_header(reply, "x-answered"), "later");
            free(reply);
            reply = client_read(fds[i], false);
            assert_int_equal(reply->status, 204);
            free(reply);
        }
    }
    for (size_t i = 0; i < PH_ARRAY_LENGTH(fds); i++) {
        (void)close(fds[i]);
    }
    desk_close(&desk);
    assert_int_equal(pthread_join(thread, NULL), 0);
    http_server_stop(server, 1000);
    desk_done(&desk);
}

static void test_the_handler_may_answer_after_suspending(void **state)
{
    (void)state;
    struct desk desk;
    struct http_server *server = start(&desk, 1);
    struct reply *reply =
        client_ask(http_server_address(server, 0), "GET /down HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(reply->status, 503);
    free(reply);
    http_server_stop(server, 1000);
    desk_done(&desk);
}

/* A client that is gone: by a proper end, and by a reset. */
static void test_clients_may_vanish(void **state)
{
    (void)state;
    struct desk desk;
    struct http_server *server = start(&desk, 1);
    for (int round = 0; round < 10; round++) {
        int fd = client_connect(http_server_address(server, 0));
        if (round % 2 == 1) {
            struct linger reset = {1, 0};
            assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
        }
        assert_true(client_send_text(fd, park));
        struct http_request *request = desk_take(&desk);
        (void)close(fd);
        answer(request);
    }
    struct reply *reply =
        client_ask(http_server_address(server, 0), "GET /now HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(reply->status, 204);
    free(reply);
    http_server_stop(server, 1000);
    desk_done(&desk);
}

struct stopping {
    struct http_server *server;
    int64_t drain_ms;
};

static void *stop(void *context)
{
    struct stopping *stopping = context;
    http_server_stop(stopping->server, stopping->drain_ms);
    return NULL;
}

static bool refuses_connections(void *context)
{
    int port = *(int *)context;
    char address[32];
    (void)snprintf(address, sizeof address, "127.0.0.1:%d", port);
    struct http_server_options options = server_options();
    const char *addresses[] = {address};
    struct http_server *server = NULL;
    struct diag diag;
    if (http_server_start(&options, addresses, 1, &diag, &server) != PH_OK) {
        return false; /* the port is taken still */
    }
    http_server_stop(server, 0);
    return true;
}

static void test_stopping_waits_for_suspended_requests(void **state)
{
    (void)state;
    struct desk desk;
    struct stopping stopping = {start(&desk, 1), WAIT_MS};
    const char *address = http_server_address(stopping.server, 0);
    int port = (int)strtol(strchr(address, ':') + 1, NULL, 10);
    int fd = client_connect(address);
    assert_true(client_send_text(fd, park));
    struct http_request *request = desk_take(&desk);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop, &stopping), 0);
    wait_for(refuses_connections, &port);
    answer(request);
    struct reply *reply = client_read(fd, false);
    assert_int_equal(reply->status, 202);
    assert_string_equal(reply_header(reply, "connection"), "close");
    free(reply);
    assert_true(client_is_closed(fd));
    (void)close(fd);
    assert_int_equal(pthread_join(thread, NULL), 0);
    desk_done(&desk);
}

/* The owner answers when the server is long gone; what it reads from the request still stands. */
static void test_stopping_gives_up_after_the_drain_time(void **state)
{
    (void)state;
    struct desk desk;
    struct http_server *server = start(&desk, 2);
    int fds[4];
    struct http_request *requests[4];
    for (size_t i = 0; i < PH_ARRAY_LENGTH(fds); i++) {
        fds[i] = client_connect(http_server_address(server, 0));
        assert_true(client_send_text(fds[i], park));
        requests[i] = desk_take(&desk);
    }
    (void)close(fds[0]);
    int64_t begin_us = clock_boot_us();
    http_server_stop(server, 50);
    int64_t duration_us = clock_boot_us() - begin_us;
    assert_true(duration_us >= 50 * CLOCK_US_PER_MS && duration_us < 900 * CLOCK_US_PER_MS);
    for (size_t i = 1; i < PH_ARRAY_LENGTH(fds); i++) {
        struct reply *reply = client_read(fds[i], false);
        assert_int_equal(reply->status, 503);
        assert_string_equal(reply_header(reply, "retry-after"), "1");
        free(reply);
        assert_true(client_is_closed(fds[i]));
        (void)close(fds[i]);
    }
    for (size_t i = 0; i < PH_ARRAY_LENGTH(requests); i++) {
        assert_true(slice_equal_text(http_body(requests[i]), "body"));
        assert_true(slice_equal_text(http_header(requests[i], "X-THING"), "t"));
        assert_true(slice_equal_text(http_param(requests[i], "name"), "a"));
        answer(requests[i]);
    }
    desk_done(&desk);
}

/* Owners that answer while the server stops: whoever is first wins, nothing is answered twice. */
static void test_stopping_while_answers_come(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct desk desk;
        struct http_server *server = start(&desk, 2);
        int fds[32];
        for (size_t i = 0; i < PH_ARRAY_LENGTH(fds); i++) {
            fds[i] = client_connect(http_server_address(server, 0));
            assert_true(client_send_text(fds[i], park));
        }
        /* Some are parked already, others still come in while the server stops. */
        struct http_request *first = desk_take(&desk);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, answer_all, &desk), 0);
        http_server_stop(server, 0);
        answer(first);
        for (size_t i = 0; i < PH_ARRAY_LENGTH(fds); i++) {
            (void)close(fds[i]);
        }
        desk_close(&desk);
        assert_int_equal(pthread_join(thread, NULL), 0);
        desk_done(&desk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_thread_answers),
        cmocka_unit_test(test_the_handler_may_answer_after_suspending),
        cmocka_unit_test(test_clients_may_vanish),
        cmocka_unit_test(test_stopping_waits_for_suspended_requests),
        cmocka_unit_test(test_stopping_gives_up_after_the_drain_time),
        cmocka_unit_test(test_stopping_while_answers_come),
    };
    return cmocka_run_group_tests_name("http_suspend", tests, NULL, NULL);
}
