/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/dbt/run.h"

#include "surfaces/dbt/row.h"

#define COLUMNS                                                                                    \
    "id, account, number, job_id, environment_id, project_id, status, report, started_at,"         \
    " finished_at, created_at, updated_at, told, ingested_at, failed_nodes, due_at"
#define STEPS_COLUMN 16

static enum ph_error read_row(struct db_statement *row, bool with_steps, struct arena *arena,
                              struct diag *diag, struct dbt_run *ret_run)
{
    struct dbt_row copier = {.row = row, .arena = arena};
    *ret_run = (struct dbt_run){
        .id = db_int64(row, 0),
        .account = db_int64(row, 1),
        .number = db_int64(row, 2),
        .job_id = db_int64(row, 3),
        .environment_id = db_int64(row, 4),
        .project_id = db_int64(row, 5),
        .status = (enum dbt_run_status)db_int64(row, 6),
        .report = dbt_row_text(&copier, 7),
        .started_at_us = db_int64(row, 8),
        .finished_at_us = db_int64(row, 9),
        .created_at_us = db_int64(row, 10),
        .updated_at_us = db_int64(row, 11),
        .told = (unsigned)db_int64(row, 12),
        .ingested_at_us = db_int64(row, 13),
        .failed_nodes = dbt_row_text(&copier, 14),
        .due_at_us = db_int64(row, 15),
    };
    if (with_steps) {
        ret_run->steps = dbt_row_text(&copier, STEPS_COLUMN);
    }
    return dbt_row_end(&copier, diag);
}

/* The one row of a query. */
static enum ph_error read_one(struct db_statement *select, bool with_steps, struct arena *arena,
                              struct diag *diag, struct dbt_run *ret_run)
{
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    if (!has_row) {
        return diag_set(diag, PH_NOT_FOUND, NULL, "no such run");
    }
    error = read_row(select, with_steps, arena, diag, ret_run);
    db_done(select);
    return error;
}

enum ph_error dbt_run_find(struct store *store, int64_t account, int64_t number, bool with_steps,
                           struct arena *arena, struct diag *diag, struct dbt_run *ret_run)
{
    struct db_statement *select =
        with_steps ? db_prepare(store->db, "SELECT " COLUMNS ", steps FROM dbt_run"
                                           " WHERE account = $1 AND number = $2")
                   : db_prepare(store->db, "SELECT " COLUMNS
                                           " FROM dbt_run WHERE account = $1 AND number = $2");
    db_bind_int64(select, 1, account);
    db_bind_int64(select, 2, number);
    return read_one(select, with_steps, arena, diag, ret_run);
}

enum ph_error dbt_run_first_due(struct store *store, struct arena *arena, struct diag *diag,
                                struct dbt_run *ret_run)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT " COLUMNS " FROM dbt_run WHERE due_at IS NOT NULL"
                              " ORDER BY due_at LIMIT 1");
    return read_one(select, false, arena, diag, ret_run);
}

/* --- writing ---------------------------------------------------------------------------------- */

/* $1 to $13 */
static void bind_state(struct db_statement *statement, const struct dbt_run *run)
{
    db_bind_int64(statement, 1, run->id);
    db_bind_int64(statement, 2, run->job_id);
    db_bind_int64(statement, 3, run->environment_id);
    db_bind_int64(statement, 4, run->project_id);
    db_bind_int64(statement, 5, run->status);
    db_bind_text(statement, 6, run->report);
    dbt_bind_or_null(statement, 7, run->started_at_us);
    dbt_bind_or_null(statement, 8, run->finished_at_us);
    db_bind_int64(statement, 9, run->updated_at_us);
    db_bind_int64(statement, 10, run->told);
    dbt_bind_or_null(statement, 11, run->ingested_at_us);
    db_bind_text(statement, 12, run->failed_nodes);
    dbt_bind_or_null(statement, 13, run->due_at_us);
}

