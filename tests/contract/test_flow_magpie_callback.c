/* SPDX-License-Identifier: Apache-2.0 */
/* Callbacks and sessions as the writer makes them. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include "surfaces/magpie/callback.h"
#include "surfaces/magpie/magpie_int.h"
#include "surfaces/magpie/session.h"
#include "surfaces/magpie/user.h"

#define OLD_ROWS 70

struct making {
    struct magpie *magpie;
    int64_t user_id;
    struct buf *url;
};

static enum ph_error run_make(struct rig_write *write, struct writer_txn *txn, struct diag *diag)
{
    const struct making *making = write->argument;
    buf_clear(making->url);
    return magpie_callback_make(making->magpie, txn, making->user_id, diag, making->url);
}

static enum ph_error run_take(struct rig_write *write, struct writer_txn *txn, struct diag *diag)
{
    const struct making *making = write->argument;
    struct slice url = buf_slice(making->url);
    size_t length = MAGPIE_CALLBACK_TOKEN_MAX - 1;
    enum magpie_callback_end end = MAGPIE_CALLBACK_UNKNOWN;
    enum ph_error error =
        magpie_callback_take(txn, (struct slice){url.ptr + url.len - length, length},
                             magpie_token_expire_us(making->magpie), diag, &end);
    write->result = end;
    return error;
}

/* Rows from the beginning of time. */
static enum ph_error run_old_rows(struct rig_write *write, struct writer_txn *txn,
                                  struct diag *diag)
{
    (void)write;
    enum ph_error error = PH_OK;
    for (int64_t row = 1; error == PH_OK && row <= OLD_ROWS; row++) {
        struct db_statement *insert =
            db_prepare(txn->store->db,
                       "INSERT INTO magpie_callback (id, token_hash, user_id) VALUES ($1, $2, 1)");
        db_bind_int64(insert, 1, row);
        db_bind_blob(insert, 2, (struct slice){(const char *)&row, sizeof row});
        error = db_exec(insert, diag);
    }
    return error;
}

static int64_t row_count(struct flow_rig *rig)
{
    return flow_rig_number(rig, "SELECT count(*) FROM magpie_callback", 0);
}

static void test_old_callbacks_go_with_new_ones(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    struct magpie magpie = {.settings = {.token_expire_us = 86400 * CLOCK_US_PER_S}};
    struct buf url;
    struct making making = {&magpie, 15, &url};
    flow_rig_start(rig);
    (void)pthread_mutex_init(&magpie.lock, NULL);
    magpie.settings.base_url = ph_strdup("https://iam.example.org/magpie");
    buf_init(&url, 4096);
    (void)flow_rig_write(rig, run_old_rows, NULL);
    /* Not each time … */
    (void)flow_rig_write(rig, run_make, &making);
    assert_int_equal(row_count(rig), OLD_ROWS + 1);
    assert_int_equal(strncmp(buf_text(&url), "https://iam.example.org/magpie/tmp/", 35), 0);
    assert_int_equal(flow_rig_write(rig, run_take, &making), MAGPIE_CALLBACK_DONE);
    assert_int_equal(flow_rig_write(rig, run_take, &making), MAGPIE_CALLBACK_UNKNOWN);
    /* … but with every sixteenth user. */
    making.user_id = 16;
    (void)flow_rig_write(rig, run_make, &making);
    assert_int_equal(row_count(rig), OLD_ROWS - 64 + 1);
    (void)flow_rig_write(rig, run_make, &making);
    assert_int_equal(row_count(rig), 2);
    buf_done(&url);
    magpie_settings_done(&magpie.settings);
    (void)pthread_mutex_destroy(&magpie.lock);
    flow_rig_close(rig);
}

static enum ph_error run_sign_in(struct rig_write *write, struct writer_txn *txn, struct diag *diag)
{
    return magpie_session_insert(txn, slice_of(write->argument), 7, diag);
}

static void test_a_user_has_so_many_sessions(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    char first[MAGPIE_SESSION_TEXT_MAX];
    char text[MAGPIE_SESSION_TEXT_MAX];
    flow_rig_start(rig);
    magpie_session_text(first);
    (void)flow_rig_write(rig, run_sign_in, first);
    for (int count = 0; count < MAGPIE_SESSIONS_MAX + 5; count++) {
        magpie_session_text(text);
        assert_string_not_equal(text, first);
        (void)flow_rig_write(rig, run_sign_in, text);
    }
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM magpie_session", 0),
                     MAGPIE_SESSIONS_MAX);
    flow_rig_close(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_old_callbacks_go_with_new_ones),
        CONTRACT_BOTH(test_a_user_has_so_many_sessions),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
