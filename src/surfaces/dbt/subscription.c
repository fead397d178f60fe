/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/dbt/subscription.h"

#include "surfaces/dbt/dbt_int.h"

#define OWN_COLUMNS                                                                                \
    "dbt_subscription.name, dbt_subscription.client_url, dbt_subscription.delivery,"               \
    " dbt_subscription.http_status_code, dbt_subscription.dispatched_at,"                          \
    " dbt_subscription.updated_at, dbt_subscription.deactivate_reason,"                            \
    " dbt_subscription.failures_max, dbt_subscription.failing_max_us"
#define SELECT_LIVE                                                                                \
    "SELECT " ENDPOINT_ROW_COLUMNS ", " OWN_COLUMNS " FROM endpoint JOIN dbt_subscription"         \
    " ON dbt_subscription.endpoint_id = endpoint.id WHERE endpoint.deleted_at IS NULL"

static enum ph_error read_row(struct store *store, struct db_statement *row, struct arena *arena,
                              struct diag *diag, struct dbt_subscription *ret_row)
{
    const int own = ENDPOINT_ROW_COLUMN_COUNT;
    struct dbt_subscription copy = {
        .name = dbt_copy(arena, db_text(row, own)),
        .client_url = dbt_copy(arena, db_text(row, own + 1)),
        .delivery = dbt_copy(arena, db_text(row, own + 2)),
        .http_status_code = db_int64(row, own + 3),
        .dispatched_at_us = db_int64(row, own + 4),
        .updated_at_us = db_int64(row, own + 5),
        .deactivate_reason = dbt_copy(arena, db_text(row, own + 6)),
        .failures_max = db_int64(row, own + 7),
        .failing_max_us = db_int64(row, own + 8),
    };
    if (copy.name.ptr == NULL || copy.client_url.ptr == NULL || copy.delivery.ptr == NULL) {
        return api_no_memory(diag);
    }
    enum ph_error error = endpoint_read_row(store, row, 0, arena, diag, &copy.endpoint);
    if (error == PH_OK) {
        if (copy.endpoint.updated_at_us > copy.updated_at_us) {
            copy.updated_at_us = copy.endpoint.updated_at_us;
        }
        *ret_row = copy;
    }
    return error;
}

/* The one row of a query. */
static enum ph_error read_one(struct store *store, struct db_statement *select, struct arena *arena,
                              struct diag *diag, struct dbt_subscription *ret_row)
{
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    if (!has_row) {
        return diag_set(diag, PH_NOT_FOUND, NULL, "no such subscription");
    }
    error = read_row(store, select, arena, diag, ret_row);
    db_done(select);
    return error;
}

static enum ph_error count_all(struct store *store, int64_t application_id, struct diag *diag,
                               int64_t *ret_total)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT count(*) FROM endpoint JOIN dbt_subscription"
                              " ON dbt_subscription.endpoint_id = endpoint.id"
                              " WHERE endpoint.deleted_at IS NULL AND application_id = $1");
    db_bind_int64(select, 1, application_id);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error == PH_OK) {
        *ret_total = has_row ? db_int64(select, 0) : 0;
        db_done(select);
    }
    return error;
}

enum ph_error dbt_subscription_page(struct store *store, int64_t application_id, int64_t offset,
                                    int64_t limit, struct arena *arena, struct diag *diag,
                                    struct dbt_subscription *rows, size_t *ret_count,
                                    int64_t *ret_total)
{
    enum ph_error error = count_all(store, application_id, diag, ret_total);
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *select =
        db_prepare(store->db, SELECT_LIVE " AND endpoint.application_id = $1"
                                          " ORDER BY endpoint.id LIMIT $2 OFFSET $3");
    db_bind_int64(select, 1, application_id);
    db_bind_int64(select, 2, limit);
    db_bind_int64(select, 3, offset);
    size_t count = 0;
    bool has_row;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        PH_ASSERT((int64_t)count < limit);
        error = read_row(store, select, arena, diag, &rows[count]);
        if (error != PH_OK) {
            db_done(select);
            return error;
        }
        count++;
    }
    *ret_count = count;
    return error;
}

enum ph_error dbt_subscription_find(struct store *store, int64_t application_id,
                                    int64_t endpoint_id, struct arena *arena, struct diag *diag,
                                    struct dbt_subscription *ret_row)
{
    struct db_statement *select =
        db_prepare(store->db, SELECT_LIVE " AND endpoint.id = $1 AND endpoint.application_id = $2");
    db_bind_int64(select, 1, endpoint_id);
    db_bind_int64(select, 2, application_id);
    return read_one(store, select, arena, diag, ret_row);
}

enum ph_error dbt_subscription_next(struct store *store, int64_t after_id, struct arena *arena,
                                    struct diag *diag, struct dbt_subscription *ret_row)
{
    struct db_statement *select =
        db_prepare(store->db, SELECT_LIVE " AND dbt_subscription.endpoint_id > $1"
                                          " ORDER BY dbt_subscription.endpoint_id LIMIT 1");
    db_bind_int64(select, 1, after_id);
    return read_one(store, select, arena, diag, ret_row);
}

enum ph_error dbt_subscription_insert(struct store *store, const struct dbt_subscription *row,
                                      struct diag *diag)
{
    struct db_statement *insert =
        db_prepare(store->db, "INSERT INTO dbt_subscription (endpoint_id, name, client_url,"
                              " delivery, http_status_code, updated_at, failures, failures_max,"
                              " failing_max_us, noticed)"
                              " VALUES ($1, $2, $3, $4, 0, $5, 0, $6, $7, 0)");
    db_bind_int64(insert, 1, row->endpoint.id);
    db_bind_text(insert, 2, row->name);
    db_bind_text(insert, 3, row->client_url);
    db_bind_text(insert, 4, row->delivery);
    db_bind_int64(insert, 5, row->updated_at_us);
    db_bind_int64(insert, 6, row->failures_max);
    db_bind_int64(insert, 7, row->failing_max_us);
    return db_exec(insert, diag);
}

