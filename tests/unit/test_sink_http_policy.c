/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP sink with policies: client certificates, authorities, and that pools stay apart. */
#include "unit/tls_rig.h"

#include <fcntl.h>

#include "base/secret.h"
#include "sinks/http.h"
#include "sinks/policy.h"

/* A receiver that asks for certificates of `authority`, and two who have some. */
struct stage {
    struct identity server;
    struct identity authority;
    struct identity ada;
    struct identity bob;
    struct tls_server tls;
    struct raw_server *raw;
    char url[URL_MAX];
};

static void stage_init(struct stage *stage)
{
    identity_init(&stage->server, "server", "IP:127.0.0.1", NULL);
    identity_init(&stage->authority, "authority", "DNS:authority.test", NULL);
    identity_init(&stage->ada, "ada", "DNS:ada.test", &stage->authority);
    identity_init(&stage->bob, "bob", "DNS:bob.test", &stage->authority);
    tls_server_init(&stage->tls, &stage->server);
    tls_server_ask(&stage->tls, &stage->authority);
    stage->raw = raw_server_start(serve_tls, &stage->tls);
    (void)tls_url_of(stage->raw, stage->url);
}

static void stage_done(struct stage *stage)
{
    raw_server_stop(stage->raw);
    tls_server_done(&stage->tls);
    identity_done(&stage->bob);
    identity_done(&stage->ada);
    identity_done(&stage->authority);
    identity_done(&stage->server);
}

/* A policy with the identity's certificate; `ca` may be NULL. */
static struct sink_policy policy_of(const struct identity *client, const struct identity *ca)
{
    struct sink_policy policy = {0};
    if (client != NULL) {
        policy.cert_pem = slice_of(client->cert_pem);
        policy.key_pem = slice_of(client->key_pem);
    }
    if (ca != NULL) {
        policy.ca_pem = slice_of(ca->cert_pem);
    }
    sink_policy_identify(&policy);
    return policy;
}

static void call(struct rig *rig, const char *url, const struct sink_policy *policy,
                 struct outcome *outcome)
{
    struct sink_request request = request_of(url, outcome);
    request.policy = policy;
    exchange(rig, &request);
    assert_null(strstr(outcome->error_text, "hidden"));
}

static void expect(const struct outcome *outcome, enum attempt_failure failure, const char *words)
{
    if (outcome->failure != failure || strstr(outcome->error_text, words) == NULL) {
        print_error("failure %d, \"%s\"\n", (int)outcome->failure, outcome->error_text);
    }
    assert_int_equal(outcome->failure, failure);
    assert_int_equal(outcome->status_code, failure == ATTEMPT_ANSWERED ? 200 : 0);
    assert_non_null(strstr(outcome->error_text, words));
}

static void test_right_wrong_and_missing_certificate(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < PH_ARRAY_LENGTH(versions); i++) {
        struct stage stage;
        struct rig rig;
        struct outcome outcome;
        stage_init(&stage);
        SSL_CTX_set_max_proto_version(stage.tls.context, versions[i]);
        struct sink_policy right = policy_of(&stage.ada, &stage.server);
        struct sink_policy wrong = policy_of(&stage.server, &stage.server);
        struct sink_policy missing = policy_of(NULL, &stage.server);
        rig_start(&rig);
        call(&rig, stage.url, &right, &outcome);
        expect(&outcome, ATTEMPT_ANSWERED, "");
        call(&rig, stage.url, &missing, &outcome);
        expect(&outcome, ATTEMPT_TLS, "the receiver asks for a client certificate");
        call(&rig, stage.url, &wrong, &outcome);
        expect(&outcome, ATTEMPT_TLS, "the receiver refuses our client certificate: ");
        assert_int_equal(atomic_load(&stage.tls.requests), 1);
        call(&rig, stage.url, &right, &outcome);
        expect(&outcome, ATTEMPT_ANSWERED, "");
        assert_false(outcome.is_new_connection);
        rig_stop(&rig);
        stage_done(&stage);
    }
}

static void test_authorities_of_a_policy_replace_the_common_ones(void **state)
{
    (void)state;
    struct stage stage;
    struct rig rig;
    struct outcome outcome;
    stage_init(&stage);
    rig_init(&rig, &(struct rig_options){.ca_file = stage.server.file});
    struct sink_policy common = policy_of(&stage.ada, NULL);
    struct sink_policy own = policy_of(&stage.ada, &stage.server);
    struct sink_policy other = policy_of(&stage.ada, &stage.authority);
    call(&rig, stage.url, &common, &outcome);
    expect(&outcome, ATTEMPT_ANSWERED, "");
    call(&rig, stage.url, &own, &outcome);
    expect(&outcome, ATTEMPT_ANSWERED, "");
    call(&rig, stage.url, &other, &outcome);
    expect(&outcome, ATTEMPT_TLS, "certificate verify failed: self");
    rig_stop(&rig);
    stage_done(&stage);
}

