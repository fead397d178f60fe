/* SPDX-License-Identifier: Apache-2.0 */
/* jq programs that loop, allocate, crash or give too much: nobody else notices. */
#include "unit/jq_rig.h"

#include "jq/pool.h"

#define INPUT "{\"type\":\"user.created\",\"data\":{\"n\":3}}"

/* Loops without allocating. */
#define LOOP "def f: f; f"
/* More nested arrays than the C stack takes to free. */
#define DEEP "reduce range(300000) as $i (null; [.])"
/* A text of 2^40 bytes. */
#define HUGE_TEXT "reduce range(40) as $i (\"x\"; . + .) | length"

static void check_well(struct rig *rig)
{
    struct call call = rig_run(rig, JQ_FILTER, ".data.n == 3", INPUT);
    assert_string_equal(call.words, "");
    assert_int_equal(call.outcome, JQ_OK);
}

static void check_limit(struct rig *rig, const char *program, const char *words)
{
    struct call call = rig_run(rig, JQ_TRANSFORM, program, INPUT);
    if (call.outcome != JQ_LIMIT || strstr(call.words, words) == NULL) {
        fail_msg("%s: outcome %d, \"%s\", not \"%s\"", program, (int)call.outcome, call.words,
                 words);
    }
    assert_true(call.is_put_aside);
    call_free(&call);
    check_well(rig);
}

static void test_a_program_that_loops_is_ended(void **state)
{
    (void)state;
    static const char *const programs[] = {
        LOOP,
        "limit(1; repeat(empty))",
        "[recurse(.)] | length",
        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\" | test(\"^(a+)+$\")",
        "range(1e18) | select(false)",
    };
    struct rig rig;
    rig_start(&rig, (struct jq_pool_options){.workers = 1, .timeout_us = 100000});
    for (size_t index = 0; index < PH_ARRAY_LENGTH(programs); index++) {
        check_limit(&rig, programs[index], "it took more than 0.1 s of processor time");
    }
    assert_int_equal(metrics_get(&rig.metrics, METRIC_JQ_LIMITS), PH_ARRAY_LENGTH(programs));
    assert_int_equal(metrics_get(&rig.metrics, METRIC_JQ_WORKERS_ENDED), PH_ARRAY_LENGTH(programs));
    rig_end(&rig);
}

/* A sanitizer has no limit of memory: there the time ends it, before the machine's is all taken. */
#ifdef PH_SANITIZED
#define MEMORY_WORDS "it "
#define MEMORY_TIMEOUT_US 200000
#else
#define MEMORY_WORDS "it needed more than 64 MiB of memory"
#define MEMORY_TIMEOUT_US 2000000
#endif

static void test_a_program_that_allocates_is_ended(void **state)
{
    (void)state;
    static const char *const programs[] = {
        HUGE_TEXT,
        "[limit(1000000; repeat(\"x\" * 100000))] | length",
        ".[\"a\"][100000000] = 1 | length",
        "def f: 1 + f; f",
    };
    struct rig rig;
    rig_start(&rig, (struct jq_pool_options){.workers = 1,
                                             .timeout_us = MEMORY_TIMEOUT_US,
                                             .memory_bytes = (size_t)64 * 1024 * 1024});
    for (size_t index = 0; index < PH_ARRAY_LENGTH(programs); index++) {
        check_limit(&rig, programs[index], MEMORY_WORDS);
    }
    rig_end(&rig);
}

/* Sanitizers end a process on their own terms, and recursion that is too deep may end in either
 * way. */
#ifdef PH_SANITIZED
#define FAULT_WORDS(words) "jq ended without an answer"
#else
#define FAULT_WORDS(words) words
#endif

static void test_a_program_that_ends_its_worker_is_told_how(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, (struct jq_pool_options){.workers = 2, .timeout_us = 2000000});
    check_limit(&rig, DEEP, FAULT_WORDS("jq ended with a memory fault"));
    check_limit(&rig, "[] | .[2147483647] = 1", FAULT_WORDS("jq ended with a memory fault"));
    check_limit(&rig, "1e18 | todate", "jq gave up and ended itself");
    check_limit(&rig, "1e300 | todate", "jq gave up and ended itself");
    check_limit(&rig, "-9223372036854775808 % -1",
                FAULT_WORDS("jq ended with an arithmetic fault"));
    rig_end(&rig);
}

