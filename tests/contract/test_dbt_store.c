/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the dbt surface: subscriptions beside their endpoints, dispatches, the log. */
#include "contract/contract.h"
#include "contract/store_endpoint_rig.h"

#include "store/delivery.h"
#include "store/message.h"
#include "surfaces/dbt/delivery_log.h"
#include "surfaces/dbt/subscription.h"

#define DAY_US INT64_C(86400000000)

static struct dbt_subscription row_of(int64_t id)
{
    return (struct dbt_subscription){
        .endpoint = {.id = id},
        .name = TEXT("orders \xc3\xbc"),
        .client_url = TEXT("https://h.example/A"),
        .delivery = TEXT("{}"),
        .updated_at_us = NOW_US,
    };
}

static void add(struct store_rig *rig, int64_t id)
{
    struct diag diag = {0};
    const struct dbt_subscription row = row_of(id);
    endpoint_add(rig, id, NULL);
    CONTRACT_OK(dbt_subscription_insert(rig->store, &row, &diag), &diag);
}

static struct dbt_subscription found(struct store_rig *rig, int64_t id)
{
    struct diag diag = {0};
    struct dbt_subscription row;
    CONTRACT_OK(dbt_subscription_find(rig->store, APPLICATION, id, &rig->arena, &diag, &row),
                &diag);
    return row;
}

static enum ph_error find_error(struct store_rig *rig, int64_t application_id, int64_t id)
{
    struct dbt_subscription row;
    return dbt_subscription_find(rig->store, application_id, id, &rig->arena, NULL, &row);
}

static void test_a_row_comes_back(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add(&rig, 50);
    struct dbt_subscription row = found(&rig, 50);
    assert_text_is(row.name, "orders \xc3\xbc");
    assert_text_is(row.client_url, "https://h.example/A");
    assert_text_is(row.delivery, "{}");
    assert_text_is(row.endpoint.url, "https://h.example/a?b=%20c");
    assert_int_equal(row.http_status_code, 0);
    assert_true(row.dispatched_at_us == 0 && row.updated_at_us == NOW_US);
    assert_null(row.deactivate_reason.ptr);
    assert_int_equal(find_error(&rig, OTHER_APPLICATION, 50), PH_NOT_FOUND);
    assert_int_equal(find_error(&rig, APPLICATION, 51), PH_NOT_FOUND);
    /* An endpoint alone is no subscription, and a deleted one is none. */
    endpoint_add(&rig, 52, NULL);
    assert_int_equal(find_error(&rig, APPLICATION, 52), PH_NOT_FOUND);
    endpoint_remove(&rig, 50);
    assert_int_equal(find_error(&rig, APPLICATION, 50), PH_NOT_FOUND);
    store_rig_close(&rig);
}

static void test_an_update(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    store_rig_open(&rig, state);
    add(&rig, 50);
    CONTRACT_OK(dbt_subscription_deactivated(rig.store, 50, TEXT("why"), &diag), &diag);
    struct dbt_subscription row = found(&rig, 50);
    assert_text_is(row.deactivate_reason, "why");
    row.name = TEXT("new");
    row.client_url = TEXT("http://x/");
    row.delivery = TEXT("{\"enrich\":true}");
    row.updated_at_us = LATER_US;
    row.failures_max = 3;
    CONTRACT_OK(dbt_subscription_update(rig.store, &row, false, &diag), &diag);
    row = found(&rig, 50);
    assert_text_is(row.name, "new");
    assert_text_is(row.delivery, "{\"enrich\":true}");
    assert_true(row.updated_at_us == LATER_US && row.failures_max == 3);
    assert_text_is(row.deactivate_reason, "why");
    CONTRACT_OK(dbt_subscription_update(rig.store, &row, true, &diag), &diag);
    assert_null(found(&rig, 50).deactivate_reason.ptr);
    CONTRACT_OK(dbt_subscription_delete(rig.store, 50, &diag), &diag);
    assert_int_equal(find_error(&rig, APPLICATION, 50), PH_NOT_FOUND);
    /* What the native API changed later counts too. */
    add(&rig, 60);
    struct endpoint_row endpoint = endpoint_found(&rig, 60);
    endpoint.updated_at_us = LATER_US + 7;
    endpoint_change(&rig, &endpoint);
    assert_true(found(&rig, 60).updated_at_us == LATER_US + 7);
    store_rig_close(&rig);
}

