/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/dbt/delivery_log.h"

#include "store/message.h"
#include "surfaces/dbt/dbt_int.h"

/* state 3 is cancelled: with no attempt it was the filter, or came to nothing. */
#define FROM_EVENTS                                                                                \
    " FROM message JOIN delivery ON delivery.message_id = message.id"                              \
    " AND delivery.endpoint_id = $2 WHERE message.application_id = $1 AND message.id > $3"         \
    " AND (delivery.state <> 3 OR delivery.attempts > 0)"

static enum ph_error not_found(struct diag *diag)
{
    return diag_set(diag, PH_NOT_FOUND, NULL, "no such event");
}

static void bind_query(struct db_statement *select, const struct dbt_log_query *query)
{
    db_bind_int64(select, 1, query->application_id);
    db_bind_int64(select, 2, query->endpoint_id);
    db_bind_int64(select, 3, query->after_id);
}

static enum ph_error count_events(struct store *store, const struct dbt_log_query *query,
                                  struct diag *diag, int64_t *ret_total)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT count(*) FROM (SELECT message.id" FROM_EVENTS
                              " ORDER BY message.id DESC LIMIT $4) AS newest");
    bind_query(select, query);
    db_bind_int64(select, 4, DBT_LOG_COUNT_MAX);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error == PH_OK) {
        *ret_total = has_row ? db_int64(select, 0) : 0;
        db_done(select);
    }
    return error;
}

static enum ph_error read_event(struct db_statement *row, int64_t endpoint_id, struct arena *arena,
                                struct diag *diag, struct dbt_log_event *ret_event)
{
    *ret_event = (struct dbt_log_event){
        .message_id = db_int64(row, 0),
        .endpoint_id = endpoint_id,
        .event_type = dbt_copy(arena, db_text(row, 1)),
        .channels = dbt_copy(arena, db_text(row, 2)),
    };
    return ret_event->event_type.ptr == NULL ? api_no_memory(diag) : PH_OK;
}

/* The rest of an event, by key. */
static enum ph_error complete(struct store *store, struct arena *arena, struct diag *diag,
                              struct dbt_log_event *event)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT response_code FROM attempt WHERE message_id = $1"
                              " AND +endpoint_id = $2 ORDER BY id DESC LIMIT 1");
    db_bind_int64(select, 1, event->message_id);
    db_bind_int64(select, 2, event->endpoint_id);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    event->status_code = has_row ? db_int64(select, 0) : 0;
    if (has_row) {
        db_done(select);
    }
    error = message_payload(store, event->message_id, arena, diag, &event->payload);
    if (error == PH_NOT_FOUND || error == PH_SEALED) {
        event->payload = SLICE_NONE;
        error = PH_OK;
    }
    return error;
}

enum ph_error dbt_log_page(struct store *store, const struct dbt_log_query *query,
                           struct arena *arena, struct diag *diag, struct dbt_log_event *rows,
                           size_t *ret_count, int64_t *ret_total)
{
    enum ph_error error = count_events(store, query, diag, ret_total);
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *select =
        db_prepare(store->db, "SELECT message.id, message.event_type, message.channels" FROM_EVENTS
                              " ORDER BY message.id DESC LIMIT $4 OFFSET $5");
    bind_query(select, query);
    db_bind_int64(select, 4, query->limit);
    db_bind_int64(select, 5, query->offset);
    size_t count = 0;
    bool has_row;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        PH_ASSERT((int64_t)count < query->limit);
        error = read_event(select, query->endpoint_id, arena, diag, &rows[count]);
        if (error != PH_OK) {
            db_done(select);
            return error;
        }
        count++;
    }
    for (size_t index = 0; error == PH_OK && index < count; index++) {
        error = complete(store, arena, diag, &rows[index]);
    }
    *ret_count = count;
    return error;
}

enum ph_error dbt_log_find(struct store *store, const struct dbt_log_query *query,
                           int64_t message_id, struct arena *arena, struct diag *diag,
                           struct dbt_log_event *ret_event)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT message.id, message.event_type, message.channels" FROM_EVENTS
                              " AND message.id = $4");
    bind_query(select, query);
    db_bind_int64(select, 4, message_id);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    if (!has_row) {
        return not_found(diag);
    }
    error = read_event(select, query->endpoint_id, arena, diag, ret_event);
    db_done(select);
    return error == PH_OK ? complete(store, arena, diag, ret_event) : error;
}

enum ph_error dbt_log_of_attempt(struct store *store, int64_t attempt_id, struct diag *diag,
                                 int64_t *ret_message_id, int64_t *ret_endpoint_id)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT message_id, endpoint_id FROM attempt WHERE id = $1");
    db_bind_int64(select, 1, attempt_id);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    if (!has_row) {
        return not_found(diag);
    }
    *ret_message_id = db_int64(select, 0);
    *ret_endpoint_id = db_int64(select, 1);
    db_done(select);
    return PH_OK;
}

enum ph_error dbt_log_key_since(struct store *store, int64_t endpoint_id, struct diag *diag,
                                int64_t *ret_since_us)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT max(id) FROM endpoint_secret WHERE endpoint_id = $1"
                              " AND expires_at IS NULL");
    db_bind_int64(select, 1, endpoint_id);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    int64_t id = has_row ? db_int64(select, 0) : 0;
    if (has_row) {
        db_done(select);
    }
    *ret_since_us = id_time_us(id);
    return id == 0 ? not_found(diag) : PH_OK;
}
