/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP sink through proxies: endpoints' own, and the operator's. */
#include "unit/proxy_rig.h"

#include "sinks/http.h"
#include "sinks/policy.h"

static void test_the_proxy_gets_a_checked_address(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        const char *addresses;
        const char *target;
    } cases[] = {
        {"http://shop.test/hook?token=hidden", PUBLIC, PUBLIC ":80"},
        {"http://shop.test:8080/", PUBLIC, PUBLIC ":8080"},
        {"http://shop.test/", "2606:4700::1", NULL},
        {"http://shop.test/", "[2606:4700::1]", "[2606:4700::1]:80"},
        {"http://shop.test/", "[2606:4700::1]," PUBLIC, PUBLIC ":80"},
        {"http://shop.test/", "10.0.0.1," PUBLIC, PUBLIC ":80"},
        {"http://93.184.216.35:81/", PUBLIC, "93.184.216.35:81"},
        {"http://[2606:4700::2]/", PUBLIC, "[2606:4700::2]:80"},
    };
    for (enum kind kind = PLAIN; kind <= SOCKS; kind++) {
        for (size_t i = 0; i < PH_ARRAY_LENGTH(cases); i++) {
            struct stage stage;
            struct outcome outcome;
            struct buf last BUF_AUTO;
            buf_init(&last, 65536);
            stage_init(&stage, kind, cases[i].addresses);
            call(&stage, cases[i].url, &outcome);
            if (cases[i].target == NULL) {
                expect(&outcome, ATTEMPT_BLOCKED, "not an address");
                stage_done(&stage);
                continue;
            }
            expect(&outcome, ATTEMPT_ANSWERED, "");
            assert_target(&stage, cases[i].target);
            raw_server_last(stage.world, &last);
            if (strstr(cases[i].url, "shop.test") != NULL) {
                /* The receiver gets the name, and nothing of the proxy. */
                assert_non_null(strstr(buf_text(&last), "\r\nHost: shop.test"));
            }
            assert_true(slice_starts_with(buf_slice(&last), "POST /"));
            assert_null(strstr(buf_text(&last), "Proxy-"));
            stage_done(&stage);
        }
    }
}

static void test_private_targets_are_refused_before_the_proxy(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        const char *addresses;
        const char *words;
    } cases[] = {
        {"http://shop.test/", "10.0.0.1", "address 10.0.0.1 is not allowed: private 10.0.0.0/8"},
        {"http://shop.test/", "127.0.0.2,[::1]", "is not allowed: loopback"},
        {"http://shop.test/", "[::ffff:169.254.169.254]", "is not allowed: "},
        {"https://shop.test/", "192.168.1.1", "address 192.168.1.1 is not allowed: private"},
        {"http://10.1.2.3/", PUBLIC, "address 10.1.2.3 is not allowed: private"},
        {"http://[::1]/", PUBLIC, "address [::1] is not allowed: loopback"},
        {"http://2130706434/", PUBLIC, "address 127.0.0.2 is not allowed: loopback"},
        {"http://0x0a.1/", PUBLIC, "address 10.0.0.1 is not allowed: private"},
    };
    for (enum kind kind = PLAIN; kind <= SOCKS; kind++) {
        struct stage stage;
        struct outcome outcome;
        stage_init(&stage, kind, PUBLIC);
        for (size_t i = 0; i < PH_ARRAY_LENGTH(cases); i++) {
            names_set(&stage.names, cases[i].addresses);
            call(&stage, cases[i].url, &outcome);
            expect(&outcome, ATTEMPT_BLOCKED, cases[i].words);
            assert_non_null(strstr(outcome.error_text, "(allow_subnets opens it)"));
        }
        /* A name that moves: what was allowed once is looked at again. */
        names_set(&stage.names, PUBLIC);
        call(&stage, "http://shop.test/", &outcome);
        expect(&outcome, ATTEMPT_ANSWERED, "");
        names_set(&stage.names, "10.0.0.1");
        call(&stage, "http://shop.test/", &outcome);
        expect(&outcome, ATTEMPT_BLOCKED, "address 10.0.0.1 is not allowed");
        assert_int_equal(atomic_load(&stage.proxy.asked), 1);
        assert_int_equal(raw_server_connections(stage.proxy_server), 1);
        assert_int_equal(raw_server_requests(stage.world), 1);
        stage_done(&stage);
    }
}

