/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to runs, and which events come of it, in one transaction. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/run_change.h"
#include "surfaces/surface.h"

#define ACCOUNT 900
#define ARENA_BYTES ((size_t)1 << 20)
#define WAIT_US (3600 * CLOCK_US_PER_S)

static const struct dbt_settings settings = {.artifact_wait_us = WAIT_US};
static const struct dbt_settings american = {.artifact_wait_us = WAIT_US,
                                             .is_canceled_completed = true};
static const struct dbt_settings hasty = {.artifact_wait_us = 0};

static struct flow_rig *open_rig(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.jq.executable = "/bin/false";
    flow_rig_start(rig);
    return rig;
}

/* One thing that happens: a report, or that the artifacts are complete, or that time passes. */
struct act {
    enum { REPORT, INGEST, EXPIRE } kind;
    int64_t number;
    enum dbt_run_status status;
    const char *message;
    bool has_no_start;
    const struct dbt_settings *settings;
};

static enum ph_error report(const struct act *act, struct writer_txn *txn, struct arena *arena,
                            struct diag *diag)
{
    struct dbt_run run;
    bool is_new;
    BUF_AUTO struct buf text;
    struct json_out out;
    const struct dbt_report given = {
        .job_id = 41,
        .job_name = TEXT("Daily"),
        .environment_id = 72,
        .environment_name = TEXT("production"),
        .project_id = 6,
        .project_name = TEXT("Acme"),
        .status = act->status,
        .status_message = slice_of(act->message),
        .started_at_us = act->has_no_start ? 0 : INT64_C(1700000000000000),
    };
    buf_init(&text, DBT_REPORT_BYTES_MAX);
    json_out_init(&out, &text);
    dbt_report_write(&out, &given);
    const struct dbt_run_report whole = {.settings = act->settings,
                                         .account = ACCOUNT,
                                         .number = act->number,
                                         .report = &given,
                                         .text = buf_slice(&text),
                                         .steps = TEXT("[]")};
    return dbt_run_report(txn, &whole, arena, diag, &run, &is_new);
}

static enum ph_error perform(struct rig_write *write, struct writer_txn *txn, struct diag *diag)
{
    const struct act *act = write->argument;
    const struct dbt_run_artifacts artifacts = {
        .settings = act->settings, .account = ACCOUNT, .number = act->number};
    struct dbt_run run;
    bool is_told;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    enum ph_error error = PH_OK;
    switch (act->kind) {
    case REPORT:
        error = report(act, txn, &arena, diag);
        break;
    case INGEST:
        error = dbt_run_ingest(txn, &artifacts, &arena, diag, &run);
        break;
    case EXPIRE:
        error = dbt_run_expire(txn, &artifacts, &arena, diag, &is_told);
        break;
    }
    if (error == PH_CONFLICT) { /* not allowed: a result, and nothing was written */
        write->result = PH_CONFLICT;
        return PH_OK;
    }
    return error;
}

/* "started completed": the messages so far, in order. */
static void assert_told(struct flow_rig *rig, const char *expected)
{
    struct diag diag = {0};
    char text[256] = "";
    struct db_statement *select =
        db_prepare(rig->store->db, "SELECT event_type FROM message ORDER BY id");
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, &diag, &has_row)) == PH_OK && has_row) {
        struct slice type = db_text(select, 0);
        size_t length = strlen(text);
        (void)snprintf(text + length, sizeof text - length, "%s%.*s", length > 0 ? " " : "",
                       (int)(type.len - strlen("job.run.")), type.ptr + strlen("job.run."));
    }
    CONTRACT_OK(error, &diag);
    assert_string_equal(text, expected);
}

struct scene {
    struct act acts[6];
    const char *told;
};

