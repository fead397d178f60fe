/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords: what is stored of them, the pool that hashes, and how often one may fail. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/password.h"
#include "api/sign_in_limit.h"
#include "base/clock.h"

static void test_hashes(void **state)
{
    (void)state;
    struct diag diag = {0};
    char text[PASSWORD_TEXT_MAX];
    char other[PASSWORD_TEXT_MAX];
    const uint8_t salt[PASSWORD_SALT_BYTES] = "0123456789abcde";
    const uint8_t pepper[PASSWORD_SALT_BYTES] = "x";
    assert_int_equal(password_hash(slice_of("secret"), salt, &diag, text), PH_OK);
    assert_int_equal(strncmp(text, "$scrypt$ln=14,r=8,p=5$", 22), 0);
    assert_int_equal(password_hash(slice_of("secret"), pepper, &diag, other), PH_OK);
    assert_string_not_equal(text, other);
    assert_true(password_matches(slice_of("secret"), slice_of(text)));
    assert_true(password_matches(slice_of("secret"), slice_of(other)));
    assert_false(password_matches(slice_of("Secret"), slice_of(text)));
    assert_false(password_matches(slice_of(""), slice_of(text)));
    text[strlen(text) - 2] ^= 1;
    assert_false(password_matches(slice_of("secret"), slice_of(text)));
}

static void test_a_vector(void **state)
{
    (void)state;
    /* scrypt("password", "NaCl" and 12 zero bytes, ln 4, r 1, p 1), made by another program. */
    static const char stored[] = "$scrypt$ln=4,r=1,p=1$TmFDbAAAAAAAAAAAAAAAAA$"
                                 "HANKC6dwqwY5iOiAc-l4LxEMZNUh3L5Rcnbw4ch0e0k";
    assert_true(password_matches(slice_of("password"), slice_of(stored)));
}

static void test_texts_that_are_none(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "secret",
        "$scrypt$",
        "$scrypt$ln=14,r=8,p=5$AAAA$AAAA",
        "$scrypt$ln=99,r=8,p=5$TmFDbAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=0,r=8,p=5$TmFDbAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(texts); index++) {
        assert_false(password_matches(slice_of("secret"), slice_of(texts[index])));
    }
    assert_false(password_matches(slice_of("secret"), SLICE_NONE));
}

/* --- the pool --------------------------------------------------------------------------------- */

struct finished {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int count;
};

struct waiting {
    struct password_job job;
    struct finished *finished;
};

static void finish(struct password_job *job)
{
    struct finished *finished = PH_CONTAINER_OF(job, struct waiting, job)->finished;
    (void)pthread_mutex_lock(&finished->lock);
    finished->count++;
    (void)pthread_cond_broadcast(&finished->changed);
    (void)pthread_mutex_unlock(&finished->lock);
}

static void await_count(struct finished *finished, int count)
{
    (void)pthread_mutex_lock(&finished->lock);
    while (finished->count < count) {
        (void)pthread_cond_wait(&finished->changed, &finished->lock);
    }
    (void)pthread_mutex_unlock(&finished->lock);
}

#define JOBS (PASSWORD_WAITING_MAX + PASSWORD_THREADS + 8)

static void test_the_pool(void **state)
{
    (void)state;
    struct metrics metrics;
    struct finished finished = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    static struct waiting jobs[JOBS];
    struct diag diag = {0};
    int accepted = 0;
    metrics_init(&metrics);
    struct passwords *passwords = passwords_new(&metrics);
    for (size_t index = 0; index < JOBS; index++) {
        jobs[index].finished = &finished;
        jobs[index].job.password = slice_of("secret");
        jobs[index].job.done = finish;
        list_init(&jobs[index].job.node);
        enum ph_error error = passwords_submit(passwords, &jobs[index].job, &diag);
        assert_true(error == PH_OK || error == PH_BUSY);
        accepted += error == PH_OK;
    }
    assert_true(accepted >= PASSWORD_WAITING_MAX && accepted < JOBS);
    assert_int_equal(metrics_get(&metrics, METRIC_PASSWORDS_REFUSED), JOBS - accepted);
    await_count(&finished, 2);
    assert_int_equal(jobs[0].job.error, PH_OK);
    jobs[JOBS - 1].job = (struct password_job){.password = slice_of("secret"),
                                               .is_check = true,
                                               .stored = slice_of(jobs[0].job.text),
                                               .done = finish};
    list_init(&jobs[JOBS - 1].job.node);
    /* What still waits at the end is told so; nothing is lost. */
    passwords_stop(passwords);
    await_count(&finished, accepted);
    assert_int_equal(passwords_submit(passwords, &jobs[JOBS - 1].job, &diag), PH_SHUTTING_DOWN);
    int unfinished = 0;
    for (size_t index = 0; index < (size_t)accepted; index++) {
        unfinished += jobs[index].job.error == PH_SHUTTING_DOWN;
    }
    assert_true(unfinished > 0);
    passwords_free(passwords);
}

