/* SPDX-License-Identifier: Apache-2.0 */
#include "store/message.h"

#include "store/delivery.h"
#include "store/sealed.h"
#include "store/store_int.h"

enum ph_error message_insert(struct store *store, const struct message_row *row, struct diag *diag)
{
    PH_ASSERT(row->id > 0 && row->application_id > 0 && row->event_type.len > 0);
    struct db_statement *insert = db_prepare(
        store->db, "INSERT INTO message (id, application_id, event_type, event_id, channels,"
                   " payload_expires_at, auto_key, tags, deliver_at, order_key)"
                   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");
    db_bind_int64(insert, 1, row->id);
    db_bind_int64(insert, 2, row->application_id);
    db_bind_text(insert, 3, row->event_type);
    db_bind_text(insert, 4, row->event_id);
    db_bind_text(insert, 5, row->channels);
    db_bind_int64(insert, 6, row->payload_expires_at_us);
    db_bind_blob(insert, 7, row->auto_key);
    db_bind_text(insert, 8, row->tags);
    bind_int64_or_null(insert, 9, row->deliver_at_us);
    bind_int64_or_null(insert, 10, row->order_key);
    return db_exec(insert, diag);
}

enum ph_error message_insert_payload(struct store *store, int64_t message_id, struct slice payload,
                                     struct slice raw_body, struct slice trace, struct diag *diag)
{
    const struct seal_place body_place = sealed_body_place(message_id);
    const struct seal_place raw_body_place = sealed_raw_body_place(message_id);
    const struct slice empty = SLICE_LITERAL("");
    BUF_AUTO struct buf sealed_body;
    BUF_AUTO struct buf sealed_raw_body;
    buf_init(&sealed_body, SEALED_BYTES_MAX);
    buf_init(&sealed_raw_body, SEALED_BYTES_MAX);
    enum ph_error error = sealed_make(store, &body_place, empty, &payload, &sealed_body, diag);
    if (error == PH_OK) {
        error = sealed_make(store, &raw_body_place, empty, &raw_body, &sealed_raw_body, diag);
    }
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *insert =
        db_prepare(store->db, "INSERT INTO payload (message_id, body, raw_body, trace, sealed_body,"
                              " sealed_raw_body) VALUES ($1, $2, $3, $4, $5, $6)");
    db_bind_int64(insert, 1, message_id);
    db_bind_blob(insert, 2, payload);
    db_bind_blob(insert, 3, raw_body);
    db_bind_blob(insert, 4, trace);
    db_bind_blob(insert, 5, sealed_twin(&sealed_body));
    db_bind_blob(insert, 6, sealed_twin(&sealed_raw_body));
    return db_exec(insert, diag);
}

enum ph_error message_claim_event_id(struct store *store, int64_t application_id,
                                     struct slice event_id, int64_t message_id, struct diag *diag,
                                     bool *ret_is_new)
{
    struct db_statement *insert =
        db_prepare(store->db, "INSERT INTO message_event_id (application_id, event_id, message_id)"
                              " VALUES ($1, $2, $3) ON CONFLICT (application_id, event_id)"
                              " DO NOTHING RETURNING message_id");
    db_bind_int64(insert, 1, application_id);
    db_bind_text(insert, 2, event_id);
    db_bind_int64(insert, 3, message_id);
    return db_read_exists(insert, diag, ret_is_new);
}

/* Copies a column's text; a NULL column stays absent. False past the arena's cap. */
static bool copy_text(struct arena *arena, struct slice text, struct slice *ret_copy)
{
    if (text.ptr == NULL) {
        *ret_copy = SLICE_NONE;
        return true;
    }
    char *copy = arena_dup(arena, text);
    if (copy == NULL) {
        return false;
    }
    *ret_copy = (struct slice){copy, text.len};
    return true;
}

static enum ph_error memory_limit(struct diag *diag)
{
    return diag_set(diag, PH_NO_MEMORY, NULL, "the request needs more memory than its limit");
}

enum ph_error message_find(struct store *store, int64_t application_id, int64_t message_id,
                           struct arena *arena, struct diag *diag, struct message_row *ret_row)
{
    struct db_statement *select = db_prepare(
        store->db, "SELECT event_type, event_id, channels, payload_expires_at, tags, deliver_at"
                   " FROM message WHERE id = $1 AND application_id = $2");
    db_bind_int64(select, 1, message_id);
    db_bind_int64(select, 2, application_id);
    enum ph_error error = db_find_row(select, "Entity not found", diag);
    if (error != PH_OK) {
        return error;
    }
    struct message_row row = {.id = message_id, .application_id = application_id};
    row.payload_expires_at_us = db_int64(select, 3);
    row.deliver_at_us = db_int64(select, 5);
    bool is_copied = copy_text(arena, db_text(select, 0), &row.event_type) &&
                     copy_text(arena, db_text(select, 1), &row.event_id) &&
                     copy_text(arena, db_text(select, 2), &row.channels) &&
                     copy_text(arena, db_text(select, 4), &row.tags);
    db_done(select);
    if (!is_copied) {
        return memory_limit(diag);
    }
    *ret_row = row;
    return PH_OK;
}

enum ph_error message_find_by_event_id(struct store *store, int64_t application_id,
                                       struct slice event_id, struct diag *diag,
                                       int64_t *ret_message_id)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT message_id FROM message_event_id"
                              " WHERE application_id = $1 AND event_id = $2");
    db_bind_int64(select, 1, application_id);
    db_bind_text(select, 2, event_id);
    return find_id(select, diag, ret_message_id);
}

