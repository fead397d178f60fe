/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sink.h"

#include "core/scan.h"
#include "store/store_int.h"

#define COLUMNS "id, application_id, uid, event_types, channels, created_at, updated_at"

static enum ph_error uid_taken(struct diag *diag)
{
    return diag_set(diag, PH_CONFLICT, NULL, "A sink with that uid already exists");
}

static enum ph_error read_row(struct db_statement *select, struct arena *arena, struct diag *diag,
                              struct sink_row *ret_row)
{
    struct row_copier copier = {.row = select, .arena = arena};
    struct sink_row row = {
        .id = db_int64(select, 0),
        .application_id = db_int64(select, 1),
        .uid = row_copy_text(&copier, 2),
        .event_types = row_copy_text(&copier, 3),
        .channels = row_copy_text(&copier, 4),
        .created_at_us = db_int64(select, 5),
        .updated_at_us = db_int64(select, 6),
    };
    enum ph_error error = row_copier_end(&copier, diag);
    if (error == PH_OK) {
        *ret_row = row;
    }
    return error;
}

enum ph_error sink_find(struct store *store, int64_t application_id, struct slice id_or_uid,
                        struct arena *arena, struct diag *diag, struct sink_row *ret_row)
{
    struct db_statement *select;
    int64_t id;
    if (id_parse(&store->codec, ID_SINK, id_or_uid, &id)) {
        select = db_prepare(store->db, "SELECT " COLUMNS " FROM sink"
                                       " WHERE application_id = $1 AND id = $2");
        db_bind_int64(select, 2, id);
    } else if (slice_is_utf8_text(id_or_uid)) {
        select = db_prepare(store->db, "SELECT " COLUMNS " FROM sink"
                                       " WHERE application_id = $1 AND uid = $2");
        db_bind_text(select, 2, id_or_uid);
    } else {
        return entity_not_found(diag);
    }
    db_bind_int64(select, 1, application_id);
    enum ph_error error = db_find_row(select, "Entity not found", diag);
    if (error == PH_OK) {
        error = read_row(select, arena, diag, ret_row);
        db_done(select);
    }
    return error;
}

enum ph_error sink_page(struct store *store, int64_t application_id, const struct id_page *page,
                        struct arena *arena, struct diag *diag, struct sink_row *rows,
                        size_t *ret_count, bool *ret_has_more)
{
    struct db_statement *select = db_prepare(
        store->db, page->is_descending ? "SELECT " COLUMNS " FROM sink WHERE application_id = $1"
                                         " AND id > $2 AND id < $3 ORDER BY id DESC LIMIT $4"
                                       : "SELECT " COLUMNS " FROM sink WHERE application_id = $1"
                                         " AND id > $2 AND id < $3 ORDER BY id LIMIT $4");
    db_bind_int64(select, 1, application_id);
    bind_page(select, 2, page);
    struct page_scan scan = page_scan(select, page->limit, arena, diag);
    while (page_scan_next(&scan)) {
        scan.error = read_row(select, arena, diag, &rows[scan.count]);
    }
    return page_scan_end(&scan, ret_count, ret_has_more);
}

/* The names of a stored array; they were written without escapes. */
static enum ph_error read_names(struct slice json, struct arena *arena, struct diag *diag,
                                const struct slice **ret_names, size_t *ret_count)
{
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    size_t count = 0;
    if (json.ptr == NULL) {
        return PH_OK;
    }
    scan_cursor_init(&cursor, json);
    while (scan_next_element(&cursor, &type, &value)) {
        count++;
    }
    struct slice *names = arena_calloc(arena, count, sizeof *names);
    if (names == NULL) {
        return diag_set(diag, PH_NO_MEMORY, NULL, "the sink needs more memory than its limit");
    }
    scan_cursor_init(&cursor, json);
    for (size_t index = 0; scan_next_element(&cursor, &type, &value); index++) {
        PH_ASSERT(type == SCAN_STRING);
        names[index] = (struct slice){value.ptr + 1, value.len - 2};
    }
    *ret_names = names;
    *ret_count = count;
    return PH_OK;
}

enum ph_error sink_filter(const struct sink_row *row, struct arena *arena, struct diag *diag,
                          struct message_filter *ret_filter)
{
    struct message_filter filter = {0};
    enum ph_error error =
        read_names(row->event_types, arena, diag, &filter.event_types, &filter.event_type_count);
    if (error == PH_OK) {
        error = read_names(row->channels, arena, diag, &filter.channels, &filter.channel_count);
    }
    if (error == PH_OK) {
        *ret_filter = filter;
    }
    return error;
}

static void bind_settings(struct db_statement *statement, const struct sink_row *row)
{
    PH_ASSERT(row->id > 0);
    db_bind_int64(statement, 1, row->id);
    db_bind_text(statement, 2, row->uid);
    db_bind_text(statement, 3, row->event_types);
    db_bind_text(statement, 4, row->channels);
    db_bind_int64(statement, 5, row->updated_at_us);
}

enum ph_error sink_insert(struct store *store, const struct sink_row *row, struct diag *diag)
{
    PH_ASSERT(row->application_id > 0);
    struct db_statement *insert =
        db_prepare(store->db, "INSERT INTO sink (id, uid, event_types, channels, updated_at,"
                              " created_at, application_id) VALUES ($1, $2, $3, $4, $5, $6, $7)");
    bind_settings(insert, row);
    db_bind_int64(insert, 6, row->created_at_us);
    db_bind_int64(insert, 7, row->application_id);
    enum ph_error error = db_exec(insert, diag);
    return error == PH_CONFLICT ? uid_taken(diag) : error;
}

