/* SPDX-License-Identifier: Apache-2.0 */
/* What a receiver gets, when, and what stands in between. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include "flow/flow.h"

#define MANY 6

static int64_t attempt_count(struct flow_rig *rig, int64_t message_id)
{
    return flow_rig_number(rig, "SELECT count(*) FROM attempt WHERE message_id = $1", message_id);
}

static bool verifies(const struct received *request, struct slice signatures,
                     const struct signing_key *key)
{
    const struct signature_received received = {
        .id = slice_of(request->id),
        .timestamp = slice_of(request->timestamp),
        .signatures = signatures,
        .body = {request->body, request->body_length},
    };
    return signature_verify(&key, 1, &received, clock_wall_us() / CLOCK_US_PER_S,
                            SIGNATURE_TOLERANCE_S, NULL) == PH_OK;
}

static void assert_body(const struct received *request, const char *bytes, size_t length)
{
    assert_int_equal(request->body_length, length);
    assert_memory_equal(request->body, bytes, length);
}

static void test_the_bytes_arrive_signed(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(
        rig, (struct rig_endpoint){.receiver = receiver, .headers = "{\"X-Custom\":\"v 1\"}"});
    int64_t message_id = flow_rig_send(rig, "a", "{ \"n\" : 1.10 }");
    receiver_await(receiver, 1);
    struct rig_message *raw = rig_message_new(rig, "a", "{}");
    raw->job.raw_body = (struct slice){"\xff\0raw", 5};
    message_body_unref(raw->job.body);
    raw->job.body = message_body_new(raw->job.raw_body, NULL);
    rig_message_submit(raw);
    int64_t raw_id = 0;
    assert_int_equal(rig_message_take(raw, &raw_id), PH_OK);
    receiver_await(receiver, 2);
    RIG_UNTIL(flow_rig_is(rig, raw_id, endpoint_id, DELIVERY_SUCCEEDED));

    const struct received *request = &receiver->requests[0];
    char text[ID_TEXT_MAX];
    assert_string_equal(request->id, flow_rig_id_text(rig, message_id, text));
    assert_string_equal(request->content_type, "application/json");
    assert_string_equal(request->custom, "v 1");
    assert_body(request, "{ \"n\" : 1.10 }", 14);
    assert_body(&receiver->requests[1], "\xff\0raw", 5);
    struct signing_key *key = rig_key(endpoint_id, 0);
    struct signing_key *wrong = rig_key(endpoint_id, 1);
    assert_true(verifies(request, slice_of(request->signatures), key));
    assert_false(verifies(request, slice_of(request->signatures), wrong));
    assert_true(verifies(&receiver->requests[1], slice_of(receiver->requests[1].signatures), key));
    signing_key_free(key);
    signing_key_free(wrong);

    assert_int_equal(flow_rig_delivery(rig, message_id, endpoint_id).attempts, 1);
    assert_int_equal(
        flow_rig_number(rig,
                        "SELECT count(*) FROM attempt WHERE message_id = $1 AND status = 0"
                        " AND response_code = 200 AND trigger_type = 0"
                        " AND next_attempt_at IS NULL AND length(response) = 6",
                        message_id),
        1);
    assert_int_equal(flow_rig_metric(rig, METRIC_ATTEMPTS_SUCCEEDED), 2);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_without_a_connection_there_is_an_attempt_too(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    receiver_stop(receiver);
    int64_t message_id = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_FAILED));
    assert_int_equal(flow_rig_number(rig,
                                     "SELECT count(*) FROM attempt WHERE message_id = $1"
                                     " AND response_code = 0 AND status = 2"
                                     " AND length(response) > 0",
                                     message_id),
                     3);
    assert_int_equal(flow_rig_metric(rig, METRIC_ATTEMPTS_BLOCKED), 0);
    flow_rig_close(rig);
}

static void test_the_guard_lets_nothing_through(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.allow_subnets = NULL;
    flow_rig_start(rig);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    int64_t message_id = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_FAILED));
    assert_int_equal(flow_rig_metric(rig, METRIC_ATTEMPTS_BLOCKED), 3);
    flow_rig_close(rig);
    assert_int_equal(raw_server_connections(receiver->server), 0);
    receiver_stop(receiver);
}

static void test_a_manual_attempt_ends_a_failed_delivery(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    receiver_answer_with(receiver, 500);
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    const struct rig_resend resend = {flow_rig_send(rig, "a", "{\"a\":1}"), endpoint_id};
    RIG_UNTIL(flow_rig_is(rig, resend.message_id, endpoint_id, DELIVERY_FAILED));

    /* One that fails changes nothing, and is not repeated. */
    (void)flow_rig_write(rig, rig_add_manual, &resend);
    RIG_UNTIL(attempt_count(rig, resend.message_id) == 4);
    assert_true(flow_rig_is(rig, resend.message_id, endpoint_id, DELIVERY_FAILED));
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM manual_attempt", 0), 0);

    receiver_answer_with(receiver, 200);
    (void)flow_rig_write(rig, rig_add_manual, &resend);
    RIG_UNTIL(flow_rig_is(rig, resend.message_id, endpoint_id, DELIVERY_SUCCEEDED));
    assert_int_equal(flow_rig_delivery(rig, resend.message_id, endpoint_id).attempts, 3);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM manual_attempt", 0), 0);
    assert_int_equal(flow_rig_number(rig,
                                     "SELECT count(*) FROM attempt WHERE message_id = $1"
                                     " AND trigger_type = 1",
                                     resend.message_id),
                     2);
    assert_int_equal(receiver_count(receiver), 5);
    assert_body(&receiver->requests[4], "{\"a\":1}", 7);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static enum ph_error rotate(struct rig_write *write, struct writer_txn *txn, struct diag *diag)
{
    int64_t endpoint_id;
    memcpy(&endpoint_id, write->argument, sizeof endpoint_id);
    enum ph_error error = endpoint_secret_expire_current(
        txn->store, endpoint_id, txn->now_us + 3600 * CLOCK_US_PER_S, txn->now_us, diag);
    if (error == PH_OK) {
        struct signing_key *key = rig_key(endpoint_id, 1);
        error = endpoint_secret_insert(txn->store, writer_txn_new_id(txn), endpoint_id, key, diag);
        signing_key_free(key);
    }
    if (error == PH_OK) {
        error = application_touch(txn->store, write->rig->application_id, diag);
    }
    writer_txn_endpoint_changed(txn, endpoint_id);
    return error;
}

