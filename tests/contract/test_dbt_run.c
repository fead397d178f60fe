/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of runs, of what they name, and of their artifacts. */
#include "contract/contract.h"
#include "contract/store_rig.h"

#include "surfaces/dbt/artifact.h"
#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/named.h"
#include "surfaces/dbt/run.h"

#define ACCOUNT 900

static struct dbt_run run_of(int64_t id, int64_t number)
{
    return (struct dbt_run){
        .id = id,
        .account = ACCOUNT,
        .number = number,
        .job_id = 41 + id % 2,
        .environment_id = 72,
        .project_id = 6,
        .status = DBT_RUN_RUNNING,
        .report = TEXT("{\"n\":\"\xc3\xbc\"}"),
        .steps = TEXT("[1]"),
        .created_at_us = NOW_US + id,
        .updated_at_us = NOW_US,
    };
}

static void add_run(struct store_rig *rig, const struct dbt_run *run)
{
    struct diag diag = {0};
    CONTRACT_OK(dbt_run_insert(rig->store, run, &diag), &diag);
}

static struct dbt_run found(struct store_rig *rig, int64_t number)
{
    struct diag diag = {0};
    struct dbt_run run;
    CONTRACT_OK(dbt_run_find(rig->store, ACCOUNT, number, true, &rig->arena, &diag, &run), &diag);
    return run;
}

static enum ph_error find_error(struct store_rig *rig, int64_t account, int64_t number)
{
    struct dbt_run run;
    return dbt_run_find(rig->store, account, number, false, &rig->arena, NULL, &run);
}

static void test_a_run_comes_back(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    store_rig_open(&rig, state);
    struct dbt_run run = run_of(10, 7);
    add_run(&rig, &run);
    run = found(&rig, 7);
    assert_true(run.id == 10 && run.job_id == 41 && run.status == DBT_RUN_RUNNING);
    assert_text_is(run.report, "{\"n\":\"\xc3\xbc\"}");
    assert_text_is(run.steps, "[1]");
    assert_true(run.started_at_us == 0 && run.due_at_us == 0 && run.ingested_at_us == 0);
    assert_null(run.failed_nodes.ptr);
    assert_int_equal(find_error(&rig, ACCOUNT, 8), PH_NOT_FOUND);
    assert_int_equal(find_error(&rig, ACCOUNT + 1, 7), PH_NOT_FOUND);
    run.status = DBT_RUN_ERROR;
    run.steps = SLICE_NONE; /* as they are */
    run.due_at_us = LATER_US;
    run.told = DBT_TOLD(DBT_EVENT_ERRORED);
    run.failed_nodes = TEXT("{}");
    CONTRACT_OK(dbt_run_update(rig.store, &run, &diag), &diag);
    run = found(&rig, 7);
    assert_true(run.status == DBT_RUN_ERROR && run.due_at_us == LATER_US);
    assert_true(run.told == DBT_TOLD(DBT_EVENT_ERRORED));
    assert_text_is(run.steps, "[1]");
    assert_text_is(run.failed_nodes, "{}");
    store_rig_close(&rig);
}

static void test_what_is_due_first(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    struct dbt_run run;
    store_rig_open(&rig, state);
    static const int64_t due[] = {0, LATER_US + 5, LATER_US, LATER_US + 9};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(due); index++) {
        run = run_of(10 + (int64_t)index, (int64_t)index);
        run.due_at_us = due[index];
        add_run(&rig, &run);
    }
    CONTRACT_OK(dbt_run_first_due(rig.store, &rig.arena, &diag, &run), &diag);
    assert_int_equal(run.number, 2);
    CONTRACT_OK(dbt_run_put_off(rig.store, ACCOUNT, 2, LATER_US + 7, &diag), &diag);
    CONTRACT_OK(dbt_run_put_off(rig.store, ACCOUNT, 0, LATER_US, &diag), &diag); /* none is due */
    CONTRACT_OK(dbt_run_first_due(rig.store, &rig.arena, &diag, &run), &diag);
    assert_int_equal(run.number, 1);
    store_rig_run(&rig, "UPDATE dbt_run SET due_at = NULL");
    assert_int_equal(dbt_run_first_due(rig.store, &rig.arena, NULL, &run), PH_NOT_FOUND);
    store_rig_close(&rig);
}