static void test_private_proxies_are_refused(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "proxy.test", "localhost", "0x7f.1",
                                        "[::ffff:127.0.0.1]"};
    static const char *const schemes[] = {"http", "https", "socks5h", "socks5"};
    struct stage stage;
    struct outcome outcome;
    stage_init_with(&stage, PLAIN, PUBLIC, &(struct rig_options){.is_guarded = true}, answer_text,
                    ok_answer);
    for (size_t i = 0; i < PH_ARRAY_LENGTH(hosts) * PH_ARRAY_LENGTH(schemes); i++) {
        char url[URL_MAX];
        (void)snprintf(url, sizeof url, "%s://user:hidden@%s:%u", schemes[i / 5], hosts[i % 5],
                       raw_server_port(stage.proxy_server));
        set_proxy(&stage, url);
        call(&stage, "http://shop.test/", &outcome);
        expect(&outcome, ATTEMPT_BLOCKED, "of the proxy is not allowed: loopback");
    }
    assert_int_equal(raw_server_connections(stage.proxy_server), 0);
    stage_done(&stage);
}

static void test_tunnels_are_kept_and_follow_the_address(void **state)
{
    (void)state;
    for (enum kind kind = PLAIN; kind <= SOCKS; kind++) {
        struct stage stage;
        struct outcome outcome;
        stage_init(&stage, kind, PUBLIC);
        for (int i = 0; i < 10; i++) {
            call(&stage, "http://shop.test/", &outcome);
            expect(&outcome, ATTEMPT_ANSWERED, "");
            assert_int_equal(outcome.is_new_connection, i == 0);
        }
        assert_int_equal(atomic_load(&stage.proxy.asked), 1);
        /* Another receiver has a tunnel of its own. */
        call(&stage, "http://other.test/", &outcome);
        assert_true(outcome.is_new_connection);
        names_set(&stage.names, "93.184.216.99");
        call(&stage, "http://shop.test/", &outcome);
        expect(&outcome, ATTEMPT_ANSWERED, "");
        assert_true(outcome.is_new_connection);
        assert_target(&stage, "93.184.216.99:80");
        stage_done(&stage);
    }
}

/* Behind the proxy a TLS receiver that is called by its name and wants a certificate. */
static void run_tls_through(enum kind kind)
{
    struct identity server;
    struct identity authority;
    struct identity ada;
    struct tls_server tls;
    struct stage stage;
    struct outcome outcome;
    identity_init(&server, "server", "DNS:shop.test", NULL);
    identity_init(&authority, "authority", "DNS:authority.test", NULL);
    identity_init(&ada, "ada", "DNS:ada.test", &authority);
    tls_server_init(&tls, &server);
    tls_server_ask(&tls, &authority);
    stage_init_with(&stage, kind, PUBLIC, &(struct rig_options){.ca_file = server.file}, serve_tls,
                    &tls);
    stage.policy.cert_pem = slice_of(ada.cert_pem);
    stage.policy.key_pem = slice_of(ada.key_pem);
    sink_policy_identify(&stage.policy);
    for (int i = 0; i < 3; i++) {
        call(&stage, "https://shop.test/", &outcome);
        expect(&outcome, ATTEMPT_ANSWERED, "");
        assert_int_equal(outcome.is_new_connection, i == 0);
    }
    assert_target(&stage, PUBLIC ":443");
    call(&stage, "https://other.test/", &outcome);
    expect(&outcome, ATTEMPT_TLS, "certificate verify failed: it is not for other.test");
    assert_int_equal(atomic_load(&tls.requests), 3);
    stage_done(&stage);
    tls_server_done(&tls);
    identity_done(&ada);
    identity_done(&authority);
    identity_done(&server);
}

static void test_tls_with_client_certificate_through_a_proxy(void **state)
{
    (void)state;
    run_tls_through(PLAIN);
    run_tls_through(SOCKS);
}