static void test_pages(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    struct dbt_subscription rows[4];
    size_t count;
    int64_t total;
    store_rig_open(&rig, state);
    for (int64_t id = 50; id < 57; id++) {
        add(&rig, id);
    }
    endpoint_add(&rig, 57, NULL);
    endpoint_remove(&rig, 52);
    CONTRACT_OK(dbt_subscription_page(rig.store, APPLICATION, 1, 4, &rig.arena, &diag, rows, &count,
                                      &total),
                &diag);
    assert_int_equal(count, 4);
    assert_int_equal(total, 6);
    static const int64_t expected[] = {51, 53, 54, 55};
    for (size_t index = 0; index < count; index++) {
        assert_true(rows[index].endpoint.id == expected[index]);
    }
    CONTRACT_OK(dbt_subscription_page(rig.store, APPLICATION, 6, 4, &rig.arena, &diag, rows, &count,
                                      &total),
                &diag);
    assert_int_equal(count, 0);
    struct dbt_subscription next;
    CONTRACT_OK(dbt_subscription_next(rig.store, 51, &rig.arena, &diag, &next), &diag);
    assert_true(next.endpoint.id == 53);
    assert_int_equal(dbt_subscription_next(rig.store, 56, &rig.arena, NULL, &next), PH_NOT_FOUND);
    store_rig_close(&rig);
}

static struct dbt_standing dispatch(struct store_rig *rig, int64_t code, bool is_success,
                                    int64_t now_us)
{
    struct diag diag = {0};
    struct dbt_standing standing;
    const struct dbt_dispatch given = {.endpoint_id = 50,
                                       .status_code = code,
                                       .is_success = is_success,
                                       .dispatched_at_us = now_us - 7,
                                       .now_us = now_us};
    CONTRACT_OK(dbt_subscription_dispatched(rig->store, &given, &diag, &standing), &diag);
    assert_true(standing.reason == NULL || !standing.is_warning);
    return standing;
}

/* Failures one after the other: "." nothing, "w" a warning, "x" the end. */
static void fail_times(struct store_rig *rig, const char *expected, int64_t first_us,
                       int64_t pause_us)
{
    for (size_t index = 0; expected[index] != '\0'; index++) {
        struct dbt_standing standing =
            dispatch(rig, 500, false, first_us + (int64_t)index * pause_us);
        assert_int_equal(standing.failures, index + 1);
        assert_true(standing.failing_since_us == first_us);
        assert_int_equal(standing.is_warning, expected[index] == 'w');
        assert_int_equal(standing.reason != NULL, expected[index] == 'x');
    }
}

static void test_dispatches(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    store_rig_open(&rig, state);
    assert_null(dispatch(&rig, 200, true, NOW_US).reason); /* no such subscription: nothing */
    add(&rig, 50);
    fail_times(&rig, ".....", LATER_US, 0);
    assert_null(dispatch(&rig, 410, false, LATER_US).reason);
    struct dbt_subscription row = found(&rig, 50);
    assert_int_equal(row.http_status_code, 410);
    assert_true(row.dispatched_at_us == LATER_US - 7 && row.updated_at_us == LATER_US);

    row.failures_max = 5;
    CONTRACT_OK(dbt_subscription_update(rig.store, &row, true, &diag), &diag);
    fail_times(&rig, "..w.", LATER_US, 1);
    assert_int_equal(dispatch(&rig, 200, true, LATER_US).failures, 0); /* all begins anew */
    fail_times(&rig, "..w.xx", LATER_US, 1);

    row.failures_max = 0;
    row.failing_max_us = DAY_US;
    CONTRACT_OK(dbt_subscription_update(rig.store, &row, true, &diag), &diag);
    fail_times(&rig, "..w.x", LATER_US, DAY_US / 4);
    store_rig_close(&rig);
}

/* --- the log ---------------------------------------------------------------------------------- */

static void message(struct store_rig *rig, int64_t id, int64_t application_id)
{
    struct diag diag = {0};
    const struct message_row row = {.id = id,
                                    .application_id = application_id,
                                    .event_type = TEXT("job.run.started"),
                                    .channels = TEXT("[\"job.41\"]"),
                                    .payload_expires_at_us = LATER_US};
    CONTRACT_OK(message_insert(rig->store, &row, &diag), &diag);
    CONTRACT_OK(
        message_insert_payload(rig->store, id, TEXT("{\"n\":1}"), SLICE_NONE, SLICE_NONE, &diag),
        &diag);
}

