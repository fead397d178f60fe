/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a message at each endpoint of its application. */
#include "contract/store_endpoint_rig.h"

#include "store/delivery.h"
#include "store/explain.h"

/* Endpoints 1..99, the message, endpoints that came later, attempts. */
#define MESSAGE INT64_C(100)
#define LATER 101
#define ATTEMPT 1000
#define RETRY_US (NOW_US + 5)

struct rig {
    struct store_rig base;
    struct explain_row rows[RIG_ROWS_MAX];
    struct list_end end;
    bool with_all_deleted;
};

static struct rig *rig_open(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    store_rig_open(&rig->base, state);
    return rig;
}

static void rig_close(struct rig *rig)
{
    store_rig_close(&rig->base);
    free(rig);
}

static void add_delivery(struct rig *rig, int64_t message_id, int64_t endpoint_id,
                         int64_t order_key)
{
    struct diag diag = {0};
    const struct delivery_insert_row row = {
        .message_id = message_id,
        .endpoint_id = endpoint_id,
        .shard = delivery_shard(endpoint_id),
        .due_us = NOW_US,
        .generation = 1,
        .order_key = order_key,
    };
    CONTRACT_OK(delivery_insert(rig->base.store, &row, &diag), &diag);
}

static void add_attempt(struct rig *rig, int64_t id, int64_t endpoint_id, int code,
                        struct slice response)
{
    struct diag diag = {0};
    const struct attempt_insert_row row = {
        .id = id,
        .message_id = MESSAGE,
        .endpoint_id = endpoint_id,
        .is_success = code == 200,
        .response_code = code,
        .is_manual = code == 200,
        .url = TEXT("http://h/"),
        .response = response,
    };
    CONTRACT_OK(attempt_insert(rig->base.store, &row, &diag), &diag);
}

static void add_resend(struct rig *rig, int64_t id, int64_t message_id, int64_t endpoint_id)
{
    struct diag diag = {0};
    CONTRACT_OK(manual_attempt_insert(rig->base.store, id, message_id, endpoint_id, &diag), &diag);
}

static void explain(struct rig *rig, const struct id_page *page)
{
    const struct explain_query query = {
        .application_id = APPLICATION,
        .message_id = MESSAGE,
        .page = *page,
        .with_all_deleted = rig->with_all_deleted,
    };
    struct diag diag = {0};
    CONTRACT_OK(
        explain_page(rig->base.store, &query, &rig->base.arena, &diag, rig->rows, &rig->end),
        &diag);
}

static void explain_all(struct rig *rig)
{
    const struct id_page page = oldest_first(RIG_ROWS_MAX);
    explain(rig, &page);
    assert_false(rig->end.has_more);
}

#define ASSERT_IDS(rig, ...) assert_ids(rig, (const int64_t[]){__VA_ARGS__, 0})

static void assert_ids(const struct rig *rig, const int64_t *ids)
{
    size_t count = 0;
    for (; ids[count] != 0; count++) {
        assert_true(count < rig->end.count);
        assert_int_equal(rig->rows[count].endpoint.id, ids[count]);
    }
    assert_int_equal(rig->end.count, count);
}

static void test_an_endpoint_as_it_is(void **state)
{
    struct rig *rig = rig_open(state);
    struct endpoint_row row = endpoint_row_of(5, "mine");
    row.event_types = TEXT("[\"a\"]");
    row.channels = TEXT("[\"c\",\"d\"]");
    row.options = TEXT("{\"filter\":\"true\"}");
    row.throttle_rate = 9;
    row.updated_at_us = LATER_US;
    endpoint_put(&rig->base, &row);
    endpoint_add(&rig->base, LATER, NULL);
    explain_all(rig);
    ASSERT_IDS(rig, 5, LATER);
    const struct explain_endpoint *endpoint = &rig->rows[0].endpoint;
    assert_text_is(endpoint->uid, "mine");
    assert_text_is(endpoint->url, "https://h.example/a?b=%20c");
    assert_text_is(endpoint->event_types, "[\"a\"]");
    assert_text_is(endpoint->channels, "[\"c\",\"d\"]");
    assert_text_is(endpoint->options, "{\"filter\":\"true\"}");
    assert_int_equal(endpoint->throttle_rate, 9);
    assert_int_equal(endpoint->created_at_us, NOW_US);
    assert_int_equal(endpoint->updated_at_us, LATER_US);
    assert_int_equal(endpoint->generation, 1);
    assert_false(endpoint->is_disabled || endpoint->is_deleted);
    assert_false(rig->rows[0].delivery.exists);
    assert_int_equal(rig->rows[0].attempts + rig->rows[0].latest.id, 0);
    assert_null(rig->rows[1].endpoint.uid.ptr);
    assert_null(rig->rows[1].endpoint.options.ptr);
    rig_close(rig);
}

