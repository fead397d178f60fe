/* SPDX-License-Identifier: Apache-2.0 */
#include "store/replay.h"

#include "store/delivery.h"
#include "store/store_int.h"

/* --- walks -------------------------------------------------------------------------------------
 */

/* Rows of a bound statement: id, message, whether it is a failed attempt. */
static enum ph_error read_rows(struct db_statement *select, struct replay_row *rows, size_t limit,
                               struct diag *diag, size_t *ret_count)
{
    size_t count = 0;
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        PH_ASSERT(count < limit);
        rows[count++] =
            (struct replay_row){db_int64(select, 0), db_int64(select, 1), db_int64(select, 2) != 0};
    }
    if (error == PH_OK) {
        *ret_count = count;
    }
    return error;
}

enum ph_error replay_attempts(struct store *store, int64_t endpoint_id,
                              const struct replay_range *range, struct replay_row *rows,
                              size_t limit, struct diag *diag, size_t *ret_count)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT id, message_id, status FROM attempt WHERE endpoint_id = $1"
                              " AND id > $2 AND id < $3 ORDER BY id LIMIT $4");
    db_bind_int64(select, 1, endpoint_id);
    db_bind_int64(select, 2, range->after_id);
    db_bind_int64(select, 3, range->before_id);
    db_bind_int64(select, 4, (int64_t)limit);
    return read_rows(select, rows, limit, diag, ret_count);
}

enum ph_error replay_messages(struct store *store, int64_t application_id,
                              const struct replay_range *range, struct replay_row *rows,
                              size_t limit, struct diag *diag, size_t *ret_count)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT id, id, 0 FROM message WHERE application_id = $1"
                              " AND id > $2 AND id < $3 ORDER BY id LIMIT $4");
    db_bind_int64(select, 1, application_id);
    db_bind_int64(select, 2, range->after_id);
    db_bind_int64(select, 3, range->before_id);
    db_bind_int64(select, 4, (int64_t)limit);
    return read_rows(select, rows, limit, diag, ret_count);
}

/* Here and below `+endpoint_id`: the few attempts of a message are walked, never the many of an
 * endpoint, though they have the order too. */

/* --- one message -------------------------------------------------------------------------------
 */

static enum ph_error read_newest(struct store *store, int64_t message_id, int64_t endpoint_id,
                                 struct diag *diag, struct replay_view *view)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT status, response_code FROM attempt WHERE message_id = $1"
                              " AND +endpoint_id = $2 ORDER BY id DESC LIMIT 1");
    db_bind_int64(select, 1, message_id);
    db_bind_int64(select, 2, endpoint_id);
    enum ph_error error = db_step(select, diag, &view->has_attempt);
    if (error == PH_OK && view->has_attempt) {
        view->is_success = db_int64(select, 0) == 0;
        view->response_code = db_int64(select, 1);
        db_done(select);
    }
    return error;
}

enum ph_error replay_view_find(struct store *store, int64_t message_id, int64_t endpoint_id,
                               struct diag *diag, struct replay_view *ret_view)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT state, reason FROM delivery"
                              " WHERE message_id = $1 AND endpoint_id = $2");
    db_bind_int64(select, 1, message_id);
    db_bind_int64(select, 2, endpoint_id);
    struct replay_view view = {0};
    enum ph_error error = db_step(select, diag, &view.has_delivery);
    if (error != PH_OK) {
        return error;
    }
    if (view.has_delivery) {
        view.state = (enum delivery_state)db_int64(select, 0);
        view.reason = (enum delivery_reason)db_int64(select, 1);
        db_done(select);
    }
    error = read_newest(store, message_id, endpoint_id, diag, &view);
    if (error == PH_OK) {
        *ret_view = view;
    }
    return error;
}

enum ph_error replay_has_success(struct store *store, int64_t message_id, int64_t endpoint_id,
                                 struct diag *diag, bool *ret_has_success)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT id FROM attempt WHERE message_id = $1"
                              " AND +endpoint_id = $2 AND status = 0 LIMIT 1");
    db_bind_int64(select, 1, message_id);
    db_bind_int64(select, 2, endpoint_id);
    return db_read_exists(select, diag, ret_has_success);
}

enum ph_error replay_last_attempt(struct store *store, int64_t message_id, int64_t endpoint_id,
                                  const struct replay_range *range, struct diag *diag,
                                  int64_t *ret_attempt_id)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT id FROM attempt WHERE message_id = $1 AND +endpoint_id = $2"
                              " AND id > $3 AND id < $4 ORDER BY id DESC LIMIT 1");
    db_bind_int64(select, 1, message_id);
    db_bind_int64(select, 2, endpoint_id);
    db_bind_int64(select, 3, range->after_id);
    db_bind_int64(select, 4, range->before_id);
    return db_read_int64(select, diag, ret_attempt_id);
}

