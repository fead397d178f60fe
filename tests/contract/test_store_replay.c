/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tasks read and write of messages, deliveries and attempts; and that on SQLite none of it
 * looks at more rows than an index leads to.
 */
#include "contract/store_replay_rig.h"

#include "db/sqlite_int.h"
#include "store/application.h"
#include "store/task.h"
#include "store/usage.h"

/* --- walks -------------------------------------------------------------------------------------
 */

static void test_walks(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    struct replay_row rows[10];
    size_t count = 0;
    for (int64_t id = 1; id <= 4; id++) {
        add_message(&rig, id);
        add_attempt(&rig, 10 + id, 5 - id, id == 2 ? 200 : 500);
    }
    CONTRACT_OK(replay_messages(rig.store, APPLICATION, &everything, rows, 3, &diag, &count),
                &diag);
    assert_int_equal(count, 3);
    assert_int_equal(rows[2].id, 3);
    assert_int_equal(rows[2].message_id, 3);
    assert_false(rows[2].is_failed_attempt);
    const struct replay_range middle = {1, 4};
    CONTRACT_OK(replay_messages(rig.store, APPLICATION, &middle, rows, 10, &diag, &count), &diag);
    assert_int_equal(count, 2);
    CONTRACT_OK(replay_messages(rig.store, OTHER_APPLICATION, &everything, rows, 10, &diag, &count),
                &diag);
    assert_int_equal(count, 0);

    const struct replay_range range = {11, 14};
    CONTRACT_OK(replay_attempts(rig.store, ENDPOINT, &range, rows, 10, &diag, &count), &diag);
    assert_int_equal(count, 2);
    assert_int_equal(rows[0].id, 12);
    assert_int_equal(rows[0].message_id, 3);
    assert_false(rows[0].is_failed_attempt);
    assert_true(rows[1].is_failed_attempt);
    CONTRACT_OK(replay_attempts(rig.store, OTHER_ENDPOINT, &everything, rows, 10, &diag, &count),
                &diag);
    assert_int_equal(count, 0);
    store_rig_close(&rig);
}

/* --- one message -------------------------------------------------------------------------------
 */

static void test_what_a_message_was_to_an_endpoint(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    struct replay_view view;
    add_message(&rig, 1);
    CONTRACT_OK(replay_view_find(rig.store, 1, ENDPOINT, &diag, &view), &diag);
    assert_false(view.has_delivery || view.has_attempt);
    add_delivery(&rig, 1);
    add_attempt(&rig, 20, 1, 200);
    add_attempt(&rig, 21, 1, 503);
    cancel(&rig, 2);
    CONTRACT_OK(replay_view_find(rig.store, 1, ENDPOINT, &diag, &view), &diag);
    assert_true(view.has_delivery && view.has_attempt);
    assert_int_equal(view.state, DELIVERY_CANCELLED);
    assert_int_equal(view.reason, DELIVERY_REASON_GENERATION);
    assert_false(view.is_success);
    assert_int_equal(view.response_code, 503);
    CONTRACT_OK(replay_view_find(rig.store, 1, OTHER_ENDPOINT, &diag, &view), &diag);
    assert_false(view.has_delivery || view.has_attempt);

    bool has_success = false;
    CONTRACT_OK(replay_has_success(rig.store, 1, ENDPOINT, &diag, &has_success), &diag);
    assert_true(has_success);
    CONTRACT_OK(replay_has_success(rig.store, 1, OTHER_ENDPOINT, &diag, &has_success), &diag);
    assert_false(has_success);

    int64_t last_id = -1;
    CONTRACT_OK(replay_last_attempt(rig.store, 1, ENDPOINT, &everything, &diag, &last_id), &diag);
    assert_int_equal(last_id, 21);
    const struct replay_range early = {0, 21};
    CONTRACT_OK(replay_last_attempt(rig.store, 1, ENDPOINT, &early, &diag, &last_id), &diag);
    assert_int_equal(last_id, 20);
    const struct replay_range none = {21, 30};
    CONTRACT_OK(replay_last_attempt(rig.store, 1, ENDPOINT, &none, &diag, &last_id), &diag);
    assert_int_equal(last_id, 0);
    store_rig_close(&rig);
}

