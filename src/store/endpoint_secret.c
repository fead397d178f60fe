/* SPDX-License-Identifier: Apache-2.0 */
#include "store/endpoint_secret.h"

#include "store/sealed.h"

enum ph_error endpoint_secret_insert(struct store *store, int64_t id, int64_t endpoint_id,
                                     const struct signing_key *key, struct diag *diag)
{
    struct slice bytes = signing_key_bytes(key);
    PH_ASSERT(id > 0 && endpoint_id > 0 && bytes.len > 0);
    const struct seal_place place = sealed_secret_place(id, endpoint_id);
    BUF_AUTO struct buf sealed;
    buf_init(&sealed, SEALED_BYTES_MAX);
    enum ph_error error = sealed_make(store, &place, SLICE_LITERAL(""), &bytes, &sealed, diag);
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *insert = db_prepare(
        store->db, "INSERT INTO endpoint_secret (id, endpoint_id, scheme, secret, sealed_secret)"
                   " VALUES ($1, $2, $3, $4, $5)");
    db_bind_int64(insert, 1, id);
    db_bind_int64(insert, 2, endpoint_id);
    db_bind_int64(insert, 3, signing_key_scheme(key));
    db_bind_blob(insert, 4, bytes);
    db_bind_blob(insert, 5, sealed_twin(&sealed));
    return db_exec(insert, diag);
}

enum ph_error endpoint_secret_read(struct store *store, struct db_statement *row,
                                   int64_t endpoint_id, struct diag *diag,
                                   struct signing_key **ret_key)
{
    const struct seal_place place = sealed_secret_place(db_int64(row, 0), endpoint_id);
    struct slice bytes = db_blob(row, 2);
    SECRET_AUTO struct secret opened = SECRET_NONE;
    enum ph_error error = sealed_read(store, &place, db_blob(row, 3), &bytes, &opened, diag);
    if (error != PH_OK) {
        return error;
    }
    enum signature_scheme scheme = (enum signature_scheme)db_int64(row, 1);
    if (signing_key_from_bytes(scheme, bytes, NULL, ret_key) != PH_OK) {
        return diag_set(diag, PH_STORE, "store", "the stored secret of endpoint %lld is no key",
                        (long long)endpoint_id);
    }
    return PH_OK;
}

enum ph_error endpoint_secret_current(struct store *store, int64_t endpoint_id, struct diag *diag,
                                      struct signing_key **ret_key)
{
    struct db_statement *select = db_prepare(
        store->db, "SELECT " ENDPOINT_SECRET_COLUMNS " FROM endpoint_secret"
                   " WHERE endpoint_id = $1 AND expires_at IS NULL ORDER BY id DESC LIMIT 1");
    db_bind_int64(select, 1, endpoint_id);
    enum ph_error error = db_find_row(select, "Entity not found", diag);
    if (error == PH_OK) {
        error = endpoint_secret_read(store, select, endpoint_id, diag, ret_key);
        db_done(select);
    }
    return error;
}

enum ph_error endpoint_secret_count_old(struct store *store, int64_t endpoint_id, int64_t now_us,
                                        struct diag *diag, int64_t *ret_count)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT count(*) FROM endpoint_secret WHERE endpoint_id = $1"
                              " AND expires_at > $2");
    db_bind_int64(select, 1, endpoint_id);
    db_bind_int64(select, 2, now_us);
    return db_read_int64(select, diag, ret_count);
}

enum ph_error endpoint_secret_expire_current(struct store *store, int64_t endpoint_id,
                                             int64_t expires_at_us, int64_t now_us,
                                             struct diag *diag)
{
    struct db_statement *update =
        db_prepare(store->db, "UPDATE endpoint_secret SET expires_at = $2"
                              " WHERE endpoint_id = $1 AND expires_at IS NULL");
    db_bind_int64(update, 1, endpoint_id);
    db_bind_int64(update, 2, expires_at_us);
    enum ph_error error = db_exec(update, diag);
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *statement = db_prepare(
        store->db, "DELETE FROM endpoint_secret WHERE endpoint_id = $1 AND expires_at <= $2");
    db_bind_int64(statement, 1, endpoint_id);
    db_bind_int64(statement, 2, now_us);
    return db_exec(statement, diag);
}
