/* SPDX-License-Identifier: Apache-2.0 */
/* What run_results.json says, and what is reported of a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/wrap_report.h"
#include "app/wrap_result.h"
#include "base/clock.h"
#include "core/scan.h"

#define METADATA                                                                                   \
    "{\"metadata\": {\"dbt_version\": \"1.9.2\", \"generated_at\": \"2026-01-05T10:00:00.5Z\"}, "

static void expect_node(const char *unique_id, const char *expected)
{
    BUF_AUTO struct buf text;
    buf_init(&text, 1024);
    wrap_result_append_node(slice_of(unique_id), &text);
    assert_string_equal(buf_text(&text), expected);
}

static void test_names_of_nodes(void **state)
{
    (void)state;
    expect_node("model.shop.orders", "model orders");
    expect_node("model.shop.orders.v2", "model orders.v2");
    expect_node("test.shop.not_null_orders_id.cf6c17daed", "test not_null_orders_id");
    expect_node("test.shop.cf6c17daed", "test cf6c17daed");
    expect_node("test.shop.not_null.CF6C17DAED", "test not_null.CF6C17DAED");
    expect_node("source.shop.raw.orders", "source raw.orders");
    expect_node("operation.shop.shop-on-run-end-0", "operation shop-on-run-end-0");
    expect_node("model.shop", "model.shop");
    expect_node("", "");
}

static void test_results_are_counted(void **state)
{
    (void)state;
    static const char text[] = METADATA
        "\"results\": ["
        "{\"status\": \"success\", \"unique_id\": \"model.shop.a\", \"message\": \"OK\"},"
        "{\"status\": \"pass\", \"unique_id\": \"test.shop.b\"},"
        "{\"status\": \"no-op\", \"unique_id\": \"saved_query.shop.q\"},"
        "{\"status\": \"warn\", \"unique_id\": \"test.shop.c\", \"message\": \"Got 1\"},"
        "{\"status\": \"skipped\", \"unique_id\": \"model.shop.d\"},"
        "{\"status\": \"fail\", \"unique_id\": \"test.shop.e\", \"message\": \"Got 2\\nresults \"},"
        "{\"status\": \"error\", \"unique_id\": \"model.shop.f\", \"message\": null},"
        "{\"status\": \"runtime error\", \"unique_id\": \"source.shop.raw.g\"},"
        "{\"status\": \"partial success\", \"unique_id\": \"model.shop.h\"},"
        "17], \"elapsed_time\": 1.5}";
    struct wrap_result result;
    struct diag diag;
    int64_t at_us;
    wrap_result_init(&result);
    assert_int_equal(wrap_result_read(&result, slice_of(text), &diag), PH_OK);
    assert_int_equal(result.node_count, 9);
    assert_int_equal(result.passed_count, 3);
    assert_int_equal(result.warned_count, 1);
    assert_int_equal(result.skipped_count, 1);
    assert_int_equal(result.failed_count, 4);
    assert_string_equal(buf_text(&result.failed), "test e, model f, source raw.g, model h");
    assert_string_equal(buf_text(&result.log), "test e: fail: Got 2\nresults\nmodel f: error\n"
                                               "source raw.g: runtime error\n"
                                               "model h: partial success\n"
                                               "PASS=3 WARN=1 ERROR=4 SKIP=1 TOTAL=9");
    assert_string_equal(buf_text(&result.dbt_version), "1.9.2");
    assert_true(clock_parse(SLICE_LITERAL("2026-01-05T10:00:00.5Z"), &at_us));
    assert_int_equal(result.generated_at_us, at_us);
    wrap_result_done(&result);
}

/* However many fail: a message is short, a log has an end. */
static void test_many_failures_are_cut(void **state)
{
    (void)state;
    BUF_AUTO struct buf text;
    buf_init(&text, (size_t)64 << 20);
    buf_append_text(&text, METADATA "\"results\": [");
    for (int index = 0; index < 500; index++) {
        buf_append_format(&text,
                          "%s{\"status\": \"error\", \"unique_id\": \"model.shop.m%0300d\", ",
                          index == 0 ? "" : ",", index);
        buf_append_format(&text, "\"message\": \"%03000d\"}", index);
    }
    buf_append_text(&text, "]}");
    struct wrap_result result;
    struct diag diag;
    wrap_result_init(&result);
    assert_int_equal(wrap_result_read(&result, buf_slice(&text), &diag), PH_OK);
    assert_int_equal(result.failed_count, 500);
    assert_false(result.failed.failed);
    assert_false(result.log.failed);
    const char *more = strstr(buf_text(&result.failed), " and 495 more");
    assert_non_null(more);
    assert_string_equal(more, " and 495 more");
    assert_non_null(strstr(buf_text(&result.log), "\nPASS=0 WARN=0 ERROR=500 SKIP=0 TOTAL=500"));
    wrap_result_done(&result);
}

