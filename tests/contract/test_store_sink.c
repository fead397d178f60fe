/* SPDX-License-Identifier: Apache-2.0 */
/* Polled sinks: found, filtered, deleted; consumers that only one client moves at a time. */
#include "contract/contract.h"
#include "contract/store_rig.h"

#include "store/sink.h"

#define APPLICATION 7

static void insert(struct store_rig *rig, struct sink_row row)
{
    struct diag diag = {0};
    row.application_id = row.application_id == 0 ? APPLICATION : row.application_id;
    row.created_at_us = NOW_US;
    row.updated_at_us = NOW_US;
    CONTRACT_OK(sink_insert(rig->store, &row, &diag), &diag);
}

static enum ph_error find(struct store_rig *rig, int64_t application_id, struct slice name,
                          struct sink_row *ret_row)
{
    return sink_find(rig->store, application_id, name, &rig->arena, NULL, ret_row);
}

static void test_by_id_and_uid(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    insert(&rig, (struct sink_row){.id = 11, .uid = TEXT("one"), .event_types = TEXT("[\"a\"]")});
    insert(&rig, (struct sink_row){.id = 12, .channels = TEXT("[\"c\",\"d\"]")});
    insert(&rig,
           (struct sink_row){.id = 13, .application_id = APPLICATION + 1, .uid = TEXT("one")});
    char id_text[ID_TEXT_MAX];
    size_t length = id_format(&rig.store->codec, ID_SINK, 12, id_text);
    struct sink_row row;
    assert_int_equal(find(&rig, APPLICATION, TEXT("one"), &row), PH_OK);
    assert_int_equal(row.id, 11);
    assert_text_is(row.event_types, "[\"a\"]");
    assert_null(row.channels.ptr);
    assert_int_equal(find(&rig, APPLICATION, (struct slice){id_text, length}, &row), PH_OK);
    assert_null(row.uid.ptr);
    assert_text_is(row.channels, "[\"c\",\"d\"]");
    assert_int_equal(find(&rig, APPLICATION + 1, (struct slice){id_text, length}, &row),
                     PH_NOT_FOUND);
    assert_int_equal(find(&rig, APPLICATION, TEXT("\xff"), &row), PH_NOT_FOUND);
    const struct sink_row twin = {.id = 14, .application_id = APPLICATION, .uid = TEXT("one")};
    assert_int_equal(sink_insert(rig.store, &twin, NULL), PH_CONFLICT);
    store_rig_close(&rig);
}

static void test_pages(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    for (int64_t id = 20; id < 25; id++) {
        insert(&rig, (struct sink_row){.id = id});
    }
    struct sink_row rows[RIG_ROWS_MAX];
    size_t count;
    bool has_more;
    struct diag diag = {0};
    struct id_page page = newest_first(2);
    CONTRACT_OK(
        sink_page(rig.store, APPLICATION, &page, &rig.arena, &diag, rows, &count, &has_more),
        &diag);
    assert_int_equal(count, 2);
    assert_true(has_more);
    assert_int_equal(rows[0].id, 24);
    page = oldest_first(10);
    page.lower = 22;
    CONTRACT_OK(
        sink_page(rig.store, APPLICATION, &page, &rig.arena, &diag, rows, &count, &has_more),
        &diag);
    assert_int_equal(count, 2);
    assert_false(has_more);
    assert_int_equal(rows[0].id, 23);
    store_rig_close(&rig);
}

static void test_what_it_wants(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    const struct sink_row row = {.event_types = TEXT("[\"a\", \"b.c\"]"),
                                 .channels = TEXT("[\"x\"]")};
    const struct sink_row all = {0};
    struct message_filter filter;
    assert_int_equal(sink_filter(&row, &rig.arena, NULL, &filter), PH_OK);
    assert_true(message_filter_fits(&filter, TEXT("b.c"), TEXT("[\"y\",\"x\"]"), SLICE_NONE));
    assert_false(message_filter_fits(&filter, TEXT("b"), TEXT("[\"x\"]"), SLICE_NONE));
    assert_false(message_filter_fits(&filter, TEXT("a"), TEXT("[\"y\"]"), SLICE_NONE));
    assert_false(message_filter_fits(&filter, TEXT("a"), SLICE_NONE, SLICE_NONE));
    const struct message_filter both = {.channel = TEXT("y"), .also = &filter};
    assert_true(message_filter_fits(&both, TEXT("a"), TEXT("[\"y\",\"x\"]"), SLICE_NONE));
    assert_false(message_filter_fits(&both, TEXT("a"), TEXT("[\"x\"]"), SLICE_NONE));
    assert_false(message_filter_is_empty(&both));
    assert_int_equal(sink_filter(&all, &rig.arena, NULL, &filter), PH_OK);
    assert_true(message_filter_is_empty(&filter));
    const struct message_filter none = {.also = &filter};
    assert_true(message_filter_is_empty(&none));
    store_rig_close(&rig);
}

