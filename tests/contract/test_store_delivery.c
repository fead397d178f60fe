/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries and manual attempts: what is due, and the moves of a delivery. */
#include "contract/contract.h"
#include "contract/store_rig.h"

#include "store/delivery.h"

#define ENDPOINT 11
#define OTHER_ENDPOINT 12
#define SHARD 5
#define RETRY_US (NOW_US + 5000000)

static void add_to(struct store_rig *rig, int64_t endpoint_id, int64_t message_id, int64_t due_us,
                   int64_t generation)
{
    struct diag diag = {0};
    const struct delivery_insert_row row = {
        .message_id = message_id,
        .endpoint_id = endpoint_id,
        .shard = SHARD,
        .due_us = due_us,
        .generation = generation,
    };
    CONTRACT_OK(delivery_insert(rig->store, &row, &diag), &diag);
}

static void add(struct store_rig *rig, int64_t message_id)
{
    add_to(rig, ENDPOINT, message_id, NOW_US, 1);
}

static void record(struct store_rig *rig, int64_t message_id, enum delivery_state state,
                   bool is_manual)
{
    struct diag diag = {0};
    const struct delivery_outcome outcome = {
        .message_id = message_id,
        .endpoint_id = ENDPOINT,
        .state = state,
        .next_attempt_at_us = state == DELIVERY_PENDING ? RETRY_US : 0,
        .is_manual = is_manual,
        .has_attempt = true,
        .now_us = NOW_US,
    };
    CONTRACT_OK(delivery_record(rig->store, &outcome, &diag), &diag);
}

static void assert_delivery(struct store_rig *rig, int64_t message_id, enum delivery_state state,
                            int64_t attempts, int64_t next_us)
{
    assert_int_equal(store_rig_number(rig,
                                      "SELECT state FROM delivery WHERE message_id = $1"
                                      " AND endpoint_id = 11",
                                      message_id),
                     state);
    assert_int_equal(store_rig_number(rig,
                                      "SELECT attempts FROM delivery WHERE message_id = $1"
                                      " AND endpoint_id = 11",
                                      message_id),
                     attempts);
    assert_int_equal(store_rig_number(rig,
                                      "SELECT next_attempt_at FROM delivery WHERE message_id = $1"
                                      " AND endpoint_id = 11",
                                      message_id),
                     next_us);
}

static void assert_due(struct store_rig *rig, size_t limit, const int64_t *ids, size_t count)
{
    struct due_delivery rows[10];
    size_t got = SIZE_MAX;
    struct diag diag = {0};
    CONTRACT_OK(delivery_page(rig->store, SHARD, ENDPOINT, rows, limit, &diag, &got), &diag);
    assert_int_equal(got, count);
    for (size_t index = 0; index < count; index++) {
        assert_int_equal(rows[index].message_id, ids[index]);
    }
}
#define ASSERT_DUE(rig, limit, ...)                                                                \
    do {                                                                                           \
        const int64_t expected_ids[] = {__VA_ARGS__};                                              \
        assert_due((rig), (limit), expected_ids, PH_ARRAY_LENGTH(expected_ids));                   \
    } while (0)

