/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP sink against servers that answer well, badly, slowly or not at all. */
#include "sinks/http.h"
#include "unit/sink_rig.h"

#include <sys/socket.h>

static char ok_answer[] = OK_ANSWER;

/* One POST with plain options to a server that runs `function`. */
static void post_to(raw_server_function *function, void *context, int64_t timeout_ms,
                    struct outcome *outcome)
{
    struct rig rig;
    char url[URL_MAX];
    rig_start(&rig);
    struct raw_server *server = raw_server_start(function, context);
    struct sink_request request = request_of(url_of(server, url), outcome);
    request.timeout_ms = timeout_ms;
    exchange(&rig, &request);
    rig_stop(&rig);
    raw_server_stop(server);
    assert_null(strstr(outcome->error_text, "hidden"));
}

static void post_and_expect(raw_server_function *function, void *context,
                            enum attempt_failure failure, int status_code, const char *words)
{
    struct outcome outcome;
    post_to(function, context, 10000, &outcome);
    if (outcome.failure != failure || strstr(outcome.error_text, words) == NULL) {
        print_error("failure %d, \"%s\"\n", (int)outcome.failure, outcome.error_text);
    }
    assert_int_equal(outcome.failure, failure);
    assert_int_equal(outcome.status_code, status_code);
    assert_non_null(strstr(outcome.error_text, words));
}