enum ph_error replay_message_find(struct store *store, int64_t message_id, int64_t now_us,
                                  struct arena *arena, struct diag *diag,
                                  struct replay_message *ret_message)
{
    struct db_statement *select = db_prepare(
        store->db,
        "SELECT event_type, channels, tags, payload_expires_at, EXISTS (SELECT 1 FROM"
        " payload WHERE payload.message_id = message.id), order_key FROM message WHERE id = $1");
    db_bind_int64(select, 1, message_id);
    enum ph_error error = db_find_row(select, "Entity not found", diag);
    if (error != PH_OK) {
        return error;
    }
    struct row_copier copier = {.row = select, .arena = arena};
    const struct replay_message message = {
        .event_type = row_copy_text(&copier, 0),
        .channels = row_copy_text(&copier, 1),
        .tags = row_copy_text(&copier, 2),
        .has_payload = db_int64(select, 3) > now_us && db_int64(select, 4) != 0,
        .order_key = db_int64(select, 5),
    };
    error = row_copier_end(&copier, diag);
    db_done(select);
    if (error == PH_OK) {
        *ret_message = message;
    }
    return error;
}

enum ph_error replay_endpoint_find(struct store *store, int64_t endpoint_id, struct diag *diag,
                                   struct replay_endpoint *ret_endpoint)
{
    struct db_statement *select = db_prepare(
        store->db, "SELECT endpoint.disabled, endpoint.deleted_at, endpoint.generation,"
                   " application.config_version FROM endpoint JOIN application"
                   " ON application.id = endpoint.application_id WHERE endpoint.id = $1");
    db_bind_int64(select, 1, endpoint_id);
    enum ph_error error = db_find_row(select, "Entity not found", diag);
    if (error != PH_OK) {
        return error;
    }
    *ret_endpoint = (struct replay_endpoint){
        .is_live = db_int64(select, 0) == 0 && db_is_null(select, 1),
        .generation = db_int64(select, 2),
        .config_version = db_int64(select, 3),
    };
    db_done(select);
    return PH_OK;
}

/* --- handing over ------------------------------------------------------------------------------
 */

/* Runs a bound insert and tells whether it changed anything. */
static enum ph_error insert(struct store *store, struct db_statement *statement, struct diag *diag,
                            bool *ret_is_made)
{
    enum ph_error error = db_exec(statement, diag);
    if (error == PH_OK) {
        *ret_is_made = db_changes(store->db) > 0;
    }
    return error;
}

enum ph_error replay_add_attempt(struct store *store, int64_t id, int64_t task_id,
                                 const struct replay_target *target, struct diag *diag,
                                 bool *ret_is_made)
{
    struct db_statement *statement = db_prepare(
        store->db, "INSERT INTO manual_attempt (id, message_id, endpoint_id, shard, task_id)"
                   " SELECT $1, message_id, $3, $4, $5 FROM payload WHERE message_id = $2"
                   " AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.message_id = $2"
                   " AND delivery.endpoint_id = $3 AND delivery.state = 1)");
    db_bind_int64(statement, 1, id);
    db_bind_int64(statement, 2, target->message_id);
    db_bind_int64(statement, 3, target->endpoint_id);
    db_bind_int64(statement, 4, delivery_shard(target->endpoint_id));
    db_bind_int64(statement, 5, task_id);
    return insert(store, statement, diag, ret_is_made);
}

static void bind_target(struct db_statement *statement, const struct replay_target *target)
{
    db_bind_int64(statement, 1, target->message_id);
    db_bind_int64(statement, 2, target->endpoint_id);
    db_bind_int64(statement, 3, delivery_shard(target->endpoint_id));
    db_bind_int64(statement, 4, target->now_us);
    db_bind_int64(statement, 5, target->generation);
    db_bind_int64(statement, 6, target->order_key);
    db_bind_int64(statement, 7, DELIVERY_WAITS_US);
}

/* As a new delivery: it waits while another one of its order is pending. */
#define INSERT_DELIVERY                                                                            \
    "INSERT INTO delivery (message_id, endpoint_id, shard, state, reason, attempts,"               \
    " next_attempt_at, generation, replayed_at, order_key)"                                        \
    " SELECT message_id, $2, $3, 0, 0, 0, CASE WHEN EXISTS (SELECT 1 FROM delivery WHERE"          \
    " state = 0 AND endpoint_id = $2 AND order_key = nullif($6, 0) AND generation >= $5) THEN $7"  \
    " ELSE coalesce((SELECT deliver_at FROM message WHERE id = $1 AND deliver_at > $4), $4) END,"  \
    " $5, $4, nullif($6, 0) FROM payload WHERE message_id = $1"                                    \
    " ON CONFLICT (message_id, endpoint_id) DO UPDATE SET state = 0, reason = 0,"                  \
    " generation = excluded.generation,"

enum ph_error replay_add_delivery(struct store *store, const struct replay_target *target,
                                  struct diag *diag, bool *ret_is_made)
{
    struct db_statement *statement = db_prepare(
        store->db, INSERT_DELIVERY " next_attempt_at = excluded.next_attempt_at,"
                                   " replayed_at = excluded.replayed_at,"
                                   " order_key = excluded.order_key"
                                   " WHERE delivery.state = 3 AND delivery.attempts = 0");
    bind_target(statement, target);
    return insert(store, statement, diag, ret_is_made);
}

