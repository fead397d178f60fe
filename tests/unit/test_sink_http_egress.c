/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP sink with a proxy of the operator's: the way out of the whole server. */
#include "unit/proxy_rig.h"

#include "sinks/http.h"
#include "sinks/policy.h"

static void set_egress(struct stage *stage, const char *url, bool proxy_resolves)
{
    struct sink_http_egress egress = {.proxy_url = url, .proxy_resolves = proxy_resolves};
    assert_int_equal(sink_http_set_egress(stage->rig.sink, &egress, NULL), PH_OK);
}

/* Nothing but public addresses is allowed, and the proxy of the stage is the way out. */
static void egress_init(struct stage *stage, enum kind kind, bool proxy_resolves)
{
    stage_init_with(stage, kind, PUBLIC, &(struct rig_options){.is_guarded = true}, answer_text,
                    ok_answer);
    set_egress(stage, stage->proxy_url, proxy_resolves);
}

static void call_plainly(struct stage *stage, const char *url, struct outcome *outcome)
{
    struct sink_request request = request_of(url, outcome);
    exchange(&stage->rig, &request);
}

static void test_egress_is_not_judged_but_what_is_behind_it(void **state)
{
    (void)state;
    for (enum kind kind = PLAIN; kind <= SOCKS; kind++) {
        for (int resolves = 0; resolves <= 1; resolves++) {
            struct stage stage;
            struct outcome outcome;
            egress_init(&stage, kind, resolves == 1);
            call_plainly(&stage, "http://shop.test/", &outcome);
            expect(&outcome, ATTEMPT_ANSWERED, "");
            assert_target(&stage, resolves == 1 ? "shop.test:80" : PUBLIC ":80");
            call_plainly(&stage, "http://93.184.216.35/", &outcome);
            assert_target(&stage, "93.184.216.35:80");
            unsigned asked = atomic_load(&stage.proxy.asked);
            static const char *const refused[] = {"http://10.0.0.1/",    "http://127.0.0.1:1/",
                                                  "http://[::1]/",       "http://localhost/",
                                                  "http://a.localhost/", "http://0x7f.1/"};
            for (size_t i = 0; i < PH_ARRAY_LENGTH(refused); i++) {
                call_plainly(&stage, refused[i], &outcome);
                expect(&outcome, ATTEMPT_BLOCKED, "is not allowed: ");
            }
            /* Only where we are the ones who look a name up. */
            names_set(&stage.names, "192.168.0.1");
            call_plainly(&stage, "http://inside.test/", &outcome);
            expect(&outcome, resolves == 1 ? ATTEMPT_ANSWERED : ATTEMPT_BLOCKED, "");
            assert_int_equal(atomic_load(&stage.proxy.asked), asked + (unsigned)resolves);
            stage_done(&stage);
        }
    }
}

/* A name that only the proxy can look up, in TLS as well. */
static void test_egress_that_resolves_needs_no_names_here(void **state)
{
    (void)state;
    struct identity server;
    struct tls_server tls;
    struct stage stage;
    struct outcome outcome;
    identity_init(&server, "server", "DNS:lost.test", NULL);
    tls_server_init(&tls, &server);
    stage_init_with(&stage, PLAIN, PUBLIC,
                    &(struct rig_options){.is_guarded = true, .ca_file = server.file}, serve_tls,
                    &tls);
    char url[URL_MAX];
    (void)snprintf(url, sizeof url, "http://proxy.test:%u", raw_server_port(stage.proxy_server));
    set_egress(&stage, url, true);
    call_plainly(&stage, "https://lost.test/", &outcome);
    expect(&outcome, ATTEMPT_ANSWERED, "");
    assert_target(&stage, "lost.test:443");
    set_egress(&stage, url, false);
    call_plainly(&stage, "https://lost.test/", &outcome);
    expect(&outcome, ATTEMPT_DNS, "could not look up lost.test");
    stage_done(&stage);
    tls_server_done(&tls);
    identity_done(&server);
}

