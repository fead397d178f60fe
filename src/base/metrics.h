/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters, gauges and histograms of the whole server, from the table in metrics.def.
 *
 * Concurrency: one `struct metrics` is shared by all threads; every field is a relaxed atomic, but
 * families, which are under a lock.
 * Histograms have buckets by powers of two from 64 us to 134 s (BATCH_JOBS: 1 .. 2^21).
 */
#ifndef PH_BASE_METRICS_H
#define PH_BASE_METRICS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"

enum metric {
#define COUNTER(id, name, help) METRIC_##id,
#define GAUGE(id, name, help) METRIC_##id,
#define HISTOGRAM(id, name, help)
#define FAMILY(id, name, label, help)
#include "base/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
#undef FAMILY
    METRIC_COUNT
};

enum metric_histogram {
#define COUNTER(id, name, help)
#define GAUGE(id, name, help)
#define HISTOGRAM(id, name, help) METRIC_##id,
#define FAMILY(id, name, label, help)
#include "base/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
#undef FAMILY
    METRIC_HISTOGRAM_COUNT
};

enum metric_family {
#define COUNTER(id, name, help)
#define GAUGE(id, name, help)
#define HISTOGRAM(id, name, help)
#define FAMILY(id, name, label, help) METRIC_##id,
#include "base/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
#undef FAMILY
    METRIC_FAMILY_COUNT
};

#define METRICS_BUCKETS 22
#define METRICS_FAMILY_MAX 10
#define METRICS_LABEL_MAX 64

struct metric_distribution {
    atomic_uint_fast64_t buckets[METRICS_BUCKETS + 1]; /* the last is +Inf */
    atomic_uint_fast64_t sum;
};

struct metric_sample {
    char label[METRICS_LABEL_MAX]; /* the label's value; without quotes, backslashes, line ends */
    int64_t value;
};

struct metric_samples {
    struct metric_sample samples[METRICS_FAMILY_MAX];
    size_t count;
};

struct metrics {
    int64_t started_boot_us;
    atomic_int_fast64_t values[METRIC_COUNT];
    struct metric_distribution distributions[METRIC_HISTOGRAM_COUNT];
    pthread_mutex_t families_lock;
    struct metric_samples families[METRIC_FAMILY_COUNT];
};

void metrics_init(struct metrics *metrics);
void metrics_add(struct metrics *metrics, enum metric metric, int64_t amount);
void metrics_set(struct metrics *metrics, enum metric metric, int64_t value); /* gauges */
int64_t metrics_get(const struct metrics *metrics, enum metric metric);
/* A duration in microseconds; for BATCH_JOBS a count. Negative counts as 0. */
void metrics_observe(struct metrics *metrics, enum metric_histogram histogram, int64_t value);
/* The same value `times` times. */
void metrics_observe_many(struct metrics *metrics, enum metric_histogram histogram, int64_t value,
                          uint64_t times);
/* Replaces the samples of a family, at most METRICS_FAMILY_MAX. */
void metrics_set_family(struct metrics *metrics, enum metric_family family,
                        const struct metric_sample *samples, size_t count);
/* Prometheus text exposition format 0.0.4. */
void metrics_format(struct metrics *metrics, struct buf *text);
/* docs/reference/metrics.md, made from the table. */
void metrics_write_markdown(struct buf *text);

#endif