static void test_success_sends_exact_bytes(void **state)
{
    (void)state;
    struct rig rig;
    struct outcome outcome;
    char url[URL_MAX];
    struct buf last BUF_AUTO;
    buf_init(&last, 65536);
    rig_start(&rig);
    struct raw_server *server = raw_server_start(answer_text, ok_answer);
    struct sink_header headers[] = {
        {SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json")},
        {SLICE_LITERAL("webhook-id"), SLICE_LITERAL("msg_1")},
        {SLICE_LITERAL("X-Empty"), SLICE_NONE},
    };
    struct sink_request request = request_of(url_of(server, url), &outcome);
    request.headers = headers;
    request.header_count = PH_ARRAY_LENGTH(headers);
    exchange(&rig, &request);
    assert_int_equal(outcome.failure, ATTEMPT_ANSWERED);
    assert_int_equal(outcome.status_code, 200);
    assert_string_equal(outcome.body, "hello");
    assert_string_equal(outcome.error_text, "");
    assert_string_equal(outcome.retry_after, "-");
    assert_true(outcome.is_new_connection);
    assert_true(outcome.duration_us > 0);
    raw_server_last(server, &last);
    char expected[512];
    (void)snprintf(expected, sizeof expected,
                   "POST /hook?token=hidden HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                   "User-Agent: Posthorn/test\r\nAccept: */*\r\nContent-Type: application/json\r\n"
                   "webhook-id: msg_1\r\nX-Empty:\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
                   raw_server_port(server));
    assert_string_equal(buf_text(&last), expected);
    rig_stop(&rig);
    raw_server_stop(server);
}

static void test_headers_replace_the_defaults(void **state)
{
    (void)state;
    struct rig rig;
    struct outcome outcome;
    char url[URL_MAX];
    struct buf last BUF_AUTO;
    buf_init(&last, 65536);
    rig_start(&rig);
    struct raw_server *server = raw_server_start(answer_text, ok_answer);
    (void)snprintf(url, sizeof url, "http://user:pass@127.0.0.1:%u/", raw_server_port(server));
    struct sink_request request = request_of(url, &outcome);
    exchange(&rig, &request);
    raw_server_last(server, &last);
    assert_non_null(strstr(buf_text(&last), "\r\nAuthorization: Basic dXNlcjpwYXNz\r\n"));
    assert_null(strstr(buf_text(&last), "Content-Type"));
    struct sink_header headers[] = {
        {SLICE_LITERAL("authorization"), SLICE_LITERAL("Bearer t")},
        {SLICE_LITERAL("user-agent"), SLICE_LITERAL("mine")},
        {SLICE_LITERAL("accept"), SLICE_LITERAL("text/plain")},
    };
    request = request_of(url, &outcome);
    request.headers = headers;
    request.header_count = PH_ARRAY_LENGTH(headers);
    exchange(&rig, &request);
    raw_server_last(server, &last);
    assert_null(strstr(buf_text(&last), "Basic"));
    assert_null(strstr(buf_text(&last), "Posthorn"));
    assert_null(strstr(buf_text(&last), "*/*"));
    assert_non_null(strstr(buf_text(&last), "\r\nauthorization: Bearer t\r\n"));
    rig_stop(&rig);
    raw_server_stop(server);
}

static void test_methods_change_on_one_handle(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        const char *start;
        const char *body;
    } cases[] = {
        {"PUT", "PUT /", "{\"a\":1}"},
        {"POST", "POST /", "{\"a\":1}"},
        {"GET", "GET /", ""},
        {"PATCH", "PATCH /", "{\"a\":1}"},
        {"HEAD", "HEAD /", ""},
        {"POST", "POST /", "{\"a\":1}"},
        {"GET", "GET /", "{\"a\":1}"},
        {"GET", "GET /", ""},
        {"HEAD", "HEAD /", "{\"a\":1}"},
        {"HEAD", "HEAD /", ""},
        {"HEAD", "HEAD /", "{\"a\":1}"},
        {"DELETE", "DELETE /", "{\"a\":1}"},
        {"DELETE", "DELETE /", ""},
        {"HEAD", "HEAD /", "{\"a\":1}"},
        {"POST", "POST /", ""},
        {"GET", "GET /", ""},
    };
    struct rig rig;
    struct outcome outcome;
    char url[URL_MAX];
    struct buf last BUF_AUTO;
    buf_init(&last, 65536);
    rig_start(&rig);
    static char answer[] = "HTTP/1.1 204 No Content\r\n\r\n";
    struct raw_server *server = raw_server_start(answer_text, answer);
    for (size_t i = 0; i < PH_ARRAY_LENGTH(cases); i++) {
        struct sink_request request = request_of(url_of(server, url), &outcome);
        request.method = cases[i].method;
        request.body = slice_of(cases[i].body);
        exchange(&rig, &request);
        assert_int_equal(outcome.failure, ATTEMPT_ANSWERED);
        assert_int_equal(outcome.status_code, 204);
        raw_server_last(server, &last);
        assert_true(slice_starts_with(buf_slice(&last), cases[i].start));
        const char *blank = strstr(buf_text(&last), "\r\n\r\n");
        assert_non_null(blank);
        assert_string_equal(blank + 4, cases[i].body);
        /* Only what asks for something without a body says nothing of its length. */
        bool is_silent =
            cases[i].body[0] == '\0' && (cases[i].method[0] == 'G' || cases[i].method[0] == 'H');
        assert_int_equal(strstr(buf_text(&last), "Content-Length:") == NULL, is_silent);
    }
    /* A HEAD with a body ends its connection. */
    assert_int_equal(raw_server_connections(server), 4);
    rig_stop(&rig);
    raw_server_stop(server);
}

/* The length in the answer is that of a body which does not come. */
static void test_head_waits_for_no_body(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "{\"a\":1}", "", "x"};
    struct rig rig;
    struct outcome outcome;
    char url[URL_MAX];
    rig_start(&rig);
    static char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    struct raw_server *server = raw_server_start(answer_text, answer);
    for (size_t i = 0; i < PH_ARRAY_LENGTH(bodies); i++) {
        struct sink_request request = request_of(url_of(server, url), &outcome);
        request.method = "HEAD";
        request.body = slice_of(bodies[i]);
        exchange(&rig, &request);
        assert_int_equal(outcome.failure, ATTEMPT_ANSWERED);
        assert_int_equal(outcome.status_code, 200);
    }
    rig_stop(&rig);
    raw_server_stop(server);
}

