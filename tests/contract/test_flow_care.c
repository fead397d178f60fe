/* SPDX-License-Identifier: Apache-2.0 */
/* Backups and prunes of a flow that works meanwhile. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include <sys/stat.h>
#include <unistd.h>

#include "db/care.h"
#include "flow/care.h"
#include "flow/step.h"
#include "store/copy.h"

#define PATH_BYTES 256

/* Sends messages between the steps of the work. */
struct traffic {
    struct flow_rig *rig;
    size_t left;
    size_t calls;
    size_t give_up_at; /* 0 = never */
};

static bool send_on(void *context, PH_UNUSED int pause_ms, int64_t done, int64_t total)
{
    struct traffic *traffic = context;
    assert_true(done >= 0 && total >= 0);
    traffic->calls++;
    if (traffic->left > 0) {
        traffic->left--;
        (void)flow_rig_send(traffic->rig, "a", "{\"during\":1}");
    }
    return traffic->calls != traffic->give_up_at;
}

static void copy_folder(void **state, char *ret_path)
{
    const struct contract_store *store = *state;
    (void)snprintf(ret_path, PATH_BYTES, "%s/copy", store->directory);
    assert_int_equal(mkdir(ret_path, 0700), 0);
}

static void remove_copy(const char *folder)
{
    char path[PATH_BYTES + 32];
    (void)snprintf(path, sizeof path, "%s/posthorn.db", folder);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* Payloads that fill a few hundred pages. */
static void fill(struct flow_rig *rig, size_t count)
{
    char *payload = ph_malloc(20001);
    memset(payload, 'x', 20000);
    payload[0] = '"';
    payload[19999] = '"';
    payload[20000] = '\0';
    for (size_t index = 0; index < count; index++) {
        (void)flow_rig_send(rig, "a", payload);
    }
    free(payload);
}

static int64_t number_in(const char *folder, const char *sql)
{
    struct diag diag = {0};
    struct store *store = NULL;
    char address[PATH_BYTES + 16];
    (void)snprintf(address, sizeof address, "sqlite:%s", folder);
    CONTRACT_OK(store_open(address, DB_READ_WRITE, &diag, &store), &diag);
    struct db_statement *select = db_prepare(store->db, sql);
    bool has_row = false;
    CONTRACT_OK(db_step(select, &diag, &has_row), &diag);
    int64_t number = db_int64(select, 0);
    db_done(select);
    store_close(store);
    return number;
}

static void test_a_copy_under_ingest(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    char folder[PATH_BYTES];
    copy_folder(state, folder);
    fill(rig, 200);
    struct traffic traffic = {.rig = rig, .left = 3};
    const struct care_watch watch = {send_on, &traffic};
    struct diag diag = {0};
    int64_t bytes = 0;
    CONTRACT_OK(care_copy(rig->flow, folder, &watch, &diag, &bytes), &diag);
    assert_true(bytes > 200 * 20000);
    assert_int_equal(traffic.left, 0);
    CONTRACT_OK(store_copy_seal(folder, 77, TEXT("secret"), &diag), &diag);
    CONTRACT_OK(store_copy_check(folder, &diag), &diag);
    assert_int_equal(number_in(folder, "SELECT count(*) FROM message"), 203);
    assert_int_equal(number_in(folder, "SELECT count(*) FROM payload WHERE length(body) = 20000"),
                     200);
    (void)flow_rig_send(rig, "a", "{}"); /* the writer works on */
    remove_copy(folder);
    flow_rig_close(rig);
}

static void test_a_copy_may_be_given_up(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    char folder[PATH_BYTES];
    copy_folder(state, folder);
    fill(rig, 200);
    struct traffic traffic = {.rig = rig, .give_up_at = 2};
    const struct care_watch watch = {send_on, &traffic};
    struct diag diag = {0};
    int64_t bytes = 0;
    assert_int_equal(care_copy(rig->flow, folder, &watch, &diag, &bytes), PH_SHUTTING_DOWN);
    remove_copy(folder);
    (void)flow_rig_send(rig, "a", "{}");
    flow_rig_close(rig); /* nothing of the copy is left in the writer's connection */
}

static void test_postgres_is_not_copied(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct traffic traffic = {.rig = rig};
    const struct care_watch watch = {send_on, &traffic};
    struct diag diag = {0};
    int64_t bytes = 0;
    assert_int_equal(care_copy(rig->flow, "/nowhere", &watch, &diag, &bytes), PH_NOT_IMPLEMENTED);
    assert_non_null(strstr(diag.text, "pg_dump"));
    flow_rig_close(rig);
}

static void test_prune_deletes_what_is_old(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    fill(rig, 250);
    struct traffic traffic = {.rig = rig};
    const struct care_watch watch = {send_on, &traffic};
    struct diag diag = {0};
    struct care_pruned pruned;
    /* Nothing is so old. */
    const struct care_prune hour = {.older_than_us = 3600 * CLOCK_US_PER_S};
    CONTRACT_OK(care_prune(rig->flow, &hour, &watch, &diag, &pruned), &diag);
    assert_int_equal(pruned.tally.messages, 0);
    /* The age is measured in ticks of the ids. */
    int64_t newest = flow_rig_number(rig, "SELECT max(id) FROM message", 0);
    RIG_UNTIL(id_floor(clock_wall_us() - CLOCK_US_PER_MS) > newest);
    traffic.left = 2;
    const struct care_prune all = {.older_than_us = CLOCK_US_PER_MS, .is_dry_run = true};
    CONTRACT_OK(care_prune(rig->flow, &all, &watch, &diag, &pruned), &diag);
    assert_true(pruned.tally.messages >= 250 && pruned.tally.payloads >= 250);
    assert_int_equal(pruned.freed_bytes, 0);
    assert_true(flow_rig_number(rig, "SELECT count(*) FROM message", 0) >= 250);
    traffic.left = 5;
    const struct care_prune really = {.older_than_us = CLOCK_US_PER_MS};
    CONTRACT_OK(care_prune(rig->flow, &really, &watch, &diag, &pruned), &diag);
    assert_true(pruned.tally.messages >= 250 && pruned.tally.payloads >= 250);
    assert_true(flow_rig_number(rig, "SELECT count(*) FROM message", 0) < 10);
    bool is_sqlite = db_kind(rig->store->db) == DB_SQLITE;
    assert_true(is_sqlite ? pruned.freed_bytes > 200 * 20000 : pruned.freed_bytes == 0);
    if (is_sqlite) {
        const struct contract_store *store = *state;
        char path[PATH_BYTES];
        struct stat status;
        (void)snprintf(path, sizeof path, "%s/posthorn.db", store->directory);
        assert_int_equal(stat(path, &status), 0);
        assert_true(status.st_size < 1000000);
    }
    flow_rig_close(rig);
}

static void test_a_writer_alone_is_enough(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    fill(rig, 3);
    flow_rig_stop(rig, 0);
    struct flow *flow = NULL;
    struct diag diag = {0};
    CONTRACT_OK(flow_start_writer(&rig->options, &diag, &flow), &diag);
    struct traffic traffic = {.rig = rig};
    const struct care_watch watch = {send_on, &traffic};
    const struct care_prune all = {.older_than_us = 1};
    struct care_pruned pruned;
    int64_t newest = flow_rig_number(rig, "SELECT max(id) FROM message", 0);
    RIG_UNTIL(id_floor(clock_wall_us() - 1) > newest);
    CONTRACT_OK(care_prune(flow, &all, &watch, &diag, &pruned), &diag);
    assert_int_equal(pruned.tally.messages, 3);
    flow_stop(flow, 0);
    flow_rig_close(rig);
}

struct probe {
    struct step step;
    bool was_in_transaction;
};

static enum ph_error look(struct step *step, struct writer_txn *txn, PH_UNUSED struct diag *diag)
{
    struct probe *probe = PH_CONTAINER_OF(step, struct probe, step);
    probe->was_in_transaction = db_in_transaction(txn->store->db);
    return PH_OK;
}

static enum ph_error refuse(PH_UNUSED struct step *step, PH_UNUSED struct writer_txn *txn,
                            struct diag *diag)
{
    return diag_set(diag, PH_INVALID, NULL, "words");
}

static void test_steps_run_in_and_between_transactions(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct writer *writer = flow_writer(rig->flow);
    struct probe probe = {0};
    struct diag diag = {0};
    step_init(&probe.step, look);
    CONTRACT_OK(step_run(&probe.step, writer, &diag), &diag);
    assert_true(probe.was_in_transaction);
    CONTRACT_OK(step_run_between(&probe.step, writer, &diag), &diag);
    assert_false(probe.was_in_transaction);
    probe.step.run = refuse;
    assert_int_equal(step_run(&probe.step, writer, &diag), PH_INVALID);
    assert_string_equal(diag.text, "words");
    assert_int_equal(step_run_between(&probe.step, writer, &diag), PH_INVALID);
    step_done(&probe.step);
    flow_rig_close(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_SQLITE(test_a_copy_under_ingest),
        CONTRACT_SQLITE(test_a_copy_may_be_given_up),
        CONTRACT_POSTGRES(test_postgres_is_not_copied),
        CONTRACT_BOTH(test_prune_deletes_what_is_old),
        CONTRACT_BOTH(test_a_writer_alone_is_enough),
        CONTRACT_BOTH(test_steps_run_in_and_between_transactions),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
