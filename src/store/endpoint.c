/* SPDX-License-Identifier: Apache-2.0 */
#include "store/endpoint.h"

#include "store/application.h"
#include "store/delivery.h"
#include "store/sealed.h"
#include "store/store_int.h"

static enum ph_error uid_taken(struct diag *diag)
{
    return diag_set(diag, PH_CONFLICT, NULL, "An endpoint with that id or uid already exists");
}

/* Opens a sealed value into the arena. */
static enum ph_error open_sealed(struct store *store, const struct seal_place *place,
                                 struct slice twin, struct arena *arena, struct diag *diag,
                                 struct slice *value)
{
    SECRET_AUTO struct secret opened = SECRET_NONE;
    enum ph_error error = sealed_read(store, place, twin, value, &opened, diag);
    if (error == PH_OK && twin.ptr != NULL) {
        value->ptr = arena_dup(arena, *value);
        if (value->ptr == NULL) {
            error = diag_set(diag, PH_NO_MEMORY, NULL, "the row needs more memory than allowed");
        }
    }
    return error;
}

/* What may be sealed of the current row. */
static enum ph_error open_row(struct store *store, struct db_statement *row, int column,
                              struct arena *arena, struct diag *diag, struct endpoint_row *copy)
{
    const struct seal_place headers = sealed_headers_place(copy->id, copy->application_id);
    const struct seal_place credentials = sealed_credentials_place(copy->id, copy->application_id);
    enum ph_error error =
        open_sealed(store, &headers, db_blob(row, column + 16), arena, diag, &copy->headers);
    if (error == PH_OK) {
        error = open_sealed(store, &credentials, db_blob(row, column + 19), arena, diag,
                            &copy->credentials);
    }
    return error;
}

enum ph_error endpoint_read_row(struct store *store, struct db_statement *row, int column,
                                struct arena *arena, struct diag *diag,
                                struct endpoint_row *ret_row)
{
    struct row_copier copier = {.row = row, .arena = arena};
    struct endpoint_row copy = {
        .id = db_int64(row, column),
        .application_id = db_int64(row, column + 1),
        .uid = row_copy_text(&copier, column + 2),
        .url = row_copy_text(&copier, column + 3),
        .description = row_copy_text(&copier, column + 4),
        .throttle_rate = db_int64(row, column + 5),
        .version = db_int64(row, column + 6),
        .is_disabled = db_int64(row, column + 7) != 0,
        .is_deleted = !db_is_null(row, column + 8),
        .event_types = row_copy_text(&copier, column + 9),
        .channels = row_copy_text(&copier, column + 10),
        .metadata = row_copy_text(&copier, column + 11),
        .headers = row_copy_text(&copier, column + 12),
        .created_at_us = db_int64(row, column + 13),
        .updated_at_us = db_int64(row, column + 14),
        .generation = db_int64(row, column + 15),
        .options = row_copy_text(&copier, column + 17),
        .credentials = row_copy_blob(&copier, column + 18),
    };
    enum ph_error error = row_copier_end(&copier, diag);
    if (error == PH_OK) {
        error = open_row(store, row, column, arena, diag, &copy);
    }
    if (error == PH_OK) {
        *ret_row = copy;
    }
    return error;
}

enum ph_error endpoint_resolve(struct store *store, int64_t application_id, struct slice id_or_uid,
                               enum endpoint_scope scope, struct diag *diag, int64_t *ret_id)
{
    struct db_statement *select;
    if (id_has_prefix(ID_ENDPOINT, id_or_uid)) {
        int64_t id;
        if (!id_parse(&store->codec, ID_ENDPOINT, id_or_uid, &id)) {
            return entity_not_found(diag);
        }
        select = db_prepare(store->db,
                            scope == ENDPOINT_LIVE
                                ? "SELECT id FROM endpoint WHERE id = $1 AND application_id = $2"
                                  " AND deleted_at IS NULL"
                                : "SELECT id FROM endpoint WHERE id = $1 AND application_id = $2");
        db_bind_int64(select, 1, id);
        db_bind_int64(select, 2, application_id);
        return find_id(select, diag, ret_id);
    }
    if (!slice_is_utf8_text(id_or_uid)) {
        return entity_not_found(diag);
    }
    select = db_prepare(store->db, "SELECT id FROM endpoint WHERE application_id = $1 AND uid = $2"
                                   " AND deleted_at IS NULL");
    db_bind_int64(select, 1, application_id);
    db_bind_text(select, 2, id_or_uid);
    return find_id(select, diag, ret_id);
}

