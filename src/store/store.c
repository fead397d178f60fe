/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include "base/random.h"
#include "base/secret.h"
#include "db/migrations.h"

static enum ph_error read_id_key(struct db *db, struct diag *diag, struct id_codec *ret_codec)
{
    struct db_statement *select = db_prepare(db, "SELECT value FROM meta WHERE name = $1");
    db_bind_text(select, 1, SLICE_LITERAL("id_key"));
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    if (!has_row) {
        return diag_set(diag, PH_STORE, "store", "the store has no id key; run `posthorn migrate`");
    }
    struct slice key = db_blob(select, 0);
    if (key.len == sizeof ret_codec->key) {
        memcpy(ret_codec->key, key.ptr, key.len);
    } else {
        error = diag_set(diag, PH_STORE, "store", "the store's id key has %zu bytes, not %zu",
                         key.len, sizeof ret_codec->key);
    }
    db_done(select);
    return error;
}

static enum ph_error make_id_key(struct db *db, struct diag *diag)
{
    uint8_t key[16];
    random_bytes(key, sizeof key);
    struct db_statement *insert = db_prepare(
        db, "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING");
    db_bind_text(insert, 1, SLICE_LITERAL("id_key"));
    db_bind_blob(insert, 2, (struct slice){(const char *)key, sizeof key});
    return db_exec(insert, diag);
}

enum ph_error store_migrate(const char *address, struct diag *diag, int *ret_applied)
{
    struct db *db;
    enum ph_error error = db_open(address, DB_READ_WRITE, diag, &db);
    if (error != PH_OK) {
        return error;
    }
    error = db_migrate(db, sql_migrations, sql_migrations_count, diag, ret_applied);
    if (error == PH_OK) {
        error = make_id_key(db, diag);
    }
    db_close(db);
    return error;
}

enum ph_error store_open(const char *address, enum db_mode mode, struct diag *diag,
                         struct store **ret_store)
{
    struct db *db;
    enum ph_error error = db_open(address, mode, diag, &db);
    if (error != PH_OK) {
        return error;
    }
    struct store *store = ph_calloc(1, sizeof *store);
    store->db = db;
    error = db_check_version(db, sql_migrations_count, diag);
    if (error == PH_OK) {
        error = read_id_key(db, diag, &store->codec);
    }
    if (error != PH_OK) {
        store_close(store);
        return error;
    }
    *ret_store = store;
    return PH_OK;
}

void store_close(struct store *store)
{
    if (store != NULL) {
        db_close(store->db);
        secret_wipe(store->codec.key, sizeof store->codec.key);
        free(store);
    }
}