static void test_pages_go_by_due_time(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    assert_due(&rig, 10, NULL, 0);
    add_to(&rig, ENDPOINT, 3, NOW_US, 2);
    add_to(&rig, ENDPOINT, 1, NOW_US + 9, 1);
    add_to(&rig, ENDPOINT, 2, NOW_US, 1);
    add_to(&rig, ENDPOINT, 4, NOW_US - 9, 1);
    add_to(&rig, OTHER_ENDPOINT, 2, NOW_US - 99, 1);
    ASSERT_DUE(&rig, 10, 4, 2, 3, 1);
    ASSERT_DUE(&rig, 3, 4, 2, 3);
    record(&rig, 4, DELIVERY_PENDING, false);
    ASSERT_DUE(&rig, 10, 2, 3, 1, 4);
    record(&rig, 2, DELIVERY_SUCCEEDED, false);
    record(&rig, 1, DELIVERY_FAILED, false);
    ASSERT_DUE(&rig, 10, 3, 4);

    struct due_delivery rows[2];
    size_t count;
    struct diag diag = {0};
    CONTRACT_OK(delivery_page(rig.store, SHARD, ENDPOINT, rows, 2, &diag, &count), &diag);
    assert_int_equal(rows[0].attempts, 0);
    assert_int_equal(rows[0].generation, 2);
    assert_int_equal(rows[0].next_attempt_at_us, NOW_US);
    assert_int_equal(rows[1].attempts, 1);
    assert_int_equal(rows[1].next_attempt_at_us, RETRY_US);
    CONTRACT_OK(delivery_page(rig.store, SHARD + 1, ENDPOINT, rows, 2, &diag, &count), &diag);
    assert_int_equal(count, 0);

    int64_t pending = 0;
    int64_t oldest_us = 0;
    CONTRACT_OK(delivery_backlog(rig.store, &diag, &pending, &oldest_us), &diag);
    assert_int_equal(pending, 3);
    assert_int_equal(oldest_us, NOW_US - 99);
    store_rig_close(&rig);
}

struct walked {
    int64_t due_us[8];
    size_t count;
};

static void note(void *context, int64_t application_id, int64_t due_us)
{
    struct walked *walked = context;
    assert_int_equal(application_id, 0); /* there is no such endpoint */
    walked->due_us[walked->count++] = due_us;
}

static void test_a_walk_sees_each_pending_delivery_once(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add_to(&rig, OTHER_ENDPOINT, 1, NOW_US - 1, 1);
    add_to(&rig, ENDPOINT, 1, NOW_US + 9, 1);
    add_to(&rig, ENDPOINT, 2, NOW_US, 1);
    add_to(&rig, ENDPOINT, 3, NOW_US, 1);
    add_to(&rig, ENDPOINT, 4, NOW_US, 1);
    record(&rig, 4, DELIVERY_SUCCEEDED, false);
    struct walked walked = {.count = 0};
    struct delivery_cursor cursor = {0};
    struct diag diag = {0};
    bool is_end = false;
    CONTRACT_OK(delivery_walk(rig.store, 2, note, &walked, &diag, &cursor, &is_end), &diag);
    assert_false(is_end);
    assert_int_equal(cursor.message_id, 3);
    CONTRACT_OK(delivery_walk(rig.store, 3, note, &walked, &diag, &cursor, &is_end), &diag);
    assert_true(is_end);
    static const int64_t expected[] = {NOW_US, NOW_US, NOW_US + 9, NOW_US - 1};
    assert_int_equal(walked.count, PH_ARRAY_LENGTH(expected));
    assert_memory_equal(walked.due_us, expected, sizeof expected);
    store_rig_close(&rig);
}

static void test_only_pending_deliveries_move(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    for (int64_t id = 1; id <= 3; id++) {
        add(&rig, id);
    }
    record(&rig, 1, DELIVERY_PENDING, false);
    assert_delivery(&rig, 1, DELIVERY_PENDING, 1, RETRY_US);
    record(&rig, 1, DELIVERY_SUCCEEDED, false);
    assert_delivery(&rig, 1, DELIVERY_SUCCEEDED, 2, 0);
    record(&rig, 1, DELIVERY_FAILED, false);
    record(&rig, 1, DELIVERY_PENDING, false);
    assert_delivery(&rig, 1, DELIVERY_SUCCEEDED, 2, 0);
    record(&rig, 2, DELIVERY_FAILED, false);
    record(&rig, 2, DELIVERY_SUCCEEDED, false);
    assert_delivery(&rig, 2, DELIVERY_FAILED, 1, 0);

    /* By hand a success counts at any time, and takes nothing from the schedule. */
    record(&rig, 2, DELIVERY_SUCCEEDED, true);
    assert_delivery(&rig, 2, DELIVERY_SUCCEEDED, 1, 0);
    record(&rig, 3, DELIVERY_SUCCEEDED, true);
    assert_delivery(&rig, 3, DELIVERY_SUCCEEDED, 0, 0);
    store_rig_close(&rig);
}

