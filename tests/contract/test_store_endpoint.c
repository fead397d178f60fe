/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints: settings, names, generations, deletion and pages. */
#include "contract/contract.h"
#include "contract/store_rig.h"

#include "store/attempt_list.h"
#include "store/delivery.h"
#include "store/endpoint.h"

#define APPLICATION 7
#define OTHER_APPLICATION 8

static struct endpoint_row row_of(int64_t id, const char *uid)
{
    return (struct endpoint_row){
        .id = id,
        .application_id = APPLICATION,
        .uid = slice_of(uid),
        .url = TEXT("https://h.example/a?b=%20c"),
        .description = TEXT(""),
        .version = 1,
        .metadata = TEXT("{}"),
        .headers = TEXT("{}"),
        .created_at_us = NOW_US,
        .updated_at_us = NOW_US,
    };
}

static void insert(struct store_rig *rig, const struct endpoint_row *row)
{
    struct diag diag = {0};
    CONTRACT_OK(endpoint_insert(rig->store, row, &diag), &diag);
}

static void add(struct store_rig *rig, int64_t id, const char *uid)
{
    const struct endpoint_row row = row_of(id, uid);
    insert(rig, &row);
}

static void update(struct store_rig *rig, const struct endpoint_row *row)
{
    struct diag diag = {0};
    CONTRACT_OK(endpoint_update(rig->store, row, &diag), &diag);
}

static void remove_one(struct store_rig *rig, int64_t id)
{
    struct diag diag = {0};
    CONTRACT_OK(endpoint_delete(rig->store, id, LATER_US, &diag), &diag);
}

static struct endpoint_row found(struct store_rig *rig, int64_t id)
{
    struct diag diag = {0};
    struct endpoint_row row;
    CONTRACT_OK(
        endpoint_find(rig->store, APPLICATION, id, ENDPOINT_WITH_DELETED, &rig->arena, &diag, &row),
        &diag);
    return row;
}

static enum ph_error find_error(struct store_rig *rig, int64_t application_id, int64_t id)
{
    struct endpoint_row row;
    return endpoint_find(rig->store, application_id, id, ENDPOINT_LIVE, &rig->arena, NULL, &row);
}

static int64_t failing_since(struct store_rig *rig, int64_t id)
{
    return store_rig_number(rig, "SELECT failing_since FROM endpoint WHERE id = $1", id);
}

