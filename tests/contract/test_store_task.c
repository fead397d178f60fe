/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of background tasks: a step moves one only from where it stands, and only while it runs. */
#include "contract/contract.h"
#include "contract/store_rig.h"

#include "store/application.h"
#include "store/task.h"

#define APPLICATION 7
#define ENDPOINT 9

static struct task_row task_of(int64_t id, int64_t application_id)
{
    return (struct task_row){
        .id = id,
        .org = TEXT("org_a"),
        .application_id = application_id,
        .endpoint_id = application_id == 0 ? 0 : ENDPOINT,
        .kind = application_id == 0 ? TASK_EVENT_TYPES : TASK_BULK_REPLAY,
        .parameters = TEXT("{\"status\":2}"),
        .since_us = NOW_US - 5,
        .until_us = NOW_US,
        .rate = 12,
        .updated_at_us = NOW_US,
    };
}

static void add(struct store_rig *rig, int64_t id, int64_t application_id)
{
    struct diag diag = {0};
    const struct task_row row = task_of(id, application_id);
    CONTRACT_OK(task_insert(rig->store, &row, &diag), &diag);
}

static struct task_row found(struct store_rig *rig, int64_t id)
{
    struct diag diag = {0};
    struct task_row row;
    CONTRACT_OK(task_find(rig->store, id, &rig->arena, &diag, &row), &diag);
    return row;
}

static bool move(struct store_rig *rig, int64_t id, struct task_progress from,
                 struct task_progress to)
{
    struct diag diag = {0};
    bool was_moved = false;
    CONTRACT_OK(task_move(rig->store, id, &from, &to, LATER_US, &diag, &was_moved), &diag);
    return was_moved;
}

static bool end(struct store_rig *rig, int64_t id, enum task_state state, const char *failure)
{
    struct diag diag = {0};
    bool was_ended = false;
    CONTRACT_OK(task_end(rig->store, id, state, slice_of(failure), LATER_US, &diag, &was_ended),
                &diag);
    return was_ended;
}

static void test_a_row_comes_back_as_it_went_in(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add(&rig, 3, APPLICATION);
    add(&rig, 4, 0);
    struct task_row row = found(&rig, 3);
    assert_int_equal(row.id, 3);
    assert_text_is(row.org, "org_a");
    assert_int_equal(row.application_id, APPLICATION);
    assert_int_equal(row.endpoint_id, ENDPOINT);
    assert_int_equal(row.kind, TASK_BULK_REPLAY);
    assert_int_equal(row.state, TASK_RUNNING);
    assert_text_is(row.parameters, "{\"status\":2}");
    assert_int_equal(row.since_us, NOW_US - 5);
    assert_int_equal(row.until_us, NOW_US);
    assert_int_equal(row.rate, 12);
    assert_int_equal(row.progress.walk + row.progress.cursor_id + row.progress.done, 0);
    assert_null(row.failure.ptr);
    assert_int_equal(row.started_at_us, 0);
    assert_int_equal(row.updated_at_us, NOW_US);
    assert_int_equal(row.finished_at_us, 0);
    row = found(&rig, 4);
    assert_int_equal(row.application_id, 0);
    assert_int_equal(row.endpoint_id, 0);
    assert_int_equal(task_find(rig.store, 5, &rig.arena, NULL, &row), PH_NOT_FOUND);
    store_rig_close(&rig);
}

static void test_a_step_moves_from_where_the_task_stands(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add(&rig, 3, APPLICATION);
    const struct task_progress begin = {0};
    const struct task_progress one = {.cursor_id = 10, .total = 2, .done = 1, .skipped = 1};
    const struct task_progress two = {.walk = 1, .subject_id = 5, .total = 2, .done = 2};
    assert_true(move(&rig, 3, begin, one));
    struct task_row row = found(&rig, 3);
    assert_int_equal(row.progress.cursor_id, 10);
    assert_int_equal(row.progress.total, 2);
    assert_int_equal(row.progress.done, 1);
    assert_int_equal(row.progress.skipped, 1);
    assert_int_equal(row.started_at_us, LATER_US);
    assert_int_equal(row.updated_at_us, LATER_US);
    /* The same step again, as another process would do it. */
    assert_false(move(&rig, 3, begin, one));
    assert_true(move(&rig, 3, one, two));
    assert_false(move(&rig, 3, one, two));
    assert_int_equal(found(&rig, 3).progress.done, 2);
    assert_int_equal(found(&rig, 3).progress.walk, 1);
    assert_int_equal(found(&rig, 3).progress.subject_id, 5);

    assert_true(end(&rig, 3, TASK_CANCELLED, NULL));
    assert_false(move(&rig, 3, two, begin));
    assert_false(end(&rig, 3, TASK_FINISHED, NULL));
    assert_int_equal(found(&rig, 3).state, TASK_CANCELLED);
    assert_int_equal(found(&rig, 3).progress.done, 2);
    assert_int_equal(found(&rig, 3).finished_at_us, LATER_US);
    store_rig_close(&rig);
}

