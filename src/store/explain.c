/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints come with their delivery in one query; attempts are counted by one walk over those of
 * the message, because no index leads to the attempts of one delivery.
 */
#include "store/explain.h"

#include "store/delivery.h"
#include "store/store_int.h"

/* --- endpoints and deliveries ----------------------------------------------------------------- */

/* The inner query bounds what is examined: deleted endpoints may be many. */
#define SELECT_ROWS                                                                                \
    "SELECT endpoint.id, endpoint.uid, endpoint.url, endpoint.throttle_rate, endpoint.disabled,"   \
    " endpoint.deleted_at, endpoint.event_types, endpoint.channels, endpoint.options,"             \
    " endpoint.created_at, endpoint.updated_at, endpoint.generation, delivery.message_id,"         \
    " delivery.state, delivery.reason, delivery.next_attempt_at, delivery.generation,"             \
    " delivery.order_key, delivery.attempts"                                                       \
    " FROM endpoint LEFT JOIN delivery ON delivery.message_id = $2"                                \
    " AND delivery.endpoint_id = endpoint.id"                                                      \
    " WHERE endpoint.id IN (SELECT id FROM endpoint WHERE application_id = $1"                     \
    " AND id > $3 AND id < $4 ORDER BY id"
#define WHERE_WANTED                                                                               \
    " LIMIT $5) AND (endpoint.deleted_at IS NULL OR delivery.message_id IS NOT NULL OR $7 = 1"     \
    " OR EXISTS (SELECT 1 FROM attempt WHERE attempt.message_id = $2"                              \
    " AND attempt.endpoint_id = endpoint.id)) ORDER BY endpoint.id"
#define DELIVERY_COLUMN 12

static enum ph_error read_row(struct db_statement *row, struct arena *arena, struct diag *diag,
                              struct explain_row *ret_row)
{
    struct row_copier copier = {.row = row, .arena = arena};
    struct explain_row copy = {
        .endpoint =
            {
                .id = db_int64(row, 0),
                .uid = row_copy_text(&copier, 1),
                .url = row_copy_text(&copier, 2),
                .throttle_rate = db_int64(row, 3),
                .is_disabled = db_int64(row, 4) != 0,
                .is_deleted = !db_is_null(row, 5),
                .event_types = row_copy_text(&copier, 6),
                .channels = row_copy_text(&copier, 7),
                .options = row_copy_text(&copier, 8),
                .created_at_us = db_int64(row, 9),
                .updated_at_us = db_int64(row, 10),
                .generation = db_int64(row, 11),
            },
        .delivery.exists = !db_is_null(row, DELIVERY_COLUMN),
    };
    if (copy.delivery.exists) {
        int64_t state = db_int64(row, DELIVERY_COLUMN + 1);
        int64_t reason = db_int64(row, DELIVERY_COLUMN + 2);
        PH_ASSERT(state >= 0 && state < DELIVERY_STATE_COUNT);
        PH_ASSERT(reason >= 0 && reason < DELIVERY_REASON_COUNT);
        copy.delivery.state = (enum delivery_state)state;
        copy.delivery.reason = (enum delivery_reason)reason;
        copy.delivery.next_attempt_at_us = db_int64(row, DELIVERY_COLUMN + 3);
        copy.delivery.generation = db_int64(row, DELIVERY_COLUMN + 4);
        copy.delivery.order_key = db_int64(row, DELIVERY_COLUMN + 5);
        copy.delivery.attempts = db_int64(row, DELIVERY_COLUMN + 6);
    }
    *ret_row = copy;
    return row_copier_end(&copier, diag);
}

/* The last endpoint that the query has examined, when it stopped at its bound; else 0. */
static enum ph_error examined_to(struct store *store, const struct explain_query *query,
                                 struct diag *diag, int64_t *ret_id)
{
    const struct id_page *page = &query->page;
    struct db_statement *select = db_prepare(
        store->db, page->is_descending
                       ? "SELECT id FROM endpoint WHERE application_id = $1 AND id > $2 AND id < $3"
                         " ORDER BY id DESC LIMIT 1 OFFSET $4"
                       : "SELECT id FROM endpoint WHERE application_id = $1 AND id > $2 AND id < $3"
                         " ORDER BY id LIMIT 1 OFFSET $4");
    db_bind_int64(select, 1, query->application_id);
    db_bind_int64(select, 2, page->lower);
    db_bind_int64(select, 3, page->upper);
    db_bind_int64(select, 4, LIST_EXAMINED_MAX - 1);
    return db_read_int64(select, diag, ret_id);
}

static enum ph_error read_rows(struct store *store, const struct explain_query *query,
                               struct arena *arena, struct diag *diag, struct explain_row *rows,
                               struct list_end *end)
{
    const struct id_page *page = &query->page;
    struct db_statement *select = db_prepare(
        store->db, page->is_descending ? SELECT_ROWS " DESC" WHERE_WANTED " DESC LIMIT $6"
                                       : SELECT_ROWS WHERE_WANTED " LIMIT $6");
    db_bind_int64(select, 1, query->application_id);
    db_bind_int64(select, 2, query->message_id);
    db_bind_int64(select, 3, page->lower);
    db_bind_int64(select, 4, page->upper);
    db_bind_int64(select, 5, LIST_EXAMINED_MAX);
    db_bind_int64(select, 6, (int64_t)page->limit + 1);
    db_bind_int64(select, 7, query->with_all_deleted ? 1 : 0);
    struct page_scan scan = page_scan(select, page->limit, arena, diag);
    while (page_scan_next(&scan)) {
        scan.error = read_row(select, arena, diag, &rows[scan.count]);
    }
    enum ph_error error = page_scan_end(&scan, &end->count, &end->has_more);
    if (error == PH_OK && !end->has_more) {
        error = examined_to(store, query, diag, &end->last_examined_id);
        end->has_more = end->last_examined_id != 0;
    }
    return error;
}

