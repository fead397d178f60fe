/* SPDX-License-Identifier: Apache-2.0 */
/* What ends: old messages, payloads past their time, expunged messages. And what a start reads. */
#include "contract/contract.h"
#include "contract/store_rig.h"

#include "store/delivery.h"
#include "store/message.h"
#include "store/retention.h"

#define APPLICATION 7
#define ENDPOINT 11

static void add(struct store_rig *rig, int64_t id, int64_t payload_expires_at_us)
{
    struct diag diag = {0};
    const struct message_row row = {
        .id = id,
        .application_id = APPLICATION,
        .event_type = TEXT("a"),
        .payload_expires_at_us = payload_expires_at_us,
    };
    CONTRACT_OK(message_insert(rig->store, &row, &diag), &diag);
    CONTRACT_OK(message_insert_payload(rig->store, id, TEXT("{}"), SLICE_NONE, SLICE_NONE, &diag),
                &diag);
}

static void add_delivery(struct store_rig *rig, int64_t id, enum delivery_state state)
{
    struct diag diag = {0};
    const struct delivery_insert_row row = {
        .message_id = id,
        .endpoint_id = ENDPOINT,
        .shard = delivery_shard(ENDPOINT),
        .due_us = NOW_US,
        .generation = 1,
    };
    CONTRACT_OK(delivery_insert(rig->store, &row, &diag), &diag);
    if (state != DELIVERY_PENDING) {
        const struct delivery_outcome outcome = {
            .message_id = id, .endpoint_id = ENDPOINT, .state = state, .has_attempt = true};
        CONTRACT_OK(delivery_record(rig->store, &outcome, &diag), &diag);
    }
}

/* Everything that can hang on a message; ids of attempts are the message's and 1000. */
static void add_trappings(struct store_rig *rig, int64_t id, const char *event_id)
{
    struct diag diag = {0};
    bool is_new = false;
    CONTRACT_OK(
        message_claim_event_id(rig->store, APPLICATION, slice_of(event_id), id, &diag, &is_new),
        &diag);
    assert_true(is_new);
    const struct attempt_insert_row attempt = {.id = id + 1000,
                                               .message_id = id,
                                               .endpoint_id = ENDPOINT,
                                               .url = TEXT("http://h/"),
                                               .response = TEXT("no")};
    CONTRACT_OK(attempt_insert(rig->store, &attempt, &diag), &diag);
    CONTRACT_OK(manual_attempt_insert(rig->store, id + 2000, id, ENDPOINT, &diag), &diag);
}

static bool has_payload(struct store_rig *rig, int64_t id)
{
    return store_rig_number(rig, "SELECT count(*) FROM payload WHERE message_id = $1", id) == 1;
}

static struct retention_tally delete_old(struct store_rig *rig, int64_t after_id, int64_t before_id,
                                         int64_t *ret_last_id)
{
    struct diag diag = {0};
    struct retention_tally tally = {-1, -1, -1, -1};
    CONTRACT_OK(retention_delete(rig->store, after_id, before_id, &diag, ret_last_id, &tally),
                &diag);
    return tally;
}

static struct retention_tally count_old(struct store_rig *rig, int64_t after_id, int64_t before_id,
                                        int64_t *ret_last_id)
{
    struct diag diag = {0};
    struct retention_tally tally = {-1, -1, -1, -1};
    CONTRACT_OK(retention_count(rig->store, after_id, before_id, &diag, ret_last_id, &tally),
                &diag);
    return tally;
}

static void assert_tally(struct retention_tally tally, int64_t messages, int64_t payloads,
                         int64_t deliveries, int64_t attempts)
{
    assert_int_equal(tally.messages, messages);
    assert_int_equal(tally.payloads, payloads);
    assert_int_equal(tally.deliveries, deliveries);
    assert_int_equal(tally.attempts, attempts);
}