static void test_deliveries_and_attempts(void **state)
{
    struct rig *rig = rig_open(state);
    for (int64_t id = 1; id <= 4; id++) {
        endpoint_add(&rig->base, id, NULL);
    }
    add_delivery(rig, MESSAGE, 1, 0);
    add_delivery(rig, MESSAGE, 2, 0);
    add_delivery(rig, MESSAGE + 1, 3, 0); /* of another message */
    const struct delivery_outcome outcome = {
        .message_id = MESSAGE,
        .endpoint_id = 2,
        .state = DELIVERY_CANCELLED,
        .reason = DELIVERY_REASON_FILTER,
        .has_attempt = true,
    };
    struct diag diag = {0};
    CONTRACT_OK(delivery_record(rig->base.store, &outcome, &diag), &diag);
    add_attempt(rig, ATTEMPT + 1, 2, 500, TEXT("first"));
    add_attempt(rig, ATTEMPT + 2, 4, 200, TEXT(""));
    add_attempt(rig, ATTEMPT + 3, 2, 0, TEXT("second"));
    add_resend(rig, ATTEMPT + 4, MESSAGE, 3);
    add_resend(rig, ATTEMPT + 5, MESSAGE, 3);
    add_resend(rig, ATTEMPT + 6, MESSAGE, 2);
    add_resend(rig, ATTEMPT + 7, MESSAGE + 1, 2);
    for (int turn = 0; turn < 2; turn++) {
        const struct id_page up = oldest_first(RIG_ROWS_MAX);
        const struct id_page down = newest_first(RIG_ROWS_MAX);
        explain(rig, turn == 0 ? &up : &down);
        assert_int_equal(rig->end.count, 4);
        const struct explain_row *first = &rig->rows[turn == 0 ? 0 : 3];
        const struct explain_row *second = &rig->rows[turn == 0 ? 1 : 2];
        const struct explain_row *third = &rig->rows[turn == 0 ? 2 : 1];
        const struct explain_row *fourth = &rig->rows[turn == 0 ? 3 : 0];
        assert_true(first->delivery.exists && first->delivery.state == DELIVERY_PENDING);
        assert_int_equal(first->delivery.next_attempt_at_us, NOW_US);
        assert_int_equal(first->attempts + first->delivery.attempts, 0);
        assert_int_equal(second->delivery.state, DELIVERY_CANCELLED);
        assert_int_equal(second->delivery.reason, DELIVERY_REASON_FILTER);
        assert_int_equal(second->delivery.attempts, 1);
        assert_int_equal(second->attempts, 2);
        assert_int_equal(second->latest.id, ATTEMPT + 3);
        assert_int_equal(second->latest.response_code, 0);
        assert_false(second->latest.is_success || second->latest.is_manual);
        assert_text_is(second->latest.response, "second");
        assert_int_equal(first->resends, 0);
        assert_int_equal(second->resends, 1);
        assert_int_equal(third->resends, 2);
        assert_false(third->delivery.exists);
        assert_false(fourth->delivery.exists);
        assert_true(fourth->latest.is_success && fourth->latest.is_manual);
        assert_text_is(fourth->latest.response, "");
    }
    rig_close(rig);
}

static void test_a_response_is_cut_or_gone(void **state)
{
    struct rig *rig = rig_open(state);
    char wide[EXPLAIN_RESPONSE_BYTES + 100];
    memset(wide, '\xff', sizeof wide);
    endpoint_add(&rig->base, 1, NULL);
    endpoint_add(&rig->base, 2, NULL);
    add_attempt(rig, ATTEMPT, 1, 500, (struct slice){wide, sizeof wide});
    add_attempt(rig, ATTEMPT + 1, 2, 500, SLICE_NONE);
    explain_all(rig);
    assert_int_equal(rig->rows[0].latest.response.len, EXPLAIN_RESPONSE_BYTES);
    assert_memory_equal(rig->rows[0].latest.response.ptr, wide, EXPLAIN_RESPONSE_BYTES);
    assert_null(rig->rows[1].latest.response.ptr);
    rig_close(rig);
}

