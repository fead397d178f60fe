/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of one application and session there are never two rows of which one says all that the other
 * says: what takes effect later also reaches further.
 */
#include "store/token.h"

#include <string.h>

static struct slice hash_slice(const uint8_t hash[TOKEN_HASH_BYTES])
{
    return (struct slice){(const char *)hash, TOKEN_HASH_BYTES};
}

static struct slice session_or_empty(struct slice session_id)
{
    return session_id.ptr == NULL ? SLICE_LITERAL("") : session_id;
}

static bool was_issued_before(const struct token_facts *facts, struct db_statement *row)
{
    return facts->id != 0 ? facts->id < db_int64(row, 1)
                          : facts->issued_at_ms <= db_int64(row, 2) / 1000;
}

static enum ph_error find_expiries(struct store *store, const struct token_facts *facts,
                                   int64_t now_us, struct diag *diag, struct token_fate *fate)
{
    struct db_statement *select = db_prepare(
        store->db, "SELECT effective_at, issued_before_id, issued_before FROM token_expiry"
                   " WHERE application_id = $1 AND session_id IN ($2, $3)");
    db_bind_int64(select, 1, facts->application_id);
    db_bind_text(select, 2, SLICE_LITERAL(""));
    db_bind_text(select, 3, session_or_empty(facts->session_id));
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        int64_t effective_at_us = db_int64(select, 0);
        if (was_issued_before(facts, select)) {
            fate->has_ended = fate->has_ended || effective_at_us <= now_us;
            fate->ends_at_us =
                effective_at_us < fate->ends_at_us ? effective_at_us : fate->ends_at_us;
        }
    }
    return error;
}

enum ph_error token_find_fate(struct store *store, const struct token_facts *facts, int64_t now_us,
                              struct diag *diag, struct token_fate *ret_fate)
{
    struct token_fate fate = {.ends_at_us = INT64_MAX};
    enum ph_error error = find_expiries(store, facts, now_us, diag, &fate);
    if (error == PH_OK && !fate.has_ended) {
        struct db_statement *select =
            db_prepare(store->db, "SELECT expires_at FROM token_revoked"
                                  " WHERE application_id = $1 AND token_hash = $2");
        db_bind_int64(select, 1, facts->application_id);
        db_bind_blob(select, 2, hash_slice(facts->hash));
        error = db_step(select, diag, &fate.has_ended);
        db_done(select);
    }
    if (error == PH_OK) {
        *ret_fate = fate;
    }
    return error;
}

/* Removes the rows that say no more than the new one, and those that a later one that is in effect
 * has outdone. */
static enum ph_error delete_outdone(struct store *store, const struct token_cutoff *cutoff,
                                    int64_t now_us, struct diag *diag)
{
    bool is_now = cutoff->effective_at_us <= now_us;
    bool is_every_session = cutoff->session_id.ptr == NULL;
    struct db_statement *statement;
    if (is_now && is_every_session) {
        statement = db_prepare(store->db, "DELETE FROM token_expiry WHERE application_id = $1");
        db_bind_int64(statement, 1, cutoff->application_id);
        return db_exec(statement, diag);
    }
    statement = db_prepare(store->db,
                           "DELETE FROM token_expiry WHERE application_id = $1 AND session_id = $2"
                           " AND (effective_at >= $3 OR effective_at < (SELECT max(effective_at)"
                           "  FROM token_expiry WHERE application_id = $1 AND session_id = $2"
                           "  AND effective_at <= $4))");
    db_bind_int64(statement, 1, cutoff->application_id);
    db_bind_text(statement, 2, session_or_empty(cutoff->session_id));
    db_bind_int64(statement, 3, is_now ? INT64_MIN : cutoff->effective_at_us);
    db_bind_int64(statement, 4, now_us);
    return db_exec(statement, diag);
}

