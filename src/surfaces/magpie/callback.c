/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/magpie/callback.h"

#include "base/random.h"
#include "core/hex.h"
#include "surfaces/magpie/identity_int.h"

#define UUID_BYTES 16
#define SWEEP_EVERY 16 /* users; each time up to 64 rows, so that what grows is also taken away */
#define PREFIX "urn:uuid:"

/* --- tokens ----------------------------------------------------------------------------------- */

/* 8-4-4-4-12 hexadecimal digits. */
static void format_uuid(const uint8_t bytes[UUID_BYTES], char ret_token[MAGPIE_CALLBACK_TOKEN_MAX])
{
    char hex[2 * UUID_BYTES + 1];
    hex_encode(bytes, UUID_BYTES, hex);
    (void)snprintf(ret_token, MAGPIE_CALLBACK_TOKEN_MAX, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8,
                   hex + 12, hex + 16, hex + 20);
}

/* Version 4 (RFC 9562). */
static void make_uuid(char ret_token[MAGPIE_CALLBACK_TOKEN_MAX])
{
    uint8_t bytes[UUID_BYTES];
    random_bytes(bytes, sizeof bytes);
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    format_uuid(bytes, ret_token);
}

bool magpie_callback_parse(struct slice text, char ret_token[MAGPIE_CALLBACK_TOKEN_MAX])
{
    char hex[2 * UUID_BYTES];
    uint8_t bytes[UUID_BYTES];
    size_t length = 0;
    if (slice_starts_with(text, PREFIX)) {
        text = (struct slice){text.ptr + strlen(PREFIX), text.len - strlen(PREFIX)};
    }
    if (text.len != MAGPIE_CALLBACK_TOKEN_MAX - 1) {
        return false;
    }
    for (size_t index = 0; index < text.len; index++) {
        bool is_hyphen = index == 8 || index == 13 || index == 18 || index == 23;
        if (is_hyphen != (text.ptr[index] == '-')) {
            return false;
        }
        if (!is_hyphen) {
            hex[length++] = text.ptr[index];
        }
    }
    if (!hex_decode((struct slice){hex, length}, bytes, sizeof bytes, &length)) {
        return false;
    }
    format_uuid(bytes, ret_token);
    return true;
}

/* --- rows ------------------------------------------------------------------------------------- */

static struct slice hash_slice(const uint8_t hash[SURFACE_TOKEN_HASH_BYTES])
{
    return (struct slice){(const char *)hash, SURFACE_TOKEN_HASH_BYTES};
}

enum ph_error magpie_callback_sweep(struct writer_txn *txn, int64_t age_us, struct diag *diag)
{
    struct db_statement *statement =
        db_prepare(txn->store->db, "DELETE FROM magpie_callback WHERE id IN (SELECT id FROM"
                                   " magpie_callback WHERE id < $1 ORDER BY id LIMIT 64)");
    db_bind_int64(statement, 1, id_floor(txn->now_us - age_us));
    return db_exec(statement, diag);
}

enum ph_error magpie_callback_make(struct magpie *magpie, struct writer_txn *txn, int64_t user_id,
                                   struct diag *diag, struct buf *ret_url)
{
    char token[MAGPIE_CALLBACK_TOKEN_MAX];
    uint8_t hash[SURFACE_TOKEN_HASH_BYTES];
    make_uuid(token);
    magpie_append_base_url(magpie, ret_url);
    buf_append_text(ret_url, "/tmp/");
    buf_append_text(ret_url, token);
    surface_token_hash(slice_of(token), hash);
    struct db_statement *insert =
        db_prepare(txn->store->db,
                   "INSERT INTO magpie_callback (id, token_hash, user_id) VALUES ($1, $2, $3)");
    db_bind_int64(insert, 1, writer_txn_new_id(txn));
    db_bind_blob(insert, 2, hash_slice(hash));
    db_bind_int64(insert, 3, user_id);
    enum ph_error error = db_exec(insert, diag);
    if (error == PH_OK && user_id % SWEEP_EVERY == 0) {
        error = magpie_callback_sweep(txn, magpie_token_expire_us(magpie) + MAGPIE_CALLBACK_KEPT_US,
                                      diag);
    }
    return error;
}