enum ph_error dbt_run_insert(struct store *store, const struct dbt_run *run, struct diag *diag)
{
    PH_ASSERT(run->steps.ptr != NULL);
    struct db_statement *insert = db_prepare(
        store->db, "INSERT INTO dbt_run (id, job_id, environment_id, project_id, status, report,"
                   " started_at, finished_at, updated_at, told, ingested_at, failed_nodes, due_at,"
                   " steps, account, number, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8,"
                   " $9, $10, $11, $12, $13, $14, $15, $16, $17)");
    bind_state(insert, run);
    db_bind_text(insert, 14, run->steps);
    db_bind_int64(insert, 15, run->account);
    db_bind_int64(insert, 16, run->number);
    db_bind_int64(insert, 17, run->created_at_us);
    return db_exec(insert, diag);
}

enum ph_error dbt_run_update(struct store *store, const struct dbt_run *run, struct diag *diag)
{
    struct db_statement *update = db_prepare(
        store->db, "UPDATE dbt_run SET job_id = $2, environment_id = $3, project_id = $4,"
                   " status = $5, report = $6, started_at = $7, finished_at = $8, updated_at = $9,"
                   " told = $10, ingested_at = $11, failed_nodes = $12, due_at = $13,"
                   " steps = coalesce($14, steps) WHERE id = $1");
    bind_state(update, run);
    db_bind_text(update, 14, run->steps);
    return db_exec(update, diag);
}

enum ph_error dbt_run_put_off(struct store *store, int64_t account, int64_t number,
                              int64_t due_at_us, struct diag *diag)
{
    struct db_statement *update =
        db_prepare(store->db, "UPDATE dbt_run SET due_at = $3 WHERE account = $1 AND number = $2"
                              " AND due_at IS NOT NULL");
    db_bind_int64(update, 1, account);
    db_bind_int64(update, 2, number);
    db_bind_int64(update, 3, due_at_us);
    return db_exec(update, diag);
}

/* --- lists ------------------------------------------------------------------------------------ */

/* $1 to $9 */
#define FITTING                                                                                    \
    " FROM dbt_run WHERE account = $1 AND ($2 = '' OR $2 LIKE '%,' || job_id || ',%')"             \
    " AND ($3 = '' OR $3 LIKE '%,' || environment_id || ',%')"                                     \
    " AND ($4 = '' OR $4 LIKE '%,' || project_id || ',%')"                                         \
    " AND ($5 = '' OR $5 LIKE '%,' || status || ',%')"                                             \
    " AND ($6 = 0 OR created_at >= $6) AND ($7 = 0 OR created_at <= $7)"                           \
    " AND ($8 = 0 OR finished_at >= $8) AND ($9 = 0 OR finished_at <= $9)"
#define PAGE(order) "SELECT " COLUMNS FITTING " ORDER BY " order " LIMIT $10 OFFSET $11"

static void bind_query(struct db_statement *select, const struct dbt_run_query *query)
{
    db_bind_int64(select, 1, query->account);
    dbt_bind_or_empty(select, 2, query->job_ids);
    dbt_bind_or_empty(select, 3, query->environment_ids);
    dbt_bind_or_empty(select, 4, query->project_ids);
    dbt_bind_or_empty(select, 5, query->statuses);
    db_bind_int64(select, 6, query->created_from_us);
    db_bind_int64(select, 7, query->created_to_us);
    db_bind_int64(select, 8, query->finished_from_us);
    db_bind_int64(select, 9, query->finished_to_us);
}

static enum ph_error count_fitting(struct store *store, const struct dbt_run_query *query,
                                   struct diag *diag, int64_t *ret_total)
{
    struct db_statement *select = db_prepare(store->db, "SELECT count(*) FROM (SELECT id" FITTING
                                                        " ORDER BY id DESC LIMIT $10)"
                                                        " AS newest");
    bind_query(select, query);
    db_bind_int64(select, 10, DBT_RUN_COUNT_MAX);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error == PH_OK) {
        *ret_total = has_row ? db_int64(select, 0) : 0;
        db_done(select);
    }
    return error;
}