static void test_bad_requests_are_refused(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "ftp://192.0.2.1/", "file:///etc/passwd", "", "http://", "not a url", "http://h:99999/",
    };
    struct rig rig;
    struct outcome outcome;
    struct diag diag;
    rig_start(&rig);
    for (size_t i = 0; i < PH_ARRAY_LENGTH(urls); i++) {
        struct sink_request request = request_of(urls[i], &outcome);
        assert_int_equal(sink_http_send(rig.sink, &request, &diag), PH_INVALID);
        assert_string_equal(diag.field, "url");
    }
    struct sink_header headers[] = {
        {SLICE_LITERAL("X"), SLICE_LITERAL("a\r\nY: b")},
        {SLICE_LITERAL("X"), {"a\0b", 3}},
        {SLICE_LITERAL("a b"), SLICE_LITERAL("c")},
        {SLICE_LITERAL("a:"), SLICE_LITERAL("c")},
        {SLICE_LITERAL(""), SLICE_LITERAL("c")},
        {SLICE_LITERAL("Content-Length"), SLICE_LITERAL("7")},
        {SLICE_LITERAL("Transfer-Encoding"), SLICE_LITERAL("chunked")},
    };
    for (size_t i = 0; i < PH_ARRAY_LENGTH(headers); i++) {
        struct sink_request request = request_of("http://127.0.0.1:1/", &outcome);
        request.headers = &headers[i];
        request.header_count = 1;
        assert_int_equal(sink_http_send(rig.sink, &request, &diag), PH_INVALID);
        assert_string_equal(diag.field, "headers");
    }
    struct sink_request request = request_of("http://127.0.0.1:1/", &outcome);
    request.method = "PO ST";
    assert_int_equal(sink_http_send(rig.sink, &request, &diag), PH_INVALID);
    assert_string_equal(diag.field, "method");
    assert_int_equal(sink_http_in_flight(rig.sink), 0);
    assert_int_equal(rig.done_count, 0);
    rig_stop(&rig);
}

static void test_keep_alive(void **state)
{
    (void)state;
    struct rig rig;
    struct outcome outcome;
    char url[URL_MAX];
    rig_start(&rig);
    struct raw_server *server = raw_server_start(answer_text, ok_answer);
    for (int i = 0; i < 50; i++) {
        struct sink_request request = request_of(url_of(server, url), &outcome);
        exchange(&rig, &request);
        assert_int_equal(outcome.status_code, 200);
        assert_int_equal(outcome.is_new_connection, i == 0);
    }
    assert_int_equal(raw_server_connections(server), 1);
    rig_stop(&rig);
    raw_server_stop(server);
}

/* Answers once, waits until told, then closes the kept connection. */
static void answer_once(struct raw_server *server, int fd, void *context)
{
    if (raw_server_read(server, fd)) {
        (void)raw_server_write(fd, ok_answer);
        (void)raw_server_read(server, fd); /* a second request gets no answer */
    }
    (void)context;
}

static void test_closed_kept_connection_is_replaced(void **state)
{
    (void)state;
    struct rig rig;
    struct outcome outcome;
    char url[URL_MAX];
    rig_start(&rig);
    struct raw_server *server = raw_server_start(answer_once, NULL);
    struct sink_request request = request_of(url_of(server, url), &outcome);
    exchange(&rig, &request);
    assert_int_equal(outcome.status_code, 200);
    /* The server reads the second request and closes without an answer: curl sends it once more
     * on a new connection, body included. */
    request = request_of(url, &outcome);
    exchange(&rig, &request);
    assert_int_equal(outcome.failure, ATTEMPT_ANSWERED);
    assert_int_equal(outcome.status_code, 200);
    assert_true(outcome.is_new_connection);
    struct buf last BUF_AUTO;
    buf_init(&last, 65536);
    raw_server_last(server, &last);
    assert_non_null(strstr(buf_text(&last), "\r\n\r\n{\"a\":1}"));
    assert_int_equal(raw_server_connections(server), 2);
    rig_stop(&rig);
    raw_server_stop(server);
}

static void test_connection_closed_while_idle(void **state)
{
    (void)state;
    struct rig rig;
    struct outcome outcome;
    char url[URL_MAX];
    rig_start(&rig);
    struct raw_server *server = raw_server_start(answer_and_close, ok_answer);
    for (unsigned i = 0; i < 20; i++) {
        struct sink_request request = request_of(url_of(server, url), &outcome);
        exchange(&rig, &request);
        assert_int_equal(outcome.status_code, 200);
        assert_true(outcome.is_new_connection);
        RUN_UNTIL(&rig, raw_server_ended(server) == i + 1);
        /* The end of the kept connection must not keep the descriptor ready for ever. */
        struct pollfd ready = {.fd = sink_http_fd(rig.sink), .events = POLLIN};
        RUN_UNTIL(&rig, poll(&ready, 1, 0) == 0);
    }
    rig_stop(&rig);
    raw_server_stop(server);
}

