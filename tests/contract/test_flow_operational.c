/* SPDX-License-Identifier: Apache-2.0 */
/* What an organisation is told about its own deliveries and endpoints. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include "base/json_out.h"
#include "flow/flow.h"
#include "flow/operational.h"
#include "store/event_type.h"

#define RETRIES 5

/* --- the management organisation ---------------------------------------------------------------
 */

static enum ph_error add_recipient(struct rig_write *write, struct writer_txn *txn,
                                   struct diag *diag)
{
    write->result = writer_txn_new_id(txn);
    const struct application_row row = {
        .id = write->result,
        .org = TEXT(OPERATIONAL_ORG),
        .uid = slice_of(write->argument),
        .name = TEXT("recipient"),
        .metadata = TEXT("{}"),
        .created_at_us = txn->now_us,
        .updated_at_us = txn->now_us,
    };
    enum ph_error error = application_insert(txn->store, &row, diag);
    return error == PH_OK ? operational_add_event_types(txn, diag) : error;
}

/* Retries come after 5 ms, `retries` times; the organisation of the rig is told. */
static struct flow_rig *open_told(void **state, unsigned retries)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.retry_schedule.count = retries;
    for (unsigned index = 0; index < retries; index++) {
        rig->options.settings.retry_schedule.delays_us[index] = 5000;
    }
    flow_rig_start(rig);
    return rig;
}

static int64_t told(struct flow_rig *rig)
{
    return flow_rig_number(rig,
                           "SELECT count(*) FROM message WHERE event_type LIKE 'endpoint.%'"
                           " OR event_type LIKE 'message.attempt.%'",
                           0);
}

static void await_told(struct flow_rig *rig, int64_t count)
{
    RIG_UNTIL(told(rig) == count);
}

/* The body of the only message of a type. */
static void check_body(struct flow_rig *rig, const char *type, const char *expected)
{
    struct diag diag = {0};
    struct db_statement *select =
        db_prepare(rig->store->db, "SELECT body FROM payload WHERE message_id ="
                                   " (SELECT id FROM message WHERE event_type = $1)");
    db_bind_text(select, 1, slice_of(type));
    bool has_row = false;
    CONTRACT_OK(db_step(select, &diag, &has_row), &diag);
    assert_true(has_row);
    char *body = slice_dup(db_blob(select, 0));
    db_done(select);
    assert_string_equal(body, expected);
    free(body);
}

/* {"type":…,"data":{…}} of an event of attempts. */
static void check_attempt_event(struct flow_rig *rig, const char *type, int64_t message_id,
                                int64_t endpoint_id, int64_t number, int status)
{
    const struct id_codec *codec = &rig->store->codec;
    char application[ID_TEXT_MAX];
    char endpoint[ID_TEXT_MAX];
    char message[ID_TEXT_MAX];
    char attempt[ID_TEXT_MAX];
    struct diag diag = {0};
    struct db_statement *select =
        db_prepare(rig->store->db,
                   "SELECT id FROM attempt WHERE message_id = $1 ORDER BY id LIMIT 1 OFFSET $2");
    db_bind_int64(select, 1, message_id);
    db_bind_int64(select, 2, number - 1);
    bool has_row = false;
    CONTRACT_OK(db_step(select, &diag, &has_row), &diag);
    assert_true(has_row);
    int64_t attempt_id = db_int64(select, 0);
    db_done(select);
    (void)id_format(codec, ID_APPLICATION, rig->application_id, application);
    (void)id_format(codec, ID_ENDPOINT, endpoint_id, endpoint);
    (void)id_format(codec, ID_MESSAGE, message_id, message);
    (void)id_format(codec, ID_ATTEMPT, attempt_id, attempt);
    BUF_AUTO struct buf when;
    struct json_out out;
    buf_init(&when, 64);
    json_out_init(&out, &when);
    json_out_time(&out, id_time_us(attempt_id));
    char expected[1024];
    (void)snprintf(
        expected, sizeof expected,
        "{\"type\":\"%s\",\"data\":{\"appId\":\"%s\",\"appUid\":\"rig\",\"msgId\":\"%s\","
        "\"msgEventId\":null,\"endpointId\":\"%s\",\"lastAttempt\":{\"id\":\"%s\","
        "\"responseStatusCode\":%d,\"timestamp\":%s}}}",
        type, application, message, endpoint, attempt, status, buf_text(&when));
    check_body(rig, type, expected);
}

