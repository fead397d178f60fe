/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints: settings, generations, deletion. */
#include "contract/contract.h"
#include "contract/store_endpoint_rig.h"

#include "store/attempt_list.h"
#include "store/delivery.h"
#include "store/endpoint.h"

static int64_t failing_since(struct store_rig *rig, int64_t id)
{
    return store_rig_number(rig, "SELECT failing_since FROM endpoint WHERE id = $1", id);
}

static int64_t manual_count(struct store_rig *rig, int64_t endpoint_id)
{
    struct diag diag = {0};
    struct manual_attempt rows[10];
    size_t count = SIZE_MAX;
    CONTRACT_OK(manual_attempt_page(rig->store, delivery_shard(endpoint_id), endpoint_id, false, 0,
                                    rows, 10, &diag, &count),
                &diag);
    return (int64_t)count;
}

static void add_manual(struct store_rig *rig, int64_t id, int64_t endpoint_id)
{
    struct diag diag = {0};
    CONTRACT_OK(manual_attempt_insert(rig->store, id, 100, endpoint_id, &diag), &diag);
}

static void test_a_row_comes_back_as_it_went_in(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct endpoint_row row = endpoint_row_of(5, "hook 1");
    row.description = TEXT("Größe");
    row.throttle_rate = 25;
    row.version = 3;
    row.is_disabled = true;
    row.event_types = TEXT("[\"run.failed\",\"run.ended\"]");
    row.channels = TEXT("[ \"prod\" ]");
    row.metadata = TEXT("{ \"n\" : 1.10 }");
    row.headers = TEXT("{\"X-Key\":\"v \\\"1\\\"\"}");
    row.updated_at_us = LATER_US;
    endpoint_put(&rig, &row);
    endpoint_add(&rig, 6, NULL);

    row = endpoint_found(&rig, 5);
    assert_int_equal(row.id, 5);
    assert_int_equal(row.application_id, APPLICATION);
    assert_text_is(row.uid, "hook 1");
    assert_text_is(row.url, "https://h.example/a?b=%20c");
    assert_text_is(row.description, "Größe");
    assert_int_equal(row.throttle_rate, 25);
    assert_int_equal(row.version, 3);
    assert_true(row.is_disabled);
    assert_false(row.is_deleted);
    assert_text_is(row.event_types, "[\"run.failed\",\"run.ended\"]");
    assert_text_is(row.channels, "[ \"prod\" ]");
    assert_text_is(row.metadata, "{ \"n\" : 1.10 }");
    assert_text_is(row.headers, "{\"X-Key\":\"v \\\"1\\\"\"}");
    assert_int_equal(row.created_at_us, NOW_US);
    assert_int_equal(row.updated_at_us, LATER_US);
    assert_int_equal(row.generation, 1);
    assert_int_equal(store_rig_number(&rig, "SELECT shard FROM endpoint WHERE id = $1", 5),
                     delivery_shard(5));
    row = endpoint_found(&rig, 6);
    assert_null(row.uid.ptr);
    assert_text_is(row.description, "");
    assert_int_equal(row.throttle_rate, 0);
    assert_false(row.is_disabled);
    assert_null(row.event_types.ptr);
    assert_null(row.channels.ptr);

    assert_int_equal(endpoint_find_error(&rig, APPLICATION, 7), PH_NOT_FOUND);
    assert_int_equal(endpoint_find_error(&rig, OTHER_APPLICATION, 5), PH_NOT_FOUND);
    struct arena small;
    arena_init(&small, 16);
    assert_int_equal(endpoint_find(rig.store, APPLICATION, 5, ENDPOINT_LIVE, &small, NULL, &row),
                     PH_NO_MEMORY);
    arena_done(&small);
    store_rig_close(&rig);
}