static void test_what_is_no_result(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "[]",
                                        "{",
                                        "{}",
                                        METADATA "\"results\": {}}",
                                        METADATA "\"results\": [",
                                        "{\"results\": 1}"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(texts); index++) {
        struct wrap_result result;
        struct diag diag;
        wrap_result_init(&result);
        assert_int_equal(wrap_result_read(&result, slice_of(texts[index]), &diag), PH_INVALID);
        wrap_result_done(&result);
    }
}

static void expect_version(const char *head, const char *expected)
{
    BUF_AUTO struct buf text;
    buf_init(&text, 256);
    wrap_result_append_version(slice_of(head), &text);
    assert_string_equal(buf_text(&text), expected);
}

/* A manifest's beginning, cut anywhere behind its metadata. */
static void test_the_version_in_the_head_of_an_artifact(void **state)
{
    (void)state;
    expect_version("{\"metadata\": {\"dbt_version\": \"1.9.2\"}, \"nodes\": {\"model.sh", "1.9.2");
    expect_version(" {\n \"metadata\" : {\"dbt_version\": \"1.9.2\"}", "1.9.2");
    expect_version("{\"metadata\": {\"dbt_version\": \"1.9", "");
    expect_version("{\"nodes\": {}, \"metadata\": {\"dbt_version\": \"1.9.2\"}}", "");
    expect_version("{\"metadata\": {\"dbt_version\": 2}}", "");
    expect_version("{\"metadata\": []}", "");
    expect_version("{\"metadata\"", "");
    expect_version("", "");
}

/* --- reports -------------------------------------------------------------------------------------
 */

static void fill(struct wrap_facts *facts)
{
    wrap_facts_init(facts);
    facts->job_id = 41;
    facts->environment_id = 72;
    facts->project_id = 6;
    facts->started_at_us = INT64_C(1767607200000000);
    buf_append_text(&facts->job_name, "Nightly \"x\"");
    buf_append_text(&facts->environment_name, "production");
    buf_append_text(&facts->project_name, "shop");
    buf_append_text(&facts->command, "dbt build");
    buf_append_text(&facts->origin.reason, "by hand");
}

static void test_a_report_of_a_start(void **state)
{
    (void)state;
    struct wrap_facts facts;
    BUF_AUTO struct buf text;
    buf_init(&text, WRAP_REPORT_BYTES_MAX);
    fill(&facts);
    wrap_report_compose(&facts, NULL, &text);
    assert_string_equal(
        buf_text(&text),
        "{\"job_id\":41,\"job_name\":\"Nightly \\\"x\\\"\",\"environment_id\":72,"
        "\"environment_name\":\"production\",\"project_id\":6,\"project_name\":\"shop\","
        "\"reason\":\"by hand\",\"status\":3,\"started_at\":\"2026-01-05T10:00:00.000000Z\","
        "\"job_type\":\"other\",\"run_steps\":[{\"name\":\"Invoke dbt with `dbt build`\","
        "\"status\":3,\"started_at\":\"2026-01-05T10:00:00.000000Z\"}]}");
    wrap_facts_done(&facts);
}