static void test_rotated_keys_sign_side_by_side(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    (void)flow_rig_send(rig, "a", "{}");
    receiver_await(receiver, 1);
    (void)flow_rig_write(rig, rotate, &endpoint_id);
    (void)flow_rig_send(rig, "a", "{}");
    receiver_await(receiver, 2);

    struct signing_key *former = rig_key(endpoint_id, 0);
    struct signing_key *current = rig_key(endpoint_id, 1);
    const struct received *request = &receiver->requests[0];
    assert_null(strchr(request->signatures, ' '));
    assert_true(verifies(request, slice_of(request->signatures), former));
    request = &receiver->requests[1];
    struct slice rest = slice_of(request->signatures);
    struct slice first;
    struct slice second;
    assert_true(slice_next(&rest, ' ', &first));
    assert_true(slice_next(&rest, ' ', &second));
    assert_null(rest.ptr);
    assert_true(verifies(request, first, current));
    assert_true(verifies(request, second, former));
    assert_false(verifies(request, first, former));
    signing_key_free(former);
    signing_key_free(current);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_a_hanging_endpoint_costs_its_neighbour_nothing(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.max_in_flight = 2;
    rig->options.settings.deliver_threads = 1;
    flow_rig_start(rig);
    struct receiver *hanging = receiver_start();
    struct receiver *quick = receiver_start();
    receiver_allow(hanging, 0);
    (void)flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = hanging});
    (void)flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = quick});
    for (size_t index = 0; index < MANY; index++) {
        (void)flow_rig_send(rig, "a", "{}");
    }
    receiver_await(quick, MANY);
    receiver_await(hanging, 2);
    RIG_UNTIL(flow_rig_metric(rig, METRIC_DELIVERIES_SUCCEEDED) == MANY);
    RIG_UNTIL(flow_rig_metric(rig, METRIC_IN_FLIGHT) == 2);
    assert_int_equal(receiver_count(hanging), 2);
    receiver_allow(hanging, SIZE_MAX);
    RIG_UNTIL(flow_rig_metric(rig, METRIC_DELIVERIES_SUCCEEDED) == 2 * MANY);
    flow_rig_close(rig);
    assert_int_equal(hanging->open_peak, 2); /* the cap of one endpoint */
    assert_int_equal(receiver_count(hanging), MANY);
    receiver_stop(hanging);
    receiver_stop(quick);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_the_bytes_arrive_signed),
        CONTRACT_BOTH(test_without_a_connection_there_is_an_attempt_too),
        CONTRACT_BOTH(test_the_guard_lets_nothing_through),
        CONTRACT_BOTH(test_a_manual_attempt_ends_a_failed_delivery),
        CONTRACT_BOTH(test_rotated_keys_sign_side_by_side),
        CONTRACT_BOTH(test_a_hanging_endpoint_costs_its_neighbour_nothing),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
