/* SPDX-License-Identifier: Apache-2.0 */
/* Messages, payloads and event ids, and the pages that the API shows of them. */
#include "contract/contract.h"

#include "store/message_list.h"

#define TEXT(literal) SLICE_LITERAL(literal)
#define APPLICATION 7
#define OTHER_APPLICATION 8
#define NOW_US INT64_C(1700000000000000)
#define LATER_US (NOW_US + INT64_C(86400000000))
#define ROWS_BYTES ((size_t)32 * 1024 * 1024)

struct rig {
    struct store *store;
    struct arena arena;
    struct message_item items[300];
    struct list_end end;
};

static void rig_open(struct rig *rig, void **state)
{
    const struct contract_store *fresh = *state;
    struct diag diag = {0};
    int applied;
    CONTRACT_OK(store_migrate(fresh->address, &diag, &applied), &diag);
    CONTRACT_OK(store_open(fresh->address, DB_READ_WRITE, &diag, &rig->store), &diag);
    arena_init(&rig->arena, ROWS_BYTES);
}

static void rig_close(struct rig *rig)
{
    arena_done(&rig->arena);
    store_close(rig->store);
}

static void begin(struct rig *rig)
{
    struct diag diag = {0};
    CONTRACT_OK(db_begin(rig->store->db, &diag), &diag);
}

static void commit(struct rig *rig)
{
    struct diag diag = {0};
    CONTRACT_OK(db_commit(rig->store->db, &diag), &diag);
}

static void add(struct rig *rig, int64_t id, const char *event_type, const char *channels,
                struct slice payload)
{
    struct diag diag = {0};
    const struct message_row row = {
        .id = id,
        .application_id = APPLICATION,
        .event_type = slice_of(event_type),
        .channels = slice_of(channels),
        .payload_expires_at_us = LATER_US,
    };
    CONTRACT_OK(message_insert(rig->store, &row, &diag), &diag);
    CONTRACT_OK(message_insert_payload(rig->store, id, payload, SLICE_NONE, SLICE_NONE, &diag),
                &diag);
}

static struct id_page newest(size_t limit)
{
    return (struct id_page){.upper = INT64_MAX, .is_descending = true, .limit = limit};
}

static void page(struct rig *rig, const struct message_filter *filter, struct id_page bounds,
                 bool with_payload, int64_t now_us)
{
    struct diag diag = {0};
    const struct message_query query = {
        .application_id = APPLICATION,
        .filter = *filter,
        .page = bounds,
        .with_payload = with_payload,
        .now_us = now_us,
    };
    arena_reset(&rig->arena);
    CONTRACT_OK(message_page(rig->store, &query, &rig->arena, &diag, rig->items, &rig->end), &diag);
}

static void assert_ids(const struct rig *rig, const int64_t *ids, size_t count)
{
    assert_int_equal(rig->end.count, count);
    for (size_t index = 0; index < count; index++) {
        assert_int_equal(rig->items[index].row.id, ids[index]);
    }
}
#define ASSERT_IDS(rig, ...)                                                                       \
    do {                                                                                           \
        const int64_t expected_ids[] = {__VA_ARGS__};                                              \
        assert_ids((rig), expected_ids, PH_ARRAY_LENGTH(expected_ids));                            \
    } while (0)

static void assert_text(struct slice text, const char *expected)
{
    assert_non_null(text.ptr);
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.ptr, expected, text.len);
}

static const struct message_filter everything = {0};

static void test_pages_follow_bounds_and_direction(void **state)
{
    struct rig rig;
    rig_open(&rig, state);
    for (int64_t id = 10; id <= 50; id += 10) {
        add(&rig, id, "a", NULL, TEXT("{}"));
    }
    page(&rig, &everything, newest(2), false, NOW_US);
    ASSERT_IDS(&rig, 50, 40);
    assert_true(rig.end.has_more);
    assert_int_equal(rig.end.last_examined_id, 0);

    struct id_page bounds = newest(2);
    bounds.upper = 40;
    page(&rig, &everything, bounds, false, NOW_US);
    ASSERT_IDS(&rig, 30, 20);
    assert_true(rig.end.has_more);
    bounds.upper = 20;
    page(&rig, &everything, bounds, false, NOW_US);
    ASSERT_IDS(&rig, 10);
    assert_false(rig.end.has_more);

    bounds = (struct id_page){.lower = 20, .upper = 50, .limit = 2};
    page(&rig, &everything, bounds, false, NOW_US);
    ASSERT_IDS(&rig, 30, 40);
    assert_false(rig.end.has_more);
    rig_close(&rig);
}