static void test_whether_a_message_can_be_sent(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    struct replay_message message;
    bool was_pending;
    add_message(&rig, 1);
    add_message(&rig, 2);
    CONTRACT_OK(replay_message_find(rig.store, 2, NOW_US, &rig.arena, &diag, &message), &diag);
    assert_text_is(message.event_type, "a.b");
    assert_text_is(message.channels, "[\"x\"]");
    assert_true(message.has_payload);
    CONTRACT_OK(replay_message_find(rig.store, 2, LATER_US, &rig.arena, &diag, &message), &diag);
    assert_false(message.has_payload);
    CONTRACT_OK(message_expunge(rig.store, 1, NOW_US, &diag, &was_pending), &diag);
    CONTRACT_OK(replay_message_find(rig.store, 1, NOW_US, &rig.arena, &diag, &message), &diag);
    assert_null(message.channels.ptr);
    assert_false(message.has_payload);
    assert_int_equal(replay_message_find(rig.store, 3, NOW_US, &rig.arena, NULL, &message),
                     PH_NOT_FOUND);
    store_rig_close(&rig);
}

static void test_how_an_endpoint_stands(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    struct replay_endpoint before;
    struct replay_endpoint after;
    add_application(&rig, APPLICATION);
    endpoint_add(&rig, ENDPOINT, NULL);
    CONTRACT_OK(replay_endpoint_find(rig.store, ENDPOINT, &diag, &before), &diag);
    assert_true(before.is_live);
    assert_int_equal(before.generation, 1);
    endpoint_remove(&rig, ENDPOINT);
    CONTRACT_OK(application_touch(rig.store, APPLICATION, &diag), &diag);
    CONTRACT_OK(replay_endpoint_find(rig.store, ENDPOINT, &diag, &after), &diag);
    assert_false(after.is_live);
    assert_true(after.config_version > before.config_version);
    assert_int_equal(replay_endpoint_find(rig.store, OTHER_ENDPOINT, NULL, &after), PH_NOT_FOUND);
    store_rig_close(&rig);
}

/* --- handing over ------------------------------------------------------------------------------
 */

static int64_t target_order; /* of the targets to come */

static struct replay_target target_of(int64_t message_id)
{
    return (struct replay_target){.message_id = message_id,
                                  .endpoint_id = ENDPOINT,
                                  .generation = 4,
                                  .order_key = target_order,
                                  .now_us = LATER_US};
}

static bool add_manual(struct store_rig *rig, int64_t id, int64_t message_id)
{
    struct diag diag = {0};
    bool is_made = false;
    const struct replay_target target = target_of(message_id);
    CONTRACT_OK(replay_add_attempt(rig->store, id, TASK, &target, &diag, &is_made), &diag);
    return is_made;
}

static bool add_missing(struct store_rig *rig, int64_t message_id)
{
    struct diag diag = {0};
    bool is_made = false;
    const struct replay_target target = target_of(message_id);
    CONTRACT_OK(replay_add_delivery(rig->store, &target, &diag, &is_made), &diag);
    return is_made;
}

static bool renew(struct store_rig *rig, int64_t message_id)
{
    struct diag diag = {0};
    bool is_made = false;
    const struct replay_target target = target_of(message_id);
    CONTRACT_OK(replay_renew_delivery(rig->store, &target, &diag, &is_made), &diag);
    return is_made;
}

static bool is_untried(struct store_rig *rig, int64_t message_id)
{
    struct diag diag = {0};
    bool is_untried = false;
    CONTRACT_OK(replay_is_untried(rig->store, message_id, ENDPOINT, LATER_US, &diag, &is_untried),
                &diag);
    return is_untried;
}

static void assert_delivery(struct store_rig *rig, int64_t message_id, int64_t state,
                            int64_t attempts, int64_t next_us, int64_t generation)
{
    assert_int_equal(
        store_rig_number(rig, "SELECT state FROM delivery WHERE message_id = $1", message_id),
        state);
    assert_int_equal(
        store_rig_number(rig, "SELECT attempts FROM delivery WHERE message_id = $1", message_id),
        attempts);
    assert_int_equal(store_rig_number(rig,
                                      "SELECT next_attempt_at FROM delivery WHERE message_id = $1",
                                      message_id),
                     next_us);
    assert_int_equal(
        store_rig_number(rig, "SELECT generation FROM delivery WHERE message_id = $1", message_id),
        generation);
    assert_int_equal(
        store_rig_number(rig, "SELECT reason FROM delivery WHERE message_id = $1", message_id), 0);
}

