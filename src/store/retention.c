/* SPDX-License-Identifier: Apache-2.0 */
#include "store/retention.h"

#include "store/store_int.h"

/* The next messages, and which of them have no pending delivery. */
static enum ph_error select_old(struct store *store, int64_t after_id, int64_t before_id,
                                struct diag *diag, int64_t ids[RETENTION_DELETE_STEP],
                                size_t *ret_count, int64_t *ret_last_id)
{
    struct db_statement *select = db_prepare(
        store->db, "SELECT id, EXISTS (SELECT 1 FROM delivery WHERE delivery.message_id ="
                   " message.id AND +delivery.state = 0) FROM message WHERE id > $1 AND id < $2"
                   " ORDER BY id LIMIT $3");
    db_bind_int64(select, 1, after_id);
    db_bind_int64(select, 2, before_id);
    db_bind_int64(select, 3, RETENTION_DELETE_STEP);
    *ret_count = 0;
    *ret_last_id = 0;
    for (;;) {
        bool has_row;
        enum ph_error error = db_step(select, diag, &has_row);
        if (error != PH_OK || !has_row) {
            return error;
        }
        *ret_last_id = db_int64(select, 0);
        if (db_int64(select, 1) == 0) {
            ids[(*ret_count)++] = *ret_last_id;
        }
    }
}

enum ph_error retention_delete(struct store *store, int64_t after_id, int64_t before_id,
                               struct diag *diag, int64_t *ret_last_id,
                               struct retention_tally *ret_deleted)
{
    int64_t ids[RETENTION_DELETE_STEP];
    size_t count = 0;
    int64_t last_id = 0;
    struct retention_tally deleted = {0};
    int64_t event_ids = 0;
    const struct {
        const char *sql;
        int64_t *count;
    } deletes[] = {
        {"DELETE FROM attempt WHERE message_id = $1", &deleted.attempts},
        {"DELETE FROM manual_attempt WHERE message_id = $1", &deleted.attempts},
        {"DELETE FROM delivery WHERE message_id = $1", &deleted.deliveries},
        {"DELETE FROM payload WHERE message_id = $1", &deleted.payloads},
        {"DELETE FROM message_event_id WHERE message_id = $1", &event_ids},
        {"DELETE FROM message WHERE id = $1", &deleted.messages},
    };
    enum ph_error error = select_old(store, after_id, before_id, diag, ids, &count, &last_id);
    for (size_t index = 0; index < count; index++) {
        for (size_t step = 0; error == PH_OK && step < PH_ARRAY_LENGTH(deletes); step++) {
            error = exec_with_id(store, deletes[step].sql, ids[index], diag);
            *deletes[step].count += db_changes(store->db);
        }
    }
    if (error == PH_OK) {
        *ret_last_id = last_id;
        *ret_deleted = deleted;
    }
    return error;
}

static const char count_sql[] =
    "SELECT count(*), max(id), count(*) FILTER (WHERE pending = 0),"
    " sum(CASE WHEN pending = 0 THEN (SELECT count(*) FROM payload WHERE message_id = step.id) "
    "END),"
    " sum(CASE WHEN pending = 0 THEN deliveries END),"
    " sum(CASE WHEN pending = 0 THEN (SELECT count(*) FROM attempt WHERE message_id = step.id)"
    "  + (SELECT count(*) FROM manual_attempt WHERE message_id = step.id) END)"
    " FROM (SELECT id,"
    "  (SELECT count(*) FROM delivery WHERE message_id = message.id) AS deliveries,"
    "  (SELECT count(*) FROM delivery WHERE message_id = message.id AND +state = 0) AS pending"
    "  FROM message WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) AS step";

enum ph_error retention_count(struct store *store, int64_t after_id, int64_t before_id,
                              struct diag *diag, int64_t *ret_last_id,
                              struct retention_tally *ret_found)
{
    struct db_statement *select = db_prepare(store->db, count_sql);
    db_bind_int64(select, 1, after_id);
    db_bind_int64(select, 2, before_id);
    db_bind_int64(select, 3, RETENTION_COUNT_STEP);
    bool has_row = false;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error == PH_OK) {
        PH_ASSERT(has_row);
        *ret_last_id = db_int64(select, 1);
        *ret_found = (struct retention_tally){
            .messages = db_int64(select, 2),
            .payloads = db_int64(select, 3),
            .deliveries = db_int64(select, 4),
            .attempts = db_int64(select, 5),
        };
        db_done(select);
    }
    return error;
}

enum ph_error retention_expire_payloads(struct store *store, int64_t after_id, int64_t before_id,
                                        int64_t now_us, struct diag *diag, int64_t *ret_last_id,
                                        int64_t *ret_deleted)
{
    int64_t expired[RETENTION_EXPIRE_STEP];
    size_t count = 0;
    struct db_statement *select =
        db_prepare(store->db, "SELECT id, payload_expires_at FROM message WHERE id > $1 AND id < $2"
                              " ORDER BY id LIMIT $3");
    db_bind_int64(select, 1, after_id);
    db_bind_int64(select, 2, before_id);
    db_bind_int64(select, 3, RETENTION_EXPIRE_STEP);
    int64_t last_id = 0;
    bool has_row = true;
    enum ph_error error = PH_OK;
    while (error == PH_OK && has_row) {
        error = db_step(select, diag, &has_row);
        if (error == PH_OK && has_row) {
            last_id = db_int64(select, 0);
            if (db_int64(select, 1) <= now_us) {
                expired[count++] = last_id;
            }
        }
    }
    int64_t deleted = 0;
    for (size_t index = 0; error == PH_OK && index < count; index++) {
        error = exec_with_id(store,
                             "DELETE FROM payload WHERE message_id = $1 AND NOT EXISTS (SELECT 1"
                             " FROM delivery WHERE delivery.message_id = $1 AND +state = 0)",
                             expired[index], diag);
        deleted += db_changes(store->db);
    }
    if (error == PH_OK) {
        *ret_last_id = last_id;
        *ret_deleted = deleted;
    }
    return error;
}
