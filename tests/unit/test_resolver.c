/* SPDX-License-Identifier: Apache-2.0 */
/* Look-up of names: one at a time per host, bounded threads and queue, the cache. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>

#include "base/clock.h"
#include "sinks/resolver.h"

enum { WAIT_MAX_MS = 60000 };

/* A name server under the test's control: names that start with "hang" wait for `may_go`. */
struct server {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool may_go;
    unsigned calls;
    unsigned running;
};

#define SERVER_INITIALIZER                                                                         \
    {                                                                                              \
        .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER                    \
    }

static bool look_up(void *context, const char *host, char *ret_text, size_t text_size)
{
    struct server *server = context;
    pthread_mutex_lock(&server->mutex);
    server->calls++;
    server->running++;
    pthread_cond_broadcast(&server->changed);
    while (strncmp(host, "hang", 4) == 0 && !server->may_go) {
        pthread_cond_wait(&server->changed, &server->mutex);
    }
    server->running--;
    pthread_cond_broadcast(&server->changed);
    (void)snprintf(ret_text, text_size, "192.0.2.%u", server->calls);
    pthread_mutex_unlock(&server->mutex);
    return strncmp(host, "no", 2) != 0;
}

static void wait_running(struct server *server, unsigned count)
{
    pthread_mutex_lock(&server->mutex);
    while (server->running != count) {
        pthread_cond_wait(&server->changed, &server->mutex);
    }
    pthread_mutex_unlock(&server->mutex);
}

static unsigned count_calls(struct server *server)
{
    pthread_mutex_lock(&server->mutex);
    unsigned calls = server->calls;
    pthread_mutex_unlock(&server->mutex);
    return calls;
}

static void release(struct server *server)
{
    pthread_mutex_lock(&server->mutex);
    server->may_go = true;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->mutex);
}

struct rig {
    struct server server;
    struct resolver *resolver;
    struct resolver_client *client;
};

static void rig_start(struct rig *rig, struct resolver_options options)
{
    *rig = (struct rig){.server = SERVER_INITIALIZER};
    options.lookup = look_up;
    options.context = &rig->server;
    assert_int_equal(resolver_new(&options, NULL, &rig->resolver), PH_OK);
    assert_int_equal(resolver_client_new(rig->resolver, NULL, &rig->client), PH_OK);
}

/* Threads that hang keep the resolver's memory, not the test's: they must be gone before it is. */
static void rig_stop(struct rig *rig)
{
    release(&rig->server);
    wait_running(&rig->server, 0);
    resolver_client_free(rig->client);
    resolver_free(rig->resolver);
}

static struct resolver_query *wait_answer(struct rig *rig)
{
    struct pollfd ready = {.fd = resolver_client_fd(rig->client), .events = POLLIN};
    assert_int_equal(poll(&ready, 1, WAIT_MAX_MS), 1);
    return resolver_take(rig->client);
}

/* From the cache or by waiting; the caller drops it. */
static struct resolver_answer *resolve(struct rig *rig, const char *host)
{
    struct resolver_query query;
    struct resolver_answer *answer = NULL;
    assert_int_equal(resolver_ask(rig->client, host, &query, &answer), PH_OK);
    if (answer == NULL) {
        assert_ptr_equal(wait_answer(rig), &query);
        answer = query.answer;
    }
    return answer;
}

static void test_answers_are_cached(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, (struct resolver_options){0});
    int64_t before_us = clock_boot_us();
    struct resolver_answer *first = resolve(&rig, "a.test");
    assert_true(first->is_found);
    assert_string_equal(first->text, "192.0.2.1");
    assert_true(first->expires_us >= before_us + 30 * CLOCK_US_PER_S);
    struct resolver_answer *again = resolve(&rig, "a.test");
    assert_ptr_equal(first, again);
    struct resolver_answer *other = resolve(&rig, "b.test");
    assert_string_equal(other->text, "192.0.2.2");
    assert_true(other->generation != first->generation);
    struct resolver_answer *none = resolve(&rig, "none.test");
    assert_false(none->is_found);
    assert_true(none->expires_us < clock_boot_us() + 6 * CLOCK_US_PER_S);
    resolver_answer_unref(resolve(&rig, "none.test"));
    assert_int_equal(count_calls(&rig.server), 3);
    resolver_answer_unref(first);
    resolver_answer_unref(again);
    resolver_answer_unref(other);
    resolver_answer_unref(none);
    rig_stop(&rig);
}

static void test_old_answers_are_looked_up_again(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, (struct resolver_options){.keep_us = 1});
    for (unsigned i = 1; i <= 20; i++) {
        struct resolver_answer *answer = resolve(&rig, "a.test");
        assert_int_equal(count_calls(&rig.server), i);
        resolver_answer_unref(answer);
    }
    rig_stop(&rig);
}

