/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP sink and names, the guard on addresses, and cancellation. */
#include "sinks/http.h"
#include "unit/sink_rig.h"

#include <pthread.h>

static char ok_answer[] = OK_ANSWER;

/* "fast.test" and so on: what a name stands for. Waits for `may_go` when the name is "hang.test".
 */
struct names {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool may_go;
    unsigned calls;
    const char *addresses; /* of every other name; NULL = it has none */
};

static bool look_up_name(void *context, const char *host, char *ret_text, size_t text_size)
{
    struct names *names = context;
    pthread_mutex_lock(&names->mutex);
    names->calls++;
    while (strcmp(host, "hang.test") == 0 && !names->may_go) {
        pthread_cond_wait(&names->changed, &names->mutex);
    }
    bool is_found = names->addresses != NULL;
    (void)snprintf(ret_text, text_size, "%s", is_found ? names->addresses : "no such name");
    pthread_mutex_unlock(&names->mutex);
    return is_found;
}

static void names_set(struct names *names, const char *addresses)
{
    pthread_mutex_lock(&names->mutex);
    names->addresses = addresses;
    pthread_mutex_unlock(&names->mutex);
}

static unsigned names_calls(struct names *names)
{
    pthread_mutex_lock(&names->mutex);
    unsigned calls = names->calls;
    pthread_mutex_unlock(&names->mutex);
    return calls;
}

static void names_release(struct names *names)
{
    pthread_mutex_lock(&names->mutex);
    names->may_go = true;
    pthread_cond_broadcast(&names->changed);
    pthread_mutex_unlock(&names->mutex);
}

static void test_guard_refuses_before_a_connection(void **state)
{
    (void)state;
    struct names names = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                          .changed = PTHREAD_COND_INITIALIZER,
                          .addresses = "127.0.0.1"};
    struct resolver_options resolver = {.lookup = look_up_name, .context = &names};
    struct rig rig;
    struct outcome outcome;
    char url[URL_MAX];
    rig_init(&rig, &(struct rig_options){.is_guarded = true, .resolver = &resolver});
    struct raw_server *server = raw_server_start(answer_text, ok_answer);
    static const char *const hosts[] = {"127.0.0.1", "2130706433",         "0x7f.1",
                                        "localhost", "[::ffff:127.0.0.1]", "named.test"};
    for (size_t i = 0; i < PH_ARRAY_LENGTH(hosts); i++) {
        (void)snprintf(url, sizeof url, "http://%s:%u/", hosts[i], raw_server_port(server));
        struct sink_request request = request_of(url, &outcome);
        exchange(&rig, &request);
        assert_int_equal(outcome.failure, ATTEMPT_BLOCKED);
        assert_int_equal(outcome.status_code, 0);
        assert_false(outcome.is_new_connection);
        assert_non_null(strstr(outcome.error_text, "is not allowed: "));
        assert_non_null(strstr(outcome.error_text, "(allow_subnets opens it)"));
    }
    struct sink_request request = request_of(url_of(server, url), &outcome);
    exchange(&rig, &request);
    assert_string_equal(outcome.error_text,
                        "address 127.0.0.1 is not allowed: loopback 127.0.0.0/8 "
                        "(allow_subnets opens it)");
    assert_int_equal(raw_server_connections(server), 0);
    rig_stop(&rig);
    raw_server_stop(server);
}

static void test_guard_judges_each_address_of_a_name(void **state)
{
    (void)state;
    struct names names = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                          .changed = PTHREAD_COND_INITIALIZER,
                          .addresses = "10.0.0.1,127.0.0.1"};
    struct resolver_options resolver = {.lookup = look_up_name, .context = &names};
    struct rig rig;
    struct outcome outcome;
    char url[URL_MAX];
    rig_init(&rig, &(struct rig_options){.resolver = &resolver});
    struct raw_server *server = raw_server_start(answer_text, ok_answer);
    (void)snprintf(url, sizeof url, "http://two.test:%u/", raw_server_port(server));
    struct sink_request request = request_of(url, &outcome);
    exchange(&rig, &request);
    assert_int_equal(outcome.failure, ATTEMPT_ANSWERED);
    assert_int_equal(raw_server_connections(server), 1);
    rig_stop(&rig);
    raw_server_stop(server);
}