/* A time that is not known counts as the earliest, on both databases. */
static const char *const pages[][2] = {
    [DBT_RUN_BY_AGE] = {PAGE("id"), PAGE("id DESC")},
    [DBT_RUN_BY_STARTED] = {PAGE("coalesce(started_at, 0), id"),
                            PAGE("coalesce(started_at, 0) DESC, id DESC")},
    [DBT_RUN_BY_FINISHED] = {PAGE("coalesce(finished_at, 0), id"),
                             PAGE("coalesce(finished_at, 0) DESC, id DESC")},
    [DBT_RUN_BY_UPDATED] = {PAGE("updated_at, id"), PAGE("updated_at DESC, id DESC")},
};

static enum ph_error read_steps(struct store *store, struct arena *arena, struct diag *diag,
                                struct dbt_run *run)
{
    struct db_statement *select = db_prepare(store->db, "SELECT steps FROM dbt_run WHERE id = $1");
    db_bind_int64(select, 1, run->id);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK || !has_row) {
        return error;
    }
    run->steps = dbt_copy(arena, db_text(select, 0));
    db_done(select);
    return run->steps.ptr == NULL ? api_no_memory(diag) : PH_OK;
}

enum ph_error dbt_run_page(struct store *store, const struct dbt_run_query *query,
                           struct arena *arena, struct diag *diag, struct dbt_run *rows,
                           size_t *ret_count, int64_t *ret_total)
{
    enum ph_error error = count_fitting(store, query, diag, ret_total);
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *select = db_prepare(store->db, pages[query->order][query->is_descending]);
    bind_query(select, query);
    db_bind_int64(select, 10, query->limit);
    db_bind_int64(select, 11, query->offset);
    size_t count = 0;
    bool has_row;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        PH_ASSERT((int64_t)count < query->limit);
        error = read_row(select, false, arena, diag, &rows[count]);
        if (error != PH_OK) {
            db_done(select);
            return error;
        }
        count++;
    }
    for (size_t index = 0; error == PH_OK && query->with_steps && index < count; index++) {
        error = read_steps(store, arena, diag, &rows[index]);
    }
    *ret_count = count;
    return error;
}

/* --- retention -------------------------------------------------------------------------------- */

static enum ph_error drop_artifacts(struct store *store, int64_t run_id, int64_t now_us,
                                    struct diag *diag)
{
    struct db_statement *update =
        db_prepare(store->db, "UPDATE dbt_artifact SET state = 2, touched_at = $2"
                              " WHERE run_id = $1 AND state = 1");
    db_bind_int64(update, 1, run_id);
    db_bind_int64(update, 2, now_us);
    return db_exec(update, diag);
}

static enum ph_error delete_run(struct store *store, int64_t id, struct diag *diag)
{
    struct db_statement *statement = db_prepare(store->db, "DELETE FROM dbt_run WHERE id = $1");
    db_bind_int64(statement, 1, id);
    return db_exec(statement, diag);
}

enum ph_error dbt_run_prune(struct store *store, int64_t before_id, int64_t now_us,
                            struct diag *diag, int64_t *ret_deleted)
{
    int64_t ids[DBT_RUN_PRUNE_STEP];
    size_t count = 0;
    bool has_row;
    struct db_statement *select =
        db_prepare(store->db, "SELECT id FROM dbt_run WHERE id < $1 AND due_at IS NULL"
                              " ORDER BY id LIMIT $2");
    db_bind_int64(select, 1, before_id);
    db_bind_int64(select, 2, DBT_RUN_PRUNE_STEP);
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        PH_ASSERT(count < DBT_RUN_PRUNE_STEP);
        ids[count++] = db_int64(select, 0);
    }
    for (size_t index = 0; error == PH_OK && index < count; index++) {
        error = drop_artifacts(store, ids[index], now_us, diag);
        if (error == PH_OK) {
            error = delete_run(store, ids[index], diag);
        }
    }
    *ret_deleted = (int64_t)count;
    return error;
}