static int64_t manual_count(struct store_rig *rig, int64_t endpoint_id)
{
    struct diag diag = {0};
    struct manual_attempt rows[10];
    size_t count = SIZE_MAX;
    CONTRACT_OK(manual_attempt_page(rig->store, delivery_shard(endpoint_id), endpoint_id, 0, rows,
                                    10, &diag, &count),
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
    struct endpoint_row row = row_of(5, "hook 1");
    row.description = TEXT("Größe");
    row.throttle_rate = 25;
    row.version = 3;
    row.is_disabled = true;
    row.event_types = TEXT("[\"run.failed\",\"run.ended\"]");
    row.channels = TEXT("[ \"prod\" ]");
    row.metadata = TEXT("{ \"n\" : 1.10 }");
    row.headers = TEXT("{\"X-Key\":\"v \\\"1\\\"\"}");
    row.updated_at_us = LATER_US;
    insert(&rig, &row);
    add(&rig, 6, NULL);

    row = found(&rig, 5);
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
    row = found(&rig, 6);
    assert_null(row.uid.ptr);
    assert_text_is(row.description, "");
    assert_int_equal(row.throttle_rate, 0);
    assert_false(row.is_disabled);
    assert_null(row.event_types.ptr);
    assert_null(row.channels.ptr);

    assert_int_equal(find_error(&rig, APPLICATION, 7), PH_NOT_FOUND);
    assert_int_equal(find_error(&rig, OTHER_APPLICATION, 5), PH_NOT_FOUND);
    struct arena small;
    arena_init(&small, 16);
    assert_int_equal(endpoint_find(rig.store, APPLICATION, 5, ENDPOINT_LIVE, &small, NULL, &row),
                     PH_NO_MEMORY);
    arena_done(&small);
    store_rig_close(&rig);
}

static enum ph_error resolve(struct store_rig *rig, int64_t application_id, struct slice name,
                             enum endpoint_scope scope, int64_t *ret_id)
{
    return endpoint_resolve(rig->store, application_id, name, scope, NULL, ret_id);
}

static void test_paths_name_by_id_or_uid(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add(&rig, 5, "hook");
    add(&rig, 6, "ep_hook");
    char text[ID_TEXT_MAX];
    size_t length = id_format(&rig.store->codec, ID_ENDPOINT, 5, text);
    struct slice name = {text, length};
    int64_t id = 0;
    assert_int_equal(resolve(&rig, APPLICATION, name, ENDPOINT_LIVE, &id), PH_OK);
    assert_int_equal(id, 5);
    id = 0;
    assert_int_equal(resolve(&rig, APPLICATION, TEXT("hook"), ENDPOINT_LIVE, &id), PH_OK);
    assert_int_equal(id, 5);
    assert_int_equal(resolve(&rig, OTHER_APPLICATION, name, ENDPOINT_WITH_DELETED, &id),
                     PH_NOT_FOUND);
    assert_int_equal(resolve(&rig, OTHER_APPLICATION, TEXT("hook"), ENDPOINT_LIVE, &id),
                     PH_NOT_FOUND);
    const struct slice strangers[] = {TEXT("ep_hook"), TEXT("Hook"), TEXT(""), TEXT("hook\xff"),
                                      TEXT("hook\0")};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(strangers); index++) {
        assert_int_equal(resolve(&rig, APPLICATION, strangers[index], ENDPOINT_LIVE, &id),
                         PH_NOT_FOUND);
    }

    /* A deleted one by its id alone, and only who asks for it. */
    remove_one(&rig, 5);
    assert_int_equal(resolve(&rig, APPLICATION, name, ENDPOINT_LIVE, &id), PH_NOT_FOUND);
    id = 0;
    assert_int_equal(resolve(&rig, APPLICATION, name, ENDPOINT_WITH_DELETED, &id), PH_OK);
    assert_int_equal(id, 5);
    assert_int_equal(resolve(&rig, APPLICATION, TEXT("hook"), ENDPOINT_WITH_DELETED, &id),
                     PH_NOT_FOUND);
    text[length - 1] = text[length - 1] == 'a' ? 'b' : 'a';
    assert_int_equal(resolve(&rig, APPLICATION, name, ENDPOINT_WITH_DELETED, &id), PH_NOT_FOUND);
    store_rig_close(&rig);
}

static void test_a_uid_is_taken_once_in_an_application(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add(&rig, 5, "hook");
    add(&rig, 6, NULL);
    add(&rig, 7, NULL);
    struct diag diag = {0};
    struct endpoint_row row = row_of(8, "hook");
    assert_int_equal(endpoint_insert(rig.store, &row, &diag), PH_CONFLICT);
    assert_string_equal(diag.text, "An endpoint with that id or uid already exists");
    row.application_id = OTHER_APPLICATION;
    insert(&rig, &row);
    row = row_of(6, "hook");
    row.is_disabled = true;
    assert_int_equal(endpoint_update(rig.store, &row, &diag), PH_CONFLICT);
    row = found(&rig, 6);
    assert_null(row.uid.ptr);
    assert_false(row.is_disabled);
    assert_int_equal(row.generation, 1);
    /* Its own uid is no conflict; a deleted one frees it. */
    row = row_of(5, "hook");
    update(&rig, &row);
    remove_one(&rig, 5);
    add(&rig, 9, "hook");
    assert_int_equal(find_error(&rig, APPLICATION, 9), PH_OK);
    store_rig_close(&rig);
}