/* --- what a delivery waits for ---------------------------------------------------------------- */

static enum ph_error find_first(struct store *store, const struct explain_query *query,
                                struct explain_row *row, struct diag *diag)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT min(message_id) FROM delivery WHERE state = 0"
                              " AND endpoint_id = $1 AND order_key = $2 AND generation >= $3");
    db_bind_int64(select, 1, row->endpoint.id);
    db_bind_int64(select, 2, row->delivery.order_key);
    db_bind_int64(select, 3, row->endpoint.generation);
    int64_t first_id;
    enum ph_error error = db_read_int64(select, diag, &first_id);
    if (error == PH_OK) {
        row->delivery.waits_for_id = first_id == query->message_id ? 0 : first_id;
    }
    return error;
}

/* --- attempts --------------------------------------------------------------------------------- */

static int compare_ids(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = ((const struct explain_row *)right)->endpoint.id;
    return (a > b) - (a < b);
}

static int compare_ids_descending(const void *left, const void *right)
{
    return -compare_ids(left, right);
}

/* What `sql` counts of the message by endpoint, those of the page: how many, and the newest one's
 * id.
 */
static enum ph_error
count_each(struct store *store, const char *sql, const struct explain_query *query,
           struct explain_row *rows, size_t count,
           void (*take)(struct explain_row *row, int64_t count, int64_t newest), struct diag *diag)
{
    struct db_statement *select = db_prepare(store->db, sql);
    bool is_descending = query->page.is_descending;
    db_bind_int64(select, 1, query->message_id);
    db_bind_int64(select, 2, rows[is_descending ? count - 1 : 0].endpoint.id);
    db_bind_int64(select, 3, rows[is_descending ? 0 : count - 1].endpoint.id);
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        int64_t endpoint_id = db_int64(select, 0);
        struct explain_row *row = bsearch(&endpoint_id, rows, count, sizeof rows[0],
                                          is_descending ? compare_ids_descending : compare_ids);
        if (row != NULL) {
            take(row, db_int64(select, 1), db_int64(select, 2));
        }
    }
    return error;
}

static void take_attempts(struct explain_row *row, int64_t count, int64_t newest)
{
    row->attempts = count;
    row->latest.id = newest;
}

static void take_resends(struct explain_row *row, int64_t count, int64_t newest)
{
    (void)newest;
    row->resends = count;
}

/* The attempts that were made and those that were asked for. */
static enum ph_error count_attempts(struct store *store, const struct explain_query *query,
                                    struct explain_row *rows, size_t count, struct diag *diag)
{
#define BY_ENDPOINT                                                                                \
    " WHERE message_id = $1 AND endpoint_id >= $2 AND endpoint_id <= $3 GROUP BY endpoint_id"
    enum ph_error error =
        count_each(store, "SELECT endpoint_id, count(*), max(id) FROM attempt" BY_ENDPOINT, query,
                   rows, count, take_attempts, diag);
    if (error == PH_OK) {
        error = count_each(store,
                           "SELECT endpoint_id, count(*), max(id) FROM manual_attempt" BY_ENDPOINT,
                           query, rows, count, take_resends, diag);
    }
    return error;
#undef BY_ENDPOINT
}

static enum ph_error read_latest(struct store *store, struct arena *arena, struct diag *diag,
                                 struct explain_attempt *latest)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT status, response_code, trigger_type, response IS NULL,"
                              " substr(response, 1, CAST($2 AS INTEGER)) FROM attempt"
                              " WHERE id = $1");
    db_bind_int64(select, 1, latest->id);
    db_bind_int64(select, 2, EXPLAIN_RESPONSE_BYTES);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK || !has_row) {
        return error;
    }
    struct row_copier copier = {.row = select, .arena = arena};
    latest->is_success = db_int64(select, 0) == 0;
    latest->response_code = db_int64(select, 1);
    latest->is_manual = db_int64(select, 2) != 0;
    if (db_int64(select, 3) == 0) {
        latest->response = row_copy_blob(&copier, 4);
        /* SQLite makes NULL of a part of nothing. */
        latest->response.ptr = latest->response.ptr == NULL ? "" : latest->response.ptr;
    }
    error = row_copier_end(&copier, diag);
    db_done(select);
    return error;
}

enum ph_error explain_page(struct store *store, const struct explain_query *query,
                           struct arena *arena, struct diag *diag, struct explain_row *rows,
                           struct list_end *ret_end)
{
    struct list_end end = {0};
    enum ph_error error = read_rows(store, query, arena, diag, rows, &end);
    if (error == PH_OK && end.count > 0) {
        error = count_attempts(store, query, rows, end.count, diag);
    }
    for (size_t index = 0; error == PH_OK && index < end.count; index++) {
        struct explain_row *row = &rows[index];
        if (row->latest.id != 0) {
            error = read_latest(store, arena, diag, &row->latest);
        }
        if (error == PH_OK && row->delivery.exists && row->delivery.state == DELIVERY_PENDING &&
            row->delivery.next_attempt_at_us == DELIVERY_WAITS_US) {
            error = find_first(store, query, row, diag);
        }
    }
    if (error == PH_OK) {
        *ret_end = end;
    }
    return error;
}
