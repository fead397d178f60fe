/* SPDX-License-Identifier: Apache-2.0 */
/* The store is the truth: what a stopped flow left is taken up by the next one. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include "flow/flow.h"

#define MANY 6
#define HOUR_US (3600 * CLOCK_US_PER_S)

/* One attempt in flight at a time, and a window of two. */
static struct flow_rig *open_narrow(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.max_in_flight = 1;
    flow_rig_start(rig);
    return rig;
}

static void send_many(struct flow_rig *rig, int64_t ids[MANY])
{
    for (size_t index = 0; index < MANY; index++) {
        ids[index] = flow_rig_send(rig, "a", "{}");
    }
}

static int64_t attempt_count(struct flow_rig *rig)
{
    return flow_rig_number(rig, "SELECT count(*) FROM attempt", 0);
}

static void test_undelivered_messages_survive(void **state)
{
    struct flow_rig *rig = open_narrow(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    receiver_allow(receiver, 0);
    int64_t ids[MANY];
    send_many(rig, ids);
    receiver_await(receiver, 1);
    flow_rig_stop(rig, 0);
    /* What was in flight does not count. */
    assert_int_equal(attempt_count(rig), 0);
    for (size_t index = 0; index < MANY; index++) {
        assert_true(flow_rig_is(rig, ids[index], endpoint_id, DELIVERY_PENDING));
        assert_int_equal(flow_rig_delivery(rig, ids[index], endpoint_id).attempts, 0);
    }

    receiver_allow(receiver, SIZE_MAX);
    flow_rig_start(rig);
    char text[ID_TEXT_MAX];
    for (size_t index = 0; index < MANY; index++) {
        RIG_UNTIL(flow_rig_is(rig, ids[index], endpoint_id, DELIVERY_SUCCEEDED));
        assert_int_equal(receiver_count_of(receiver, flow_rig_id_text(rig, ids[index], text)),
                         index == 0 ? 2 : 1);
    }
    assert_int_equal(attempt_count(rig), MANY);
    /* Ids go on where they were. */
    assert_true(flow_rig_send(rig, "a", "{}") > ids[MANY - 1]);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void *stop_in_peace(void *argument)
{
    flow_rig_stop(argument, RIG_DRAIN_MS);
    return NULL;
}

static void test_an_orderly_stop_records_what_was_sent(void **state)
{
    struct flow_rig *rig = open_narrow(state);
    struct receiver *receiver = receiver_start();
    (void)flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    receiver_allow(receiver, 0);
    int64_t ids[MANY];
    send_many(rig, ids);
    receiver_await(receiver, 1);
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stop_in_peace, rig), 0);
    receiver_allow(receiver, SIZE_MAX);
    assert_int_equal(pthread_join(stopper, NULL), 0);

    int64_t sent = (int64_t)receiver_count(receiver);
    assert_int_equal(attempt_count(rig), sent);
    assert_int_equal(
        flow_rig_number(rig, "SELECT count(*) FROM delivery WHERE state = 1 AND attempts = 1", 0),
        sent);
    assert_int_equal(
        flow_rig_number(rig, "SELECT count(*) FROM delivery WHERE state = 0 AND attempts = 0", 0),
        MANY - sent);
    /* So the next flow sends each of the others once. */
    flow_rig_start(rig);
    RIG_UNTIL(flow_rig_number(rig, "SELECT count(*) FROM delivery WHERE state = 1", 0) == MANY);
    flow_rig_close(rig);
    assert_int_equal(receiver_count(receiver), MANY);
    receiver_stop(receiver);
}

static void change(struct flow_rig *rig, const char *sql)
{
    struct diag diag = {0};
    struct db *db = NULL;
    CONTRACT_OK(db_open(rig->options.store_address, DB_READ_WRITE, &diag, &db), &diag);
    enum ph_error error = db_run(db, sql, &diag);
    db_close(db);
    CONTRACT_OK(error, &diag);
}