static void test_manual_attempts_of_a_task(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    bool was_pending;
    for (int64_t id = 1; id <= 4; id++) {
        add_message(&rig, id);
        add_delivery(&rig, id);
    }
    record(&rig, 1, DELIVERY_FAILED);
    record(&rig, 2, DELIVERY_SUCCEEDED);
    CONTRACT_OK(message_expunge(rig.store, 3, NOW_US, &diag, &was_pending), &diag);
    assert_true(add_manual(&rig, 31, 1));
    assert_false(add_manual(&rig, 32, 2));
    assert_false(add_manual(&rig, 33, 3));
    assert_true(add_manual(&rig, 34, 4));
    CONTRACT_OK(manual_attempt_insert(rig.store, 35, 4, ENDPOINT, &diag), &diag);

    /* They and those by hand are read apart. */
    struct manual_attempt rows[10];
    size_t count = 0;
    CONTRACT_OK(manual_attempt_page(rig.store, delivery_shard(ENDPOINT), ENDPOINT, true, 0, rows,
                                    10, &diag, &count),
                &diag);
    assert_int_equal(count, 2);
    assert_int_equal(rows[0].id, 31);
    assert_int_equal(rows[1].message_id, 4);
    CONTRACT_OK(manual_attempt_page(rig.store, delivery_shard(ENDPOINT), ENDPOINT, false, 0, rows,
                                    10, &diag, &count),
                &diag);
    assert_int_equal(count, 1);
    assert_int_equal(rows[0].id, 35);

    bool is_waiting = false;
    CONTRACT_OK(replay_is_waiting(rig.store, 31, &diag, &is_waiting), &diag);
    assert_true(is_waiting);
    CONTRACT_OK(replay_forget_attempts(rig.store, TASK, ENDPOINT, &diag), &diag);
    CONTRACT_OK(replay_is_waiting(rig.store, 31, &diag, &is_waiting), &diag);
    assert_false(is_waiting);
    assert_int_equal(store_rig_number(&rig, "SELECT id FROM manual_attempt", 0), 35);
    store_rig_close(&rig);
}

static void test_missing_deliveries_are_added(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    bool was_pending;
    for (int64_t id = 1; id <= 5; id++) {
        add_message(&rig, id);
    }
    add_delivery(&rig, 2);
    cancel(&rig, 2);
    add_delivery(&rig, 3);
    add_delivery(&rig, 4);
    record(&rig, 4, DELIVERY_FAILED);
    CONTRACT_OK(message_expunge(rig.store, 5, NOW_US, &diag, &was_pending), &diag);
    assert_true(add_missing(&rig, 1));
    assert_delivery(&rig, 1, DELIVERY_PENDING, 0, LATER_US, 4);
    assert_true(add_missing(&rig, 2));
    assert_delivery(&rig, 2, DELIVERY_PENDING, 0, LATER_US, 4);
    assert_false(add_missing(&rig, 3));
    assert_delivery(&rig, 3, DELIVERY_PENDING, 0, NOW_US, 1);
    assert_false(add_missing(&rig, 4));
    assert_false(add_missing(&rig, 5));
    assert_false(add_missing(&rig, 1)); /* a second time is none */
    assert_true(is_untried(&rig, 1));
    record(&rig, 1, DELIVERY_PENDING);
    assert_false(is_untried(&rig, 1));
    store_rig_close(&rig);
}

