/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metrics.h"

#include "base/clock.h"

enum metric_type { TYPE_COUNTER, TYPE_GAUGE };

struct metric_row {
    enum metric_type type;
    const char *name;
    const char *help;
};

static const struct metric_row value_rows[] = {
#define COUNTER(id, name, help) {TYPE_COUNTER, name, help},
#define GAUGE(id, name, help) {TYPE_GAUGE, name, help},
#define HISTOGRAM(id, name, help)
#define FAMILY(id, name, label, help)
#include "base/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
#undef FAMILY
};

static const struct metric_row histogram_rows[] = {
#define COUNTER(id, name, help)
#define GAUGE(id, name, help)
#define HISTOGRAM(id, name, help) {TYPE_COUNTER, name, help},
#define FAMILY(id, name, label, help)
#include "base/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
#undef FAMILY
};

struct family_row {
    const char *name;
    const char *label;
    const char *help;
};

static const struct family_row family_rows[] = {
#define COUNTER(id, name, help)
#define GAUGE(id, name, help)
#define HISTOGRAM(id, name, help)
#define FAMILY(id, name, label, help) {name, label, help},
#include "base/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
#undef FAMILY
};

/* Upper bound of bucket 0: 64 us for durations, 1 for counts. */
#define FIRST_DURATION_SHIFT 6

void metrics_init(struct metrics *metrics)
{
    memset(metrics, 0, sizeof *metrics);
    metrics->started_boot_us = clock_boot_us();
    PH_ASSERT(pthread_mutex_init(&metrics->families_lock, NULL) == 0);
}

void metrics_add(struct metrics *metrics, enum metric metric, int64_t amount)
{
    atomic_fetch_add_explicit(&metrics->values[metric], amount, memory_order_relaxed);
}

void metrics_set(struct metrics *metrics, enum metric metric, int64_t value)
{
    atomic_store_explicit(&metrics->values[metric], value, memory_order_relaxed);
}

int64_t metrics_get(const struct metrics *metrics, enum metric metric)
{
    return atomic_load_explicit(&metrics->values[metric], memory_order_relaxed);
}

static unsigned first_shift(enum metric_histogram histogram)
{
    return histogram == METRIC_BATCH_JOBS ? 0 : FIRST_DURATION_SHIFT;
}

void metrics_observe(struct metrics *metrics, enum metric_histogram histogram, int64_t value)
{
    metrics_observe_many(metrics, histogram, value, 1);
}

void metrics_observe_many(struct metrics *metrics, enum metric_histogram histogram, int64_t value,
                          uint64_t times)
{
    struct metric_distribution *distribution = &metrics->distributions[histogram];
    uint64_t amount = value < 0 ? 0 : (uint64_t)value;
    unsigned bucket = 0;
    while (bucket < METRICS_BUCKETS &&
           amount > (UINT64_C(1) << (first_shift(histogram) + bucket))) {
        bucket++;
    }
    atomic_fetch_add_explicit(&distribution->buckets[bucket], times, memory_order_relaxed);
    atomic_fetch_add_explicit(&distribution->sum, amount * times, memory_order_relaxed);
}

static void format_histogram(const struct metrics *metrics, enum metric_histogram histogram,
                             struct buf *text)
{
    const struct metric_row *row = &histogram_rows[histogram];
    const struct metric_distribution *distribution = &metrics->distributions[histogram];
    double unit = histogram == METRIC_BATCH_JOBS ? 1.0 : 1e-6;
    uint64_t total = 0;
    buf_append_format(text, "# HELP %s %s\n# TYPE %s histogram\n", row->name, row->help, row->name);
    for (unsigned bucket = 0; bucket < METRICS_BUCKETS; bucket++) {
        total += atomic_load_explicit(&distribution->buckets[bucket], memory_order_relaxed);
        double bound = (double)(UINT64_C(1) << (first_shift(histogram) + bucket)) * unit;
        buf_append_format(text, "%s_bucket{le=\"%.10g\"} %llu\n", row->name, bound,
                          (unsigned long long)total);
    }
    total += atomic_load_explicit(&distribution->buckets[METRICS_BUCKETS], memory_order_relaxed);
    uint64_t sum = atomic_load_explicit(&distribution->sum, memory_order_relaxed);
    buf_append_format(text, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.10g\n%s_count %llu\n", row->name,
                      (unsigned long long)total, row->name, (double)sum * unit, row->name,
                      (unsigned long long)total);
}

