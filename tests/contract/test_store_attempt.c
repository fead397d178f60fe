/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts as the API lists them, and how messages and endpoints stand with each other. */
#include "contract/contract.h"

#include "store/attempt_list.h"
#include "store/delivery.h"

#define TEXT(literal) SLICE_LITERAL(literal)
#define APPLICATION 7
#define NOW_US INT64_C(1700000000000000)
#define LATER_US (NOW_US + INT64_C(86400000000))
#define RETRY_US (NOW_US + INT64_C(5000000))
#define ROWS_BYTES ((size_t)32 * 1024 * 1024)
#define EVERYTHING                                                                                 \
    (struct attempt_filter)                                                                        \
    {                                                                                              \
        .status = ATTEMPT_ANY_STATUS, .code_class = ATTEMPT_ANY_CLASS                              \
    }

struct rig {
    struct store *store;
    struct arena arena;
    struct attempt_row rows[300];
    struct attempted_message messages[300];
    struct attempted_endpoint endpoints[300];
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

static void add_message(struct rig *rig, int64_t id, const char *event_type, const char *channels)
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
    CONTRACT_OK(
        message_insert_payload(rig->store, id, TEXT("{\"a\":1}"), SLICE_NONE, SLICE_NONE, &diag),
        &diag);
}

static void add_endpoint(struct rig *rig, int64_t id)
{
    struct diag diag = {0};
    const struct endpoint_row row = {
        .id = id,
        .application_id = APPLICATION,
        .url = TEXT("http://h/"),
        .description = TEXT(""),
        .version = 1,
        .metadata = TEXT("{}"),
        .headers = TEXT("{}"),
        .created_at_us = NOW_US,
        .updated_at_us = NOW_US,
    };
    CONTRACT_OK(endpoint_insert(rig->store, &row, &diag), &diag);
}

static void add_delivery(struct rig *rig, int64_t message_id, int64_t endpoint_id)
{
    struct diag diag = {0};
    const struct delivery_insert_row row = {
        .message_id = message_id,
        .endpoint_id = endpoint_id,
        .shard = delivery_shard(endpoint_id),
        .due_us = NOW_US,
        .generation = 1,
    };
    CONTRACT_OK(delivery_insert(rig->store, &row, &diag), &diag);
}

static void add_attempt(struct rig *rig, int64_t id, int64_t message_id, int64_t endpoint_id,
                        int code)
{
    struct diag diag = {0};
    const struct attempt_insert_row row = {
        .id = id,
        .message_id = message_id,
        .endpoint_id = endpoint_id,
        .is_success = code >= 200 && code < 300,
        .response_code = code,
        .duration_ms = 12,
        .url = TEXT("http://h/"),
        .response = TEXT("\xff\0answer"),
    };
    CONTRACT_OK(attempt_insert(rig->store, &row, &diag), &diag);
}

/* An attempt and what it makes of the delivery. */
static void record(struct rig *rig, int64_t id, int64_t message_id, int64_t endpoint_id, int code,
                   enum delivery_state state)
{
    struct diag diag = {0};
    add_attempt(rig, id, message_id, endpoint_id, code);
    const struct delivery_outcome outcome = {
        .message_id = message_id,
        .endpoint_id = endpoint_id,
        .state = state,
        .next_attempt_at_us = state == DELIVERY_PENDING ? RETRY_US : 0,
        .has_attempt = true,
    };
    CONTRACT_OK(delivery_record(rig->store, &outcome, &diag), &diag);
}

static struct id_page newest(size_t limit)
{
    return (struct id_page){.upper = INT64_MAX, .is_descending = true, .limit = limit};
}

static void page_with(struct rig *rig, struct attempt_filter filter, struct id_page bounds,
                      bool with_all)
{
    struct diag diag = {0};
    const struct attempt_query query = {
        .application_id = APPLICATION,
        .filter = filter,
        .page = bounds,
        .with_response = with_all,
        .with_message = with_all,
    };
    arena_reset(&rig->arena);
    CONTRACT_OK(attempt_page(rig->store, &query, &rig->arena, &diag, rig->rows, &rig->end), &diag);
}

