/* SPDX-License-Identifier: Apache-2.0 */
#include "store/idempotency.h"

#include "base/clock.h"
#include "store/sealed.h"

static int64_t hour_of(int64_t now_us)
{
    return now_us / (3600 * CLOCK_US_PER_S);
}

static struct slice key_slice(const uint8_t key_hash[16])
{
    return (struct slice){(const char *)key_hash, 16};
}

enum ph_error idempotency_find(struct store *store, const uint8_t key_hash[16], int64_t now_us,
                               struct arena *arena, struct diag *diag,
                               struct idempotency_row *ret_row)
{
    struct db_statement *select = db_prepare(
        store->db, "SELECT message_id, status, response, hour, sealed_response"
                   " FROM idempotency"
                   " WHERE hour IN ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
                   " AND key_hash = $1");
    db_bind_blob(select, 1, key_slice(key_hash));
    for (int index = 0; index <= IDEMPOTENCY_HOURS; index++) {
        db_bind_int64(select, 2 + index, hour_of(now_us) - index);
    }
    enum ph_error error = db_find_row(select, "no answer is kept for this key", diag);
    if (error != PH_OK) {
        return error;
    }
    struct idempotency_row row = {.message_id = db_int64(select, 0),
                                  .status = db_int64(select, 1),
                                  .response = db_blob(select, 2)};
    const struct seal_place place = sealed_response_place(db_int64(select, 3), key_slice(key_hash));
    SECRET_AUTO struct secret opened = SECRET_NONE;
    error = sealed_read(store, &place, db_blob(select, 4), &row.response, &opened, diag);
    if (error == PH_OK && row.response.ptr != NULL) {
        char *copy = arena_dup(arena, row.response);
        row.response.ptr = copy;
        if (copy == NULL) {
            error = diag_set(diag, PH_NO_MEMORY, NULL, "the kept answer is too large");
        }
    }
    db_done(select);
    if (error == PH_OK) {
        *ret_row = row;
    }
    return error;
}

enum ph_error idempotency_insert(struct store *store, const uint8_t key_hash[16], int64_t now_us,
                                 const struct idempotency_row *row, struct diag *diag)
{
    int64_t hour = hour_of(now_us);
    const struct seal_place place = sealed_response_place(hour, key_slice(key_hash));
    struct slice response = row->response;
    BUF_AUTO struct buf sealed;
    buf_init(&sealed, SEALED_BYTES_MAX);
    enum ph_error error = sealed_make(store, &place, SLICE_LITERAL(""), &response, &sealed, diag);
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *insert = db_prepare(
        store->db, "INSERT INTO idempotency (hour, key_hash, message_id, status, response,"
                   " sealed_response) VALUES ($1, $2, $3, $4, $5, $6)");
    db_bind_int64(insert, 1, hour);
    db_bind_blob(insert, 2, key_slice(key_hash));
    if (row->message_id != 0) {
        db_bind_int64(insert, 3, row->message_id);
    } else {
        db_bind_null(insert, 3);
    }
    db_bind_int64(insert, 4, row->status);
    db_bind_blob(insert, 5, response);
    db_bind_blob(insert, 6, sealed_twin(&sealed));
    return db_exec(insert, diag);
}

enum ph_error idempotency_delete_old(struct store *store, int64_t now_us, int64_t limit,
                                     struct diag *diag, int64_t *ret_deleted)
{
    struct db_statement *statement = db_prepare(
        store->db, "DELETE FROM idempotency WHERE (hour, key_hash) IN (SELECT hour, key_hash"
                   " FROM idempotency WHERE hour < $1 ORDER BY hour, key_hash LIMIT $2)");
    db_bind_int64(statement, 1, hour_of(now_us) - IDEMPOTENCY_HOURS);
    db_bind_int64(statement, 2, limit);
    enum ph_error error = db_exec(statement, diag);
    if (error == PH_OK) {
        *ret_deleted = db_changes(store->db);
    }
    return error;
}
