/* SPDX-License-Identifier: Apache-2.0 */
/* Large bodies share a room that they cannot outgrow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "http/server.h"
#include "unit/http_client.h"

#define KIB ((size_t)1024)
#define ROOM (256 * KIB)
#define LARGE (200 * KIB)
#define SMALL (60 * KIB)

static void handle_length(struct http_request *request)
{
    BUF_AUTO struct buf body;
    buf_init(&body, 64);
    buf_append_int64(&body, (int64_t)http_body(request).len);
    http_respond(request, 200, "text/plain", &body);
}

static const struct http_route routes[] = {
    {HTTP_POST, "/length", handle_length, 1024 * KIB, NULL},
    {HTTP_POST, "/nothing", handle_length, 0, NULL},
};

struct rig {
    struct http_server *server;
    struct metrics metrics;
    const char *address;
};

static int set_up(void **state)
{
    static struct rig rig;
    struct http_server_options options = server_options();
    metrics_init(&rig.metrics);
    options.routes = routes;
    options.route_count = PH_ARRAY_LENGTH(routes);
    options.body_bytes_max = ROOM;
    options.metrics = &rig.metrics;
    rig.server = start_http_server(&options);
    rig.address = http_server_address(rig.server, 0);
    *state = &rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    http_server_stop(rig->server, WAIT_MS);
    return 0;
}

static bool send_zeros(int fd, size_t length)
{
    static const char block[1024] = {0};
    bool is_sent = true;
    for (size_t sent = 0; is_sent && sent < length; sent += sizeof block) {
        is_sent = client_send(fd, block, sizeof block);
    }
    return is_sent;
}

static void send_head(int fd, size_t length)
{
    char head[128];
    (void)snprintf(head, sizeof head,
                   "POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", length);
    assert_true(client_send_text(fd, head));
}

static void check_reply(int fd, int status, const char *body)
{
    struct reply *reply = client_read(fd, false);
    assert_int_equal(reply->status, status);
    assert_string_equal(reply->body, body);
    assert_string_equal(reply_header(reply, "retry-after"), status == 503 ? "1" : "");
    free(reply);
}

#define REFUSED                                                                                    \
    "{\"code\":\"service_unavailable\",\"detail\":\"Too many large requests are being read, try "  \
    "again soon.\"}"

static bool is_held(void *context)
{
    struct rig *rig = context;
    return metrics_get(&rig->metrics, METRIC_HTTP_BODY_BYTES) >= (int64_t)(LARGE - 32 * KIB);
}

static bool is_empty(void *context)
{
    struct rig *rig = context;
    return metrics_get(&rig->metrics, METRIC_HTTP_BODY_BYTES) == 0;
}

/* A client that has sent most of a large body, and goes on later. */
static int hold(struct rig *rig)
{
    wait_for(is_empty, rig);
    int fd = client_connect(rig->address);
    send_head(fd, LARGE);
    assert_true(send_zeros(fd, LARGE - 16 * KIB));
    wait_for(is_held, rig);
    return fd;
}

static void let_go(struct rig *rig, int fd)
{
    assert_true(send_zeros(fd, 16 * KIB));
    check_reply(fd, 200, "204800");
    (void)close(fd);
    wait_for(is_empty, rig); /* the answer comes first, then the room */
}

static void test_a_large_body_finds_no_room(void **state)
{
    struct rig *rig = *state;
    int64_t refused = metrics_get(&rig->metrics, METRIC_HTTP_BODIES_REFUSED);
    int held = hold(rig);
    int fd = client_connect(rig->address);
    send_head(fd, LARGE); /* refused before it is sent */
    check_reply(fd, 503, REFUSED);
    (void)close(fd);
    assert_int_equal(metrics_get(&rig->metrics, METRIC_HTTP_BODIES_REFUSED), refused + 1);
    fd = client_connect(rig->address);
    send_head(fd, SMALL); /* small ones are not counted */
    assert_true(send_zeros(fd, SMALL));
    check_reply(fd, 200, "61440");
    let_go(rig, held);
    wait_for(is_empty, rig);
    send_head(fd, LARGE);
    assert_true(send_zeros(fd, LARGE));
    check_reply(fd, 200, "204800");
    (void)close(fd);
}

static void send_chunk(int fd, size_t length)
{
    char head[32];
    (void)snprintf(head, sizeof head, "%zx\r\n", length);
    assert_true(client_send_text(fd, head));
    assert_true(send_zeros(fd, length));
    assert_true(client_send_text(fd, "\r\n"));
}

/* Its length is not known before: what has come is let go, the rest is read and not kept. */
static void test_a_body_outgrows_the_room_on_its_way(void **state)
{
    struct rig *rig = *state;
    int held = hold(rig);
    int fd = client_connect(rig->address);
    assert_true(client_send_text(
        fd, "POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for (int chunk = 0; chunk < 10; chunk++) {
        send_chunk(fd, 32 * KIB);
    }
    assert_true(client_send_text(fd, "0\r\n\r\n"));
    check_reply(fd, 503, REFUSED);
    let_go(rig, held);
    /* The connection lives on. */
    send_head(fd, LARGE);
    assert_true(send_zeros(fd, LARGE));
    check_reply(fd, 200, "204800");
    (void)close(fd);
}

static void test_a_client_that_goes_leaves_the_room(void **state)
{
    struct rig *rig = *state;
    (void)close(hold(rig));
    wait_for(is_empty, rig);
}

/* Only bytes that have come are counted, so that heads alone hold nothing. */
static void test_promises_hold_no_room(void **state)
{
    struct rig *rig = *state;
    int promised[4];
    wait_for(is_empty, rig);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(promised); index++) {
        promised[index] = client_connect(rig->address);
        send_head(promised[index], LARGE);
        assert_true(send_zeros(promised[index], KIB));
    }
    int fd = client_connect(rig->address);
    send_head(fd, LARGE);
    assert_true(send_zeros(fd, LARGE));
    check_reply(fd, 200, "204800");
    (void)close(fd);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(promised); index++) {
        (void)close(promised[index]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_large_body_finds_no_room),
        cmocka_unit_test(test_a_body_outgrows_the_room_on_its_way),
        cmocka_unit_test(test_a_client_that_goes_leaves_the_room),
        cmocka_unit_test(test_promises_hold_no_room),
    };
    return cmocka_run_group_tests_name("http_body", tests, set_up, tear_down);
}