static void deliver(struct store_rig *rig, int64_t message_id, int64_t endpoint_id)
{
    struct diag diag = {0};
    const struct delivery_insert_row row = {.message_id = message_id,
                                            .endpoint_id = endpoint_id,
                                            .shard = delivery_shard(endpoint_id),
                                            .due_us = NOW_US,
                                            .generation = 1};
    CONTRACT_OK(delivery_insert(rig->store, &row, &diag), &diag);
}

static void attempt(struct store_rig *rig, int64_t id, int64_t message_id, int64_t code)
{
    struct diag diag = {0};
    const struct attempt_insert_row row = {.id = id,
                                           .message_id = message_id,
                                           .endpoint_id = 50,
                                           .response_code = code,
                                           .url = TEXT("http://x/"),
                                           .response = TEXT("")};
    CONTRACT_OK(attempt_insert(rig->store, &row, &diag), &diag);
}

static void cancel(struct store_rig *rig, int64_t message_id)
{
    struct diag diag = {0};
    CONTRACT_OK(delivery_cancel(rig->store, message_id, 50, DELIVERY_REASON_FILTER, NOW_US, &diag),
                &diag);
}

static void test_the_log(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    struct dbt_log_event rows[2];
    size_t count;
    int64_t total;
    store_rig_open(&rig, state);
    add(&rig, 50);
    for (int64_t id = 1001; id <= 1005; id++) {
        message(&rig, id, APPLICATION);
        deliver(&rig, id, 50);
    }
    message(&rig, 1006, APPLICATION); /* of another endpoint */
    deliver(&rig, 1006, 51);
    message(&rig, 1007, OTHER_APPLICATION);
    deliver(&rig, 1007, 50);
    attempt(&rig, 2001, 1005, 500);
    attempt(&rig, 2002, 1005, 204);
    cancel(&rig, 1004); /* the filter's */
    struct dbt_log_query query = {
        .application_id = APPLICATION, .endpoint_id = 50, .after_id = 1001, .limit = 2};
    CONTRACT_OK(dbt_log_page(rig.store, &query, &rig.arena, &diag, rows, &count, &total), &diag);
    assert_int_equal(count, 2);
    assert_int_equal(total, 3); /* 1001 is too old */
    assert_true(rows[0].message_id == 1005 && rows[1].message_id == 1003);
    assert_int_equal(rows[0].status_code, 204);
    assert_int_equal(rows[1].status_code, 0);
    assert_text_is(rows[0].payload, "{\"n\":1}");
    assert_text_is(rows[0].channels, "[\"job.41\"]");
    query.offset = 2;
    CONTRACT_OK(dbt_log_page(rig.store, &query, &rig.arena, &diag, rows, &count, &total), &diag);
    assert_int_equal(count, 1);
    assert_true(rows[0].message_id == 1002);

    struct dbt_log_event event;
    CONTRACT_OK(dbt_log_find(rig.store, &query, 1005, &rig.arena, &diag, &event), &diag);
    assert_text_is(event.event_type, "job.run.started");
    static const int64_t none[] = {1001, 1004, 1006, 1007, 1008};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(none); index++) {
        assert_int_equal(dbt_log_find(rig.store, &query, none[index], &rig.arena, NULL, &event),
                         PH_NOT_FOUND);
    }
    int64_t message_id;
    int64_t endpoint_id;
    CONTRACT_OK(dbt_log_of_attempt(rig.store, 2001, &diag, &message_id, &endpoint_id), &diag);
    assert_true(message_id == 1005 && endpoint_id == 50);
    assert_int_equal(dbt_log_of_attempt(rig.store, 2003, NULL, &message_id, &endpoint_id),
                     PH_NOT_FOUND);
    /* A payload that is gone leaves the event. */
    store_rig_run(&rig, "DELETE FROM payload");
    CONTRACT_OK(dbt_log_find(rig.store, &query, 1005, &rig.arena, &diag, &event), &diag);
    assert_null(event.payload.ptr);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_a_row_comes_back),
        CONTRACT_BOTH(test_an_update),
        CONTRACT_BOTH(test_pages),
        CONTRACT_BOTH(test_dispatches),
        CONTRACT_BOTH(test_the_log),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
