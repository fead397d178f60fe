/* SPDX-License-Identifier: Apache-2.0 */
/* Applications: names for one thing (id, uid), what a change touches, and their pages. */
#include "contract/contract.h"
#include "contract/store_rig.h"

#include "store/application.h"

#define ORG TEXT("org_a")
#define OTHER_ORG TEXT("org_b")

static struct application_row row_of(int64_t id, const char *uid)
{
    return (struct application_row){
        .id = id,
        .org = ORG,
        .uid = slice_of(uid),
        .name = TEXT("Größe 1"),
        .metadata = TEXT("{}"),
        .created_at_us = NOW_US,
        .updated_at_us = NOW_US,
    };
}

static void insert(struct store_rig *rig, const struct application_row *row)
{
    struct diag diag = {0};
    CONTRACT_OK(application_insert(rig->store, row, &diag), &diag);
}

static void add(struct store_rig *rig, int64_t id, const char *uid)
{
    const struct application_row row = row_of(id, uid);
    insert(rig, &row);
}

static struct application_row found(struct store_rig *rig, int64_t id)
{
    struct diag diag = {0};
    struct application_row row;
    CONTRACT_OK(application_find(rig->store, ORG, id, &rig->arena, &diag, &row), &diag);
    return row;
}

static enum ph_error find_error(struct store_rig *rig, struct slice org, int64_t id)
{
    struct application_row row;
    return application_find(rig->store, org, id, &rig->arena, NULL, &row);
}

static int64_t version(struct store_rig *rig, int64_t id)
{
    return store_rig_number(rig, "SELECT config_version FROM application WHERE id = $1", id);
}

static void test_a_row_comes_back_as_it_went_in(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct application_row row = row_of(5, "tenant/1");
    row.throttle_rate = 250;
    row.metadata = TEXT("{ \"b\" : 1.10, \"a\":\"\\u00e9\" }");
    row.updated_at_us = LATER_US;
    insert(&rig, &row);
    add(&rig, 6, NULL);

    struct application_row copy = found(&rig, 5);
    assert_int_equal(copy.id, 5);
    assert_text_is(copy.org, "org_a");
    assert_text_is(copy.uid, "tenant/1");
    assert_text_is(copy.name, "Größe 1");
    assert_int_equal(copy.throttle_rate, 250);
    assert_text_is(copy.metadata, "{ \"b\" : 1.10, \"a\":\"\\u00e9\" }");
    assert_int_equal(copy.created_at_us, NOW_US);
    assert_int_equal(copy.updated_at_us, LATER_US);
    copy = found(&rig, 6);
    assert_null(copy.uid.ptr);
    assert_int_equal(copy.throttle_rate, 0);

    assert_int_equal(find_error(&rig, ORG, 7), PH_NOT_FOUND);
    assert_int_equal(find_error(&rig, OTHER_ORG, 5), PH_NOT_FOUND);
    struct arena small;
    arena_init(&small, 16);
    assert_int_equal(application_find(rig.store, ORG, 5, &small, NULL, &copy), PH_NO_MEMORY);
    arena_done(&small);
    store_rig_close(&rig);
}

static void test_paths_name_by_id_or_uid(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add(&rig, 5, "tenant");
    add(&rig, 6, "app_tenant");
    struct diag diag = {0};
    char text[ID_TEXT_MAX];
    int64_t id = 0;
    size_t length = id_format(&rig.store->codec, ID_APPLICATION, 5, text);
    struct slice name = {text, length};
    CONTRACT_OK(application_resolve(rig.store, ORG, name, &diag, &id), &diag);
    assert_int_equal(id, 5);
    CONTRACT_OK(application_resolve(rig.store, ORG, TEXT("tenant"), &diag, &id), &diag);
    assert_int_equal(id, 5);
    assert_int_equal(application_resolve(rig.store, OTHER_ORG, name, &diag, &id), PH_NOT_FOUND);
    assert_string_equal(diag.text, "Entity not found");
    assert_int_equal(application_resolve(rig.store, OTHER_ORG, TEXT("tenant"), NULL, &id),
                     PH_NOT_FOUND);
    /* What looks like an id is one: a uid cannot stand in for it. */
    const struct slice strangers[] = {TEXT("app_tenant"), TEXT("Tenant"),  TEXT("tenan"),
                                      TEXT(""),           TEXT("ten\xff"), TEXT("tenant\0")};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(strangers); index++) {
        assert_int_equal(application_resolve(rig.store, ORG, strangers[index], NULL, &id),
                         PH_NOT_FOUND);
    }
    text[length - 1] = text[length - 1] == 'a' ? 'b' : 'a';
    assert_int_equal(application_resolve(rig.store, ORG, name, NULL, &id), PH_NOT_FOUND);
    (void)id_format(&rig.store->codec, ID_ENDPOINT, 5, text);
    assert_int_equal(application_resolve(rig.store, ORG, slice_of(text), NULL, &id), PH_NOT_FOUND);
    (void)id_format(&rig.store->codec, ID_APPLICATION, 99, text);
    assert_int_equal(application_resolve(rig.store, ORG, slice_of(text), NULL, &id), PH_NOT_FOUND);
    assert_int_equal(id, 5);
    store_rig_close(&rig);
}

