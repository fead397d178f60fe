/* SPDX-License-Identifier: Apache-2.0 */
#include "store/delivery.h"

#include "base/map.h"

/* Rows that one step of a cancel looks at. */
#define CANCEL_STEP 200

int64_t delivery_shard(int64_t endpoint_id)
{
    return (int64_t)(map_mix((uint64_t)endpoint_id) % DELIVERY_SHARDS);
}

enum ph_error delivery_insert(struct store *store, const struct delivery_insert_row *row,
                              struct diag *diag)
{
    PH_ASSERT(row->shard >= 0 && row->shard < DELIVERY_SHARDS);
    struct db_statement *insert;
    if (row->order_key == 0) {
        insert = db_prepare(store->db,
                            "INSERT INTO delivery (message_id, endpoint_id, shard, state, reason,"
                            " attempts, next_attempt_at, generation)"
                            " VALUES ($1, $2, $3, 0, 0, 0, $4, $5)");
    } else {
        insert = db_prepare(
            store->db,
            "INSERT INTO delivery (message_id, endpoint_id, shard, state, reason, attempts,"
            " next_attempt_at, generation, order_key) VALUES ($1, $2, $3, 0, 0, 0,"
            " CASE WHEN EXISTS (SELECT 1 FROM delivery WHERE state = 0 AND endpoint_id = $2"
            " AND order_key = $6 AND generation >= $5) THEN $7 ELSE $4 END, $5, $6)");
        db_bind_int64(insert, 6, row->order_key);
        db_bind_int64(insert, 7, DELIVERY_WAITS_US);
    }
    db_bind_int64(insert, 1, row->message_id);
    db_bind_int64(insert, 2, row->endpoint_id);
    db_bind_int64(insert, 3, row->shard);
    db_bind_int64(insert, 4, row->due_us);
    db_bind_int64(insert, 5, row->generation);
    return db_exec(insert, diag);
}

/* The first pending delivery of an order becomes due at $3, or as late as its message asked for. $1
 * is the endpoint, $4 the time of those that wait; `key` gives the order. */
#define RELEASE(key)                                                                               \
    "UPDATE delivery SET next_attempt_at = coalesce((SELECT deliver_at FROM message"               \
    " WHERE message.id = delivery.message_id AND deliver_at > $3), $3)"                            \
    " WHERE endpoint_id = $1 AND +state = 0 AND next_attempt_at = $4 AND message_id ="             \
    " (SELECT min(message_id) FROM delivery WHERE state = 0 AND endpoint_id = $1"                  \
    " AND order_key = " key " AND generation >= (SELECT generation FROM endpoint WHERE id = $1))"

static enum ph_error release(struct store *store, const char *sql, int64_t endpoint_id,
                             int64_t key_or_message, int64_t now_us, struct diag *diag)
{
    struct db_statement *update = db_prepare(store->db, sql);
    db_bind_int64(update, 1, endpoint_id);
    db_bind_int64(update, 2, key_or_message);
    db_bind_int64(update, 3, now_us);
    db_bind_int64(update, 4, DELIVERY_WAITS_US);
    return db_exec(update, diag);
}

static enum ph_error release_next(struct store *store, int64_t endpoint_id, int64_t order_key,
                                  int64_t now_us, struct diag *diag)
{
    return release(store, RELEASE("$2"), endpoint_id, order_key, now_us, diag);
}

/* Behind a delivery that has just ended and whose key is not known. */
static enum ph_error release_behind(struct store *store, int64_t message_id, int64_t endpoint_id,
                                    int64_t now_us, struct diag *diag)
{
    return release(store,
                   RELEASE("(SELECT order_key FROM delivery WHERE message_id = $2"
                           " AND endpoint_id = $1)"),
                   endpoint_id, message_id, now_us, diag);
}

