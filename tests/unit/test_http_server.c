/* SPDX-License-Identifier: Apache-2.0 */
/* What handlers see and what well-behaved clients get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "http/server.h"
#include "unit/http_client.h"

#define BODY_MAX ((size_t)1000)

static void respond_text(struct http_request *request, int status, const char *text)
{
    BUF_AUTO struct buf body;
    buf_init(&body, 1 << 20);
    buf_append_text(&body, text);
    http_respond(request, status, "text/plain", &body);
}

static void handle_params(struct http_request *request)
{
    BUF_AUTO struct buf body;
    buf_init(&body, 1 << 16);
    buf_append_slice(&body, http_param(request, "one"));
    buf_append_text(&body, "|");
    buf_append_slice(&body, http_param(request, "two"));
    buf_append_text(&body, "|");
    buf_append_slice(&body, http_path(request));
    http_respond(request, 200, "text/plain", &body);
}

static void handle_query(struct http_request *request)
{
    BUF_AUTO struct buf body;
    buf_init(&body, 1 << 16);
    struct slice name;
    struct slice value;
    for (size_t i = 0; http_query_at(request, i, &name, &value); i++) {
        buf_append_format(&body, "[%.*s=%.*s]", SLICE_ARG(name), SLICE_ARG(value));
    }
    struct slice second = http_query(request, "a", 1);
    buf_append_text(&body, second.ptr == NULL ? " none" : " second=");
    buf_append_slice(&body, second);
    buf_append_text(&body, http_query(request, "nothing", 0).ptr == NULL ? " absent " : " there ");
    buf_append_slice(&body, http_query_text(request));
    http_respond(request, 200, "text/plain", &body);
}

static void handle_echo(struct http_request *request)
{
    BUF_AUTO struct buf body;
    buf_init(&body, 1 << 20);
    buf_append_slice(&body, http_body(request));
    buf_append_text(&body, http_method_of(request) == HTTP_PUT ? " by put" : "");
    http_respond(request, 200, "text/plain", &body);
}

static void handle_headers(struct http_request *request)
{
    BUF_AUTO struct buf body;
    buf_init(&body, 1 << 16);
    struct slice value = http_header(request, "X-Thing");
    buf_append_text(&body, value.ptr == NULL ? "absent" : "=");
    buf_append_slice(&body, value);
    buf_append_format(&body, " peer=%s", http_peer(request));
    http_add_header(request, "X-Answer", "yes\r\nX-Injected: no");
    http_respond(request, 200, "text/plain", &body);
}

static void handle_empty(struct http_request *request)
{
    assert_ptr_equal(http_route_of(request)->data, "empty");
    http_respond_empty(request, 204);
}

static void handle_error(struct http_request *request)
{
    static const struct {
        const char *name;
        enum ph_error error;
        const char *field;
        const char *text;
        const char *code;
    } rows[] = {
        {"404", PH_NOT_FOUND, NULL, "", ""},
        {"409", PH_CONFLICT, NULL, "the type \"x\" exists", "event_type_exists"},
        {"422", PH_INVALID, "body.eventTypes.[0]", "is too long", ""},
        {"500", PH_STORE, NULL, "a secret inner text", ""},
        {"503", PH_BUSY, NULL, "", ""},
        {"507", PH_STORE_FULL, NULL, "", ""},
        {"403", PH_FORBIDDEN, NULL, "", ""},
    };
    struct slice wanted = http_param(request, "status");
    struct diag diag;
    for (size_t i = 0; i < PH_ARRAY_LENGTH(rows); i++) {
        if (slice_equal_text(wanted, rows[i].name)) {
            (void)diag_set(&diag, rows[i].error, rows[i].field, "%s", rows[i].text);
            diag_code(&diag, rows[i].code);
            http_respond_error(request, &diag);
            return;
        }
    }
    respond_text(request, 200, "no such row");
}

static void handle_overflow(struct http_request *request)
{
    BUF_AUTO struct buf body;
    buf_init(&body, 4);
    buf_append_text(&body, "longer than four");
    http_respond_json(request, 200, &body);
}

static void handle_context(struct http_request *request)
{
    BUF_AUTO struct buf body;
    buf_init(&body, 100);
    const int *counts = http_context(request);
    assert_ptr_equal(http_thread_context(request), http_context(request));
    buf_append_format(&body, "%d started", counts[0]);
    http_respond(request, 200, "text/plain", &body);
}

static const struct http_route routes[] = {
    {HTTP_GET, "/p/{one}/x/{two}", handle_params, 0, NULL},
    {HTTP_GET, "/query", handle_query, 0, NULL},
    {HTTP_POST, "/echo", handle_echo, BODY_MAX, NULL},
    {HTTP_PUT, "/echo", handle_echo, BODY_MAX, NULL},
    {HTTP_GET, "/headers", handle_headers, 0, NULL},
    {HTTP_GET, "/empty", handle_empty, 0, "empty"},
    {HTTP_POST, "/empty", handle_empty, 0, "empty"},
    {HTTP_GET, "/error/{status}", handle_error, 0, NULL},
    {HTTP_GET, "/overflow", handle_overflow, 0, NULL},
    {HTTP_GET, "/context", handle_context, 0, NULL},
};

static int thread_counts[2];

static void *thread_start(void *context)
{
    ((int *)context)[0]++;
    return context;
}

static void thread_stop(void *thread_context, void *context)
{
    assert_ptr_equal(thread_context, context);
    ((int *)context)[1]++;
}

static struct http_server *server;
static const char *address;

static int set_up(void **state)
{
    (void)state;
    static struct metrics metrics;
    metrics_init(&metrics);
    static const char *const proxies[] = {"127.0.0.0/8", "10.1.0.0/16"};
    struct http_server_options options = server_options();
    options.routes = routes;
    options.route_count = PH_ARRAY_LENGTH(routes);
    options.thread_start = thread_start;
    options.thread_stop = thread_stop;
    options.context = thread_counts;
    options.trusted_proxies = proxies;
    options.trusted_proxy_count = PH_ARRAY_LENGTH(proxies);
    options.metrics = &metrics;
    server = start_http_server(&options);
    address = http_server_address(server, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    http_server_stop(server, 1000);
    return thread_counts[0] == 1 && thread_counts[1] == 1 ? 0 : -1;
}

struct exchange {
    const char *request; /* what stands before " HTTP/1.1", then the headers */
    const char *headers;
    int status;
    const char *body; /* NULL = not looked at */
};