void metrics_set_family(struct metrics *metrics, enum metric_family family,
                        const struct metric_sample *samples, size_t count)
{
    PH_ASSERT(count <= METRICS_FAMILY_MAX);
    struct metric_samples *present = &metrics->families[family];
    PH_ASSERT(pthread_mutex_lock(&metrics->families_lock) == 0);
    if (count > 0) {
        memcpy(present->samples, samples, count * sizeof samples[0]);
    }
    present->count = count;
    PH_ASSERT(pthread_mutex_unlock(&metrics->families_lock) == 0);
}

static void format_family(struct metrics *metrics, enum metric_family family, struct buf *text)
{
    const struct family_row *row = &family_rows[family];
    PH_ASSERT(pthread_mutex_lock(&metrics->families_lock) == 0);
    struct metric_samples samples = metrics->families[family];
    PH_ASSERT(pthread_mutex_unlock(&metrics->families_lock) == 0);
    if (samples.count > 0) {
        buf_append_format(text, "# HELP %s %s\n# TYPE %s gauge\n", row->name, row->help, row->name);
    }
    for (size_t index = 0; index < samples.count; index++) {
        buf_append_format(text, "%s{%s=\"%s\"} %lld\n", row->name, row->label,
                          samples.samples[index].label, (long long)samples.samples[index].value);
    }
}

void metrics_format(struct metrics *metrics, struct buf *text)
{
    for (unsigned index = 0; index < METRIC_COUNT; index++) {
        const struct metric_row *row = &value_rows[index];
        buf_append_format(text, "# HELP %s %s\n# TYPE %s %s\n%s %lld\n", row->name, row->help,
                          row->name, row->type == TYPE_COUNTER ? "counter" : "gauge", row->name,
                          (long long)metrics_get(metrics, (enum metric)index));
    }
    for (unsigned index = 0; index < METRIC_HISTOGRAM_COUNT; index++) {
        format_histogram(metrics, (enum metric_histogram)index, text);
    }
    for (unsigned index = 0; index < METRIC_FAMILY_COUNT; index++) {
        format_family(metrics, (enum metric_family)index, text);
    }
}

/* --- the document ----------------------------------------------------------------------------- */

static void append_row(struct buf *text, const char *name, const char *type, const char *help)
{
    buf_append_format(text, "| `%s` | %s | %s |\n", name, type, help);
}

void metrics_write_markdown(struct buf *text)
{
    buf_append_text(
        text, "<!-- Made from src/base/metrics.def by `posthorn help --metrics-markdown`. -->\n"
              "# Metrics\n\n"
              "`GET /metrics` gives the Prometheus text format and asks for no token: keep it from "
              "strangers\n"
              "with the proxy or the network. Nothing in it is secret or personal. Durations are "
              "seconds;\n"
              "histograms have buckets by powers of two. A gauge with a label is left out while it "
              "has no\n"
              "value.\n\n"
              "| name | type | what it says |\n|---|---|---|\n");
    for (unsigned index = 0; index < METRIC_COUNT; index++) {
        const struct metric_row *row = &value_rows[index];
        append_row(text, row->name, row->type == TYPE_COUNTER ? "counter" : "gauge", row->help);
    }
    for (unsigned index = 0; index < METRIC_FAMILY_COUNT; index++) {
        const struct family_row *row = &family_rows[index];
        buf_append_format(text, "| `%s{%s}` | gauge | %s |\n", row->name, row->label, row->help);
    }
    for (unsigned index = 0; index < METRIC_HISTOGRAM_COUNT; index++) {
        append_row(text, histogram_rows[index].name, "histogram", histogram_rows[index].help);
    }
}
