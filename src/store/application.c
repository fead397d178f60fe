/* SPDX-License-Identifier: Apache-2.0 */
#include "store/application.h"

#include "store/store_int.h"

#define COLUMNS "id, org, uid, name, throttle_rate, metadata, created_at, updated_at"

static enum ph_error uid_taken(struct diag *diag)
{
    return diag_set(diag, PH_CONFLICT, NULL, "An application with that id or uid already exists");
}

static enum ph_error read_row(struct db_statement *select, struct arena *arena, struct diag *diag,
                              struct application_row *ret_row)
{
    struct row_copier copier = {.row = select, .arena = arena};
    struct application_row row = {
        .id = db_int64(select, 0),
        .org = row_copy_text(&copier, 1),
        .uid = row_copy_text(&copier, 2),
        .name = row_copy_text(&copier, 3),
        .throttle_rate = db_int64(select, 4),
        .metadata = row_copy_text(&copier, 5),
        .created_at_us = db_int64(select, 6),
        .updated_at_us = db_int64(select, 7),
    };
    enum ph_error error = row_copier_end(&copier, diag);
    if (error == PH_OK) {
        *ret_row = row;
    }
    return error;
}

enum ph_error application_find(struct store *store, struct slice org, int64_t id,
                               struct arena *arena, struct diag *diag,
                               struct application_row *ret_row)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT " COLUMNS " FROM application"
                              " WHERE id = $1 AND org = $2 AND deleted_at IS NULL");
    db_bind_int64(select, 1, id);
    db_bind_text(select, 2, org);
    enum ph_error error = db_find_row(select, "Entity not found", diag);
    if (error == PH_OK) {
        error = read_row(select, arena, diag, ret_row);
        db_done(select);
    }
    return error;
}

enum ph_error application_resolve(struct store *store, struct slice org, struct slice id_or_uid,
                                  struct diag *diag, int64_t *ret_id)
{
    struct db_statement *select;
    if (id_has_prefix(ID_APPLICATION, id_or_uid)) {
        int64_t id;
        if (!id_parse(&store->codec, ID_APPLICATION, id_or_uid, &id)) {
            return entity_not_found(diag);
        }
        select = db_prepare(store->db, "SELECT id FROM application"
                                       " WHERE id = $1 AND org = $2 AND deleted_at IS NULL");
        db_bind_int64(select, 1, id);
        db_bind_text(select, 2, org);
        return find_id(select, diag, ret_id);
    }
    if (!slice_is_utf8_text(id_or_uid)) {
        return entity_not_found(diag);
    }
    select = db_prepare(store->db, "SELECT id FROM application"
                                   " WHERE org = $1 AND uid = $2 AND deleted_at IS NULL");
    db_bind_text(select, 1, org);
    db_bind_text(select, 2, id_or_uid);
    return find_id(select, diag, ret_id);
}

enum ph_error application_page(struct store *store, struct slice org, const struct id_page *page,
                               struct arena *arena, struct diag *diag, struct application_row *rows,
                               size_t *ret_count, bool *ret_has_more)
{
    struct db_statement *select =
        db_prepare(store->db, page->is_descending
                                  ? "SELECT " COLUMNS " FROM application WHERE org = $1 AND id > $2"
                                    " AND id < $3 AND deleted_at IS NULL ORDER BY id DESC LIMIT $4"
                                  : "SELECT " COLUMNS " FROM application WHERE org = $1 AND id > $2"
                                    " AND id < $3 AND deleted_at IS NULL ORDER BY id LIMIT $4");
    db_bind_text(select, 1, org);
    bind_page(select, 2, page);
    struct page_scan scan = page_scan(select, page->limit, arena, diag);
    while (page_scan_next(&scan)) {
        scan.error = read_row(select, arena, diag, &rows[scan.count]);
    }
    return page_scan_end(&scan, ret_count, ret_has_more);
}

enum ph_error application_insert(struct store *store, const struct application_row *row,
                                 struct diag *diag)
{
    PH_ASSERT(row->id > 0 && row->org.len > 0 && row->metadata.len > 0);
    struct db_statement *insert = db_prepare(
        store->db, "INSERT INTO application (id, org, uid, name, throttle_rate, metadata,"
                   " created_at, updated_at, config_version)"
                   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1)");
    db_bind_int64(insert, 1, row->id);
    db_bind_text(insert, 2, row->org);
    db_bind_text(insert, 3, row->uid);
    db_bind_text(insert, 4, row->name);
    bind_int64_or_null(insert, 5, row->throttle_rate);
    db_bind_text(insert, 6, row->metadata);
    db_bind_int64(insert, 7, row->created_at_us);
    db_bind_int64(insert, 8, row->updated_at_us);
    enum ph_error error = db_exec(insert, diag);
    return error == PH_CONFLICT ? uid_taken(diag) : error;
}

enum ph_error application_update(struct store *store, const struct application_row *row,
                                 struct diag *diag)
{
    struct db_statement *update = db_prepare(
        store->db, "UPDATE application SET uid = $2, name = $3, throttle_rate = $4, metadata = $5,"
                   " updated_at = $6, config_version = config_version + 1"
                   " WHERE id = $1 AND deleted_at IS NULL");
    db_bind_int64(update, 1, row->id);
    db_bind_text(update, 2, row->uid);
    db_bind_text(update, 3, row->name);
    bind_int64_or_null(update, 4, row->throttle_rate);
    db_bind_text(update, 5, row->metadata);
    db_bind_int64(update, 6, row->updated_at_us);
    enum ph_error error = db_exec(update, diag);
    return error == PH_CONFLICT ? uid_taken(diag) : error;
}

enum ph_error application_delete(struct store *store, int64_t id, int64_t now_us, struct diag *diag)
{
    struct db_statement *update = db_prepare(
        store->db, "UPDATE application SET deleted_at = $2, updated_at = $2,"
                   " config_version = config_version + 1 WHERE id = $1 AND deleted_at IS NULL");
    db_bind_int64(update, 1, id);
    db_bind_int64(update, 2, now_us);
    return db_exec(update, diag);
}

enum ph_error application_touch(struct store *store, int64_t id, struct diag *diag)
{
    struct db_statement *update = db_prepare(
        store->db, "UPDATE application SET config_version = config_version + 1 WHERE id = $1");
    db_bind_int64(update, 1, id);
    return db_exec(update, diag);
}
