/* SPDX-License-Identifier: Apache-2.0 */
#include "store/usage.h"

#include "store/delivery.h"

enum ph_error usage_count_attempts(struct store *store, int64_t endpoint_id,
                                   const struct replay_range *range, int64_t limit,
                                   struct diag *diag, struct usage_attempts *ret_attempts)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT count(*), count(CASE WHEN status = 0 THEN 1 END) FROM"
                              " (SELECT status FROM attempt WHERE endpoint_id = $1 AND id > $2"
                              " AND id < $3 ORDER BY id DESC LIMIT $4) AS step");
    db_bind_int64(select, 1, endpoint_id);
    db_bind_int64(select, 2, range->after_id);
    db_bind_int64(select, 3, range->before_id);
    db_bind_int64(select, 4, limit);
    bool is_found;
    enum ph_error error = db_step(select, diag, &is_found);
    if (error == PH_OK) {
        int64_t count = db_int64(select, 0);
        int64_t success = db_int64(select, 1);
        *ret_attempts = (struct usage_attempts){success, count - success, count >= limit};
        db_done(select);
    }
    return error;
}

/* What the range leaves out is walked as well: the limit is on the rows walked. */
enum ph_error usage_count_pending(struct store *store, int64_t endpoint_id,
                                  const struct replay_range *range, int64_t limit,
                                  struct diag *diag, struct usage_pending *ret_pending)
{
    struct db_statement *select = db_prepare(
        store->db,
        "SELECT count(*), count(CASE WHEN message_id > $3 AND message_id < $4 THEN 1 END),"
        " count(CASE WHEN message_id > $3 AND message_id < $4 AND attempts = 0 THEN 1 END) FROM"
        " (SELECT message_id, attempts FROM delivery WHERE state = 0 AND shard = $1"
        " AND endpoint_id = $2 LIMIT $5) AS step");
    db_bind_int64(select, 1, delivery_shard(endpoint_id));
    db_bind_int64(select, 2, endpoint_id);
    db_bind_int64(select, 3, range->after_id);
    db_bind_int64(select, 4, range->before_id);
    db_bind_int64(select, 5, limit);
    bool is_found;
    enum ph_error error = db_step(select, diag, &is_found);
    if (error == PH_OK) {
        int64_t untried = db_int64(select, 2);
        *ret_pending = (struct usage_pending){untried, db_int64(select, 1) - untried,
                                              db_int64(select, 0) >= limit};
        db_done(select);
    }
    return error;
}

enum ph_error usage_count_messages(struct store *store, int64_t application_id,
                                   const struct replay_range *range, int64_t limit,
                                   struct diag *diag, struct usage_messages *ret_messages)
{
    struct db_statement *select = db_prepare(
        store->db,
        "SELECT count(*), max(id), sum((SELECT count(*) FROM delivery WHERE message_id = step.id)),"
        " sum((SELECT count(*) FROM attempt WHERE message_id = step.id)) FROM (SELECT id"
        " FROM message WHERE application_id = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $4)"
        " AS step");
    db_bind_int64(select, 1, application_id);
    db_bind_int64(select, 2, range->after_id);
    db_bind_int64(select, 3, range->before_id);
    db_bind_int64(select, 4, limit);
    bool is_found;
    enum ph_error error = db_step(select, diag, &is_found);
    if (error == PH_OK) {
        *ret_messages = (struct usage_messages){
            .messages = db_int64(select, 0),
            .last_id = db_int64(select, 1),
            .deliveries = db_int64(select, 2),
            .attempts = db_int64(select, 3),
        };
        db_done(select);
    }
    return error;
}

enum ph_error usage_next_application(struct store *store, struct slice org, int64_t after_id,
                                     struct diag *diag, int64_t *ret_id)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT id FROM application WHERE org = $1 AND id > $2"
                              " AND deleted_at IS NULL ORDER BY id LIMIT 1");
    db_bind_text(select, 1, org);
    db_bind_int64(select, 2, after_id);
    return db_read_int64(select, diag, ret_id);
}

enum ph_error usage_each_subscription(struct store *store, int64_t application_id,
                                      bool (*each)(void *context, struct slice event_types),
                                      void *context, struct diag *diag)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT event_types FROM endpoint WHERE application_id = $1"
                              " AND deleted_at IS NULL ORDER BY id");
    db_bind_int64(select, 1, application_id);
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        if (!each(context, db_text(select, 0))) {
            db_done(select);
            return PH_OK;
        }
    }
    return error;
}
