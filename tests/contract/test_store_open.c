/* SPDX-License-Identifier: Apache-2.0 */
/* Opening what no migration has been at: an error with words, not a crash. */
#include "contract/contract.h"
#include "store/store.h"

static void test_a_database_without_a_store(void **state)
{
    const struct contract_store *fresh = *state;
    struct diag diag = {0};
    struct store *store = NULL;
    assert_int_equal(store_open(fresh->address, DB_READ_WRITE, &diag, &store), PH_STORE);
    assert_non_null(strstr(diag.text, "posthorn migrate"));
    assert_null(store);
    int applied;
    CONTRACT_OK(store_migrate(fresh->address, &diag, &applied), &diag);
    assert_true(applied > 0);
    CONTRACT_OK(store_open(fresh->address, DB_READ_ONLY, &diag, &store), &diag);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_a_database_without_a_store),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