static void page(struct rig *rig, struct attempt_filter filter, struct id_page bounds)
{
    page_with(rig, filter, bounds, false);
}

static void assert_ids(const struct rig *rig, const int64_t *ids, size_t count)
{
    assert_int_equal(rig->end.count, count);
    for (size_t index = 0; index < count; index++) {
        assert_int_equal(rig->rows[index].id, ids[index]);
    }
}
#define ASSERT_IDS(rig, ...)                                                                       \
    do {                                                                                           \
        const int64_t expected_ids[] = {__VA_ARGS__};                                              \
        assert_ids((rig), expected_ids, PH_ARRAY_LENGTH(expected_ids));                            \
    } while (0)

/* Two messages, two endpoints: 100 and 200 to 11, 12. */
static void fill(struct rig *rig)
{
    add_message(rig, 100, "run.failed", "[\"prod\"]");
    add_message(rig, 200, "run.ended", NULL);
    add_attempt(rig, 301, 100, 11, 500);
    add_attempt(rig, 302, 100, 12, 204);
    add_attempt(rig, 303, 200, 11, 0);
    add_attempt(rig, 304, 100, 11, 200);
    add_attempt(rig, 305, 200, 11, 404);
}

static void test_lists_by_endpoint_and_by_message(void **state)
{
    struct rig rig;
    rig_open(&rig, state);
    fill(&rig);
    struct attempt_filter filter = EVERYTHING;
    filter.endpoint_id = 11;
    page(&rig, filter, newest(2));
    ASSERT_IDS(&rig, 305, 304);
    assert_true(rig.end.has_more);
    assert_int_equal(rig.rows[0].status, ATTEMPT_FAIL);
    assert_int_equal(rig.rows[1].status, ATTEMPT_SUCCESS);
    assert_int_equal(rig.rows[0].message.id, 0);
    assert_null(rig.rows[0].response.ptr);
    struct id_page bounds = {.lower = 301, .upper = 305, .limit = 10};
    page(&rig, filter, bounds);
    ASSERT_IDS(&rig, 303, 304);
    assert_false(rig.end.has_more);

    filter = EVERYTHING;
    filter.message_id = 100;
    page(&rig, filter, newest(10));
    ASSERT_IDS(&rig, 304, 302, 301);
    page(&rig, filter, (struct id_page){.upper = INT64_MAX, .limit = 10});
    ASSERT_IDS(&rig, 301, 302, 304);
    filter.endpoint_id = 12;
    page(&rig, filter, newest(10));
    ASSERT_IDS(&rig, 302);
    rig_close(&rig);
}

static void test_filters(void **state)
{
    struct rig rig;
    rig_open(&rig, state);
    fill(&rig);
    struct attempt_filter filter = EVERYTHING;
    filter.endpoint_id = 11;
    filter.status = ATTEMPT_SUCCESS;
    page(&rig, filter, newest(10));
    ASSERT_IDS(&rig, 304);
    filter.status = ATTEMPT_FAIL;
    page(&rig, filter, newest(10));
    ASSERT_IDS(&rig, 305, 303, 301);
    filter.status = 1;
    page(&rig, filter, newest(10));
    assert_int_equal(rig.end.count, 0);
    assert_false(rig.end.has_more);

    filter.status = ATTEMPT_ANY_STATUS;
    filter.code_class = 0;
    page(&rig, filter, newest(10));
    ASSERT_IDS(&rig, 303);
    filter.code_class = 500;
    page(&rig, filter, newest(10));
    ASSERT_IDS(&rig, 301);

    filter.code_class = ATTEMPT_ANY_CLASS;
    filter.message.channel = TEXT("prod");
    page(&rig, filter, newest(10));
    ASSERT_IDS(&rig, 304, 301);
    const struct slice types[] = {TEXT("run.ended")};
    filter.message = (struct message_filter){.event_types = types, .event_type_count = 1};
    page(&rig, filter, newest(10));
    ASSERT_IDS(&rig, 305, 303);
    filter.message_id = 100;
    page(&rig, filter, newest(10));
    assert_int_equal(rig.end.count, 0);
    rig_close(&rig);
}