static void test_proxy_over_tls(void **state)
{
    (void)state;
    struct identity proxy_identity;
    struct identity server;
    struct tls_server tls;
    struct stage stage;
    struct outcome outcome;
    char url[URL_MAX];
    identity_init(&proxy_identity, "proxy", "DNS:proxy.test", NULL);
    identity_init(&server, "server", "DNS:shop.test", NULL);
    tls_server_init(&tls, &server);
    stage_init_with(&stage, PLAIN, PUBLIC, &(struct rig_options){.ca_file = proxy_identity.file},
                    serve_tls, &tls);
    struct tls_server proxy_tls;
    tls_server_init(&proxy_tls, &proxy_identity);
    stage.proxy.tls = proxy_tls.context;
    SSL_CTX_set_verify(stage.proxy.tls, SSL_VERIFY_PEER, NULL);
    (void)snprintf(url, sizeof url, "https://proxy.test:%u", raw_server_port(stage.proxy_server));
    set_proxy(&stage, url);
    /* The authorities of the policy are for the receiver, the common ones for the proxy; the
     * certificate is for the receiver only. */
    stage.policy.ca_pem = slice_of(server.cert_pem);
    stage.policy.cert_pem = slice_of(server.cert_pem);
    stage.policy.key_pem = slice_of(server.key_pem);
    sink_policy_identify(&stage.policy);
    for (int i = 0; i < 3; i++) {
        call(&stage, "https://shop.test/", &outcome);
        expect(&outcome, ATTEMPT_ANSWERED, "");
        assert_int_equal(outcome.is_new_connection, i == 0);
    }
    assert_int_equal(atomic_load(&stage.proxy.client_certificates), 0);
    stage.policy.ca_pem = SLICE_NONE;
    sink_policy_identify(&stage.policy);
    call(&stage, "https://shop.test/", &outcome);
    expect(&outcome, ATTEMPT_TLS, "certificate verify failed: self");
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u", raw_server_port(stage.proxy_server));
    set_proxy(&stage, url);
    call(&stage, "https://shop.test/", &outcome);
    expect(&outcome, ATTEMPT_TLS, "the proxy: certificate verify failed: it is not for 127.0.0.1");
    assert_int_equal(atomic_load(&stage.proxy.tunnels), 2);
    stage_done(&stage);
    tls_server_done(&proxy_tls);
    tls_server_done(&tls);
    identity_done(&server);
    identity_done(&proxy_identity);
}

static void test_credentials(void **state)
{
    (void)state;
    static const struct {
        const char *user_info;
        bool is_right;
        const char *http_words;
        const char *socks_words;
    } cases[] = {
        {"us%40er:hid%3Aden@", true, "", ""},
        {"user:hidden@", false, "answered 407: it does not take our user name and password",
         "it does not take our user name and password"},
        {"", false, "answered 407: it wants a user name and password",
         "it wants a user name and password"},
    };
    for (enum kind kind = PLAIN; kind <= SOCKS; kind++) {
        for (size_t i = 0; i < PH_ARRAY_LENGTH(cases); i++) {
            struct stage stage;
            struct outcome outcome;
            char url[URL_MAX];
            stage_init(&stage, kind, PUBLIC);
            stage.proxy.authorization = "Basic dXNAZXI6aGlkOmRlbg==";
            stage.proxy.username = "us@er";
            stage.proxy.password = "hid:den";
            (void)snprintf(url, sizeof url, "%s://%s127.0.0.1:%u",
                           kind == SOCKS ? "socks5h" : "http", cases[i].user_info,
                           raw_server_port(stage.proxy_server));
            set_proxy(&stage, url);
            call(&stage, "http://shop.test/", &outcome);
            expect(&outcome, cases[i].is_right ? ATTEMPT_ANSWERED : ATTEMPT_CONNECT,
                   kind == SOCKS ? cases[i].socks_words : cases[i].http_words);
            assert_int_equal(raw_server_requests(stage.world), cases[i].is_right);
            stage_done(&stage);
        }
    }
}

static void test_answers_of_a_proxy_that_are_none_of_the_receiver(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        bool is_endless;
        enum attempt_failure failure;
        const char *words;
    } cases[] = {
        {"HTTP/1.1 403 No\r\nContent-Length: 3\r\nwebhook-delivery: disable\r\n\r\nno!", false,
         ATTEMPT_CONNECT, "did not connect to the receiver: it answered 403"},
        {"HTTP/1.1 502 Bad\r\nRetry-After: 9\r\n\r\n", false, ATTEMPT_CONNECT, "it answered 502"},
        {"HTTP/1.1 410 Gone\r\n\r\n", false, ATTEMPT_CONNECT, "it answered 410"},
        {"HTTP/1.1 301 There\r\nLocation: http://127.0.0.1/\r\n\r\n", false, ATTEMPT_CONNECT,
         "it answered 301"},
        {"", false, ATTEMPT_CONNECT, "gave no answer that is HTTP"},
        {"SSH-2.0-OpenSSH_9.2\r\n", false, ATTEMPT_CONNECT, "gave no answer that is HTTP"},
        {"HTTP/1.1 200 OK\r\n", true, ATTEMPT_PROTOCOL, "sends without an end"},
        {"HTTP/1.1 503 No\r\n", true, ATTEMPT_CONNECT, "it answered 503"},
        {"HTTP/1.1 503 No\r\nContent-Length: 100000000\r\n\r\n", true, ATTEMPT_CONNECT,
         "it answered 503"},
    };
    for (size_t i = 0; i < PH_ARRAY_LENGTH(cases); i++) {
        struct stage stage;
        struct outcome outcome;
        stage_init(&stage, PLAIN, PUBLIC);
        stage.proxy.answer = cases[i].answer;
        stage.proxy.is_endless = cases[i].is_endless;
        call(&stage, "http://shop.test/", &outcome);
        expect(&outcome, cases[i].failure, cases[i].words);
        assert_string_equal(outcome.retry_after, "-");
        assert_string_equal(outcome.hint, "-");
        assert_string_equal(outcome.body, "");
        assert_true(outcome.duration_us < 5000000);
        stage_done(&stage);
    }
}