static enum ph_error record_manual(struct store *store, const struct delivery_outcome *outcome,
                                   struct diag *diag)
{
    /* A manual attempt never consumes the schedule; only its success says something. */
    PH_ASSERT(outcome->state == DELIVERY_SUCCEEDED);
    struct db_statement *update =
        db_prepare(store->db, "UPDATE delivery SET state = $3, reason = 0, next_attempt_at = NULL"
                              " WHERE message_id = $1 AND endpoint_id = $2 AND state <> $3");
    db_bind_int64(update, 1, outcome->message_id);
    db_bind_int64(update, 2, outcome->endpoint_id);
    db_bind_int64(update, 3, outcome->state);
    enum ph_error error = db_exec(update, diag);
    return error != PH_OK ? error
                          : release_behind(store, outcome->message_id, outcome->endpoint_id,
                                           outcome->now_us, diag);
}

enum ph_error delivery_record(struct store *store, const struct delivery_outcome *outcome,
                              struct diag *diag)
{
    bool is_pending = outcome->state == DELIVERY_PENDING;
    PH_ASSERT(!is_pending || outcome->next_attempt_at_us > 0);
    if (outcome->is_manual) {
        return record_manual(store, outcome, diag);
    }
    struct db_statement *update = db_prepare(
        store->db, "UPDATE delivery SET state = $3, attempts = attempts + $5, reason = $6,"
                   " next_attempt_at = $4 WHERE message_id = $1 AND endpoint_id = $2"
                   " AND +state = 0");
    db_bind_int64(update, 1, outcome->message_id);
    db_bind_int64(update, 2, outcome->endpoint_id);
    db_bind_int64(update, 3, outcome->state);
    db_bind_int64(update, 5, outcome->has_attempt ? 1 : 0);
    db_bind_int64(update, 6, outcome->reason);
    if (is_pending) {
        db_bind_int64(update, 4, outcome->next_attempt_at_us);
    } else {
        db_bind_null(update, 4);
    }
    enum ph_error error = db_exec(update, diag);
    if (error == PH_OK && !is_pending && outcome->order_key != 0) {
        error =
            release_next(store, outcome->endpoint_id, outcome->order_key, outcome->now_us, diag);
    }
    return error;
}

enum ph_error delivery_cancel(struct store *store, int64_t message_id, int64_t endpoint_id,
                              enum delivery_reason reason, int64_t now_us, struct diag *diag)
{
    struct db_statement *update =
        db_prepare(store->db, "UPDATE delivery SET state = $3, reason = $4, next_attempt_at = NULL"
                              " WHERE message_id = $1 AND endpoint_id = $2 AND +state = 0");
    db_bind_int64(update, 1, message_id);
    db_bind_int64(update, 2, endpoint_id);
    db_bind_int64(update, 3, DELIVERY_CANCELLED);
    db_bind_int64(update, 4, reason);
    enum ph_error error = db_exec(update, diag);
    return error != PH_OK ? error : release_behind(store, message_id, endpoint_id, now_us, diag);
}

enum ph_error delivery_cancel_message(struct store *store, int64_t message_id,
                                      enum delivery_reason reason, int64_t now_us,
                                      struct diag *diag, int64_t *ret_cancelled)
{
    int64_t endpoint_id = 0;
    *ret_cancelled = 0;
    for (;;) {
        struct db_statement *select = db_prepare(
            store->db, "SELECT endpoint_id FROM delivery WHERE message_id = $1"
                       " AND endpoint_id > $2 AND +state = 0 ORDER BY endpoint_id LIMIT 1");
        db_bind_int64(select, 1, message_id);
        db_bind_int64(select, 2, endpoint_id);
        bool has_row;
        enum ph_error error = db_step(select, diag, &has_row);
        if (error != PH_OK || !has_row) {
            return error;
        }
        endpoint_id = db_int64(select, 0);
        db_done(select);
        error = delivery_cancel(store, message_id, endpoint_id, reason, now_us, diag);
        if (error != PH_OK) {
            return error;
        }
        *ret_cancelled += 1;
    }
}