/* *ret_id is 0 when there is none. */
static enum ph_error find(struct store *store, struct slice token, struct diag *diag,
                          int64_t *ret_id, int64_t *ret_user_id)
{
    uint8_t hash[SURFACE_TOKEN_HASH_BYTES];
    surface_token_hash(token, hash);
    struct db_statement *select =
        db_prepare(store->db, "SELECT id, user_id FROM magpie_callback WHERE token_hash = $1");
    db_bind_blob(select, 1, hash_slice(hash));
    bool has_row;
    *ret_id = 0;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error == PH_OK && has_row) {
        *ret_id = db_int64(select, 0);
        *ret_user_id = db_int64(select, 1);
        db_done(select);
    }
    return error;
}

static enum ph_error delete_row(struct writer_txn *txn, int64_t id, struct diag *diag)
{
    struct db_statement *statement =
        db_prepare(txn->store->db, "DELETE FROM magpie_callback WHERE id = $1");
    db_bind_int64(statement, 1, id);
    return db_exec(statement, diag);
}

enum ph_error magpie_callback_take(struct writer_txn *txn, struct slice token, int64_t expire_us,
                                   struct diag *diag, enum magpie_callback_end *ret_end)
{
    int64_t id;
    int64_t user_id;
    *ret_end = MAGPIE_CALLBACK_UNKNOWN;
    enum ph_error error = find(txn->store, token, diag, &id, &user_id);
    if (error != PH_OK || id == 0) {
        return error;
    }
    if (txn->now_us - id_time_us(id) > expire_us) {
        *ret_end = MAGPIE_CALLBACK_EXPIRED;
        return PH_OK;
    }
    *ret_end = MAGPIE_CALLBACK_DONE;
    error = delete_row(txn, id, diag);
    return error == PH_OK ? magpie_user_set_webhook_error(txn, user_id, diag) : error;
}

/* --- the call --------------------------------------------------------------------------------- */

struct use_job {
    struct api_job job;
    char token[MAGPIE_CALLBACK_TOKEN_MAX];
};

static enum ph_error unknown(struct diag *diag)
{
    return diag_set(diag, PH_NOT_FOUND, NULL, "there is no such token, or it was used before");
}

static enum ph_error run_use(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct use_job *use = PH_CONTAINER_OF(job, struct use_job, job);
    struct magpie *magpie = surface_state(job->call);
    enum magpie_callback_end end;
    enum ph_error error =
        magpie_callback_take(txn, slice_of(use->token), magpie_token_expire_us(magpie), diag, &end);
    if (error != PH_OK) {
        return error;
    }
    switch (end) {
    case MAGPIE_CALLBACK_UNKNOWN:
        return unknown(diag);
    case MAGPIE_CALLBACK_EXPIRED:
        job->status = 410;
        magpie_answer_begin(&job->answer.out, 410, "The token has expired.");
        json_out_member_text(&job->answer.out, "token", use->token);
        magpie_answer_end(&job->answer.out);
        break;
    case MAGPIE_CALLBACK_DONE:
        magpie_answer_job(job, 200, "The status of the user was set to WebhookError.");
        break;
    }
    return PH_OK;
}

enum ph_error magpie_callback_use(struct api_call *call, struct diag *diag)
{
    struct store *store;
    int64_t id;
    int64_t user_id;
    struct use_job *use = api_job_new(call, sizeof *use, diag);
    http_hide_path(call->request);
    if (use == NULL) {
        return PH_NO_MEMORY;
    }
    if (!magpie_callback_parse(http_param(call->request, "token"), use->token)) {
        return diag_set(diag, PH_INVALID, "token", "the token is no UUID");
    }
    /* Anybody may ask: what nobody knows does not reach the writer. */
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = find(store, slice_of(use->token), diag, &id, &user_id);
    }
    if (error == PH_OK && id == 0) {
        error = unknown(diag);
    }
    return error != PH_OK ? error : api_submit(call, &use->job, run_use, diag);
}