static void test_an_application_sees_its_own(void **state)
{
    struct rig rig;
    rig_open(&rig, state);
    add(&rig, 10, "a", NULL, TEXT("{}"));
    struct diag diag = {0};
    struct message_item item;
    struct message_query query = {
        .application_id = APPLICATION, .page = newest(10), .with_payload = true, .now_us = NOW_US};
    CONTRACT_OK(message_item_find(rig.store, &query, 10, &rig.arena, &diag, &item), &diag);
    assert_text(item.payload, "{}");
    query.application_id = OTHER_APPLICATION;
    assert_int_equal(message_item_find(rig.store, &query, 10, &rig.arena, &diag, &item),
                     PH_NOT_FOUND);
    CONTRACT_OK(message_page(rig.store, &query, &rig.arena, &diag, rig.items, &rig.end), &diag);
    assert_int_equal(rig.end.count, 0);
    assert_false(rig.end.has_more);
    rig_close(&rig);
}

static void test_filters(void **state)
{
    struct rig rig;
    rig_open(&rig, state);
    add(&rig, 1, "run.started", "[\"prod\"]", TEXT("{}"));
    add(&rig, 2, "run.failed", "[\"test\",\"prod\"]", TEXT("{}"));
    add(&rig, 3, "run.failed", NULL, TEXT("{}"));
    add(&rig, 4, "run.ended", "[\"production\"]", TEXT("{}"));

    struct message_filter filter = {.channel = TEXT("prod")};
    page(&rig, &filter, newest(10), false, NOW_US);
    ASSERT_IDS(&rig, 2, 1);
    assert_text(rig.items[0].row.channels, "[\"test\",\"prod\"]");

    const struct slice types[] = {TEXT("run.failed"), TEXT("run.ended")};
    filter = (struct message_filter){.event_types = types, .event_type_count = 2};
    page(&rig, &filter, newest(10), false, NOW_US);
    ASSERT_IDS(&rig, 4, 3, 2);

    filter.channel = TEXT("test");
    page(&rig, &filter, newest(10), false, NOW_US);
    ASSERT_IDS(&rig, 2);

    filter = (struct message_filter){.event_types = types, .event_type_count = 1};
    page(&rig, &filter, newest(1), false, NOW_US);
    ASSERT_IDS(&rig, 3);
    assert_true(rig.end.has_more);
    rig_close(&rig);
}

static void test_payloads_come_when_wanted_and_there(void **state)
{
    struct rig rig;
    rig_open(&rig, state);
    add(&rig, 1, "a", NULL, TEXT("{ \"n\" : 1.10 }"));
    add(&rig, 2, "a", NULL, TEXT("{}"));
    struct diag diag = {0};
    bool was_pending = true;
    begin(&rig);
    CONTRACT_OK(message_expunge(rig.store, 2, NOW_US, &diag, &was_pending), &diag);
    assert_false(was_pending);
    assert_int_equal(message_expunge(rig.store, 2, NOW_US, &diag, &was_pending), PH_NOT_FOUND);
    commit(&rig);

    page(&rig, &everything, newest(10), true, NOW_US);
    ASSERT_IDS(&rig, 2, 1);
    assert_null(rig.items[0].payload.ptr);
    assert_text(rig.items[1].payload, "{ \"n\" : 1.10 }");

    page(&rig, &everything, newest(10), false, NOW_US);
    assert_null(rig.items[1].payload.ptr);

    /* Its time has passed; the keeper has not come by yet. */
    page(&rig, &everything, newest(10), true, LATER_US);
    assert_null(rig.items[1].payload.ptr);
    page(&rig, &everything, newest(10), true, LATER_US - 1);
    assert_text(rig.items[1].payload, "{ \"n\" : 1.10 }");
    rig_close(&rig);
}

