/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that general jobs emit in their own transaction. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include "flow/flow.h"

#define FEW 3
#define LATE_US (400 * CLOCK_US_PER_MS)

/* --- one message per job ---------------------------------------------------------------------- */

/* What a job does: perhaps adds an endpoint, emits, perhaps fails. `result` is the message. */
struct emission {
    struct rig_write write;
    struct ingest_message message;
    const struct rig_endpoint *endpoint; /* NULL = none */
    int64_t endpoint_id;                 /* result */
    enum ph_error wanted_error;          /* of ingest_in; the job goes on */
    bool fails;
    unsigned runs;
};

static enum ph_error run_emission(struct rig_write *write, struct writer_txn *txn,
                                  struct diag *diag)
{
    struct emission *emission = PH_CONTAINER_OF(write, struct emission, write);
    enum ph_error error = PH_OK;
    emission->runs++;
    if (emission->endpoint != NULL) {
        struct rig_write add = {.argument = emission->endpoint};
        error = rig_add_endpoint(&add, txn, diag);
        emission->endpoint_id = add.result;
    }
    if (error == PH_OK) {
        error = ingest_in(txn, &emission->message, diag, &write->result);
    }
    if (emission->wanted_error != PH_OK) {
        PH_ASSERT(error == emission->wanted_error && diag->error == error);
        return PH_OK;
    }
    return error == PH_OK && emission->fails ? diag_set(diag, PH_FORBIDDEN, NULL, "not this one")
                                             : error;
}

static struct emission *emission_new(struct flow_rig *rig, const char *payload)
{
    struct emission *emission = ph_calloc(1, sizeof *emission);
    *emission = (struct emission){
        .write = {.rig = rig, .run = run_emission},
        .message = {.application_id = rig->application_id,
                    .event_type = TEXT("a"),
                    .payload = slice_of(payload)},
    };
    return emission;
}

static void submit(struct emission *emission)
{
    struct diag diag = {0};
    CONTRACT_OK(rig_write_submit(&emission->write, &diag), &diag);
}

/* Waits for the end and frees. The message's id, 0 when there is none. */
static int64_t take(struct emission *emission, enum ph_error wanted)
{
    flow_rig_await(emission->write.rig, &emission->write.is_done);
    assert_int_equal(emission->write.job.error, wanted);
    int64_t id = wanted == PH_OK ? emission->write.result : 0;
    free(emission);
    return id;
}

static int64_t emit(struct emission *emission)
{
    submit(emission);
    return take(emission, PH_OK);
}

static int64_t messages_of(struct flow_rig *rig)
{
    return flow_rig_number(rig, "SELECT count(*) FROM message", 0);
}

static void test_a_message_is_emitted_with_its_cause(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t all = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    int64_t by_type = flow_rig_endpoint(
        rig, (struct rig_endpoint){.receiver = receiver, .event_types = "[\"b\"]"});
    int64_t by_channel = flow_rig_endpoint(
        rig, (struct rig_endpoint){.receiver = receiver, .channels = "[\"pr\\\"od\"]"});

    int64_t plain = emit(emission_new(rig, "{\"n\": 1}"));
    struct emission *emission = emission_new(rig, "{\"n\": 2}");
    const struct slice channels[] = {TEXT("else"), TEXT("pr\"od")};
    emission->message = (struct ingest_message){
        .org = RIG_ORG,
        .application_uid = TEXT("rig"),
        .event_type = TEXT("b"),
        .event_id = TEXT("run-1"),
        .channels = channels,
        .channel_count = 2,
        .payload = TEXT("{\"n\": 2}"),
        .raw_body = TEXT("raw"),
        .payload_retention_us = CLOCK_US_PER_S * 3600,
    };
    int64_t full = emit(emission);

    assert_true(flow_rig_delivery(rig, plain, all).exists);
    assert_false(flow_rig_delivery(rig, plain, by_type).exists);
    assert_false(flow_rig_delivery(rig, plain, by_channel).exists);
    const int64_t endpoints[] = {all, by_type, by_channel};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(endpoints); index++) {
        RIG_UNTIL(flow_rig_is(rig, full, endpoints[index], DELIVERY_SUCCEEDED));
    }
    RIG_UNTIL(flow_rig_is(rig, plain, all, DELIVERY_SUCCEEDED));
    assert_int_equal(
        flow_rig_number(rig,
                        "SELECT count(*) FROM message WHERE id = $1 AND event_id = 'run-1'"
                        " AND channels = '[\"else\",\"pr\\\"od\"]' AND event_type = 'b'",
                        full),
        1);
    int64_t kept_us =
        flow_rig_number(rig, "SELECT payload_expires_at FROM message WHERE id = $1", plain) -
        id_time_us(plain);
    assert_true(kept_us > rig->options.settings.payload_retention_us - CLOCK_US_PER_S);
    assert_int_equal(flow_rig_metric(rig, METRIC_MESSAGES_ACCEPTED), 2);
    assert_int_equal(flow_rig_metric(rig, METRIC_DELIVERIES_CREATED), 4);
    char id[ID_TEXT_MAX];
    (void)flow_rig_id_text(rig, plain, id);
    flow_rig_close(rig);
    assert_int_equal(receiver_count(receiver), 4);
    for (size_t index = 0; index < 4; index++) {
        const struct received *request = &receiver->requests[index];
        bool is_plain = strcmp(request->id, id) == 0;
        assert_string_equal(request->body, is_plain ? "{\"n\": 1}" : "raw");
    }
    receiver_stop(receiver);
}

