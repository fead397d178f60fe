/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Concurrency: `lock` guards `keys`, `count`, `created_at_us`, `uses_left` and `block`. A key does
 * not change once it is in the table and stays until the end.
 */
#include "store/keyring.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/random.h"
#include "core/hex.h"

#define RENEW_AFTER_US (24 * 3600 * CLOCK_US_PER_S)
/* Reserved at once: each start of a server costs one block of the key's uses. Half a block is what
 * the keeper has to reserve the next one in: with payloads, most of a minute at full speed. */
#define USES_BLOCK (INT64_C(1) << 22)
#define WRAPPED_BYTES (SEAL_KEY_BYTES + SEAL_OVERHEAD_BYTES)
#define HEX_BYTES (2 * SEAL_MASTER_ID_BYTES + 1)

struct keyring {
    struct seal_key master;
    uint8_t master_id[SEAL_MASTER_ID_BYTES];

    pthread_mutex_t lock;
    struct seal_key **keys; /* by id */
    size_t count;
    int64_t created_at_us; /* of the newest */
    int64_t uses_left;     /* of the reserved block */
    int64_t block;         /* uses that are reserved at once */
};

static struct slice bytes_of(const uint8_t *bytes, size_t length)
{
    return (struct slice){(const char *)bytes, length};
}

static struct seal_place place_of(int64_t data_key_id)
{
    return (struct seal_place){.table = "data_key", .column = "wrapped", .row = data_key_id};
}

static struct keyring *keyring_new(const struct secret *master)
{
    PH_ASSERT(master->length == SEAL_KEY_BYTES);
    struct keyring *keyring = ph_calloc(1, sizeof *keyring);
    memcpy(keyring->master.bytes, master->bytes, SEAL_KEY_BYTES);
    seal_master_id(&keyring->master, keyring->master_id);
    keyring->block = USES_BLOCK;
    (void)pthread_mutex_init(&keyring->lock, NULL);
    return keyring;
}

static void free_key(struct seal_key *key)
{
    secret_wipe(key, sizeof *key);
    free(key);
}

void keyring_free(struct keyring *keyring)
{
    if (keyring == NULL) {
        return;
    }
    for (size_t index = 0; index < keyring->count; index++) {
        free_key(keyring->keys[index]);
    }
    free(keyring->keys);
    (void)pthread_mutex_destroy(&keyring->lock);
    secret_wipe(keyring, sizeof *keyring);
    free(keyring);
}

size_t keyring_count(struct keyring *keyring)
{
    (void)pthread_mutex_lock(&keyring->lock);
    size_t count = keyring->count;
    (void)pthread_mutex_unlock(&keyring->lock);
    return count;
}

void keyring_set_block(struct keyring *keyring, int64_t uses)
{
    PH_ASSERT(uses > 0 && uses <= USES_BLOCK);
    (void)pthread_mutex_lock(&keyring->lock);
    keyring->block = uses;
    (void)pthread_mutex_unlock(&keyring->lock);
}

/* --- reading the table ------------------------------------------------------------------------ */

static enum ph_error other_master(const struct keyring *keyring, struct slice stored,
                                  struct diag *diag)
{
    char ours[HEX_BYTES];
    char theirs[HEX_BYTES] = "unknown";
    hex_encode(keyring->master_id, SEAL_MASTER_ID_BYTES, ours);
    if (stored.len == SEAL_MASTER_ID_BYTES) {
        hex_encode(stored.ptr, stored.len, theirs);
    }
    return diag_set(diag, PH_INVALID, "master_key_file",
                    "this is not the master key of the store: the key at hand is %s, the store's "
                    "data keys are wrapped by %s",
                    ours, theirs);
}

/* The data key of a row (id, master_id, wrapped). */
static enum ph_error unwrap(const struct keyring *keyring, struct db_statement *row,
                            struct diag *diag, struct seal_key **ret_key)
{
    int64_t id = db_int64(row, 0);
    struct slice master_id = db_blob(row, 1);
    if (!slice_equal(master_id, bytes_of(keyring->master_id, SEAL_MASTER_ID_BYTES))) {
        return other_master(keyring, master_id, diag);
    }
    const struct seal_place place = place_of(id);
    SECRET_AUTO struct secret bytes = SECRET_NONE;
    enum ph_error error = seal_open(&keyring->master, &place, db_blob(row, 2), diag, &bytes);
    if (error != PH_OK || bytes.length != SEAL_KEY_BYTES || id <= 0) {
        return diag_set(diag, PH_STORE, "store", "the data key %lld of the store is damaged",
                        (long long)id);
    }
    struct seal_key *key = ph_malloc(sizeof *key);
    key->id = id;
    memcpy(key->bytes, bytes.bytes, SEAL_KEY_BYTES);
    *ret_key = key;
    return PH_OK;
}

