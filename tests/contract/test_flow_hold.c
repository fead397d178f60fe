/* SPDX-License-Identifier: Apache-2.0 */
/* What holds an endpoint's deliveries back is shown while it does, and not a moment longer. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include "flow/hold.h"

static enum hold_kind held(struct flow_rig *rig, int64_t endpoint_id)
{
    return holds_get(flow_holds(rig->flow), endpoint_id).kind;
}

static void test_a_breaker(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.max_in_flight = 1;
    rig->options.settings.retry_schedule.delays_us[0] = 1000;
    rig->options.settings.retry_schedule.delays_us[1] = 600 * CLOCK_US_PER_S;
    rig->options.settings.breaker = (struct breaker_settings){
        .min_attempts = 1,
        .failure_ratio = 0.5,
        .window_us = 60 * CLOCK_US_PER_S,
        .open_us = 2 * CLOCK_US_PER_S,
        .open_max_us = 300 * CLOCK_US_PER_S,
    };
    flow_rig_start(rig);
    struct receiver *receiver = receiver_start();
    receiver->statuses[0] = 503;
    receiver->statuses[1] = 200;
    receiver->status_count = 2;
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    int64_t other_id = flow_rig_endpoint(
        rig, (struct rig_endpoint){.receiver = receiver, .event_types = "[\"other\"]"});
    int64_t message_id = flow_rig_send(rig, "a", "{}");
    int64_t sent_us = clock_wall_us();
    RIG_UNTIL(held(rig, endpoint_id) == HOLD_BREAKER);
    struct hold hold = holds_get(flow_holds(rig->flow), endpoint_id);
    assert_in_range(hold.until_us, sent_us, clock_wall_us() + 2 * CLOCK_US_PER_S);
    assert_int_equal(held(rig, other_id), HOLD_NONE);
    /* The probe comes through. */
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_SUCCEEDED));
    RIG_UNTIL(held(rig, endpoint_id) == HOLD_NONE);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static enum ph_error limit_application(struct rig_write *write, struct writer_txn *txn,
                                       struct diag *diag)
{
    (void)write;
    return db_run(txn->store->db,
                  "UPDATE application SET throttle_rate = 2, config_version = config_version + 1",
                  diag);
}

static void check_throttle(struct flow_rig *rig, int64_t rate, enum hold_kind kind)
{
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id =
        flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver, .throttle_rate = rate});
    int64_t message_id = 0;
    for (int count = 0; count < 4; count++) {
        message_id = flow_rig_send(rig, "a", "{}");
    }
    RIG_UNTIL(held(rig, endpoint_id) == kind);
    assert_true(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_PENDING));
    int64_t held_until_us = holds_get(flow_holds(rig->flow), endpoint_id).until_us;
    assert_in_range(held_until_us, 1, clock_wall_us() + CLOCK_US_PER_S);
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_SUCCEEDED));
    RIG_UNTIL(held(rig, endpoint_id) == HOLD_NONE);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_the_rate_of_an_endpoint(void **state)
{
    check_throttle(flow_rig_open(state), 2, HOLD_THROTTLE);
}

static void test_the_rate_of_an_application(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    (void)flow_rig_write(rig, limit_application, NULL);
    check_throttle(rig, 0, HOLD_APPLICATION_THROTTLE);
}

/* A stop while something is held: the table must be empty when it is freed, which it asserts. */
static void test_a_stop_meanwhile(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id =
        flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver, .throttle_rate = 1});
    for (int count = 0; count < 8; count++) {
        (void)flow_rig_send(rig, "a", "{}");
    }
    RIG_UNTIL(held(rig, endpoint_id) == HOLD_THROTTLE);
    flow_rig_stop(rig, 0);
    flow_rig_start(rig);
    RIG_UNTIL(held(rig, endpoint_id) == HOLD_THROTTLE);
    flow_rig_stop(rig, 0);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_a_breaker),
        CONTRACT_BOTH(test_the_rate_of_an_endpoint),
        CONTRACT_BOTH(test_the_rate_of_an_application),
        CONTRACT_BOTH(test_a_stop_meanwhile),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
