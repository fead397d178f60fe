/* SPDX-License-Identifier: Apache-2.0 */
/* What ends tokens: which ones expire-all means, exactly when, and what may be forgotten. */
#include "contract/contract.h"
#include "contract/store_rig.h"

#include "store/token.h"

#define SECOND_US INT64_C(1000000)
#define APPLICATION 7
#define CUTOFF_ID 5000

static struct token_facts token_of(int64_t id, int64_t issued_at_ms)
{
    return (struct token_facts){
        .application_id = APPLICATION, .id = id, .issued_at_ms = issued_at_ms, .hash = {1, 0, 255}};
}

static struct token_fate fate_at(struct store_rig *rig, struct token_facts facts, int64_t now_us)
{
    struct diag diag = {0};
    struct token_fate fate;
    CONTRACT_OK(token_find_fate(rig->store, &facts, now_us, &diag, &fate), &diag);
    return fate;
}

static bool has_ended(struct store_rig *rig, struct token_facts facts, int64_t now_us)
{
    return fate_at(rig, facts, now_us).has_ended;
}

static struct token_cutoff cutoff_of(int64_t id, int64_t now_us, int64_t delay_us)
{
    return (struct token_cutoff){.application_id = APPLICATION,
                                 .issued_before_id = id,
                                 .issued_before_us = now_us,
                                 .effective_at_us = now_us + delay_us};
}

static void expire(struct store_rig *rig, struct token_cutoff cutoff)
{
    struct diag diag = {0};
    CONTRACT_OK(token_expire(rig->store, &cutoff, cutoff.issued_before_us, &diag), &diag);
}

static int64_t rows(struct store_rig *rig)
{
    return store_rig_number(rig, "SELECT count(*) FROM token_expiry", 0);
}

static void test_only_what_was_issued_before_ends(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    int64_t now_ms = NOW_US / 1000;
    assert_false(has_ended(&rig, token_of(CUTOFF_ID - 1, 0), NOW_US));
    assert_true(fate_at(&rig, token_of(CUTOFF_ID - 1, 0), NOW_US).ends_at_us == INT64_MAX);
    expire(&rig, cutoff_of(CUTOFF_ID, NOW_US, 0));
    /* The writer's id decides, whatever the clock says. */
    assert_true(has_ended(&rig, token_of(CUTOFF_ID - 1, now_ms + 5), NOW_US));
    assert_false(has_ended(&rig, token_of(CUTOFF_ID + 1, now_ms - 5), NOW_US));
    /* Without one the millisecond does; in the same one it ends. */
    assert_true(has_ended(&rig, token_of(0, now_ms - 1), NOW_US));
    assert_true(has_ended(&rig, token_of(0, now_ms), NOW_US));
    assert_false(has_ended(&rig, token_of(0, now_ms + 1), NOW_US));
    assert_true(has_ended(&rig, token_of(0, 0), NOW_US));
    /* Other applications have nothing to do with it. */
    struct token_facts other = token_of(CUTOFF_ID - 1, 0);
    other.application_id = APPLICATION + 1;
    assert_false(has_ended(&rig, other, NOW_US));
    store_rig_close(&rig);
}

static void test_sessions_stay_apart(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct token_facts mine = token_of(CUTOFF_ID - 1, 0);
    struct token_facts other = mine;
    mine.session_id = TEXT("mine");
    other.session_id = TEXT("Mine");
    struct token_cutoff cutoff = cutoff_of(CUTOFF_ID, NOW_US, 0);
    cutoff.session_id = TEXT("mine");
    expire(&rig, cutoff);
    assert_true(has_ended(&rig, mine, NOW_US));
    assert_false(has_ended(&rig, other, NOW_US));
    assert_false(has_ended(&rig, token_of(CUTOFF_ID - 1, 0), NOW_US));
    /* All sessions: that says more than the row of one, which goes. */
    expire(&rig, cutoff_of(CUTOFF_ID + 1, NOW_US, 0));
    assert_true(has_ended(&rig, other, NOW_US));
    assert_true(has_ended(&rig, token_of(CUTOFF_ID, 0), NOW_US));
    assert_int_equal(rows(&rig), 1);
    store_rig_close(&rig);
}

static void test_a_delay(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    expire(&rig, cutoff_of(CUTOFF_ID, NOW_US, 60 * SECOND_US));
    struct token_facts old = token_of(CUTOFF_ID - 1, 0);
    struct token_facts young = token_of(CUTOFF_ID + 1, 0);
    struct token_fate fate = fate_at(&rig, old, NOW_US);
    assert_false(fate.has_ended);
    assert_true(fate.ends_at_us == NOW_US + 60 * SECOND_US);
    assert_true(fate_at(&rig, young, NOW_US).ends_at_us == INT64_MAX);
    assert_true(has_ended(&rig, old, NOW_US + 60 * SECOND_US));
    /* A second one that comes later but takes effect sooner does all that the first did. */
    expire(&rig, cutoff_of(CUTOFF_ID + 10, NOW_US + SECOND_US, 30 * SECOND_US));
    assert_int_equal(rows(&rig), 1);
    assert_true(has_ended(&rig, young, NOW_US + 31 * SECOND_US));
    /* One that takes effect later leaves it: both count, each at its time. */
    expire(&rig, cutoff_of(CUTOFF_ID + 20, NOW_US + 2 * SECOND_US, 60 * SECOND_US));
    struct token_facts youngest = token_of(CUTOFF_ID + 15, 0);
    assert_int_equal(rows(&rig), 2);
    assert_true(has_ended(&rig, young, NOW_US + 31 * SECOND_US));
    assert_false(has_ended(&rig, youngest, NOW_US + 31 * SECOND_US));
    assert_true(has_ended(&rig, youngest, NOW_US + 62 * SECOND_US));
    /* At once: the rest says nothing more. */
    expire(&rig, cutoff_of(CUTOFF_ID + 30, NOW_US + 3 * SECOND_US, 0));
    assert_int_equal(rows(&rig), 1);
    assert_true(has_ended(&rig, youngest, NOW_US + 3 * SECOND_US));
    store_rig_close(&rig);
}

