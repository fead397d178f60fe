/* SPDX-License-Identifier: Apache-2.0 */
/* Run events of the dbt surface: one transaction with their cause, to whom they belong. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/event.h"
#include "surfaces/dbt/hook.h"
#include "surfaces/dbt/subscription.h"
#include "surfaces/surface.h"

#define ACCOUNT 900
#define ARENA_BYTES (1u << 20)

static const struct dbt_settings settings = {.timeout_ms = 10000};

struct webhook {
    const char *delivery;
    const char *event_types;
    const char *channels;
    bool is_disabled;
};

/* No filter is run: this program is no jq worker. */
static struct flow_rig *open_rig(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.jq.executable = "/bin/false";
    flow_rig_start(rig);
    return rig;
}

static enum ph_error make_account(struct rig_write *write, struct writer_txn *txn,
                                  struct diag *diag)
{
    struct dbt_account account;
    const struct dbt_account_change change = {.number = ACCOUNT};
    ARENA_AUTO struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    enum ph_error error = dbt_account_ensure(txn, &change, &arena, diag, &account);
    write->result = account.application_id;
    return error;
}

static enum ph_error make_webhook(struct rig_write *write, struct writer_txn *txn,
                                  struct diag *diag)
{
    const struct webhook *webhook = write->argument;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    struct dbt_subscription row = {
        .name = TEXT("w"),
        .client_url = TEXT("http://127.0.0.1:9/"),
        .delivery = slice_of(webhook->delivery),
        .updated_at_us = txn->now_us,
        .endpoint =
            {
                .id = writer_txn_new_id(txn),
                .url = TEXT("http://127.0.0.1:9/"),
                .description = TEXT(""),
                .version = 1,
                .is_disabled = webhook->is_disabled,
                .event_types = slice_of(webhook->event_types),
                .channels = slice_of(webhook->channels),
                .metadata = TEXT("{}"),
                .headers = TEXT("{}"),
                .created_at_us = txn->now_us,
                .updated_at_us = txn->now_us,
            },
    };
    enum ph_error error = dbt_account_application(txn, ACCOUNT, diag, &row.endpoint.application_id);
    if (error == PH_OK) {
        error = dbt_hook_apply(&settings, &arena, diag, &row, NULL);
    }
    if (error == PH_OK) {
        error = endpoint_insert(txn->store, &row.endpoint, diag);
    }
    if (error == PH_OK) {
        error = dbt_subscription_insert(txn->store, &row, diag);
    }
    if (error == PH_OK) {
        error = application_touch(txn->store, row.endpoint.application_id, diag);
    }
    writer_txn_endpoint_changed(txn, row.endpoint.id);
    write->result = row.endpoint.id;
    return error;
}

static struct dbt_run_facts failed_run(void)
{
    return (struct dbt_run_facts){
        .account = ACCOUNT, .job_id = 41, .run_id = 7, .status = DBT_RUN_ERROR};
}

static enum ph_error emit_errored(struct rig_write *write, struct writer_txn *txn,
                                  struct diag *diag)
{
    (void)write;
    const struct dbt_run_facts run = failed_run();
    return dbt_event_emit(txn, DBT_EVENT_ERRORED, &run, &settings, diag);
}

static enum ph_error emit_ready(struct rig_write *write, struct writer_txn *txn, struct diag *diag)
{
    (void)write;
    const struct dbt_run_facts run = failed_run();
    return dbt_event_emit_ready(txn, &run, &settings, diag);
}

static int64_t deliveries_of(struct flow_rig *rig, int64_t endpoint_id)
{
    return flow_rig_number(rig, "SELECT count(*) FROM delivery WHERE endpoint_id = $1",
                           endpoint_id);
}

static int64_t messages(struct flow_rig *rig)
{
    return flow_rig_number(rig, "SELECT count(*) FROM message WHERE event_type = 'job.run.errored'",
                           0);
}

