/* SPDX-License-Identifier: Apache-2.0 */
/* Integrations: rows, and keys that are found by what they are and kept plain or sealed. */
#include "contract/contract.h"
#include "contract/store_rig.h"

#include "store/application.h"
#include "store/integration.h"
#include "store/keyring.h"
#include "store/seal_rows.h"

#define APPLICATION 7
#define KEY "integsk_hunter2"
#define OTHER_KEY "integsk_hunter3"

static void add_application(struct store_rig *rig, int64_t id, const char *org)
{
    struct diag diag = {0};
    const struct application_row row = {.id = id,
                                        .org = slice_of(org),
                                        .name = TEXT("n"),
                                        .metadata = TEXT("{}"),
                                        .created_at_us = NOW_US,
                                        .updated_at_us = NOW_US};
    CONTRACT_OK(application_insert(rig->store, &row, &diag), &diag);
}

static struct integration_row add(struct store_rig *rig, int64_t id, int64_t application_id,
                                  struct slice key)
{
    struct diag diag = {0};
    const struct integration_row row = {.id = id,
                                        .application_id = application_id,
                                        .name = TEXT("zapier"),
                                        .feature_flags = TEXT("[\"beta\"]"),
                                        .created_at_us = NOW_US,
                                        .updated_at_us = NOW_US};
    CONTRACT_OK(integration_insert(rig->store, &row, key, &diag), &diag);
    return row;
}

static enum ph_error find_holder(struct store_rig *rig, struct slice key,
                                 struct integration_holder *ret_holder)
{
    return integration_find_holder(rig->store, key, &rig->arena, NULL, ret_holder);
}

static void assert_key(struct store_rig *rig, const struct integration_row *row,
                       const char *expected)
{
    struct diag diag = {0};
    SECRET_AUTO struct secret key = SECRET_NONE;
    CONTRACT_OK(integration_key(rig->store, row, &diag, &key), &diag);
    assert_text_is((struct slice){(const char *)key.bytes, key.length}, expected);
}

static void test_a_key_stands_for_its_application(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    add_application(&rig, APPLICATION, "org_a");
    add_application(&rig, APPLICATION + 1, "org_b");
    struct integration_row row = add(&rig, 20, APPLICATION, TEXT(KEY));
    add(&rig, 21, APPLICATION + 1, TEXT(OTHER_KEY));
    struct integration_holder holder;
    assert_int_equal(find_holder(&rig, TEXT(KEY), &holder), PH_OK);
    assert_int_equal(holder.application_id, APPLICATION);
    assert_text_is(holder.org, "org_a");
    assert_text_is(holder.feature_flags, "[\"beta\"]");
    assert_int_equal(find_holder(&rig, TEXT(KEY "x"), &holder), PH_NOT_FOUND);
    assert_int_equal(find_holder(&rig, TEXT(""), &holder), PH_NOT_FOUND);
    assert_key(&rig, &row, KEY);

    CONTRACT_OK(integration_set_key(rig.store, &row, TEXT("integsk_new"), &diag), &diag);
    assert_int_equal(find_holder(&rig, TEXT(KEY), &holder), PH_NOT_FOUND);
    assert_int_equal(find_holder(&rig, TEXT("integsk_new"), &holder), PH_OK);
    assert_key(&rig, &row, "integsk_new");

    CONTRACT_OK(application_delete(rig.store, APPLICATION, NOW_US, &diag), &diag);
    assert_int_equal(find_holder(&rig, TEXT("integsk_new"), &holder), PH_NOT_FOUND);
    CONTRACT_OK(integration_delete_all(rig.store, APPLICATION + 1, &diag), &diag);
    assert_int_equal(find_holder(&rig, TEXT(OTHER_KEY), &holder), PH_NOT_FOUND);
    store_rig_close(&rig);
}

static void test_rows(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    struct integration_row rows[4];
    size_t count;
    bool has_more;
    static const char *const keys[] = {"k0", "k1", "k2"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(keys); index++) {
        add(&rig, 30 + (int64_t)index, APPLICATION, slice_of(keys[index]));
    }
    const struct id_page page = newest_first(2);
    CONTRACT_OK(
        integration_page(rig.store, APPLICATION, &page, &rig.arena, &diag, rows, &count, &has_more),
        &diag);
    assert_int_equal(count, 2);
    assert_true(has_more);
    assert_int_equal(rows[0].id, 32);
    rows[0].name = TEXT("other");
    rows[0].feature_flags = SLICE_NONE;
    CONTRACT_OK(integration_update(rig.store, &rows[0], &diag), &diag);
    struct integration_row found;
    CONTRACT_OK(integration_find(rig.store, APPLICATION, 32, &rig.arena, &diag, &found), &diag);
    assert_text_is(found.name, "other");
    assert_null(found.feature_flags.ptr);
    assert_key(&rig, &found, "k2");
    assert_int_equal(integration_find(rig.store, APPLICATION + 1, 32, &rig.arena, NULL, &found),
                     PH_NOT_FOUND);
    CONTRACT_OK(integration_delete(rig.store, 32, &diag), &diag);
    assert_int_equal(integration_find(rig.store, APPLICATION, 32, &rig.arena, NULL, &found),
                     PH_NOT_FOUND);
    store_rig_close(&rig);
}

static int64_t plain_keys(struct store_rig *rig)
{
    return store_rig_number(rig, "SELECT count(*) FROM integration WHERE length(key) > 0", 0);
}

static void test_keys_are_sealed(void **state)
{
    const struct contract_store *fresh = *state;
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    add_application(&rig, APPLICATION, "org_a");
    struct integration_row before = add(&rig, 20, APPLICATION, TEXT(KEY));
    char bytes[SEAL_KEY_BYTES];
    memset(bytes, 'm', sizeof bytes);
    SECRET_AUTO struct secret master = secret_new(bytes, sizeof bytes);
    CONTRACT_OK(keyring_open(fresh->address, &master, NOW_US, &diag, &rig.store->keyring), &diag);
    struct integration_row after = add(&rig, 21, APPLICATION, TEXT(OTHER_KEY));
    assert_int_equal(plain_keys(&rig), 1);
    struct seal_walk walk = {0};
    while (!walk.is_done) {
        int64_t sealed;
        CONTRACT_OK(seal_rows_step(rig.store, &walk, &diag, &sealed), &diag);
    }
    assert_int_equal(plain_keys(&rig), 0);
    assert_key(&rig, &before, KEY);
    assert_key(&rig, &after, OTHER_KEY);
    struct integration_holder holder;
    assert_int_equal(find_holder(&rig, TEXT(KEY), &holder), PH_OK);
    assert_int_equal(find_holder(&rig, TEXT(OTHER_KEY), &holder), PH_OK);
    /* A key that was moved to another row opens there no more. */
    store_rig_run(&rig, "UPDATE integration SET sealed_key = (SELECT sealed_key FROM integration"
                        " WHERE id = 21) WHERE id = 20");
    SECRET_AUTO struct secret key = SECRET_NONE;
    assert_int_equal(integration_key(rig.store, &before, &diag, &key), PH_SEALED);
    keyring_free(rig.store->keyring);
    rig.store->keyring = NULL;
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_a_key_stands_for_its_application),
        CONTRACT_BOTH(test_rows),
        CONTRACT_BOTH(test_keys_are_sealed),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