enum ph_error replay_renew_delivery(struct store *store, const struct replay_target *target,
                                    struct diag *diag, bool *ret_is_made)
{
    struct db_statement *statement =
        db_prepare(store->db, INSERT_DELIVERY
                   " attempts = CASE WHEN delivery.state = 0 THEN delivery.attempts ELSE 0 END,"
                   " replayed_at = CASE WHEN delivery.state = 0 THEN delivery.replayed_at"
                   " ELSE excluded.replayed_at END,"
                   " order_key = CASE WHEN delivery.state = 0 THEN delivery.order_key"
                   " ELSE excluded.order_key END,"
                   " next_attempt_at = CASE WHEN delivery.state <> 0 THEN excluded.next_attempt_at"
                   " WHEN delivery.next_attempt_at = $7 THEN $7 ELSE $4 END");
    bind_target(statement, target);
    return insert(store, statement, diag, ret_is_made);
}

enum ph_error replay_is_untried(struct store *store, int64_t message_id, int64_t endpoint_id,
                                int64_t now_us, struct diag *diag, bool *ret_is_untried)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT 1 FROM delivery WHERE message_id = $1 AND endpoint_id = $2"
                              " AND +state = 0 AND attempts = 0"
                              " AND (next_attempt_at <= $3 OR next_attempt_at = $4)");
    db_bind_int64(select, 1, message_id);
    db_bind_int64(select, 2, endpoint_id);
    db_bind_int64(select, 3, now_us);
    db_bind_int64(select, 4, DELIVERY_WAITS_US);
    return db_read_exists(select, diag, ret_is_untried);
}

enum ph_error replay_is_waiting(struct store *store, int64_t manual_id, struct diag *diag,
                                bool *ret_is_waiting)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT 1 FROM manual_attempt WHERE id = $1");
    db_bind_int64(select, 1, manual_id);
    return db_read_exists(select, diag, ret_is_waiting);
}

static enum ph_error read_handed(struct db_statement *select, struct diag *diag,
                                 struct replay_handed *rows, size_t limit, size_t *ret_count)
{
    size_t count = 0;
    bool is_found;
    enum ph_error error;
    while ((error = db_step(select, diag, &is_found)) == PH_OK && is_found) {
        PH_ASSERT(count < limit);
        rows[count++] = (struct replay_handed){db_int64(select, 0), db_int64(select, 1)};
    }
    if (error == PH_OK) {
        *ret_count = count;
    }
    return error;
}

enum ph_error replay_untried_attempts(struct store *store, int64_t task_id, int64_t endpoint_id,
                                      struct diag *diag, struct replay_handed *rows, size_t limit,
                                      size_t *ret_count)
{
    struct db_statement *select = db_prepare(
        store->db, "SELECT message_id, id FROM manual_attempt WHERE shard = $1"
                   " AND endpoint_id = $2 AND id > $3 AND task_id = $3 ORDER BY id LIMIT $4");
    db_bind_int64(select, 1, delivery_shard(endpoint_id));
    db_bind_int64(select, 2, endpoint_id);
    db_bind_int64(select, 3, task_id);
    db_bind_int64(select, 4, (int64_t)limit);
    return read_handed(select, diag, rows, limit, ret_count);
}

/* Those that were handed over are due from then on, or wait for the end of their order. */
enum ph_error replay_untried_deliveries(struct store *store, int64_t since_us, int64_t endpoint_id,
                                        struct diag *diag, struct replay_handed *rows, size_t limit,
                                        size_t *ret_count)
{
    struct db_statement *select = db_prepare(
        store->db, "SELECT message_id, 0 FROM (SELECT message_id, attempts, replayed_at"
                   " FROM delivery WHERE state = 0 AND shard = $1 AND endpoint_id = $2"
                   " AND next_attempt_at >= $3 ORDER BY next_attempt_at, message_id LIMIT $5)"
                   " AS step WHERE attempts = 0 AND replayed_at >= $3 LIMIT $4");
    db_bind_int64(select, 1, delivery_shard(endpoint_id));
    db_bind_int64(select, 2, endpoint_id);
    db_bind_int64(select, 3, since_us);
    db_bind_int64(select, 4, (int64_t)limit);
    db_bind_int64(select, 5, REPLAY_HANDED_EXAMINED);
    return read_handed(select, diag, rows, limit, ret_count);
}

enum ph_error replay_forget_attempts(struct store *store, int64_t task_id, int64_t endpoint_id,
                                     struct diag *diag)
{
    struct db_statement *statement =
        db_prepare(store->db, "DELETE FROM manual_attempt WHERE shard = $1 AND endpoint_id = $2"
                              " AND task_id = $3");
    db_bind_int64(statement, 1, delivery_shard(endpoint_id));
    db_bind_int64(statement, 2, endpoint_id);
    db_bind_int64(statement, 3, task_id);
    return db_exec(statement, diag);
}