enum ph_error sink_update(struct store *store, const struct sink_row *row, struct diag *diag)
{
    struct db_statement *update =
        db_prepare(store->db, "UPDATE sink SET uid = $2, event_types = $3, channels = $4,"
                              " updated_at = $5 WHERE id = $1");
    bind_settings(update, row);
    enum ph_error error = db_exec(update, diag);
    return error == PH_CONFLICT ? uid_taken(diag) : error;
}

enum ph_error sink_delete(struct store *store, int64_t id, struct diag *diag)
{
    enum ph_error error =
        exec_with_id(store, "DELETE FROM sink_consumer WHERE sink_id = $1", id, diag);
    return error == PH_OK ? exec_with_id(store, "DELETE FROM sink WHERE id = $1", id, diag) : error;
}

enum ph_error sink_delete_all(struct store *store, int64_t application_id, struct diag *diag)
{
    enum ph_error error = exec_with_id(store,
                                       "DELETE FROM sink_consumer WHERE sink_id IN"
                                       " (SELECT id FROM sink WHERE application_id = $1)",
                                       application_id, diag);
    return error == PH_OK ? exec_with_id(store, "DELETE FROM sink WHERE application_id = $1",
                                         application_id, diag)
                          : error;
}

/* --- consumers ---------------------------------------------------------------------------------
 */

enum ph_error sink_consumer_find(struct store *store, int64_t sink_id, struct slice name,
                                 struct diag *diag, struct sink_consumer *ret_consumer)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT position, sought, revision FROM sink_consumer"
                              " WHERE sink_id = $1 AND name = $2");
    db_bind_int64(select, 1, sink_id);
    db_bind_text(select, 2, name);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    *ret_consumer = (struct sink_consumer){.position = sink_id};
    if (has_row) {
        *ret_consumer = (struct sink_consumer){
            .position = db_int64(select, 0),
            .is_sought = db_int64(select, 1) != 0,
            .revision = db_int64(select, 2),
        };
        db_done(select);
    }
    return PH_OK;
}

/* Whether the sink is still there and has room for one more. */
static enum ph_error check_sink(struct store *store, int64_t sink_id, bool is_new,
                                struct diag *diag)
{
    int64_t count;
    struct db_statement *select = db_prepare(store->db, "SELECT count(*) FROM sink WHERE id = $1");
    db_bind_int64(select, 1, sink_id);
    enum ph_error error = db_read_int64(select, diag, &count);
    if (error == PH_OK && count == 0) {
        return entity_not_found(diag);
    }
    if (error == PH_OK && is_new) {
        select = db_prepare(store->db, "SELECT count(*) FROM sink_consumer WHERE sink_id = $1");
        db_bind_int64(select, 1, sink_id);
        error = db_read_int64(select, diag, &count);
        if (error == PH_OK && count >= SINK_CONSUMERS_MAX) {
            error = diag_set(diag, PH_BAD_REQUEST, NULL, "a sink has at most %d consumers",
                             SINK_CONSUMERS_MAX);
            diag_code(diag, "limit_reached");
        }
    }
    return error;
}

static enum ph_error has_moved(struct diag *diag)
{
    return diag_set(diag, PH_CONFLICT, NULL,
                    "another request has moved this consumer meanwhile; ask again");
}

static enum ph_error insert_consumer(struct store *store, int64_t sink_id, struct slice name,
                                     const struct sink_consumer *consumer, int64_t now_us,
                                     struct diag *diag)
{
    struct db_statement *insert = db_prepare(
        store->db,
        "INSERT INTO sink_consumer (sink_id, name, position, sought, updated_at, revision)"
        " VALUES ($1, $2, $3, $4, $5, 1)"
        " ON CONFLICT (sink_id, name) DO NOTHING");
    db_bind_int64(insert, 1, sink_id);
    db_bind_text(insert, 2, name);
    db_bind_int64(insert, 3, consumer->position);
    db_bind_int64(insert, 4, consumer->is_sought ? 1 : 0);
    db_bind_int64(insert, 5, now_us);
    return db_exec(insert, diag);
}

static enum ph_error update_consumer(struct store *store, int64_t sink_id, struct slice name,
                                     const struct sink_consumer *consumer, int64_t now_us,
                                     struct diag *diag)
{
    struct db_statement *update = db_prepare(
        store->db, "UPDATE sink_consumer SET position = $3, sought = $4, updated_at = $5,"
                   " revision = revision + 1"
                   " WHERE sink_id = $1 AND name = $2 AND revision = $6");
    db_bind_int64(update, 1, sink_id);
    db_bind_text(update, 2, name);
    db_bind_int64(update, 3, consumer->position);
    db_bind_int64(update, 4, consumer->is_sought ? 1 : 0);
    db_bind_int64(update, 5, now_us);
    db_bind_int64(update, 6, consumer->revision);
    return db_exec(update, diag);
}

enum ph_error sink_consumer_put(struct store *store, int64_t sink_id, struct slice name,
                                const struct sink_consumer *consumer, int64_t now_us,
                                struct diag *diag)
{
    bool is_new = consumer->revision == 0;
    enum ph_error error = check_sink(store, sink_id, is_new, diag);
    if (error == PH_OK) {
        error = is_new ? insert_consumer(store, sink_id, name, consumer, now_us, diag)
                       : update_consumer(store, sink_id, name, consumer, now_us, diag);
    }
    return error == PH_OK && db_changes(store->db) == 0 ? has_moved(diag) : error;
}