static void test_a_retry_waits_in_the_store(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.retry_schedule.delays_us[0] = HOUR_US;
    flow_rig_start(rig);
    struct receiver *receiver = receiver_start();
    receiver_answer_with(receiver, 500);
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    int64_t message_id = flow_rig_send(rig, "a", "{}");
    int64_t sent_us = clock_wall_us();
    RIG_UNTIL(flow_rig_delivery(rig, message_id, endpoint_id).attempts == 1);
    struct rig_delivery delivery = flow_rig_delivery(rig, message_id, endpoint_id);
    assert_int_equal(delivery.state, DELIVERY_PENDING);
    assert_in_range(delivery.next_attempt_at_us, sent_us + HOUR_US - CLOCK_US_PER_S,
                    clock_wall_us() + HOUR_US);

    /* Not due: the next flow leaves it alone, though other work passes by. */
    flow_rig_stop(rig, 0);
    receiver_answer_with(receiver, 200);
    flow_rig_start(rig);
    int64_t other_id = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_is(rig, other_id, endpoint_id, DELIVERY_SUCCEEDED));
    assert_int_equal(flow_rig_delivery(rig, message_id, endpoint_id).attempts, 1);
    assert_int_equal(receiver_count(receiver), 2);

    /* Its time comes while nothing runs. */
    flow_rig_stop(rig, 0);
    change(rig, "UPDATE delivery SET next_attempt_at = 1 WHERE state = 0");
    flow_rig_start(rig);
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_SUCCEEDED));
    assert_int_equal(flow_rig_delivery(rig, message_id, endpoint_id).attempts, 2);
    flow_rig_close(rig);
    assert_int_equal(receiver_count(receiver), 3);
    receiver_stop(receiver);
}

static void test_an_acknowledged_resend_survives(void **state)
{
    struct flow_rig *rig = open_narrow(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    const struct rig_resend resend = {flow_rig_send(rig, "a", "{\"n\":1}"), endpoint_id};
    RIG_UNTIL(flow_rig_is(rig, resend.message_id, endpoint_id, DELIVERY_SUCCEEDED));
    receiver_allow(receiver, 0);
    int64_t blocking = flow_rig_send(rig, "a", "{}");
    receiver_await(receiver, 2);
    (void)flow_rig_write(rig, rig_add_manual, &resend);
    flow_rig_stop(rig, 0);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM manual_attempt", 0), 1);

    receiver_allow(receiver, SIZE_MAX);
    flow_rig_start(rig);
    RIG_UNTIL(flow_rig_number(rig, "SELECT count(*) FROM manual_attempt", 0) == 0);
    RIG_UNTIL(flow_rig_is(rig, blocking, endpoint_id, DELIVERY_SUCCEEDED));
    flow_rig_stop(rig, RIG_DRAIN_MS);
    char text[ID_TEXT_MAX];
    assert_int_equal(receiver_count_of(receiver, flow_rig_id_text(rig, resend.message_id, text)),
                     2);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_an_endpoint_disabled_in_between_gets_nothing(void **state)
{
    struct flow_rig *rig = open_narrow(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    receiver_allow(receiver, 0);
    int64_t ids[MANY];
    send_many(rig, ids);
    receiver_await(receiver, 1);
    flow_rig_stop(rig, 0);
    change(rig, "UPDATE endpoint SET disabled = 1, generation = generation + 1;"
                "UPDATE application SET config_version = config_version + 1");
    receiver_allow(receiver, SIZE_MAX);
    flow_rig_start(rig);
    for (size_t index = 0; index < MANY; index++) {
        RIG_UNTIL(flow_rig_is(rig, ids[index], endpoint_id, DELIVERY_CANCELLED));
    }
    RIG_UNTIL(flow_rig_metric(rig, METRIC_DELIVERIES_CANCELLED) == MANY);
    flow_rig_close(rig);
    assert_int_equal(receiver_count(receiver), 1);
    receiver_stop(receiver);
}

static void test_an_older_generation_is_not_sent(void **state)
{
    struct flow_rig *rig = open_narrow(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    receiver_allow(receiver, 0);
    int64_t ids[MANY];
    send_many(rig, ids);
    receiver_await(receiver, 1);
    flow_rig_stop(rig, 0);
    /* Disabled and enabled again, and nobody has cancelled yet. */
    change(rig, "UPDATE endpoint SET generation = generation + 1;"
                "UPDATE application SET config_version = config_version + 1");
    receiver_allow(receiver, SIZE_MAX);
    flow_rig_start(rig);
    int64_t wanted = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_is(rig, wanted, endpoint_id, DELIVERY_SUCCEEDED));
    for (size_t index = 0; index < MANY; index++) {
        RIG_UNTIL(flow_rig_is(rig, ids[index], endpoint_id, DELIVERY_CANCELLED));
    }
    flow_rig_close(rig);
    assert_int_equal(receiver_count(receiver), 2);
    receiver_stop(receiver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_undelivered_messages_survive),
        CONTRACT_BOTH(test_an_orderly_stop_records_what_was_sent),
        CONTRACT_BOTH(test_a_retry_waits_in_the_store),
        CONTRACT_BOTH(test_an_acknowledged_resend_survives),
        CONTRACT_BOTH(test_an_endpoint_disabled_in_between_gets_nothing),
        CONTRACT_BOTH(test_an_older_generation_is_not_sent),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