static struct reply *exchange_run(const struct exchange *exchange)
{
    BUF_AUTO struct buf text;
    buf_init(&text, 1 << 16);
    buf_append_format(&text, "%s HTTP/1.1\r\nHost: x\r\n%s\r\n", exchange->request,
                      exchange->headers);
    struct reply *reply = client_ask(address, buf_text(&text));
    if (reply->status != exchange->status ||
        (exchange->body != NULL && strcmp(reply->body, exchange->body) != 0)) {
        fail_msg("%s gave %d %s", exchange->request, reply->status, reply->body);
    }
    return reply;
}

static const char not_found[] = "{\"code\":\"not_found\",\"detail\":\"Entity not found\"}";

static const struct exchange exchanges[] = {
    {"GET /p/a/x/b", "", 200, "a|b|/p/a/x/b"},
    {"GET /p/a/x/b/", "", 200, "a|b|/p/a/x/b/"},
    {"GET /p/a%2fb/x/%c3%a4+", "", 200, "a/b|\xc3\xa4+|/p/a%2fb/x/%c3%a4+"},
    {"GET http://other:80/p/a/x/b", "", 200, "a|b|/p/a/x/b"},
    {"GET /p/a/x/b//", "", 404, not_found},
    {"GET /p//x/b", "", 404, not_found},
    {"GET //p/a/x/b", "", 404, not_found},
    {"GET /p/../x/b", "", 404, not_found},
    {"GET /p/%2e%2e/x/b", "", 404, not_found},
    {"GET /./p/a/x/b", "", 404, not_found},
    {"GET /nothing", "", 404, not_found},
    {"GET /1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7", "", 404, not_found},
    {"GET /query", "", 200, " none absent "},
    {"GET /query?a=1&b&a=%32+%2B&&c=x=y", "", 200,
     "[a=1][b=][a=2 +][c=x=y] second=2 + absent a=1&b&a=%32+%2B&&c=x=y"},
    {"GET /query/?%61=", "", 200, "[a=] none absent %61="},
    {"GET /headers", "x-thing:  some\tvalue \r\n", 200, "=some\tvalue peer=127.0.0.1"},
    {"GET /headers", "X-Thing:\r\n", 200, "= peer=127.0.0.1"},
    {"GET /headers", "X-Forwarded-For: 192.0.2.1\r\n", 200, "absent peer=192.0.2.1"},
    {"GET /headers", "X-Forwarded-For: 192.0.2.1, 2001:DB8::1,10.1.2.3\r\n", 200,
     "absent peer=2001:db8::1"},
    {"GET /headers", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 10.1.2.3\r\n", 200,
     "absent peer=192.0.2.1"},
    {"GET /headers", "X-Forwarded-For: nonsense\r\n", 200, "absent peer=127.0.0.1"},
    {"GET /headers", "X-Forwarded-For:\r\n", 200, "absent peer=127.0.0.1"},
    {"GET /headers", "X-Forwarded-For: 192.0.2.1, unknown\r\n", 200, "absent peer=127.0.0.1"},
    {"GET /headers", "X-Forwarded-For: 192.0.2.1, unknown, 10.1.2.3\r\n", 200,
     "absent peer=10.1.2.3"},
    {"GET /headers", "X-Forwarded-For: 10.1.2.3, 10.1.2.4\r\n", 200, "absent peer=10.1.2.3"},
    {"GET /headers", "X-Forwarded-For: 192.0.2.1:4711\r\n", 200, "absent peer=192.0.2.1"},
    {"GET /headers", "X-Forwarded-For: [2001:db8::1]:4711\r\n", 200, "absent peer=2001:db8::1"},
    {"GET /headers", "Forwarded: for=192.0.2.1\r\n", 200, "absent peer=192.0.2.1"},
    {"GET /headers", "Forwarded: proto=http;FOR=\"[2001:db8::1]:47\";by=10.1.2.3\r\n", 200,
     "absent peer=2001:db8::1"},
    {"GET /headers", "Forwarded: for=192.0.2.9, for=192.0.2.1;by=x , for=10.1.2.3\r\n", 200,
     "absent peer=192.0.2.1"},
    {"GET /headers", "Forwarded: for=192.0.2.9\r\nForwarded: for=\"10.1.2.3:80\"\r\n", 200,
     "absent peer=192.0.2.9"},
    {"GET /headers", "Forwarded: for=192.0.2.1;host=\"a,for=192.0.2.8;\\\",\"\r\n", 200,
     "absent peer=192.0.2.1"},
    {"GET /headers", "Forwarded: for=192.0.2.1, for=_hidden\r\n", 200, "absent peer=127.0.0.1"},
    {"GET /headers", "Forwarded: for=192.0.2.1, by=10.1.2.3\r\n", 200, "absent peer=127.0.0.1"},
    {"GET /headers", "Forwarded: for=\"192.0.2.1\r\n", 200, "absent peer=127.0.0.1"},
    {"GET /headers", "Forwarded: for=192.0.2.8\r\nX-Forwarded-For: 192.0.2.1\r\n", 200,
     "absent peer=192.0.2.1"},
    {"GET /empty", "", 204, ""},
    {"GET /overflow", "", 500, "{}"},
    {"GET /error/404", "", 404, not_found},
    {"GET /error/409", "", 409,
     "{\"code\":\"event_type_exists\",\"detail\":\"the type \\\"x\\\" exists\"}"},
    {"GET /error/422", "", 422,
     "{\"detail\":[{\"loc\":[\"body\",\"eventTypes\",\"[0]\"],\"msg\":\"is too long\","
     "\"type\":\"value_error\"}]}"},
    {"GET /error/500", "", 500, "{}"},
    {"GET /context", "", 200, "1 started"},
    {"POST /empty", "Content-Length: 3\r\n", 204, ""},
};

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < PH_ARRAY_LENGTH(exchanges); i++) {
        if (strcmp(exchanges[i].headers, "Content-Length: 3\r\n") != 0) {
            free(exchange_run(&exchanges[i]));
        }
    }
}