static void assert_page(struct store_rig *rig, const struct dbt_run_query *query,
                        const char *expected, int64_t expected_total)
{
    struct diag diag = {0};
    struct dbt_run rows[8];
    size_t count;
    int64_t total;
    char text[64] = "";
    CONTRACT_OK(dbt_run_page(rig->store, query, &rig->arena, &diag, rows, &count, &total), &diag);
    for (size_t index = 0; index < count; index++) {
        size_t length = strlen(text);
        (void)snprintf(text + length, sizeof text - length, "%lld ", (long long)rows[index].number);
        assert_int_equal(rows[index].steps.ptr != NULL, query->with_steps);
    }
    assert_string_equal(text, expected);
    assert_int_equal(total, expected_total);
}

static void test_pages(void **state)
{
    struct store_rig rig;
    static const int64_t numbers[] = {5, 3, 9, 1};
    store_rig_open(&rig, state);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(numbers); index++) {
        struct dbt_run run = run_of(10 + (int64_t)index, numbers[index]);
        run.finished_at_us = index == 3 ? 0 : NOW_US + 100 - (int64_t)index;
        run.started_at_us = run.finished_at_us;
        run.status = index == 3 ? DBT_RUN_QUEUED : DBT_RUN_SUCCESS;
        run.updated_at_us = NOW_US - (int64_t)index;
        add_run(&rig, &run);
    }
    struct dbt_run_query query = {.account = ACCOUNT, .limit = 8};
    assert_page(&rig, &query, "5 3 9 1 ", 4);
    query.is_descending = true;
    query.with_steps = true;
    assert_page(&rig, &query, "1 9 3 5 ", 4);
    query.order = DBT_RUN_BY_FINISHED;
    assert_page(&rig, &query, "5 3 9 1 ", 4);
    query.order = DBT_RUN_BY_STARTED;
    query.is_descending = false;
    assert_page(&rig, &query, "1 9 3 5 ", 4);
    query.order = DBT_RUN_BY_UPDATED;
    assert_page(&rig, &query, "1 9 3 5 ", 4);
    query.statuses = TEXT(",1,");
    assert_page(&rig, &query, "1 ", 1);
    query.statuses = TEXT(",1,10,");
    query.job_ids = TEXT(",41,");
    assert_page(&rig, &query, "9 5 ", 2);
    query.job_ids = TEXT(",4,1,");
    assert_page(&rig, &query, "", 0);
    query = (struct dbt_run_query){.account = ACCOUNT, .limit = 1, .offset = 1};
    query.environment_ids = TEXT(",72,");
    query.project_ids = TEXT(",5,6,");
    assert_page(&rig, &query, "3 ", 4);
    query.offset = 0;
    query.finished_from_us = query.finished_to_us = NOW_US + 98;
    assert_page(&rig, &query, "9 ", 1);
    query.created_to_us = NOW_US;
    assert_page(&rig, &query, "", 0);
    query = (struct dbt_run_query){.account = ACCOUNT + 1, .limit = 8};
    assert_page(&rig, &query, "", 0);
    store_rig_close(&rig);
}

/* --- what runs name --------------------------------------------------------------------------- */

static const struct dbt_report report = {
    .job_id = 41,
    .job_name = {"Daily", 5},
    .environment_id = 72,
    .environment_name = {"production", 10},
    .project_id = 6,
    .project_name = {"Acme", 4},
    .dbt_version = {"1.9.2", 5},
};

static struct dbt_named named(struct store_rig *rig, enum dbt_named_kind kind, int64_t number)
{
    struct diag diag = {0};
    struct dbt_named row;
    CONTRACT_OK(dbt_named_find(rig->store, ACCOUNT, kind, number, &rig->arena, &diag, &row), &diag);
    return row;
}