static void test_raw_bodies_are_sent_and_payloads_shown(void **state)
{
    struct rig rig;
    rig_open(&rig, state);
    struct diag diag = {0};
    const struct message_row row = {.id = 5,
                                    .application_id = APPLICATION,
                                    .event_type = TEXT("a"),
                                    .payload_expires_at_us = LATER_US};
    CONTRACT_OK(message_insert(rig.store, &row, &diag), &diag);
    CONTRACT_OK(message_insert_payload(rig.store, 5, TEXT("{}"), TEXT("raw\0!"), SLICE_NONE, &diag),
                &diag);
    struct slice shown;
    struct slice sent;
    struct slice trace;
    CONTRACT_OK(message_payload(rig.store, 5, &rig.arena, &diag, &shown), &diag);
    assert_text(shown, "{}");
    CONTRACT_OK(message_sent(rig.store, 5, &rig.arena, &diag, &sent, &trace), &diag);
    assert_int_equal(sent.len, 5);
    assert_memory_equal(sent.ptr, "raw\0!", 5);
    /* The empty text is a body too. */
    CONTRACT_OK(
        message_insert_payload(rig.store, 6, TEXT("{\"a\":1}"), TEXT(""), SLICE_NONE, &diag),
        &diag);
    CONTRACT_OK(message_payload(rig.store, 6, &rig.arena, &diag, &shown), &diag);
    assert_text(shown, "{\"a\":1}");
    CONTRACT_OK(message_sent(rig.store, 6, &rig.arena, &diag, &sent, &trace), &diag);
    assert_true(sent.ptr != NULL && sent.len == 0 && trace.ptr == NULL);
    CONTRACT_OK(
        message_insert_payload(rig.store, 7, TEXT("{\"b\":1}"), SLICE_NONE, TEXT("t\0ce"), &diag),
        &diag);
    CONTRACT_OK(message_sent(rig.store, 7, &rig.arena, &diag, &sent, &trace), &diag);
    assert_text(sent, "{\"b\":1}");
    assert_int_equal(trace.len, 4);
    assert_memory_equal(trace.ptr, "t\0ce", 4);
    assert_int_equal(message_sent(rig.store, 8, &rig.arena, &diag, &sent, &trace), PH_NOT_FOUND);
    rig_close(&rig);
}

static void test_large_payloads_end_a_page_early(void **state)
{
    struct rig rig;
    rig_open(&rig, state);
    size_t length = (size_t)3 * 1024 * 1024;
    char *large = ph_malloc(length);
    memset(large, 'x', length);
    for (int64_t id = 1; id <= 5; id++) {
        add(&rig, id, "a", NULL, (struct slice){large, length});
    }
    free(large);
    page(&rig, &everything, newest(5), true, NOW_US);
    ASSERT_IDS(&rig, 5, 4, 3);
    assert_true(rig.end.has_more);
    assert_int_equal(rig.end.last_examined_id, 0);
    struct id_page bounds = newest(5);
    bounds.upper = 3;
    page(&rig, &everything, bounds, true, NOW_US);
    ASSERT_IDS(&rig, 2, 1);
    assert_false(rig.end.has_more);
    rig_close(&rig);
}

static void test_a_rare_filter_gives_up_and_says_where(void **state)
{
    struct rig rig;
    rig_open(&rig, state);
    struct diag diag = {0};
    begin(&rig);
    add(&rig, 1, "rare", NULL, TEXT("{}"));
    CONTRACT_OK(db_pipeline_begin(rig.store->db, &diag), &diag);
    for (int64_t id = 2; id <= LIST_EXAMINED_MAX + 10; id++) {
        add(&rig, id, "usual", NULL, TEXT("{}"));
    }
    CONTRACT_OK(db_pipeline_end(rig.store->db, &diag), &diag);
    add(&rig, LIST_EXAMINED_MAX + 11, "rare", NULL, TEXT("{}"));
    commit(&rig);

    const struct slice types[] = {TEXT("rare")};
    const struct message_filter filter = {.event_types = types, .event_type_count = 1};
    page(&rig, &filter, newest(10), false, NOW_US);
    ASSERT_IDS(&rig, LIST_EXAMINED_MAX + 11);
    assert_true(rig.end.has_more);
    assert_int_equal(rig.end.last_examined_id, 12);

    struct id_page bounds = newest(10);
    bounds.upper = rig.end.last_examined_id;
    page(&rig, &filter, bounds, false, NOW_US);
    ASSERT_IDS(&rig, 1);
    assert_false(rig.end.has_more);
    assert_int_equal(rig.end.last_examined_id, 0);

    bounds = (struct id_page){.lower = 1, .upper = INT64_MAX, .limit = 10};
    page(&rig, &filter, bounds, false, NOW_US);
    assert_int_equal(rig.end.count, 0);
    assert_int_equal(rig.end.last_examined_id, LIST_EXAMINED_MAX + 1);
    rig_close(&rig);
}