static void test_deliveries_begin_anew(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    int64_t began_us = -1;
    static const enum delivery_state states[] = {DELIVERY_PENDING, DELIVERY_SUCCEEDED,
                                                 DELIVERY_FAILED};
    add_delivery(&rig, 4);
    cancel(&rig, 2);
    for (int64_t id = 1; id <= 5; id++) {
        add_message(&rig, id);
        if (id <= 3) {
            add_delivery(&rig, id);
            record(&rig, id, states[id - 1]);
        }
    }
    for (int64_t id = 1; id <= 5; id++) {
        assert_true(renew(&rig, id));
        assert_delivery(&rig, id, DELIVERY_PENDING, id == 1 ? 1 : 0, LATER_US, 4);
        CONTRACT_OK(delivery_began_at(rig.store, id, ENDPOINT, &diag, &began_us), &diag);
        assert_int_equal(began_us, id == 1 ? 0 : LATER_US);
    }
    /* Those that were pending have not begun anew, so they keep what of the schedule is behind
     * them. */
    assert_false(is_untried(&rig, 1));
    assert_true(is_untried(&rig, 2));
    bool was_pending;
    CONTRACT_OK(message_expunge(rig.store, 5, NOW_US, &diag, &was_pending), &diag);
    assert_true(was_pending);
    assert_false(renew(&rig, 5));
    store_rig_close(&rig);
}

static int64_t next_of(struct store_rig *rig, int64_t message_id)
{
    return store_rig_number(rig, "SELECT next_attempt_at FROM delivery WHERE message_id = $1",
                            message_id);
}

/* What is replayed takes its place by its message, behind what is under way. */
static void test_replays_keep_an_order(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add_application(&rig, APPLICATION);
    endpoint_add(&rig, ENDPOINT, NULL);
    for (int64_t id = 1; id <= 4; id++) {
        add_message(&rig, id);
    }
    add_ordered(&rig, 1, 70);
    record_ordered(&rig, 1, DELIVERY_SUCCEEDED, 70);
    target_order = 70;
    assert_true(add_missing(&rig, 3));
    assert_int_equal(next_of(&rig, 3), LATER_US);
    assert_true(renew(&rig, 1));
    assert_true(add_missing(&rig, 2));
    assert_int_equal(next_of(&rig, 1), DELIVERY_WAITS_US);
    assert_int_equal(next_of(&rig, 2), DELIVERY_WAITS_US);
    assert_true(is_untried(&rig, 2));
    assert_true(renew(&rig, 2)); /* pulls nobody forward */
    assert_int_equal(next_of(&rig, 2), DELIVERY_WAITS_US);
    target_order = 0;
    assert_true(add_missing(&rig, 4));
    assert_int_equal(next_of(&rig, 4), LATER_US);

    record_ordered(&rig, 3, DELIVERY_FAILED, 70);
    assert_int_equal(next_of(&rig, 1), NOW_US);
    assert_int_equal(next_of(&rig, 2), DELIVERY_WAITS_US);
    record_ordered(&rig, 1, DELIVERY_SUCCEEDED, 70);
    assert_int_equal(next_of(&rig, 2), NOW_US);
    /* An endpoint that keeps no order any more forgets it. */
    assert_true(renew(&rig, 1));
    assert_int_equal(
        store_rig_number(&rig, "SELECT coalesce(order_key, -1) FROM delivery WHERE message_id = $1",
                         1),
        -1);
    store_rig_close(&rig);
}

static void test_a_later_message_is_not_sent_before_its_time(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    const struct message_row row = {
        .id = 1,
        .application_id = APPLICATION,
        .event_type = TEXT("a.b"),
        .tags = TEXT("[\"t\"]"),
        .order_key = 77,
        .deliver_at_us = LATER_US + 5,
        .payload_expires_at_us = LATER_US,
    };
    CONTRACT_OK(message_insert(rig.store, &row, &diag), &diag);
    CONTRACT_OK(message_insert_payload(rig.store, 1, TEXT("{}"), SLICE_NONE, SLICE_NONE, &diag),
                &diag);
    assert_true(add_missing(&rig, 1));
    assert_int_equal(next_of(&rig, 1), LATER_US + 5);
    assert_false(is_untried(&rig, 1)); /* nobody has to wait for it */
    struct replay_message message;
    CONTRACT_OK(replay_message_find(rig.store, 1, NOW_US, &rig.arena, &diag, &message), &diag);
    assert_text_is(message.tags, "[\"t\"]");
    assert_int_equal(message.order_key, 77);
    store_rig_close(&rig);
}