static void test_responses_and_messages_come_when_wanted(void **state)
{
    struct rig rig;
    rig_open(&rig, state);
    fill(&rig);
    struct diag diag = {0};
    begin(&rig);
    CONTRACT_OK(attempt_expunge(rig.store, 100, 304, &diag), &diag);
    CONTRACT_OK(attempt_expunge(rig.store, 100, 304, &diag), &diag);
    assert_int_equal(attempt_expunge(rig.store, 200, 301, &diag), PH_NOT_FOUND);
    commit(&rig);
    struct attempt_filter filter = EVERYTHING;
    filter.endpoint_id = 11;
    page_with(&rig, filter, newest(10), true);
    ASSERT_IDS(&rig, 305, 304, 303, 301);
    assert_null(rig.rows[1].response.ptr);
    assert_int_equal(rig.rows[3].response.len, 8);
    assert_memory_equal(rig.rows[3].response.ptr, "\xff\0answer", 8);
    assert_int_equal(rig.rows[3].message.id, 100);
    assert_true(slice_equal_text(rig.rows[3].message.event_type, "run.failed"));
    assert_true(slice_equal_text(rig.rows[3].message.channels, "[\"prod\"]"));
    assert_null(rig.rows[0].message.channels.ptr);

    struct attempt_row row;
    CONTRACT_OK(attempt_find(rig.store, 100, 302, &rig.arena, &diag, &row), &diag);
    assert_int_equal(row.response.len, 8);
    assert_int_equal(row.response_code, 204);
    assert_int_equal(row.duration_ms, 12);
    assert_true(slice_equal_text(row.url, "http://h/"));
    assert_int_equal(attempt_find(rig.store, 200, 302, &rig.arena, &diag, &row), PH_NOT_FOUND);
    rig_close(&rig);
}

static void test_a_rare_filter_gives_up_and_says_where(void **state)
{
    struct rig rig;
    rig_open(&rig, state);
    struct diag diag = {0};
    begin(&rig);
    add_message(&rig, 1, "a", NULL);
    add_attempt(&rig, 1, 1, 11, 500);
    CONTRACT_OK(db_pipeline_begin(rig.store->db, &diag), &diag);
    for (int64_t id = 2; id <= LIST_EXAMINED_MAX + 10; id++) {
        add_attempt(&rig, id, 1, 11, 200);
    }
    CONTRACT_OK(db_pipeline_end(rig.store->db, &diag), &diag);
    commit(&rig);
    struct attempt_filter filter = EVERYTHING;
    filter.endpoint_id = 11;
    filter.status = ATTEMPT_FAIL;
    page(&rig, filter, newest(10));
    assert_int_equal(rig.end.count, 0);
    assert_true(rig.end.has_more);
    assert_int_equal(rig.end.last_examined_id, 11);
    struct id_page bounds = newest(10);
    bounds.upper = 11;
    page(&rig, filter, bounds);
    ASSERT_IDS(&rig, 1);
    assert_false(rig.end.has_more);
    rig_close(&rig);
}

/* --- attempted messages ----------------------------------------------------------------------- */

/* To endpoint 11: 1 succeeded, 2 failed, 3 waits for a retry, 4 was not tried, 5 went elsewhere, 6
 * was sent by hand only, 7 was cancelled after a failure. */
static void fill_deliveries(struct rig *rig)
{
    begin(rig);
    add_endpoint(rig, 11);
    add_endpoint(rig, 12);
    add_endpoint(rig, 13);
    for (int64_t id = 1; id <= 7; id++) {
        add_message(rig, id, id == 3 ? "b" : "a", NULL);
        if (id <= 4 || id == 7) {
            add_delivery(rig, id, 11);
        }
    }
    add_delivery(rig, 5, 12);
    record(rig, 20, 1, 11, 500, DELIVERY_PENDING);
    record(rig, 21, 1, 11, 200, DELIVERY_SUCCEEDED);
    record(rig, 22, 2, 11, 500, DELIVERY_FAILED);
    record(rig, 23, 3, 11, 0, DELIVERY_PENDING);
    record(rig, 24, 5, 12, 200, DELIVERY_SUCCEEDED);
    add_attempt(rig, 25, 6, 11, 404);
    add_attempt(rig, 26, 6, 11, 200);
    record(rig, 27, 7, 11, 500, DELIVERY_PENDING);
    struct diag diag = {0};
    CONTRACT_OK(endpoint_delete(rig->store, 13, NOW_US, &diag), &diag);
    CONTRACT_OK(db_run(rig->store->db,
                       "UPDATE delivery SET state = 3, next_attempt_at = NULL"
                       " WHERE message_id = 7",
                       &diag),
                &diag);
    commit(rig);
}