static void test_output_has_a_limit(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, (struct jq_pool_options){.workers = 1, .output_bytes_max = 1024});
    struct call call = rig_run(&rig, JQ_TRANSFORM, "\"x\" * 1022", INPUT);
    assert_int_equal(call.outcome, JQ_OK);
    assert_int_equal(call.output_len, 1024);
    call_free(&call);
    call = rig_run(&rig, JQ_TRANSFORM, "\"x\" * 1023", INPUT);
    assert_int_equal(call.outcome, JQ_LIMIT);
    assert_string_equal(call.words, "its output has more than 1024 bytes");
    assert_false(call.is_put_aside);
    /* The same worker goes on. */
    check_well(&rig);
    assert_int_equal(metrics_get(&rig.metrics, METRIC_JQ_WORKERS_ENDED), 0);
    rig_end(&rig);
}

static void test_output_too_deep_is_refused(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, (struct jq_pool_options){.workers = 1});
    struct call call = rig_run(&rig, JQ_TRANSFORM, "reduce range(100) as $i (null; [.])", INPUT);
    assert_int_equal(call.outcome, JQ_OK);
    call_free(&call);
    call = rig_run(&rig, JQ_TRANSFORM, "reduce range(1000) as $i (null; [.])", INPUT);
    assert_int_equal(call.outcome, JQ_PROGRAM_ERROR);
    assert_non_null(strstr(call.words, "its output is not taken"));
    rig_end(&rig);
}

static void test_errors_are_cut_and_stay_text(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, (struct jq_pool_options){.workers = 1});
    struct call call = rig_run(&rig, JQ_FILTER, "\"\\u00eb\" * 5000 | error", INPUT);
    assert_int_equal(call.outcome, JQ_PROGRAM_ERROR);
    assert_in_range(strlen(call.words), JQ_WORDS_MAX - 4, JQ_WORDS_MAX - 1);
    assert_true(slice_is_utf8_text(slice_of(call.words)));
    call = rig_run(&rig, JQ_FILTER, "\"a\\u0000b\" | error", INPUT);
    assert_int_equal(call.outcome, JQ_PROGRAM_ERROR);
    assert_string_equal(call.words, "a?b");
    call = rig_run(&rig, JQ_FILTER, "true", "{\"data\":");
    assert_int_equal(call.outcome, JQ_PROGRAM_ERROR);
    assert_string_equal(call.words, "the input is not one JSON value");
    call = rig_run(&rig, JQ_FILTER, "true", "1 2");
    assert_int_equal(call.outcome, JQ_PROGRAM_ERROR);
    call = rig_run(&rig, JQ_TRANSFORM, ".", "\"\xff\xfe\"");
    assert_int_equal(call.outcome, JQ_OK);
    assert_string_equal(call.output, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    call_free(&call);
    rig_end(&rig);
}

/* --- others in the same worker ------------------------------------------------------------------
 */

#define CROWD 300

static void test_a_culprit_takes_no_other_along(void **state)
{
    (void)state;
    static const char *const culprits[] = {LOOP, DEEP, HUGE_TEXT};
    struct rig rig;
    static struct call calls[CROWD];
    static struct call bad[PH_ARRAY_LENGTH(culprits)];
    rig_start(&rig, (struct jq_pool_options){.workers = 2, .timeout_us = 1000000});
    check_well(&rig);
    for (size_t index = 0; index < CROWD; index++) {
        if (index % 100 == 50) {
            assert_int_equal(rig_submit(&rig, JQ_TRANSFORM, culprits[index / 100], INPUT, index,
                                        &bad[index / 100]),
                             PH_OK);
        }
        assert_int_equal(
            rig_submit(&rig, JQ_FILTER, ".data.n == 3", INPUT, index % 7, &calls[index]), PH_OK);
    }
    rig_wait(&rig, 1 + CROWD + PH_ARRAY_LENGTH(culprits));
    for (size_t index = 0; index < CROWD; index++) {
        assert_string_equal(calls[index].words, "");
        assert_int_equal(calls[index].outcome, JQ_OK);
        assert_int_equal(calls[index].answers, 1);
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(culprits); index++) {
        assert_int_equal(bad[index].outcome, JQ_LIMIT);
        assert_int_equal(bad[index].answers, 1);
    }
    rig_end(&rig);
}

int main(int count, char **arguments)
{
    RIG_WORKER(count, arguments);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_program_that_loops_is_ended),
        cmocka_unit_test(test_a_program_that_allocates_is_ended),
        cmocka_unit_test(test_a_program_that_ends_its_worker_is_told_how),
        cmocka_unit_test(test_output_has_a_limit),
        cmocka_unit_test(test_output_too_deep_is_refused),
        cmocka_unit_test(test_errors_are_cut_and_stay_text),
        cmocka_unit_test(test_a_culprit_takes_no_other_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