static void test_egress_changes_while_running(void **state)
{
    (void)state;
    struct stage stage;
    struct outcome outcome;
    struct outcome waiting;
    struct diag diag;
    struct gate gate = GATE_INIT;
    stage_init(&stage, PLAIN, PUBLIC);
    set_egress(&stage, stage.proxy_url, false);
    call_plainly(&stage, "http://shop.test/", &outcome);
    expect(&outcome, ATTEMPT_ANSWERED, "");
    stage.proxy.gate = &gate;
    struct sink_request request = request_of("http://other.test/", &waiting);
    send_request(&stage.rig, &request);
    RUN_UNTIL(&stage.rig, atomic_load(&stage.proxy.asked) == 2);
    /* A bad one changes nothing. */
    struct sink_http_egress bad = {.proxy_url = "ftp://proxy.test"};
    assert_int_equal(sink_http_set_egress(stage.rig.sink, &bad, &diag), PH_INVALID);
    assert_string_equal(diag.field, "egress_proxy");
    call_plainly(&stage, "http://shop.test/", &outcome);
    assert_false(outcome.is_new_connection);

    /* Without one: directly. What was on its way goes on through the former. */
    set_egress(&stage, "", false);
    char url[URL_MAX];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", raw_server_port(stage.world));
    call_plainly(&stage, url, &outcome);
    expect(&outcome, ATTEMPT_ANSWERED, "");
    assert_int_equal(atomic_load(&stage.proxy.asked), 2);
    assert_false(waiting.is_done);
    gate_open(&gate);
    RUN_UNTIL(&stage.rig, waiting.is_done);
    expect(&waiting, ATTEMPT_ANSWERED, "");
    RUN_UNTIL(&stage.rig, raw_server_ended(stage.proxy_server) == 2);
    stage_done(&stage);
}

static void test_egress_and_policies(void **state)
{
    (void)state;
    struct stage stage;
    struct outcome outcome;
    struct diag diag;
    struct identity ada;
    identity_init(&ada, "ada", "DNS:ada.test", NULL);
    egress_init(&stage, PLAIN, false);
    /* A certificate goes the operator's way too; another proxy is none. */
    struct sink_policy policy = {.cert_pem = slice_of(ada.cert_pem),
                                 .key_pem = slice_of(ada.key_pem)};
    sink_policy_identify(&policy);
    struct sink_request request = request_of("http://shop.test/", &outcome);
    request.policy = &policy;
    exchange(&stage.rig, &request);
    expect(&outcome, ATTEMPT_ANSWERED, "");
    assert_target(&stage, PUBLIC ":80");
    request = request_of("http://shop.test/", &outcome);
    request.policy = &stage.policy;
    assert_int_equal(sink_http_send(stage.rig.sink, &request, &diag), PH_INVALID);
    assert_string_equal(diag.field, "proxy");
    assert_non_null(strstr(diag.text, "egress_proxy"));
    assert_int_equal(sink_http_policy_count(stage.rig.sink), 1);
    stage_done(&stage);
    identity_done(&ada);
}

static void test_environment_makes_no_exception(void **state)
{
    (void)state;
    struct stage stage;
    struct outcome outcome;
    /* No other thread reads the environment meanwhile.
     * NOLINTBEGIN(concurrency-mt-unsafe) */
    assert_int_equal(setenv("no_proxy", "*", 1), 0);
    assert_int_equal(setenv("NO_PROXY", "shop.test", 1), 0);
    egress_init(&stage, PLAIN, false);
    call_plainly(&stage, "http://shop.test/", &outcome);
    expect(&outcome, ATTEMPT_ANSWERED, "");
    assert_int_equal(atomic_load(&stage.proxy.asked), 1);
    (void)unsetenv("no_proxy");
    (void)unsetenv("NO_PROXY");
    /* NOLINTEND(concurrency-mt-unsafe) */
    stage_done(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_egress_is_not_judged_but_what_is_behind_it),
        cmocka_unit_test(test_egress_that_resolves_needs_no_names_here),
        cmocka_unit_test(test_egress_changes_while_running),
        cmocka_unit_test(test_egress_and_policies),
        cmocka_unit_test(test_environment_makes_no_exception),
    };
    return cmocka_run_group_tests_name("sink_http_egress", tests, rig_set_up, rig_tear_down);
}