static void test_who_waits_is_told_when_it_is_ready(void **state)
{
    static const char waits[] = "{\"wait_for_artifacts\":true}";
    static const char collapses[] = "{\"wait_for_artifacts\":true,\"collapse\":true}";
    static const char both[] = "[\"job.run.errored\",\"job.run.completed\"]";
    static const struct {
        struct webhook webhook;
        int64_t at_once; /* deliveries after errored: the filter judges later */
        int64_t ready;   /* and after the artifacts were there */
    } rows[] = {
        {{"{}", both, NULL, false}, 1, 1},
        {{waits, both, NULL, false}, 1, 2},
        {{waits, both, "[\"job.41\",\"job.9\"]", false}, 1, 2},
        {{waits, both, "[\"job.9\"]", false}, 0, 0},
        {{waits, "[\"job.run.completed\"]", NULL, false}, 0, 0},
        {{waits, both, NULL, true}, 0, 0},
        {{collapses, both, NULL, false}, 1, 1}, /* it gets completed */
        {{collapses, "[\"job.run.errored\"]", NULL, false}, 1, 2},
    };
    struct flow_rig *rig = open_rig(state);
    int64_t ids[PH_ARRAY_LENGTH(rows)];
    assert_true(flow_rig_write(rig, make_account, NULL) != 0);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        ids[index] = flow_rig_write(rig, make_webhook, &rows[index].webhook);
    }
    (void)flow_rig_write(rig, emit_errored, NULL);
    assert_int_equal(messages(rig), 1);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        assert_int_equal(deliveries_of(rig, ids[index]), rows[index].at_once);
    }
    (void)flow_rig_write(rig, emit_ready, NULL);
    assert_int_equal(messages(rig), 4); /* one for each that waits */
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        assert_int_equal(deliveries_of(rig, ids[index]), rows[index].ready);
    }
    flow_rig_close(rig);
}

static enum ph_error emit_and_fail(struct rig_write *write, struct writer_txn *txn,
                                   struct diag *diag)
{
    enum ph_error error = emit_errored(write, txn, diag);
    PH_ASSERT(error == PH_OK);
    return diag_set(diag, PH_CONFLICT, NULL, "the cause failed");
}

static void test_no_event_without_its_cause(void **state)
{
    struct flow_rig *rig = open_rig(state);
    static const struct webhook webhook = {"{}", NULL, NULL, false};
    (void)flow_rig_write(rig, make_account, NULL);
    int64_t endpoint_id = flow_rig_write(rig, make_webhook, &webhook);
    struct rig_write *write = ph_calloc(1, sizeof *write);
    struct diag diag = {0};
    *write = (struct rig_write){.rig = rig, .run = emit_and_fail};
    CONTRACT_OK(rig_write_submit(write, &diag), &diag);
    flow_rig_await(rig, &write->is_done);
    assert_int_equal(write->job.error, PH_CONFLICT);
    free(write);
    assert_int_equal(messages(rig), 0);
    assert_int_equal(deliveries_of(rig, endpoint_id), 0);
    flow_rig_close(rig);
}

static enum ph_error delete_application(struct rig_write *write, struct writer_txn *txn,
                                        struct diag *diag)
{
    const int64_t *id = write->argument;
    return application_delete(txn->store, *id, txn->now_us, diag);
}

static void test_an_application_that_is_gone_is_made_again(void **state)
{
    struct flow_rig *rig = open_rig(state);
    int64_t first = flow_rig_write(rig, make_account, NULL);
    assert_true(flow_rig_write(rig, make_account, NULL) == first);
    (void)flow_rig_write(rig, delete_application, &first);
    (void)flow_rig_write(rig, emit_errored, NULL);
    assert_int_equal(flow_rig_number(rig,
                                     "SELECT count(*) FROM application WHERE uid = 'dbt.900'"
                                     " AND deleted_at IS NULL AND id > $1",
                                     first),
                     1);
    assert_int_equal(messages(rig), 1);
    flow_rig_close(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_who_waits_is_told_when_it_is_ready),
        CONTRACT_BOTH(test_no_event_without_its_cause),
        CONTRACT_BOTH(test_an_application_that_is_gone_is_made_again),
    };
    surfaces_register_formats();
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