static void test_old_messages_go_with_all_that_hangs_on_them(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    for (int64_t id = 1; id <= 5; id++) {
        add(&rig, id, LATER_US);
    }
    add_delivery(&rig, 1, DELIVERY_SUCCEEDED);
    add_delivery(&rig, 2, DELIVERY_PENDING);
    add_delivery(&rig, 3, DELIVERY_FAILED);
    add_delivery(&rig, 5, DELIVERY_SUCCEEDED);
    add_trappings(&rig, 1, "one");
    add_trappings(&rig, 5, "five");
    store_rig_run(&rig, "DELETE FROM payload WHERE message_id = 4");
    int64_t last_id = -1;
    assert_tally(delete_old(&rig, 0, 1, &last_id), 0, 0, 0, 0);
    assert_int_equal(last_id, 0);
    assert_tally(count_old(&rig, 0, 1, &last_id), 0, 0, 0, 0);
    assert_int_equal(last_id, 0);
    /* What is counted is what is deleted; a manual attempt counts as one. */
    assert_tally(count_old(&rig, 0, 5, &last_id), 3, 2, 2, 2);
    assert_int_equal(last_id, 4);
    assert_tally(delete_old(&rig, 0, 5, &last_id), 3, 2, 2, 2);
    assert_int_equal(last_id, 4);
    assert_tally(delete_old(&rig, 4, 5, &last_id), 0, 0, 0, 0);
    assert_int_equal(last_id, 0);
    assert_tally(delete_old(&rig, 0, 5, &last_id), 0, 0, 0, 0);
    assert_int_equal(last_id, 2); /* looked at, and left */

    /* Left: 2, which still waits, and 5, which is young enough, whole. */
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM message", 0), 2);
    assert_true(has_payload(&rig, 2));
    assert_true(has_payload(&rig, 5));
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM payload", 0), 2);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM delivery", 0), 2);
    assert_int_equal(store_rig_number(&rig, "SELECT id FROM attempt", 0), 1005);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM attempt", 0), 1);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM manual_attempt", 0), 1);
    struct diag diag = {0};
    int64_t id = 0;
    assert_int_equal(message_find_by_event_id(rig.store, APPLICATION, TEXT("one"), &diag, &id),
                     PH_NOT_FOUND);
    CONTRACT_OK(message_find_by_event_id(rig.store, APPLICATION, TEXT("five"), &diag, &id), &diag);
    assert_int_equal(id, 5);
    bool is_new = false;
    CONTRACT_OK(message_claim_event_id(rig.store, APPLICATION, TEXT("one"), 6, &diag, &is_new),
                &diag);
    assert_true(is_new);
    store_rig_close(&rig);
}

static void test_a_step_looks_at_a_bounded_number(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    for (int64_t id = 1; id <= RETENTION_DELETE_STEP + 20; id++) {
        add(&rig, id, LATER_US);
        if (id <= RETENTION_DELETE_STEP) {
            add_delivery(&rig, id, DELIVERY_PENDING);
        }
    }
    int64_t last_id = -1;
    assert_tally(delete_old(&rig, 0, INT64_MAX, &last_id), 0, 0, 0, 0);
    assert_int_equal(last_id, RETENTION_DELETE_STEP);
    assert_tally(delete_old(&rig, last_id, INT64_MAX, &last_id), 20, 20, 0, 0);
    assert_int_equal(last_id, RETENTION_DELETE_STEP + 20);
    store_rig_close(&rig);
}

static int64_t expire(struct store_rig *rig, int64_t after_id, int64_t before_id,
                      int64_t *ret_last_id)
{
    struct diag diag = {0};
    int64_t deleted = -1;
    CONTRACT_OK(retention_expire_payloads(rig->store, after_id, before_id, NOW_US, &diag,
                                          ret_last_id, &deleted),
                &diag);
    return deleted;
}

static void test_payloads_go_at_their_time(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add(&rig, 1, NOW_US);
    add(&rig, 2, NOW_US + 1);
    add(&rig, 3, NOW_US - 1);
    add(&rig, 4, NOW_US);
    add(&rig, 5, NOW_US);
    add(&rig, 6, NOW_US);
    add_delivery(&rig, 4, DELIVERY_PENDING);
    add_delivery(&rig, 5, DELIVERY_SUCCEEDED);
    int64_t last_id = 0;
    assert_int_equal(expire(&rig, 0, 6, &last_id), 3);
    assert_int_equal(last_id, 5);
    const bool kept[] = {false, true, false, true, false, true};
    for (int64_t id = 1; id <= 6; id++) {
        assert_int_equal(has_payload(&rig, id), kept[id - 1]);
    }
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM message", 0), 6);
    assert_int_equal(expire(&rig, last_id, 6, &last_id), 0);
    assert_int_equal(last_id, 0);
    assert_int_equal(expire(&rig, 5, INT64_MAX, &last_id), 1);
    assert_int_equal(last_id, 6);
    store_rig_close(&rig);
}

static void test_payloads_are_looked_at_in_steps(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    CONTRACT_OK(db_begin(rig.store->db, &diag), &diag);
    for (int64_t id = 1; id <= RETENTION_EXPIRE_STEP + 1; id++) {
        add(&rig, id, id > 1 ? NOW_US : LATER_US);
    }
    CONTRACT_OK(db_commit(rig.store->db, &diag), &diag);
    int64_t last_id = 0;
    assert_int_equal(expire(&rig, 0, INT64_MAX, &last_id), RETENTION_EXPIRE_STEP - 1);
    assert_int_equal(last_id, RETENTION_EXPIRE_STEP);
    assert_int_equal(expire(&rig, last_id, INT64_MAX, &last_id), 1);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM payload", 0), 1);
    store_rig_close(&rig);
}

