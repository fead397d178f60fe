/* SPDX-License-Identifier: Apache-2.0 */
/* New settings while messages are on their way. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include "flow/flow.h"

#define MANY 200

static void test_new_subnets_hold_at_once(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    int64_t message_id = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_SUCCEEDED));

    struct flow_settings settings = rig->options.settings;
    settings.allow_subnets = NULL;
    settings.retry_schedule.count = 0;
    flow_reload(rig->flow, &settings);
    message_id = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_FAILED));
    assert_int_equal(flow_rig_metric(rig, METRIC_ATTEMPTS_BLOCKED), 1);
    assert_int_equal(receiver_count(receiver), 1);

    flow_reload(rig->flow, &rig->options.settings);
    message_id = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_SUCCEEDED));
    flow_rig_close(rig);
    receiver_stop(receiver);
}

/* Nobody would report to a breaker that is switched off, so it would stay open. */
static void test_a_breaker_that_is_switched_off_lets_through(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.max_in_flight = 1;
    rig->options.settings.retry_schedule.count = 0;
    rig->options.settings.breaker = (struct breaker_settings){
        .min_attempts = 1,
        .failure_ratio = 0.5,
        .window_us = 60 * CLOCK_US_PER_S,
        .open_us = 300 * CLOCK_US_PER_S,
        .open_max_us = 300 * CLOCK_US_PER_S,
    };
    flow_rig_start(rig);
    struct receiver *receiver = receiver_start();
    receiver_answer_with(receiver, 503);
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    (void)flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_metric(rig, METRIC_BREAKERS_OPEN) == 1);
    receiver_answer_with(receiver, 200);
    int64_t message_id = flow_rig_send(rig, "a", "{}");
    struct flow_settings settings = rig->options.settings;
    settings.breaker.min_attempts = 0;
    settings.retry_schedule.count = 1; /* with an empty one the message would be overdue */
    settings.retry_schedule.delays_us[0] = 600 * CLOCK_US_PER_S;
    flow_reload(rig->flow, &settings);
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_SUCCEEDED));
    assert_int_equal(flow_rig_metric(rig, METRIC_BREAKERS_OPEN), 0);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_nothing_is_lost_meanwhile(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    (void)flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    struct flow_settings settings = rig->options.settings;
    CIDR_SET_AUTO struct cidr_set wider = {0};
    struct diag diag = {0};
    CONTRACT_OK(cidr_set_parse(TEXT("127.0.0.0/8,10.0.0.0/8"), "x", &diag, &wider), &diag);
    for (size_t index = 0; index < MANY; index++) {
        (void)flow_rig_send(rig, "a", "{}");
        settings.max_in_flight = 1 + (unsigned)(index % 8);
        settings.allow_subnets = index % 16 < 8 ? &wider : &rig->loopback;
        settings.payload_retention_us += 1;
        flow_reload(rig->flow, &settings);
        const struct flow_settings *taken = flow_settings_take(rig->flow);
        assert_int_equal(taken->payload_retention_us, settings.payload_retention_us);
        assert_int_equal(taken->deliver_threads, rig->options.settings.deliver_threads);
        flow_settings_drop(taken);
    }
    receiver_await(receiver, MANY);
    RIG_UNTIL(flow_rig_metric(rig, METRIC_DELIVERIES_SUCCEEDED) == MANY);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_new_subnets_hold_at_once),
        CONTRACT_BOTH(test_a_breaker_that_is_switched_off_lets_through),
        CONTRACT_BOTH(test_nothing_is_lost_meanwhile),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
