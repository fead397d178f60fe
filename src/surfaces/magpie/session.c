/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/magpie/session.h"

#include "base/clock.h"
#include "base/random.h"
#include "core/base64.h"

#define RANDOM_BYTES 32
#define PREFIX "mgs_"
#define SESSION_US (MAGPIE_SESSION_S * CLOCK_US_PER_S)

void magpie_session_text(char ret_text[MAGPIE_SESSION_TEXT_MAX])
{
    uint8_t bytes[RANDOM_BYTES];
    BUF_AUTO struct buf text;
    buf_init(&text, MAGPIE_SESSION_TEXT_MAX - 1);
    random_bytes(bytes, sizeof bytes);
    buf_append_text(&text, PREFIX);
    base64url_append(&text, bytes, sizeof bytes);
    explicit_bzero(bytes, sizeof bytes);
    (void)snprintf(ret_text, MAGPIE_SESSION_TEXT_MAX, "%s", buf_text(&text));
}

static struct slice hash_slice(const uint8_t hash[SURFACE_TOKEN_HASH_BYTES])
{
    return (struct slice){(const char *)hash, SURFACE_TOKEN_HASH_BYTES};
}

enum ph_error magpie_session_sweep(struct writer_txn *txn, int64_t user_id, struct diag *diag)
{
    struct db_statement *old =
        db_prepare(txn->store->db, "DELETE FROM magpie_session WHERE id IN (SELECT id FROM"
                                   " magpie_session WHERE id < $1 ORDER BY id LIMIT 64)");
    db_bind_int64(old, 1, id_floor(txn->now_us - SESSION_US));
    enum ph_error error = db_exec(old, diag);
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *many =
        db_prepare(txn->store->db, "DELETE FROM magpie_session WHERE id IN (SELECT id FROM"
                                   " magpie_session WHERE user_id = $1 ORDER BY id DESC LIMIT 64"
                                   " OFFSET $2)");
    db_bind_int64(many, 1, user_id);
    db_bind_int64(many, 2, MAGPIE_SESSIONS_MAX);
    return db_exec(many, diag);
}

enum ph_error magpie_session_insert(struct writer_txn *txn, struct slice text, int64_t user_id,
                                    struct diag *diag)
{
    uint8_t hash[SURFACE_TOKEN_HASH_BYTES];
    surface_token_hash(text, hash);
    struct db_statement *insert = db_prepare(
        txn->store->db, "INSERT INTO magpie_session (id, token_hash, user_id) VALUES ($1, $2, $3)");
    db_bind_int64(insert, 1, writer_txn_new_id(txn));
    db_bind_blob(insert, 2, hash_slice(hash));
    db_bind_int64(insert, 3, user_id);
    enum ph_error error = db_exec(insert, diag);
    return error == PH_OK ? magpie_session_sweep(txn, user_id, diag) : error;
}

enum ph_error magpie_session_find(struct store *store, const uint8_t hash[SURFACE_TOKEN_HASH_BYTES],
                                  int64_t now_us, struct diag *diag, int64_t *ret_id,
                                  int64_t *ret_user_id)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT id, user_id FROM magpie_session WHERE token_hash = $1");
    db_bind_blob(select, 1, hash_slice(hash));
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error == PH_OK && has_row) {
        *ret_id = db_int64(select, 0);
        *ret_user_id = db_int64(select, 1);
        db_done(select);
        has_row = now_us - id_time_us(*ret_id) < SESSION_US;
    }
    if (error == PH_OK && !has_row) {
        error = diag_set(diag, PH_NOT_FOUND, NULL, "no such session");
    }
    return error;
}

enum ph_error magpie_session_delete(struct writer_txn *txn, int64_t id, struct diag *diag)
{
    struct db_statement *statement =
        db_prepare(txn->store->db, "DELETE FROM magpie_session WHERE id = $1");
    db_bind_int64(statement, 1, id);
    return db_exec(statement, diag);
}

enum ph_error magpie_session_delete_others(struct writer_txn *txn, int64_t user_id, int64_t id,
                                           struct diag *diag)
{
    struct db_statement *statement =
        db_prepare(txn->store->db, "DELETE FROM magpie_session WHERE user_id = $1 AND id <> $2");
    db_bind_int64(statement, 1, user_id);
    db_bind_int64(statement, 2, id);
    return db_exec(statement, diag);
}