/* Under the lock. NULL when it is not known. */
static const struct seal_key *find(const struct keyring *keyring, int64_t id)
{
    size_t low = 0;
    size_t high = keyring->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (keyring->keys[middle]->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < keyring->count && keyring->keys[low]->id == id ? keyring->keys[low] : NULL;
}

/* Under the lock: takes the key, which is newer than all others. */
static void add(struct keyring *keyring, struct seal_key *key, int64_t created_at_us)
{
    PH_ASSERT(keyring->count == 0 || keyring->keys[keyring->count - 1]->id < key->id);
    keyring->keys = ph_realloc(keyring->keys, (keyring->count + 1) * sizeof(struct seal_key *));
    keyring->keys[keyring->count++] = key;
    keyring->created_at_us = created_at_us;
}

/* Under the lock: the keys that were made since. */
static enum ph_error load_newer(struct keyring *keyring, struct db *db, struct diag *diag)
{
    int64_t newest = keyring->count == 0 ? 0 : keyring->keys[keyring->count - 1]->id;
    struct db_statement *select =
        db_prepare(db, "SELECT id, master_id, wrapped, created_at FROM data_key WHERE id > $1"
                       " ORDER BY id");
    db_bind_int64(select, 1, newest);
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        struct seal_key *key = NULL;
        error = unwrap(keyring, select, diag, &key);
        if (error != PH_OK) {
            db_done(select);
            return error;
        }
        add(keyring, key, db_int64(select, 3));
    }
    return error;
}

enum ph_error keyring_load(struct keyring *keyring, struct db *db, struct diag *diag)
{
    (void)pthread_mutex_lock(&keyring->lock);
    enum ph_error error = load_newer(keyring, db, diag);
    if (error == PH_OK) {
        keyring->uses_left = keyring->block;
    }
    (void)pthread_mutex_unlock(&keyring->lock);
    return error;
}

/* --- making keys ------------------------------------------------------------------------------ */

bool keyring_is_due(struct keyring *keyring, int64_t now_us)
{
    (void)pthread_mutex_lock(&keyring->lock);
    bool is_due = keyring->count == 0 || now_us - keyring->created_at_us >= RENEW_AFTER_US ||
                  keyring->uses_left < keyring->block / 2;
    (void)pthread_mutex_unlock(&keyring->lock);
    return is_due;
}

static void wrap(const struct keyring *keyring, const struct seal_key *key, struct buf *wrapped)
{
    uint8_t nonce[SEAL_NONCE_BYTES];
    random_bytes(nonce, sizeof nonce);
    const struct seal_place place = place_of(key->id);
    seal_append(&keyring->master, nonce, &place, bytes_of(key->bytes, SEAL_KEY_BYTES), wrapped);
    PH_ASSERT(!wrapped->failed);
}

static int64_t block_of(struct keyring *keyring)
{
    (void)pthread_mutex_lock(&keyring->lock);
    int64_t block = keyring->block;
    (void)pthread_mutex_unlock(&keyring->lock);
    return block;
}

static enum ph_error insert_key(struct keyring *keyring, struct db *db, int64_t id, int64_t now_us,
                                struct diag *diag)
{
    const int64_t block = block_of(keyring);
    struct seal_key key = {.id = id};
    random_bytes(key.bytes, sizeof key.bytes);
    BUF_AUTO struct buf wrapped;
    buf_init(&wrapped, WRAPPED_BYTES);
    wrap(keyring, &key, &wrapped);
    secret_wipe(&key, sizeof key);
    struct db_statement *insert =
        db_prepare(db, "INSERT INTO data_key (id, created_at, master_id, wrapped, uses)"
                       " VALUES ($1, $2, $3, $4, $5)");
    db_bind_int64(insert, 1, id);
    db_bind_int64(insert, 2, now_us);
    db_bind_blob(insert, 3, bytes_of(keyring->master_id, SEAL_MASTER_ID_BYTES));
    db_bind_blob(insert, 4, buf_slice(&wrapped));
    db_bind_int64(insert, 5, block);
    return db_exec(insert, diag);
}