static void test_an_update_writes_settings_only(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct endpoint_row row = row_of(5, "hook");
    row.throttle_rate = 25;
    row.event_types = TEXT("[\"a\"]");
    row.channels = TEXT("[\"b\"]");
    insert(&rig, &row);
    add(&rig, 6, "other");

    row = row_of(5, NULL);
    row.application_id = OTHER_APPLICATION;
    row.created_at_us = LATER_US;
    row.generation = 9;
    row.url = TEXT("http://new/");
    row.description = TEXT("new");
    row.version = 2;
    row.metadata = TEXT("{\"a\":1}");
    row.headers = TEXT("{\"b\":\"2\"}");
    row.updated_at_us = LATER_US;
    update(&rig, &row);
    row = found(&rig, 5); /* still in its application */
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
    assert_text_is(found(&rig, 6).url, "https://h.example/a?b=%20c");

    row.event_types = TEXT("[\"x\"]");
    row.channels = TEXT("[\"y\"]");
    update(&rig, &row);
    assert_text_is(found(&rig, 5).event_types, "[\"x\"]");
    assert_text_is(found(&rig, 5).channels, "[\"y\"]");
    store_rig_close(&rig);
}

static void test_disabling_grows_the_generation(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add(&rig, 5, NULL);
    add(&rig, 6, NULL);
    add_manual(&rig, 50, 5);
    add_manual(&rig, 60, 6);
    store_rig_run(&rig, "UPDATE endpoint SET failing_since = 44");

    struct endpoint_row row = row_of(5, NULL);
    update(&rig, &row);
    assert_int_equal(found(&rig, 5).generation, 1);
    assert_int_equal(failing_since(&rig, 5), 44);
    assert_int_equal(manual_count(&rig, 5), 1);

    row.is_disabled = true;
    update(&rig, &row);
    assert_true(found(&rig, 5).is_disabled);
    assert_int_equal(found(&rig, 5).generation, 2);
    assert_int_equal(failing_since(&rig, 5), 44);
    assert_int_equal(manual_count(&rig, 5), 0);
    update(&rig, &row);
    assert_int_equal(found(&rig, 5).generation, 2);

    row.is_disabled = false;
    update(&rig, &row);
    assert_false(found(&rig, 5).is_disabled);
    assert_int_equal(found(&rig, 5).generation, 2);
    assert_int_equal(failing_since(&rig, 5), 0);
    row.is_disabled = true;
    update(&rig, &row);
    assert_int_equal(found(&rig, 5).generation, 3);

    assert_int_equal(found(&rig, 6).generation, 1);
    assert_int_equal(failing_since(&rig, 6), 44);
    assert_int_equal(manual_count(&rig, 6), 1);
    store_rig_close(&rig);
}

static void test_a_deleted_endpoint_keeps_its_attempts(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add(&rig, 5, "hook");
    add_manual(&rig, 50, 5);
    struct diag diag = {0};
    const struct attempt_insert_row attempt = {
        .id = 40, .message_id = 100, .endpoint_id = 5, .url = TEXT("http://h/")};
    CONTRACT_OK(attempt_insert(rig.store, &attempt, &diag), &diag);
    remove_one(&rig, 5);

    assert_int_equal(find_error(&rig, APPLICATION, 5), PH_NOT_FOUND);
    struct endpoint_row row = found(&rig, 5);
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
    update(&rig, &row);
    remove_one(&rig, 5);
    row = found(&rig, 5);
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
    add(&rig, 5, "a");
    add(&rig, 6, "b");
    add(&rig, 7, "c");
    struct endpoint_row foreign = row_of(8, "a");
    foreign.application_id = OTHER_APPLICATION;
    insert(&rig, &foreign);
    remove_one(&rig, 6);
    struct seen seen = {0};
    struct diag diag = {0};
    CONTRACT_OK(endpoint_delete_all(rig.store, APPLICATION, LATER_US, note, &seen, &diag), &diag);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.ids[0], 5);
    assert_int_equal(seen.ids[1], 7);
    assert_true(found(&rig, 5).is_deleted);
    assert_true(found(&rig, 7).is_deleted);
    assert_int_equal(found(&rig, 7).generation, 2);
    assert_int_equal(found(&rig, 6).generation, 2);
    assert_int_equal(find_error(&rig, OTHER_APPLICATION, 8), PH_OK);
    CONTRACT_OK(endpoint_delete_all(rig.store, APPLICATION, LATER_US, note, &seen, &diag), &diag);
    assert_int_equal(seen.count, 2);
    store_rig_close(&rig);
}