/* After a restart a task looks for what it had handed over. */
static void test_what_a_task_left_untried_is_found(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    struct store *store = rig.store;
    struct replay_handed rows[4];
    size_t count = 0;
    for (int64_t id = 1; id <= 5; id++) {
        add_message(&rig, id);
    }
    add_delivery(&rig, 1); /* as it was published */
    for (int64_t id = 2; id <= 3; id++) {
        assert_true(add_missing(&rig, id));
    }
    record(&rig, 3, DELIVERY_PENDING); /* was tried */
    target_order = 70;
    assert_true(add_missing(&rig, 4));
    assert_true(add_missing(&rig, 5));
    target_order = 0;
    assert_int_equal(next_of(&rig, 5), DELIVERY_WAITS_US);
    int64_t since_us =
        store_rig_number(&rig, "SELECT replayed_at FROM delivery WHERE message_id = $1", 2);
    CONTRACT_OK(replay_untried_deliveries(store, since_us, ENDPOINT, &diag, rows, 4, &count),
                &diag);
    assert_int_equal(count, 3);
    assert_int_equal(rows[0].message_id, 2);
    assert_int_equal(rows[1].message_id, 4);
    assert_int_equal(rows[2].message_id, 5);
    assert_int_equal(rows[0].manual_id, 0);
    CONTRACT_OK(replay_untried_deliveries(store, since_us, ENDPOINT, &diag, rows, 2, &count),
                &diag);
    assert_int_equal(count, 2);
    CONTRACT_OK(replay_untried_deliveries(store, since_us + 1, ENDPOINT, &diag, rows, 4, &count),
                &diag);
    assert_int_equal(count, 0);

    assert_true(add_manual(&rig, 140, 1));
    assert_true(add_manual(&rig, 141, 3));
    CONTRACT_OK(replay_untried_attempts(store, TASK, ENDPOINT, &diag, rows, 4, &count), &diag);
    assert_int_equal(count, 2);
    assert_int_equal(rows[1].message_id, 3);
    assert_int_equal(rows[1].manual_id, 141);
    CONTRACT_OK(replay_untried_attempts(store, TASK + 1, ENDPOINT, &diag, rows, 4, &count), &diag);
    assert_int_equal(count, 0);
    CONTRACT_OK(replay_untried_attempts(store, TASK, OTHER_ENDPOINT, &diag, rows, 4, &count),
                &diag);
    assert_int_equal(count, 0);
    store_rig_close(&rig);
}

/* --- cancelling what is pending ------------------------------------------------------------------
 */

static void test_older_deliveries_are_cancelled_in_steps(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    enum { COUNT = 1200, OLD = 700 };
    CONTRACT_OK(db_begin(rig.store->db, &diag), &diag);
    for (int64_t id = 1; id <= COUNT; id++) {
        add_delivery(&rig, id);
    }
    const struct delivery_insert_row other = {
        .message_id = 1,
        .endpoint_id = OTHER_ENDPOINT,
        .shard = delivery_shard(OTHER_ENDPOINT),
        .due_us = NOW_US,
        .generation = 1,
    };
    CONTRACT_OK(delivery_insert(rig.store, &other, &diag), &diag);
    record(&rig, 5, DELIVERY_SUCCEEDED);
    record(&rig, 6, DELIVERY_PENDING); /* due later */
    CONTRACT_OK(db_commit(rig.store->db, &diag), &diag);
    struct delivery_cursor cursor = {.endpoint_id = ENDPOINT};
    int64_t cancelled = 0;
    int steps = 0;
    for (bool is_end = false; !is_end; steps++) {
        int64_t now = 0;
        CONTRACT_OK(
            delivery_cancel_before(rig.store, OLD + 1, NOW_US, &diag, &cursor, &now, &is_end),
            &diag);
        assert_in_range(now, 0, 200);
        cancelled += now;
    }
    assert_int_equal(steps, 6);
    assert_int_equal(cancelled, OLD - 1);
    assert_int_equal(store_rig_number(&rig,
                                      "SELECT count(*) FROM delivery WHERE state = 3"
                                      " AND reason = $1",
                                      DELIVERY_REASON_REQUESTED),
                     OLD - 1);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM delivery WHERE state = 0", 0),
                     COUNT - OLD + 1);
    store_rig_close(&rig);
}

/* --- plans -------------------------------------------------------------------------------------
 */