static enum ph_error reserve(struct db *db, int64_t id, int64_t uses, struct diag *diag)
{
    struct db_statement *update =
        db_prepare(db, "UPDATE data_key SET uses = uses + $2 WHERE id = $1");
    db_bind_int64(update, 1, id);
    db_bind_int64(update, 2, uses);
    return db_exec(update, diag);
}

enum ph_error keyring_renew(struct keyring *keyring, struct db *db, int64_t now_us,
                            struct diag *diag)
{
    struct db_statement *select =
        db_prepare(db, "SELECT id, master_id, created_at, uses FROM data_key"
                       " ORDER BY id DESC LIMIT 1 {for_update}");
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    int64_t newest = 0;
    bool is_usable = false;
    if (has_row) {
        newest = db_int64(select, 0);
        struct slice master_id = db_blob(select, 1);
        /* Rotated under a running server: a key wrapped by the former one would be lost. */
        if (!slice_equal(master_id, bytes_of(keyring->master_id, SEAL_MASTER_ID_BYTES))) {
            error = other_master(keyring, master_id, diag);
        }
        is_usable = now_us - db_int64(select, 2) < RENEW_AFTER_US &&
                    db_int64(select, 3) <= SEAL_USES_MAX - USES_BLOCK;
        db_done(select);
    }
    if (error != PH_OK) {
        return error;
    }
    return is_usable ? reserve(db, newest, block_of(keyring), diag)
                     : insert_key(keyring, db, newest + 1, now_us, diag);
}

/* --- opening and rotating ----------------------------------------------------------------------
 */

static enum ph_error has_data_keys(struct db *db, struct diag *diag, bool *ret_has)
{
    struct db_statement *select = db_prepare(db, "SELECT 1 FROM data_key LIMIT 1");
    return db_read_exists(select, diag, ret_has);
}

enum ph_error keyring_look(struct db *db, const struct secret *master, struct diag *diag,
                           struct keyring **ret_keyring)
{
    bool is_sealed;
    enum ph_error error = has_data_keys(db, diag, &is_sealed);
    if (error != PH_OK) {
        return error;
    }
    if (master->length == 0) {
        *ret_keyring = NULL;
        return !is_sealed ? PH_OK
                          : diag_set(diag, PH_INVALID, "master_key_file",
                                     "the secrets of this store are sealed and there is no key "
                                     "for them: set master_key_file");
    }
    struct keyring *keyring = keyring_new(master);
    error = keyring_load(keyring, db, diag);
    if (error != PH_OK) {
        keyring_free(keyring);
        return error;
    }
    *ret_keyring = keyring;
    return PH_OK;
}

static enum ph_error renew_and_load(struct keyring *keyring, struct db *db, int64_t now_us,
                                    struct diag *diag)
{
    enum ph_error error = db_begin(db, diag);
    if (error != PH_OK) {
        return error;
    }
    error = keyring_renew(keyring, db, now_us, diag);
    if (error != PH_OK) {
        db_rollback(db);
        return error;
    }
    error = db_commit(db, diag);
    return error == PH_OK ? keyring_load(keyring, db, diag) : error;
}

enum ph_error keyring_open(const char *address, const struct secret *master, int64_t now_us,
                           struct diag *diag, struct keyring **ret_keyring)
{
    struct db *db;
    enum ph_error error = db_open(address, DB_READ_WRITE, diag, &db);
    if (error != PH_OK) {
        return error;
    }
    struct keyring *keyring = NULL;
    error = keyring_look(db, master, diag, &keyring);
    if (error == PH_OK && keyring != NULL) {
        error = renew_and_load(keyring, db, now_us, diag);
    }
    db_close(db);
    if (error != PH_OK) {
        keyring_free(keyring);
        return error;
    }
    *ret_keyring = keyring;
    return PH_OK;
}

