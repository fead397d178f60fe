/* SPDX-License-Identifier: Apache-2.0 */
/* What a backup carries besides the tables, and what is refused as one. */
#include "contract/contract.h"
#include "contract/store_rig.h"

#include <fcntl.h>
#include <unistd.h>

#include "store/copy.h"

static int64_t meta_rows(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    int64_t rows = store_rig_number(&rig, "SELECT count(*) FROM meta", 0);
    store_rig_close(&rig);
    return rows;
}

static void open_copy(void **state, int64_t taken_at_us, const char *secret)
{
    const struct contract_store *store = *state;
    struct diag diag = {0};
    BUF_AUTO struct buf found;
    buf_init(&found, 4096);
    int64_t found_us = -1;
    CONTRACT_OK(store_copy_open(store->directory, &diag, &found_us, &found), &diag);
    assert_int_equal(found_us, taken_at_us);
    assert_string_equal(buf_text(&found), secret);
}

static void test_what_is_sealed_comes_out_again(void **state)
{
    const struct contract_store *store = *state;
    struct diag diag = {0};
    int64_t rows = meta_rows(state);
    CONTRACT_OK(store_copy_seal(store->directory, NOW_US, TEXT("s3cret\n"), &diag), &diag);
    CONTRACT_OK(store_copy_check(store->directory, &diag), &diag);
    assert_int_equal(meta_rows(state), rows + 2);
    open_copy(state, NOW_US, "s3cret\n");
    assert_int_equal(meta_rows(state), rows);
    open_copy(state, 0, "");
    CONTRACT_OK(store_copy_seal(store->directory, NOW_US, SLICE_NONE, &diag), &diag);
    open_copy(state, NOW_US, "");
}

static void test_an_empty_database_is_no_store(void **state)
{
    const struct contract_store *store = *state;
    struct diag diag = {0};
    struct db *db = contract_connect(store, DB_READ_WRITE);
    db_close(db);
    assert_int_equal(store_copy_check(store->directory, &diag), PH_STORE);
    assert_non_null(strstr(diag.text, "no store"));
}

static void test_a_newer_store_is_refused(void **state)
{
    const struct contract_store *store = *state;
    struct diag diag = {0};
    struct store_rig rig;
    store_rig_open(&rig, state);
    store_rig_run(&rig, "INSERT INTO schema_migration VALUES (9999, 'later', 1)");
    store_rig_close(&rig);
    assert_int_equal(store_copy_check(store->directory, &diag), PH_STORE);
    assert_non_null(strstr(diag.text, "9999"));
}

static void test_a_damaged_copy_is_refused(void **state)
{
    const struct contract_store *store = *state;
    struct diag diag = {0};
    (void)meta_rows(state);
    char path[256];
    (void)snprintf(path, sizeof path, "%s/posthorn.db", store->directory);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    char noise[4096];
    memset(noise, 0x55, sizeof noise);
    for (off_t page = 1; page < 10; page++) {
        assert_int_equal(pwrite(fd, noise, sizeof noise, page * 4096), sizeof noise);
    }
    (void)close(fd);
    assert_int_equal(store_copy_check(store->directory, &diag), PH_STORE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_SQLITE(test_what_is_sealed_comes_out_again),
        CONTRACT_SQLITE(test_an_empty_database_is_no_store),
        CONTRACT_SQLITE(test_a_newer_store_is_refused),
        CONTRACT_SQLITE(test_a_damaged_copy_is_refused),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