static void test_a_uid_is_taken_once_in_an_organisation(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add(&rig, 5, "tenant");
    add(&rig, 6, NULL);
    add(&rig, 7, NULL);
    struct diag diag = {0};
    struct application_row row = row_of(8, "tenant");
    assert_int_equal(application_insert(rig.store, &row, &diag), PH_CONFLICT);
    assert_string_equal(diag.text, "An application with that id or uid already exists");
    assert_int_equal(find_error(&rig, ORG, 8), PH_NOT_FOUND);
    row.org = OTHER_ORG;
    insert(&rig, &row);
    row = row_of(6, "tenant");
    assert_int_equal(application_update(rig.store, &row, &diag), PH_CONFLICT);
    assert_null(found(&rig, 6).uid.ptr);

    /* In a savepoint the transaction around it goes on. */
    CONTRACT_OK(db_begin(rig.store->db, &diag), &diag);
    add(&rig, 10, "before");
    CONTRACT_OK(db_savepoint(rig.store->db, &diag), &diag);
    row = row_of(11, "tenant");
    assert_int_equal(application_insert(rig.store, &row, &diag), PH_CONFLICT);
    db_savepoint_rollback(rig.store->db);
    add(&rig, 12, "after");
    CONTRACT_OK(db_commit(rig.store->db, &diag), &diag);
    assert_text_is(found(&rig, 10).uid, "before");
    assert_text_is(found(&rig, 12).uid, "after");

    /* A deleted one frees it. */
    CONTRACT_OK(application_delete(rig.store, 5, NOW_US, &diag), &diag);
    row = row_of(6, "tenant");
    CONTRACT_OK(application_update(rig.store, &row, &diag), &diag);
    int64_t id = 0;
    CONTRACT_OK(application_resolve(rig.store, ORG, TEXT("tenant"), &diag, &id), &diag);
    assert_int_equal(id, 6);
    store_rig_close(&rig);
}

static void test_changes_grow_the_version(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct application_row row = row_of(5, "tenant");
    row.throttle_rate = 9;
    insert(&rig, &row);
    add(&rig, 6, NULL);
    int64_t first = version(&rig, 5);
    struct diag diag = {0};

    row = (struct application_row){.id = 5,
                                   .org = OTHER_ORG, /* never changed */
                                   .name = TEXT("new"),
                                   .metadata = TEXT("{\"a\":1}"),
                                   .created_at_us = LATER_US, /* never changed */
                                   .updated_at_us = LATER_US};
    CONTRACT_OK(application_update(rig.store, &row, &diag), &diag);
    struct application_row copy = found(&rig, 5);
    assert_null(copy.uid.ptr);
    assert_text_is(copy.name, "new");
    assert_int_equal(copy.throttle_rate, 0);
    assert_text_is(copy.metadata, "{\"a\":1}");
    assert_int_equal(copy.created_at_us, NOW_US);
    assert_int_equal(copy.updated_at_us, LATER_US);
    assert_true(version(&rig, 5) > first);

    int64_t second = version(&rig, 5);
    CONTRACT_OK(application_touch(rig.store, 5, &diag), &diag);
    assert_true(version(&rig, 5) > second);
    int64_t third = version(&rig, 5);
    CONTRACT_OK(application_delete(rig.store, 5, LATER_US, &diag), &diag);
    assert_true(version(&rig, 5) > third);
    assert_int_equal(find_error(&rig, ORG, 5), PH_NOT_FOUND);

    /* The neighbour saw nothing of it, and a deleted one takes no change. */
    assert_int_equal(version(&rig, 6), first);
    assert_text_is(found(&rig, 6).name, "Größe 1");
    row.name = TEXT("too late");
    CONTRACT_OK(application_update(rig.store, &row, &diag), &diag);
    assert_int_equal(store_rig_number(&rig,
                                      "SELECT count(*) FROM application"
                                      " WHERE name = 'too late'",
                                      0),
                     0);
    store_rig_close(&rig);
}

static void assert_page(struct store_rig *rig, struct id_page page, const int64_t *ids,
                        size_t count, bool has_more)
{
    struct application_row rows[RIG_ROWS_MAX];
    size_t got = SIZE_MAX;
    bool more = !has_more;
    struct diag diag = {0};
    arena_reset(&rig->arena);
    CONTRACT_OK(application_page(rig->store, ORG, &page, &rig->arena, &diag, rows, &got, &more),
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
    struct diag diag = {0};
    for (int64_t id = 10; id <= 60; id += 10) {
        add(&rig, id, NULL);
    }
    struct application_row foreign = row_of(35, NULL);
    foreign.org = OTHER_ORG;
    insert(&rig, &foreign);
    CONTRACT_OK(application_delete(rig.store, 40, NOW_US, &diag), &diag);

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_a_row_comes_back_as_it_went_in),
        CONTRACT_BOTH(test_paths_name_by_id_or_uid),
        CONTRACT_BOTH(test_a_uid_is_taken_once_in_an_organisation),
        CONTRACT_BOTH(test_changes_grow_the_version),
        CONTRACT_BOTH(test_pages),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