static void test_why_it_failed(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add(&rig, 3, APPLICATION);
    assert_true(end(&rig, 3, TASK_FAILED, "gone"));
    assert_text_is(found(&rig, 3).failure, "gone");
    assert_int_equal(found(&rig, 3).started_at_us, 0);
    store_rig_close(&rig);
}

static void test_running_tasks_are_counted_by_owner(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    for (int64_t id = 1; id <= 5; id++) {
        add(&rig, id, id <= 2 ? APPLICATION : 0);
    }
    assert_true(end(&rig, 3, TASK_FINISHED, NULL));
    const struct {
        const char *org;
        int64_t application_id;
        int64_t owned;
    } rows[] = {{"org_a", APPLICATION, 2}, {"org_a", 0, 2}, {"org_b", 0, 0}, {"org_a", 8, 0}};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        struct diag diag = {0};
        int64_t owned = -1;
        int64_t all = -1;
        CONTRACT_OK(task_count_running(rig.store, slice_of(rows[index].org),
                                       rows[index].application_id, &diag, &owned, &all),
                    &diag);
        assert_int_equal(owned, rows[index].owned);
        assert_int_equal(all, 4);
    }
    struct task_ref refs[10];
    size_t count = 0;
    struct diag diag = {0};
    CONTRACT_OK(task_running(rig.store, refs, 10, &diag, &count), &diag);
    static const int64_t expected[] = {1, 2, 4, 5};
    assert_int_equal(count, PH_ARRAY_LENGTH(expected));
    for (size_t index = 0; index < count; index++) {
        assert_int_equal(refs[index].id, expected[index]);
        assert_int_equal(refs[index].endpoint_id, expected[index] <= 2 ? ENDPOINT : 0);
    }
    CONTRACT_OK(task_running(rig.store, refs, 2, &diag, &count), &diag);
    assert_int_equal(count, 2);
    store_rig_close(&rig);
}

static void assert_page(struct store_rig *rig, struct task_query query, const int64_t *ids,
                        size_t count, bool has_more)
{
    struct diag diag = {0};
    struct task_row rows[10];
    struct list_end end = {0};
    query.org = TEXT("org_a");
    CONTRACT_OK(task_page(rig->store, &query, &rig->arena, &diag, rows, &end), &diag);
    assert_int_equal(end.count, count);
    for (size_t index = 0; index < count; index++) {
        assert_int_equal(rows[index].id, ids[index]);
    }
    assert_int_equal(end.has_more, has_more);
    assert_int_equal(end.last_examined_id, 0);
}
#define ASSERT_PAGE(rig, query, has_more, ...)                                                     \
    do {                                                                                           \
        const int64_t expected_ids[] = {__VA_ARGS__};                                              \
        assert_page((rig), (query), expected_ids, PH_ARRAY_LENGTH(expected_ids), (has_more));      \
    } while (0)

static void test_lists(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    for (int64_t id = 1; id <= 6; id++) {
        add(&rig, id, id % 2 == 0 ? APPLICATION : 0);
    }
    struct task_row foreign = task_of(7, 0);
    foreign.org = TEXT("org_b");
    struct diag diag = {0};
    CONTRACT_OK(task_insert(rig.store, &foreign, &diag), &diag);
    assert_true(end(&rig, 2, TASK_FAILED, "x"));
    assert_true(end(&rig, 4, TASK_CANCELLED, NULL));
    assert_true(end(&rig, 5, TASK_FINISHED, NULL));

    struct task_query query = {.kind = TASK_ANY, .state = TASK_ANY, .page = newest_first(10)};
    ASSERT_PAGE(&rig, query, false, 6, 5, 4, 3, 2, 1);
    query.page = oldest_first(4);
    ASSERT_PAGE(&rig, query, true, 1, 2, 3, 4);
    query.page.lower = 4;
    ASSERT_PAGE(&rig, query, false, 5, 6);
    query.page = newest_first(10);
    query.kind = TASK_EVENT_TYPES;
    ASSERT_PAGE(&rig, query, false, 5, 3, 1);
    query.state = TASK_RUNNING;
    ASSERT_PAGE(&rig, query, false, 3, 1);
    query.page.limit = 1;
    ASSERT_PAGE(&rig, query, true, 3);
    query = (struct task_query){.kind = TASK_ANY, .state = TASK_FAILED, .page = newest_first(10)};
    ASSERT_PAGE(&rig, query, false, 4, 2);
    query.application_id = APPLICATION;
    query.state = TASK_ANY;
    ASSERT_PAGE(&rig, query, false, 6, 4, 2);
    store_rig_close(&rig);
}