static void test_an_update_writes_settings_only(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct endpoint_row row = endpoint_row_of(5, "hook");
    row.throttle_rate = 25;
    row.event_types = TEXT("[\"a\"]");
    row.channels = TEXT("[\"b\"]");
    endpoint_put(&rig, &row);
    endpoint_add(&rig, 6, "other");

    row = endpoint_row_of(5, NULL);
    row.application_id = OTHER_APPLICATION;
    row.created_at_us = LATER_US;
    row.generation = 9;
    row.url = TEXT("http://new/");
    row.description = TEXT("new");
    row.version = 2;
    row.metadata = TEXT("{\"a\":1}");
    row.headers = TEXT("{\"b\":\"2\"}");
    row.updated_at_us = LATER_US;
    endpoint_change(&rig, &row);
    row = endpoint_found(&rig, 5); /* still in its application */
    assert_null(row.uid.ptr);
    assert_text_is(row.url, "http://new/");
    assert_text_is(row.description, "new");
    assert_int_equal(row.throttle_rate, 0);
    assert_int_equal(row.version, 2);
    assert_null(row.event_types.ptr);
    assert_null(row.channels.ptr);
    assert_text_is(row.metadata, "{\"a\":1}");
    assert_text_is(row.headers, "{\"b\":\"2\"}");
    assert_int_equal(row.created_at_us, NOW_US);
    assert_int_equal(row.updated_at_us, LATER_US);
    assert_int_equal(row.generation, 1);
    assert_text_is(endpoint_found(&rig, 6).url, "https://h.example/a?b=%20c");

    row.event_types = TEXT("[\"x\"]");
    row.channels = TEXT("[\"y\"]");
    endpoint_change(&rig, &row);
    assert_text_is(endpoint_found(&rig, 5).event_types, "[\"x\"]");
    assert_text_is(endpoint_found(&rig, 5).channels, "[\"y\"]");
    store_rig_close(&rig);
}

static void test_disabling_grows_the_generation(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    endpoint_add(&rig, 5, NULL);
    endpoint_add(&rig, 6, NULL);
    add_manual(&rig, 50, 5);
    add_manual(&rig, 60, 6);
    store_rig_run(&rig, "UPDATE endpoint SET failing_since = 44");

    struct endpoint_row row = endpoint_row_of(5, NULL);
    endpoint_change(&rig, &row);
    assert_int_equal(endpoint_found(&rig, 5).generation, 1);
    assert_int_equal(failing_since(&rig, 5), 44);
    assert_int_equal(manual_count(&rig, 5), 1);

    row.is_disabled = true;
    endpoint_change(&rig, &row);
    assert_true(endpoint_found(&rig, 5).is_disabled);
    assert_int_equal(endpoint_found(&rig, 5).generation, 2);
    assert_int_equal(failing_since(&rig, 5), 44);
    assert_int_equal(manual_count(&rig, 5), 0);
    endpoint_change(&rig, &row);
    assert_int_equal(endpoint_found(&rig, 5).generation, 2);
    assert_int_equal(failing_since(&rig, 5), 44);

    row.is_disabled = false;
    endpoint_change(&rig, &row);
    assert_false(endpoint_found(&rig, 5).is_disabled);
    assert_int_equal(endpoint_found(&rig, 5).generation, 2);
    assert_int_equal(failing_since(&rig, 5), 0);
    row.is_disabled = true;
    endpoint_change(&rig, &row);
    assert_int_equal(endpoint_found(&rig, 5).generation, 3);

    assert_int_equal(endpoint_found(&rig, 6).generation, 1);
    assert_int_equal(failing_since(&rig, 6), 44);
    assert_int_equal(manual_count(&rig, 6), 1);
    store_rig_close(&rig);
}

