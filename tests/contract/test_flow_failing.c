/* SPDX-License-Identifier: Apache-2.0 */
/* A store that refuses: attempts are kept until they can be recorded, and nothing is sent twice. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include "flow/flow.h"

#define FEW 4

static void run_sql(const struct flow_rig *rig, const char *sql)
{
    struct diag diag = {0};
    struct db *db = NULL;
    CONTRACT_OK(db_open(rig->options.store_address, DB_READ_WRITE, &diag, &db), &diag);
    enum ph_error error = db_run(db, sql, &diag);
    db_close(db);
    CONTRACT_OK(error, &diag);
}

/* From now on the store takes no attempts. */
static void refuse_attempts(const struct flow_rig *rig, enum db_kind kind)
{
    run_sql(rig, kind == DB_SQLITE ? "CREATE TRIGGER refuse BEFORE INSERT ON attempt"
                                     " BEGIN SELECT RAISE(ABORT, 'refused'); END"
                                   : "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
                                     " 'BEGIN RAISE EXCEPTION ''refused''; END';"
                                     "CREATE TRIGGER refuse BEFORE INSERT ON attempt"
                                     " FOR EACH ROW EXECUTE FUNCTION refuse()");
}

static void accept_attempts(const struct flow_rig *rig, enum db_kind kind)
{
    run_sql(rig, kind == DB_SQLITE ? "DROP TRIGGER refuse" : "DROP TRIGGER refuse ON attempt");
}

static void refuse_bad_messages(const struct flow_rig *rig, enum db_kind kind)
{
    run_sql(rig, kind == DB_SQLITE
                     ? "CREATE TRIGGER refuse BEFORE INSERT ON message WHEN NEW.event_type = 'bad'"
                       " BEGIN SELECT RAISE(ABORT, 'refused'); END"
                     : "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
                       " 'BEGIN RAISE EXCEPTION ''refused''; END';"
                       "CREATE TRIGGER refuse BEFORE INSERT ON message FOR EACH ROW"
                       " WHEN (NEW.event_type = 'bad') EXECUTE FUNCTION refuse()");
}

static void test_attempts_are_kept_until_the_store_takes_them(void **state)
{
    enum db_kind kind = ((const struct contract_store *)*state)->kind;
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    refuse_attempts(rig, kind);
    int64_t ids[FEW];
    ids[0] = flow_rig_send(rig, "a", "{}");
    receiver_await(receiver, 1);
    RIG_UNTIL(writer_is_failing(flow_writer(rig->flow)));
    assert_true(flow_rig_metric(rig, METRIC_STORE_ROLLBACKS) > 0);

    /* Messages are accepted all the same; they wait. */
    for (size_t index = 1; index < FEW; index++) {
        ids[index] = flow_rig_send(rig, "a", "{}");
        assert_true(flow_rig_is(rig, ids[index], endpoint_id, DELIVERY_PENDING));
    }
    assert_true(writer_is_failing(flow_writer(rig->flow)));
    assert_int_equal(receiver_count(receiver), 1);
    assert_int_equal(flow_rig_metric(rig, METRIC_ATTEMPTS_RECORDED), 0);
    assert_true(flow_rig_is(rig, ids[0], endpoint_id, DELIVERY_PENDING));

    accept_attempts(rig, kind);
    for (size_t index = 0; index < FEW; index++) {
        RIG_UNTIL(flow_rig_is(rig, ids[index], endpoint_id, DELIVERY_SUCCEEDED));
        assert_int_equal(flow_rig_delivery(rig, ids[index], endpoint_id).attempts, 1);
    }
    assert_false(writer_is_failing(flow_writer(rig->flow)));
    flow_rig_close(rig);
    assert_int_equal(receiver_count(receiver), FEW);
    receiver_stop(receiver);
}

