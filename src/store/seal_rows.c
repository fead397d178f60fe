/* SPDX-License-Identifier: Apache-2.0 */
#include "store/seal_rows.h"

#include "store/sealed.h"

#define KEY_BYTES 16
static const char done_name[] = "secrets_sealed";

/* One column that may be sealed. */
struct sealed_column {
    /* row, owner, value, twin (and key) of the next $2 rows after $1 (and $3). */
    const char *select;
    /* Puts $3 and the twin $4 in place of the value $2 of row $1 (and key $5). */
    const char *update;
    struct seal_place (*place)(int64_t row, int64_t owner, struct slice key);
    const char *empty;
    bool is_text;
    bool has_key;
};

static struct seal_place secret_place(int64_t row, int64_t owner, struct slice key)
{
    (void)key;
    return sealed_secret_place(row, owner);
}

static struct seal_place headers_place(int64_t row, int64_t owner, struct slice key)
{
    (void)key;
    return sealed_headers_place(row, owner);
}

static struct seal_place credentials_place(int64_t row, int64_t owner, struct slice key)
{
    (void)key;
    return sealed_credentials_place(row, owner);
}

static struct seal_place key_place(int64_t row, int64_t owner, struct slice key)
{
    (void)key;
    return sealed_key_place(row, owner);
}

static struct seal_place response_place(int64_t row, int64_t owner, struct slice key)
{
    (void)owner;
    return sealed_response_place(row, key);
}

static struct seal_place body_place(int64_t row, int64_t owner, struct slice key)
{
    (void)owner;
    (void)key;
    return sealed_body_place(row);
}

static struct seal_place raw_body_place(int64_t row, int64_t owner, struct slice key)
{
    (void)owner;
    (void)key;
    return sealed_raw_body_place(row);
}

/* The long table comes last. */
static const struct sealed_column columns[] = {
    {"SELECT id, endpoint_id, secret, sealed_secret FROM endpoint_secret"
     " WHERE id > $1 ORDER BY id LIMIT $2",
     "UPDATE endpoint_secret SET secret = $3, sealed_secret = $4"
     " WHERE id = $1 AND secret = $2 AND sealed_secret IS NULL",
     secret_place, "", false, false},
    {"SELECT id, application_id, headers, sealed_headers FROM endpoint"
     " WHERE id > $1 ORDER BY id LIMIT $2",
     "UPDATE endpoint SET headers = $3, sealed_headers = $4"
     " WHERE id = $1 AND headers = $2 AND sealed_headers IS NULL",
     headers_place, "{}", true, false},
    {"SELECT id, application_id, credentials, sealed_credentials FROM endpoint"
     " WHERE id > $1 ORDER BY id LIMIT $2",
     "UPDATE endpoint SET credentials = $3, sealed_credentials = $4"
     " WHERE id = $1 AND credentials = $2 AND sealed_credentials IS NULL",
     credentials_place, "", false, false},
    {"SELECT id, application_id, key, sealed_key FROM integration"
     " WHERE id > $1 ORDER BY id LIMIT $2",
     "UPDATE integration SET key = $3, sealed_key = $4"
     " WHERE id = $1 AND key = $2 AND sealed_key IS NULL",
     key_place, "", false, false},
    {"SELECT hour, 0, response, sealed_response, key_hash FROM idempotency"
     " WHERE (hour, key_hash) > ($1, $3) ORDER BY hour, key_hash LIMIT $2",
     "UPDATE idempotency SET response = $3, sealed_response = $4"
     " WHERE hour = $1 AND key_hash = $5 AND response = $2 AND sealed_response IS NULL",
     response_place, "", false, true},
    {"SELECT message_id, 0, body, sealed_body FROM payload"
     " WHERE message_id > $1 ORDER BY message_id LIMIT $2",
     "UPDATE payload SET body = $3, sealed_body = $4"
     " WHERE message_id = $1 AND body = $2 AND sealed_body IS NULL",
     body_place, "", false, false},
    {"SELECT message_id, 0, raw_body, sealed_raw_body FROM payload"
     " WHERE message_id > $1 ORDER BY message_id LIMIT $2",
     "UPDATE payload SET raw_body = $3, sealed_raw_body = $4"
     " WHERE message_id = $1 AND raw_body = $2 AND sealed_raw_body IS NULL",
     raw_body_place, "", false, false},
};