static enum ph_error check_pending(struct store *store, const struct token_cutoff *cutoff,
                                   int64_t now_us, struct diag *diag)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT count(*) FROM token_expiry WHERE application_id = $1"
                              " AND session_id = $2 AND effective_at > $3");
    db_bind_int64(select, 1, cutoff->application_id);
    db_bind_text(select, 2, session_or_empty(cutoff->session_id));
    db_bind_int64(select, 3, now_us);
    int64_t count;
    enum ph_error error = db_read_int64(select, diag, &count);
    if (error == PH_OK && count >= TOKEN_EXPIRIES_PENDING_MAX) {
        error =
            diag_set(diag, PH_BAD_REQUEST, NULL, "%d expiries of these tokens are pending already",
                     TOKEN_EXPIRIES_PENDING_MAX);
        diag_code(diag, "limit_reached");
    }
    return error;
}

enum ph_error token_expire(struct store *store, const struct token_cutoff *cutoff, int64_t now_us,
                           struct diag *diag)
{
    PH_ASSERT(cutoff->application_id > 0 && cutoff->issued_before_id > 0);
    PH_ASSERT(cutoff->session_id.ptr == NULL || cutoff->session_id.len > 0);
    enum ph_error error = delete_outdone(store, cutoff, now_us, diag);
    if (error == PH_OK) {
        error = check_pending(store, cutoff, now_us, diag);
    }
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *insert =
        db_prepare(store->db, "INSERT INTO token_expiry (application_id, session_id, effective_at,"
                              " issued_before_id, issued_before) VALUES ($1, $2, $3, $4, $5)");
    db_bind_int64(insert, 1, cutoff->application_id);
    db_bind_text(insert, 2, session_or_empty(cutoff->session_id));
    db_bind_int64(insert, 3, cutoff->effective_at_us);
    db_bind_int64(insert, 4, cutoff->issued_before_id);
    db_bind_int64(insert, 5, cutoff->issued_before_us);
    return db_exec(insert, diag);
}

enum ph_error token_revoke(struct store *store, int64_t application_id,
                           const uint8_t hash[TOKEN_HASH_BYTES], int64_t expires_at_us,
                           struct diag *diag)
{
    struct db_statement *insert = db_prepare(
        store->db, "INSERT INTO token_revoked (application_id, token_hash, expires_at)"
                   " VALUES ($1, $2, $3) ON CONFLICT (application_id, token_hash) DO NOTHING");
    db_bind_int64(insert, 1, application_id);
    db_bind_blob(insert, 2, hash_slice(hash));
    db_bind_int64(insert, 3, expires_at_us);
    return db_exec(insert, diag);
}

enum ph_error token_delete_old(struct store *store, int64_t now_us, int64_t limit,
                               struct diag *diag, int64_t *ret_deleted)
{
    struct db_statement *revoked = db_prepare(
        store->db, "DELETE FROM token_revoked WHERE (application_id, token_hash) IN (SELECT"
                   " application_id, token_hash FROM token_revoked WHERE expires_at < $1"
                   " ORDER BY expires_at LIMIT $2)");
    db_bind_int64(revoked, 1, now_us);
    db_bind_int64(revoked, 2, limit);
    enum ph_error error = db_exec(revoked, diag);
    int64_t deleted = error == PH_OK ? db_changes(store->db) : 0;
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *sessions = db_prepare(
        store->db, "DELETE FROM token_expiry WHERE (application_id, session_id, effective_at) IN"
                   " (SELECT application_id, session_id, effective_at FROM token_expiry"
                   " WHERE session_id <> '' AND effective_at < $1 ORDER BY effective_at LIMIT $2)");
    db_bind_int64(sessions, 1, now_us - TOKEN_SESSION_AGE_MAX_US);
    db_bind_int64(sessions, 2, limit);
    error = db_exec(sessions, diag);
    if (error == PH_OK) {
        *ret_deleted = deleted + db_changes(store->db);
    }
    return error;
}