/* The server says with each request whose connection it came on. */
static void test_certificates_never_share_a_connection(void **state)
{
    (void)state;
    enum { ROUNDS = 40 };
    struct stage stage;
    struct rig rig;
    struct outcome outcomes[ROUNDS];
    stage_init(&stage);
    rig_init(&rig, &(struct rig_options){.ca_file = stage.server.file});
    struct sink_policy policies[] = {policy_of(&stage.ada, NULL), policy_of(&stage.bob, NULL)};
    struct sink_header names[] = {
        {SLICE_LITERAL("X-Cert"), SLICE_LITERAL("ada")},
        {SLICE_LITERAL("X-Cert"), SLICE_LITERAL("bob")},
    };
    for (size_t i = 0; i < ROUNDS; i++) {
        struct sink_request request = request_of(stage.url, &outcomes[i]);
        /* Made anew each time: equal content is the same policy. */
        struct sink_policy policy = policy_of(i % 2 == 0 ? &stage.ada : &stage.bob, NULL);
        assert_memory_equal(policy.key, policies[i % 2].key, sizeof policy.key);
        request.policy = &policy;
        request.headers = &names[i % 2];
        request.header_count = 1;
        exchange(&rig, &request);
        assert_int_equal(outcomes[i].is_new_connection, i < 2);
    }
    /* Without a policy there is no certificate, whatever connections are there. */
    struct outcome outcome;
    call(&rig, stage.url, NULL, &outcome);
    expect(&outcome, ATTEMPT_TLS, "the receiver asks for a client certificate");
    assert_int_equal(atomic_load(&stage.tls.requests), ROUNDS);
    assert_int_equal(atomic_load(&stage.tls.strangers), 0);
    assert_int_equal(atomic_load(&stage.tls.handshakes), 2);
    assert_int_equal(sink_http_policy_count(rig.sink), 2);
    assert_int_equal(metrics_get(&rig.metrics, METRIC_SINK_POLICIES), 2);
    rig_stop(&rig);
    assert_int_equal(metrics_get(&rig.metrics, METRIC_SINK_POLICIES), 0);
    stage_done(&stage);
}

/* The same with a server that closes after each answer: sessions are taken up again, but never
 * somebody else's. */
static void test_certificates_never_share_a_session(void **state)
{
    (void)state;
    enum { ROUNDS = 20 };
    struct stage stage;
    struct rig rig;
    struct outcome outcome;
    stage_init(&stage);
    rig_init(&rig, &(struct rig_options){.ca_file = stage.server.file});
    struct sink_policy policies[] = {policy_of(&stage.ada, NULL), policy_of(&stage.bob, NULL)};
    struct sink_header names[] = {
        {SLICE_LITERAL("X-Cert"), SLICE_LITERAL("ada")},
        {SLICE_LITERAL("X-Cert"), SLICE_LITERAL("bob")},
    };
    stage.tls.closes = true;
    for (size_t i = 0; i < ROUNDS; i++) {
        struct sink_request request = request_of(stage.url, &outcome);
        request.policy = &policies[i % 2];
        request.headers = &names[i % 2];
        request.header_count = 1;
        exchange(&rig, &request);
        RUN_UNTIL(&rig, raw_server_ended(stage.raw) == i + 1);
        expect(&outcome, ATTEMPT_ANSWERED, "");
        assert_true(outcome.is_new_connection);
    }
    assert_int_equal(atomic_load(&stage.tls.handshakes), ROUNDS);
    assert_int_equal(atomic_load(&stage.tls.resumed), ROUNDS - 2);
    assert_int_equal(atomic_load(&stage.tls.strangers), 0);
    rig_stop(&rig);
    stage_done(&stage);
}