static void test_changed_guard_closes_kept_connections(void **state)
{
    (void)state;
    struct rig rig;
    struct outcome outcome;
    char url[URL_MAX];
    rig_start(&rig);
    struct raw_server *server = raw_server_start(answer_text, ok_answer);
    struct raw_server *silent = raw_server_start(say_nothing, NULL);
    struct sink_request request = request_of(url_of(server, url), &outcome);
    exchange(&rig, &request);
    assert_int_equal(outcome.status_code, 200);
    char silent_url[URL_MAX];
    struct outcome waiting;
    struct sink_request waiting_request = request_of(url_of(silent, silent_url), &waiting);
    send_request(&rig, &waiting_request);
    RUN_UNTIL(&rig, raw_server_requests(silent) == 1);

    sink_http_set_allow_subnets(rig.sink, NULL);
    request = request_of(url, &outcome);
    exchange(&rig, &request);
    assert_int_equal(outcome.failure, ATTEMPT_BLOCKED);
    assert_int_equal(raw_server_requests(server), 1);
    assert_false(waiting.is_done);
    /* The old connections end once nothing of their time is in flight. */
    raw_server_stop(silent);
    RUN_UNTIL(&rig, waiting.is_done);
    RUN_UNTIL(&rig, raw_server_ended(server) == 1);

    sink_http_set_allow_subnets(rig.sink, &rig.loopback);
    request = request_of(url, &outcome);
    exchange(&rig, &request);
    assert_int_equal(outcome.status_code, 200);
    assert_true(outcome.is_new_connection);
    /* Without anything in flight they end at once. */
    sink_http_set_allow_subnets(rig.sink, &rig.loopback);
    RUN_UNTIL(&rig, raw_server_ended(server) == 2);
    rig_stop(&rig);
    raw_server_stop(server);
}

/* Holds every answer back until the test opens it. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_open;
};

static void answer_behind_gate(struct raw_server *server, int fd, void *context)
{
    struct gate *gate = context;
    while (raw_server_read(server, fd)) {
        pthread_mutex_lock(&gate->mutex);
        while (!gate->is_open) {
            pthread_cond_wait(&gate->changed, &gate->mutex);
        }
        pthread_mutex_unlock(&gate->mutex);
        if (!raw_server_write(fd, ok_answer)) {
            return;
        }
    }
}

/* An attempt that waits for a connection when the guard changes must not take over one that was
 * opened before. */
static void test_changed_guard_holds_for_waiting_attempts(void **state)
{
    (void)state;
    struct gate gate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct rig rig;
    struct outcome first;
    struct outcome second;
    char url[URL_MAX];
    rig_init(&rig, &(struct rig_options){.connections_max = 1});
    struct raw_server *server = raw_server_start(answer_behind_gate, &gate);
    struct sink_request request = request_of(url_of(server, url), &first);
    send_request(&rig, &request);
    RUN_UNTIL(&rig, raw_server_requests(server) == 1);
    request = request_of(url, &second);
    send_request(&rig, &request);
    sink_http_run(rig.sink);
    sink_http_set_allow_subnets(rig.sink, NULL);
    pthread_mutex_lock(&gate.mutex);
    gate.is_open = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.mutex);
    RUN_UNTIL(&rig, first.is_done && second.is_done);
    assert_int_equal(first.failure, ATTEMPT_ANSWERED);
    assert_int_equal(second.failure, ATTEMPT_BLOCKED);
    assert_int_equal(raw_server_requests(server), 1);
    rig_stop(&rig);
    raw_server_stop(server);
}

static void test_free_cancels(void **state)
{
    (void)state;
    /* Static: a thread of the pool that is looking up may outlive this function. */
    static struct names names = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                                 .changed = PTHREAD_COND_INITIALIZER};
    struct resolver_options resolver = {.lookup = look_up_name, .context = &names};
    struct rig rig;
    struct outcome outcomes[3];
    char url[URL_MAX];
    rig_init(&rig, &(struct rig_options){.resolver = &resolver});
    struct raw_server *server = raw_server_start(say_nothing, NULL);
    struct sink_request request = request_of(url_of(server, url), &outcomes[0]);
    send_request(&rig, &request);
    RUN_UNTIL(&rig, raw_server_requests(server) == 1);
    request = request_of("http://hang.test/", &outcomes[1]);
    send_request(&rig, &request);
    request = request_of(url, &outcomes[2]);
    send_request(&rig, &request); /* not yet run */
    assert_int_equal(sink_http_in_flight(rig.sink), 3);
    rig_stop(&rig);
    for (size_t i = 0; i < PH_ARRAY_LENGTH(outcomes); i++) {
        assert_true(outcomes[i].is_done);
        assert_int_equal(outcomes[i].failure, ATTEMPT_CANCELLED);
    }
    names_release(&names);
    raw_server_stop(server);
}