static void test_replies_of_socks(void **state)
{
    (void)state;
    static const struct {
        uint8_t reply;
        const char *words;
    } cases[] = {
        {1, "it could not connect to the receiver"},  {2, "it does not allow the connection"},
        {4, "it has no route to the receiver"},       {5, "the receiver refused the connection"},
        {8, "it does not know this kind of address"},
    };
    for (size_t i = 0; i < PH_ARRAY_LENGTH(cases); i++) {
        struct stage stage;
        struct outcome outcome;
        stage_init(&stage, SOCKS, PUBLIC);
        stage.proxy.reply = cases[i].reply;
        call(&stage, "http://shop.test/", &outcome);
        expect(&outcome, ATTEMPT_CONNECT, cases[i].words);
        stage_done(&stage);
    }
}

static void test_no_proxy_there(void **state)
{
    (void)state;
    struct stage stage;
    struct outcome outcome;
    char words[URL_MAX];
    stage_init(&stage, PLAIN, PUBLIC);
    struct raw_server *gone = raw_server_start(answer_text, ok_answer);
    unsigned port = raw_server_port(gone);
    raw_server_stop(gone);
    char url[URL_MAX];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
    set_proxy(&stage, url);
    call(&stage, "http://shop.test/", &outcome);
    (void)snprintf(words, sizeof words, "the proxy: connection refused by 127.0.0.1:%u", port);
    expect(&outcome, ATTEMPT_CONNECT, words);
    set_proxy(&stage, "http://lost.test");
    call(&stage, "http://shop.test/", &outcome);
    expect(&outcome, ATTEMPT_DNS, "the proxy: could not look up lost.test: no such name");
    call(&stage, "http://lost.test/", &outcome);
    expect(&outcome, ATTEMPT_DNS, "the proxy: could not look up lost.test");
    set_proxy(&stage, "http://proxy.test");
    call(&stage, "http://lost.test/", &outcome);
    expect(&outcome, ATTEMPT_DNS, "could not look up lost.test");
    assert_null(strstr(outcome.error_text, "proxy"));
    stage_done(&stage);
}

static void test_a_slow_proxy_times_out(void **state)
{
    (void)state;
    for (enum kind kind = PLAIN; kind <= SOCKS; kind++) {
        struct stage stage;
        struct outcome outcome;
        struct gate gate = GATE_INIT;
        stage_init(&stage, kind, PUBLIC);
        stage.proxy.gate = &gate;
        struct sink_request request = request_of("http://shop.test/", &outcome);
        request.policy = &stage.policy;
        request.timeout_ms = 150;
        exchange(&stage.rig, &request);
        expect(&outcome, ATTEMPT_TIMEOUT,
               kind == SOCKS ? "while connecting through the proxy"
                             : "while waiting for the proxy");
        gate_open(&gate);
        stage_done(&stage);
    }
}

/* The tunnel stands, the receiver behind it says nothing. */
static void test_a_slow_receiver_behind_a_proxy(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        const char *words;
    } cases[] = {
        {"http://shop.test/", "while waiting for the answer"},
        {"https://shop.test/", "while the TLS handshake was going on"},
    };
    for (size_t i = 0; i < PH_ARRAY_LENGTH(cases); i++) {
        struct stage stage;
        struct outcome outcome;
        stage_init_with(&stage, PLAIN, PUBLIC, NULL, say_nothing, NULL);
        struct sink_request request = request_of(cases[i].url, &outcome);
        request.policy = &stage.policy;
        request.timeout_ms = 150;
        exchange(&stage.rig, &request);
        expect(&outcome, ATTEMPT_TIMEOUT, cases[i].words);
        stage_done(&stage);
    }
}