static void test_bad_policies_are_refused_before_sending(void **state)
{
    (void)state;
    struct stage stage;
    struct rig rig;
    struct outcome outcome;
    struct diag diag;
    stage_init(&stage);
    rig_start(&rig);
    struct sink_policy policy = policy_of(&stage.ada, NULL);
    policy.key_pem = slice_of(stage.bob.key_pem);
    sink_policy_identify(&policy);
    struct sink_request request = request_of(stage.url, &outcome);
    request.policy = &policy;
    assert_int_equal(sink_http_send(rig.sink, &request, &diag), PH_INVALID);
    assert_string_equal(diag.field, "key_pem");
    assert_string_equal(diag.text, "the key does not belong to the certificate");
    assert_int_equal(sink_http_in_flight(rig.sink), 0);
    assert_int_equal(sink_http_policy_count(rig.sink), 0);
    assert_int_equal(raw_server_connections(stage.raw), 0);
    rig_stop(&rig);
    stage_done(&stage);
}

/* Only authorities: three such policies differ enough. */
static void three_policies(const struct stage *stage, struct sink_policy ret_policies[3])
{
    ret_policies[0] = policy_of(&stage->ada, NULL);
    ret_policies[1] = policy_of(&stage->bob, NULL);
    ret_policies[2] = policy_of(&stage->ada, &stage->server);
}

static void test_limit_closes_the_one_that_rested_longest(void **state)
{
    (void)state;
    struct stage stage;
    struct rig rig;
    struct outcome outcome;
    struct sink_policy policies[3];
    stage_init(&stage);
    rig_init(&rig, &(struct rig_options){.ca_file = stage.server.file, .policies_max = 2});
    three_policies(&stage, policies);
    call(&rig, stage.url, &policies[0], &outcome);
    call(&rig, stage.url, &policies[1], &outcome);
    call(&rig, stage.url, &policies[0], &outcome);
    assert_false(outcome.is_new_connection);
    assert_int_equal(raw_server_ended(stage.raw), 0);
    call(&rig, stage.url, &policies[2], &outcome); /* in place of the second */
    RUN_UNTIL(&rig, raw_server_ended(stage.raw) == 1);
    assert_int_equal(sink_http_policy_count(rig.sink), 2);
    assert_int_equal(metrics_get(&rig.metrics, METRIC_SINK_POLICIES), 2);
    assert_int_equal(metrics_get(&rig.metrics, METRIC_SINK_POLICIES_EVICTED), 1);
    call(&rig, stage.url, &policies[0], &outcome);
    assert_false(outcome.is_new_connection);
    call(&rig, stage.url, &policies[1], &outcome);
    assert_true(outcome.is_new_connection);
    expect(&outcome, ATTEMPT_ANSWERED, "");
    assert_int_equal(metrics_get(&rig.metrics, METRIC_SINK_POLICIES_EVICTED), 2);
    rig_stop(&rig);
    stage_done(&stage);
}

static void test_limit_refuses_when_all_are_busy(void **state)
{
    (void)state;
    struct stage stage;
    struct rig rig;
    struct outcome outcomes[3];
    struct sink_policy policies[3];
    struct diag diag;
    stage_init(&stage);
    stage.tls.is_silent = true;
    rig_init(&rig, &(struct rig_options){.ca_file = stage.server.file, .policies_max = 2});
    three_policies(&stage, policies);
    for (size_t i = 0; i < 3; i++) {
        struct sink_request request = request_of(stage.url, &outcomes[i]);
        request.policy = &policies[i];
        assert_int_equal(sink_http_send(rig.sink, &request, &diag), i < 2 ? PH_OK : PH_BUSY);
    }
    assert_non_null(strstr(diag.text, "too many client certificates"));
    assert_int_equal(metrics_get(&rig.metrics, METRIC_SINK_POLICIES_REFUSED), 1);
    assert_int_equal(metrics_get(&rig.metrics, METRIC_SINK_POLICIES_EVICTED), 0);
    /* One more of a policy that is there is no problem. */
    struct sink_request request = request_of(stage.url, &outcomes[2]);
    request.policy = &policies[1];
    send_request(&rig, &request);
    RUN_UNTIL(&rig, atomic_load(&stage.tls.requests) == 3);
    rig_stop(&rig);
    assert_int_equal(outcomes[2].failure, ATTEMPT_CANCELLED);
    stage_done(&stage);
}

static void test_a_policy_that_rests_is_closed(void **state)
{
    (void)state;
    struct stage stage;
    struct rig rig;
    struct outcome outcome;
    stage_init(&stage);
    rig_init(&rig, &(struct rig_options){.ca_file = stage.server.file, .policy_rest_us = 100000});
    struct sink_policy policy = policy_of(&stage.ada, NULL);
    call(&rig, stage.url, &policy, &outcome);
    assert_int_equal(sink_http_policy_count(rig.sink), 1);
    assert_true(sink_http_deadline_us(rig.sink) <= clock_boot_us() + 100000);
    RUN_UNTIL(&rig, raw_server_ended(stage.raw) == 1);
    assert_int_equal(sink_http_policy_count(rig.sink), 0);
    assert_int_equal(metrics_get(&rig.metrics, METRIC_SINK_POLICIES_EVICTED), 0);
    assert_int_equal(sink_http_deadline_us(rig.sink), INT64_MAX);
    rig_stop(&rig);
    stage_done(&stage);
}