static void test_nothing_is_left_of_a_job_that_fails(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    struct rig_gate *gate = rig_gate_close(rig);
    struct emission *emissions[FEW];
    for (size_t index = 0; index < FEW; index++) {
        emissions[index] = emission_new(rig, "{}");
        emissions[index]->fails = index == 1;
        submit(emissions[index]);
    }
    rig_gate_open(gate);
    int64_t first = take(emissions[0], PH_OK);
    (void)take(emissions[1], PH_FORBIDDEN);
    int64_t last = take(emissions[2], PH_OK);
    RIG_UNTIL(flow_rig_is(rig, first, endpoint_id, DELIVERY_SUCCEEDED));
    RIG_UNTIL(flow_rig_is(rig, last, endpoint_id, DELIVERY_SUCCEEDED));
    assert_int_equal(messages_of(rig), 2);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM payload", 0), 2);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM delivery", 0), 2);
    assert_int_equal(flow_rig_metric(rig, METRIC_MESSAGES_ACCEPTED), 2);
    assert_int_equal(flow_rig_metric(rig, METRIC_DELIVERIES_CREATED), 2);
    flow_rig_close(rig);
    assert_int_equal(receiver_count(receiver), 2);
    receiver_stop(receiver);
}

static void test_changes_of_the_same_batch_count(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    const struct rig_endpoint added = {.receiver = receiver, .rig = rig};
    struct rig_gate *gate = rig_gate_close(rig);
    struct emission *before = emission_new(rig, "{}");
    struct emission *with = emission_new(rig, "{}");
    with->endpoint = &added;
    submit(before);
    submit(with);
    rig_gate_open(gate);
    int64_t nobodys = take(before, PH_OK);
    int64_t message_id = take(with, PH_OK);
    assert_int_equal(
        flow_rig_number(rig, "SELECT count(*) FROM delivery WHERE message_id = $1", nobodys), 0);
    assert_int_equal(
        flow_rig_number(rig, "SELECT count(*) FROM delivery WHERE message_id = $1", message_id), 1);
    receiver_await(receiver, 1);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

/* The endpoint that a failed job had added is not known to those after it, though the version of
 * the configuration that it made comes again. */
static void test_a_rolled_back_endpoint_gets_nothing(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    const struct rig_endpoint added = {.receiver = receiver, .rig = rig};
    struct rig_gate *gate = rig_gate_close(rig);
    struct emission *emissions[FEW];
    for (size_t index = 0; index < FEW; index++) {
        emissions[index] = emission_new(rig, "{}");
        emissions[index]->endpoint = &added;
        emissions[index]->fails = index != 1;
        submit(emissions[index]);
    }
    rig_gate_open(gate);
    flow_rig_await(rig, &emissions[1]->write.is_done);
    int64_t endpoint_id = emissions[1]->endpoint_id;
    (void)take(emissions[0], PH_FORBIDDEN);
    int64_t message_id = take(emissions[1], PH_OK);
    (void)take(emissions[2], PH_FORBIDDEN);
    int64_t alone = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_SUCCEEDED));
    RIG_UNTIL(flow_rig_is(rig, alone, endpoint_id, DELIVERY_SUCCEEDED));
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM endpoint", 0), 1);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM delivery", 0), 2);
    flow_rig_close(rig);
    assert_int_equal(receiver_count(receiver), 2);
    receiver_stop(receiver);
}