static int64_t cancel_old(struct store_rig *rig, int64_t generation, int64_t limit)
{
    struct diag diag = {0};
    int64_t cancelled = -1;
    CONTRACT_OK(
        delivery_cancel_old(rig->store, SHARD, ENDPOINT, generation, limit, &diag, &cancelled),
        &diag);
    return cancelled;
}

static void test_old_generations_are_cancelled_in_steps(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    for (int64_t id = 1; id <= 4; id++) {
        add_to(&rig, ENDPOINT, id, NOW_US, 1);
    }
    add_to(&rig, ENDPOINT, 5, NOW_US, 2);
    add_to(&rig, OTHER_ENDPOINT, 1, NOW_US, 1);
    record(&rig, 4, DELIVERY_SUCCEEDED, false);
    assert_int_equal(cancel_old(&rig, 1, 10), 0);
    assert_int_equal(cancel_old(&rig, 2, 2), 2);
    assert_int_equal(cancel_old(&rig, 2, 2), 1);
    assert_int_equal(cancel_old(&rig, 2, 2), 0);
    for (int64_t id = 1; id <= 3; id++) {
        assert_delivery(&rig, id, DELIVERY_CANCELLED, 0, 0);
    }
    assert_delivery(&rig, 4, DELIVERY_SUCCEEDED, 1, 0);
    assert_delivery(&rig, 5, DELIVERY_PENDING, 0, NOW_US);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM delivery WHERE state = 0", 0), 2);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM delivery WHERE reason = $1",
                                      DELIVERY_REASON_GENERATION),
                     3);
    /* A success by hand clears the reason. */
    record(&rig, 1, DELIVERY_SUCCEEDED, true);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM delivery WHERE reason = $1",
                                      DELIVERY_REASON_GENERATION),
                     2);
    store_rig_close(&rig);
}

static void test_the_scan_finds_endpoints_with_work(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add_to(&rig, 30, 1, NOW_US + 1, 1);
    add_to(&rig, 10, 1, NOW_US + 7, 1);
    add_to(&rig, 10, 2, NOW_US + 5, 1);
    add_to(&rig, ENDPOINT, 1, NOW_US, 1);
    record(&rig, 1, DELIVERY_FAILED, false);
    const int64_t expected[][2] = {{10, NOW_US + 5}, {30, NOW_US + 1}, {0, 0}};
    int64_t endpoint_id = 0;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(expected); index++) {
        struct diag diag = {0};
        int64_t due_us = -1;
        CONTRACT_OK(
            delivery_next_endpoint(rig.store, SHARD, endpoint_id, &diag, &endpoint_id, &due_us),
            &diag);
        assert_int_equal(endpoint_id, expected[index][0]);
        assert_int_equal(due_us, expected[index][1]);
    }
    int64_t due_us;
    assert_int_equal(delivery_next_endpoint(rig.store, SHARD + 1, 0, NULL, &endpoint_id, &due_us),
                     PH_OK);
    assert_int_equal(endpoint_id, 0);
    store_rig_close(&rig);
}

static void assert_manual(struct store_rig *rig, int64_t after_id, size_t limit, const int64_t *ids,
                          size_t count)
{
    struct diag diag = {0};
    struct manual_attempt rows[10];
    size_t got = SIZE_MAX;
    CONTRACT_OK(manual_attempt_page(rig->store, delivery_shard(ENDPOINT), ENDPOINT, false, after_id,
                                    rows, limit, &diag, &got),
                &diag);
    assert_int_equal(got, count);
    for (size_t index = 0; index < count; index++) {
        assert_int_equal(rows[index].id, ids[index]);
        assert_int_equal(rows[index].message_id, ids[index] + 100);
    }
}

