/* SPDX-License-Identifier: Apache-2.0 */
/* The writer and ingest: batches, matching, keys, limits. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include "flow/flow.h"

#define MANY 20

static void set_channel(struct rig_message *message, const char *channel, const char *json)
{
    message->job.channels[0] = slice_of(channel);
    message->job.channel_count = 1;
    message->job.channels_json = slice_of(json);
}

static int64_t take_ok(struct rig_message *message)
{
    int64_t id = 0;
    assert_int_equal(rig_message_take(message, &id), PH_OK);
    return id;
}

static bool has_delivery(struct flow_rig *rig, int64_t message_id, int64_t endpoint_id)
{
    return flow_rig_delivery(rig, message_id, endpoint_id).exists;
}

static void test_a_message_goes_to_the_endpoints_that_want_it(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t other_id = flow_rig_write(rig, rig_add_application, "other");
    int64_t all = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    int64_t by_type = flow_rig_endpoint(
        rig, (struct rig_endpoint){.receiver = receiver, .event_types = "[\"x\",\"run.failed\"]"});
    int64_t by_channel = flow_rig_endpoint(
        rig, (struct rig_endpoint){.receiver = receiver, .channels = "[\"prod\"]"});
    int64_t by_both = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver,
                                                                   .event_types = "[\"run.ended\"]",
                                                                   .channels = "[\"prod\"]"});
    int64_t disabled =
        flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver, .is_disabled = true});
    int64_t foreign = flow_rig_endpoint(
        rig, (struct rig_endpoint){.receiver = receiver, .application_id = other_id});

    int64_t failed = flow_rig_send(rig, "run.failed", "{}");
    struct rig_message *message = rig_message_new(rig, "run.ended", "{}");
    set_channel(message, "prod", "[\"prod\"]");
    rig_message_submit(message);
    int64_t ended = take_ok(message);
    message = rig_message_new(rig, "run", "{}");
    set_channel(message, "production", "[\"production\"]");
    rig_message_submit(message);
    int64_t run = take_ok(message);

    const struct {
        int64_t message_id;
        int64_t wanted[3];
    } expected[] = {{failed, {all, by_type}}, {ended, {all, by_channel, by_both}}, {run, {all}}};
    const int64_t endpoints[] = {all, by_type, by_channel, by_both, disabled, foreign};
    for (size_t each = 0; each < PH_ARRAY_LENGTH(expected); each++) {
        for (size_t index = 0; index < PH_ARRAY_LENGTH(endpoints); index++) {
            const int64_t *wanted = expected[each].wanted;
            bool is_wanted = endpoints[index] == wanted[0] || endpoints[index] == wanted[1] ||
                             endpoints[index] == wanted[2];
            assert_int_equal(has_delivery(rig, expected[each].message_id, endpoints[index]),
                             is_wanted);
        }
    }
    RIG_UNTIL(flow_rig_metric(rig, METRIC_DELIVERIES_SUCCEEDED) == 6);
    assert_int_equal(receiver_count(receiver), 6);
    assert_int_equal(flow_rig_metric(rig, METRIC_MESSAGES_ACCEPTED), 3);
    assert_int_equal(flow_rig_metric(rig, METRIC_DELIVERIES_CREATED), 6);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static enum ph_error add_then_fail(struct rig_write *write, struct writer_txn *txn,
                                   struct diag *diag)
{
    enum ph_error error = rig_add_application(write, txn, diag);
    return error != PH_OK ? error : diag_set(diag, PH_FORBIDDEN, "field", "not this one");
}

static void test_what_waits_becomes_one_batch(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct rig_gate *gate = rig_gate_close(rig);
    int64_t commits = flow_rig_metric(rig, METRIC_STORE_COMMITS);
    struct rig_message *messages[MANY];
    for (size_t index = 0; index < MANY; index++) {
        messages[index] = rig_message_new(rig, "a", "{}");
        rig_message_submit(messages[index]);
    }
    struct rig_write good = {.rig = rig, .run = rig_add_application, .argument = "good"};
    struct rig_write bad = {.rig = rig, .run = add_then_fail, .argument = "bad"};
    struct rig_write last = {.rig = rig, .run = rig_add_application, .argument = "last"};
    struct diag diag = {0};
    CONTRACT_OK(rig_write_submit(&good, &diag), &diag);
    CONTRACT_OK(rig_write_submit(&bad, &diag), &diag);
    CONTRACT_OK(rig_write_submit(&last, &diag), &diag);
    flow_refresh_gauges(rig->flow);
    assert_int_equal(flow_rig_metric(rig, METRIC_WRITER_QUEUE), MANY + 3);
    assert_false(messages[0]->is_done); /* no answer before its commit */
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM message", 0), 0);
    rig_gate_open(gate);

    int64_t former = 0;
    for (size_t index = 0; index < MANY; index++) {
        int64_t id = take_ok(messages[index]);
        assert_true(id > former); /* in the order of arrival */
        former = id;
    }
    flow_rig_await(rig, &good.is_done);
    flow_rig_await(rig, &bad.is_done);
    flow_rig_await(rig, &last.is_done);
    assert_int_equal(flow_rig_metric(rig, METRIC_STORE_COMMITS), commits + 2); /* the gate's too */
    assert_int_equal(flow_rig_metric(rig, METRIC_STORE_ROLLBACKS), 0);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM message", 0), MANY);
    assert_int_equal(good.job.error, PH_OK);
    assert_int_equal(last.job.error, PH_OK);
    assert_int_equal(bad.job.error, PH_FORBIDDEN);
    assert_string_equal(bad.job.diag.text, "not this one");
    assert_int_equal(
        flow_rig_number(rig, "SELECT count(*) FROM application WHERE uid IN ('good', 'last')", 0),
        2);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM application WHERE uid = 'bad'", 0),
                     0);
    flow_rig_close(rig);
}

