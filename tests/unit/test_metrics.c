/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/metrics.h"

#define TEXT_MAX ((size_t)1024 * 1024)

/* Whether the text has this whole line. */
static bool has_line(const struct buf *text, const char *line)
{
    struct slice rest = buf_slice(text);
    struct slice part;
    while (slice_next(&rest, '\n', &part)) {
        if (slice_equal_text(part, line)) {
            return true;
        }
    }
    return false;
}

static void check_line(const struct buf *text, const char *line)
{
    if (!has_line(text, line)) {
        fail_msg("missing: %s", line);
    }
}

static void test_values(void **state)
{
    (void)state;
    struct metrics metrics;
    metrics_init(&metrics);
    assert_int_equal(metrics_get(&metrics, METRIC_HTTP_REQUESTS), 0);
    metrics_add(&metrics, METRIC_HTTP_REQUESTS, 1);
    metrics_add(&metrics, METRIC_HTTP_REQUESTS, 41);
    metrics_add(&metrics, METRIC_IN_FLIGHT, 5);
    metrics_add(&metrics, METRIC_IN_FLIGHT, -6);
    metrics_set(&metrics, METRIC_WAL_BYTES, INT64_MAX);
    assert_int_equal(metrics_get(&metrics, METRIC_HTTP_REQUESTS), 42);
    assert_int_equal(metrics_get(&metrics, METRIC_IN_FLIGHT), -1);
    assert_int_equal(metrics_get(&metrics, METRIC_HTTP_REQUESTS_4XX), 0);
    BUF_AUTO struct buf text;
    buf_init(&text, TEXT_MAX);
    metrics_format(&metrics, &text);
    check_line(&text, "# HELP posthorn_http_requests_total Requests answered");
    check_line(&text, "# TYPE posthorn_http_requests_total counter");
    check_line(&text, "posthorn_http_requests_total 42");
    check_line(&text, "# TYPE posthorn_in_flight gauge");
    check_line(&text, "posthorn_in_flight -1");
    check_line(&text, "posthorn_wal_bytes 9223372036854775807");
    check_line(&text, "posthorn_http_requests_4xx_total 0");
}

/* A bound belongs to its bucket; what lies above the last one is in +Inf only. */
static void test_buckets(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        unsigned bucket;
    } rows[] = {
        {INT64_MIN, 0}, {-1, 0},  {0, 0},          {64, 0},         {65, 1},
        {128, 1},       {129, 2}, {134217728, 21}, {134217729, 22}, {INT64_MAX, 22},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        struct metrics metrics;
        metrics_init(&metrics);
        metrics_observe(&metrics, METRIC_COMMIT_SECONDS, rows[index].value);
        const struct metric_distribution *distribution =
            &metrics.distributions[METRIC_COMMIT_SECONDS];
        for (unsigned bucket = 0; bucket <= METRICS_BUCKETS; bucket++) {
            assert_int_equal(atomic_load(&distribution->buckets[bucket]),
                             bucket == rows[index].bucket ? 1 : 0);
        }
        assert_true(atomic_load(&distribution->sum) ==
                    (rows[index].value < 0 ? 0 : (uint64_t)rows[index].value));
    }
}

static void test_histogram_of_durations(void **state)
{
    (void)state;
    struct metrics metrics;
    metrics_init(&metrics);
    metrics_observe(&metrics, METRIC_ATTEMPT_SECONDS, 64);
    metrics_observe(&metrics, METRIC_ATTEMPT_SECONDS, 100);
    metrics_observe(&metrics, METRIC_ATTEMPT_SECONDS, 1000000);
    metrics_observe(&metrics, METRIC_ATTEMPT_SECONDS, 200000000);
    metrics_observe_many(&metrics, METRIC_DNS_SECONDS, 100, 0);
    metrics_observe_many(&metrics, METRIC_DNS_SECONDS, 100, 5);
    BUF_AUTO struct buf text;
    buf_init(&text, TEXT_MAX);
    metrics_format(&metrics, &text);
    check_line(&text, "# TYPE posthorn_attempt_seconds histogram");
    check_line(&text, "posthorn_attempt_seconds_bucket{le=\"6.4e-05\"} 1");
    check_line(&text, "posthorn_attempt_seconds_bucket{le=\"0.000128\"} 2");
    check_line(&text, "posthorn_attempt_seconds_bucket{le=\"0.524288\"} 2");
    check_line(&text, "posthorn_attempt_seconds_bucket{le=\"1.048576\"} 3");
    check_line(&text, "posthorn_attempt_seconds_bucket{le=\"134.217728\"} 3");
    check_line(&text, "posthorn_attempt_seconds_bucket{le=\"+Inf\"} 4");
    check_line(&text, "posthorn_attempt_seconds_sum 201.000164");
    check_line(&text, "posthorn_dns_seconds_bucket{le=\"6.4e-05\"} 0");
    check_line(&text, "posthorn_dns_seconds_bucket{le=\"0.000128\"} 5");
    check_line(&text, "posthorn_dns_seconds_sum 0.0005");
    check_line(&text, "posthorn_dns_seconds_count 5");
    check_line(&text, "posthorn_attempt_seconds_count 4");
    check_line(&text, "posthorn_commit_seconds_count 0");
}