static void test_reads_and_ignores_a_body_that_nobody_wants(void **state)
{
    (void)state;
    int fd = client_connect(address);
    assert_true(client_send_text(fd,
                                 "POST /empty HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                                 "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n"));
    for (int i = 0; i < 2; i++) {
        struct reply *reply = client_read(fd, false);
        assert_int_equal(reply->status, 204);
        free(reply);
    }
    (void)close(fd);
}

static void test_answers_errors_with_headers(void **state)
{
    (void)state;
    struct reply *reply = exchange_run(&(struct exchange){"GET /error/503", "", 503, NULL});
    assert_string_equal(reply_header(reply, "retry-after"), "1");
    assert_string_equal(reply_header(reply, "content-type"), "application/json");
    assert_non_null(strstr(reply->body, "\"code\":\"service_unavailable\""));
    free(reply);
    reply = exchange_run(&(struct exchange){"GET /error/507", "", 507, NULL});
    assert_string_equal(reply_header(reply, "retry-after"), "1");
    free(reply);
    reply = exchange_run(&(struct exchange){"GET /error/403", "", 403, NULL});
    assert_non_null(strstr(reply->body, "\"code\":\"insufficient access\""));
    free(reply);
}

static void test_keeps_answer_headers_on_one_line(void **state)
{
    (void)state;
    struct reply *reply = exchange_run(&(struct exchange){"GET /headers", "", 200, NULL});
    assert_string_equal(reply_header(reply, "x-answer"), "yes  X-Injected: no");
    assert_string_equal(reply_header(reply, "x-injected"), "");
    assert_string_equal(reply_header(reply, "access-control-allow-origin"), "");
    free(reply);
}

static void test_refuses_other_methods_with_allow(void **state)
{
    (void)state;
    static const char *const requests[] = {"DELETE /echo", "FOO /echo", "TRACE /echo"};
    for (size_t i = 0; i < PH_ARRAY_LENGTH(requests); i++) {
        struct reply *reply = exchange_run(&(struct exchange){
            requests[i], "", 405,
            "{\"code\":\"method_not_allowed\",\"detail\":\"Method not allowed\"}"});
        assert_string_equal(reply_header(reply, "allow"), "POST, PUT, OPTIONS");
        free(reply);
    }
    free(exchange_run(&(struct exchange){"FOO /nothing", "", 404, not_found}));
}

static void test_answers_preflights(void **state)
{
    (void)state;
    static const char *const requests[] = {"OPTIONS /echo", "OPTIONS /nothing"};
    for (size_t i = 0; i < PH_ARRAY_LENGTH(requests); i++) {
        struct reply *reply = exchange_run(&(struct exchange){
            requests[i],
            "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n"
            "Access-Control-Request-Headers: authorization,x-y\r\n",
            204, ""});
        assert_string_equal(reply_header(reply, "access-control-allow-origin"), "*");
        assert_string_equal(reply_header(reply, "access-control-allow-methods"), "*");
        assert_string_equal(reply_header(reply, "access-control-allow-headers"),
                            "authorization,x-y");
        assert_string_equal(reply_header(reply, "access-control-max-age"), "600");
        free(reply);
    }
    struct reply *reply = exchange_run(&(struct exchange){"OPTIONS /echo", "", 204, ""});
    assert_string_equal(reply_header(reply, "allow"), "POST, PUT, OPTIONS");
    free(reply);
    free(exchange_run(&(struct exchange){"OPTIONS *", "", 204, ""}));
    reply = exchange_run(&(struct exchange){"GET /nothing", "Origin: null\r\n", 404, not_found});
    assert_string_equal(reply_header(reply, "access-control-allow-origin"), "*");
    free(reply);
}

static void test_serves_head_without_a_body(void **state)
{
    (void)state;
    int fd = client_connect(address);
    assert_true(client_send_text(fd, "HEAD /p/a/x/b HTTP/1.1\r\nHost: x\r\n\r\n"
                                     "GET /p/c/x/d HTTP/1.1\r\nHost: x\r\n\r\n"));
    struct reply *reply = client_read(fd, true);
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply_header(reply, "content-length"), "12");
    free(reply);
    reply = client_read(fd, false);
    assert_string_equal(reply->body, "c|d|/p/c/x/d");
    free(reply);
    (void)close(fd);
}

static void test_keeps_connections_and_serves_pipelines(void **state)
{
    (void)state;
    int fd = client_connect(address);
    for (int i = 0; i < 3; i++) {
        assert_true(client_send_text(
            fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
                "PUT /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                "1\r\nc\r\n2\r\nde\r\n0\r\n\r\n"));
        struct reply *reply = client_read(fd, false);
        assert_string_equal(reply->body, "ab");
        free(reply);
        reply = client_read(fd, false);
        assert_string_equal(reply->body, "cde by put");
        free(reply);
    }
    assert_true(
        client_send_text(fd, "GET /empty HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    free(client_read(fd, false));
    assert_true(client_is_closed(fd));
    (void)close(fd);
}

static void test_serves_http_1_0_without_host(void **state)
{
    (void)state;
    int fd = client_connect(address);
    assert_true(client_send_text(fd, "GET /p/a/x/b HTTP/1.0\r\n\r\n"));
    struct reply *reply = client_read(fd, false);
    assert_int_equal(reply->status, 200);
    free(reply);
    assert_true(client_is_closed(fd));
    (void)close(fd);
}

static void test_continues_when_asked(void **state)
{
    (void)state;
    int fd = client_connect(address);
    assert_true(client_send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                                     "Expect: 100-continue\r\n\r\n"));
    struct reply *reply = client_read(fd, false);
    assert_int_equal(reply->status, 100);
    free(reply);
    assert_true(client_send_text(fd, "ok"));
    reply = client_read(fd, false);
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply->body, "ok");
    free(reply);
    (void)close(fd);
    /* Too large: the client learns it before it sends the body. */
    reply = client_ask(address, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n"
                                "Expect: 100-continue\r\n\r\n");
    assert_int_equal(reply->status, 413);
    free(reply);
}

static void assert_too_large(int fd)
{
    struct reply *reply = client_read(fd, false);
    assert_int_equal(reply->status, 413);
    assert_string_equal(
        reply->body,
        "{\"code\":\"payload_too_large\",\"detail\":\"Request payload is too large.\"}");
    free(reply);
}

static void test_refuses_a_known_length_at_once(void **state)
{
    (void)state;
    int fd = client_connect(address);
    assert_true(
        client_send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n"));
    assert_too_large(fd);
    /* The answer is there although the body still comes: the socket is read for a moment. */
    char block[4096] = {0};
    for (int i = 0; i < 20; i++) {
        assert_true(client_send(fd, block, sizeof block));
    }
    assert_true(client_is_closed(fd));
    (void)close(fd);
}

static void send_chunks(int fd, int count)
{
    char chunk[107];
    memcpy(chunk, "64\r\n", 4);
    memset(chunk + 4, 'x', 100);
    memcpy(chunk + 104, "\r\n", 2);
    for (int i = 0; i < count; i++) {
        (void)client_send(fd, chunk, 106); /* after the cut nobody may be there */
    }
}

static const char chunked_head[] =
    "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

static void test_takes_chunks_up_to_the_limit(void **state)
{
    (void)state;
    int fd = client_connect(address);
    assert_true(client_send_text(fd, chunked_head));
    send_chunks(fd, 10);
    assert_true(client_send_text(fd, "0\r\n\r\n"));
    struct reply *reply = client_read(fd, false);
    assert_int_equal(reply->status, 200);
    assert_int_equal(reply->body_length, 1000);
    free(reply);
    /* A little over: swallowed and answered, the connection lives on. */
    assert_true(client_send_text(fd, chunked_head));
    send_chunks(fd, 11);
    assert_true(client_send_text(fd, "0\r\n\r\n"));
    assert_too_large(fd);
    assert_true(client_send_text(fd, "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n"));
    reply = client_read(fd, false);
    assert_int_equal(reply->status, 204);
    free(reply);
    (void)close(fd);
}

static void test_cuts_endless_chunks(void **state)
{
    (void)state;
    int fd = client_connect(address);
    assert_true(client_send_text(fd, chunked_head));
    send_chunks(fd, 200);
    assert_too_large(fd);
    assert_true(client_is_closed(fd));
    (void)close(fd);
}

static void test_names_what_cannot_start(void **state)
{
    (void)state;
    static const char *const bad[] = {"127.0.0.1", "127.0.0.1:99999", "127.0.0.1:-1", ":80",
                                      "127.0.0.1:x"};
    struct http_server_options options = server_options();
    struct diag diag;
    struct http_server *other;
    for (size_t i = 0; i < PH_ARRAY_LENGTH(bad); i++) {
        assert_int_equal(http_server_start(&options, &bad[i], 1, &diag, &other), PH_INVALID);
        assert_non_null(strstr(diag.text, bad[i]));
    }
    assert_int_equal(http_server_start(&options, &address, 1, &diag, &other), PH_IO);
    assert_non_null(strstr(diag.text, address));
    static const char *const free_port[] = {"127.0.0.1:0"};
    static const char *const networks[] = {"10.0.0.0/33"};
    options.trusted_proxies = networks;
    options.trusted_proxy_count = 1;
    assert_int_equal(http_server_start(&options, free_port, 1, &diag, &other), PH_INVALID);
    options.trusted_proxy_count = 0;
    options.tls_cert_file = "/nonexistent/cert.pem";
    options.tls_key_file = "/nonexistent/key.pem";
    assert_int_equal(http_server_start(&options, free_port, 1, &diag, &other), PH_IO);
    assert_non_null(strstr(diag.text, "/nonexistent/cert.pem"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_reads_and_ignores_a_body_that_nobody_wants),
        cmocka_unit_test(test_answers_errors_with_headers),
        cmocka_unit_test(test_keeps_answer_headers_on_one_line),
        cmocka_unit_test(test_refuses_other_methods_with_allow),
        cmocka_unit_test(test_answers_preflights),
        cmocka_unit_test(test_serves_head_without_a_body),
        cmocka_unit_test(test_keeps_connections_and_serves_pipelines),
        cmocka_unit_test(test_serves_http_1_0_without_host),
        cmocka_unit_test(test_continues_when_asked),
        cmocka_unit_test(test_refuses_a_known_length_at_once),
        cmocka_unit_test(test_takes_chunks_up_to_the_limit),
        cmocka_unit_test(test_cuts_endless_chunks),
        cmocka_unit_test(test_names_what_cannot_start),
    };
    return cmocka_run_group_tests_name("http_server", tests, set_up, tear_down);
}
