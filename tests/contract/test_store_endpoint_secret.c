/* SPDX-License-Identifier: Apache-2.0 */
/* Signing keys of endpoints, and their rotation with an overlap. */
#include "contract/contract.h"
#include "contract/store_rig.h"

#include "store/endpoint_secret.h"

#define ENDPOINT 11
#define OTHER_ENDPOINT 12
#define OVERLAP_US INT64_C(3600000000)

static struct signing_key *key_of(enum signature_scheme scheme, char fill)
{
    uint8_t entropy[SIGNING_KEY_RANDOM_BYTES];
    memset(entropy, fill, sizeof entropy);
    return signing_key_generate(scheme, entropy);
}

static void add_to(struct store_rig *rig, int64_t endpoint_id, int64_t id,
                   enum signature_scheme scheme, char fill)
{
    struct diag diag = {0};
    struct signing_key *key = key_of(scheme, fill);
    CONTRACT_OK(endpoint_secret_insert(rig->store, id, endpoint_id, key, &diag), &diag);
    signing_key_free(key);
}

static void add(struct store_rig *rig, int64_t id, char fill)
{
    add_to(rig, ENDPOINT, id, SIGNATURE_HMAC_SHA256, fill);
}

static void expire(struct store_rig *rig, int64_t expires_at_us, int64_t now_us)
{
    struct diag diag = {0};
    CONTRACT_OK(endpoint_secret_expire_current(rig->store, ENDPOINT, expires_at_us, now_us, &diag),
                &diag);
}

static void assert_current(struct store_rig *rig, int64_t endpoint_id, enum signature_scheme scheme,
                           char fill)
{
    struct diag diag = {0};
    struct signing_key *stored = NULL;
    struct signing_key *expected = key_of(scheme, fill);
    CONTRACT_OK(endpoint_secret_current(rig->store, endpoint_id, &diag, &stored), &diag);
    assert_int_equal(signing_key_scheme(stored), scheme);
    assert_true(slice_equal(signing_key_bytes(stored), signing_key_bytes(expected)));
    signing_key_free(stored);
    signing_key_free(expected);
}

static void assert_no_current(struct store_rig *rig, int64_t endpoint_id)
{
    struct diag diag = {0};
    struct signing_key *key = NULL;
    assert_int_equal(endpoint_secret_current(rig->store, endpoint_id, &diag, &key), PH_NOT_FOUND);
    assert_string_equal(diag.text, "Entity not found");
    assert_null(key);
}

static int64_t old_count(struct store_rig *rig, int64_t now_us)
{
    struct diag diag = {0};
    int64_t count = -1;
    CONTRACT_OK(endpoint_secret_count_old(rig->store, ENDPOINT, now_us, &diag, &count), &diag);
    return count;
}

static int64_t row_count(struct store_rig *rig)
{
    return store_rig_number(rig, "SELECT count(*) FROM endpoint_secret WHERE endpoint_id = $1",
                            ENDPOINT);
}

static void test_keys_of_both_schemes_come_back(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    assert_no_current(&rig, ENDPOINT);
    assert_int_equal(old_count(&rig, NOW_US), 0);
    add(&rig, 1, '\0');
    add_to(&rig, OTHER_ENDPOINT, 2, SIGNATURE_ED25519, '\xfe');
    assert_current(&rig, ENDPOINT, SIGNATURE_HMAC_SHA256, '\0');
    assert_current(&rig, OTHER_ENDPOINT, SIGNATURE_ED25519, '\xfe');
    store_rig_close(&rig);
}

static void test_rotation_leaves_the_old_key_its_time(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add(&rig, 1, 'a');
    add_to(&rig, OTHER_ENDPOINT, 2, SIGNATURE_HMAC_SHA256, 'o');
    expire(&rig, NOW_US + OVERLAP_US, NOW_US);
    assert_no_current(&rig, ENDPOINT);
    add(&rig, 3, 'b');
    assert_current(&rig, ENDPOINT, SIGNATURE_HMAC_SHA256, 'b');
    assert_current(&rig, OTHER_ENDPOINT, SIGNATURE_HMAC_SHA256, 'o');
    assert_int_equal(old_count(&rig, NOW_US), 1);
    assert_int_equal(old_count(&rig, NOW_US + OVERLAP_US - 1), 1);
    assert_int_equal(old_count(&rig, NOW_US + OVERLAP_US), 0);

    /* The next rotation within the overlap: the first key keeps its own end. */
    expire(&rig, NOW_US + 2 * OVERLAP_US, NOW_US + 1);
    add(&rig, 4, 'c');
    assert_current(&rig, ENDPOINT, SIGNATURE_HMAC_SHA256, 'c');
    assert_int_equal(old_count(&rig, NOW_US + 1), 2);
    assert_int_equal(old_count(&rig, NOW_US + OVERLAP_US), 1);
    assert_int_equal(row_count(&rig), 3);
    store_rig_close(&rig);
}

static void test_rotation_deletes_what_has_ended(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add(&rig, 1, 'a');
    expire(&rig, NOW_US + OVERLAP_US, NOW_US);
    add(&rig, 2, 'b');
    int64_t now_us = NOW_US + OVERLAP_US;
    expire(&rig, now_us + OVERLAP_US, now_us);
    add(&rig, 3, 'c');
    assert_int_equal(row_count(&rig), 2);
    assert_int_equal(old_count(&rig, now_us), 1);
    /* Without an overlap the current one goes at once. */
    expire(&rig, now_us, now_us);
    assert_no_current(&rig, ENDPOINT);
    assert_int_equal(row_count(&rig), 1);
    /* Nothing is current: nothing happens. */
    expire(&rig, now_us + 1, now_us);
    assert_int_equal(row_count(&rig), 1);
    assert_int_equal(old_count(&rig, now_us + OVERLAP_US - 1), 1);
    store_rig_close(&rig);
}

static void test_a_row_that_is_no_key_is_the_stores_error(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add(&rig, 1, 'a');
    store_rig_run(&rig, "UPDATE endpoint_secret SET scheme = 1");
    struct diag diag = {0};
    struct signing_key *key = NULL;
    assert_int_equal(endpoint_secret_current(rig.store, ENDPOINT, &diag, &key), PH_STORE);
    assert_null(key);
    assert_non_null(strstr(diag.text, "endpoint 11"));
    /* The connection is as good as before. */
    store_rig_run(&rig, "UPDATE endpoint_secret SET scheme = 0");
    assert_current(&rig, ENDPOINT, SIGNATURE_HMAC_SHA256, 'a');
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_keys_of_both_schemes_come_back),
        CONTRACT_BOTH(test_rotation_leaves_the_old_key_its_time),
        CONTRACT_BOTH(test_rotation_deletes_what_has_ended),
        CONTRACT_BOTH(test_a_row_that_is_no_key_is_the_stores_error),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