static enum ph_error write_wrapped(const struct keyring *next, struct db *db,
                                   const struct seal_key *key, struct diag *diag)
{
    BUF_AUTO struct buf wrapped;
    buf_init(&wrapped, WRAPPED_BYTES);
    wrap(next, key, &wrapped);
    struct db_statement *update =
        db_prepare(db, "UPDATE data_key SET master_id = $2, wrapped = $3, uses = $4 WHERE id = $1");
    db_bind_int64(update, 1, key->id);
    db_bind_blob(update, 2, bytes_of(next->master_id, SEAL_MASTER_ID_BYTES));
    db_bind_blob(update, 3, buf_slice(&wrapped));
    db_bind_int64(update, 4, SEAL_USES_MAX);
    return db_exec(update, diag);
}

/* Inside a transaction, alone with the table. */
static enum ph_error rewrap_all(struct keyring *former, const struct keyring *next, struct db *db,
                                struct diag *diag)
{
    enum ph_error error = db_run(db,
                                 "{if_postgres}LOCK TABLE data_key IN EXCLUSIVE MODE{end}"
                                 "{if_sqlite}SELECT 1{end}",
                                 diag);
    if (error == PH_OK) {
        error = keyring_load(former, db, diag);
    }
    if (error == PH_OK && former->count == 0) {
        error = diag_set(diag, PH_NOT_FOUND, NULL, "nothing of this store is sealed");
    }
    for (size_t index = 0; error == PH_OK && index < former->count; index++) {
        error = write_wrapped(next, db, former->keys[index], diag);
    }
    return error;
}

enum ph_error keyring_rewrap(struct db *db, const struct secret *former_master,
                             const struct secret *next_master, struct diag *diag,
                             int64_t *ret_count)
{
    enum ph_error error = db_begin(db, diag);
    if (error != PH_OK) {
        return error;
    }
    struct keyring *former = keyring_new(former_master);
    struct keyring *next = keyring_new(next_master);
    error = rewrap_all(former, next, db, diag);
    if (error == PH_OK) {
        error = db_commit(db, diag);
    } else {
        db_rollback(db);
    }
    if (error == PH_OK) {
        *ret_count = (int64_t)former->count;
    }
    keyring_free(former);
    keyring_free(next);
    return error;
}

/* --- values --------------------------------------------------------------------------------------
 */

enum ph_error keyring_seal(struct keyring *keyring, const struct seal_place *place,
                           struct slice plain, struct diag *diag, struct buf *sealed)
{
    const struct seal_key *key = NULL;
    (void)pthread_mutex_lock(&keyring->lock);
    bool has_uses = keyring->uses_left > 0;
    if (keyring->count > 0 && has_uses) {
        key = keyring->keys[keyring->count - 1];
        keyring->uses_left--;
    }
    (void)pthread_mutex_unlock(&keyring->lock);
    if (!has_uses) {
        return diag_set(diag, PH_STORE_BUSY, "store",
                        "the data key has sealed all that was reserved of its uses");
    }
    if (key == NULL) {
        return diag_set(diag, PH_STORE, "store", "the store has no data key to seal with");
    }
    uint8_t nonce[SEAL_NONCE_BYTES];
    random_bytes(nonce, sizeof nonce);
    seal_append(key, nonce, place, plain, sealed);
    return sealed->failed ? diag_set(diag, PH_NO_MEMORY, NULL, "the value is too large to seal")
                          : PH_OK;
}

static enum ph_error cannot_open(struct diag *diag, const struct seal_place *place,
                                 const char *reason)
{
    return diag_set(diag, PH_SEALED, "store", "the sealed %s of %s %lld cannot be opened: %s",
                    place->column, place->table, (long long)place->row, reason);
}

enum ph_error keyring_unseal(struct keyring *keyring, struct db *db, const struct seal_place *place,
                             struct slice sealed, struct diag *diag, struct secret *ret_plain)
{
    int64_t id;
    if (!seal_key_id(sealed, &id)) {
        return cannot_open(diag, place, "it is damaged");
    }
    enum ph_error error = PH_OK;
    (void)pthread_mutex_lock(&keyring->lock);
    const struct seal_key *key = find(keyring, id);
    if (key == NULL) {
        /* Another process made it. */
        error = load_newer(keyring, db, diag);
        key = error == PH_OK ? find(keyring, id) : NULL;
    }
    (void)pthread_mutex_unlock(&keyring->lock);
    if (error != PH_OK) {
        return error;
    }
    if (key == NULL) {
        return cannot_open(diag, place, "the store does not have its data key");
    }
    if (seal_open(key, place, sealed, diag, ret_plain) != PH_OK) {
        return cannot_open(diag, place, "it was changed or moved");
    }
    return PH_OK;
}