static const struct scene scenes[] = {
    {{{REPORT, 1, 1, NULL, true, &settings}, {REPORT, 1, 2, NULL, true, &settings}}, ""},
    {{{REPORT, 1, 3, NULL, false, &settings},
      {REPORT, 1, 3, NULL, false, &settings},
      {REPORT, 1, 3, "more", false, &settings}},
     "started"},
    {{{REPORT, 1, 3, NULL, false, &settings},
      {REPORT, 1, 10, NULL, false, &settings},
      {REPORT, 1, 10, "more", false, &settings},
      {INGEST, 1, 0, NULL, false, &settings},
      {INGEST, 1, 0, NULL, false, &settings},
      {EXPIRE, 1, 0, NULL, false, &hasty}},
     "started completed"},
    {{{REPORT, 1, 20, NULL, false, &settings},
      {EXPIRE, 1, 0, NULL, false, &settings}, /* its time has not come */
      {INGEST, 1, 0, NULL, false, &settings}},
     "started errored completed"},
    {{{REPORT, 1, 20, NULL, true, &hasty},
      {EXPIRE, 1, 0, NULL, false, &hasty},
      {INGEST, 1, 0, NULL, false, &settings},
      {EXPIRE, 1, 0, NULL, false, &hasty},
      {EXPIRE, 2, 0, NULL, false, &hasty}}, /* there is none */
     "errored completed"},
    {{{REPORT, 1, 2, NULL, true, &settings},
      {INGEST, 1, 0, NULL, false, &settings},
      {REPORT, 1, 10, NULL, false, &settings}},
     "started completed"},
    {{{REPORT, 1, 30, NULL, false, &settings}, {INGEST, 1, 0, NULL, false, &settings}},
     "started canceled"},
    {{{REPORT, 1, 30, NULL, false, &american}, {INGEST, 1, 0, NULL, false, &american}},
     "started canceled completed"},
    {{{REPORT, 1, 3, NULL, false, &settings},
      {REPORT, 1, 10, NULL, false, &settings},
      {REPORT, 1, 20, NULL, false, &settings},
      {REPORT, 1, 3, NULL, false, &settings}},
     "started"},
};

static void play(void **state, const struct scene *scene)
{
    struct flow_rig *rig = open_rig(state);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(scene->acts); index++) {
        const struct act *act = &scene->acts[index];
        if (act->settings != NULL) {
            (void)flow_rig_write(rig, perform, act);
        }
    }
    assert_told(rig, scene->told);
    flow_rig_close(rig);
}

static void test_what_is_told(void **state)
{
    struct contract_store *first = *state;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(scenes); index++) {
        struct contract_store store;
        void *fresh = &store;
        contract_store_open(&store, first->kind);
        play(&fresh, &scenes[index]);
        contract_store_close(&store);
    }
}

static void test_moves(void **state)
{
    (void)state;
    static const enum dbt_run_status codes[] = {DBT_RUN_QUEUED,  DBT_RUN_STARTING,
                                                DBT_RUN_RUNNING, DBT_RUN_SUCCESS,
                                                DBT_RUN_ERROR,   DBT_RUN_CANCELLED};
    for (size_t from = 0; from < PH_ARRAY_LENGTH(codes); from++) {
        assert_true(dbt_run_may_move(0, codes[from]));
        for (size_t to = 0; to < PH_ARRAY_LENGTH(codes); to++) {
            bool is_allowed = from == to || (from < 3 && to > from);
            assert_int_equal(dbt_run_may_move((int)codes[from], codes[to]), is_allowed);
        }
    }
}

/* A move that is refused leaves the run, its names and its messages as they are. */
static void test_a_refused_move_changes_nothing(void **state)
{
    struct flow_rig *rig = open_rig(state);
    static const struct act end = {REPORT, 1, 20, NULL, false, &settings};
    static const struct act back = {REPORT, 1, 3, NULL, false, &settings};
    (void)flow_rig_write(rig, perform, &end);
    assert_int_equal(flow_rig_write(rig, perform, &back), PH_CONFLICT);
    assert_told(rig, "started errored");
    assert_int_equal(flow_rig_number(rig, "SELECT status FROM dbt_run WHERE number = $1", 1), 20);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM dbt_named WHERE account = $1", 900),
                     3);
    flow_rig_close(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_what_is_told),
        CONTRACT_SQLITE(test_moves),
        CONTRACT_BOTH(test_a_refused_move_changes_nothing),
    };
    surfaces_register_formats();
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
