/* SPDX-License-Identifier: Apache-2.0 */
#include "store/integration.h"

#include "core/signature.h"
#include "store/sealed.h"
#include "store/store_int.h"

#define HASH_BYTES 32
#define COLUMNS "id, application_id, name, feature_flags, created_at, updated_at"

/* Who reads the store must not be able to make up a key that fits a hash. */
static void hash_key(const struct store *store, struct slice key, uint8_t ret_hash[HASH_BYTES])
{
    const struct slice secret = {(const char *)store->codec.key, sizeof store->codec.key};
    signature_hmac(256, secret, key, ret_hash);
}

static enum ph_error read_row(struct db_statement *select, struct arena *arena, struct diag *diag,
                              struct integration_row *ret_row)
{
    struct row_copier copier = {.row = select, .arena = arena};
    struct integration_row row = {
        .id = db_int64(select, 0),
        .application_id = db_int64(select, 1),
        .name = row_copy_text(&copier, 2),
        .feature_flags = row_copy_text(&copier, 3),
        .created_at_us = db_int64(select, 4),
        .updated_at_us = db_int64(select, 5),
    };
    enum ph_error error = row_copier_end(&copier, diag);
    if (error == PH_OK) {
        *ret_row = row;
    }
    return error;
}

enum ph_error integration_find(struct store *store, int64_t application_id, int64_t id,
                               struct arena *arena, struct diag *diag,
                               struct integration_row *ret_row)
{
    struct db_statement *select = db_prepare(store->db, "SELECT " COLUMNS " FROM integration"
                                                        " WHERE id = $1 AND application_id = $2");
    db_bind_int64(select, 1, id);
    db_bind_int64(select, 2, application_id);
    enum ph_error error = db_find_row(select, "Entity not found", diag);
    if (error == PH_OK) {
        error = read_row(select, arena, diag, ret_row);
        db_done(select);
    }
    return error;
}

enum ph_error integration_page(struct store *store, int64_t application_id,
                               const struct id_page *page, struct arena *arena, struct diag *diag,
                               struct integration_row *rows, size_t *ret_count, bool *ret_has_more)
{
    struct db_statement *select = db_prepare(
        store->db, page->is_descending ? "SELECT " COLUMNS " FROM integration"
                                         " WHERE application_id = $1 AND id > $2 AND id < $3"
                                         " ORDER BY id DESC LIMIT $4"
                                       : "SELECT " COLUMNS " FROM integration"
                                         " WHERE application_id = $1 AND id > $2 AND id < $3"
                                         " ORDER BY id LIMIT $4");
    db_bind_int64(select, 1, application_id);
    bind_page(select, 2, page);
    struct page_scan scan = page_scan(select, page->limit, arena, diag);
    while (page_scan_next(&scan)) {
        scan.error = read_row(select, arena, diag, &rows[scan.count]);
    }
    return page_scan_end(&scan, ret_count, ret_has_more);
}

enum ph_error integration_key(struct store *store, const struct integration_row *row,
                              struct diag *diag, struct secret *ret_key)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT key, sealed_key FROM integration WHERE id = $1");
    db_bind_int64(select, 1, row->id);
    enum ph_error error = db_find_row(select, "Entity not found", diag);
    if (error != PH_OK) {
        return error;
    }
    const struct seal_place place = sealed_key_place(row->id, row->application_id);
    struct slice key = db_blob(select, 0);
    SECRET_AUTO struct secret opened = SECRET_NONE;
    error = sealed_read(store, &place, db_blob(select, 1), &key, &opened, diag);
    if (error == PH_OK) {
        *ret_key = secret_new(key.ptr, key.len);
    }
    db_done(select);
    return error;
}

/* The three columns of a key, from parameter `first` on. */
static void bind_key(struct db_statement *statement, int first, const uint8_t *hash,
                     struct slice key, const struct buf *sealed)
{
    db_bind_blob(statement, first, (struct slice){(const char *)hash, HASH_BYTES});
    db_bind_blob(statement, first + 1, key);
    db_bind_blob(statement, first + 2, sealed_twin(sealed));
}