static void test_failing_then_recovered(void **state)
{
    struct flow_rig *rig = open_told(state, RETRIES);
    struct receiver *receiver = receiver_start();
    (void)flow_rig_write(rig, add_recipient, "org_rig");
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    const int statuses[] = {500, 500, 500, 503, 200};
    memcpy(receiver->statuses, statuses, sizeof statuses);
    receiver->status_count = PH_ARRAY_LENGTH(statuses);
    int64_t message_id = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_SUCCEEDED));
    await_told(rig, 2);
    check_attempt_event(rig, "message.attempt.failing", message_id, endpoint_id, 4, 503);
    check_attempt_event(rig, "message.attempt.recovered", message_id, endpoint_id, 5, 200);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_a_success_after_less_is_nothing_to_tell(void **state)
{
    struct flow_rig *rig = open_told(state, RETRIES);
    struct receiver *receiver = receiver_start();
    (void)flow_rig_write(rig, add_recipient, "org_rig");
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    const int statuses[] = {500, 500, 500, 200};
    memcpy(receiver->statuses, statuses, sizeof statuses);
    receiver->status_count = PH_ARRAY_LENGTH(statuses);
    int64_t message_id = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_SUCCEEDED));
    flow_rig_stop(rig, RIG_DRAIN_MS);
    assert_int_equal(told(rig), 0);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

/* With three retries the fourth failure is the last: exhausted, and not failing. */
static void test_exhausted(void **state)
{
    struct flow_rig *rig = open_told(state, 3);
    struct receiver *receiver = receiver_start();
    receiver->statuses[0] = 500;
    (void)flow_rig_write(rig, add_recipient, "org_rig");
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    int64_t message_id = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_FAILED));
    await_told(rig, 1);
    check_attempt_event(rig, "message.attempt.exhausted", message_id, endpoint_id, 4, 500);
    /* An attempt that somebody asked for tells nobody. */
    const struct rig_resend resend = {message_id, endpoint_id};
    (void)flow_rig_write(rig, rig_add_manual, &resend);
    receiver_await(receiver, 5);
    RIG_UNTIL(flow_rig_number(rig, "SELECT count(*) FROM attempt", 0) == 5);
    assert_int_equal(told(rig), 1);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_disabled(void **state)
{
    struct flow_rig *rig = open_told(state, RETRIES);
    struct receiver *receiver = receiver_start();
    receiver->statuses[0] = 410;
    (void)flow_rig_write(rig, add_recipient, "org_rig");
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    (void)flow_rig_send(rig, "a", "{}");
    await_told(rig, 2);
    assert_int_equal(
        flow_rig_number(
            rig, "SELECT count(*) FROM message WHERE event_type = 'message.attempt.exhausted'", 0),
        1);
    char application[ID_TEXT_MAX];
    char endpoint[ID_TEXT_MAX];
    (void)id_format(&rig->store->codec, ID_APPLICATION, rig->application_id, application);
    (void)id_format(&rig->store->codec, ID_ENDPOINT, endpoint_id, endpoint);
    int64_t since_us =
        flow_rig_number(rig, "SELECT failing_since FROM endpoint WHERE id = $1", endpoint_id);
    BUF_AUTO struct buf when;
    struct json_out out;
    buf_init(&when, 64);
    json_out_init(&out, &when);
    json_out_time(&out, since_us);
    char expected[512];
    (void)snprintf(expected, sizeof expected,
                   "{\"type\":\"endpoint.disabled\",\"data\":{\"appId\":\"%s\",\"appUid\":\"rig\","
                   "\"endpointId\":\"%s\",\"endpointUid\":null,\"failSince\":%s}}",
                   application, endpoint, buf_text(&when));
    check_body(rig, "endpoint.disabled", expected);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

/* Who is told nothing: an organisation without such an application, and the management itself. */
static void test_nobody_is_told(void **state)
{
    struct flow_rig *rig = open_told(state, 0);
    struct receiver *receiver = receiver_start();
    receiver->statuses[0] = 500;
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    int64_t message_id = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_FAILED));
    (void)flow_rig_write(rig, add_recipient, "org_else");
    message_id = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_FAILED));
    assert_int_equal(told(rig), 0);

    int64_t recipient_id = flow_rig_write(rig, add_recipient, "org_rig");
    int64_t own = flow_rig_endpoint(
        rig, (struct rig_endpoint){.receiver = receiver, .application_id = recipient_id});
    int64_t itself = flow_rig_write(rig, add_recipient, OPERATIONAL_ORG);
    int64_t loop = flow_rig_endpoint(
        rig, (struct rig_endpoint){.receiver = receiver, .application_id = itself});
    message_id = flow_rig_send(rig, "a", "{}");
    await_told(rig, 1);
    int64_t event_id = flow_rig_number(
        rig, "SELECT id FROM message WHERE event_type = 'message.attempt.exhausted'", 0);
    RIG_UNTIL(flow_rig_is(rig, event_id, own, DELIVERY_FAILED));
    assert_false(flow_rig_delivery(rig, event_id, loop).exists);
    flow_rig_stop(rig, RIG_DRAIN_MS);
    assert_int_equal(told(rig), 1);
    assert_int_equal(flow_rig_metric(rig, METRIC_OPERATIONAL_LOST), 0);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