static void test_histogram_of_counts(void **state)
{
    (void)state;
    struct metrics metrics;
    metrics_init(&metrics);
    metrics_observe(&metrics, METRIC_BATCH_JOBS, 1);
    metrics_observe(&metrics, METRIC_BATCH_JOBS, 2);
    metrics_observe(&metrics, METRIC_BATCH_JOBS, 3);
    BUF_AUTO struct buf text;
    buf_init(&text, TEXT_MAX);
    metrics_format(&metrics, &text);
    check_line(&text, "posthorn_batch_jobs_bucket{le=\"1\"} 1");
    check_line(&text, "posthorn_batch_jobs_bucket{le=\"2\"} 2");
    check_line(&text, "posthorn_batch_jobs_bucket{le=\"4\"} 3");
    check_line(&text, "posthorn_batch_jobs_bucket{le=\"2097152\"} 3");
    check_line(&text, "posthorn_batch_jobs_sum 6");
}

/* Each name has one HELP and one TYPE in front of its samples, and the text ends with a line. */
static void test_exposition_format(void **state)
{
    (void)state;
    struct metrics metrics;
    metrics_init(&metrics);
    BUF_AUTO struct buf text;
    buf_init(&text, TEXT_MAX);
    metrics_format(&metrics, &text);
    assert_false(text.failed);
    assert_int_equal(text.data[text.len - 1], '\n');
    struct slice rest = {text.data, text.len - 1};
    struct slice line;
    struct slice family = SLICE_NONE;
    size_t families = 0;
    while (slice_next(&rest, '\n', &line)) {
        if (slice_starts_with(line, "# HELP ")) {
            family = (struct slice){line.ptr + 7, line.len - 7};
            family.len = slice_find(family, ' ');
            families++;
        } else if (slice_starts_with(line, "# TYPE ")) {
            assert_true(slice_equal((struct slice){line.ptr + 7, family.len}, family));
        } else {
            assert_true(line.len > family.len);
            assert_true(slice_equal((struct slice){line.ptr, family.len}, family));
        }
    }
    assert_int_equal(families, METRIC_COUNT + METRIC_HISTOGRAM_COUNT);
}

/* Samples are replaced as a whole; a family without any is left out. */
static void test_families(void **state)
{
    (void)state;
    struct metrics metrics;
    metrics_init(&metrics);
    const struct metric_sample samples[] = {{"app_1", 7}, {"app_2", -1}};
    BUF_AUTO struct buf text;
    buf_init(&text, TEXT_MAX);
    metrics_set_family(&metrics, METRIC_BACKLOG_APPLICATION_DELIVERIES, samples, 2);
    metrics_format(&metrics, &text);
    check_line(&text, "# TYPE posthorn_backlog_application_deliveries gauge");
    check_line(&text, "posthorn_backlog_application_deliveries{application=\"app_1\"} 7");
    check_line(&text, "posthorn_backlog_application_deliveries{application=\"app_2\"} -1");
    assert_null(strstr(buf_text(&text), "posthorn_build_info"));
    buf_clear(&text);
    metrics_set_family(&metrics, METRIC_BACKLOG_APPLICATION_DELIVERIES, samples, 1);
    metrics_format(&metrics, &text);
    assert_null(strstr(buf_text(&text), "app_2"));
    buf_clear(&text);
    metrics_set_family(&metrics, METRIC_BACKLOG_APPLICATION_DELIVERIES, NULL, 0);
    metrics_format(&metrics, &text);
    assert_null(strstr(buf_text(&text), "posthorn_backlog_application"));
}

static void *count_up(void *metrics)
{
    for (int index = 0; index < 20000; index++) {
        metrics_add(metrics, METRIC_HTTP_REQUESTS, 1);
        metrics_observe(metrics, METRIC_BATCH_JOBS, 1);
    }
    return NULL;
}

static void test_threads_lose_nothing(void **state)
{
    (void)state;
    struct metrics metrics;
    pthread_t threads[3];
    metrics_init(&metrics);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(threads); index++) {
        assert_int_equal(pthread_create(&threads[index], NULL, count_up, &metrics), 0);
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(threads); index++) {
        assert_int_equal(pthread_join(threads[index], NULL), 0);
    }
    assert_int_equal(metrics_get(&metrics, METRIC_HTTP_REQUESTS), 60000);
    assert_int_equal(atomic_load(&metrics.distributions[METRIC_BATCH_JOBS].sum), 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_histogram_of_durations),
        cmocka_unit_test(test_histogram_of_counts),
        cmocka_unit_test(test_exposition_format),
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