static void test_one_look_up_per_host(void **state)
{
    (void)state;
    enum { QUERIES = 30 };
    struct rig rig;
    struct resolver_query queries[QUERIES];
    rig_start(&rig, (struct resolver_options){0});
    for (int i = 0; i < QUERIES; i++) {
        struct resolver_answer *answer = NULL;
        assert_int_equal(resolver_ask(rig.client, "hang.test", &queries[i], &answer), PH_OK);
        assert_null(answer);
    }
    wait_running(&rig.server, 1);
    resolver_answer_unref(resolve(&rig, "quick.test"));
    assert_int_equal(count_calls(&rig.server), 2);
    resolver_forget(&queries[3]);
    release(&rig.server);
    for (int i = 0; i < QUERIES; i++) {
        if (i == 3) {
            continue;
        }
        assert_ptr_equal(wait_answer(&rig), &queries[i]);
        assert_true(queries[i].answer->is_found);
        resolver_answer_unref(queries[i].answer);
    }
    assert_null(resolver_take(rig.client));
    struct pollfd ready = {.fd = resolver_client_fd(rig.client), .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 0), 0);
    assert_int_equal(count_calls(&rig.server), 2);
    rig_stop(&rig);
}

static void test_answered_query_can_be_forgotten(void **state)
{
    (void)state;
    struct rig rig;
    struct resolver_query query;
    struct resolver_answer *answer = NULL;
    rig_start(&rig, (struct resolver_options){0});
    assert_int_equal(resolver_ask(rig.client, "a.test", &query, &answer), PH_OK);
    struct pollfd ready = {.fd = resolver_client_fd(rig.client), .events = POLLIN};
    assert_int_equal(poll(&ready, 1, WAIT_MAX_MS), 1);
    resolver_forget(&query);
    assert_null(resolver_take(rig.client));
    rig_stop(&rig);
}

static void test_threads_and_queue_are_bounded(void **state)
{
    (void)state;
    enum { THREADS = 2, QUEUE = 3 };
    struct rig rig;
    struct resolver_query queries[THREADS + QUEUE];
    struct resolver_answer *answer = NULL;
    char host[32];
    rig_start(&rig, (struct resolver_options){.threads_max = THREADS, .queue_max = QUEUE});
    for (unsigned i = 0; i < THREADS; i++) {
        (void)snprintf(host, sizeof host, "hang%u.test", i);
        assert_int_equal(resolver_ask(rig.client, host, &queries[i], &answer), PH_OK);
        assert_null(answer);
        wait_running(&rig.server, i + 1);
    }
    for (unsigned i = THREADS; i < THREADS + QUEUE; i++) {
        (void)snprintf(host, sizeof host, "more%u.test", i);
        assert_int_equal(resolver_ask(rig.client, host, &queries[i], &answer), PH_OK);
        assert_null(answer);
    }
    struct resolver_query refused;
    assert_int_equal(resolver_ask(rig.client, "late.test", &refused, &answer), PH_BUSY);
    assert_int_equal(count_calls(&rig.server), THREADS);
    release(&rig.server);
    for (unsigned i = 0; i < THREADS + QUEUE; i++) {
        struct resolver_query *query = wait_answer(&rig);
        assert_non_null(query);
        resolver_answer_unref(query->answer);
    }
    rig_stop(&rig);
}

static void test_free_does_not_wait_for_a_hanging_look_up(void **state)
{
    (void)state;
    struct rig rig;
    struct resolver_query query;
    struct resolver_answer *answer = NULL;
    rig_start(&rig, (struct resolver_options){0});
    assert_int_equal(resolver_ask(rig.client, "hang.test", &query, &answer), PH_OK);
    wait_running(&rig.server, 1);
    resolver_forget(&query);
    resolver_client_free(rig.client);
    resolver_free(rig.resolver);
    release(&rig.server);
    wait_running(&rig.server, 0);
}

static void test_system_look_up(void **state)
{
    (void)state;
    char text[RESOLVER_TEXT_MAX];
    assert_true(resolver_system_lookup(NULL, "192.0.2.7", text, sizeof text));
    assert_string_equal(text, "192.0.2.7");
    assert_true(resolver_system_lookup(NULL, "2001:db8::1", text, sizeof text));
    assert_string_equal(text, "[2001:db8::1]");
    assert_false(resolver_system_lookup(NULL, "no name at all", text, sizeof text));
    assert_non_null(strstr(text, "could not look up no name at all: "));
    /* Room for no address in full. */
    char small[8];
    assert_false(resolver_system_lookup(NULL, "192.0.2.7", small, sizeof small));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_are_cached),
        cmocka_unit_test(test_old_answers_are_looked_up_again),
        cmocka_unit_test(test_one_look_up_per_host),
        cmocka_unit_test(test_answered_query_can_be_forgotten),
        cmocka_unit_test(test_threads_and_queue_are_bounded),
        cmocka_unit_test(test_free_does_not_wait_for_a_hanging_look_up),
        cmocka_unit_test(test_system_look_up),
    };
    return cmocka_run_group_tests_name("resolver", tests, NULL, NULL);
}