/* One row of a step, copied out of the query: SQLite does not say what a query shows of rows that
 * change under it. */
struct entry {
    int64_t row;
    int64_t owner;
    uint8_t key[KEY_BYTES];
    struct secret value; /* empty: nothing to seal */
    struct secret twin;
};

struct entries {
    struct entry items[SEAL_ROWS_STEP];
    size_t count;
};

static void entries_done(struct entries *entries)
{
    for (size_t index = 0; index < entries->count; index++) {
        secret_done(&entries->items[index].value);
        secret_done(&entries->items[index].twin);
    }
    entries->count = 0;
}

static struct slice slice_of_secret(const struct secret *secret)
{
    return (struct slice){(const char *)secret->bytes, secret->length};
}

static struct slice key_of(const uint8_t *key)
{
    return (struct slice){(const char *)key, KEY_BYTES};
}

static struct seal_place place_of(const struct sealed_column *column, const struct entry *entry)
{
    return column->place(entry->row, entry->owner, key_of(entry->key));
}

static void read_entry(const struct sealed_column *column, struct db_statement *row,
                       struct entry *entry)
{
    struct slice value = column->is_text ? db_text(row, 2) : db_blob(row, 2);
    struct slice twin = db_blob(row, 3);
    *entry = (struct entry){.row = db_int64(row, 0), .owner = db_int64(row, 1)};
    if (!slice_equal_text(value, column->empty)) {
        entry->value = secret_new(value.ptr, value.len);
    }
    entry->twin = secret_new(twin.ptr, twin.len);
    if (column->has_key) {
        struct slice key = db_blob(row, 4);
        PH_ASSERT(key.len == KEY_BYTES);
        memcpy(entry->key, key.ptr, KEY_BYTES);
    }
}