static void messages(struct rig *rig, struct attempted_query *query, struct id_page bounds)
{
    struct diag diag = {0};
    query->messages.page = bounds;
    arena_reset(&rig->arena);
    CONTRACT_OK(
        attempted_message_page(rig->store, query, &rig->arena, &diag, rig->messages, &rig->end),
        &diag);
}

static void assert_message(const struct rig *rig, size_t index, int64_t id, bool has_delivery,
                           enum delivery_state state, int64_t latest_status)
{
    const struct attempted_message *row = &rig->messages[index];
    assert_int_equal(row->message.row.id, id);
    assert_int_equal(row->view.has_delivery, has_delivery);
    if (has_delivery) {
        assert_int_equal(row->view.state, state);
    }
    assert_int_equal(row->view.latest_status, latest_status);
}

static bool is_pending(const void *context, const struct delivery_view *view)
{
    assert_string_equal(context, "asked");
    return view->has_delivery && view->state == DELIVERY_PENDING;
}

static void test_attempted_messages(void **state)
{
    struct rig rig;
    rig_open(&rig, state);
    fill_deliveries(&rig);
    struct attempted_query query = {
        .messages = {.application_id = APPLICATION, .with_payload = true, .now_us = NOW_US},
        .endpoint_id = 11,
    };
    messages(&rig, &query, newest(10));
    assert_int_equal(rig.end.count, 5);
    assert_message(&rig, 0, 7, true, DELIVERY_CANCELLED, ATTEMPT_FAIL);
    assert_message(&rig, 1, 6, false, DELIVERY_PENDING, ATTEMPT_SUCCESS);
    assert_message(&rig, 2, 3, true, DELIVERY_PENDING, ATTEMPT_FAIL);
    assert_int_equal(rig.messages[2].view.next_attempt_at_us, RETRY_US);
    assert_message(&rig, 3, 2, true, DELIVERY_FAILED, ATTEMPT_FAIL);
    assert_message(&rig, 4, 1, true, DELIVERY_SUCCEEDED, ATTEMPT_SUCCESS);
    assert_true(slice_equal_text(rig.messages[4].message.payload, "{\"a\":1}"));
    assert_false(rig.end.has_more);

    messages(&rig, &query, newest(2));
    assert_int_equal(rig.end.count, 2);
    assert_true(rig.end.has_more);
    assert_int_equal(rig.end.last_examined_id, 0);
    messages(&rig, &query, (struct id_page){.lower = 1, .upper = 6, .limit = 10});
    assert_int_equal(rig.end.count, 2);
    assert_int_equal(rig.messages[0].message.row.id, 2);
    assert_int_equal(rig.messages[1].message.row.id, 3);

    query.is_wanted = is_pending;
    query.context = "asked";
    query.messages.with_payload = false;
    messages(&rig, &query, newest(10));
    assert_int_equal(rig.end.count, 1);
    assert_int_equal(rig.messages[0].message.row.id, 3);
    assert_null(rig.messages[0].message.payload.ptr);

    query.is_wanted = NULL;
    const struct slice types[] = {TEXT("b")};
    query.messages.filter = (struct message_filter){.event_types = types, .event_type_count = 1};
    messages(&rig, &query, newest(10));
    assert_int_equal(rig.end.count, 1);
    assert_int_equal(rig.messages[0].message.row.id, 3);
    rig_close(&rig);
}

