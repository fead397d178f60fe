/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP sink over TLS: which certificates it takes. The certificates are made here. */
#include "unit/tls_rig.h"

#include "sinks/http.h"

struct tls_case {
    const char *subject_alt_name;
    bool has_ca_file;
    enum attempt_failure failure;
    const char *words;
};

static void run_case(const struct tls_case *one)
{
    struct identity identity;
    struct tls_server server;
    struct rig rig;
    struct outcome outcome;
    char url[URL_MAX];
    identity_init(&identity, "test", one->subject_alt_name, NULL);
    tls_server_init(&server, &identity);
    rig_init(&rig, &(struct rig_options){.ca_file = one->has_ca_file ? identity.file : NULL});
    struct raw_server *raw = raw_server_start(serve_tls, &server);
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/?token=hidden", raw_server_port(raw));
    for (int i = 0; i < 2; i++) {
        struct sink_request request = request_of(url, &outcome);
        exchange(&rig, &request);
        assert_int_equal(outcome.failure, one->failure);
        assert_int_equal(outcome.status_code, one->failure == ATTEMPT_ANSWERED ? 200 : 0);
        assert_non_null(strstr(outcome.error_text, one->words));
        assert_null(strstr(outcome.error_text, "hidden"));
    }
    bool is_answered = one->failure == ATTEMPT_ANSWERED;
    assert_int_equal(atomic_load(&server.requests), is_answered ? 2 : 0);
    assert_int_equal(raw_server_connections(raw), is_answered ? 1 : 2);
    rig_stop(&rig);
    raw_server_stop(raw);
    tls_server_done(&server);
    identity_done(&identity);
}

static void test_certificates(void **state)
{
    (void)state;
    static const struct tls_case cases[] = {
        {"IP:127.0.0.1", false, ATTEMPT_TLS, "certificate verify failed: self"},
        {"IP:127.0.0.1", true, ATTEMPT_ANSWERED, ""},
        {"DNS:other.test", true, ATTEMPT_TLS, "verify failed: it is not for 127.0.0.1"},
    };
    for (size_t i = 0; i < PH_ARRAY_LENGTH(cases); i++) {
        run_case(&cases[i]);
    }
}

/* Requests to one host wait for each other's handshake, but not for each other's answer. */
static void test_requests_do_not_wait_for_answers(void **state)
{
    (void)state;
    struct identity identity;
    struct tls_server server;
    struct rig rig;
    struct outcome outcomes[5];
    char url[URL_MAX];
    identity_init(&identity, "test", "IP:127.0.0.1", NULL);
    tls_server_init(&server, &identity);
    server.is_silent = true;
    rig_init(&rig, &(struct rig_options){.ca_file = identity.file});
    struct raw_server *raw = raw_server_start(serve_tls, &server);
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/", raw_server_port(raw));
    for (size_t i = 0; i < PH_ARRAY_LENGTH(outcomes); i++) {
        struct sink_request request = request_of(url, &outcomes[i]);
        send_request(&rig, &request);
    }
    RUN_UNTIL(&rig, atomic_load(&server.requests) == PH_ARRAY_LENGTH(outcomes));
    rig_stop(&rig);
    raw_server_stop(raw);
    tls_server_done(&server);
    identity_done(&identity);
}

/* Takes the connection and says nothing, not even a handshake. */
static void stay_silent(struct raw_server *server, int fd, void *context)
{
    (void)server;
    (void)context;
    (void)raw_server_wait_end(fd, -1);
}

/* Answers a handshake with words. */
static void answer_plainly(struct raw_server *server, int fd, void *context)
{
    (void)server;
    (void)context;
    (void)raw_server_write(fd, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    (void)raw_server_wait_end(fd, -1);
}

static void test_no_handshake(void **state)
{
    (void)state;
    struct rig rig;
    struct outcome outcome;
    char url[URL_MAX];
    rig_start(&rig);
    struct raw_server *raw = raw_server_start(stay_silent, NULL);
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/", raw_server_port(raw));
    struct sink_request request = request_of(url, &outcome);
    request.timeout_ms = 150;
    exchange(&rig, &request);
    assert_int_equal(outcome.failure, ATTEMPT_TIMEOUT);
    assert_string_equal(outcome.error_text,
                        "timed out after 150 ms while the TLS handshake was going on");
    raw_server_stop(raw);
    raw = raw_server_start(answer_plainly, NULL);
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/", raw_server_port(raw));
    request = request_of(url, &outcome);
    exchange(&rig, &request);
    assert_int_equal(outcome.failure, ATTEMPT_TLS);
    raw_server_stop(raw);
    rig_stop(&rig);
}

/* What a receiver adds to an answer, or says into an idle connection, is no answer to the next
 * request. */
static void test_words_too_many_are_no_answer(void **state)
{
    (void)state;
    enum { ROUNDS = 20 };
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < PH_ARRAY_LENGTH(versions); i++) {
        struct identity identity;
        struct tls_server server;
        struct rig rig;
        struct outcome outcome;
        char url[URL_MAX];
        identity_init(&identity, "test", "IP:127.0.0.1", NULL);
        tls_server_init(&server, &identity);
        SSL_CTX_set_max_proto_version(server.context, versions[i]);
        server.then = "HTTP/1.1 202 OK\r\nContent-Length: 6\r\n\r\npoison";
        rig_init(&rig, &(struct rig_options){.ca_file = identity.file});
        struct raw_server *raw = raw_server_start(serve_tls, &server);
        for (unsigned round = 1; round <= ROUNDS; round++) {
            struct sink_request request = request_of(tls_url_of(raw, url), &outcome);
            exchange(&rig, &request);
            assert_int_equal(outcome.status_code, 200);
            assert_string_equal(outcome.body, "hello");
            /* The connection is given up with what came on it. */
            RUN_UNTIL(&rig, raw_server_ended(raw) == round);
        }
        assert_int_equal(atomic_load(&server.requests), ROUNDS);
        rig_stop(&rig);
        raw_server_stop(raw);
        tls_server_done(&server);
        identity_done(&identity);
    }
}

static void test_ca_file_must_be_readable(void **state)
{
    (void)state;
    struct resolver *resolver = NULL;
    struct sink_http *sink = NULL;
    struct diag diag = {0};
    assert_int_equal(resolver_new(NULL, NULL, &resolver), PH_OK);
    struct sink_http_options options = {
        .resolver = resolver,
        .ca_file = "/nonexistent/ca.pem",
        .read_max_bytes = 1,
        .keep_max_bytes = 1,
        .connections_max = 1,
        .on_result = on_result,
    };
    assert_int_equal(sink_http_new(&options, &diag, &sink), PH_IO);
    assert_string_equal(diag.field, "ca_file");
    resolver_free(resolver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_requests_do_not_wait_for_answers),
        cmocka_unit_test(test_no_handshake),
        cmocka_unit_test(test_words_too_many_are_no_answer),
        cmocka_unit_test(test_ca_file_must_be_readable),
    };
    return cmocka_run_group_tests_name("sink_http_tls", tests, rig_set_up, rig_tear_down);
}