static void test_a_deleted_endpoint_keeps_its_attempts(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    endpoint_add(&rig, 5, "hook");
    add_manual(&rig, 50, 5);
    struct diag diag = {0};
    const struct attempt_insert_row attempt = {
        .id = 40, .message_id = 100, .endpoint_id = 5, .url = TEXT("http://h/")};
    CONTRACT_OK(attempt_insert(rig.store, &attempt, &diag), &diag);
    endpoint_remove(&rig, 5);

    assert_int_equal(endpoint_find_error(&rig, APPLICATION, 5), PH_NOT_FOUND);
    struct endpoint_row row = endpoint_found(&rig, 5);
    assert_true(row.is_deleted);
    assert_int_equal(row.generation, 2);
    assert_int_equal(row.updated_at_us, LATER_US);
    assert_int_equal(manual_count(&rig, 5), 0);
    struct attempt_row kept;
    CONTRACT_OK(attempt_find(rig.store, 100, 40, &rig.arena, &diag, &kept), &diag);
    assert_int_equal(kept.endpoint_id, 5);

    /* It takes no change, and the second time nothing happens. */
    row.url = TEXT("http://too-late/");
    row.is_disabled = true;
    endpoint_change(&rig, &row);
    endpoint_remove(&rig, 5);
    row = endpoint_found(&rig, 5);
    assert_text_is(row.url, "https://h.example/a?b=%20c");
    assert_int_equal(row.generation, 2);
    store_rig_close(&rig);
}

struct seen {
    int64_t ids[8];
    size_t count;
};

static void note(void *context, int64_t endpoint_id)
{
    struct seen *seen = context;
    assert_true(seen->count < PH_ARRAY_LENGTH(seen->ids));
    seen->ids[seen->count++] = endpoint_id;
}

static void test_all_of_an_application_go_together(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    endpoint_add(&rig, 5, "a");
    endpoint_add(&rig, 6, "b");
    endpoint_add(&rig, 7, "c");
    struct endpoint_row foreign = endpoint_row_of(8, "a");
    foreign.application_id = OTHER_APPLICATION;
    endpoint_put(&rig, &foreign);
    endpoint_remove(&rig, 6);
    struct seen seen = {0};
    struct diag diag = {0};
    CONTRACT_OK(endpoint_delete_all(rig.store, APPLICATION, LATER_US, note, &seen, &diag), &diag);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.ids[0], 5);
    assert_int_equal(seen.ids[1], 7);
    assert_true(endpoint_found(&rig, 5).is_deleted);
    assert_true(endpoint_found(&rig, 7).is_deleted);
    assert_int_equal(endpoint_found(&rig, 7).generation, 2);
    assert_int_equal(endpoint_found(&rig, 6).generation, 2);
    assert_int_equal(endpoint_find_error(&rig, OTHER_APPLICATION, 8), PH_OK);
    CONTRACT_OK(endpoint_delete_all(rig.store, APPLICATION, LATER_US, note, &seen, &diag), &diag);
    assert_int_equal(seen.count, 2);
    store_rig_close(&rig);
}

static void test_the_server_disables(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    bool was_enabled;
    store_rig_open(&rig, state);
    endpoint_add(&rig, 50, NULL);
    CONTRACT_OK(manual_attempt_insert(rig.store, 60, 1, 50, &diag), &diag);
    int64_t generation = endpoint_found(&rig, 50).generation;
    CONTRACT_OK(endpoint_disable(rig.store, 50, LATER_US, &diag, &was_enabled), &diag);
    assert_true(was_enabled);
    struct endpoint_row row = endpoint_found(&rig, 50);
    assert_true(row.is_disabled && row.updated_at_us == LATER_US);
    assert_true(row.generation == generation + 1);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM manual_attempt", 0), 0);
    CONTRACT_OK(endpoint_disable(rig.store, 50, LATER_US, &diag, &was_enabled), &diag);
    assert_false(was_enabled);
    assert_true(endpoint_found(&rig, 50).generation == generation + 1);
    endpoint_add(&rig, 51, NULL);
    endpoint_remove(&rig, 51);
    CONTRACT_OK(endpoint_disable(rig.store, 51, LATER_US, &diag, &was_enabled), &diag);
    assert_false(was_enabled);
    CONTRACT_OK(endpoint_disable(rig.store, 52, LATER_US, &diag, &was_enabled), &diag);
    assert_false(was_enabled);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_a_row_comes_back_as_it_went_in),
        CONTRACT_BOTH(test_an_update_writes_settings_only),
        CONTRACT_BOTH(test_disabling_grows_the_generation),
        CONTRACT_BOTH(test_a_deleted_endpoint_keeps_its_attempts),
        CONTRACT_BOTH(test_all_of_an_application_go_together),
        CONTRACT_BOTH(test_the_server_disables),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