/* A sealed column's twin follows it. */
enum payload_column { BODY_COLUMN = 1, RAW_BODY_COLUMN = 3, TRACE_COLUMN = 5 };

/* The payload's row, on which the caller calls db_done. */
static enum ph_error find_payload(struct store *store, int64_t message_id, struct diag *diag,
                                  struct db_statement **ret_select)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT message_id, body, sealed_body, raw_body, sealed_raw_body,"
                              " trace FROM payload WHERE message_id = $1");
    db_bind_int64(select, 1, message_id);
    enum ph_error error = db_find_row(select, "the payload has expired or was expunged", diag);
    if (error != PH_OK) {
        return error;
    }
    *ret_select = select;
    return PH_OK;
}

static enum ph_error copy_value(struct store *store, struct db_statement *row, bool is_raw,
                                struct arena *arena, struct diag *diag, struct slice *ret_value)
{
    const int64_t id = db_int64(row, 0);
    const struct seal_place place = is_raw ? sealed_raw_body_place(id) : sealed_body_place(id);
    const int column = is_raw ? RAW_BODY_COLUMN : BODY_COLUMN;
    struct slice value = db_blob(row, column);
    SECRET_AUTO struct secret opened = SECRET_NONE;
    enum ph_error error =
        sealed_read(store, &place, db_blob(row, column + 1), &value, &opened, diag);
    if (error == PH_OK && !copy_text(arena, value, ret_value)) {
        error = memory_limit(diag);
    }
    return error;
}

enum ph_error message_payload(struct store *store, int64_t message_id, struct arena *arena,
                              struct diag *diag, struct slice *ret_payload)
{
    struct db_statement *select;
    enum ph_error error = find_payload(store, message_id, diag, &select);
    if (error != PH_OK) {
        return error;
    }
    if (ret_payload != NULL) {
        error = copy_value(store, select, false, arena, diag, ret_payload);
    }
    db_done(select);
    return error;
}

enum ph_error message_sent(struct store *store, int64_t message_id, struct arena *arena,
                           struct diag *diag, struct slice *ret_sent, struct slice *ret_trace)
{
    struct db_statement *select;
    enum ph_error error = find_payload(store, message_id, diag, &select);
    if (error != PH_OK) {
        return error;
    }
    struct slice sent;
    struct slice trace;
    error = copy_value(store, select, !db_is_null(select, RAW_BODY_COLUMN), arena, diag, &sent);
    if (error == PH_OK && !copy_text(arena, db_blob(select, TRACE_COLUMN), &trace)) {
        error = memory_limit(diag);
    }
    db_done(select);
    if (error == PH_OK) {
        *ret_sent = sent;
        *ret_trace = trace;
    }
    return error;
}

enum ph_error message_expunge(struct store *store, int64_t message_id, int64_t now_us,
                              struct diag *diag, bool *ret_was_pending)
{
    enum ph_error error =
        exec_with_id(store, "DELETE FROM payload WHERE message_id = $1", message_id, diag);
    if (error != PH_OK) {
        return error;
    }
    if (db_changes(store->db) == 0) {
        return diag_set(diag, PH_NOT_FOUND, NULL, "the payload has expired or was expunged");
    }
    int64_t ended = 0;
    error =
        delivery_cancel_message(store, message_id, DELIVERY_REASON_EXPUNGED, now_us, diag, &ended);
    if (error == PH_OK) {
        error = exec_with_id(store, "DELETE FROM manual_attempt WHERE message_id = $1", message_id,
                             diag);
        ended += db_changes(store->db);
    }
    *ret_was_pending = ended > 0;
    if (error == PH_OK) {
        error = exec_with_id(store, "UPDATE attempt SET response = NULL WHERE message_id = $1",
                             message_id, diag);
    }
    return error;
}

enum ph_error message_newest_id(struct store *store, struct diag *diag, int64_t *ret_id)
{
    static const char *const queries[] = {
        "SELECT max(id) FROM message",
        "SELECT max(id) FROM attempt",
        "SELECT max(id) FROM endpoint",
        "SELECT max(id) FROM application",
        "SELECT max(id) FROM event_type",
        "SELECT max(id) FROM endpoint_secret",
        "SELECT max(id) FROM manual_attempt",
        "SELECT max(id) FROM surface_token",
        "SELECT max(issued_before_id) FROM token_expiry",
        "SELECT max(id) FROM sink",
        "SELECT max(id) FROM integration",
        "SELECT max(id) FROM task",
    };
    int64_t newest = 0;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(queries); index++) {
        int64_t id;
        enum ph_error error = db_read_int64(db_prepare(store->db, queries[index]), diag, &id);
        if (error != PH_OK) {
            return error;
        }
        newest = id > newest ? id : newest;
    }
    *ret_id = newest;
    return PH_OK;
}

enum ph_error message_each_auto_key(struct store *store, int64_t oldest_id,
                                    void (*each)(void *context, struct slice key,
                                                 int64_t message_id),
                                    void *context, struct diag *diag)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT auto_key, id FROM message"
                              " WHERE id >= $1 AND auto_key IS NOT NULL ORDER BY id");
    db_bind_int64(select, 1, oldest_id);
    for (;;) {
        bool has_row;
        enum ph_error error = db_step(select, diag, &has_row);
        if (error != PH_OK || !has_row) {
            return error;
        }
        each(context, db_blob(select, 0), db_int64(select, 1));
    }
}