static void test_manual_attempts(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    for (int64_t id = 1; id <= 4; id++) {
        CONTRACT_OK(manual_attempt_insert(rig.store, id, id + 100,
                                          id == 4 ? OTHER_ENDPOINT : ENDPOINT, &diag),
                    &diag);
    }
    const int64_t all[] = {1, 2, 3};
    assert_manual(&rig, 0, 10, all, 3);
    assert_manual(&rig, 0, 2, all, 2);
    assert_manual(&rig, 1, 10, all + 1, 2);
    assert_manual(&rig, 3, 10, NULL, 0);
    CONTRACT_OK(manual_attempt_delete(rig.store, 1, &diag), &diag);
    assert_manual(&rig, 0, 10, all + 1, 2);

    int64_t endpoint_id = 0;
    CONTRACT_OK(
        manual_attempt_next_endpoint(rig.store, delivery_shard(ENDPOINT), 0, &diag, &endpoint_id),
        &diag);
    assert_int_equal(endpoint_id, ENDPOINT);
    CONTRACT_OK(manual_attempt_delete_all(rig.store, ENDPOINT, &diag), &diag);
    assert_manual(&rig, 0, 10, NULL, 0);
    CONTRACT_OK(
        manual_attempt_next_endpoint(rig.store, delivery_shard(ENDPOINT), 0, &diag, &endpoint_id),
        &diag);
    assert_true(endpoint_id != ENDPOINT);
    CONTRACT_OK(manual_attempt_next_endpoint(rig.store, delivery_shard(OTHER_ENDPOINT), ENDPOINT,
                                             &diag, &endpoint_id),
                &diag);
    assert_int_equal(endpoint_id, OTHER_ENDPOINT);
    store_rig_close(&rig);
}

static void add_ordered(struct store_rig *rig, int64_t message_id, int64_t order_key,
                        int64_t generation)
{
    struct diag diag = {0};
    const struct delivery_insert_row row = {
        .message_id = message_id,
        .endpoint_id = ENDPOINT,
        .shard = SHARD,
        .due_us = NOW_US,
        .generation = generation,
        .order_key = order_key,
    };
    CONTRACT_OK(delivery_insert(rig->store, &row, &diag), &diag);
}

static void end_ordered(struct store_rig *rig, int64_t message_id, int64_t order_key)
{
    struct diag diag = {0};
    const struct delivery_outcome outcome = {
        .message_id = message_id,
        .endpoint_id = ENDPOINT,
        .state = DELIVERY_FAILED,
        .has_attempt = true,
        .order_key = order_key,
        .now_us = NOW_US + 7,
    };
    CONTRACT_OK(delivery_record(rig->store, &outcome, &diag), &diag);
}

/* The endpoint, for its generation. */
static void add_endpoint_row(struct store_rig *rig)
{
    store_rig_run(rig, "INSERT INTO endpoint (id, application_id, url, description, version,"
                       " disabled, metadata, headers, created_at, updated_at, generation, shard)"
                       " VALUES (11, 1, 'http://h/', '', 1, 0, '{}', '{}', 0, 0, 1, 5)");
}

/* Of one key only the first pending delivery is due; its end, however it comes, releases the next
 * one. Other keys do not wait. */
static void test_an_order_is_kept(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    store_rig_open(&rig, state);
    add_endpoint_row(&rig);
    add_ordered(&rig, 1, 70, 1);
    add_ordered(&rig, 2, 70, 1);
    add_ordered(&rig, 3, 71, 1);
    add_ordered(&rig, 4, 70, 1);
    add_ordered(&rig, 5, 70, 1);
    assert_delivery(&rig, 1, DELIVERY_PENDING, 0, NOW_US);
    assert_delivery(&rig, 2, DELIVERY_PENDING, 0, DELIVERY_WAITS_US);
    assert_delivery(&rig, 3, DELIVERY_PENDING, 0, NOW_US);
    assert_delivery(&rig, 4, DELIVERY_PENDING, 0, DELIVERY_WAITS_US);

    end_ordered(&rig, 3, 71);
    assert_delivery(&rig, 2, DELIVERY_PENDING, 0, DELIVERY_WAITS_US);
    end_ordered(&rig, 1, 70);
    assert_delivery(&rig, 1, DELIVERY_FAILED, 1, 0);
    assert_delivery(&rig, 2, DELIVERY_PENDING, 0, NOW_US + 7);
    assert_delivery(&rig, 4, DELIVERY_PENDING, 0, DELIVERY_WAITS_US);
    CONTRACT_OK(delivery_cancel(rig.store, 2, ENDPOINT, DELIVERY_REASON_FILTER, NOW_US + 8, &diag),
                &diag);
    assert_delivery(&rig, 4, DELIVERY_PENDING, 0, NOW_US + 8);
    record(&rig, 4, DELIVERY_SUCCEEDED, true);
    assert_delivery(&rig, 5, DELIVERY_PENDING, 0, NOW_US);
    int64_t cancelled = 0;
    CONTRACT_OK(delivery_cancel_message(rig.store, 5, DELIVERY_REASON_EXPUNGED, NOW_US + 9, &diag,
                                        &cancelled),
                &diag);
    assert_int_equal(cancelled, 1);
    assert_delivery(&rig, 5, DELIVERY_CANCELLED, 0, 0);
    add_ordered(&rig, 6, 70, 1);
    assert_delivery(&rig, 6, DELIVERY_PENDING, 0, NOW_US);
    store_rig_close(&rig);
}