enum ph_error delivery_page(struct store *store, int64_t shard, int64_t endpoint_id,
                            struct due_delivery *rows, size_t limit, struct diag *diag,
                            size_t *ret_count)
{
    struct db_statement *select = db_prepare(
        store->db,
        "SELECT message_id, attempts, next_attempt_at, generation, order_key FROM delivery"
        " WHERE state = 0 AND shard = $1 AND endpoint_id = $2"
        " ORDER BY next_attempt_at, message_id LIMIT $3");
    db_bind_int64(select, 1, shard);
    db_bind_int64(select, 2, endpoint_id);
    db_bind_int64(select, 3, (int64_t)limit);
    size_t count = 0;
    for (;;) {
        bool has_row;
        enum ph_error error = db_step(select, diag, &has_row);
        if (error != PH_OK) {
            return error;
        }
        if (!has_row) {
            break;
        }
        PH_ASSERT(count < limit);
        rows[count++] = (struct due_delivery){
            .message_id = db_int64(select, 0),
            .attempts = db_int64(select, 1),
            .next_attempt_at_us = db_int64(select, 2),
            .generation = db_int64(select, 3),
            .order_key = db_int64(select, 4),
        };
    }
    *ret_count = count;
    return PH_OK;
}

enum ph_error delivery_next_endpoint(struct store *store, int64_t shard, int64_t after_endpoint_id,
                                     struct diag *diag, int64_t *ret_endpoint_id,
                                     int64_t *ret_due_us)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT endpoint_id, next_attempt_at FROM delivery WHERE state = 0"
                              " AND shard = $1 AND endpoint_id > $2"
                              " ORDER BY endpoint_id, next_attempt_at LIMIT 1");
    db_bind_int64(select, 1, shard);
    db_bind_int64(select, 2, after_endpoint_id);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error == PH_OK) {
        *ret_endpoint_id = has_row ? db_int64(select, 0) : 0;
        *ret_due_us = has_row ? db_int64(select, 1) : 0;
        db_done(select);
    }
    return error;
}

enum ph_error delivery_cancel_old(struct store *store, int64_t shard, int64_t endpoint_id,
                                  int64_t generation, int64_t limit, struct diag *diag,
                                  int64_t *ret_cancelled)
{
    struct db_statement *update = db_prepare(
        store->db,
        "UPDATE delivery SET state = $5, reason = $6, next_attempt_at = NULL"
        " WHERE endpoint_id = $2 AND message_id IN (SELECT message_id FROM delivery"
        " WHERE state = 0 AND shard = $1 AND endpoint_id = $2 AND generation < $3 LIMIT $4)");
    db_bind_int64(update, 1, shard);
    db_bind_int64(update, 2, endpoint_id);
    db_bind_int64(update, 3, generation);
    db_bind_int64(update, 4, limit);
    db_bind_int64(update, 5, DELIVERY_CANCELLED);
    db_bind_int64(update, 6, DELIVERY_REASON_GENERATION);
    enum ph_error error = db_exec(update, diag);
    if (error == PH_OK) {
        *ret_cancelled = db_changes(store->db);
    }
    return error;
}

enum ph_error delivery_began_at(struct store *store, int64_t message_id, int64_t endpoint_id,
                                struct diag *diag, int64_t *ret_began_us)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT coalesce(delivery.replayed_at, message.deliver_at)"
                              " FROM delivery JOIN message ON message.id = delivery.message_id"
                              " WHERE delivery.message_id = $1 AND delivery.endpoint_id = $2");
    db_bind_int64(select, 1, message_id);
    db_bind_int64(select, 2, endpoint_id);
    return db_read_int64(select, diag, ret_began_us);
}

enum ph_error manual_attempt_insert(struct store *store, int64_t id, int64_t message_id,
                                    int64_t endpoint_id, struct diag *diag)
{
    struct db_statement *insert =
        db_prepare(store->db, "INSERT INTO manual_attempt (id, message_id, endpoint_id, shard)"
                              " VALUES ($1, $2, $3, $4)");
    db_bind_int64(insert, 1, id);
    db_bind_int64(insert, 2, message_id);
    db_bind_int64(insert, 3, endpoint_id);
    db_bind_int64(insert, 4, delivery_shard(endpoint_id));
    return db_exec(insert, diag);
}

