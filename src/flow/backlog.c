/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/backlog.h"

#include "base/clock.h"
#include "base/map.h"
#include "store/delivery.h"

#define ROUND_INTERVAL_US (5 * CLOCK_US_PER_S)
/* Rows of one step: a few milliseconds. */
#define STEP_ROWS 10000

/* An application's part of the backlog. */
struct share {
    int64_t application_id;
    int64_t pending;
    int64_t oldest_due_us;
};

struct backlog {
    const struct flow_options *options;
    struct store *store;
    int64_t round_at_us; /* boot clock */
    bool is_counting;
    struct delivery_cursor cursor;
    struct map shares; /* by application */
    struct share total;
};

struct backlog *backlog_new(const struct flow_options *options, struct store *store)
{
    struct backlog *backlog = ph_calloc(1, sizeof *backlog);
    backlog->options = options;
    backlog->store = store;
    map_init(&backlog->shares);
    return backlog;
}

/* Forgets what was counted. */
static void clear(struct backlog *backlog)
{
    size_t position = 0;
    uint64_t key;
    void *value;
    while (map_next(&backlog->shares, &position, &key, &value)) {
        free(value);
    }
    map_done(&backlog->shares);
    map_init(&backlog->shares);
    backlog->total = (struct share){0};
    backlog->cursor = (struct delivery_cursor){0};
}

void backlog_free(struct backlog *backlog)
{
    if (backlog != NULL) {
        clear(backlog);
        map_done(&backlog->shares);
        free(backlog);
    }
}

static void add(struct share *share, int64_t due_us)
{
    share->pending++;
    if (share->oldest_due_us == 0 || due_us < share->oldest_due_us) {
        share->oldest_due_us = due_us;
    }
}

static void add_row(void *context, int64_t application_id, int64_t due_us)
{
    struct backlog *backlog = context;
    add(&backlog->total, due_us);
    struct share *share = map_get(&backlog->shares, (uint64_t)application_id);
    if (share == NULL) {
        share = ph_calloc(1, sizeof *share);
        share->application_id = application_id;
        (void)map_set(&backlog->shares, (uint64_t)application_id, share);
    }
    add(share, due_us);
}

/* --- the end of a round ----------------------------------------------------------------------- */

static int64_t age_s(const struct share *share, int64_t now_us)
{
    int64_t age_us = share->oldest_due_us == 0 ? 0 : now_us - share->oldest_due_us;
    return age_us < 0 ? 0 : age_us / CLOCK_US_PER_S;
}

static bool is_worse(const struct share *left, const struct share *right)
{
    return left->oldest_due_us != right->oldest_due_us ? left->oldest_due_us < right->oldest_due_us
                                                       : left->pending > right->pending;
}

/* The worst ones in order; returns how many. */
static size_t find_worst(struct backlog *backlog, const struct share *worst[METRICS_FAMILY_MAX])
{
    size_t count = 0;
    size_t position = 0;
    uint64_t key;
    void *value;
    while (map_next(&backlog->shares, &position, &key, &value)) {
        const struct share *share = value;
        size_t at = count;
        while (at > 0 && is_worse(share, worst[at - 1])) {
            at--;
        }
        if (at == METRICS_FAMILY_MAX) {
            continue;
        }
        count += count < METRICS_FAMILY_MAX ? 1 : 0;
        memmove(&worst[at + 1], &worst[at], (count - 1 - at) * sizeof(const struct share *));
        worst[at] = share;
    }
    return count;
}

static void publish(struct backlog *backlog)
{
    struct metrics *metrics = backlog->options->metrics;
    const struct share *worst[METRICS_FAMILY_MAX];
    struct metric_sample pending[METRICS_FAMILY_MAX];
    struct metric_sample ages[METRICS_FAMILY_MAX];
    int64_t now_us = clock_wall_us();
    metrics_set(metrics, METRIC_BACKLOG_DELIVERIES, backlog->total.pending);
    metrics_set(metrics, METRIC_BACKLOG_OLDEST_SECONDS, age_s(&backlog->total, now_us));
    size_t count = find_worst(backlog, worst);
    for (size_t index = 0; index < count; index++) {
        (void)id_format(&backlog->store->codec, ID_APPLICATION, worst[index]->application_id,
                        pending[index].label);
        memcpy(ages[index].label, pending[index].label, sizeof ages[index].label);
        pending[index].value = worst[index]->pending;
        ages[index].value = age_s(worst[index], now_us);
    }
    metrics_set_family(metrics, METRIC_BACKLOG_APPLICATION_DELIVERIES, pending, count);
    metrics_set_family(metrics, METRIC_BACKLOG_APPLICATION_OLDEST_SECONDS, ages, count);
}

void backlog_step(struct backlog *backlog)
{
    int64_t now_us = clock_boot_us();
    if (!backlog->is_counting && now_us < backlog->round_at_us) {
        return;
    }
    if (!backlog->is_counting) {
        backlog->is_counting = true;
        backlog->round_at_us = now_us + ROUND_INTERVAL_US;
    }
    struct diag diag;
    bool is_end = true;
    enum ph_error error = delivery_walk(backlog->store, STEP_ROWS, add_row, backlog, &diag,
                                        &backlog->cursor, &is_end);
    if (error == PH_OK && !is_end) {
        return;
    }
    if (error == PH_OK) {
        publish(backlog);
    } else {
        log_write(backlog->options->log, LOG_KEEPER_FAILED, LOG_TEXT("error", diag.text));
    }
    backlog->is_counting = false;
    clear(backlog);
}