static void test_an_expunged_message_keeps_its_frame(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add(&rig, 1, LATER_US);
    add(&rig, 2, LATER_US);
    add(&rig, 3, LATER_US);
    add_delivery(&rig, 1, DELIVERY_PENDING);
    add_delivery(&rig, 2, DELIVERY_PENDING);
    add_delivery(&rig, 3, DELIVERY_SUCCEEDED);
    add_trappings(&rig, 1, "one");
    add_trappings(&rig, 2, "two");
    struct diag diag = {0};
    bool was_pending = false;
    CONTRACT_OK(message_expunge(rig.store, 1, NOW_US, &diag, &was_pending), &diag);
    assert_true(was_pending);
    CONTRACT_OK(message_expunge(rig.store, 3, NOW_US, &diag, &was_pending), &diag);
    assert_false(was_pending);
    assert_int_equal(message_expunge(rig.store, 1, NOW_US, &diag, &was_pending), PH_NOT_FOUND);
    assert_int_equal(message_expunge(rig.store, 99, NOW_US, &diag, &was_pending), PH_NOT_FOUND);

    assert_false(has_payload(&rig, 1));
    assert_true(has_payload(&rig, 2));
    assert_int_equal(store_rig_number(&rig, "SELECT state FROM delivery WHERE message_id = $1", 1),
                     DELIVERY_CANCELLED);
    assert_int_equal(store_rig_number(&rig, "SELECT reason FROM delivery WHERE message_id = $1", 1),
                     DELIVERY_REASON_EXPUNGED);
    assert_int_equal(store_rig_number(&rig, "SELECT state FROM delivery WHERE message_id = $1", 2),
                     DELIVERY_PENDING);
    assert_int_equal(store_rig_number(&rig, "SELECT state FROM delivery WHERE message_id = $1", 3),
                     DELIVERY_SUCCEEDED);
    assert_int_equal(store_rig_number(&rig, "SELECT id FROM manual_attempt", 0), 2002);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM manual_attempt", 0), 1);
    assert_int_equal(store_rig_number(&rig, "SELECT id FROM attempt WHERE response IS NULL", 0),
                     1001);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM attempt", 0), 2);
    struct message_row row;
    CONTRACT_OK(message_find(rig.store, APPLICATION, 1, &rig.arena, &diag, &row), &diag);
    assert_text_is(row.event_type, "a");
    assert_int_equal(message_payload(rig.store, 1, &rig.arena, &diag, NULL), PH_NOT_FOUND);
    store_rig_close(&rig);
}

static int64_t newest(struct store_rig *rig)
{
    struct diag diag = {0};
    int64_t id = -1;
    CONTRACT_OK(message_newest_id(rig->store, &diag, &id), &diag);
    return id;
}

static void test_the_newest_id_of_all_tables(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    assert_int_equal(newest(&rig), 0);
    add(&rig, 40, LATER_US);
    assert_int_equal(newest(&rig), 40);
    add_trappings(&rig, 40, "forty");
    assert_int_equal(newest(&rig), 2040);
    struct diag diag = {0};
    CONTRACT_OK(manual_attempt_delete(rig.store, 2040, &diag), &diag);
    assert_int_equal(newest(&rig), 1040);
    store_rig_run(&rig, "INSERT INTO event_type (id, org, name, description, archived, deprecated,"
                        " created_at, updated_at) VALUES (1041, 'o', 'n', '', 0, 0, 1, 1)");
    assert_int_equal(newest(&rig), 1041);
    store_rig_close(&rig);
}

struct seen {
    int64_t ids[4];
    char keys[4];
    size_t count;
};

static void note(void *context, struct slice key, int64_t message_id)
{
    struct seen *seen = context;
    assert_int_equal(key.len, 16);
    seen->keys[seen->count] = key.ptr[15];
    seen->ids[seen->count++] = message_id;
}

static void test_auto_keys_are_read_from_an_id_on(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    for (int64_t id = 1; id <= 4; id++) {
        char key[16] = {'\xff', 0};
        key[15] = (char)('a' + id);
        const struct message_row row = {
            .id = id,
            .application_id = APPLICATION,
            .event_type = TEXT("a"),
            .payload_expires_at_us = LATER_US,
            .auto_key = id == 3 ? SLICE_NONE : (struct slice){key, sizeof key},
        };
        CONTRACT_OK(message_insert(rig.store, &row, &diag), &diag);
    }
    struct seen seen = {0};
    CONTRACT_OK(message_each_auto_key(rig.store, 2, note, &seen, &diag), &diag);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.ids[0], 2);
    assert_int_equal(seen.ids[1], 4);
    assert_int_equal(seen.keys[0], 'a' + 2);
    assert_int_equal(seen.keys[1], 'a' + 4);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_old_messages_go_with_all_that_hangs_on_them),
        CONTRACT_BOTH(test_a_step_looks_at_a_bounded_number),
        CONTRACT_BOTH(test_payloads_go_at_their_time),
        CONTRACT_BOTH(test_payloads_are_looked_at_in_steps),
        CONTRACT_BOTH(test_an_expunged_message_keeps_its_frame),
        CONTRACT_BOTH(test_the_newest_id_of_all_tables),
        CONTRACT_BOTH(test_auto_keys_are_read_from_an_id_on),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