static void test_a_refused_message_leaves_its_batch_alone(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct rig_gate *gate = rig_gate_close(rig);
    struct rig_message *messages[5];
    for (size_t index = 0; index < PH_ARRAY_LENGTH(messages); index++) {
        messages[index] = rig_message_new(rig, "a", "{}");
    }
    messages[1]->job.application_id = 12345;
    messages[2]->job.event_id = TEXT("run-1");
    messages[3]->job.event_id = TEXT("run-1");
    messages[4]->job.org = TEXT("org_else");
    for (size_t index = 0; index < PH_ARRAY_LENGTH(messages); index++) {
        rig_message_submit(messages[index]);
    }
    rig_gate_open(gate);
    const enum ph_error expected[] = {PH_OK, PH_NOT_FOUND, PH_OK, PH_CONFLICT, PH_NOT_FOUND};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(messages); index++) {
        flow_rig_await(rig, &messages[index]->is_done);
        assert_int_equal(messages[index]->job.error, expected[index]);
    }
    assert_string_equal(messages[1]->job.diag.text, "Application not found");
    assert_string_equal(messages[3]->job.diag.field, "body.eventId");
    for (size_t index = 0; index < PH_ARRAY_LENGTH(messages); index++) {
        rig_message_free(messages[index]);
    }
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM message", 0), 2);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM payload", 0), 2);
    assert_int_equal(flow_rig_metric(rig, METRIC_MESSAGES_ACCEPTED), 2);
    flow_rig_close(rig);
}

static struct rig_message *submit_keyed(struct flow_rig *rig, enum ingest_key_kind kind,
                                        uint8_t key)
{
    struct rig_message *message = rig_message_new(rig, "a", "{}");
    message->job.key_kind = kind;
    memset(message->job.key_hash, key, sizeof message->job.key_hash);
    rig_message_submit(message);
    return message;
}

static int64_t take_keyed(struct rig_message *message, bool is_replayed)
{
    flow_rig_await(message->rig, &message->is_done);
    assert_int_equal(message->job.is_replayed, is_replayed);
    return take_ok(message);
}

static void check_keys(struct flow_rig *rig, enum ingest_key_kind kind)
{
    int64_t stored = flow_rig_number(rig, "SELECT count(*) FROM message", 0);
    struct rig_gate *gate = rig_gate_close(rig);
    struct rig_message *first = submit_keyed(rig, kind, 0xff);
    struct rig_message *again = submit_keyed(rig, kind, 0xff);
    struct rig_message *another = submit_keyed(rig, kind, 1);
    rig_gate_open(gate);
    int64_t id = take_keyed(first, false);
    assert_int_equal(take_keyed(again, true), id);
    assert_true(take_keyed(another, false) != id);
    assert_int_equal(take_keyed(submit_keyed(rig, kind, 0xff), true), id);

    flow_rig_stop(rig, 0);
    flow_rig_start(rig);
    assert_int_equal(take_keyed(submit_keyed(rig, kind, 0xff), true), id);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM message", 0), stored + 2);
}

static void test_a_key_is_answered_with_its_first_message(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    check_keys(rig, INGEST_KEY_AUTO);
    check_keys(rig, INGEST_KEY_CALLER);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM idempotency", 0), 2);
    flow_rig_close(rig);
}

/* MessageIn.application: made within the message's own transaction. */
static enum ph_error create_wanted(struct ingest_job *job, struct writer_txn *txn,
                                   struct diag *diag, int64_t *ret_application_id)
{
    struct rig_message *message = PH_CONTAINER_OF(job, struct rig_message, job);
    struct rig_write write = {.rig = message->rig, .argument = "wanted"};
    enum ph_error error = rig_add_application(&write, txn, diag);
    if (error == PH_OK) {
        *ret_application_id = write.result;
    }
    return error;
}