/* Runs each query of a step once, so that the connection has it. */
static void run_all(struct store_rig *rig)
{
    struct store *store = rig->store;
    struct diag diag = {0};
    struct replay_row rows[4];
    struct task_ref refs[4];
    struct task_result results[4];
    struct usage_attempts attempts;
    struct usage_pending pending;
    struct usage_messages messages;
    struct delivery_cursor cursor = {.endpoint_id = ENDPOINT};
    const struct task_progress progress = {0};
    size_t count;
    int64_t number;
    bool flag;
    CONTRACT_OK(replay_messages(store, APPLICATION, &everything, rows, 4, &diag, &count), &diag);
    CONTRACT_OK(replay_attempts(store, ENDPOINT, &everything, rows, 4, &diag, &count), &diag);
    CONTRACT_OK(usage_count_attempts(store, ENDPOINT, &everything, 4, &diag, &attempts), &diag);
    CONTRACT_OK(usage_count_pending(store, ENDPOINT, &everything, 4, &diag, &pending), &diag);
    CONTRACT_OK(usage_count_messages(store, APPLICATION, &everything, 4, &diag, &messages), &diag);
    CONTRACT_OK(usage_next_application(store, TEXT("org_a"), 0, &diag, &number), &diag);
    CONTRACT_OK(delivery_cancel_before(store, 9, NOW_US, &diag, &cursor, &number, &flag), &diag);
    CONTRACT_OK(task_running(store, refs, 4, &diag, &count), &diag);
    CONTRACT_OK(task_count_running(store, TEXT("o"), 0, &diag, &number, &number), &diag);
    CONTRACT_OK(task_count_running(store, TEXT("o"), 1, &diag, &number, &number), &diag);
    CONTRACT_OK(task_move(store, TASK, &progress, &progress, NOW_US, &diag, &flag), &diag);
    CONTRACT_OK(task_end(store, TASK, TASK_FINISHED, SLICE_NONE, NOW_US, &diag, &flag), &diag);
    CONTRACT_OK(task_result_page(store, TASK, 0, &rig->arena, &diag, results, 4, &count), &diag);
    CONTRACT_OK(task_delete_old(store, NOW_US, 4, &diag, &number), &diag);
    for (int descending = 0; descending < 2; descending++) {
        struct task_query query = {.org = TEXT("o"), .kind = TASK_ANY, .state = TASK_ANY};
        struct task_row tasks[4];
        struct list_end end;
        query.page = descending ? newest_first(4) : oldest_first(4);
        CONTRACT_OK(task_page(store, &query, &rig->arena, &diag, tasks, &end), &diag);
        query.application_id = APPLICATION;
        CONTRACT_OK(task_page(store, &query, &rig->arena, &diag, tasks, &end), &diag);
    }
}

/* And those about one message. */
static void run_all_of_a_message(struct store_rig *rig)
{
    struct diag diag = {0};
    struct replay_view view;
    struct replay_message message;
    struct replay_endpoint endpoint;
    struct store *store = rig->store;
    struct manual_attempt rows[4];
    size_t count;
    int64_t number;
    bool flag;
    CONTRACT_OK(replay_view_find(store, 1, ENDPOINT, &diag, &view), &diag);
    CONTRACT_OK(replay_has_success(store, 1, ENDPOINT, &diag, &flag), &diag);
    CONTRACT_OK(replay_last_attempt(store, 1, ENDPOINT, &everything, &diag, &number), &diag);
    CONTRACT_OK(replay_message_find(store, 1, NOW_US, &rig->arena, &diag, &message), &diag);
    CONTRACT_OK(replay_endpoint_find(store, ENDPOINT, &diag, &endpoint), &diag);
    CONTRACT_OK(delivery_began_at(store, 1, ENDPOINT, &diag, &number), &diag);
    (void)add_manual(rig, 40, 1);
    (void)add_missing(rig, 1);
    (void)renew(rig, 1);
    (void)is_untried(rig, 1);
    CONTRACT_OK(replay_is_waiting(store, 40, &diag, &flag), &diag);
    struct replay_handed handed[4];
    CONTRACT_OK(replay_untried_attempts(store, TASK, ENDPOINT, &diag, handed, 4, &count), &diag);
    CONTRACT_OK(replay_untried_deliveries(store, NOW_US, ENDPOINT, &diag, handed, 4, &count),
                &diag);
    CONTRACT_OK(replay_forget_attempts(store, TASK, ENDPOINT, &diag), &diag);
    for (int is_replay = 0; is_replay < 2; is_replay++) {
        CONTRACT_OK(manual_attempt_page(store, delivery_shard(ENDPOINT), ENDPOINT, is_replay != 0,
                                        0, rows, 4, &diag, &count),
                    &diag);
    }
    CONTRACT_OK(message_expunge(store, 1, NOW_US, &diag, &flag), &diag);
}