/* The first time the whole transaction goes, as when a disk is full. */
static enum ph_error run_lost(struct rig_write *write, struct writer_txn *txn, struct diag *diag)
{
    if (write->result++ > 0) {
        return PH_OK;
    }
    db_rollback(txn->store->db);
    return diag_set(diag, PH_STORE, NULL, "the transaction is gone");
}

/* Each job of a batch that vanished runs again, alone: its message exists once. */
static void test_a_job_that_runs_again_emits_once(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    const struct rig_endpoint added = {.receiver = receiver, .rig = rig};
    struct rig_gate *gate = rig_gate_close(rig);
    struct emission *emissions[FEW];
    for (size_t index = 0; index < FEW; index++) {
        emissions[index] = emission_new(rig, "{}");
        emissions[index]->endpoint = index == 0 ? &added : NULL;
    }
    struct rig_write lost = {.rig = rig, .run = run_lost};
    struct diag diag = {0};
    submit(emissions[0]);
    submit(emissions[1]);
    CONTRACT_OK(rig_write_submit(&lost, &diag), &diag);
    submit(emissions[2]);
    rig_gate_open(gate);
    flow_rig_await(rig, &lost.is_done);
    assert_int_equal(lost.job.error, PH_OK);
    for (size_t index = 0; index < FEW; index++) {
        flow_rig_await(rig, &emissions[index]->write.is_done);
        assert_int_equal(emissions[index]->runs, index == 2 ? 1 : 2);
    }
    int64_t endpoint_id = emissions[0]->endpoint_id;
    for (size_t index = 0; index < FEW; index++) {
        int64_t message_id = take(emissions[index], PH_OK);
        RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_SUCCEEDED));
    }
    assert_int_equal(messages_of(rig), FEW);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM endpoint", 0), 1);
    assert_int_equal(flow_rig_metric(rig, METRIC_STORE_ROLLBACKS), 1);
    assert_int_equal(flow_rig_metric(rig, METRIC_MESSAGES_ACCEPTED), FEW);
    assert_int_equal(flow_rig_metric(rig, METRIC_DELIVERIES_CREATED), FEW);
    flow_rig_close(rig);
    assert_int_equal(receiver_count(receiver), FEW);
    receiver_stop(receiver);
}

static void test_a_job_goes_on_when_it_cannot_emit(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    const struct rig_endpoint added = {.receiver = receiver, .rig = rig, .event_types = "[\"b\"]"};
    struct emission *first = emission_new(rig, "{}");
    first->message.event_id = TEXT("once");
    struct emission *again = emission_new(rig, "{}");
    again->message.event_id = TEXT("once");
    again->wanted_error = PH_CONFLICT;
    again->endpoint = &added;
    struct emission *foreign = emission_new(rig, "{}");
    foreign->message.org = TEXT("org_else");
    foreign->wanted_error = PH_NOT_FOUND;
    foreign->endpoint = &added;
    struct emission *unknown = emission_new(rig, "{}");
    unknown->message.application_id = 0;
    unknown->message.org = RIG_ORG;
    unknown->message.application_uid = TEXT("unknown");
    unknown->wanted_error = PH_NOT_FOUND;
    unknown->endpoint = &added;

    struct rig_gate *gate = rig_gate_close(rig);
    submit(first);
    submit(again);
    submit(foreign);
    submit(unknown);
    rig_gate_open(gate);
    int64_t message_id = take(first, PH_OK);
    assert_int_equal(take(again, PH_OK), 0);
    assert_int_equal(take(foreign, PH_OK), 0);
    assert_int_equal(take(unknown, PH_OK), 0);
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_SUCCEEDED));
    assert_int_equal(messages_of(rig), 1);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM endpoint", 0), 4);
    assert_int_equal(flow_rig_metric(rig, METRIC_MESSAGES_ACCEPTED), 1);
    flow_rig_close(rig);
    assert_int_equal(receiver_count(receiver), 1);
    receiver_stop(receiver);
}

