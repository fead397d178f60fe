/* SPDX-License-Identifier: Apache-2.0 */
/* What statistics count of endpoints, applications and their subscriptions. */
#include "contract/store_replay_rig.h"

#include "store/application.h"
#include "store/usage.h"

static bool count_each(void *context, struct slice event_types)
{
    int64_t *counts = context;
    counts[event_types.ptr == NULL]++;
    return counts[0] < 2;
}

static void test_counts(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    for (int64_t id = 1; id <= 4; id++) {
        add_message(&rig, id);
        add_delivery(&rig, id);
        add_attempt(&rig, 10 + id, id, id == 2 ? 200 : 500);
    }
    record(&rig, 1, DELIVERY_PENDING);
    record(&rig, 2, DELIVERY_SUCCEEDED);
    const struct replay_range range = {11, INT64_MAX};
    struct usage_attempts attempts;
    CONTRACT_OK(usage_count_attempts(rig.store, ENDPOINT, &range, 10, &diag, &attempts), &diag);
    assert_int_equal(attempts.success, 1);
    assert_int_equal(attempts.fail, 2);
    assert_false(attempts.is_cut);
    CONTRACT_OK(usage_count_attempts(rig.store, ENDPOINT, &range, 2, &diag, &attempts), &diag);
    assert_int_equal(attempts.success, 0); /* the newest two */
    assert_int_equal(attempts.fail, 2);
    assert_true(attempts.is_cut);
    CONTRACT_OK(usage_count_attempts(rig.store, OTHER_ENDPOINT, &range, 10, &diag, &attempts),
                &diag);
    assert_int_equal(attempts.success + attempts.fail, 0);
    struct usage_pending pending;
    const struct replay_range early = {0, 4};
    CONTRACT_OK(usage_count_pending(rig.store, ENDPOINT, &early, 10, &diag, &pending), &diag);
    assert_int_equal(pending.untried, 1);
    assert_int_equal(pending.tried, 1);
    assert_false(pending.is_cut);
    CONTRACT_OK(usage_count_pending(rig.store, ENDPOINT, &early, 1, &diag, &pending), &diag);
    assert_true(pending.untried + pending.tried <= 1);
    assert_true(pending.is_cut);
    struct usage_messages messages;
    CONTRACT_OK(usage_count_messages(rig.store, APPLICATION, &everything, 3, &diag, &messages),
                &diag);
    assert_int_equal(messages.messages, 3);
    assert_int_equal(messages.deliveries, 3);
    assert_int_equal(messages.attempts, 3);
    assert_int_equal(messages.last_id, 3);
    CONTRACT_OK(
        usage_count_messages(rig.store, OTHER_APPLICATION, &everything, 3, &diag, &messages),
        &diag);
    assert_int_equal(messages.messages + messages.deliveries + messages.last_id, 0);
    store_rig_close(&rig);
}

static void test_applications_and_their_subscriptions(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    int64_t id = -1;
    add_application(&rig, 3);
    add_application(&rig, APPLICATION);
    CONTRACT_OK(application_delete(rig.store, 3, NOW_US, &diag), &diag);
    CONTRACT_OK(usage_next_application(rig.store, TEXT("org_a"), 0, &diag, &id), &diag);
    assert_int_equal(id, APPLICATION);
    CONTRACT_OK(usage_next_application(rig.store, TEXT("org_a"), id, &diag, &id), &diag);
    assert_int_equal(id, 0);
    CONTRACT_OK(usage_next_application(rig.store, TEXT("org_b"), 0, &diag, &id), &diag);
    assert_int_equal(id, 0);

    for (int64_t endpoint_id = 20; endpoint_id < 25; endpoint_id++) {
        struct endpoint_row row = endpoint_row_of(endpoint_id, NULL);
        row.event_types = endpoint_id == 20 ? SLICE_NONE : TEXT("[\"a\"]");
        row.is_disabled = endpoint_id == 21;
        endpoint_put(&rig, &row);
    }
    endpoint_remove(&rig, 22);
    int64_t counts[2] = {0};
    CONTRACT_OK(usage_each_subscription(rig.store, APPLICATION, count_each, counts, &diag), &diag);
    assert_int_equal(counts[0], 2); /* stopped before the last */
    assert_int_equal(counts[1], 1);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_counts),
        CONTRACT_BOTH(test_applications_and_their_subscriptions),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