static void test_names(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    struct dbt_named rows[4];
    size_t count;
    int64_t total;
    int64_t deleted;
    store_rig_open(&rig, state);
    CONTRACT_OK(dbt_named_note(rig.store, ACCOUNT, &report, NOW_US, &diag), &diag);
    CONTRACT_OK(dbt_named_note(rig.store, ACCOUNT, &report, NOW_US + 1, &diag), &diag);
    struct dbt_named job = named(&rig, DBT_JOB, 41);
    assert_text_is(job.name, "Daily");
    assert_true(job.project_id == 6 && job.environment_id == 72);
    assert_true(job.created_at_us == NOW_US && job.updated_at_us == NOW_US);
    struct dbt_report other = report;
    other.job_name = TEXT("Renamed");
    CONTRACT_OK(dbt_named_note(rig.store, ACCOUNT, &other, NOW_US + 2, &diag), &diag);
    job = named(&rig, DBT_JOB, 41);
    assert_text_is(job.name, "Renamed");
    assert_true(job.created_at_us == NOW_US && job.updated_at_us == NOW_US + 2);
    assert_true(named(&rig, DBT_PROJECT, 6).updated_at_us == NOW_US);
    other.job_id = 42;
    other.environment_id = 0; /* none */
    CONTRACT_OK(dbt_named_note(rig.store, ACCOUNT, &other, LATER_US, &diag), &diag);
    struct dbt_named_query query = {.account = ACCOUNT, .kind = DBT_JOB, .limit = 4};
    CONTRACT_OK(dbt_named_page(rig.store, &query, &rig.arena, &diag, rows, &count, &total), &diag);
    assert_true(count == 2 && total == 2 && rows[0].number == 41 && rows[1].number == 42);
    query.environment_ids = TEXT(",72,");
    query.name = TEXT("Renamed");
    CONTRACT_OK(dbt_named_page(rig.store, &query, &rig.arena, &diag, rows, &count, &total), &diag);
    assert_true(count == 1 && total == 1);
    query.name = SLICE_NONE;
    query.name_pattern = TEXT("%NAME%");
    CONTRACT_OK(dbt_named_page(rig.store, &query, &rig.arena, &diag, rows, &count, &total), &diag);
    assert_true(count == 1 && rows[0].number == 41);
    query.name_pattern = TEXT("%!%%");
    CONTRACT_OK(dbt_named_page(rig.store, &query, &rig.arena, &diag, rows, &count, &total), &diag);
    assert_int_equal(count, 0);
    CONTRACT_OK(dbt_named_prune(rig.store, LATER_US, &diag, &deleted), &diag);
    assert_int_equal(deleted, 2); /* job 41 and the environment */
    assert_true(named(&rig, DBT_JOB, 42).number == 42);
    store_rig_close(&rig);
}

/* --- artifacts -------------------------------------------------------------------------------- */

static void begin(struct store_rig *rig, int64_t id, const char *path)
{
    struct diag diag = {0};
    CONTRACT_OK(dbt_artifact_begin(rig->store, id, 10, slice_of(path), NOW_US, &diag), &diag);
}

static void add_chunk(struct store_rig *rig, int64_t id, int64_t number, const char *content)
{
    struct diag diag = {0};
    CONTRACT_OK(dbt_artifact_add(rig->store, id, number, slice_of(content), NOW_US, &diag), &diag);
}

static bool finish(struct store_rig *rig, int64_t id, const char *path)
{
    struct diag diag = {0};
    bool is_new;
    CONTRACT_OK(dbt_artifact_finish(rig->store, id, 10, slice_of(path), NOW_US, &diag, &is_new),
                &diag);
    return is_new;
}

static void assert_content(struct store_rig *rig, const char *path, const char *expected)
{
    struct diag diag = {0};
    struct dbt_artifact artifact;
    BUF_AUTO struct buf content;
    buf_init(&content, 100);
    enum ph_error error = dbt_artifact_find(rig->store, 10, slice_of(path), &diag, &artifact);
    if (expected == NULL) {
        assert_int_equal(error, PH_NOT_FOUND);
        return;
    }
    CONTRACT_OK(error, &diag);
    assert_int_equal(artifact.bytes, strlen(expected));
    CONTRACT_OK(dbt_artifact_read(rig->store, &artifact, &diag, &content), &diag);
    assert_string_equal(buf_text(&content), expected);
}

/* Sweeps to the end; gives the steps that it took. */
static int sweep(struct store_rig *rig, int64_t before_us)
{
    struct diag diag = {0};
    bool is_more = true;
    int steps = -1;
    while (is_more) {
        CONTRACT_OK(dbt_artifact_sweep(rig->store, before_us, &diag, &is_more), &diag);
        steps++;
    }
    return steps;
}

static int64_t chunks(struct store_rig *rig)
{
    return store_rig_number(rig, "SELECT count(*) FROM dbt_artifact_chunk", 0);
}