/* The next rows; the walk moves behind them. */
static enum ph_error read_entries(struct store *store, struct seal_walk *walk, struct diag *diag,
                                  struct entries *entries)
{
    const struct sealed_column *column = &columns[walk->column];
    struct db_statement *select = db_prepare(store->db, column->select);
    db_bind_int64(select, 1, walk->row);
    db_bind_int64(select, 2, SEAL_ROWS_STEP);
    if (column->has_key) {
        db_bind_blob(select, 3, key_of(walk->key));
    }
    bool has_row = true;
    enum ph_error error = PH_OK;
    size_t bytes = 0;
    entries->count = 0;
    while (entries->count < SEAL_ROWS_STEP && bytes < SEAL_ROWS_STEP_BYTES &&
           (error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        struct entry *entry = &entries->items[entries->count++];
        read_entry(column, select, entry);
        bytes += entry->value.length + entry->twin.length;
    }
    db_done(select);
    if (error != PH_OK) {
        return error;
    }
    if (has_row) { /* more may follow */
        const struct entry *last = &entries->items[entries->count - 1];
        walk->row = last->row;
        memcpy(walk->key, last->key, KEY_BYTES);
        return PH_OK;
    }
    const int next = walk->column + 1;
    *walk = (struct seal_walk){.column = next};
    walk->is_done = next == (int)PH_ARRAY_LENGTH(columns);
    return PH_OK;
}

static enum ph_error seal_entry(struct store *store, const struct sealed_column *column,
                                const struct entry *entry, struct diag *diag)
{
    const struct seal_place place = place_of(column, entry);
    struct slice former = slice_of_secret(&entry->value);
    struct slice value = former;
    BUF_AUTO struct buf sealed;
    buf_init(&sealed, SEALED_BYTES_MAX);
    enum ph_error error =
        sealed_make(store, &place, slice_of(column->empty), &value, &sealed, diag);
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *update = db_prepare(store->db, column->update);
    db_bind_int64(update, 1, entry->row);
    if (column->is_text) {
        db_bind_text(update, 2, former);
        db_bind_text(update, 3, value);
    } else {
        db_bind_blob(update, 2, former);
        db_bind_blob(update, 3, value);
    }
    db_bind_blob(update, 4, sealed_twin(&sealed));
    if (column->has_key) {
        db_bind_blob(update, 5, key_of(entry->key));
    }
    return db_exec(update, diag);
}

enum ph_error seal_rows_are_done(struct store *store, struct diag *diag, bool *ret_is_done)
{
    struct db_statement *select = db_prepare(store->db, "SELECT 1 FROM meta WHERE name = $1");
    db_bind_text(select, 1, slice_of(done_name));
    return db_read_exists(select, diag, ret_is_done);
}

enum ph_error seal_rows_clean(struct store *store, struct diag *diag)
{
    bool is_done;
    enum ph_error error = seal_rows_are_done(store, diag, &is_done);
    if (error == PH_OK && !is_done) {
        error = diag_set(diag, PH_CONFLICT, NULL,
                         "there may be values in plain still: run the server with the master key "
                         "until its log says \"secrets sealed\"");
    }
    if (error == PH_OK) {
        error =
            db_run(store->db,
                   "{if_sqlite}VACUUM{end}"
                   "{if_postgres}VACUUM FULL endpoint_secret, endpoint, integration, idempotency, "
                   "payload{end}",
                   diag);
    }
    return error;
}

static enum ph_error note_done(struct store *store, struct diag *diag)
{
    struct db_statement *insert = db_prepare(
        store->db, "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING");
    db_bind_text(insert, 1, slice_of(done_name));
    db_bind_blob(insert, 2, SLICE_LITERAL("1"));
    return db_exec(insert, diag);
}

enum ph_error seal_rows_step(struct store *store, struct seal_walk *walk, struct diag *diag,
                             int64_t *ret_sealed)
{
    PH_ASSERT(store->keyring != NULL && !walk->is_done);
    const struct sealed_column *column = &columns[walk->column];
    struct entries entries;
    int64_t sealed = 0;
    enum ph_error error = read_entries(store, walk, diag, &entries);
    for (size_t index = 0; error == PH_OK && index < entries.count; index++) {
        const struct entry *entry = &entries.items[index];
        if (entry->value.length > 0 && entry->twin.length == 0) {
            error = seal_entry(store, column, entry, diag);
            sealed++;
        }
    }
    entries_done(&entries);
    if (error == PH_OK && walk->is_done) {
        error = note_done(store, diag);
    }
    if (error == PH_OK) {
        *ret_sealed = sealed;
    }
    return error;
}

enum ph_error seal_rows_check(struct store *store, struct seal_walk *walk, struct diag *diag,
                              struct seal_counts *counts)
{
    PH_ASSERT(!walk->is_done);
    const struct sealed_column *column = &columns[walk->column];
    struct entries entries;
    enum ph_error error = read_entries(store, walk, diag, &entries);
    for (size_t index = 0; error == PH_OK && index < entries.count; index++) {
        const struct entry *entry = &entries.items[index];
        counts->plain += entry->value.length > 0 ? 1 : 0;
        if (entry->twin.length > 0) {
            const struct seal_place place = place_of(column, entry);
            struct slice value = SLICE_NONE;
            SECRET_AUTO struct secret opened = SECRET_NONE;
            bool opens = sealed_read(store, &place, slice_of_secret(&entry->twin), &value, &opened,
                                     diag) == PH_OK;
            counts->sealed += opens ? 1 : 0;
            counts->broken += opens ? 0 : 1;
        }
    }
    entries_done(&entries);
    return error;
}