static struct sink_consumer consumer_of(struct store_rig *rig, int64_t sink_id, const char *name)
{
    struct diag diag = {0};
    struct sink_consumer consumer;
    CONTRACT_OK(sink_consumer_find(rig->store, sink_id, slice_of(name), &diag, &consumer), &diag);
    return consumer;
}

static enum ph_error put(struct store_rig *rig, int64_t sink_id, const char *name,
                         struct sink_consumer consumer, struct diag *diag)
{
    return sink_consumer_put(rig->store, sink_id, slice_of(name), &consumer, NOW_US, diag);
}

static void test_a_consumer_moves(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    insert(&rig, (struct sink_row){.id = 30});
    struct sink_consumer mine = consumer_of(&rig, 30, "mine");
    assert_int_equal(mine.position, 30);
    assert_int_equal(mine.revision, 0);
    struct sink_consumer late = mine;
    mine.position = 40;
    mine.is_sought = true;
    assert_int_equal(put(&rig, 30, "mine", mine, NULL), PH_OK);
    assert_int_equal(put(&rig, 30, "mine", late, NULL), PH_CONFLICT);
    struct sink_consumer stored = consumer_of(&rig, 30, "mine");
    assert_int_equal(stored.position, 40);
    assert_true(stored.is_sought);
    late = stored;
    stored.is_sought = false;
    stored.position = 50;
    assert_int_equal(put(&rig, 30, "mine", stored, NULL), PH_OK);
    late.position = 45;
    assert_int_equal(put(&rig, 30, "mine", late, NULL), PH_CONFLICT);
    assert_int_equal(consumer_of(&rig, 30, "mine").position, 50);
    assert_false(consumer_of(&rig, 30, "mine").is_sought);
    assert_int_equal(consumer_of(&rig, 30, "Mine").position, 30);
    store_rig_close(&rig);
}

static void test_consumers_are_counted_and_go_with_their_sink(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    insert(&rig, (struct sink_row){.id = 30});
    insert(&rig, (struct sink_row){.id = 31});
    struct diag diag = {0};
    CONTRACT_OK(db_begin(rig.store->db, &diag), &diag);
    for (int index = 0; index < SINK_CONSUMERS_MAX; index++) {
        char name[16];
        (void)snprintf(name, sizeof name, "c%d", index);
        CONTRACT_OK(put(&rig, 30, name, consumer_of(&rig, 30, name), &diag), &diag);
    }
    assert_int_equal(put(&rig, 30, "more", consumer_of(&rig, 30, "more"), &diag), PH_BAD_REQUEST);
    assert_string_equal(diag.code, "limit_reached");
    CONTRACT_OK(put(&rig, 30, "c0", consumer_of(&rig, 30, "c0"), &diag), &diag);
    CONTRACT_OK(put(&rig, 31, "more", consumer_of(&rig, 31, "more"), &diag), &diag);
    CONTRACT_OK(db_commit(rig.store->db, &diag), &diag);
    CONTRACT_OK(sink_delete(rig.store, 30, &diag), &diag);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM sink_consumer", 0), 1);
    assert_int_equal(put(&rig, 30, "c0", (struct sink_consumer){.position = 30}, NULL),
                     PH_NOT_FOUND);
    CONTRACT_OK(sink_delete_all(rig.store, APPLICATION, &diag), &diag);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM sink_consumer", 0), 0);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM sink", 0), 0);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_by_id_and_uid),
        CONTRACT_BOTH(test_pages),
        CONTRACT_BOTH(test_what_it_wants),
        CONTRACT_BOTH(test_a_consumer_moves),
        CONTRACT_BOTH(test_consumers_are_counted_and_go_with_their_sink),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