static void test_a_list_gives_up_on_a_rare_filter(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    CONTRACT_OK(db_begin(rig.store->db, &diag), &diag);
    for (int64_t id = 1; id <= LIST_EXAMINED_MAX + 3; id++) {
        add(&rig, id, id == 1 ? APPLICATION : 0);
    }
    CONTRACT_OK(db_commit(rig.store->db, &diag), &diag);
    struct task_query query = {
        .org = TEXT("org_a"), .kind = TASK_BULK_REPLAY, .state = TASK_ANY, .page = newest_first(5)};
    struct task_row rows[5];
    struct list_end end = {0};
    CONTRACT_OK(task_page(rig.store, &query, &rig.arena, &diag, rows, &end), &diag);
    assert_int_equal(end.count, 0);
    assert_true(end.has_more);
    assert_int_equal(end.last_examined_id, 4);
    query.page.upper = end.last_examined_id;
    CONTRACT_OK(task_page(rig.store, &query, &rig.arena, &diag, rows, &end), &diag);
    assert_int_equal(end.count, 1);
    assert_false(end.has_more);
    store_rig_close(&rig);
}

static void add_result(struct store_rig *rig, int64_t task_id, int64_t application_id,
                       const char *event_types)
{
    struct diag diag = {0};
    const struct task_result result = {
        .application_id = application_id,
        .messages = 2,
        .deliveries = 3,
        .attempts = 5,
        .event_types = slice_of(event_types),
        .is_catch_all = event_types != NULL,
    };
    CONTRACT_OK(task_result_add(rig->store, task_id, &result, &diag), &diag);
}

static void test_results_add_up(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    const struct application_row application = {
        .id = APPLICATION,
        .org = TEXT("org_a"),
        .uid = TEXT("seven"),
        .name = TEXT("n"),
        .metadata = TEXT("{}"),
        .created_at_us = NOW_US,
        .updated_at_us = NOW_US,
    };
    CONTRACT_OK(application_insert(rig.store, &application, &diag), &diag);
    add_result(&rig, 3, APPLICATION, NULL);
    add_result(&rig, 3, APPLICATION, NULL);
    add_result(&rig, 3, 8, "[\"a\"]");
    add_result(&rig, 4, 8, NULL);
    struct task_result rows[4];
    size_t count = 0;
    CONTRACT_OK(task_result_page(rig.store, 3, 0, &rig.arena, &diag, rows, 4, &count), &diag);
    assert_int_equal(count, 2);
    assert_int_equal(rows[0].application_id, APPLICATION);
    assert_text_is(rows[0].application_uid, "seven");
    assert_int_equal(rows[0].messages, 4);
    assert_int_equal(rows[0].deliveries, 6);
    assert_int_equal(rows[0].attempts, 10);
    assert_int_equal(rows[1].application_id, 8);
    assert_null(rows[1].application_uid.ptr);
    assert_text_is(rows[1].event_types, "[\"a\"]");
    assert_true(rows[1].is_catch_all);
    CONTRACT_OK(task_result_page(rig.store, 3, APPLICATION, &rig.arena, &diag, rows, 4, &count),
                &diag);
    assert_int_equal(count, 1);
    store_rig_close(&rig);
}

static int64_t delete_old(struct store_rig *rig, int64_t before_us)
{
    struct diag diag = {0};
    int64_t deleted = -1;
    CONTRACT_OK(task_delete_old(rig->store, before_us, 2, &diag, &deleted), &diag);
    return deleted;
}

static void test_old_tasks_go_with_their_results(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    for (int64_t id = 1; id <= 5; id++) {
        add(&rig, id, 0);
        if (id != 3) {
            assert_true(end(&rig, id, TASK_FINISHED, NULL)); /* at LATER_US */
        }
    }
    for (int64_t application_id = 1; application_id <= 3; application_id++) {
        add_result(&rig, 2, application_id, NULL);
        add_result(&rig, 3, application_id, NULL);
    }
    assert_int_equal(delete_old(&rig, LATER_US), 0);
    assert_int_equal(delete_old(&rig, LATER_US + 1), 2);
    assert_int_equal(delete_old(&rig, LATER_US + 1), 1);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM task", 0), 5);
    assert_int_equal(delete_old(&rig, LATER_US + 1), 2);
    assert_int_equal(delete_old(&rig, LATER_US + 1), 2);
    assert_int_equal(delete_old(&rig, LATER_US + 1), 0);
    assert_int_equal(store_rig_number(&rig, "SELECT id FROM task", 0), 3);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM task_result", 0), 3);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_a_row_comes_back_as_it_went_in),
        CONTRACT_BOTH(test_a_step_moves_from_where_the_task_stands),
        CONTRACT_BOTH(test_why_it_failed),
        CONTRACT_BOTH(test_running_tasks_are_counted_by_owner),
        CONTRACT_BOTH(test_lists),
        CONTRACT_BOTH(test_a_list_gives_up_on_a_rare_filter),
        CONTRACT_BOTH(test_results_add_up),
        CONTRACT_BOTH(test_old_tasks_go_with_their_results),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