/* The attempts of a message are few, those of an endpoint many: an index of the latter has the
 * order too, and must not be taken for it. */
static bool is_wrong_index(const char *sql, const char *detail)
{
    return strstr(sql, "FROM attempt WHERE message_id") != NULL &&
           strstr(detail, "SEARCH attempt") != NULL && strstr(detail, "attempt_message") == NULL;
}

/* What may be walked as a whole: the partial index of running tasks, of which there is a limit, and
 * rows that a subquery found by an index. */
static bool is_allowed(const char *detail)
{
    return strstr(detail, "INDEX task_running") != NULL || strcmp(detail, "SCAN step") == 0 ||
           strstr(detail, "CONSTANT ROW") != NULL;
}

static int check_plan(sqlite3 *handle, const char *sql)
{
    BUF_AUTO struct buf text;
    buf_init(&text, 65536);
    buf_append_format(&text, "EXPLAIN QUERY PLAN %s", sql);
    sqlite3_stmt *plan;
    int bad = 0;
    assert_int_equal(sqlite3_prepare_v2(handle, buf_text(&text), -1, &plan, NULL), SQLITE_OK);
    while (sqlite3_step(plan) == SQLITE_ROW) {
        const char *detail = (const char *)sqlite3_column_text(plan, 3);
        bool is_scan = strncmp(detail, "SCAN", 4) == 0 && !is_allowed(detail);
        if (is_scan || is_wrong_index(sql, detail)) {
            print_error("%s\n  in: %s\n", detail, sql);
            bad++;
        }
    }
    (void)sqlite3_finalize(plan);
    return bad;
}

static void test_no_query_walks_a_whole_table(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add_application(&rig, APPLICATION);
    endpoint_add(&rig, ENDPOINT, NULL);
    add_message(&rig, 1);
    run_all(&rig);
    run_all_of_a_message(&rig);
    /* Only what the steps ran is left on the connection; its own beginning is by key anyway. */
    sqlite3 *handle = ((struct sqlite *)rig.store->db)->handle;
    int bad = 0;
    int checked = 0;
    for (sqlite3_stmt *statement = sqlite3_next_stmt(handle, NULL); statement != NULL;
         statement = sqlite3_next_stmt(handle, statement)) {
        const char *sql = sqlite3_sql(statement);
        if (strstr(sql, "delivery") != NULL || strstr(sql, "message") != NULL ||
            strstr(sql, "attempt") != NULL || strstr(sql, "task") != NULL ||
            strstr(sql, "application") != NULL) {
            bad += check_plan(handle, sql);
            checked++;
        }
    }
    assert_int_equal(bad, 0);
    assert_in_range(checked, 35, 200);
    /* The check itself sees both. */
    assert_int_equal(check_plan(handle, "SELECT count(*) FROM message WHERE event_id = 'x'"), 1);
    assert_int_equal(check_plan(handle, "SELECT id FROM attempt WHERE message_id = 1"
                                        " AND endpoint_id = 2 ORDER BY id DESC LIMIT 1"),
                     1);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_walks),
        CONTRACT_BOTH(test_what_a_message_was_to_an_endpoint),
        CONTRACT_BOTH(test_whether_a_message_can_be_sent),
        CONTRACT_BOTH(test_how_an_endpoint_stands),
        CONTRACT_BOTH(test_manual_attempts_of_a_task),
        CONTRACT_BOTH(test_missing_deliveries_are_added),
        CONTRACT_BOTH(test_deliveries_begin_anew),
        CONTRACT_BOTH(test_replays_keep_an_order),
        CONTRACT_BOTH(test_a_later_message_is_not_sent_before_its_time),
        CONTRACT_BOTH(test_what_a_task_left_untried_is_found),
        CONTRACT_BOTH(test_older_deliveries_are_cancelled_in_steps),
        CONTRACT_SQLITE(test_no_query_walks_a_whole_table),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