/* --- endpoints, as general jobs tell of them ----------------------------------------------------
 */

struct tell_job {
    struct rig_write write;
    int64_t endpoint_id;
    enum operational_event event;
    bool fails;
};

static enum ph_error run_tell(struct rig_write *write, struct writer_txn *txn, struct diag *diag)
{
    const struct tell_job *job = PH_CONTAINER_OF(write, struct tell_job, write);
    enum ph_error error = operational_tell_endpoint(txn, job->event, job->endpoint_id, diag);
    return error == PH_OK && job->fails ? diag_set(diag, PH_FORBIDDEN, NULL, "no") : error;
}

static void test_endpoints(void **state)
{
    struct flow_rig *rig = open_told(state, 0);
    struct receiver *receiver = receiver_start();
    struct receiver *hearer = receiver_start();
    int64_t recipient_id = flow_rig_write(rig, add_recipient, "org_rig");
    int64_t ear = flow_rig_endpoint(
        rig, (struct rig_endpoint){.receiver = hearer,
                                   .application_id = recipient_id,
                                   .event_types = "[\"endpoint.created\",\"endpoint.deleted\"]"});
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    struct tell_job jobs[] = {
        {.event = OPERATIONAL_ENDPOINT_CREATED},
        {.event = OPERATIONAL_ENDPOINT_UPDATED},
        {.event = OPERATIONAL_ENDPOINT_DELETED},
        {.event = OPERATIONAL_ENDPOINT_CREATED, .fails = true},
    };
    struct rig_gate *gate = rig_gate_close(rig);
    struct diag diag = {0};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(jobs); index++) {
        jobs[index].write = (struct rig_write){.rig = rig, .run = run_tell};
        jobs[index].endpoint_id = endpoint_id;
        CONTRACT_OK(rig_write_submit(&jobs[index].write, &diag), &diag);
    }
    rig_gate_open(gate);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(jobs); index++) {
        flow_rig_await(rig, &jobs[index].write.is_done);
        assert_int_equal(jobs[index].write.job.error, jobs[index].fails ? PH_FORBIDDEN : PH_OK);
    }
    receiver_await(hearer, 2);
    assert_int_equal(told(rig), 3);
    assert_int_equal(
        flow_rig_number(rig, "SELECT count(*) FROM delivery WHERE endpoint_id = $1", ear), 2);
    char application[ID_TEXT_MAX];
    char endpoint[ID_TEXT_MAX];
    (void)id_format(&rig->store->codec, ID_APPLICATION, rig->application_id, application);
    (void)id_format(&rig->store->codec, ID_ENDPOINT, endpoint_id, endpoint);
    static const char *const types[] = {"endpoint.created", "endpoint.updated", "endpoint.deleted"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(types); index++) {
        char expected[512];
        (void)snprintf(expected, sizeof expected,
                       "{\"type\":\"%s\",\"data\":{\"appId\":\"%s\",\"appUid\":\"rig\","
                       "\"endpointId\":\"%s\",\"endpointUid\":null}}",
                       types[index], application, endpoint);
        check_body(rig, types[index], expected);
    }
    flow_rig_close(rig);
    assert_int_equal(receiver_count(hearer), 2);
    receiver_stop(receiver);
    receiver_stop(hearer);
}