static void test_what_waits_says_for_what(void **state)
{
    struct rig *rig = rig_open(state);
    for (int64_t id = 1; id <= 3; id++) {
        endpoint_add(&rig->base, id, NULL);
        add_delivery(rig, MESSAGE - 2, id, 7);
        add_delivery(rig, MESSAGE - 1, id, id == 2 ? 8 : 7); /* another order of the second */
    }
    for (int64_t id = 1; id <= 3; id++) {
        add_delivery(rig, MESSAGE, id, id == 3 ? 9 : 7);
    }
    explain_all(rig);
    assert_int_equal(rig->rows[0].delivery.next_attempt_at_us, DELIVERY_WAITS_US);
    assert_int_equal(rig->rows[0].delivery.waits_for_id, MESSAGE - 2);
    assert_int_equal(rig->rows[1].delivery.waits_for_id, MESSAGE - 2);
    assert_int_equal(rig->rows[2].delivery.waits_for_id, 0);
    assert_int_equal(rig->rows[2].delivery.next_attempt_at_us, NOW_US);

    struct diag diag = {0};
    const struct delivery_outcome outcome = {
        .message_id = MESSAGE - 2,
        .endpoint_id = 1,
        .state = DELIVERY_SUCCEEDED,
        .order_key = 7,
        .now_us = NOW_US,
    };
    CONTRACT_OK(delivery_record(rig->base.store, &outcome, &diag), &diag);
    explain_all(rig);
    assert_int_equal(rig->rows[0].delivery.waits_for_id, MESSAGE - 1);
    rig_close(rig);
}

static void test_deleted_endpoints(void **state)
{
    struct rig *rig = rig_open(state);
    for (int64_t id = 1; id <= 4; id++) {
        endpoint_add(&rig->base, id, NULL);
    }
    struct endpoint_row foreign = endpoint_row_of(5, NULL);
    foreign.application_id = OTHER_APPLICATION;
    endpoint_put(&rig->base, &foreign);
    add_delivery(rig, MESSAGE, 1, 0);
    add_attempt(rig, ATTEMPT, 2, 200, TEXT(""));
    for (int64_t id = 1; id <= 3; id++) {
        endpoint_remove(&rig->base, id);
    }
    explain_all(rig);
    ASSERT_IDS(rig, 1, 2, 4);
    assert_true(rig->rows[0].endpoint.is_deleted && rig->rows[1].endpoint.is_deleted);
    assert_int_equal(rig->rows[0].endpoint.generation, 2);
    rig->with_all_deleted = true;
    explain_all(rig);
    ASSERT_IDS(rig, 1, 2, 3, 4);
    rig_close(rig);
}

static void test_pages(void **state)
{
    struct rig *rig = rig_open(state);
    for (int64_t id = 1; id <= 5; id++) {
        endpoint_add(&rig->base, id, NULL);
    }
    struct id_page page = oldest_first(2);
    explain(rig, &page);
    ASSERT_IDS(rig, 1, 2);
    assert_true(rig->end.has_more && rig->end.last_examined_id == 0);
    page.lower = 3;
    explain(rig, &page);
    ASSERT_IDS(rig, 4, 5);
    assert_false(rig->end.has_more);
    page = newest_first(2);
    page.upper = 3;
    explain(rig, &page);
    ASSERT_IDS(rig, 2, 1);
    assert_false(rig->end.has_more);
    page.lower = 1;
    page.upper = 2;
    explain(rig, &page);
    assert_int_equal(rig->end.count, 0);
    rig_close(rig);
}

/* Endpoints that are deleted and had nothing to do with it are left out, so many at a time. */
static void test_a_page_examines_so_many(void **state)
{
    struct rig *rig = rig_open(state);
    struct diag diag = {0};
    CONTRACT_OK(db_begin(rig->base.store->db, &diag), &diag);
    for (int64_t id = 1; id <= LIST_EXAMINED_MAX + 2; id++) {
        endpoint_add(&rig->base, id, NULL);
    }
    CONTRACT_OK(db_commit(rig->base.store->db, &diag), &diag);
    store_rig_run(&rig->base, "UPDATE endpoint SET deleted_at = 1 WHERE id <= 5001");
    struct id_page page = oldest_first(10);
    explain(rig, &page);
    assert_int_equal(rig->end.count, 0);
    assert_true(rig->end.has_more);
    assert_int_equal(rig->end.last_examined_id, LIST_EXAMINED_MAX);
    page.lower = rig->end.last_examined_id;
    explain(rig, &page);
    ASSERT_IDS(rig, LIST_EXAMINED_MAX + 2);
    assert_false(rig->end.has_more);
    page = newest_first(10);
    explain(rig, &page);
    ASSERT_IDS(rig, LIST_EXAMINED_MAX + 2);
    assert_true(rig->end.has_more);
    assert_int_equal(rig->end.last_examined_id, 3);
    rig_close(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_an_endpoint_as_it_is),      CONTRACT_BOTH(test_deliveries_and_attempts),
        CONTRACT_BOTH(test_a_response_is_cut_or_gone), CONTRACT_BOTH(test_what_waits_says_for_what),
        CONTRACT_BOTH(test_deleted_endpoints),         CONTRACT_BOTH(test_pages),
        CONTRACT_BOTH(test_a_page_examines_so_many),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