static void test_the_next_attempt_tries_another_address(void **state)
{
    (void)state;
    struct stage stage;
    struct outcome outcome;
    stage_init(&stage, PLAIN, PUBLIC ",93.184.216.35");
    stage.proxy.answer = "HTTP/1.1 504 No\r\n\r\n";
    call(&stage, "http://shop.test/", &outcome);
    assert_target(&stage, PUBLIC ":80");
    call(&stage, "http://shop.test/", &outcome);
    assert_target(&stage, "93.184.216.35:80");
    call(&stage, "http://shop.test/", &outcome);
    assert_target(&stage, PUBLIC ":80");
    stage_done(&stage);
}

static void test_a_changed_guard_ends_what_is_not_sent_yet(void **state)
{
    (void)state;
    struct stage stage;
    struct outcome outcome;
    struct gate gate = GATE_INIT;
    struct cidr_set wider;
    stage_init(&stage, PLAIN, "10.0.0.1");
    stage.proxy.gate = &gate;
    assert_int_equal(
        cidr_set_parse(SLICE_LITERAL("127.0.0.1/32,10.0.0.0/8"), "allow_subnets", NULL, &wider),
        PH_OK);
    sink_http_set_allow_subnets(stage.rig.sink, &wider);
    struct sink_request request = request_of("http://shop.test/", &outcome);
    request.policy = &stage.policy;
    send_request(&stage.rig, &request);
    RUN_UNTIL(&stage.rig, atomic_load(&stage.proxy.asked) == 1);
    sink_http_set_allow_subnets(stage.rig.sink, &stage.proxy_subnet);
    gate_open(&gate);
    RUN_UNTIL(&stage.rig, outcome.is_done);
    expect(&outcome, ATTEMPT_BLOCKED, "address 10.0.0.1 is not allowed");
    assert_int_equal(raw_server_requests(stage.world), 0);
    cidr_set_done(&wider);
    stage_done(&stage);
}

/* Two tenants with proxies of their own call one receiver. */
static void test_proxies_share_nothing(void **state)
{
    (void)state;
    struct stage stage;
    struct outcome outcome;
    stage_init(&stage, PLAIN, PUBLIC);
    struct proxy other = {.mutex = PTHREAD_MUTEX_INITIALIZER, .port = stage.proxy.port};
    struct raw_server *other_server = raw_server_start(serve_proxy, &other);
    char url[URL_MAX];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", raw_server_port(other_server));
    struct sink_policy policies[] = {stage.policy, {.proxy = slice_of(url)}};
    sink_policy_identify(&policies[1]);
    for (size_t i = 0; i < 10; i++) {
        struct sink_request request = request_of("http://shop.test/", &outcome);
        request.policy = &policies[i % 2];
        exchange(&stage.rig, &request);
        expect(&outcome, ATTEMPT_ANSWERED, "");
        assert_int_equal(outcome.is_new_connection, i < 2);
    }
    assert_int_equal(atomic_load(&stage.proxy.tunnels), 1);
    assert_int_equal(atomic_load(&other.tunnels), 1);
    /* Same proxy, other credentials. */
    (void)snprintf(url, sizeof url, "http://a:b@127.0.0.1:%u", raw_server_port(other_server));
    struct sink_policy third = {.proxy = slice_of(url)};
    sink_policy_identify(&third);
    struct sink_request request = request_of("http://shop.test/", &outcome);
    request.policy = &third;
    exchange(&stage.rig, &request);
    assert_true(outcome.is_new_connection);
    stage_done(&stage);
    raw_server_stop(other_server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_proxy_gets_a_checked_address),
        cmocka_unit_test(test_private_targets_are_refused_before_the_proxy),
        cmocka_unit_test(test_private_proxies_are_refused),
        cmocka_unit_test(test_tunnels_are_kept_and_follow_the_address),
        cmocka_unit_test(test_tls_with_client_certificate_through_a_proxy),
        cmocka_unit_test(test_proxy_over_tls),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_answers_of_a_proxy_that_are_none_of_the_receiver),
        cmocka_unit_test(test_replies_of_socks),
        cmocka_unit_test(test_no_proxy_there),
        cmocka_unit_test(test_a_slow_proxy_times_out),
        cmocka_unit_test(test_a_slow_receiver_behind_a_proxy),
        cmocka_unit_test(test_the_next_attempt_tries_another_address),
        cmocka_unit_test(test_a_changed_guard_ends_what_is_not_sent_yet),
        cmocka_unit_test(test_proxies_share_nothing),
    };
    return cmocka_run_group_tests_name("sink_http_proxy", tests, rig_set_up, rig_tear_down);
}