enum ph_error manual_attempt_delete(struct store *store, int64_t id, struct diag *diag)
{
    struct db_statement *statement =
        db_prepare(store->db, "DELETE FROM manual_attempt WHERE id = $1");
    db_bind_int64(statement, 1, id);
    return db_exec(statement, diag);
}

enum ph_error manual_attempt_delete_all(struct store *store, int64_t endpoint_id, struct diag *diag)
{
    struct db_statement *statement =
        db_prepare(store->db, "DELETE FROM manual_attempt WHERE shard = $1 AND endpoint_id = $2");
    db_bind_int64(statement, 1, delivery_shard(endpoint_id));
    db_bind_int64(statement, 2, endpoint_id);
    return db_exec(statement, diag);
}

enum ph_error manual_attempt_page(struct store *store, int64_t shard, int64_t endpoint_id,
                                  bool is_replay, int64_t after_id, struct manual_attempt *rows,
                                  size_t limit, struct diag *diag, size_t *ret_count)
{
    struct db_statement *select = db_prepare(
        store->db, is_replay ? "SELECT id, message_id FROM manual_attempt WHERE shard = $1"
                               " AND endpoint_id = $2 AND task_id IS NOT NULL AND id > $3"
                               " ORDER BY id LIMIT $4"
                             : "SELECT id, message_id FROM manual_attempt WHERE shard = $1"
                               " AND endpoint_id = $2 AND task_id IS NULL AND id > $3"
                               " ORDER BY id LIMIT $4");
    db_bind_int64(select, 1, shard);
    db_bind_int64(select, 2, endpoint_id);
    db_bind_int64(select, 3, after_id);
    db_bind_int64(select, 4, (int64_t)limit);
    size_t count = 0;
    for (;;) {
        bool has_row;
        enum ph_error error = db_step(select, diag, &has_row);
        if (error != PH_OK) {
            return error;
        }
        if (!has_row) {
            break;
        }
        PH_ASSERT(count < limit);
        rows[count++] = (struct manual_attempt){db_int64(select, 0), db_int64(select, 1)};
    }
    *ret_count = count;
    return PH_OK;
}

enum ph_error manual_attempt_next_endpoint(struct store *store, int64_t shard,
                                           int64_t after_endpoint_id, struct diag *diag,
                                           int64_t *ret_endpoint_id)
{
    struct db_statement *select = db_prepare(
        store->db, "SELECT endpoint_id FROM manual_attempt WHERE shard = $1 AND endpoint_id > $2"
                   " ORDER BY endpoint_id LIMIT 1");
    db_bind_int64(select, 1, shard);
    db_bind_int64(select, 2, after_endpoint_id);
    return db_read_int64(select, diag, ret_endpoint_id);
}