static enum ph_error forget_failures(struct store *store, int64_t endpoint_id, struct diag *diag)
{
    struct db_statement *update =
        db_prepare(store->db, "UPDATE dbt_subscription SET failures = 0, failing_since = NULL,"
                              " noticed = 0, deactivate_reason = NULL WHERE endpoint_id = $1");
    db_bind_int64(update, 1, endpoint_id);
    return db_exec(update, diag);
}

enum ph_error dbt_subscription_update(struct store *store, const struct dbt_subscription *row,
                                      bool is_fresh, struct diag *diag)
{
    struct db_statement *update =
        db_prepare(store->db, "UPDATE dbt_subscription SET name = $2, client_url = $3,"
                              " delivery = $4, updated_at = $5, failures_max = $6,"
                              " failing_max_us = $7 WHERE endpoint_id = $1");
    db_bind_int64(update, 1, row->endpoint.id);
    db_bind_text(update, 2, row->name);
    db_bind_text(update, 3, row->client_url);
    db_bind_text(update, 4, row->delivery);
    db_bind_int64(update, 5, row->updated_at_us);
    db_bind_int64(update, 6, row->failures_max);
    db_bind_int64(update, 7, row->failing_max_us);
    enum ph_error error = db_exec(update, diag);
    return error == PH_OK && is_fresh ? forget_failures(store, row->endpoint.id, diag) : error;
}

enum ph_error dbt_subscription_delete(struct store *store, int64_t endpoint_id, struct diag *diag)
{
    struct db_statement *delete =
        db_prepare(store->db, "DELETE FROM dbt_subscription WHERE endpoint_id = $1");
    db_bind_int64(delete, 1, endpoint_id);
    return db_exec(delete, diag);
}

/* --- dispatches ------------------------------------------------------------------------------- */

/* What the limits say: all of one is passed, or half of it. */
static void judge(const struct dbt_dispatch *dispatch, int64_t failures_max, int64_t failing_max_us,
                  bool was_noticed, struct dbt_standing *standing)
{
    int64_t failing_us =
        standing->failing_since_us == 0 ? 0 : dispatch->now_us - standing->failing_since_us;
    if (failures_max > 0 && standing->failures >= failures_max) {
        standing->reason = "too many failed deliveries in a row";
    } else if (failing_max_us > 0 && failing_us >= failing_max_us) {
        standing->reason = "nothing but failed deliveries for too long";
    }
    bool is_half = (failures_max > 1 && 2 * standing->failures >= failures_max) ||
                   (failing_max_us > 0 && 2 * failing_us >= failing_max_us);
    standing->is_warning = standing->reason == NULL && is_half && !was_noticed;
}

static enum ph_error set_noticed(struct store *store, int64_t endpoint_id, struct diag *diag)
{
    struct db_statement *update =
        db_prepare(store->db, "UPDATE dbt_subscription SET noticed = 1 WHERE endpoint_id = $1");
    db_bind_int64(update, 1, endpoint_id);
    return db_exec(update, diag);
}

enum ph_error dbt_subscription_dispatched(struct store *store, const struct dbt_dispatch *dispatch,
                                          struct diag *diag, struct dbt_standing *ret_standing)
{
    *ret_standing = (struct dbt_standing){0};
    struct db_statement *update = db_prepare(
        store->db,
        "UPDATE dbt_subscription SET http_status_code = $2, dispatched_at = $3, updated_at = $4,"
        " failures = CASE WHEN $5 = 1 THEN 0 ELSE failures + 1 END,"
        " failing_since = CASE WHEN $5 = 1 THEN NULL ELSE coalesce(failing_since, $4) END,"
        " noticed = CASE WHEN $5 = 1 THEN 0 ELSE noticed END WHERE endpoint_id = $1"
        " RETURNING failures, failing_since, failures_max, failing_max_us, noticed");
    db_bind_int64(update, 1, dispatch->endpoint_id);
    db_bind_int64(update, 2, dispatch->status_code);
    db_bind_int64(update, 3, dispatch->dispatched_at_us);
    db_bind_int64(update, 4, dispatch->now_us);
    db_bind_int64(update, 5, dispatch->is_success ? 1 : 0);
    bool has_row;
    enum ph_error error = db_step(update, diag, &has_row);
    if (error != PH_OK || !has_row) {
        return error;
    }
    ret_standing->failures = db_int64(update, 0);
    ret_standing->failing_since_us = db_int64(update, 1);
    judge(dispatch, db_int64(update, 2), db_int64(update, 3), db_int64(update, 4) != 0,
          ret_standing);
    db_done(update);
    return ret_standing->is_warning ? set_noticed(store, dispatch->endpoint_id, diag) : PH_OK;
}

enum ph_error dbt_subscription_deactivated(struct store *store, int64_t endpoint_id,
                                           struct slice reason, struct diag *diag)
{
    struct db_statement *update = db_prepare(
        store->db, "UPDATE dbt_subscription SET deactivate_reason = $2 WHERE endpoint_id = $1");
    db_bind_int64(update, 1, endpoint_id);
    db_bind_text(update, 2, reason);
    return db_exec(update, diag);
}