enum ph_error integration_insert(struct store *store, const struct integration_row *row,
                                 struct slice key, struct diag *diag)
{
    PH_ASSERT(row->id > 0 && row->application_id > 0 && row->name.ptr != NULL && key.len > 0);
    const struct seal_place place = sealed_key_place(row->id, row->application_id);
    uint8_t hash[HASH_BYTES];
    BUF_AUTO struct buf sealed;
    buf_init(&sealed, SEALED_BYTES_MAX);
    hash_key(store, key, hash);
    enum ph_error error = sealed_make(store, &place, SLICE_LITERAL(""), &key, &sealed, diag);
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *insert = db_prepare(
        store->db, "INSERT INTO integration (id, application_id, name, feature_flags, created_at,"
                   " updated_at, key_hash, key, sealed_key)"
                   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
    db_bind_int64(insert, 1, row->id);
    db_bind_int64(insert, 2, row->application_id);
    db_bind_text(insert, 3, row->name);
    db_bind_text(insert, 4, row->feature_flags);
    db_bind_int64(insert, 5, row->created_at_us);
    db_bind_int64(insert, 6, row->updated_at_us);
    bind_key(insert, 7, hash, key, &sealed);
    return db_exec(insert, diag);
}

enum ph_error integration_update(struct store *store, const struct integration_row *row,
                                 struct diag *diag)
{
    struct db_statement *update =
        db_prepare(store->db, "UPDATE integration SET name = $2, feature_flags = $3,"
                              " updated_at = $4 WHERE id = $1");
    db_bind_int64(update, 1, row->id);
    db_bind_text(update, 2, row->name);
    db_bind_text(update, 3, row->feature_flags);
    db_bind_int64(update, 4, row->updated_at_us);
    return db_exec(update, diag);
}

enum ph_error integration_set_key(struct store *store, const struct integration_row *row,
                                  struct slice key, struct diag *diag)
{
    const struct seal_place place = sealed_key_place(row->id, row->application_id);
    uint8_t hash[HASH_BYTES];
    BUF_AUTO struct buf sealed;
    buf_init(&sealed, SEALED_BYTES_MAX);
    hash_key(store, key, hash);
    enum ph_error error = sealed_make(store, &place, SLICE_LITERAL(""), &key, &sealed, diag);
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *update =
        db_prepare(store->db, "UPDATE integration SET updated_at = $2, key_hash = $3, key = $4,"
                              " sealed_key = $5 WHERE id = $1");
    db_bind_int64(update, 1, row->id);
    db_bind_int64(update, 2, row->updated_at_us);
    bind_key(update, 3, hash, key, &sealed);
    return db_exec(update, diag);
}

enum ph_error integration_delete(struct store *store, int64_t id, struct diag *diag)
{
    return exec_with_id(store, "DELETE FROM integration WHERE id = $1", id, diag);
}

enum ph_error integration_delete_all(struct store *store, int64_t application_id, struct diag *diag)
{
    return exec_with_id(store, "DELETE FROM integration WHERE application_id = $1", application_id,
                        diag);
}

enum ph_error integration_find_holder(struct store *store, struct slice key, struct arena *arena,
                                      struct diag *diag, struct integration_holder *ret_holder)
{
    uint8_t hash[HASH_BYTES];
    hash_key(store, key, hash);
    struct db_statement *select = db_prepare(
        store->db, "SELECT application.id, application.org, integration.feature_flags"
                   " FROM integration JOIN application"
                   " ON application.id = integration.application_id"
                   " WHERE integration.key_hash = $1 AND application.deleted_at IS NULL");
    db_bind_blob(select, 1, (struct slice){(const char *)hash, HASH_BYTES});
    enum ph_error error = db_find_row(select, "Entity not found", diag);
    if (error != PH_OK) {
        return error;
    }
    struct row_copier copier = {.row = select, .arena = arena};
    struct integration_holder holder = {
        .application_id = db_int64(select, 0),
        .org = row_copy_text(&copier, 1),
        .feature_flags = row_copy_text(&copier, 2),
    };
    error = row_copier_end(&copier, diag);
    db_done(select);
    if (error == PH_OK) {
        *ret_holder = holder;
    }
    return error;
}