enum ph_error attempt_insert(struct store *store, const struct attempt_insert_row *row,
                             struct diag *diag)
{
    struct db_statement *insert = db_prepare(
        store->db, "INSERT INTO attempt (id, message_id, endpoint_id, status, response_code,"
                   " duration_ms, trigger_type, next_attempt_at, url, response)"
                   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");
    db_bind_int64(insert, 1, row->id);
    db_bind_int64(insert, 2, row->message_id);
    db_bind_int64(insert, 3, row->endpoint_id);
    db_bind_int64(insert, 4, row->is_success ? 0 : 2);
    db_bind_int64(insert, 5, row->response_code);
    db_bind_int64(insert, 6, row->duration_ms);
    db_bind_int64(insert, 7, row->is_manual ? 1 : 0);
    if (row->next_attempt_at_us > 0) {
        db_bind_int64(insert, 8, row->next_attempt_at_us);
    } else {
        db_bind_null(insert, 8);
    }
    db_bind_text(insert, 9, row->url);
    db_bind_blob(insert, 10, row->response);
    return db_exec(insert, diag);
}

enum ph_error delivery_walk(struct store *store, int64_t limit,
                            void (*each)(void *context, int64_t application_id, int64_t due_us),
                            void *context, struct diag *diag, struct delivery_cursor *cursor,
                            bool *ret_is_end)
{
    struct db_statement *select = db_prepare(
        store->db, "SELECT shard, endpoint_id, next_attempt_at, message_id, (SELECT application_id "
                   "FROM endpoint"
                   " WHERE endpoint.id = delivery.endpoint_id) FROM delivery WHERE state = 0"
                   " AND (shard, endpoint_id, next_attempt_at, message_id) > ($1, $2, $3, $4)"
                   " ORDER BY shard, endpoint_id, next_attempt_at, message_id LIMIT $5");
    db_bind_int64(select, 1, cursor->shard);
    db_bind_int64(select, 2, cursor->endpoint_id);
    db_bind_int64(select, 3, cursor->due_us);
    db_bind_int64(select, 4, cursor->message_id);
    db_bind_int64(select, 5, limit);
    int64_t count = 0;
    enum ph_error error;
    bool has_row;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        *cursor = (struct delivery_cursor){db_int64(select, 0), db_int64(select, 1),
                                           db_int64(select, 2), db_int64(select, 3)};
        each(context, db_int64(select, 4), cursor->due_us);
        count++;
    }
    if (error == PH_OK) {
        *ret_is_end = count < limit;
    }
    return error;
}

/* The next pending deliveries of an endpoint behind the cursor, which moves along. */
static enum ph_error select_next(struct store *store, struct delivery_cursor *cursor, int64_t *ids,
                                 size_t limit, struct diag *diag, size_t *ret_count)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT message_id, next_attempt_at FROM delivery WHERE state = 0"
                              " AND shard = $1 AND endpoint_id = $2"
                              " AND (next_attempt_at, message_id) > ($3, $4)"
                              " ORDER BY next_attempt_at, message_id LIMIT $5");
    db_bind_int64(select, 1, delivery_shard(cursor->endpoint_id));
    db_bind_int64(select, 2, cursor->endpoint_id);
    db_bind_int64(select, 3, cursor->due_us);
    db_bind_int64(select, 4, cursor->message_id);
    db_bind_int64(select, 5, (int64_t)limit);
    size_t count = 0;
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        PH_ASSERT(count < limit);
        ids[count++] = db_int64(select, 0);
        cursor->message_id = db_int64(select, 0);
        cursor->due_us = db_int64(select, 1);
    }
    *ret_count = count;
    return error;
}

enum ph_error delivery_cancel_before(struct store *store, int64_t before_id, int64_t now_us,
                                     struct diag *diag, struct delivery_cursor *cursor,
                                     int64_t *ret_cancelled, bool *ret_is_end)
{
    int64_t ids[CANCEL_STEP];
    size_t count = 0;
    int64_t cancelled = 0;
    enum ph_error error = select_next(store, cursor, ids, CANCEL_STEP, diag, &count);
    for (size_t index = 0; error == PH_OK && index < count; index++) {
        if (ids[index] < before_id) {
            error = delivery_cancel(store, ids[index], cursor->endpoint_id,
                                    DELIVERY_REASON_REQUESTED, now_us, diag);
            cancelled++;
        }
    }
    if (error == PH_OK) {
        *ret_cancelled = cancelled;
        *ret_is_end = count < CANCEL_STEP;
    }
    return error;
}

enum ph_error delivery_backlog(struct store *store, struct diag *diag, int64_t *ret_pending,
                               int64_t *ret_oldest_due_us)
{
    struct db_statement *select = db_prepare(
        store->db, "SELECT count(*), min(next_attempt_at) FROM delivery WHERE state = 0");
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error == PH_OK) {
        PH_ASSERT(has_row);
        *ret_pending = db_int64(select, 0);
        *ret_oldest_due_us = db_int64(select, 1);
        db_done(select);
    }
    return error;
}