/* The store takes no such message: the attempt is recorded all the same. */
static void test_what_cannot_be_told_holds_nothing_up(void **state)
{
    enum db_kind kind = ((const struct contract_store *)*state)->kind;
    struct flow_rig *rig = open_told(state, 0);
    struct receiver *receiver = receiver_start();
    receiver->statuses[0] = 500;
    (void)flow_rig_write(rig, add_recipient, "org_rig");
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    struct diag diag = {0};
    struct db *db = NULL;
    CONTRACT_OK(db_open(rig->options.store_address, DB_READ_WRITE, &diag, &db), &diag);
    CONTRACT_OK(
        db_run(db,
               kind == DB_SQLITE
                   ? "CREATE TRIGGER refuse BEFORE INSERT ON message WHEN NEW.event_type LIKE '%.%'"
                     " BEGIN SELECT RAISE(ABORT, 'refused'); END"
                   : "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
                     " 'BEGIN RAISE EXCEPTION ''refused''; END';"
                     "CREATE TRIGGER refuse BEFORE INSERT ON message FOR EACH ROW"
                     " WHEN (NEW.event_type LIKE '%.%') EXECUTE FUNCTION refuse()",
               &diag),
        &diag);
    db_close(db);
    int64_t message_id = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_FAILED));
    RIG_UNTIL(flow_rig_metric(rig, METRIC_OPERATIONAL_LOST) == 1);
    assert_int_equal(told(rig), 0);
    assert_int_equal(flow_rig_metric(rig, METRIC_STORE_ROLLBACKS), 0);
    assert_int_equal(flow_rig_metric(rig, METRIC_MESSAGES_ACCEPTED), 1);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_the_catalogue(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    (void)flow_rig_write(rig, add_recipient, "org_rig");
    (void)flow_rig_write(rig, add_recipient, "org_else"); /* again: they are there */
    assert_int_equal(flow_rig_number(rig,
                                     "SELECT count(*) FROM event_type WHERE org = '" OPERATIONAL_ORG
                                     "' AND archived = 0",
                                     0),
                     OPERATIONAL_EVENT_COUNT);
    flow_rig_close(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_failing_then_recovered),
        CONTRACT_BOTH(test_a_success_after_less_is_nothing_to_tell),
        CONTRACT_BOTH(test_exhausted),
        CONTRACT_BOTH(test_disabled),
        CONTRACT_BOTH(test_nobody_is_told),
        CONTRACT_BOTH(test_endpoints),
        CONTRACT_BOTH(test_what_cannot_be_told_holds_nothing_up),
        CONTRACT_BOTH(test_the_catalogue),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