static void test_chunked_and_response_headers(void **state)
{
    (void)state;
    static char answer[] = "HTTP/1.1 103 Early Hints\r\nRetry-After: 1\r\n\r\n"
                           "HTTP/1.1 503 Busy\r\nRETRY-AFTER: 5\r\nRetry-After:  7 \r\n"
                           "Webhook-Delivery: disable\r\nContent-Encoding: gzip\r\n"
                           "Transfer-Encoding: chunked\r\nTrailer: Retry-After\r\n\r\n"
                           "3\r\nabc\r\n2\r\nde\r\n0\r\nRetry-After: 9\r\n\r\n";
    struct outcome outcome;
    post_to(answer_text, answer, 10000, &outcome);
    assert_int_equal(outcome.failure, ATTEMPT_ANSWERED);
    assert_int_equal(outcome.status_code, 503);
    assert_string_equal(outcome.body, "abcde");
    assert_string_equal(outcome.retry_after, "7");
    assert_string_equal(outcome.hint, "disable");
    static char early[] = "HTTP/1.1 103 Early Hints\r\nRetry-After: 1\r\n\r\n"
                          "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    post_to(answer_text, early, 10000, &outcome);
    assert_string_equal(outcome.retry_after, "-");
}

static void test_redirect_is_not_followed(void **state)
{
    (void)state;
    struct rig rig;
    struct outcome outcome;
    char url[URL_MAX];
    char answer[256];
    rig_start(&rig);
    struct raw_server *server = raw_server_start(answer_text, answer);
    (void)snprintf(answer, sizeof answer,
                   "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%u/other\r\n"
                   "Content-Length: 0\r\n\r\n",
                   raw_server_port(server));
    struct sink_request request = request_of(url_of(server, url), &outcome);
    exchange(&rig, &request);
    assert_int_equal(outcome.failure, ATTEMPT_ANSWERED);
    assert_int_equal(outcome.status_code, 302);
    assert_int_equal(raw_server_requests(server), 1);
    rig_stop(&rig);
    raw_server_stop(server);
}

/* The context's text at once, then one byte every ten milliseconds. */
static void drip(struct raw_server *server, int fd, void *context)
{
    if (!raw_server_read(server, fd) || !raw_server_write(fd, context)) {
        return;
    }
    while (!raw_server_wait_end(fd, 10) && raw_server_write(fd, "x")) {
    }
}

