/* SPDX-License-Identifier: Apache-2.0 */
/* Background tasks: what they hand over, that they go on where they were, and that they leave room
 * for everything else. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include "flow/task.h"
#include "store/task.h"

#define TEXTS_BYTES ((size_t)1024 * 1024)
#define MANY 120

struct asked {
    enum task_kind kind;
    int64_t application_id; /* 0 = the rig's, when there is an endpoint or is_of_application */
    int64_t endpoint_id;
    const char *parameters;
    int64_t rate;
    int64_t done; /* as if so many had been done already */
    bool is_of_organisation;
    bool is_of_nobody; /* of an application that does not exist */
    const struct flow_rig *rig;
};

static enum ph_error add_task(struct rig_write *write, struct writer_txn *txn, struct diag *diag)
{
    const struct asked *asked = write->argument;
    struct task_row row = {
        .org = RIG_ORG,
        .application_id = asked->is_of_nobody         ? INT64_MAX
                          : asked->is_of_organisation ? 0
                                                      : asked->rig->application_id,
        .endpoint_id = asked->endpoint_id,
        .kind = asked->kind,
        .parameters = slice_of(asked->parameters == NULL ? "{}" : asked->parameters),
        .since_us = txn->now_us - 3600 * CLOCK_US_PER_S,
        .until_us = txn->now_us,
        .rate = asked->rate,
    };
    enum ph_error error = task_add(txn, &row, diag);
    write->result = row.id;
    if (error == PH_OK && asked->done > 0) {
        bool was_moved;
        const struct task_progress from = {0};
        const struct task_progress to = {.done = asked->done};
        error = task_move(txn->store, row.id, &from, &to, txn->now_us, diag, &was_moved);
    }
    return error;
}

static int64_t ask(struct flow_rig *rig, struct asked asked)
{
    asked.rig = rig;
    return flow_rig_write(rig, add_task, &asked);
}

static enum ph_error cancel_task(struct rig_write *write, struct writer_txn *txn, struct diag *diag)
{
    const int64_t *id = write->argument;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, TEXTS_BYTES);
    struct task_row row;
    bool was_ended = false;
    enum ph_error error = task_find(txn->store, *id, &arena, diag, &row);
    if (error == PH_OK) {
        error = task_cancel(txn, &row, diag, &was_ended);
    }
    write->result = was_ended;
    return error;
}

/* The numbers of a task's row; texts are not kept. */
static struct task_row row_of(struct flow_rig *rig, int64_t id)
{
    ARENA_AUTO struct arena arena;
    arena_init(&arena, TEXTS_BYTES);
    struct diag diag = {0};
    struct task_row row;
    CONTRACT_OK(task_find(rig->store, id, &arena, &diag, &row), &diag);
    row.failure.len = 0;
    return row;
}

static int64_t done_of(struct flow_rig *rig, int64_t id)
{
    return row_of(rig, id).progress.done;
}

static void await_end(struct flow_rig *rig, int64_t id, enum task_state state, int64_t done)
{
    RIG_UNTIL(row_of(rig, id).state != TASK_RUNNING);
    assert_int_equal(row_of(rig, id).state, state);
    assert_int_equal(done_of(rig, id), done);
}

static void send_many(struct flow_rig *rig, int64_t *ids, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        ids[index] = flow_rig_send(rig, index % 2 == 0 ? "even" : "odd", "{}");
    }
}

static void await_all(struct flow_rig *rig, int64_t endpoint_id, const int64_t *ids, size_t count,
                      enum delivery_state state)
{
    for (size_t index = 0; index < count; index++) {
        RIG_UNTIL(flow_rig_is(rig, ids[index], endpoint_id, state));
    }
}

static int64_t attempts_of(struct flow_rig *rig, int64_t message_id)
{
    return flow_rig_number(rig, "SELECT count(*) FROM attempt WHERE message_id = $1", message_id);
}

