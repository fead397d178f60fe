/* SPDX-License-Identifier: Apache-2.0 */
/* What a receiver's answers do to the delivery and the endpoint. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include "flow/flow.h"

#define MANY 6

static int64_t attempt_count(struct flow_rig *rig, int64_t message_id)
{
    return flow_rig_number(rig, "SELECT count(*) FROM attempt WHERE message_id = $1", message_id);
}

static int64_t failing_since(struct flow_rig *rig, int64_t endpoint_id)
{
    return flow_rig_number(rig, "SELECT failing_since FROM endpoint WHERE id = $1", endpoint_id);
}

static void test_retries_end_with_the_schedule(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    receiver_answer_with(receiver, 503);
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    int64_t message_id = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_FAILED));

    struct rig_delivery delivery = flow_rig_delivery(rig, message_id, endpoint_id);
    assert_int_equal(delivery.attempts, 3);
    assert_int_equal(delivery.next_attempt_at_us, 0);
    assert_int_equal(delivery.reason, DELIVERY_REASON_NONE);
    assert_int_equal(attempt_count(rig, message_id), 3);
    assert_int_equal(flow_rig_number(rig,
                                     "SELECT count(*) FROM attempt WHERE message_id = $1"
                                     " AND status = 2 AND response_code = 503"
                                     " AND next_attempt_at IS NOT NULL",
                                     message_id),
                     2); /* the last one has no next */
    assert_int_equal(receiver_count(receiver), 3);
    char text[ID_TEXT_MAX];
    assert_int_equal(receiver_count_of(receiver, flow_rig_id_text(rig, message_id, text)), 3);
    assert_true(failing_since(rig, endpoint_id) > 0);
    RIG_UNTIL(flow_rig_metric(rig, METRIC_DELIVERIES_FAILED) == 1);
    assert_int_equal(flow_rig_metric(rig, METRIC_ATTEMPTS_FAILED), 3);
    assert_int_equal(flow_rig_metric(rig, METRIC_DELIVERIES_SUCCEEDED), 0);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_a_late_success_is_one(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    receiver->statuses[0] = 500;
    receiver->statuses[1] = 301; /* not followed: a failure */
    receiver->statuses[2] = 200;
    receiver->status_count = 3;
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    int64_t message_id = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_SUCCEEDED));
    assert_int_equal(flow_rig_delivery(rig, message_id, endpoint_id).attempts, 3);
    assert_int_equal(attempt_count(rig, message_id), 3);
    assert_int_equal(failing_since(rig, endpoint_id), 0);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_gone_disables_the_endpoint(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.max_in_flight = 1;
    flow_rig_start(rig);
    struct receiver *receiver = receiver_start();
    receiver_answer_with(receiver, 410);
    receiver_allow(receiver, 0);
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    int64_t ids[MANY];
    for (size_t index = 0; index < MANY; index++) {
        ids[index] = flow_rig_send(rig, "a", "{}");
    }
    receiver_await(receiver, 1);
    receiver_allow(receiver, 1);
    /* The next one may be on its way before the disable is committed; those behind it are not. */
    for (size_t index = 1; index < MANY; index++) {
        RIG_UNTIL(flow_rig_is(rig, ids[index], endpoint_id, DELIVERY_CANCELLED));
        struct rig_delivery delivery = flow_rig_delivery(rig, ids[index], endpoint_id);
        assert_int_equal(delivery.reason, DELIVERY_REASON_GENERATION);
        assert_int_equal(delivery.attempts, 0);
    }
    struct rig_delivery first = flow_rig_delivery(rig, ids[0], endpoint_id);
    assert_int_equal(first.state, DELIVERY_FAILED);
    assert_int_equal(first.attempts, 1);
    assert_int_equal(first.reason, DELIVERY_REASON_ABORTED);
    assert_in_range(receiver_count(receiver), 1, 2);
    assert_int_equal(
        flow_rig_number(rig, "SELECT disabled FROM endpoint WHERE id = $1", endpoint_id), 1);
    assert_int_equal(flow_rig_metric(rig, METRIC_ENDPOINTS_DISABLED), 1);
    RIG_UNTIL(flow_rig_metric(rig, METRIC_DELIVERIES_CANCELLED) == MANY - 1);
    int64_t later = flow_rig_send(rig, "a", "{}");
    assert_false(flow_rig_delivery(rig, later, endpoint_id).exists);
    receiver_allow(receiver, SIZE_MAX);
    flow_rig_close(rig);
    assert_in_range(receiver_count(receiver), 1, 2);
    receiver_stop(receiver);
}

static void test_failures_for_too_long_disable_the_endpoint(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.disable_after_us = 1;
    flow_rig_start(rig);
    struct receiver *receiver = receiver_start();
    receiver_answer_with(receiver, 500);
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    int64_t message_id = flow_rig_send(rig, "a", "{}");
    /* The first failure starts the time, the second one ends it. */
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_CANCELLED));
    assert_int_equal(flow_rig_delivery(rig, message_id, endpoint_id).attempts, 2);
    assert_int_equal(
        flow_rig_number(rig, "SELECT disabled FROM endpoint WHERE id = $1", endpoint_id), 1);
    assert_int_equal(flow_rig_metric(rig, METRIC_ENDPOINTS_DISABLED), 1);
    flow_rig_close(rig);
    assert_int_equal(receiver_count(receiver), 2);
    receiver_stop(receiver);
}

static void test_retry_after_is_heeded_up_to_its_cap(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.retry_after_cap_us = 600 * CLOCK_US_PER_S;
    flow_rig_start(rig);
    struct receiver *receiver = receiver_start();
    receiver_answer_with(receiver, 429);
    receiver->answer_header = "Retry-After: 3600\r\n";
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    int64_t sent_us = clock_wall_us();
    int64_t message_id = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_delivery(rig, message_id, endpoint_id).attempts == 1);
    struct rig_delivery delivery = flow_rig_delivery(rig, message_id, endpoint_id);
    assert_int_equal(delivery.state, DELIVERY_PENDING);
    assert_in_range(delivery.next_attempt_at_us, sent_us + 600 * CLOCK_US_PER_S,
                    clock_wall_us() + 600 * CLOCK_US_PER_S);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_a_receiver_may_end_a_delivery(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    receiver_answer_with(receiver, 500);
    receiver->answer_header = "webhook-delivery: abort-message\r\n";
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    int64_t message_id = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_FAILED));
    assert_int_equal(flow_rig_delivery(rig, message_id, endpoint_id).attempts, 1);
    assert_int_equal(flow_rig_delivery(rig, message_id, endpoint_id).reason,
                     DELIVERY_REASON_ABORTED);
    assert_int_equal(
        flow_rig_number(rig, "SELECT disabled FROM endpoint WHERE id = $1", endpoint_id), 0);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_retries_end_with_the_schedule),
        CONTRACT_BOTH(test_a_late_success_is_one),
        CONTRACT_BOTH(test_gone_disables_the_endpoint),
        CONTRACT_BOTH(test_failures_for_too_long_disable_the_endpoint),
        CONTRACT_BOTH(test_retry_after_is_heeded_up_to_its_cap),
        CONTRACT_BOTH(test_a_receiver_may_end_a_delivery),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
