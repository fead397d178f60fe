/* SPDX-License-Identifier: Apache-2.0 */
#include "store/surface_token.h"

#include <openssl/sha.h>

#include "store/store_int.h"

#define COLUMNS "id, surface, subject, grants, name, created_at, expires_at, revoked_at"

void surface_token_hash(struct slice token, uint8_t ret_hash[SURFACE_TOKEN_HASH_BYTES])
{
    (void)SHA256((const unsigned char *)token.ptr, token.len, ret_hash);
}

static struct slice hash_slice(const uint8_t *hash)
{
    return (struct slice){(const char *)hash, SURFACE_TOKEN_HASH_BYTES};
}

enum ph_error surface_token_insert(struct store *store, const struct surface_token_row *row,
                                   const uint8_t hash[SURFACE_TOKEN_HASH_BYTES], struct diag *diag)
{
    struct db_statement *insert = db_prepare(
        store->db, "INSERT INTO surface_token (id, surface, subject, grants, name, created_at,"
                   " expires_at, token_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    db_bind_int64(insert, 1, row->id);
    db_bind_text(insert, 2, row->surface);
    db_bind_text(insert, 3, row->subject);
    db_bind_text(insert, 4, row->grants);
    db_bind_text(insert, 5, row->name);
    db_bind_int64(insert, 6, row->created_at_us);
    bind_int64_or_null(insert, 7, row->expires_at_us);
    db_bind_blob(insert, 8, hash_slice(hash));
    return db_exec(insert, diag);
}

static enum ph_error read_row(struct db_statement *select, struct arena *arena, struct diag *diag,
                              struct surface_token_row *ret_row)
{
    struct row_copier copier = {.row = select, .arena = arena};
    *ret_row = (struct surface_token_row){
        .id = db_int64(select, 0),
        .surface = row_copy_text(&copier, 1),
        .subject = row_copy_text(&copier, 2),
        .grants = row_copy_text(&copier, 3),
        .name = row_copy_text(&copier, 4),
        .created_at_us = db_int64(select, 5),
        .expires_at_us = db_int64(select, 6),
        .revoked_at_us = db_int64(select, 7),
    };
    return row_copier_end(&copier, diag);
}

enum ph_error surface_token_find(struct store *store, struct slice surface,
                                 const uint8_t hash[SURFACE_TOKEN_HASH_BYTES], int64_t now_us,
                                 struct arena *arena, struct diag *diag,
                                 struct surface_token_row *ret_row)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT " COLUMNS " FROM surface_token WHERE token_hash = $1"
                              " AND surface = $2 AND revoked_at IS NULL"
                              " AND (expires_at IS NULL OR expires_at > $3)");
    db_bind_blob(select, 1, hash_slice(hash));
    db_bind_text(select, 2, surface);
    db_bind_int64(select, 3, now_us);
    enum ph_error error = db_find_row(select, "no such token", diag);
    if (error == PH_OK) {
        error = read_row(select, arena, diag, ret_row);
        db_done(select);
    }
    return error;
}

enum ph_error surface_token_page(struct store *store, struct slice surface, int64_t after_id,
                                 size_t limit, struct arena *arena, struct diag *diag,
                                 struct surface_token_row *rows, size_t *ret_count)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT " COLUMNS " FROM surface_token WHERE surface = $1"
                              " AND id > $2 ORDER BY id LIMIT $3");
    db_bind_text(select, 1, surface);
    db_bind_int64(select, 2, after_id);
    db_bind_int64(select, 3, (int64_t)limit);
    size_t count = 0;
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        PH_ASSERT(count < limit);
        error = read_row(select, arena, diag, &rows[count]);
        if (error != PH_OK) {
            db_done(select);
            return error;
        }
        count++;
    }
    *ret_count = count;
    return error;
}

enum ph_error surface_token_revoke(struct store *store, struct slice surface, int64_t id,
                                   int64_t now_us, struct diag *diag)
{
    struct db_statement *update =
        db_prepare(store->db, "UPDATE surface_token SET revoked_at = $3"
                              " WHERE id = $1 AND surface = $2 AND revoked_at IS NULL");
    db_bind_int64(update, 1, id);
    db_bind_text(update, 2, surface);
    db_bind_int64(update, 3, now_us);
    enum ph_error error = db_exec(update, diag);
    if (error == PH_OK && db_changes(store->db) == 0) {
        error = diag_set(diag, PH_NOT_FOUND, NULL, "no such token");
    }
    return error;
}