static void test_order_and_time_hold_for_what_is_emitted(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    receiver_allow(receiver, 0);
    int64_t ordered =
        flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver,
                                                     .event_types = "[\"a\"]",
                                                     .options = "{\"ordering\":\"key\"}"});
    int64_t timed = flow_rig_endpoint(
        rig, (struct rig_endpoint){.receiver = receiver, .event_types = "[\"b\"]"});
    int64_t ids[FEW];
    struct rig_gate *gate = rig_gate_close(rig);
    struct emission *emissions[FEW];
    for (size_t index = 0; index < FEW; index++) {
        emissions[index] = emission_new(rig, "{}");
        emissions[index]->message.ordering_key = TEXT("k");
        submit(emissions[index]);
    }
    struct emission *late = emission_new(rig, "{}");
    late->message.event_type = TEXT("b");
    int64_t due_us = clock_wall_us() + LATE_US;
    late->message.deliver_at_us = due_us;
    submit(late);
    rig_gate_open(gate);
    for (size_t index = 0; index < FEW; index++) {
        ids[index] = take(emissions[index], PH_OK);
    }
    int64_t late_id = take(late, PH_OK);
    receiver_await(receiver, 1);
    assert_int_equal(flow_rig_delivery(rig, ids[1], ordered).next_attempt_at_us, DELIVERY_WAITS_US);
    receiver_allow(receiver, SIZE_MAX);
    for (size_t index = 0; index < FEW; index++) {
        RIG_UNTIL(flow_rig_is(rig, ids[index], ordered, DELIVERY_SUCCEEDED));
    }
    RIG_UNTIL(flow_rig_is(rig, late_id, timed, DELIVERY_SUCCEEDED));
    assert_true(clock_wall_us() >= due_us);
    assert_int_equal(
        flow_rig_number(rig, "SELECT count(*) FROM message WHERE deliver_at IS NOT NULL", 0), 1);
    char wanted[FEW][ID_TEXT_MAX];
    for (size_t index = 0; index < FEW; index++) {
        (void)flow_rig_id_text(rig, ids[index], wanted[index]);
    }
    flow_rig_close(rig);
    size_t next = 0;
    for (size_t index = 0; index < receiver_count(receiver); index++) {
        next += next < FEW && strcmp(receiver->requests[index].id, wanted[next]) == 0;
    }
    assert_int_equal(next, FEW); /* in their order */
    assert_int_equal(receiver_count(receiver), FEW + 1);
    receiver_stop(receiver);
}

/* --- many at once ------------------------------------------------------------------------------
 */

#define LIST_MAX 700

struct list_emission {
    struct rig_write write;
    struct ingest_job jobs[LIST_MAX];
    struct list_node list;
    size_t count;
};

static enum ph_error run_list(struct rig_write *write, struct writer_txn *txn, struct diag *diag)
{
    struct list_emission *emission = PH_CONTAINER_OF(write, struct list_emission, write);
    return ingest_list_in(txn, &emission->list, diag);
}

static struct list_emission *list_new(struct flow_rig *rig, size_t count)
{
    struct list_emission *emission = ph_calloc(1, sizeof *emission);
    emission->write = (struct rig_write){.rig = rig, .run = run_list};
    emission->write.job.messages = (unsigned)count;
    emission->count = count;
    list_init(&emission->list);
    for (size_t index = 0; index < count; index++) {
        emission->jobs[index] = (struct ingest_job){
            .org = RIG_ORG,
            .application_id = rig->application_id,
            .event_type = TEXT("a"),
            .payload = TEXT("{}"),
            .payload_retention_us = rig->options.settings.payload_retention_us,
            .body = message_body_new(TEXT("{}"), NULL),
        };
        list_append(&emission->list, &emission->jobs[index].node);
    }
    return emission;
}

static void list_submit(struct list_emission *emission)
{
    struct diag diag = {0};
    CONTRACT_OK(rig_write_submit(&emission->write, &diag), &diag);
}

static void list_free(struct list_emission *emission)
{
    for (size_t index = 0; index < emission->count; index++) {
        message_body_unref(emission->jobs[index].body);
    }
    free(emission);
}

static void list_await(struct list_emission *emission)
{
    flow_rig_await(emission->write.rig, &emission->write.is_done);
    CONTRACT_OK(emission->write.job.error, &emission->write.job.diag);
}

