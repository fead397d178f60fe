/* SPDX-License-Identifier: Apache-2.0 */
/* Messages and attempts of one application in one row, page by page. */
#include "contract/store_rig.h"

#include "store/delivery.h"
#include "store/endpoint.h"
#include "store/event_list.h"
#include "store/message.h"

#define APPLICATION 7
#define NEIGHBOUR 8
#define ENDPOINTS 3 /* of each */
#define EVENTS_MAX 2000
#define DAY_IDS (INT64_C(86400) << 31)

/* What was written for APPLICATION, in order. */
struct history {
    struct store_rig rig;
    int64_t ids[EVENTS_MAX];
    bool are_attempts[EVENTS_MAX];
    size_t count;
    int64_t last_id; /* of both applications */
    int64_t message_ids[2];
    struct event_row rows[2 * EVENT_PAGE_MAX];
    struct event_end end;
};

static void add_endpoints(struct history *history, int64_t application_id)
{
    struct diag diag = {0};
    for (int64_t index = 0; index < ENDPOINTS; index++) {
        const struct endpoint_row row = {
            .id = application_id * 10 + index,
            .application_id = application_id,
            .url = TEXT("http://h/"),
            .description = TEXT(""),
            .version = 1,
            .metadata = TEXT("{}"),
            .headers = TEXT("{}"),
            .created_at_us = NOW_US,
            .updated_at_us = NOW_US,
        };
        CONTRACT_OK(endpoint_insert(history->rig.store, &row, &diag), &diag);
    }
}

static void note(struct history *history, int64_t application_id, bool is_attempt)
{
    if (application_id == APPLICATION) {
        assert_true(history->count < EVENTS_MAX);
        history->ids[history->count] = history->last_id;
        history->are_attempts[history->count] = is_attempt;
        history->count++;
    }
}

static void add_message(struct history *history, int64_t application_id, int64_t step)
{
    struct diag diag = {0};
    history->last_id += step;
    history->message_ids[application_id == NEIGHBOUR] = history->last_id;
    const struct message_row row = {
        .id = history->last_id,
        .application_id = application_id,
        .event_type = TEXT("run.ended"),
        .event_id = SLICE_NONE,
        .channels = TEXT("[\"a\"]"),
        .payload_expires_at_us = LATER_US,
    };
    CONTRACT_OK(message_insert(history->rig.store, &row, &diag), &diag);
    CONTRACT_OK(message_insert_payload(history->rig.store, row.id, TEXT("{\"a\":1}"), SLICE_NONE,
                                       SLICE_NONE, &diag),
                &diag);
    note(history, application_id, false);
}

static void add_attempt(struct history *history, int64_t application_id, int64_t endpoint,
                        int64_t step)
{
    struct diag diag = {0};
    history->last_id += step;
    const struct attempt_insert_row row = {
        .id = history->last_id,
        .message_id = history->message_ids[application_id == NEIGHBOUR],
        .endpoint_id = application_id * 10 + endpoint,
        .response_code = 503,
        .duration_ms = 12,
        .url = TEXT("http://h/"),
        .response = TEXT("busy"),
    };
    CONTRACT_OK(attempt_insert(history->rig.store, &row, &diag), &diag);
    note(history, application_id, true);
}

static struct history *history_open(void **state)
{
    struct history *history = ph_calloc(1, sizeof *history);
    struct diag diag = {0};
    store_rig_open(&history->rig, state);
    history->last_id = DAY_IDS * 3000;
    CONTRACT_OK(db_begin(history->rig.store->db, &diag), &diag);
    add_endpoints(history, APPLICATION);
    add_endpoints(history, NEIGHBOUR);
    add_message(history, APPLICATION, 1);
    add_message(history, NEIGHBOUR, 1);
    return history;
}

static void history_commit(struct history *history)
{
    struct diag diag = {0};
    CONTRACT_OK(db_commit(history->rig.store->db, &diag), &diag);
    CONTRACT_OK(db_begin_read(history->rig.store->db, &diag), &diag);
}

static void history_close(struct history *history)
{
    db_rollback(history->rig.store->db);
    store_rig_close(&history->rig);
    free(history);
}

static void page(struct history *history, int64_t after_id, size_t limit)
{
    struct diag diag = {0};
    arena_reset(&history->rig.arena);
    const struct event_query query = {APPLICATION, after_id, limit, &history->rig.arena};
    CONTRACT_OK(event_page(history->rig.store, &query, &diag, history->rows, &history->end), &diag);
    assert_true(history->end.count <= 2 * limit);
    assert_true(history->end.last_id >= after_id);
    assert_true(history->end.last_id > after_id || !history->end.has_more);
}

