/* SPDX-License-Identifier: Apache-2.0 */
/* More work than memory may hold, and work that is taken back: nothing is lost, nothing is sent
 * that must not be. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include "flow/flow.h"

#define MANY 30
#define FEW 6

/* One attempt in flight at a time, and a window of two. */
static struct flow_rig *open_narrow(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.max_in_flight = 1;
    flow_rig_start(rig);
    return rig;
}

static void assert_order(struct receiver *receiver, const struct flow_rig *rig, const int64_t *ids,
                         size_t count)
{
    char text[ID_TEXT_MAX];
    assert_int_equal(receiver_count(receiver), count);
    for (size_t index = 0; index < count; index++) {
        assert_string_equal(receiver->requests[index].id, flow_rig_id_text(rig, ids[index], text));
    }
}

static void test_what_the_window_cannot_hold_comes_from_the_store(void **state)
{
    struct flow_rig *rig = open_narrow(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    receiver_allow(receiver, 0);
    int64_t ids[MANY];
    for (size_t index = 0; index < MANY; index++) {
        ids[index] = flow_rig_send(rig, "a", "{}");
    }
    receiver_await(receiver, 1);
    RIG_UNTIL(flow_rig_metric(rig, METRIC_IN_FLIGHT) == 1);
    assert_in_range(flow_rig_metric(rig, METRIC_WINDOW_DELIVERIES), 0, 2);
    receiver_allow(receiver, SIZE_MAX);
    RIG_UNTIL(flow_rig_metric(rig, METRIC_DELIVERIES_SUCCEEDED) == MANY);
    assert_true(flow_rig_metric(rig, METRIC_WINDOW_PAGES) > 0);
    assert_true(flow_rig_is(rig, ids[MANY - 1], endpoint_id, DELIVERY_SUCCEEDED));
    RIG_UNTIL(flow_rig_metric(rig, METRIC_WINDOW_DELIVERIES) == 0);
    RIG_UNTIL(flow_rig_metric(rig, METRIC_WINDOW_BYTES) == 0);
    flow_rig_stop(rig, RIG_DRAIN_MS);
    assert_order(receiver, rig, ids, MANY);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_a_full_inbox_is_made_up_for_from_the_store(void **state)
{
    static const char payload[] = "{\"fill\":\"0123456789012345678901234567890123456789\"}";
    struct flow_rig *rig = flow_rig_new(state);
    /* The inbox takes half of it: not one of these messages. */
    rig->options.settings.window_bytes_max = sizeof payload;
    flow_rig_start(rig);
    struct receiver *receiver = receiver_start();
    (void)flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    struct rig_gate *gate = rig_gate_close(rig);
    struct rig_message *messages[MANY];
    for (size_t index = 0; index < MANY; index++) {
        messages[index] = rig_message_new(rig, "a", payload);
        rig_message_submit(messages[index]);
    }
    rig_gate_open(gate);
    char text[ID_TEXT_MAX];
    RIG_UNTIL(flow_rig_metric(rig, METRIC_DELIVERIES_SUCCEEDED) == MANY);
    for (size_t index = 0; index < MANY; index++) {
        int64_t id = 0;
        assert_int_equal(rig_message_take(messages[index], &id), PH_OK);
        assert_int_equal(receiver_count_of(receiver, flow_rig_id_text(rig, id, text)), 1);
    }
    assert_true(flow_rig_metric(rig, METRIC_INBOX_OVERFLOWS) > 0);
    flow_rig_close(rig);
    assert_int_equal(receiver_count(receiver), MANY);
    receiver_stop(receiver);
}

static void test_retries_and_new_messages_share_a_narrow_window(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.max_in_flight = 1;
    rig->options.settings.retry_schedule.count = 10;
    for (size_t index = 0; index < 10; index++) {
        rig->options.settings.retry_schedule.delays_us[index] = 2000;
    }
    flow_rig_start(rig);
    struct receiver *receiver = receiver_start();
    for (size_t index = 0; index < RECEIVER_STATUSES_MAX; index++) {
        receiver->statuses[index] = index % 2 == 0 ? 500 : 200;
    }
    receiver->status_count = RECEIVER_STATUSES_MAX;
    (void)flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    for (size_t index = 0; index < MANY; index++) {
        (void)flow_rig_send(rig, "a", "{}");
    }
    RIG_UNTIL(flow_rig_metric(rig, METRIC_DELIVERIES_SUCCEEDED) == MANY);
    assert_int_equal(flow_rig_metric(rig, METRIC_ATTEMPTS_FAILED), RECEIVER_STATUSES_MAX / 2);
    flow_rig_close(rig);
    assert_int_equal(receiver_count(receiver), MANY + RECEIVER_STATUSES_MAX / 2);
    receiver_stop(receiver);
}

/* --- taken back ------------------------------------------------------------------------------- */

static int64_t id_of(const void *argument)
{
    int64_t id;
    memcpy(&id, argument, sizeof id);
    return id;
}

static enum ph_error set_disabled(struct rig_write *write, struct writer_txn *txn,
                                  struct diag *diag, bool is_disabled)
{
    struct endpoint_row row;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, 65536);
    int64_t endpoint_id = id_of(write->argument);
    enum ph_error error = endpoint_find(txn->store, write->rig->application_id, endpoint_id,
                                        ENDPOINT_LIVE, &arena, diag, &row);
    if (error == PH_OK) {
        row.is_disabled = is_disabled;
        error = endpoint_update(txn->store, &row, diag);
    }
    if (error == PH_OK) {
        error = application_touch(txn->store, write->rig->application_id, diag);
    }
    writer_txn_endpoint_changed(txn, endpoint_id);
    return error;
}

static enum ph_error disable(struct rig_write *write, struct writer_txn *txn, struct diag *diag)
{
    return set_disabled(write, txn, diag, true);
}

static enum ph_error enable(struct rig_write *write, struct writer_txn *txn, struct diag *diag)
{
    return set_disabled(write, txn, diag, false);
}

static enum ph_error remove_endpoint(struct rig_write *write, struct writer_txn *txn,
                                     struct diag *diag)
{
    int64_t endpoint_id = id_of(write->argument);
    enum ph_error error = endpoint_delete(txn->store, endpoint_id, txn->now_us, diag);
    if (error == PH_OK) {
        error = application_touch(txn->store, write->rig->application_id, diag);
    }
    writer_txn_endpoint_changed(txn, endpoint_id);
    return error;
}

/* Sends FEW with the first in flight, runs the write, and checks that all are cancelled. */
static void take_back(struct flow_rig *rig, struct receiver *receiver, int64_t endpoint_id,
                      enum ph_error (*run)(struct rig_write *, struct writer_txn *, struct diag *))
{
    int64_t ids[FEW];
    receiver_allow(receiver, 0);
    for (size_t index = 0; index < FEW; index++) {
        ids[index] = flow_rig_send(rig, "a", "{}");
    }
    receiver_await(receiver, 1);
    (void)flow_rig_write(rig, run, &endpoint_id);
    for (size_t index = 0; index < FEW; index++) {
        RIG_UNTIL(flow_rig_is(rig, ids[index], endpoint_id, DELIVERY_CANCELLED));
    }
    RIG_UNTIL(flow_rig_metric(rig, METRIC_DELIVERIES_CANCELLED) == FEW);
    /* The answer to what was in flight is kept, and moves nothing. */
    receiver_allow(receiver, SIZE_MAX);
    RIG_UNTIL(flow_rig_metric(rig, METRIC_ATTEMPTS_RECORDED) == 1);
    assert_true(flow_rig_is(rig, ids[0], endpoint_id, DELIVERY_CANCELLED));
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM attempt", 0), 1);
}

static void test_a_disabled_endpoint_gets_nothing_more(void **state)
{
    struct flow_rig *rig = open_narrow(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    take_back(rig, receiver, endpoint_id, disable);
    int64_t unwanted = flow_rig_send(rig, "a", "{}");
    assert_false(flow_rig_delivery(rig, unwanted, endpoint_id).exists);

    /* Switched on again it gets what comes from then on, and nothing of what was. */
    (void)flow_rig_write(rig, enable, &endpoint_id);
    int64_t wanted = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_is(rig, wanted, endpoint_id, DELIVERY_SUCCEEDED));
    flow_rig_stop(rig, RIG_DRAIN_MS);
    assert_int_equal(receiver_count(receiver), 2);
    char text[ID_TEXT_MAX];
    assert_int_equal(receiver_count_of(receiver, flow_rig_id_text(rig, wanted, text)), 1);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_a_deleted_endpoint_gets_nothing_more(void **state)
{
    struct flow_rig *rig = open_narrow(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    take_back(rig, receiver, endpoint_id, remove_endpoint);
    int64_t unwanted = flow_rig_send(rig, "a", "{}");
    assert_false(flow_rig_delivery(rig, unwanted, endpoint_id).exists);
    flow_rig_close(rig);
    assert_int_equal(receiver_count(receiver), 1);
    receiver_stop(receiver);
}

static enum ph_error expunge(struct rig_write *write, struct writer_txn *txn, struct diag *diag)
{
    int64_t message_id = id_of(write->argument);
    writer_txn_message_expunged(txn, message_id);
    bool was_pending;
    return message_expunge(txn->store, message_id, txn->now_us, diag, &was_pending);
}

static void test_an_expunged_message_is_not_sent(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.max_in_flight = 1;
    rig->options.settings.deliver_threads = 1;
    flow_rig_start(rig);
    struct receiver *receiver = receiver_start();
    struct receiver *other = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(
        rig, (struct rig_endpoint){.receiver = receiver, .event_types = "[\"a\"]"});
    (void)flow_rig_endpoint(rig,
                            (struct rig_endpoint){.receiver = other, .event_types = "[\"b\"]"});
    receiver_allow(receiver, 0);
    int64_t ids[FEW];
    for (size_t index = 0; index < FEW; index++) {
        ids[index] = flow_rig_send(rig, "a", "{}");
    }
    receiver_await(receiver, 1);
    /* One that is in the window, and one that is only in the store. */
    (void)flow_rig_write(rig, expunge, &ids[1]);
    (void)flow_rig_write(rig, expunge, &ids[FEW - 1]);
    /* When this one arrives, the deliverer has heard of both. */
    (void)flow_rig_send(rig, "b", "{}");
    receiver_await(other, 1);
    receiver_allow(receiver, SIZE_MAX);
    for (size_t index = 0; index < FEW; index++) {
        bool is_gone = index == 1 || index == FEW - 1;
        RIG_UNTIL(flow_rig_is(rig, ids[index], endpoint_id,
                              is_gone ? DELIVERY_CANCELLED : DELIVERY_SUCCEEDED));
    }
    assert_int_equal(flow_rig_delivery(rig, ids[1], endpoint_id).reason, DELIVERY_REASON_EXPUNGED);
    flow_rig_stop(rig, RIG_DRAIN_MS);
    const int64_t sent[] = {ids[0], ids[2], ids[3], ids[4]};
    assert_order(receiver, rig, sent, PH_ARRAY_LENGTH(sent));
    flow_rig_close(rig);
    receiver_stop(receiver);
    receiver_stop(other);
}

static void test_a_resend_without_a_payload_is_a_failed_attempt(void **state)
{
    struct flow_rig *rig = open_narrow(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    const struct rig_resend resend = {flow_rig_send(rig, "a", "{}"), endpoint_id};
    RIG_UNTIL(flow_rig_is(rig, resend.message_id, endpoint_id, DELIVERY_SUCCEEDED));
    (void)flow_rig_write(rig, expunge, &resend.message_id);
    (void)flow_rig_write(rig, rig_add_manual, &resend);
    RIG_UNTIL(flow_rig_number(rig, "SELECT count(*) FROM manual_attempt", 0) == 0);
    assert_int_equal(flow_rig_number(rig,
                                     "SELECT count(*) FROM attempt WHERE message_id = $1"
                                     " AND trigger_type = 1 AND status = 2 AND response_code = 0",
                                     resend.message_id),
                     1);
    assert_true(flow_rig_is(rig, resend.message_id, endpoint_id, DELIVERY_SUCCEEDED));
    flow_rig_close(rig);
    assert_int_equal(receiver_count(receiver), 1);
    receiver_stop(receiver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_what_the_window_cannot_hold_comes_from_the_store),
        CONTRACT_BOTH(test_a_full_inbox_is_made_up_for_from_the_store),
        CONTRACT_BOTH(test_retries_and_new_messages_share_a_narrow_window),
        CONTRACT_BOTH(test_a_disabled_endpoint_gets_nothing_more),
        CONTRACT_BOTH(test_a_deleted_endpoint_gets_nothing_more),
        CONTRACT_BOTH(test_an_expunged_message_is_not_sent),
        CONTRACT_BOTH(test_a_resend_without_a_payload_is_a_failed_attempt),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