static void test_timeouts(void **state)
{
    (void)state;
    struct outcome outcome;
    post_to(say_nothing, NULL, 150, &outcome);
    assert_int_equal(outcome.failure, ATTEMPT_TIMEOUT);
    assert_int_equal(outcome.status_code, 0);
    assert_string_equal(outcome.error_text, "timed out after 150 ms while waiting for the answer");
    assert_true(outcome.duration_us >= 150000);

    static char partial_header[] = "HTTP/1.1 200 OK\r\nX-Long: ";
    post_to(drip, partial_header, 150, &outcome);
    assert_int_equal(outcome.failure, ATTEMPT_TIMEOUT);

    static char endless_body[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    post_to(drip, endless_body, 150, &outcome);
    assert_int_equal(outcome.failure, ATTEMPT_TIMEOUT);
    assert_int_equal(outcome.status_code, 200);
    assert_string_equal(outcome.error_text, "timed out after 150 ms while reading the answer");
    assert_true(outcome.body_bytes > 0);
}

static void test_timeout_while_waiting_for_a_connection(void **state)
{
    (void)state;
    struct rig rig;
    struct outcome first;
    struct outcome second;
    char url[URL_MAX];
    rig_init(&rig, &(struct rig_options){.connections_max = 1});
    struct raw_server *server = raw_server_start(say_nothing, NULL);
    struct sink_request request = request_of(url_of(server, url), &first);
    send_request(&rig, &request);
    RUN_UNTIL(&rig, raw_server_requests(server) == 1);
    request = request_of(url, &second);
    request.timeout_ms = 100;
    exchange(&rig, &request);
    assert_int_equal(second.failure, ATTEMPT_TIMEOUT);
    assert_string_equal(second.error_text, "timed out after 100 ms while waiting for a connection");
    assert_false(first.is_done);
    rig_stop(&rig);
    assert_int_equal(first.failure, ATTEMPT_CANCELLED);
    raw_server_stop(server);
}

/* A body without an end. */
static void flood_body(struct raw_server *server, int fd, void *context)
{
    char bytes[4096];
    memset(bytes, 'b', sizeof bytes);
    (void)context;
    if (raw_server_read(server, fd) && raw_server_write(fd, "HTTP/1.1 200 OK\r\n\r\n")) {
        while (raw_server_write_bytes(fd, bytes, sizeof bytes)) {
        }
    }
}

static void flood_headers(struct raw_server *server, int fd, void *context)
{
    (void)context;
    if (raw_server_read(server, fd) && raw_server_write(fd, "HTTP/1.1 200 OK\r\n")) {
        while (raw_server_write(fd, "X-More: and more and more and more and more\r\n")) {
        }
    }
}

static void flood_one_line(struct raw_server *server, int fd, void *context)
{
    (void)context;
    if (raw_server_read(server, fd) && raw_server_write(fd, "HTTP/1.1 200 OK\r\nX-Long: ")) {
        while (raw_server_write(fd, "and more and more and more and more and more")) {
        }
    }
}

/* As many 1xx answers as the context says, then a proper one. */
static void flood_informational(struct raw_server *server, int fd, void *context)
{
    const int *count = context;
    if (!raw_server_read(server, fd)) {
        return;
    }
    for (int i = 0; i < *count; i++) {
        if (!raw_server_write(fd, "HTTP/1.1 102 Processing\r\n\r\n")) {
            return;
        }
    }
    (void)raw_server_write(fd, ok_answer);
}

static void test_floods_are_cut(void **state)
{
    (void)state;
    struct outcome outcome;
    post_to(flood_body, NULL, 10000, &outcome);
    assert_int_equal(outcome.failure, ATTEMPT_ANSWERED);
    assert_int_equal(outcome.status_code, 200);
    assert_int_equal(outcome.body_bytes, 20000);
    post_and_expect(flood_headers, NULL, ATTEMPT_PROTOCOL, 0, "headers exceed 65536 bytes");
    post_and_expect(flood_one_line, NULL, ATTEMPT_PROTOCOL, 0, "header line");
    int count = 100;
    post_and_expect(flood_informational, &count, ATTEMPT_ANSWERED, 200, "");
    count = 101;
    post_and_expect(flood_informational, &count, ATTEMPT_PROTOCOL, 0,
                    "more than 100 informational");
}

static void reset_connection(struct raw_server *server, int fd, void *context)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    if (raw_server_read(server, fd)) {
        if (context != NULL) {
            (void)raw_server_write(fd, context);
        }
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
}

static void test_broken_answers(void **state)
{
    (void)state;
    static char garbage[] = "SSH-2.0-OpenSSH_9.2\r\n";
    post_and_expect(answer_and_close, garbage, ATTEMPT_PROTOCOL, 0, "not HTTP");
    static char nothing[] = "";
    post_and_expect(answer_and_close, nothing, ATTEMPT_CONNECT, 0, "closed before an answer");
    post_and_expect(reset_connection, NULL, ATTEMPT_CONNECT, 0, "before an answer");
    static char half_a_head[] = "HTTP/1.1 200 OK\r\nContent-Len";
    post_and_expect(answer_and_close, half_a_head, ATTEMPT_PROTOCOL, 0,
                    "within the answer's headers");
    static char cut[] = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc";
    post_and_expect(answer_and_close, cut, ATTEMPT_PROTOCOL, 200, "shorter than it said");
    static char bad_chunk[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\nabc";
    post_and_expect(answer_and_close, bad_chunk, ATTEMPT_PROTOCOL, 200, "broke");
    static char until_close[] = "HTTP/1.1 200 OK\r\n\r\nabc";
    post_and_expect(answer_and_close, until_close, ATTEMPT_ANSWERED, 200, "");
}

static void test_refused(void **state)
{
    (void)state;
    struct rig rig;
    struct outcome outcome;
    char url[URL_MAX];
    char words[URL_MAX];
    rig_start(&rig);
    struct raw_server *server = raw_server_start(answer_text, ok_answer);
    unsigned port = raw_server_port(server);
    raw_server_stop(server);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/?token=hidden", port);
    (void)snprintf(words, sizeof words, "connection refused by 127.0.0.1:%u", port);
    struct sink_request request = request_of(url, &outcome);
    exchange(&rig, &request);
    assert_int_equal(outcome.failure, ATTEMPT_CONNECT);
    assert_string_equal(outcome.error_text, words);
    rig_stop(&rig);
}

static void test_proxy_variables_are_ignored(void **state)
{
    (void)state;
    /* No other thread runs while the environment changes.
     * NOLINTBEGIN(concurrency-mt-unsafe) */
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1/", 1), 0);
    assert_int_equal(setenv("ALL_PROXY", "http://127.0.0.1:1/", 1), 0);
    post_and_expect(answer_text, ok_answer, ATTEMPT_ANSWERED, 200, "");
    (void)unsetenv("http_proxy");
    (void)unsetenv("ALL_PROXY");
    /* NOLINTEND(concurrency-mt-unsafe) */
}

static void test_large_body(void **state)
{
    (void)state;
    enum { LARGE = 3 * 1024 * 1024 };
    struct rig rig;
    struct outcome outcome;
    char url[URL_MAX];
    struct buf last BUF_AUTO;
    buf_init(&last, LARGE + 65536);
    char *body = ph_malloc(LARGE);
    for (size_t i = 0; i < LARGE; i++) {
        body[i] = (char)('a' + i % 23);
    }
    rig_start(&rig);
    struct raw_server *server = raw_server_start(answer_text, ok_answer);
    struct sink_request request = request_of(url_of(server, url), &outcome);
    request.body = (struct slice){body, LARGE};
    exchange(&rig, &request);
    assert_int_equal(outcome.status_code, 200);
    raw_server_last(server, &last);
    assert_null(strstr(buf_text(&last), "Expect"));
    assert_true(last.len > LARGE);
    assert_memory_equal(last.data + last.len - LARGE, body, LARGE);
    request = request_of(url, &outcome);
    request.body = SLICE_NONE;
    exchange(&rig, &request);
    raw_server_last(server, &last);
    assert_non_null(strstr(buf_text(&last), "Content-Length: 0\r\n\r\n"));
    rig_stop(&rig);
    raw_server_stop(server);
    free(body);
}

static void test_thousand_transfers(void **state)
{
    (void)state;
    enum { TRANSFERS = 1000, TOGETHER = 20 };
    struct rig rig;
    struct outcome *outcomes = ph_calloc(TRANSFERS, sizeof *outcomes);
    char url[URL_MAX];
    rig_start(&rig);
    struct raw_server *server = raw_server_start(answer_text, ok_answer);
    (void)url_of(server, url);
    for (unsigned i = 0; i < TRANSFERS; i++) {
        struct sink_request request = request_of(url, &outcomes[i]);
        send_request(&rig, &request);
        RUN_UNTIL(&rig, sink_http_in_flight(rig.sink) < TOGETHER);
    }
    RUN_UNTIL(&rig, rig.done_count == TRANSFERS);
    assert_int_equal(rig.answered_count, TRANSFERS);
    assert_int_equal(raw_server_requests(server), TRANSFERS);
    assert_int_equal(raw_server_connections(server), rig.new_count);
    assert_true(rig.new_count <= TOGETHER);
    rig_stop(&rig);
    raw_server_stop(server);
    free(outcomes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_success_sends_exact_bytes),
        cmocka_unit_test(test_headers_replace_the_defaults),
        cmocka_unit_test(test_methods_change_on_one_handle),
        cmocka_unit_test(test_head_waits_for_no_body),
        cmocka_unit_test(test_bad_requests_are_refused),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_closed_kept_connection_is_replaced),
        cmocka_unit_test(test_connection_closed_while_idle),
        cmocka_unit_test(test_chunked_and_response_headers),
        cmocka_unit_test(test_redirect_is_not_followed),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_timeout_while_waiting_for_a_connection),
        cmocka_unit_test(test_floods_are_cut),
        cmocka_unit_test(test_broken_answers),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_proxy_variables_are_ignored),
        cmocka_unit_test(test_large_body),
        cmocka_unit_test(test_thousand_transfers),
    };
    return cmocka_run_group_tests_name("sink_http", tests, rig_set_up, rig_tear_down);
}