/* Messages that all failed at an endpoint whose receiver is well from now on. */
static int64_t fail_many(struct flow_rig *rig, struct receiver *receiver, int64_t *ids,
                         size_t count)
{
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    receiver_answer_with(receiver, 500);
    send_many(rig, ids, count);
    await_all(rig, endpoint_id, ids, count, DELIVERY_FAILED);
    receiver_answer_with(receiver, 200);
    return endpoint_id;
}

/* --- recover -----------------------------------------------------------------------------------
 */

static void test_a_recover_sends_what_failed_once(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t ids[5];
    int64_t endpoint_id = fail_many(rig, receiver, ids, 4);
    ids[4] = flow_rig_send(rig, "even", "{}");
    await_all(rig, endpoint_id, ids + 4, 1, DELIVERY_SUCCEEDED);
    int64_t task_id = ask(rig, (struct asked){.kind = TASK_RECOVER, .endpoint_id = endpoint_id});
    await_end(rig, task_id, TASK_FINISHED, 4);
    assert_int_equal(row_of(rig, task_id).progress.total, 4);
    for (size_t index = 0; index < 5; index++) {
        assert_true(flow_rig_is(rig, ids[index], endpoint_id, DELIVERY_SUCCEEDED));
        assert_int_equal(attempts_of(rig, ids[index]), index < 4 ? 4 : 1);
    }
    assert_int_equal(flow_rig_metric(rig, METRIC_TASK_MESSAGES), 4);
    RIG_UNTIL(flow_rig_metric(rig, METRIC_TASKS_FINISHED) == 1);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM manual_attempt", 0), 0);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_a_recover_ends_at_its_cap(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t ids[6];
    int64_t endpoint_id = fail_many(rig, receiver, ids, 6);
    int64_t task_id = ask(rig, (struct asked){.kind = TASK_RECOVER,
                                              .endpoint_id = endpoint_id,
                                              .done = TASK_RECOVER_MAX - 2});
    await_end(rig, task_id, TASK_FINISHED, TASK_RECOVER_MAX);
    /* Which two depends on whose attempts ended first. */
    int64_t successes = 0;
    for (size_t index = 0; index < 6; index++) {
        successes += flow_rig_is(rig, ids[index], endpoint_id, DELIVERY_SUCCEEDED);
    }
    assert_int_equal(successes, 2);
    assert_int_equal(receiver_count(receiver), 6 * 3 + 2);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_a_breaker_holds_replays_and_nobody_by_hand(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.breaker = (struct breaker_settings){
        .min_attempts = 5,
        .failure_ratio = 0.5,
        .window_us = 60 * CLOCK_US_PER_S,
        .open_us = 600 * CLOCK_US_PER_S,
        .open_max_us = 600 * CLOCK_US_PER_S,
    };
    flow_rig_start(rig);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    receiver_answer_with(receiver, 503);
    int64_t ids[2];
    send_many(rig, ids, 1);
    await_all(rig, endpoint_id, ids, 1, DELIVERY_FAILED);
    ids[1] = flow_rig_send(rig, "even", "{}");
    RIG_UNTIL(flow_rig_metric(rig, METRIC_BREAKERS_OPEN) == 1);
    assert_int_equal(receiver_count(receiver), 5);
    receiver_answer_with(receiver, 200);
    int64_t task_id = ask(rig, (struct asked){.kind = TASK_RECOVER, .endpoint_id = endpoint_id});
    RIG_UNTIL(done_of(rig, task_id) == 2);
    assert_int_equal(row_of(rig, task_id).state, TASK_RUNNING);
    assert_int_equal(receiver_count(receiver), 5);
    const struct rig_resend resend = {ids[0], endpoint_id};
    (void)flow_rig_write(rig, rig_add_manual, &resend);
    RIG_UNTIL(flow_rig_is(rig, ids[0], endpoint_id, DELIVERY_SUCCEEDED));
    /* Its success closed the breaker: now the others go. */
    await_end(rig, task_id, TASK_FINISHED, 2);
    await_all(rig, endpoint_id, ids, 2, DELIVERY_SUCCEEDED);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

/* One attempt at a time, and many to recover: neither what is published nor what is asked for by
 * hand waits for their end. */
static void test_replays_take_turns_with_the_rest(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.max_in_flight = 1;
    flow_rig_start(rig);
    struct receiver *receiver = receiver_start();
    int64_t ids[20];
    int64_t endpoint_id = fail_many(rig, receiver, ids, 20);
    size_t before = receiver_count(receiver);
    receiver_allow(receiver, 0);
    int64_t task_id = ask(rig, (struct asked){.kind = TASK_RECOVER, .endpoint_id = endpoint_id});
    RIG_UNTIL(done_of(rig, task_id) == 20);
    receiver_await(receiver, before + 1);
    int64_t fresh = flow_rig_send(rig, "even", "{}");
    const struct rig_resend resend = {ids[19], endpoint_id};
    (void)flow_rig_write(rig, rig_add_manual, &resend);
    receiver_allow(receiver, 4);
    receiver_await(receiver, before + 5);
    char text[ID_TEXT_MAX];
    assert_int_equal(receiver_count_of(receiver, flow_rig_id_text(rig, fresh, text)), 1);
    assert_int_equal(receiver_count_of(receiver, flow_rig_id_text(rig, ids[19], text)), 4);
    receiver_allow(receiver, SIZE_MAX);
    await_end(rig, task_id, TASK_FINISHED, 20);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

/* --- replays -----------------------------------------------------------------------------------
 */

static void test_a_replay_sends_what_was_missing(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t ids[6];
    send_many(rig, ids, 6);
    int64_t endpoint_id = flow_rig_endpoint(
        rig, (struct rig_endpoint){.receiver = receiver, .event_types = "[\"even\"]"});
    int64_t known = flow_rig_send(rig, "even", "{}");
    await_all(rig, endpoint_id, &known, 1, DELIVERY_SUCCEEDED);
    receiver_answer_with(receiver, 500);
    int64_t task_id = ask(rig, (struct asked){.kind = TASK_REPLAY, .endpoint_id = endpoint_id});
    await_end(rig, task_id, TASK_FINISHED, 3);
    for (size_t index = 0; index < 6; index++) {
        assert_int_equal(flow_rig_delivery(rig, ids[index], endpoint_id).exists, index % 2 == 0);
    }
    /* They are ordinary deliveries: tried three times. */
    RIG_UNTIL(flow_rig_is(rig, ids[0], endpoint_id, DELIVERY_FAILED));
    assert_int_equal(attempts_of(rig, ids[0]), 3);
    assert_int_equal(attempts_of(rig, known), 1);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_a_bulk_replay_sends_all_again(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t ids[4];
    int64_t endpoint_id = fail_many(rig, receiver, ids, 2);
    send_many(rig, ids + 2, 2);
    await_all(rig, endpoint_id, ids + 2, 2, DELIVERY_SUCCEEDED);
    int64_t task_id =
        ask(rig, (struct asked){.kind = TASK_BULK_REPLAY,
                                .endpoint_id = endpoint_id,
                                .parameters = "{\"eventTypes\":[\"even\",\"else\"]}"});
    await_end(rig, task_id, TASK_FINISHED, 2);
    RIG_UNTIL(attempts_of(rig, ids[0]) == 4 && attempts_of(rig, ids[2]) == 2);
    assert_int_equal(attempts_of(rig, ids[1]), 3);
    assert_int_equal(attempts_of(rig, ids[3]), 1);
    await_all(rig, endpoint_id, ids, 1, DELIVERY_SUCCEEDED);
    /* Those that begin anew have their whole schedule again. */
    receiver_answer_with(receiver, 500);
    task_id = ask(rig, (struct asked){.kind = TASK_BULK_REPLAY,
                                      .endpoint_id = endpoint_id,
                                      .parameters = "{\"status\":0,\"statusCodeClass\":200}"});
    await_end(rig, task_id, TASK_FINISHED, 3);
    RIG_UNTIL(flow_rig_is(rig, ids[0], endpoint_id, DELIVERY_FAILED));
    assert_int_equal(attempts_of(rig, ids[0]), 7);
    assert_int_equal(flow_rig_delivery(rig, ids[0], endpoint_id).attempts, 3);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

/* The task hands over no more than its window while nothing is taken; after a stop in the middle it
 * goes on, and every message was handed over once. */
static void test_a_replay_goes_on_where_it_was(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t ids[MANY];
    send_many(rig, ids, MANY);
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    receiver_allow(receiver, 0);
    int64_t task_id = ask(rig, (struct asked){.kind = TASK_REPLAY, .endpoint_id = endpoint_id});
    RIG_UNTIL(done_of(rig, task_id) > 0);
    receiver_await(receiver, 4);
    flow_rig_stop(rig, 0);
    int64_t handed = done_of(rig, task_id);
    assert_in_range(handed, 1, MANY / 2);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM delivery", 0), handed);
    assert_int_equal(row_of(rig, task_id).progress.total, MANY);

    flow_rig_start(rig);
    receiver_allow(receiver, SIZE_MAX);
    await_end(rig, task_id, TASK_FINISHED, MANY);
    await_all(rig, endpoint_id, ids, MANY, DELIVERY_SUCCEEDED);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM attempt", 0), MANY);
    flow_rig_close(rig);
    /* Sent twice was at most what had been under way. */
    assert_in_range(receiver_count(receiver), MANY, MANY + 4);
    receiver_stop(receiver);
}

/* Everything was handed over before the stop, and nothing of it tried: the end of the task comes
 * with the end of that, and not with the start. */
static void check_end_after_a_restart(struct flow_rig *rig, struct receiver *receiver,
                                      enum task_kind kind, int64_t endpoint_id, int64_t messages)
{
    size_t before = receiver_count(receiver);
    receiver_allow(receiver, 0);
    int64_t task_id = ask(rig, (struct asked){.kind = kind, .endpoint_id = endpoint_id});
    RIG_UNTIL(done_of(rig, task_id) == messages);
    flow_rig_stop(rig, 0);
    assert_int_equal(row_of(rig, task_id).state, TASK_RUNNING);
    flow_rig_start(rig);
    /* A task that begins later was looked at after this one, and has nothing to wait for. */
    int64_t later_id = ask(rig, (struct asked){.kind = TASK_PURGE_CONTENT, .is_of_nobody = true});
    await_end(rig, later_id, TASK_FINISHED, 0);
    assert_int_equal(row_of(rig, task_id).state, TASK_RUNNING);
    receiver_allow(receiver, SIZE_MAX);
    await_end(rig, task_id, TASK_FINISHED, messages);
    assert_in_range(receiver_count(receiver), before + (size_t)messages, SIZE_MAX);
}

static void test_an_end_waits_for_what_was_handed_over_before_a_restart(void **state)
{
    enum { COUNT = 10 };
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t ids[COUNT];
    int64_t endpoint_id = fail_many(rig, receiver, ids, COUNT);
    check_end_after_a_restart(rig, receiver, TASK_RECOVER, endpoint_id, COUNT);
    check_end_after_a_restart(rig, receiver, TASK_BULK_REPLAY, endpoint_id, COUNT);
    int64_t fresh_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    check_end_after_a_restart(rig, receiver, TASK_REPLAY, fresh_id, COUNT);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

/* --- ends --------------------------------------------------------------------------------------
 */

static void test_a_cancelled_task_hands_over_nothing_more(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t ids[MANY];
    send_many(rig, ids, MANY);
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    receiver_allow(receiver, 0);
    int64_t task_id = ask(rig, (struct asked){.kind = TASK_REPLAY, .endpoint_id = endpoint_id});
    RIG_UNTIL(done_of(rig, task_id) > 0);
    assert_int_equal(flow_rig_write(rig, cancel_task, &task_id), true);
    assert_int_equal(flow_rig_write(rig, cancel_task, &task_id), false);
    int64_t handed = done_of(rig, task_id);
    receiver_allow(receiver, SIZE_MAX);
    /* Another one of the endpoint comes after it: then nothing of it is left. */
    int64_t next_id = ask(rig, (struct asked){.kind = TASK_REPLAY, .endpoint_id = endpoint_id});
    await_end(rig, next_id, TASK_FINISHED, MANY - handed);
    await_end(rig, task_id, TASK_CANCELLED, handed);
    await_all(rig, endpoint_id, ids, MANY, DELIVERY_SUCCEEDED);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_a_cancelled_recover_takes_back_what_waits(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t ids[20];
    int64_t endpoint_id = fail_many(rig, receiver, ids, 20);
    size_t before = receiver_count(receiver);
    receiver_allow(receiver, 0);
    int64_t task_id = ask(rig, (struct asked){.kind = TASK_RECOVER, .endpoint_id = endpoint_id});
    RIG_UNTIL(done_of(rig, task_id) == 20);
    receiver_await(receiver, before + 1);
    assert_int_equal(flow_rig_write(rig, cancel_task, &task_id), true);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM manual_attempt", 0), 0);
    receiver_allow(receiver, SIZE_MAX);
    /* What comes later is sent, so what did not come by then never will. */
    int64_t fresh = flow_rig_send(rig, "even", "{}");
    await_all(rig, endpoint_id, &fresh, 1, DELIVERY_SUCCEEDED);
    flow_rig_close(rig);
    /* Under way were at most as many as the endpoint gets at once. */
    assert_in_range(receiver_count(receiver), before + 2, before + 5);
    receiver_stop(receiver);
}

static enum ph_error disable(struct rig_write *write, struct writer_txn *txn, struct diag *diag)
{
    const int64_t *id = write->argument;
    writer_txn_endpoint_changed(txn, *id);
    return endpoint_delete(txn->store, *id, txn->now_us, diag);
}

static void test_a_task_without_its_endpoint_fails(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t ids[4];
    int64_t endpoint_id = fail_many(rig, receiver, ids, 4);
    (void)flow_rig_write(rig, disable, &endpoint_id);
    static const enum task_kind kinds[] = {TASK_RECOVER, TASK_REPLAY, TASK_BULK_REPLAY};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(kinds); index++) {
        int64_t task_id =
            ask(rig, (struct asked){.kind = kinds[index], .endpoint_id = endpoint_id});
        await_end(rig, task_id, TASK_FAILED, 0);
        assert_non_null(row_of(rig, task_id).failure.ptr);
    }
    RIG_UNTIL(flow_rig_metric(rig, METRIC_TASKS_FAILED) == 3);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

/* --- the others --------------------------------------------------------------------------------
 */

static void test_a_purge_takes_all_payloads_there_were(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    int64_t ids[MANY];
    send_many(rig, ids, MANY);
    await_all(rig, endpoint_id, ids, MANY, DELIVERY_SUCCEEDED);
    receiver_allow(receiver, 0);
    int64_t waiting[12];
    send_many(rig, waiting, 12);
    int64_t task_id = ask(rig, (struct asked){.kind = TASK_PURGE_CONTENT});
    await_end(rig, task_id, TASK_FINISHED, MANY + 12);
    assert_int_equal(row_of(rig, task_id).progress.total, MANY + 12);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM payload", 0), 0);
    assert_int_equal(
        flow_rig_number(rig, "SELECT count(*) FROM attempt WHERE response IS NOT NULL", 0), 0);
    await_all(rig, endpoint_id, waiting, 12, DELIVERY_CANCELLED);
    receiver_allow(receiver, SIZE_MAX);
    int64_t fresh = flow_rig_send(rig, "even", "{}");
    await_all(rig, endpoint_id, &fresh, 1, DELIVERY_SUCCEEDED);
    flow_rig_close(rig);
    /* What was cancelled and not under way did not go out. */
    assert_in_range(receiver_count(receiver), MANY + 1, MANY + 1 + 4);
    receiver_stop(receiver);
}

static void test_statistics_of_applications(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t other_id = flow_rig_write(rig, rig_add_application, "other");
    int64_t ids[3];
    int64_t endpoint_id = fail_many(rig, receiver, ids, 3);
    (void)flow_rig_endpoint(
        rig, (struct rig_endpoint){.receiver = receiver, .event_types = "[\"b\",\"a\"]"});
    (void)flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver,
                                                       .event_types = "[\"c\",\"a\"]",
                                                       .is_disabled = true});
    (void)endpoint_id;
    int64_t stats_id =
        ask(rig, (struct asked){.kind = TASK_APPLICATION_STATS, .is_of_organisation = true});
    int64_t types_id =
        ask(rig, (struct asked){.kind = TASK_EVENT_TYPES, .is_of_organisation = true});
    await_end(rig, stats_id, TASK_FINISHED, 2);
    await_end(rig, types_id, TASK_FINISHED, 2);

    ARENA_AUTO struct arena arena;
    arena_init(&arena, TEXTS_BYTES);
    struct diag diag = {0};
    struct task_result rows[3];
    size_t count = 0;
    CONTRACT_OK(task_result_page(rig->store, stats_id, 0, &arena, &diag, rows, 3, &count), &diag);
    assert_int_equal(count, 2);
    assert_int_equal(rows[0].application_id, rig->application_id);
    assert_int_equal(rows[0].messages, 3);
    assert_int_equal(rows[0].deliveries, 3);
    assert_int_equal(rows[0].attempts, 9);
    assert_int_equal(rows[1].application_id, other_id);
    assert_int_equal(rows[1].messages, 0);
    CONTRACT_OK(task_result_page(rig->store, types_id, 0, &arena, &diag, rows, 3, &count), &diag);
    assert_int_equal(count, 2);
    const char expected[] = "[\"a\",\"b\",\"c\"]";
    assert_int_equal(rows[0].event_types.len, strlen(expected));
    assert_memory_equal(rows[0].event_types.ptr, expected, strlen(expected));
    assert_true(rows[0].is_catch_all);
    assert_int_equal(rows[1].event_types.len, 2);
    assert_false(rows[1].is_catch_all);

    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "{\"appIds\":[%lld]}", (long long)other_id);
    stats_id = ask(rig, (struct asked){.kind = TASK_APPLICATION_STATS,
                                       .is_of_organisation = true,
                                       .parameters = wanted});
    await_end(rig, stats_id, TASK_FINISHED, 1);
    CONTRACT_OK(task_result_page(rig->store, stats_id, 0, &arena, &diag, rows, 3, &count), &diag);
    assert_int_equal(count, 1);
    assert_int_equal(rows[0].application_id, other_id);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

/* --- limits ------------------------------------------------------------------------------------
 */

/* Adds tasks of as many owners until it is refused; the transaction goes back, so that none runs.
 */
static enum ph_error fill(struct rig_write *write, struct writer_txn *txn, struct diag *diag)
{
    bool is_one_owner = write->argument != NULL;
    struct diag refusal = {0};
    enum ph_error error = PH_OK;
    enum ph_error rolled_back = db_savepoint(txn->store->db, diag);
    for (write->result = 0; rolled_back == PH_OK && error == PH_OK; write->result++) {
        struct task_row row = {
            .org = RIG_ORG,
            .application_id = is_one_owner ? 1 : write->result + 1,
            .kind = TASK_PURGE_CONTENT,
            .parameters = TEXT("{}"),
        };
        error = task_add(txn, &row, &refusal);
    }
    db_savepoint_rollback(txn->store->db);
    PH_ASSERT(error == (is_one_owner ? PH_BAD_REQUEST : PH_BUSY));
    PH_ASSERT(strcmp(refusal.code, is_one_owner ? "limit_reached" : "") == 0);
    write->result--;
    return rolled_back;
}

static void test_unfinished_tasks_are_limited(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    assert_int_equal(flow_rig_write(rig, fill, "one owner"), TASKS_UNFINISHED_OF_OWNER_MAX);
    assert_int_equal(flow_rig_write(rig, fill, NULL), TASKS_UNFINISHED_MAX);
    flow_rig_close(rig);
}

/* Of an application some take turns and the others wait; of an endpoint there is one at a time. */
static void test_tasks_wait_for_their_turn(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t ids[40];
    send_many(rig, ids, 40);
    int64_t endpoints[TASKS_ACTIVE_OF_OWNER_MAX + 1];
    receiver_allow(receiver, 0);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(endpoints); index++) {
        endpoints[index] = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    }
    int64_t tasks[PH_ARRAY_LENGTH(endpoints) + 1];
    for (size_t index = 0; index < PH_ARRAY_LENGTH(tasks); index++) {
        tasks[index] =
            ask(rig, (struct asked){.kind = TASK_REPLAY, .endpoint_id = endpoints[index / 2]});
    }
    /* The first two endpoints have two each, the third has the last two. */
    RIG_UNTIL(flow_rig_metric(rig, METRIC_TASKS_WAITING) == 3);
    assert_int_equal(flow_rig_metric(rig, METRIC_TASKS_ACTIVE), 3);
    RIG_UNTIL(done_of(rig, tasks[0]) > 0);
    assert_int_equal(row_of(rig, tasks[1]).started_at_us, 0);
    for (size_t index = 3; index < PH_ARRAY_LENGTH(endpoints); index++) {
        (void)ask(rig, (struct asked){.kind = TASK_REPLAY, .endpoint_id = endpoints[index]});
    }
    RIG_UNTIL(flow_rig_metric(rig, METRIC_TASKS_WAITING) == 4);
    assert_int_equal(flow_rig_metric(rig, METRIC_TASKS_ACTIVE), TASKS_ACTIVE_OF_OWNER_MAX);
    receiver_allow(receiver, SIZE_MAX);
    await_end(rig, tasks[0], TASK_FINISHED, 40);
    await_end(rig, tasks[1], TASK_FINISHED, 0);
    RIG_UNTIL(flow_rig_number(rig, "SELECT count(*) FROM task WHERE state = 0", 0) == 0);
    RIG_UNTIL(flow_rig_metric(rig, METRIC_TASKS_WAITING) == 0);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_a_recover_sends_what_failed_once),
        CONTRACT_BOTH(test_a_recover_ends_at_its_cap),
        CONTRACT_BOTH(test_a_breaker_holds_replays_and_nobody_by_hand),
        CONTRACT_BOTH(test_replays_take_turns_with_the_rest),
        CONTRACT_BOTH(test_a_replay_sends_what_was_missing),
        CONTRACT_BOTH(test_a_bulk_replay_sends_all_again),
        CONTRACT_BOTH(test_a_replay_goes_on_where_it_was),
        CONTRACT_BOTH(test_an_end_waits_for_what_was_handed_over_before_a_restart),
        CONTRACT_BOTH(test_a_cancelled_task_hands_over_nothing_more),
        CONTRACT_BOTH(test_a_cancelled_recover_takes_back_what_waits),
        CONTRACT_BOTH(test_a_task_without_its_endpoint_fails),
        CONTRACT_BOTH(test_a_purge_takes_all_payloads_there_were),
        CONTRACT_BOTH(test_statistics_of_applications),
        CONTRACT_BOTH(test_unfinished_tasks_are_limited),
        CONTRACT_BOTH(test_tasks_wait_for_their_turn),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