/* A page of what follows `position`; gives the next position. */
static int64_t follow(struct rig *rig, const struct message_filter *filter, int64_t position,
                      size_t limit)
{
    struct diag diag = {0};
    const struct message_query query = {
        .application_id = APPLICATION,
        .filter = *filter,
        .page = {.lower = position, .upper = INT64_MAX, .limit = limit},
        .with_payload = true,
        .now_us = NOW_US,
        .is_following = true,
    };
    arena_reset(&rig->arena);
    CONTRACT_OK(message_page(rig->store, &query, &rig->arena, &diag, rig->items, &rig->end), &diag);
    return rig->end.passed_id;
}

static void test_following_leaves_nothing_out(void **state)
{
    struct rig rig;
    rig_open(&rig, state);
    const size_t half = PAGE_BYTES_MAX / 2;
    char *text = ph_malloc(half);
    memset(text, ' ', half);
    begin(&rig);
    for (int64_t id = 1; id <= 4; id++) {
        add(&rig, id, id == 3 ? "other" : "a", NULL, (struct slice){text, half});
    }
    commit(&rig);
    free(text);
    /* By count, by bytes, and at the end behind what did not fit. */
    assert_int_equal(follow(&rig, &everything, 0, 1), 1);
    ASSERT_IDS(&rig, 1);
    int64_t position = follow(&rig, &everything, 0, 10);
    assert_true(rig.end.has_more);
    assert_int_equal(position, rig.items[rig.end.count - 1].row.id);
    assert_in_range(position, 1, 3);
    const struct slice types[] = {TEXT("other")};
    const struct message_filter other = {.event_types = types, .event_type_count = 1};
    assert_int_equal(follow(&rig, &other, 0, 10), 4);
    ASSERT_IDS(&rig, 3);
    assert_false(rig.end.has_more);
    assert_int_equal(follow(&rig, &everything, 4, 10), 0);
    assert_int_equal(rig.end.count, 0);
    rig_close(&rig);
}

static void test_following_waits_for_open_transactions(void **state)
{
    const struct contract_store *fresh = *state;
    struct rig slow;
    struct rig quick;
    struct diag diag = {0};
    rig_open(&slow, state);
    arena_init(&quick.arena, ROWS_BYTES);
    CONTRACT_OK(store_open(fresh->address, DB_READ_WRITE, &diag, &quick.store), &diag);
    add(&quick, 1, "a", NULL, TEXT("{}"));
    begin(&slow);
    add(&slow, 2, "a", NULL, TEXT("{}"));
    add(&quick, 3, "a", NULL, TEXT("{}"));
    /* 3 is committed, but 2 may come yet: who went on behind 3 would never see it. */
    assert_int_equal(follow(&quick, &everything, 0, 10), 1);
    ASSERT_IDS(&quick, 1);
    commit(&slow);
    assert_int_equal(follow(&quick, &everything, 1, 10), 3);
    ASSERT_IDS(&quick, 2, 3);
    rig_close(&quick);
    rig_close(&slow);
}

static void test_event_ids_are_claimed_once(void **state)
{
    struct rig rig;
    rig_open(&rig, state);
    struct diag diag = {0};
    bool is_new = false;
    begin(&rig);
    CONTRACT_OK(message_claim_event_id(rig.store, APPLICATION, TEXT("run-1"), 10, &diag, &is_new),
                &diag);
    assert_true(is_new);
    CONTRACT_OK(message_claim_event_id(rig.store, APPLICATION, TEXT("run-1"), 11, &diag, &is_new),
                &diag);
    assert_false(is_new);
    CONTRACT_OK(
        message_claim_event_id(rig.store, OTHER_APPLICATION, TEXT("run-1"), 12, &diag, &is_new),
        &diag);
    assert_true(is_new);
    commit(&rig);
    int64_t id;
    CONTRACT_OK(message_find_by_event_id(rig.store, APPLICATION, TEXT("run-1"), &diag, &id), &diag);
    assert_int_equal(id, 10);
    assert_int_equal(message_find_by_event_id(rig.store, APPLICATION, TEXT("run-2"), &diag, &id),
                     PH_NOT_FOUND);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_pages_follow_bounds_and_direction),
        CONTRACT_BOTH(test_an_application_sees_its_own),
        CONTRACT_BOTH(test_filters),
        CONTRACT_BOTH(test_payloads_come_when_wanted_and_there),
        CONTRACT_BOTH(test_raw_bodies_are_sent_and_payloads_shown),
        CONTRACT_BOTH(test_large_payloads_end_a_page_early),
        CONTRACT_BOTH(test_a_rare_filter_gives_up_and_says_where),
        CONTRACT_BOTH(test_following_leaves_nothing_out),
        CONTRACT_POSTGRES(test_following_waits_for_open_transactions),
        CONTRACT_BOTH(test_event_ids_are_claimed_once),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