enum ph_error endpoint_find(struct store *store, int64_t application_id, int64_t id,
                            enum endpoint_scope scope, struct arena *arena, struct diag *diag,
                            struct endpoint_row *ret_row)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT " ENDPOINT_ROW_COLUMNS " FROM endpoint"
                              " WHERE id = $1 AND application_id = $2");
    db_bind_int64(select, 1, id);
    db_bind_int64(select, 2, application_id);
    enum ph_error error = db_find_row(select, "Entity not found", diag);
    if (error != PH_OK) {
        return error;
    }
    struct endpoint_row row;
    error = endpoint_read_row(store, select, 0, arena, diag, &row);
    db_done(select);
    if (error == PH_OK && row.is_deleted && scope == ENDPOINT_LIVE) {
        error = entity_not_found(diag);
    }
    if (error == PH_OK) {
        *ret_row = row;
    }
    return error;
}

enum ph_error endpoint_page(struct store *store, int64_t application_id, const struct id_page *page,
                            struct arena *arena, struct diag *diag, struct endpoint_row *rows,
                            size_t *ret_count, bool *ret_has_more)
{
    struct db_statement *select = db_prepare(
        store->db, page->is_descending
                       ? "SELECT " ENDPOINT_ROW_COLUMNS " FROM endpoint WHERE application_id = $1"
                         " AND id > $2 AND id < $3 AND deleted_at IS NULL"
                         " ORDER BY id DESC LIMIT $4"
                       : "SELECT " ENDPOINT_ROW_COLUMNS " FROM endpoint WHERE application_id = $1"
                         " AND id > $2 AND id < $3 AND deleted_at IS NULL ORDER BY id LIMIT $4");
    db_bind_int64(select, 1, application_id);
    bind_page(select, 2, page);
    struct page_scan scan = page_scan(select, page->limit, arena, diag);
    while (page_scan_next(&scan)) {
        scan.error = endpoint_read_row(store, select, 0, arena, diag, &rows[scan.count]);
    }
    return page_scan_end(&scan, ret_count, ret_has_more);
}

/* What may be sealed, as it is stored: both columns of each. */
struct stored_row {
    struct slice headers;
    struct slice credentials;
    struct buf sealed_headers;
    struct buf sealed_credentials;
};

static void stored_row_done(struct stored_row *stored)
{
    buf_done(&stored->sealed_headers);
    buf_done(&stored->sealed_credentials);
}

static enum ph_error prepare_row(struct store *store, const struct endpoint_row *row,
                                 struct diag *diag, struct stored_row *stored)
{
    const struct seal_place headers = sealed_headers_place(row->id, row->application_id);
    const struct seal_place credentials = sealed_credentials_place(row->id, row->application_id);
    *stored = (struct stored_row){.headers = row->headers, .credentials = row->credentials};
    buf_init(&stored->sealed_headers, SEALED_BYTES_MAX);
    buf_init(&stored->sealed_credentials, SEALED_BYTES_MAX);
    enum ph_error error = sealed_make(store, &headers, SLICE_LITERAL("{}"), &stored->headers,
                                      &stored->sealed_headers, diag);
    if (error == PH_OK) {
        error = sealed_make(store, &credentials, SLICE_LITERAL(""), &stored->credentials,
                            &stored->sealed_credentials, diag);
    }
    return error;
}

/* The columns that insert and update share, from parameter 2 on; 1 is the id. */
static void bind_settings(struct db_statement *statement, const struct endpoint_row *row,
                          const struct stored_row *stored)
{
    PH_ASSERT(row->id > 0 && row->url.len > 0 && row->description.ptr != NULL);
    PH_ASSERT(row->metadata.len > 0 && row->headers.len > 0);
    db_bind_int64(statement, 1, row->id);
    db_bind_text(statement, 2, row->uid);
    db_bind_text(statement, 3, row->url);
    db_bind_text(statement, 4, row->description);
    bind_int64_or_null(statement, 5, row->throttle_rate);
    db_bind_int64(statement, 6, row->version);
    db_bind_int64(statement, 7, row->is_disabled ? 1 : 0);
    db_bind_text(statement, 8, row->event_types);
    db_bind_text(statement, 9, row->channels);
    db_bind_text(statement, 10, row->metadata);
    db_bind_text(statement, 11, stored->headers);
    db_bind_int64(statement, 12, row->updated_at_us);
    db_bind_blob(statement, 13, sealed_twin(&stored->sealed_headers));
    db_bind_text(statement, 14, row->options);
    db_bind_blob(statement, 15, stored->credentials);
    db_bind_blob(statement, 16, sealed_twin(&stored->sealed_credentials));
}