static void test_a_check(void **state)
{
    (void)state;
    struct metrics metrics;
    struct finished finished = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    struct diag diag = {0};
    metrics_init(&metrics);
    struct passwords *passwords = passwords_new(&metrics);
    struct waiting hash = {.job = {.password = slice_of("secret"), .done = finish},
                           .finished = &finished};
    list_init(&hash.job.node);
    assert_int_equal(passwords_submit(passwords, &hash.job, &diag), PH_OK);
    await_count(&finished, 1);
    struct waiting right = {.job = {.password = slice_of("secret"),
                                    .is_check = true,
                                    .stored = slice_of(hash.job.text),
                                    .done = finish},
                            .finished = &finished};
    struct waiting nobody = {
        .job = {.password = slice_of("secret"), .is_check = true, .done = finish},
        .finished = &finished};
    list_init(&right.job.node);
    list_init(&nobody.job.node);
    assert_int_equal(passwords_submit(passwords, &right.job, &diag), PH_OK);
    assert_int_equal(passwords_submit(passwords, &nobody.job, &diag), PH_OK);
    await_count(&finished, 3);
    assert_true(right.job.is_match && !nobody.job.is_match);
    assert_int_equal(metrics_get(&metrics, METRIC_PASSWORDS_DONE), 3);
    passwords_free(passwords);
}

/* --- failures --------------------------------------------------------------------------------- */

static void test_the_limit(void **state)
{
    (void)state;
    struct sign_in_limit *limit = sign_in_limit_new();
    struct slice ann = slice_of("ann");
    struct slice here = slice_of("192.0.2.1");
    for (int count = 0; count < SIGN_IN_NAME_FAILURES_MAX; count++) {
        assert_int_equal(sign_in_limit_wait_s(limit, ann, here, 1000), 0);
        sign_in_limit_failed(limit, ann, here, 1000);
    }
    assert_int_equal(sign_in_limit_wait_s(limit, ann, here, 1000), 300);
    assert_int_equal(sign_in_limit_wait_s(limit, ann, here, 1000 + SIGN_IN_WINDOW_US - 1), 1);
    /* Neither others here, nor the same name elsewhere. */
    assert_int_equal(sign_in_limit_wait_s(limit, slice_of("bob"), here, 1000), 0);
    assert_int_equal(sign_in_limit_wait_s(limit, ann, slice_of("192.0.2.2"), 1000), 0);
    for (int count = SIGN_IN_NAME_FAILURES_MAX; count < SIGN_IN_PEER_FAILURES_MAX; count++) {
        char name[16];
        (void)snprintf(name, sizeof name, "u%d", count);
        sign_in_limit_failed(limit, slice_of(name), here, 2000);
    }
    assert_true(sign_in_limit_wait_s(limit, slice_of("bob"), here, 3000) > 0);
    assert_int_equal(sign_in_limit_wait_s(limit, slice_of("bob"), slice_of("::1"), 3000), 0);
    assert_int_equal(sign_in_limit_wait_s(limit, ann, here, 1000 + SIGN_IN_WINDOW_US), 0);
    sign_in_limit_free(limit);
}

static void test_networks(void **state)
{
    (void)state;
    struct sign_in_limit *limit = sign_in_limit_new();
    struct slice ann = slice_of("ann");
    for (int count = 0; count < SIGN_IN_NAME_FAILURES_MAX; count++) {
        char peer[32];
        (void)snprintf(peer, sizeof peer, "2001:db8:0:1::%x", (unsigned)count + 1);
        sign_in_limit_failed(limit, ann, slice_of(peer), 1000);
    }
    assert_true(sign_in_limit_wait_s(limit, ann, slice_of("2001:db8:0:1:ffff::1"), 1000) > 0);
    assert_int_equal(sign_in_limit_wait_s(limit, ann, slice_of("2001:db8:0:2::1"), 1000), 0);
    assert_int_equal(sign_in_limit_wait_s(limit, ann, slice_of("::ffff:192.0.2.1"), 1000), 0);
    sign_in_limit_free(limit);
}

/* However many names and addresses are tried, the table stays as it is and the newest count. */
static void test_a_full_table(void **state)
{
    (void)state;
    struct sign_in_limit *limit = sign_in_limit_new();
    char peer[32];
    for (int count = 0; count < 5 * SIGN_IN_ROWS; count++) {
        (void)snprintf(peer, sizeof peer, "10.0.%d.%d", count / 256, count % 256);
        sign_in_limit_failed(limit, slice_of("ann"), slice_of(peer), 1000 + count);
    }
    for (int count = 0; count < SIGN_IN_NAME_FAILURES_MAX; count++) {
        sign_in_limit_failed(limit, slice_of("ann"), slice_of("192.0.2.1"), 100000);
    }
    assert_true(sign_in_limit_wait_s(limit, slice_of("ann"), slice_of("192.0.2.1"), 100000) > 0);
    sign_in_limit_free(limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_a_vector),
        cmocka_unit_test(test_texts_that_are_none),
        cmocka_unit_test(test_the_pool),
        cmocka_unit_test(test_a_check),
        cmocka_unit_test(test_the_limit),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_a_full_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