static void test_hanging_name_delays_nobody(void **state)
{
    (void)state;
    /* Static: a thread of the pool that is looking up may outlive this function. */
    static struct names names = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                                 .changed = PTHREAD_COND_INITIALIZER,
                                 .addresses = "127.0.0.1"};
    struct resolver_options resolver = {.lookup = look_up_name, .context = &names};
    struct rig rig;
    struct outcome hung;
    struct outcome slow;
    struct outcome outcome;
    char url[URL_MAX];
    char hang_url[URL_MAX];
    rig_init(&rig, &(struct rig_options){.resolver = &resolver});
    struct raw_server *server = raw_server_start(answer_text, ok_answer);
    (void)snprintf(hang_url, sizeof hang_url, "http://hang.test:%u/", raw_server_port(server));
    struct sink_request request = request_of(hang_url, &slow);
    send_request(&rig, &request);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(url, sizeof url, "http://fast%d.test:%u/", i % 5, raw_server_port(server));
        request = request_of(url, &outcome);
        exchange(&rig, &request);
        assert_int_equal(outcome.failure, ATTEMPT_ANSWERED);
    }
    request = request_of(hang_url, &hung);
    request.timeout_ms = 100;
    exchange(&rig, &request);
    assert_int_equal(hung.failure, ATTEMPT_TIMEOUT);
    assert_string_equal(hung.error_text, "timed out after 100 ms while looking up the name");
    assert_false(slow.is_done);
    assert_int_equal(names_calls(&names), 6); /* one per name: the others came from the cache */
    names_release(&names);
    RUN_UNTIL(&rig, slow.is_done);
    assert_int_equal(slow.failure, ATTEMPT_ANSWERED);
    rig_stop(&rig);
    raw_server_stop(server);
}

static void test_name_without_address(void **state)
{
    (void)state;
    /* Static: a thread of the pool that is looking up may outlive this function. */
    static struct names names = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                                 .changed = PTHREAD_COND_INITIALIZER};
    struct resolver_options resolver = {.lookup = look_up_name, .context = &names};
    struct rig rig;
    struct outcome outcome;
    rig_init(&rig, &(struct rig_options){.resolver = &resolver});
    for (int i = 0; i < 3; i++) {
        struct sink_request request = request_of("http://nowhere.test/?token=hidden", &outcome);
        send_request(&rig, &request);
        assert_false(outcome.is_done);
        RUN_UNTIL(&rig, outcome.is_done);
        assert_int_equal(outcome.failure, ATTEMPT_DNS);
        assert_string_equal(outcome.error_text, "no such name");
    }
    assert_int_equal(names_calls(&names), 1);
    rig_stop(&rig);
}

static void test_new_address_replaces_the_old(void **state)
{
    (void)state;
    /* Static: a thread of the pool that is looking up may outlive this function. */
    static struct names names = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                                 .changed = PTHREAD_COND_INITIALIZER,
                                 .addresses = "127.0.0.1"};
    struct resolver_options resolver = {.lookup = look_up_name, .context = &names, .keep_us = 1};
    struct rig rig;
    struct outcome outcome;
    char url[URL_MAX];
    rig_init(&rig, &(struct rig_options){.resolver = &resolver});
    static char closing[] = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
    struct raw_server *first = raw_server_start(answer_and_close, closing);
    struct raw_server *second =
        raw_server_start_at("127.0.0.2", raw_server_port(first), answer_and_close, closing);
    (void)snprintf(url, sizeof url, "http://moves.test:%u/", raw_server_port(first));
    for (unsigned i = 0; i < 6; i++) {
        names_set(&names, i % 2 == 0 ? "127.0.0.1" : "127.0.0.2");
        struct sink_request request = request_of(url, &outcome);
        exchange(&rig, &request);
        assert_int_equal(outcome.status_code, 204);
        assert_int_equal(raw_server_connections(first), i / 2 + 1);
        assert_int_equal(raw_server_connections(second), (i + 1) / 2);
    }
    rig_stop(&rig);
    raw_server_stop(first);
    raw_server_stop(second);
}