static void test_a_stop_while_the_store_refuses_loses_no_delivery(void **state)
{
    enum db_kind kind = ((const struct contract_store *)*state)->kind;
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    refuse_attempts(rig, kind);
    int64_t message_id = flow_rig_send(rig, "a", "{}");
    receiver_await(receiver, 1);
    RIG_UNTIL(writer_is_failing(flow_writer(rig->flow)));
    flow_rig_stop(rig, 0);
    assert_true(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_PENDING));

    accept_attempts(rig, kind);
    flow_rig_start(rig);
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_SUCCEEDED));
    flow_rig_close(rig);
    assert_int_equal(receiver_count(receiver), 2); /* the first one left no trace */
    receiver_stop(receiver);
}

/* One message that the store refuses is answered with the error; its batch goes in without it,
 * and is delivered, though no other write comes. */
static void test_a_message_that_the_store_refuses_stands_alone(void **state)
{
    enum db_kind kind = ((const struct contract_store *)*state)->kind;
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    refuse_bad_messages(rig, kind);
    struct rig_gate *gate = rig_gate_close(rig);
    struct rig_message *messages[FEW];
    for (size_t index = 0; index < FEW; index++) {
        messages[index] = rig_message_new(rig, index == 1 ? "bad" : "a", "{}");
        rig_message_submit(messages[index]);
    }
    struct rig_write write = {.rig = rig, .run = rig_add_application, .argument = "good"};
    struct diag diag = {0};
    CONTRACT_OK(rig_write_submit(&write, &diag), &diag);
    rig_gate_open(gate);
    for (size_t index = 0; index < FEW; index++) {
        int64_t id = 0;
        enum ph_error error = rig_message_take(messages[index], &id);
        if (index == 1) {
            assert_int_not_equal(error, PH_OK);
        } else {
            assert_int_equal(error, PH_OK);
            RIG_UNTIL(flow_rig_is(rig, id, endpoint_id, DELIVERY_SUCCEEDED));
        }
    }
    flow_rig_await(rig, &write.is_done);
    assert_int_equal(write.job.error, PH_OK);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM message", 0), FEW - 1);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM payload", 0), FEW - 1);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM application WHERE uid = 'good'", 0),
                     1);
    flow_rig_close(rig);
    assert_int_equal(receiver_count(receiver), FEW - 1);
    receiver_stop(receiver);
}

/* The last thing that was written failed, and nothing else is written: retries go on. */
static void test_a_refused_message_does_not_stop_deliveries(void **state)
{
    enum db_kind kind = ((const struct contract_store *)*state)->kind;
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.retry_schedule.delays_us[0] = CLOCK_US_PER_S;
    flow_rig_start(rig);
    struct receiver *receiver = receiver_start();
    receiver->statuses[0] = 500;
    receiver->statuses[1] = 200;
    receiver->status_count = 2;
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    refuse_bad_messages(rig, kind);
    int64_t message_id = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_delivery(rig, message_id, endpoint_id).attempts == 1);
    struct rig_message *bad = rig_message_new(rig, "bad", "{}");
    rig_message_submit(bad);
    int64_t ignored;
    assert_int_not_equal(rig_message_take(bad, &ignored), PH_OK);
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_SUCCEEDED));
    flow_rig_close(rig);
    receiver_stop(receiver);
}

/* The next good batch ends the failure, whatever it is made of. */
static void test_a_good_batch_ends_the_failure(void **state)
{
    enum db_kind kind = ((const struct contract_store *)*state)->kind;
    struct flow_rig *rig = flow_rig_open(state);
    refuse_attempts(rig, kind);
    struct receiver *receiver = receiver_start();
    (void)flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    (void)flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(writer_is_failing(flow_writer(rig->flow)));
    accept_attempts(rig, kind);
    RIG_UNTIL(!writer_is_failing(flow_writer(rig->flow)));
    RIG_UNTIL(flow_rig_metric(rig, METRIC_ATTEMPTS_RECORDED) == 1);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_attempts_are_kept_until_the_store_takes_them),
        CONTRACT_BOTH(test_a_stop_while_the_store_refuses_loses_no_delivery),
        CONTRACT_BOTH(test_a_message_that_the_store_refuses_stands_alone),
        CONTRACT_BOTH(test_a_refused_message_does_not_stop_deliveries),
        CONTRACT_BOTH(test_a_good_batch_ends_the_failure),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