enum ph_error endpoint_insert(struct store *store, const struct endpoint_row *row,
                              struct diag *diag)
{
    PH_ASSERT(row->application_id > 0);
    struct stored_row stored;
    enum ph_error error = prepare_row(store, row, diag, &stored);
    if (error == PH_OK) {
        struct db_statement *insert = db_prepare(
            store->db,
            "INSERT INTO endpoint (id, uid, url, description, throttle_rate, version, disabled,"
            " event_types, channels, metadata, headers, updated_at, sealed_headers, options,"
            " credentials, sealed_credentials, created_at, application_id, shard, generation)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,"
            " $18, $19, 1)");
        bind_settings(insert, row, &stored);
        db_bind_int64(insert, 17, row->created_at_us);
        db_bind_int64(insert, 18, row->application_id);
        db_bind_int64(insert, 19, delivery_shard(row->id));
        error = db_exec(insert, diag);
        error = error == PH_CONFLICT ? uid_taken(diag) : error;
    }
    stored_row_done(&stored);
    return error;
}

enum ph_error endpoint_update(struct store *store, const struct endpoint_row *row,
                              struct diag *diag)
{
    PH_ASSERT(row->application_id > 0);
    struct stored_row stored;
    enum ph_error error = prepare_row(store, row, diag, &stored);
    if (error == PH_OK) {
        struct db_statement *update = db_prepare(
            store->db,
            "UPDATE endpoint SET uid = $2, url = $3, description = $4, throttle_rate = $5,"
            " version = $6, disabled = $7, event_types = $8, channels = $9, metadata = $10,"
            " headers = $11, updated_at = $12, sealed_headers = $13, options = $14,"
            " credentials = $15, sealed_credentials = $16,"
            " generation = generation + CASE WHEN disabled = 0 AND $7 = 1 THEN 1 ELSE 0 END,"
            " failing_since = CASE WHEN disabled = 1 AND $7 = 0 THEN NULL ELSE failing_since END"
            " WHERE id = $1 AND deleted_at IS NULL");
        bind_settings(update, row, &stored);
        error = db_exec(update, diag);
        error = error == PH_CONFLICT ? uid_taken(diag) : error;
    }
    stored_row_done(&stored);
    if (error == PH_OK && row->is_disabled) {
        error = manual_attempt_delete_all(store, row->id, diag);
    }
    return error;
}

enum ph_error endpoint_disable(struct store *store, int64_t id, int64_t now_us, struct diag *diag,
                               bool *ret_was_enabled)
{
    struct db_statement *update =
        db_prepare(store->db, "UPDATE endpoint SET disabled = 1, generation = generation + 1,"
                              " updated_at = $2 WHERE id = $1 AND disabled = 0"
                              " AND deleted_at IS NULL RETURNING application_id");
    db_bind_int64(update, 1, id);
    db_bind_int64(update, 2, now_us);
    bool has_row;
    enum ph_error error = db_step(update, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    *ret_was_enabled = has_row;
    if (!has_row) {
        return PH_OK;
    }
    int64_t application_id = db_int64(update, 0);
    db_done(update);
    error = application_touch(store, application_id, diag);
    return error == PH_OK ? manual_attempt_delete_all(store, id, diag) : error;
}

enum ph_error endpoint_delete(struct store *store, int64_t id, int64_t now_us, struct diag *diag)
{
    struct db_statement *update =
        db_prepare(store->db, "UPDATE endpoint SET deleted_at = $2, updated_at = $2,"
                              " generation = generation + 1 WHERE id = $1 AND deleted_at IS NULL");
    db_bind_int64(update, 1, id);
    db_bind_int64(update, 2, now_us);
    enum ph_error error = db_exec(update, diag);
    return error == PH_OK ? manual_attempt_delete_all(store, id, diag) : error;
}

enum ph_error endpoint_next_live(struct store *store, int64_t application_id, int64_t id,
                                 struct diag *diag, int64_t *ret_id)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT id FROM endpoint WHERE application_id = $1 AND id > $2"
                              " AND deleted_at IS NULL ORDER BY id LIMIT 1");
    db_bind_int64(select, 1, application_id);
    db_bind_int64(select, 2, id);
    return db_read_int64(select, diag, ret_id);
}

enum ph_error endpoint_delete_all(struct store *store, int64_t application_id, int64_t now_us,
                                  void (*each)(void *context, int64_t endpoint_id), void *context,
                                  struct diag *diag)
{
    int64_t id = 0;
    for (;;) {
        enum ph_error error = endpoint_next_live(store, application_id, id, diag, &id);
        if (error != PH_OK || id == 0) {
            return error;
        }
        error = endpoint_delete(store, id, now_us, diag);
        if (error != PH_OK) {
            return error;
        }
        each(context, id);
    }
}