static void test_attempted_messages_give_up_and_say_where(void **state)
{
    struct rig rig;
    rig_open(&rig, state);
    struct diag diag = {0};
    begin(&rig);
    CONTRACT_OK(db_pipeline_begin(rig.store->db, &diag), &diag);
    for (int64_t id = 1; id <= LIST_EXAMINED_MAX + 5; id++) {
        add_message(&rig, id, "a", NULL);
    }
    CONTRACT_OK(db_pipeline_end(rig.store->db, &diag), &diag);
    add_attempt(&rig, 1, 2, 11, 200);
    commit(&rig);
    struct attempted_query query = {
        .messages = {.application_id = APPLICATION, .now_us = NOW_US},
        .endpoint_id = 11,
    };
    messages(&rig, &query, newest(10));
    assert_int_equal(rig.end.count, 0);
    assert_true(rig.end.has_more);
    assert_int_equal(rig.end.last_examined_id, 6);
    struct id_page bounds = newest(10);
    bounds.upper = 6;
    messages(&rig, &query, bounds);
    assert_int_equal(rig.end.count, 1);
    assert_false(rig.end.has_more);
    rig_close(&rig);
}

/* --- attempted endpoints ---------------------------------------------------------------------- */

static void test_attempted_endpoints(void **state)
{
    struct rig rig;
    rig_open(&rig, state);
    fill_deliveries(&rig);
    /* Message 3 was also sent by hand to 12, and to 13 before that was deleted. */
    add_attempt(&rig, 30, 3, 12, 200);
    add_delivery(&rig, 3, 13);
    struct diag diag = {0};
    struct id_page bounds = {.upper = INT64_MAX, .limit = 10};
    CONTRACT_OK(
        attempted_endpoint_page(rig.store, 3, &bounds, &rig.arena, &diag, rig.endpoints, &rig.end),
        &diag);
    assert_int_equal(rig.end.count, 3);
    assert_false(rig.end.has_more);
    assert_int_equal(rig.endpoints[0].endpoint.id, 11);
    assert_int_equal(rig.endpoints[0].view.state, DELIVERY_PENDING);
    assert_int_equal(rig.endpoints[0].view.next_attempt_at_us, RETRY_US);
    assert_int_equal(rig.endpoints[0].view.latest_status, ATTEMPT_FAIL);
    assert_int_equal(rig.endpoints[1].endpoint.id, 12);
    assert_false(rig.endpoints[1].view.has_delivery);
    assert_int_equal(rig.endpoints[1].view.latest_status, ATTEMPT_SUCCESS);
    assert_int_equal(rig.endpoints[2].endpoint.id, 13);
    assert_true(rig.endpoints[2].endpoint.is_deleted);
    assert_int_equal(rig.endpoints[2].view.latest_status, ATTEMPT_ANY_STATUS);

    bounds = (struct id_page){.lower = 11, .upper = INT64_MAX, .limit = 1};
    CONTRACT_OK(
        attempted_endpoint_page(rig.store, 3, &bounds, &rig.arena, &diag, rig.endpoints, &rig.end),
        &diag);
    assert_int_equal(rig.end.count, 1);
    assert_int_equal(rig.endpoints[0].endpoint.id, 12);
    assert_true(rig.end.has_more);
    bounds = (struct id_page){.upper = 13, .limit = 1, .is_descending = true};
    CONTRACT_OK(
        attempted_endpoint_page(rig.store, 3, &bounds, &rig.arena, &diag, rig.endpoints, &rig.end),
        &diag);
    assert_int_equal(rig.endpoints[0].endpoint.id, 12);
    assert_true(rig.end.has_more);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_lists_by_endpoint_and_by_message),
        CONTRACT_BOTH(test_filters),
        CONTRACT_BOTH(test_responses_and_messages_come_when_wanted),
        CONTRACT_BOTH(test_a_rare_filter_gives_up_and_says_where),
        CONTRACT_BOTH(test_attempted_messages),
        CONTRACT_BOTH(test_attempted_messages_give_up_and_say_where),
        CONTRACT_BOTH(test_attempted_endpoints),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