static void test_a_message_may_bring_its_application(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct rig_gate *gate = rig_gate_close(rig);
    struct rig_message *messages[3];
    for (size_t index = 0; index < PH_ARRAY_LENGTH(messages); index++) {
        messages[index] = rig_message_new(rig, "a", "{}");
        messages[index]->job.application_id = 0;
        messages[index]->job.application_uid = TEXT("wanted");
    }
    messages[1]->job.create_application = create_wanted;
    messages[2]->job.create_application = create_wanted;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(messages); index++) {
        rig_message_submit(messages[index]);
    }
    rig_gate_open(gate);
    int64_t ignored;
    assert_int_equal(rig_message_take(messages[0], &ignored), PH_NOT_FOUND);
    int64_t first = take_ok(messages[1]);
    int64_t second = take_ok(messages[2]);
    assert_int_equal(
        flow_rig_number(rig, "SELECT count(*) FROM application WHERE uid = 'wanted'", 0), 1);
    int64_t made = flow_rig_number(rig, "SELECT application_id FROM message WHERE id = $1", first);
    assert_int_equal(
        flow_rig_number(rig, "SELECT application_id FROM message WHERE id = $1", second), made);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM application WHERE id = $1", made),
                     1);
    flow_rig_close(rig);
}

static void test_a_new_endpoint_gets_every_later_message(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    for (size_t round = 1; round <= MANY; round++) {
        int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
        int64_t message_id = flow_rig_send(rig, "a", "{}");
        assert_true(has_delivery(rig, message_id, endpoint_id));
        assert_int_equal(
            flow_rig_number(rig, "SELECT count(*) FROM delivery WHERE message_id = $1", message_id),
            round);
    }
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_a_full_queue_refuses(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.writer_queue_max = 3;
    flow_rig_start(rig);
    struct rig_gate *gate = rig_gate_close(rig);
    struct rig_message *messages[4];
    for (size_t index = 0; index < PH_ARRAY_LENGTH(messages); index++) {
        messages[index] = rig_message_new(rig, "a", "{}");
        if (index < 3) {
            rig_message_submit(messages[index]);
        }
    }
    struct diag diag = {0};
    assert_int_equal(writer_submit_ingest(flow_writer(rig->flow), &messages[3]->job, &diag),
                     PH_BUSY);
    assert_string_equal(diag.text, "3 writes are waiting already");
    assert_int_equal(flow_rig_metric(rig, METRIC_MESSAGES_REFUSED_BUSY), 1);
    struct rig_write write = {.rig = rig, .run = rig_add_application, .argument = "more"};
    assert_int_equal(rig_write_submit(&write, NULL), PH_BUSY);
    assert_int_equal(flow_rig_metric(rig, METRIC_MESSAGES_REFUSED_BUSY), 1);
    rig_gate_open(gate);
    for (size_t index = 0; index < 3; index++) {
        (void)take_ok(messages[index]);
    }
    /* What was refused was not touched, and may come again. */
    assert_false(messages[3]->is_done);
    assert_false(write.is_done);
    rig_message_submit(messages[3]);
    (void)take_ok(messages[3]);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM message", 0), 4);
    assert_int_equal(flow_rig_metric(rig, METRIC_MESSAGES_ACCEPTED), 4);
    flow_rig_close(rig);
}

/* A reader of another program may keep SQLite's log from being used again. */
static void test_a_full_log_refuses_messages_only(void **state)
{
    bool has_log = ((const struct contract_store *)*state)->kind == DB_SQLITE;
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.wal_bytes_max = 1;
    flow_rig_start(rig);
    RIG_UNTIL(!has_log || writer_wal_bytes(flow_writer(rig->flow)) > 1);
    struct rig_message *message = rig_message_new(rig, "a", "{}");
    struct diag diag = {0};
    enum ph_error error = writer_submit_ingest(flow_writer(rig->flow), &message->job, &diag);
    if (has_log) {
        assert_int_equal(error, PH_BUSY);
        assert_non_null(strstr(diag.text, "write-ahead log is full"));
        assert_false(message->is_done);
        rig_message_free(message);
    } else {
        assert_int_equal(error, PH_OK);
        (void)take_ok(message);
    }
    assert_int_equal(flow_rig_metric(rig, METRIC_MESSAGES_REFUSED_BUSY), has_log ? 1 : 0);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM message", 0), has_log ? 0 : 1);
    /* Everything else is still written. */
    (void)flow_rig_write(rig, rig_add_application, "more");
    flow_rig_close(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_a_message_goes_to_the_endpoints_that_want_it),
        CONTRACT_BOTH(test_what_waits_becomes_one_batch),
        CONTRACT_BOTH(test_a_refused_message_leaves_its_batch_alone),
        CONTRACT_BOTH(test_a_key_is_answered_with_its_first_message),
        CONTRACT_BOTH(test_a_message_may_bring_its_application),
        CONTRACT_BOTH(test_a_new_endpoint_gets_every_later_message),
        CONTRACT_BOTH(test_a_full_queue_refuses),
        CONTRACT_BOTH(test_a_full_log_refuses_messages_only),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