static void test_artifacts(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    store_rig_open(&rig, state);
    begin(&rig, 100, "a/b.json");
    add_chunk(&rig, 100, 0, "hello ");
    assert_content(&rig, "a/b.json", NULL); /* it comes */
    add_chunk(&rig, 100, 1, "world");
    assert_true(finish(&rig, 100, "a/b.json"));
    assert_content(&rig, "a/b.json", "hello world");
    begin(&rig, 101, "a/b.json");
    add_chunk(&rig, 101, 0, "new");
    assert_content(&rig, "a/b.json", "hello world");
    assert_false(finish(&rig, 101, "a/b.json"));
    assert_content(&rig, "a/b.json", "new");
    begin(&rig, 102, "broken");
    add_chunk(&rig, 102, 0, "x");
    CONTRACT_OK(dbt_artifact_give_up(rig.store, 102, &diag), &diag);
    assert_int_equal(dbt_artifact_add(rig.store, 102, 1, TEXT("y"), NOW_US, NULL), PH_CONFLICT);
    bool is_new;
    assert_int_equal(dbt_artifact_finish(rig.store, 102, 10, TEXT("broken"), NOW_US, NULL, &is_new),
                     PH_CONFLICT);
    /* The latest run of a job that is ingested and has it. */
    struct dbt_artifact latest;
    for (int64_t id = 10; id <= 14; id += 2) {
        struct dbt_run run = run_of(id, id);
        run.ingested_at_us = id < 14 ? NOW_US : 0;
        add_run(&rig, &run);
    }
    CONTRACT_OK(dbt_artifact_find_latest(rig.store, ACCOUNT, 41, TEXT("a/b.json"), &diag, &latest),
                &diag);
    assert_int_equal(latest.id, 101);
    assert_int_equal(
        dbt_artifact_find_latest(rig.store, ACCOUNT, 42, TEXT("a/b.json"), NULL, &latest),
        PH_NOT_FOUND);
    struct dbt_artifact *rows = arena_calloc(&rig.arena, DBT_ARTIFACTS_MAX, sizeof *rows);
    size_t count;
    CONTRACT_OK(dbt_artifact_list(rig.store, 10, &rig.arena, &diag, rows, &count), &diag);
    assert_int_equal(count, 1);
    assert_text_is(rows[0].path, "a/b.json");
    /* What was given up goes at once, what was replaced when its readers had time. */
    assert_int_equal(chunks(&rig), 4);
    assert_int_equal(sweep(&rig, NOW_US), 1);
    assert_int_equal(chunks(&rig), 3);
    assert_int_equal(sweep(&rig, NOW_US + 1), 1);
    assert_int_equal(chunks(&rig), 1);
    assert_content(&rig, "a/b.json", "new");
    store_rig_close(&rig);
}

static void test_a_sweep_takes_small_steps(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    int64_t deleted;
    store_rig_open(&rig, state);
    struct dbt_run run = run_of(10, 7);
    struct dbt_run due = run_of(11, 8);
    due.due_at_us = LATER_US;
    add_run(&rig, &run);
    add_run(&rig, &due);
    begin(&rig, 100, "large");
    for (int64_t number = 0; number < 2 * DBT_ARTIFACT_SWEEP_CHUNKS + 1; number++) {
        add_chunk(&rig, 100, number, "x");
    }
    (void)finish(&rig, 100, "large");
    begin(&rig, 101, "standing");
    CONTRACT_OK(dbt_run_prune(rig.store, 1000, NOW_US, &diag, &deleted), &diag);
    assert_int_equal(deleted, 1); /* of the other completed is still to be told */
    assert_int_equal(find_error(&rig, ACCOUNT, 7), PH_NOT_FOUND);
    assert_content(&rig, "large", NULL);
    assert_int_equal(sweep(&rig, NOW_US), 0);
    assert_int_equal(sweep(&rig, NOW_US + 1), 4); /* three of the large one, one of the other */
    assert_int_equal(chunks(&rig), 0);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM dbt_artifact", 0), 0);
    store_rig_close(&rig);
}

static void test_a_run_has_so_many_artifacts(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    store_rig_open(&rig, state);
    CONTRACT_OK(db_begin(rig.store->db, &diag), &diag);
    for (int64_t number = 0; number < DBT_ARTIFACTS_MAX; number++) {
        char path[32];
        (void)snprintf(path, sizeof path, "%lld", (long long)number);
        begin(&rig, 100 + number, path);
        (void)finish(&rig, 100 + number, path);
    }
    assert_int_equal(dbt_artifact_begin(rig.store, 5000, 10, TEXT("more"), NOW_US, NULL),
                     PH_CONFLICT);
    begin(&rig, 5001, "7"); /* in place of one of them */
    CONTRACT_OK(db_commit(rig.store->db, &diag), &diag);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_a_run_comes_back),
        CONTRACT_BOTH(test_what_is_due_first),
        CONTRACT_BOTH(test_pages),
        CONTRACT_BOTH(test_names),
        CONTRACT_BOTH(test_artifacts),
        CONTRACT_BOTH(test_a_sweep_takes_small_steps),
        CONTRACT_BOTH(test_a_run_has_so_many_artifacts),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
