/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints by name, and their pages. */
#include "contract/contract.h"
#include "contract/store_endpoint_rig.h"

#include "store/endpoint.h"

static enum ph_error resolve(struct store_rig *rig, int64_t application_id, struct slice name,
                             enum endpoint_scope scope, int64_t *ret_id)
{
    return endpoint_resolve(rig->store, application_id, name, scope, NULL, ret_id);
}

static void test_paths_name_by_id_or_uid(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    endpoint_add(&rig, 5, "hook");
    endpoint_add(&rig, 6, "ep_hook");
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
    endpoint_remove(&rig, 5);
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
    endpoint_add(&rig, 5, "hook");
    endpoint_add(&rig, 6, NULL);
    endpoint_add(&rig, 7, NULL);
    struct diag diag = {0};
    struct endpoint_row row = endpoint_row_of(8, "hook");
    assert_int_equal(endpoint_insert(rig.store, &row, &diag), PH_CONFLICT);
    assert_string_equal(diag.text, "An endpoint with that id or uid already exists");
    row.application_id = OTHER_APPLICATION;
    endpoint_put(&rig, &row);
    row = endpoint_row_of(6, "hook");
    row.is_disabled = true;
    assert_int_equal(endpoint_update(rig.store, &row, &diag), PH_CONFLICT);
    row = endpoint_found(&rig, 6);
    assert_null(row.uid.ptr);
    assert_false(row.is_disabled);
    assert_int_equal(row.generation, 1);
    /* Its own uid is no conflict; a deleted one frees it. */
    row = endpoint_row_of(5, "hook");
    endpoint_change(&rig, &row);
    endpoint_remove(&rig, 5);
    endpoint_add(&rig, 9, "hook");
    assert_int_equal(endpoint_find_error(&rig, APPLICATION, 9), PH_OK);
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
        struct endpoint_row row = endpoint_row_of(id, NULL);
        row.is_disabled = id == 20; /* listed as the others */
        endpoint_put(&rig, &row);
    }
    struct endpoint_row foreign = endpoint_row_of(35, NULL);
    foreign.application_id = OTHER_APPLICATION;
    endpoint_put(&rig, &foreign);
    endpoint_remove(&rig, 40);

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
        struct endpoint_row row = endpoint_row_of(id, NULL);
        row.description = (struct slice){wide, length};
        endpoint_put(&rig, &row);
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
        CONTRACT_BOTH(test_paths_name_by_id_or_uid),
        CONTRACT_BOTH(test_a_uid_is_taken_once_in_an_application),
        CONTRACT_BOTH(test_pages),
        CONTRACT_BOTH(test_wide_rows_end_a_page_early),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