/* Walks from behind event `first` to the end: each event once and in order. */
static void walk(struct history *history, size_t first, int64_t after_id, size_t limit)
{
    size_t seen = first;
    size_t pages = 0;
    do {
        page(history, after_id, limit);
        for (size_t index = 0; index < history->end.count; index++) {
            const struct event_row *row = &history->rows[index];
            assert_true(seen < history->count);
            assert_int_equal(row->id, history->ids[seen]);
            assert_int_equal(row->is_attempt, history->are_attempts[seen]);
            assert_text_is(row->message.event_type, "run.ended");
            seen++;
        }
        after_id = history->end.last_id;
        pages++;
        assert_true(pages <= 100 + 20 * history->count / limit);
    } while (history->end.has_more);
    assert_int_equal(seen, history->count);
    assert_int_equal(after_id, history->last_id);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

/* Storms within one tick, quiet days, two applications at once. */
static void fill(struct history *history)
{
    struct diag diag = {0};
    uint64_t seed = 42;
    CONTRACT_OK(db_pipeline_begin(history->rig.store->db, &diag), &diag);
    for (int round = 0; round < 1200; round++) {
        uint64_t dice = next_random(&seed);
        int64_t application_id = dice % 3 == 0 ? NEIGHBOUR : APPLICATION;
        int64_t step = round % 200 < 150 ? 1 : (int64_t)(dice % 1000) << 20;
        if (round % 400 == 399) {
            step = 4 * DAY_IDS;
        }
        if (dice / 3 % 4 == 0) {
            add_message(history, application_id, step);
        } else {
            add_attempt(history, application_id, (int64_t)(dice / 12 % ENDPOINTS), step);
        }
    }
    CONTRACT_OK(db_pipeline_end(history->rig.store->db, &diag), &diag);
    add_message(history, NEIGHBOUR, 1);
    add_attempt(history, NEIGHBOUR, 0, 1);
}

static void test_each_event_once_and_in_order(void **state)
{
    struct history *history = history_open(state);
    fill(history);
    history_commit(history);
    static const size_t limits[] = {1, 7, 200, EVENT_PAGE_MAX};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(limits); index++) {
        walk(history, 0, 0, limits[index]);
        walk(history, history->count / 2, history->ids[history->count / 2 - 1], limits[index]);
        walk(history, history->count, history->ids[history->count - 1], limits[index]);
    }
    /* From an id that is none of the application's. */
    walk(history, 1, history->ids[0] + 1, 100);
    history_close(history);
}

static void test_nothing_happened(void **state)
{
    struct history *history = history_open(state);
    history_commit(history);
    page(history, history->last_id, 10);
    assert_int_equal(history->end.count, 0);
    assert_false(history->end.has_more);
    assert_int_equal(history->end.last_id, history->last_id);
    /* A position of the future, after a restored backup, stays where it is. */
    page(history, history->last_id + DAY_IDS, 10);
    assert_int_equal(history->end.count, 0);
    assert_int_equal(history->end.last_id, history->last_id + DAY_IDS);
    history_close(history);
}

/* Only retries, and all of them in one transaction. */
static void test_a_storm_of_attempts_alone(void **state)
{
    struct history *history = history_open(state);
    struct diag diag = {0};
    CONTRACT_OK(db_pipeline_begin(history->rig.store->db, &diag), &diag);
    for (int round = 0; round < 1000; round++) {
        add_attempt(history, APPLICATION, round % ENDPOINTS, 1);
    }
    CONTRACT_OK(db_pipeline_end(history->rig.store->db, &diag), &diag);
    history_commit(history);
    page(history, history->ids[0], 10);
    assert_in_range(history->end.count, 1, 10);
    walk(history, 0, 0, 10);
    walk(history, 0, 0, EVENT_PAGE_MAX);
    history_close(history);
}

static void test_what_a_row_says(void **state)
{
    struct history *history = history_open(state);
    struct diag diag = {0};
    add_attempt(history, APPLICATION, 1, 5);
    history_commit(history);
    page(history, 0, 10);
    assert_int_equal(history->end.count, 2);
    const struct event_row *message = &history->rows[0];
    const struct event_row *attempt = &history->rows[1];
    assert_text_is(message->message.channels, "[\"a\"]");
    assert_int_equal(message->message.application_id, APPLICATION);
    assert_null(message->message.event_id.ptr);
    assert_int_equal(attempt->attempt.message_id, message->id);
    assert_int_equal(attempt->attempt.endpoint_id, APPLICATION * 10 + 1);
    assert_int_equal(attempt->attempt.response_code, 503);
    assert_text_is(attempt->attempt.url, "http://h/");

    struct slice content;
    struct store *store = history->rig.store;
    struct arena *arena = &history->rig.arena;
    CONTRACT_OK(event_content(store, message, NOW_US, arena, &diag, &content), &diag);
    assert_text_is(content, "{\"a\":1}");
    CONTRACT_OK(event_content(store, message, LATER_US, arena, &diag, &content), &diag);
    assert_null(content.ptr);
    CONTRACT_OK(event_content(store, attempt, NOW_US, arena, &diag, &content), &diag);
    assert_text_is(content, "busy");

    bool exists;
    CONTRACT_OK(event_exists(store, APPLICATION, false, message->id, &diag, &exists), &diag);
    assert_true(exists);
    CONTRACT_OK(event_exists(store, APPLICATION, true, attempt->id, &diag, &exists), &diag);
    assert_true(exists);
    CONTRACT_OK(event_exists(store, APPLICATION, true, message->id, &diag, &exists), &diag);
    assert_false(exists);
    CONTRACT_OK(event_exists(store, NEIGHBOUR, true, attempt->id, &diag, &exists), &diag);
    assert_false(exists);
    CONTRACT_OK(event_exists(store, NEIGHBOUR, false, message->id, &diag, &exists), &diag);
    assert_false(exists);
    history_close(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_each_event_once_and_in_order),
        CONTRACT_BOTH(test_nothing_happened),
        CONTRACT_BOTH(test_a_storm_of_attempts_alone),
        CONTRACT_BOTH(test_what_a_row_says),
    };
    return cmocka_run_group_tests_name("store_event_list", tests, contract_begin, contract_end);
}
