/* SPDX-License-Identifier: Apache-2.0 */
/* What attempts tell about an endpoint: its circuit breaker and how much it takes at once; and what
 * of that is shown to others. */
#include "base/clock.h"
#include "flow/deliver_int.h"

static void count_breaker(struct deliverer *deliverer, int64_t change)
{
    metrics_add(deliverer->options.flow->metrics, METRIC_BREAKERS_OPEN, change);
}

void health_reset(struct deliverer *deliverer, struct lane *lane)
{
    if (lane->breaker.state != BREAKER_CLOSED) {
        count_breaker(deliverer, -1);
    }
    breaker_init(&lane->breaker);
    concurrency_init(&lane->concurrency, health_max(deliverer, lane));
}

unsigned health_max(const struct deliverer *deliverer, const struct lane *lane)
{
    unsigned own = lane->config == NULL ? 0 : lane->config->options->max_in_flight;
    return own != 0 ? own : deliverer->settings->max_in_flight;
}

unsigned health_cap(const struct deliverer *deliverer, const struct lane *lane)
{
    return concurrency_limit(&lane->concurrency, health_max(deliverer, lane));
}

int64_t health_overdue_at(const struct deliverer *deliverer, const struct lane *lane,
                          const struct item *item, int64_t now_boot_us)
{
    if (lane->breaker.state == BREAKER_CLOSED || item->manual_id != 0) {
        return LANE_NEVER;
    }
    const struct flow_settings *settings = deliverer->settings;
    int64_t age_us = clock_wall_us() - item->accepted_us;
    return now_boot_us + health_schedule_us(deliverer, lane) + settings->breaker.open_max_us -
           age_us;
}

int64_t health_schedule_us(const struct deliverer *deliverer, const struct lane *lane)
{
    bool is_own = lane->config != NULL && lane->config->options->has_retry_schedule;
    return retry_total_us(is_own ? &lane->config->options->retry_schedule
                                 : &deliverer->settings->retry_schedule);
}

static bool is_overload(const struct sink_result *result)
{
    return result->failure == ATTEMPT_TIMEOUT ||
           (result->failure == ATTEMPT_ANSWERED &&
            (result->status_code == 429 || result->status_code >= 500));
}

static void tell_change(struct deliverer *deliverer, const struct lane *lane)
{
    char endpoint[ID_TEXT_MAX];
    const struct log *log = deliverer->options.flow->log;
    (void)id_format(&deliverer->store->codec, ID_ENDPOINT, lane->endpoint_id, endpoint);
    if (lane->breaker.state == BREAKER_CLOSED) {
        log_write(log, LOG_BREAKER_CLOSED, LOG_TEXT("endpoint", endpoint));
        return;
    }
    metrics_add(deliverer->options.flow->metrics, METRIC_BREAKER_OPENINGS, 1);
    log_write(log, LOG_BREAKER_OPENED, LOG_TEXT("endpoint", endpoint),
              LOG_INT("open_ms", (lane->breaker.open_until - clock_boot_us()) / CLOCK_US_PER_MS));
}

void health_report(struct deliverer *deliverer, struct lane *lane, const struct sink_result *result,
                   bool counts_for_breaker)
{
    int64_t now_us = clock_boot_us();
    concurrency_report(&lane->concurrency, is_overload(result), result->duration_us,
                       (unsigned)lane->in_flight + 1, health_max(deliverer, lane), now_us);
    bool was_closed = lane->breaker.state == BREAKER_CLOSED;
    if (breaker_report(&lane->breaker, &deliverer->settings->breaker, counts_for_breaker, now_us)) {
        bool is_closed = lane->breaker.state == BREAKER_CLOSED;
        if (was_closed != is_closed) {
            count_breaker(deliverer, is_closed ? -1 : 1);
        }
        tell_change(deliverer, lane);
    }
}

void health_show_hold(struct deliverer *deliverer, struct lane *lane, enum hold_kind kind,
                      int64_t until_boot_us)
{
    if (lane->hold == kind && lane->hold_until_us == until_boot_us) {
        return;
    }
    lane->hold = kind;
    lane->hold_until_us = until_boot_us;
    int64_t offset_us = clock_wall_us() - clock_boot_us();
    const struct hold hold = {
        .kind = kind,
        .until_us = until_boot_us == INT64_MAX ? 0 : until_boot_us + offset_us,
    };
    holds_set(deliverer->options.holds, lane->endpoint_id, &hold);
}