/* More URLs and names than the caches hold: old ones are forgotten and found again. */
static void test_more_names_than_are_cached(void **state)
{
    (void)state;
    enum { NAMES = 3000 };
    /* Static: a thread of the pool that is looking up may outlive this function. */
    static struct names names = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                                 .changed = PTHREAD_COND_INITIALIZER,
                                 .addresses = "127.0.0.1"};
    struct resolver_options resolver = {.lookup = look_up_name, .context = &names};
    struct rig rig;
    struct outcome *outcomes = ph_calloc(NAMES, sizeof *outcomes);
    char url[URL_MAX];
    rig_init(&rig, &(struct rig_options){.resolver = &resolver});
    static char closing[] = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
    struct raw_server *server = raw_server_start(answer_and_close, closing);
    unsigned port = raw_server_port(server);
    /* The port is refused, which is quick and still needs the name. */
    raw_server_stop(server);
    for (unsigned round = 1; round <= 2; round++) {
        for (unsigned i = 0; i < NAMES; i++) {
            (void)snprintf(url, sizeof url, "http://n%u.test:%u/", i, port);
            struct sink_request request = request_of(url, &outcomes[i]);
            send_request(&rig, &request);
            RUN_UNTIL(&rig, sink_http_in_flight(rig.sink) < 50);
        }
        RUN_UNTIL(&rig, rig.done_count == round * NAMES);
        for (unsigned i = 0; i < NAMES; i++) {
            assert_int_equal(outcomes[i].failure, ATTEMPT_CONNECT);
        }
    }
    assert_int_equal(names_calls(&names), NAMES);
    rig_stop(&rig);
    free(outcomes);
}

static void post_refused(struct rig *rig, const char *url)
{
    struct outcome outcome;
    struct sink_request request = request_of(url, &outcome);
    exchange(rig, &request);
    assert_int_equal(outcome.failure, ATTEMPT_BLOCKED);
}

/* A name that dropped out of the cache and came back before curl was told to forget it. */
static void test_forgotten_name_comes_back(void **state)
{
    (void)state;
    enum { ENOUGH_TO_EVICT = 30000 };
    /* Static: a thread of the pool that is looking up may outlive this function. */
    static struct names names = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                                 .changed = PTHREAD_COND_INITIALIZER,
                                 .addresses = "127.0.0.1"};
    struct resolver_options resolver = {.lookup = look_up_name, .context = &names};
    struct rig rig;
    char url[URL_MAX];
    rig_init(&rig, &(struct rig_options){.is_guarded = true, .resolver = &resolver});
    post_refused(&rig, "http://comes.test/");
    for (unsigned i = 0; i < ENOUGH_TO_EVICT; i++) {
        /* Refused before a name is needed, so nothing tells curl to forget. */
        (void)snprintf(url, sizeof url, "http://10.0.0.1/%u", i);
        post_refused(&rig, url);
    }
    post_refused(&rig, "http://comes.test/");
    post_refused(&rig, "http://other.test/");
    post_refused(&rig, "http://comes.test/again");
    post_refused(&rig, "http://comes.test/");
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guard_refuses_before_a_connection),
        cmocka_unit_test(test_guard_judges_each_address_of_a_name),
        cmocka_unit_test(test_changed_guard_closes_kept_connections),
        cmocka_unit_test(test_changed_guard_holds_for_waiting_attempts),
        cmocka_unit_test(test_free_cancels),
        cmocka_unit_test(test_hanging_name_delays_nobody),
        cmocka_unit_test(test_name_without_address),
        cmocka_unit_test(test_new_address_replaces_the_old),
        cmocka_unit_test(test_more_names_than_are_cached),
        cmocka_unit_test(test_forgotten_name_comes_back),
    };
    return cmocka_run_group_tests_name("sink_http_names", tests, rig_set_up, rig_tear_down);
}