static void test_a_report_of_an_end(void **state)
{
    (void)state;
    struct wrap_facts facts;
    BUF_AUTO struct buf text;
    buf_init(&text, WRAP_REPORT_BYTES_MAX);
    fill(&facts);
    buf_append_text(&facts.dbt_version, "1.9.2");
    buf_append_text(&facts.origin.git_branch, "main");
    buf_append_text(&facts.origin.git_sha, "abc");
    buf_append_text(&facts.origin.href, "https://ci.example/1");
    const struct wrap_end end = {WRAP_REPORT_ERROR, facts.started_at_us + 1500000,
                                 SLICE_LITERAL("1 of 2 nodes failed: model a"),
                                 SLICE_LITERAL("PASS=1")};
    wrap_report_compose(&facts, &end, &text);
    assert_string_equal(
        buf_text(&text),
        "{\"job_id\":41,\"job_name\":\"Nightly \\\"x\\\"\",\"environment_id\":72,"
        "\"environment_name\":\"production\",\"project_id\":6,\"project_name\":\"shop\","
        "\"dbt_version\":\"1.9.2\",\"reason\":\"by hand\",\"status\":20,"
        "\"status_message\":\"1 of 2 nodes failed: model a\","
        "\"started_at\":\"2026-01-05T10:00:00.000000Z\","
        "\"finished_at\":\"2026-01-05T10:00:01.500000Z\",\"git_branch\":\"main\","
        "\"git_sha\":\"abc\",\"href\":\"https://ci.example/1\",\"job_type\":\"other\","
        "\"run_steps\":[{\"name\":\"Invoke dbt with `dbt build`\",\"status\":20,"
        "\"started_at\":\"2026-01-05T10:00:00.000000Z\","
        "\"finished_at\":\"2026-01-05T10:00:01.500000Z\",\"logs\":\"PASS=1\"}]}");
    wrap_facts_done(&facts);
}

static void test_a_run_that_was_cut_off(void **state)
{
    (void)state;
    struct wrap_facts facts;
    BUF_AUTO struct buf start;
    BUF_AUTO struct buf end;
    struct diag diag;
    buf_init(&start, WRAP_REPORT_BYTES_MAX);
    buf_init(&end, WRAP_REPORT_BYTES_MAX);
    fill(&facts);
    wrap_report_compose(&facts, NULL, &start);
    assert_int_equal(
        wrap_report_cut_off(buf_slice(&start), facts.started_at_us + 1000000, &end, &diag), PH_OK);
    assert_int_equal(scan_document(buf_slice(&end), NULL, &diag, NULL), PH_OK);
    assert_non_null(strstr(buf_text(&end), "\"status\":20,\"started_at\":"));
    assert_non_null(strstr(buf_text(&end), "\"job_name\":\"Nightly \\\"x\\\"\""));
    assert_non_null(strstr(buf_text(&end), "\"finished_at\":\"2026-01-05T10:00:01.000000Z\"}"));
    assert_non_null(strstr(buf_text(&end), "cut off"));
    assert_int_equal(wrap_report_cut_off(SLICE_LITERAL("nonsense"), 0, &end, &diag), PH_INVALID);
    wrap_facts_done(&facts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_nodes),
        cmocka_unit_test(test_results_are_counted),
        cmocka_unit_test(test_many_failures_are_cut),
        cmocka_unit_test(test_what_is_no_result),
        cmocka_unit_test(test_the_version_in_the_head_of_an_artifact),
        cmocka_unit_test(test_a_report_of_a_start),
        cmocka_unit_test(test_a_report_of_an_end),
        cmocka_unit_test(test_a_run_that_was_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