static void assert_page(struct store_rig *rig, struct id_page page, const int64_t *ids,
                        size_t count, bool has_more)
{
    struct endpoint_row rows[RIG_ROWS_MAX];
    size_t got = SIZE_MAX;
    bool more = !has_more;
    struct diag diag = {0};
    arena_reset(&rig->arena);
    CONTRACT_OK(
        endpoint_page(rig->store, APPLICATION, &page, &rig->arena, &diag, rows, &got, &more),
        &diag);
    assert_int_equal(got, count);
    for (size_t index = 0; index < count; index++) {
        assert_int_equal(rows[index].id, ids[index]);
    }
    assert_int_equal(more, has_more);
}
#define ASSERT_PAGE(rig, page, has_more, ...)                                                      \
    do {                                                                                           \
        const int64_t expected_ids[] = {__VA_ARGS__};                                              \
        assert_page((rig), (page), expected_ids, PH_ARRAY_LENGTH(expected_ids), (has_more));       \
    } while (0)

static void test_pages(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    assert_page(&rig, newest_first(10), NULL, 0, false);
    for (int64_t id = 10; id <= 60; id += 10) {
        struct endpoint_row row = row_of(id, NULL);
        row.is_disabled = id == 20; /* listed as the others */
        insert(&rig, &row);
    }
    struct endpoint_row foreign = row_of(35, NULL);
    foreign.application_id = OTHER_APPLICATION;
    insert(&rig, &foreign);
    remove_one(&rig, 40);

    ASSERT_PAGE(&rig, oldest_first(3), true, 10, 20, 30);
    ASSERT_PAGE(&rig, oldest_first(5), false, 10, 20, 30, 50, 60);
    ASSERT_PAGE(&rig, newest_first(2), true, 60, 50);
    struct id_page page = newest_first(2);
    page.upper = 50;
    ASSERT_PAGE(&rig, page, true, 30, 20);
    page.upper = 20;
    ASSERT_PAGE(&rig, page, false, 10);
    page = oldest_first(2);
    page.lower = 20;
    page.upper = 60;
    ASSERT_PAGE(&rig, page, false, 30, 50);
    page.limit = 1;
    ASSERT_PAGE(&rig, page, true, 30);
    store_rig_close(&rig);
}

static void test_wide_rows_end_a_page_early(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    size_t length = (size_t)3 * 1024 * 1024;
    char *wide = ph_malloc(length);
    memset(wide, 'x', length);
    for (int64_t id = 1; id <= 5; id++) {
        struct endpoint_row row = row_of(id, NULL);
        row.description = (struct slice){wide, length};
        insert(&rig, &row);
    }
    free(wide);
    ASSERT_PAGE(&rig, oldest_first(5), true, 1, 2, 3);
    struct id_page page = oldest_first(5);
    page.lower = 3;
    ASSERT_PAGE(&rig, page, false, 4, 5);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_a_row_comes_back_as_it_went_in),
        CONTRACT_BOTH(test_paths_name_by_id_or_uid),
        CONTRACT_BOTH(test_a_uid_is_taken_once_in_an_application),
        CONTRACT_BOTH(test_an_update_writes_settings_only),
        CONTRACT_BOTH(test_disabling_grows_the_generation),
        CONTRACT_BOTH(test_a_deleted_endpoint_keeps_its_attempts),
        CONTRACT_BOTH(test_all_of_an_application_go_together),
        CONTRACT_BOTH(test_pages),
        CONTRACT_BOTH(test_wide_rows_end_a_page_early),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