/* What a disabled endpoint left pending keeps nobody waiting, and is not released. */
static void test_an_order_begins_anew_with_a_generation(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add_endpoint_row(&rig);
    add_ordered(&rig, 1, 70, 1);
    add_ordered(&rig, 2, 70, 1);
    store_rig_run(&rig, "UPDATE endpoint SET generation = 2 WHERE id = 11");
    add_ordered(&rig, 3, 70, 2);
    add_ordered(&rig, 4, 70, 2);
    assert_delivery(&rig, 3, DELIVERY_PENDING, 0, NOW_US);
    assert_delivery(&rig, 4, DELIVERY_PENDING, 0, DELIVERY_WAITS_US);
    end_ordered(&rig, 3, 70);
    assert_delivery(&rig, 2, DELIVERY_PENDING, 0, DELIVERY_WAITS_US);
    assert_delivery(&rig, 4, DELIVERY_PENDING, 0, NOW_US + 7);
    store_rig_close(&rig);
}

/* Until PostgreSQL knows how large a new table is, it takes the index of what is pending for a row
 * that is named by its key, and walks all that this endpoint ever had. */
static void test_a_key_finds_its_row(void **state)
{
    static const char scans[] = "SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_all_indexes"
                                " WHERE indexrelname LIKE 'delivery%shard%'";
    static const char flush[] = "SELECT 1 FROM (SELECT pg_stat_force_next_flush()) AS told";
    struct store_rig rig;
    struct diag diag = {0};
    store_rig_open(&rig, state);
    for (int64_t id = 1; id <= 20; id++) {
        add(&rig, id);
    }
    assert_int_equal(store_rig_number(&rig, flush, 0), 1);
    int64_t before = store_rig_number(&rig, scans, 0);
    for (int64_t id = 1; id <= 18; id++) {
        record(&rig, id, DELIVERY_SUCCEEDED, false);
    }
    CONTRACT_OK(delivery_cancel(rig.store, 19, ENDPOINT, DELIVERY_REASON_REQUESTED, NOW_US, &diag),
                &diag);
    assert_int_equal(store_rig_number(&rig, flush, 0), 1);
    assert_int_equal(store_rig_number(&rig, scans, 0), before);
    ASSERT_DUE(&rig, 10, 20);
    assert_int_equal(store_rig_number(&rig, flush, 0), 1);
    assert_int_equal(store_rig_number(&rig, scans, 0), before + 1);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_pages_go_by_due_time),
        CONTRACT_BOTH(test_a_walk_sees_each_pending_delivery_once),
        CONTRACT_BOTH(test_only_pending_deliveries_move),
        CONTRACT_BOTH(test_old_generations_are_cancelled_in_steps),
        CONTRACT_BOTH(test_the_scan_finds_endpoints_with_work),
        CONTRACT_BOTH(test_manual_attempts),
        CONTRACT_POSTGRES(test_a_key_finds_its_row),
        CONTRACT_BOTH(test_an_order_is_kept),
        CONTRACT_BOTH(test_an_order_begins_anew_with_a_generation),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