static void test_pending_ones_are_counted(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    for (int index = 0; index < TOKEN_EXPIRIES_PENDING_MAX; index++) {
        expire(&rig, cutoff_of(CUTOFF_ID + index, NOW_US + index, 60 * SECOND_US));
    }
    struct diag diag = {0};
    struct token_cutoff one_more = cutoff_of(CUTOFF_ID + 100, NOW_US + 100, 60 * SECOND_US);
    assert_int_equal(token_expire(rig.store, &one_more, NOW_US + 100, &diag), PH_BAD_REQUEST);
    assert_string_equal(diag.code, "limit_reached");
    /* Another session has its own count; and when they are in effect there is room again, for one
     * row is enough for all of them. */
    struct token_cutoff session = one_more;
    session.session_id = TEXT("s");
    expire(&rig, session);
    expire(&rig, cutoff_of(CUTOFF_ID + 200, NOW_US + 61 * SECOND_US, 60 * SECOND_US));
    assert_int_equal(
        store_rig_number(&rig, "SELECT count(*) FROM token_expiry WHERE session_id = ''", 0), 2);
    assert_true(has_ended(&rig, token_of(CUTOFF_ID + TOKEN_EXPIRIES_PENDING_MAX - 2, 0),
                          NOW_US + 61 * SECOND_US));
    store_rig_close(&rig);
}

static void revoke(struct store_rig *rig, const uint8_t *hash, int64_t expires_at_us)
{
    struct diag diag = {0};
    CONTRACT_OK(token_revoke(rig->store, APPLICATION, hash, expires_at_us, &diag), &diag);
}

static int64_t delete_old(struct store_rig *rig, int64_t now_us, int64_t limit)
{
    struct diag diag = {0};
    int64_t deleted = -1;
    CONTRACT_OK(token_delete_old(rig->store, now_us, limit, &diag, &deleted), &diag);
    return deleted;
}

static void test_one_token_is_revoked(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct token_facts token = token_of(1, 0);
    struct token_facts sibling = token;
    sibling.hash[15] = 1;
    revoke(&rig, token.hash, NOW_US + SECOND_US);
    revoke(&rig, token.hash, NOW_US + SECOND_US);
    assert_true(has_ended(&rig, token, NOW_US));
    assert_false(has_ended(&rig, sibling, NOW_US));
    struct token_facts foreign = token;
    foreign.application_id = APPLICATION + 1;
    assert_false(has_ended(&rig, foreign, NOW_US));
    assert_int_equal(delete_old(&rig, NOW_US + SECOND_US, 10), 0);
    assert_int_equal(delete_old(&rig, NOW_US + SECOND_US + 1, 10), 1);
    revoke(&rig, token.hash, INT64_MAX);
    assert_int_equal(delete_old(&rig, NOW_US * 2, 10), 0);
    assert_true(has_ended(&rig, token, NOW_US * 2));
    store_rig_close(&rig);
}

static void test_what_may_be_forgotten(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    expire(&rig, cutoff_of(CUTOFF_ID, NOW_US, 0));
    static const char *const names[] = {"a", "b", "c"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(names); index++) {
        struct token_cutoff cutoff = cutoff_of(CUTOFF_ID + 1, NOW_US, 0);
        cutoff.session_id = slice_of(names[index]);
        expire(&rig, cutoff);
    }
    assert_int_equal(delete_old(&rig, NOW_US + TOKEN_SESSION_AGE_MAX_US, 10), 0);
    assert_int_equal(delete_old(&rig, NOW_US + TOKEN_SESSION_AGE_MAX_US + 1, 2), 2);
    assert_int_equal(delete_old(&rig, NOW_US + TOKEN_SESSION_AGE_MAX_US + 1, 2), 1);
    /* What ends tokens without a session stays: they may be valid for ever. */
    assert_int_equal(delete_old(&rig, NOW_US * 2, 10), 0);
    assert_true(has_ended(&rig, token_of(CUTOFF_ID - 1, 0), NOW_US * 2));
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_only_what_was_issued_before_ends),
        CONTRACT_BOTH(test_sessions_stay_apart),
        CONTRACT_BOTH(test_a_delay),
        CONTRACT_BOTH(test_pending_ones_are_counted),
        CONTRACT_BOTH(test_one_token_is_revoked),
        CONTRACT_BOTH(test_what_may_be_forgotten),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