static void test_changed_guard_closes_policies_too(void **state)
{
    (void)state;
    struct stage stage;
    struct rig rig;
    struct outcome outcome;
    stage_init(&stage);
    rig_init(&rig, &(struct rig_options){.ca_file = stage.server.file});
    struct sink_policy policy = policy_of(&stage.ada, NULL);
    call(&rig, stage.url, &policy, &outcome);
    expect(&outcome, ATTEMPT_ANSWERED, "");
    sink_http_set_allow_subnets(rig.sink, NULL);
    call(&rig, stage.url, &policy, &outcome);
    expect(&outcome, ATTEMPT_BLOCKED, "address 127.0.0.1 is not allowed");
    RUN_UNTIL(&rig, raw_server_ended(stage.raw) == 1);
    assert_int_equal(atomic_load(&stage.tls.requests), 1);
    rig_stop(&rig);
    stage_done(&stage);
}

/* How often the bytes stand in this process's heap and data. */
static unsigned count_in_memory(const char *bytes, size_t length)
{
    unsigned count = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    assert_non_null(maps);
    assert_true(memory >= 0);
    enum { PIECE = 1 << 20 };
    /* Outside of the heap that is searched. */
    static char piece[PIECE + 256];
    while (fgets(line, sizeof line, maps) != NULL) {
        char *rest;
        uint64_t at = strtoull(line, &rest, 16);
        uint64_t end = strtoull(rest + 1, &rest, 16);
        bool is_heap = strstr(line, "[heap]") != NULL || strlen(rest) < 30;
        if (strncmp(rest, " rw", 3) != 0 || !is_heap || end - at > (UINT64_C(1) << 30)) {
            continue;
        }
        for (; at < end; at += PIECE) {
            ssize_t got = pread(memory, piece, sizeof piece, (off_t)at);
            const char *from = piece;
            while (got > 0 && (from = memmem(from, (size_t)(piece + got - from), bytes, length))) {
                count += from < piece + PIECE;
                from++;
            }
        }
    }
    secret_wipe(piece, sizeof piece);
    close(memory);
    assert_int_equal(fclose(maps), 0);
    return count;
}

static void test_a_dropped_policy_leaves_no_key_behind(void **state)
{
    (void)state;
    struct stage stage;
    struct rig rig;
    struct outcome outcome;
    stage_init(&stage);
    rig_init(&rig, &(struct rig_options){.ca_file = stage.server.file, .policies_max = 1});
    struct sink_policy ada = policy_of(&stage.ada, NULL);
    struct sink_policy bob = policy_of(&stage.bob, NULL);
    const char *key = strchr(stage.ada.key_pem, '\n') + 1;
    unsigned keys_before = count_in_memory(key, 60);
    assert_true(keys_before >= 1);
    call(&rig, stage.url, &ada, &outcome);
    expect(&outcome, ATTEMPT_ANSWERED, "");
    assert_true(count_in_memory(key, 60) > keys_before);
    call(&rig, stage.url, &bob, &outcome);
    expect(&outcome, ATTEMPT_ANSWERED, "");
    assert_int_equal(count_in_memory(key, 60), keys_before);
    rig_stop(&rig);
    stage_done(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right_wrong_and_missing_certificate),
        cmocka_unit_test(test_authorities_of_a_policy_replace_the_common_ones),
        cmocka_unit_test(test_certificates_never_share_a_connection),
        cmocka_unit_test(test_certificates_never_share_a_session),
        cmocka_unit_test(test_bad_policies_are_refused_before_sending),
        cmocka_unit_test(test_limit_closes_the_one_that_rested_longest),
        cmocka_unit_test(test_limit_refuses_when_all_are_busy),
        cmocka_unit_test(test_a_policy_that_rests_is_closed),
        cmocka_unit_test(test_changed_guard_closes_policies_too),
        cmocka_unit_test(test_a_dropped_policy_leaves_no_key_behind),
    };
    return cmocka_run_group_tests_name("sink_http_policy", tests, rig_set_up, rig_tear_down);
}
