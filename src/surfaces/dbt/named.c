/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/dbt/named.h"

#include "surfaces/dbt/row.h"

#define COLUMNS                                                                                    \
    "number, name, project_id, environment_id, dbt_version, job_type, created_at, updated_at"

static enum ph_error note(struct store *store, int64_t account, enum dbt_named_kind kind,
                          const struct dbt_named *named, int64_t now_us, struct diag *diag)
{
    struct db_statement *insert = db_prepare(
        store->db, "INSERT INTO dbt_named (account, kind, " COLUMNS ", used_at)"
                   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $9)"
                   " ON CONFLICT (account, kind, number) DO UPDATE SET used_at = excluded.used_at,"
                   " updated_at = CASE WHEN dbt_named.name = excluded.name"
                   " AND dbt_named.project_id = excluded.project_id"
                   " AND dbt_named.environment_id = excluded.environment_id"
                   " AND dbt_named.dbt_version = excluded.dbt_version"
                   " AND dbt_named.job_type = excluded.job_type"
                   " THEN dbt_named.updated_at ELSE excluded.updated_at END,"
                   " name = excluded.name, project_id = excluded.project_id,"
                   " environment_id = excluded.environment_id, dbt_version = excluded.dbt_version,"
                   " job_type = excluded.job_type");
    db_bind_int64(insert, 1, account);
    db_bind_int64(insert, 2, kind);
    db_bind_int64(insert, 3, named->number);
    db_bind_text(insert, 4, named->name);
    db_bind_int64(insert, 5, named->project_id);
    db_bind_int64(insert, 6, named->environment_id);
    dbt_bind_or_empty(insert, 7, named->dbt_version);
    dbt_bind_or_empty(insert, 8, named->job_type);
    db_bind_int64(insert, 9, now_us);
    return db_exec(insert, diag);
}

enum ph_error dbt_named_note(struct store *store, int64_t account, const struct dbt_report *report,
                             int64_t now_us, struct diag *diag)
{
    const struct dbt_named project = {.number = report->project_id, .name = report->project_name};
    const struct dbt_named environment = {
        .number = report->environment_id,
        .name = report->environment_name,
        .project_id = report->project_id,
        .dbt_version = report->dbt_version,
    };
    const struct dbt_named job = {
        .number = report->job_id,
        .name = report->job_name,
        .project_id = report->project_id,
        .environment_id = report->environment_id,
        .dbt_version = report->dbt_version,
        .job_type = report->job_type,
    };
    enum ph_error error = PH_OK;
    if (project.number != 0) {
        error = note(store, account, DBT_PROJECT, &project, now_us, diag);
    }
    if (error == PH_OK && environment.number != 0) {
        error = note(store, account, DBT_ENVIRONMENT, &environment, now_us, diag);
    }
    return error == PH_OK ? note(store, account, DBT_JOB, &job, now_us, diag) : error;
}

/* --- reading ---------------------------------------------------------------------------------- */

static enum ph_error read_row(struct db_statement *row, struct arena *arena, struct diag *diag,
                              struct dbt_named *ret_named)
{
    struct dbt_row copier = {.row = row, .arena = arena};
    *ret_named = (struct dbt_named){
        .number = db_int64(row, 0),
        .name = dbt_row_text(&copier, 1),
        .project_id = db_int64(row, 2),
        .environment_id = db_int64(row, 3),
        .dbt_version = dbt_row_text(&copier, 4),
        .job_type = dbt_row_text(&copier, 5),
        .created_at_us = db_int64(row, 6),
        .updated_at_us = db_int64(row, 7),
    };
    return dbt_row_end(&copier, diag);
}

enum ph_error dbt_named_find(struct store *store, int64_t account, enum dbt_named_kind kind,
                             int64_t number, struct arena *arena, struct diag *diag,
                             struct dbt_named *ret_named)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT " COLUMNS " FROM dbt_named WHERE account = $1 AND kind = $2"
                              " AND number = $3");
    db_bind_int64(select, 1, account);
    db_bind_int64(select, 2, kind);
    db_bind_int64(select, 3, number);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    if (!has_row) {
        return dbt_not_found(diag);
    }
    error = read_row(select, arena, diag, ret_named);
    db_done(select);
    return error;
}

/* $1 to $7 */
#define FITTING                                                                                    \
    " FROM dbt_named WHERE account = $1 AND kind = $2"                                             \
    " AND ($3 = '' OR $3 LIKE '%,' || number || ',%')"                                             \
    " AND ($4 = '' OR $4 LIKE '%,' || project_id || ',%')"                                         \
    " AND ($5 = '' OR $5 LIKE '%,' || environment_id || ',%') AND ($6 = '' OR name = $6)"          \
    " AND ($7 = '' OR lower(name) LIKE lower($7) ESCAPE '!')"

static void bind_query(struct db_statement *select, const struct dbt_named_query *query)
{
    db_bind_int64(select, 1, query->account);
    db_bind_int64(select, 2, query->kind);
    dbt_bind_or_empty(select, 3, query->numbers);
    dbt_bind_or_empty(select, 4, query->project_ids);
    dbt_bind_or_empty(select, 5, query->environment_ids);
    dbt_bind_or_empty(select, 6, query->name);
    dbt_bind_or_empty(select, 7, query->name_pattern);
}

static enum ph_error count_fitting(struct store *store, const struct dbt_named_query *query,
                                   struct diag *diag, int64_t *ret_total)
{
    struct db_statement *select = db_prepare(store->db, "SELECT count(*)" FITTING);
    bind_query(select, query);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error == PH_OK) {
        *ret_total = has_row ? db_int64(select, 0) : 0;
        db_done(select);
    }
    return error;
}

enum ph_error dbt_named_page(struct store *store, const struct dbt_named_query *query,
                             struct arena *arena, struct diag *diag, struct dbt_named *rows,
                             size_t *ret_count, int64_t *ret_total)
{
    enum ph_error error = count_fitting(store, query, diag, ret_total);
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *select =
        db_prepare(store->db, "SELECT " COLUMNS FITTING " ORDER BY number LIMIT $8 OFFSET $9");
    bind_query(select, query);
    db_bind_int64(select, 8, query->limit);
    db_bind_int64(select, 9, query->offset);
    size_t count = 0;
    bool has_row;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        PH_ASSERT((int64_t)count < query->limit);
        error = read_row(select, arena, diag, &rows[count]);
        if (error != PH_OK) {
            db_done(select);
            return error;
        }
        count++;
    }
    *ret_count = count;
    return error;
}

enum ph_error dbt_named_prune(struct store *store, int64_t before_us, struct diag *diag,
                              int64_t *ret_deleted)
{
    struct db_statement *statement =
        db_prepare(store->db, "DELETE FROM dbt_named WHERE (account, kind, number) IN"
                              " (SELECT account, kind, number FROM dbt_named WHERE used_at < $1"
                              " ORDER BY used_at LIMIT $2)");
    db_bind_int64(statement, 1, before_us);
    db_bind_int64(statement, 2, DBT_NAMED_PRUNE_STEP);
    enum ph_error error = db_exec(statement, diag);
    *ret_deleted = error == PH_OK ? db_changes(store->db) : 0;
    return error;
}
