/* SPDX-License-Identifier: Apache-2.0 */
/* Answers by idempotency key: kept for twelve hours, then deleted in steps. */
#include "contract/contract.h"
#include "contract/store_rig.h"

#include "store/idempotency.h"

#define HOUR_US INT64_C(3600000000)
/* The start of an hour. */
#define START_US (NOW_US / HOUR_US * HOUR_US)

static const uint8_t *key_of(unsigned number)
{
    /* Zero bytes and bytes above 127, as a hash has them. */
    static uint8_t key[16];
    memset(key, 0xff, sizeof key);
    key[3] = 0;
    memcpy(key + 8, &number, sizeof number);
    return key;
}

static void keep(struct store_rig *rig, unsigned key, int64_t now_us, struct idempotency_row row)
{
    struct diag diag = {0};
    CONTRACT_OK(idempotency_insert(rig->store, key_of(key), now_us, &row, &diag), &diag);
}

static enum ph_error find(struct store_rig *rig, unsigned key, int64_t now_us,
                          struct idempotency_row *ret_row)
{
    return idempotency_find(rig->store, key_of(key), now_us, &rig->arena, NULL, ret_row);
}

static int64_t delete_old(struct store_rig *rig, int64_t now_us, int64_t limit)
{
    struct diag diag = {0};
    int64_t deleted = -1;
    CONTRACT_OK(idempotency_delete_old(rig->store, now_us, limit, &diag, &deleted), &diag);
    return deleted;
}

static void test_answers_come_back(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    keep(&rig, 1, NOW_US, (struct idempotency_row){.message_id = 77, .status = 202});
    keep(&rig, 2, NOW_US, (struct idempotency_row){.status = 201, .response = TEXT("{\"a\":\0}")});
    keep(&rig, 3, NOW_US, (struct idempotency_row){.status = 204, .response = TEXT("")});
    struct idempotency_row row = {0};
    assert_int_equal(find(&rig, 1, NOW_US, &row), PH_OK);
    assert_int_equal(row.message_id, 77);
    assert_int_equal(row.status, 202);
    assert_null(row.response.ptr);
    assert_int_equal(find(&rig, 2, NOW_US, &row), PH_OK);
    assert_int_equal(row.message_id, 0);
    assert_int_equal(row.status, 201);
    assert_int_equal(row.response.len, 7);
    assert_memory_equal(row.response.ptr, "{\"a\":\0}", 7);
    assert_int_equal(find(&rig, 3, NOW_US, &row), PH_OK);
    assert_non_null(row.response.ptr);
    assert_int_equal(row.response.len, 0);
    assert_int_equal(find(&rig, 4, NOW_US, &row), PH_NOT_FOUND);

    struct arena small;
    arena_init(&small, 4);
    assert_int_equal(idempotency_find(rig.store, key_of(2), NOW_US, &small, NULL, &row),
                     PH_NO_MEMORY);
    arena_done(&small);
    assert_int_equal(find(&rig, 2, NOW_US, &row), PH_OK);
    store_rig_close(&rig);
}

static void test_a_key_is_answered_once(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    keep(&rig, 1, START_US, (struct idempotency_row){.message_id = 1, .status = 202});
    const struct idempotency_row again = {.message_id = 2, .status = 202};
    assert_int_equal(idempotency_insert(rig.store, key_of(1), START_US + HOUR_US - 1, &again, NULL),
                     PH_CONFLICT);
    struct idempotency_row row = {0};
    assert_int_equal(find(&rig, 1, START_US, &row), PH_OK);
    assert_int_equal(row.message_id, 1);
    store_rig_close(&rig);
}

static void test_answers_last_twelve_hours(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    int64_t kept_us = START_US + HOUR_US / 2;
    keep(&rig, 1, kept_us, (struct idempotency_row){.message_id = 1, .status = 202});
    struct idempotency_row row;
    assert_int_equal(find(&rig, 1, kept_us + HOUR_US, &row), PH_OK);
    assert_int_equal(find(&rig, 1, kept_us + IDEMPOTENCY_HOURS * HOUR_US, &row), PH_OK);
    assert_int_equal(find(&rig, 1, kept_us + (IDEMPOTENCY_HOURS + 1) * HOUR_US, &row),
                     PH_NOT_FOUND);
    /* From then on the key may be used anew. */
    int64_t later_us = kept_us + (IDEMPOTENCY_HOURS + 1) * HOUR_US;
    keep(&rig, 1, later_us, (struct idempotency_row){.message_id = 2, .status = 202});
    assert_int_equal(find(&rig, 1, later_us, &row), PH_OK);
    assert_int_equal(row.message_id, 2);
    store_rig_close(&rig);
}

static void test_retention_goes_in_steps(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    int64_t later_us = START_US + (IDEMPOTENCY_HOURS + 2) * HOUR_US;
    const struct idempotency_row row = {.message_id = 1, .status = 202};
    for (unsigned key = 0; key < 5; key++) {
        keep(&rig, key, START_US, row);
    }
    keep(&rig, 0, START_US + HOUR_US, row); /* the same key, used anew by a lost clock */
    keep(&rig, 6, later_us - IDEMPOTENCY_HOURS * HOUR_US, row);
    assert_int_equal(delete_old(&rig, START_US, 10), 0);
    assert_int_equal(delete_old(&rig, later_us, 2), 2);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM idempotency", 0), 5);
    assert_int_equal(delete_old(&rig, later_us, 3), 3);
    assert_int_equal(delete_old(&rig, later_us, 10), 1);
    assert_int_equal(delete_old(&rig, later_us, 10), 0);
    struct idempotency_row kept;
    assert_int_equal(find(&rig, 6, later_us, &kept), PH_OK);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM idempotency", 0), 1);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_answers_come_back),
        CONTRACT_BOTH(test_a_key_is_answered_once),
        CONTRACT_BOTH(test_answers_last_twelve_hours),
        CONTRACT_BOTH(test_retention_goes_in_steps),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