static void test_each_of_a_list_has_its_own_outcome(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    int64_t other_id = flow_rig_write(rig, rig_add_application, "other");
    struct list_emission *emission = list_new(rig, 6);
    emission->jobs[1].event_id = TEXT("x");
    emission->jobs[2].event_id = TEXT("x");
    emission->jobs[3].application_id = 12345;
    emission->jobs[4].application_id = 0;
    emission->jobs[4].application_uid = TEXT("other");
    list_submit(emission);
    list_await(emission);
    const enum ph_error expected[] = {PH_OK, PH_OK, PH_CONFLICT, PH_NOT_FOUND, PH_OK, PH_OK};
    int64_t former = 0;
    for (size_t index = 0; index < emission->count; index++) {
        const struct ingest_job *job = &emission->jobs[index];
        assert_int_equal(job->error, expected[index]);
        if (job->error != PH_OK) {
            assert_int_equal(job->diag.error, job->error);
            continue;
        }
        assert_true(job->message_id > former);
        former = job->message_id;
        assert_int_equal(
            flow_rig_number(rig, "SELECT application_id FROM message WHERE id = $1", former),
            index == 4 ? other_id : rig->application_id);
        RIG_UNTIL(index == 4 || flow_rig_is(rig, former, endpoint_id, DELIVERY_SUCCEEDED));
    }
    assert_int_equal(messages_of(rig), 4);
    assert_int_equal(flow_rig_metric(rig, METRIC_MESSAGES_ACCEPTED), 4);
    list_free(emission);
    flow_rig_close(rig);
    assert_int_equal(receiver_count(receiver), 3);
    receiver_stop(receiver);
}

/* A transaction has room for many messages; a list is never split, and small ones share one. */
static void test_lists_are_taken_whole(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.writer_queue_max = 10000;
    flow_rig_start(rig);
    const size_t sizes[] = {10, 20, LIST_MAX, LIST_MAX, 5};
    struct list_emission *emissions[PH_ARRAY_LENGTH(sizes)];
    struct rig_gate *gate = rig_gate_close(rig);
    int64_t commits = flow_rig_metric(rig, METRIC_STORE_COMMITS);
    size_t all = 0;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(sizes); index++) {
        emissions[index] = list_new(rig, sizes[index]);
        list_submit(emissions[index]);
        all += sizes[index];
    }
    flow_refresh_gauges(rig->flow);
    assert_int_equal(flow_rig_metric(rig, METRIC_WRITER_QUEUE), all);
    rig_gate_open(gate);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(sizes); index++) {
        list_await(emissions[index]);
        list_free(emissions[index]);
    }
    /* The gate's, then 10 + 20 + 700, then 700 + 5. */
    assert_int_equal(flow_rig_metric(rig, METRIC_STORE_COMMITS), commits + 3);
    assert_int_equal(messages_of(rig), all);
    flow_refresh_gauges(rig->flow);
    assert_int_equal(flow_rig_metric(rig, METRIC_WRITER_QUEUE), 0);
    flow_rig_close(rig);
}

static void test_a_full_queue_refuses_a_list(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.writer_queue_max = 3;
    flow_rig_start(rig);
    struct rig_gate *gate = rig_gate_close(rig);
    struct list_emission *large = list_new(rig, 5);
    struct list_emission *more = list_new(rig, 2);
    list_submit(large);
    struct diag diag = {0};
    assert_int_equal(rig_write_submit(&more->write, &diag), PH_BUSY);
    assert_string_equal(diag.text, "5 writes are waiting already");
    assert_int_equal(flow_rig_metric(rig, METRIC_MESSAGES_REFUSED_BUSY), 2);
    rig_gate_open(gate);
    list_await(large);
    list_submit(more);
    list_await(more);
    assert_int_equal(messages_of(rig), 7);
    list_free(large);
    list_free(more);
    flow_rig_close(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_a_message_is_emitted_with_its_cause),
        CONTRACT_BOTH(test_nothing_is_left_of_a_job_that_fails),
        CONTRACT_BOTH(test_changes_of_the_same_batch_count),
        CONTRACT_BOTH(test_a_rolled_back_endpoint_gets_nothing),
        CONTRACT_BOTH(test_a_job_that_runs_again_emits_once),
        CONTRACT_BOTH(test_a_job_goes_on_when_it_cannot_emit),
        CONTRACT_BOTH(test_order_and_time_hold_for_what_is_emitted),
        CONTRACT_BOTH(test_each_of_a_list_has_its_own_outcome),
        CONTRACT_BOTH(test_lists_are_taken_whole),
        CONTRACT_BOTH(test_a_full_queue_refuses_a_list),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
