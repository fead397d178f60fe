/* SPDX-License-Identifier: Apache-2.0 */
#include "store/event_type.h"

#include "store/store_int.h"

#define COLUMNS                                                                                    \
    "id, org, name, description, archived, deprecated, schemas, feature_flags, group_name,"        \
    " created_at, updated_at, validate_payload"
#define COLUMNS_WITHOUT_SCHEMAS                                                                    \
    "id, org, name, description, archived, deprecated, NULL, feature_flags, group_name,"           \
    " created_at, updated_at, validate_payload"

static enum ph_error read_row(struct db_statement *select, struct arena *arena, struct diag *diag,
                              struct event_type_row *ret_row)
{
    struct row_copier copier = {.row = select, .arena = arena};
    struct event_type_row row = {
        .id = db_int64(select, 0),
        .org = row_copy_text(&copier, 1),
        .name = row_copy_text(&copier, 2),
        .description = row_copy_text(&copier, 3),
        .is_archived = db_int64(select, 4) != 0,
        .is_deprecated = db_int64(select, 5) != 0,
        .schemas = row_copy_text(&copier, 6),
        .feature_flags = row_copy_text(&copier, 7),
        .group_name = row_copy_text(&copier, 8),
        .created_at_us = db_int64(select, 9),
        .updated_at_us = db_int64(select, 10),
        .validates_payload = db_int64(select, 11) != 0,
    };
    enum ph_error error = row_copier_end(&copier, diag);
    if (error == PH_OK) {
        *ret_row = row;
    }
    return error;
}

enum ph_error event_type_find(struct store *store, struct slice org, struct slice name,
                              struct arena *arena, struct diag *diag,
                              struct event_type_row *ret_row)
{
    bool has_row = false;
    enum ph_error error = PH_OK;
    struct db_statement *select = NULL;
    if (slice_is_utf8_text(name)) {
        select = db_prepare(store->db, "SELECT " COLUMNS " FROM event_type"
                                       " WHERE org = $1 AND name = $2");
        db_bind_text(select, 1, org);
        db_bind_text(select, 2, name);
        error = db_step(select, diag, &has_row);
    }
    if (error != PH_OK) {
        return error;
    }
    if (!has_row) {
        return diag_set(diag, PH_NOT_FOUND, NULL, "Entity not found");
    }
    error = read_row(select, arena, diag, ret_row);
    db_done(select);
    return error;
}

enum ph_error event_type_is_active(struct store *store, struct slice org, struct slice name,
                                   struct diag *diag, bool *ret_is_active)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT id FROM event_type"
                              " WHERE org = $1 AND name = $2 AND archived = 0");
    db_bind_text(select, 1, org);
    db_bind_text(select, 2, name);
    return db_read_exists(select, diag, ret_is_active);
}

enum ph_error event_type_each_validating(struct store *store, size_t max,
                                         void (*take)(void *context, struct slice org,
                                                      struct slice name),
                                         void *context, struct diag *diag)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT org, name FROM event_type"
                              " WHERE validate_payload <> 0 AND archived = 0 LIMIT $1");
    db_bind_int64(select, 1, (int64_t)max);
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        take(context, db_text(select, 0), db_text(select, 1));
    }
    db_done(select);
    return error;
}

/* Open bounds become impossible names: "" is below all, U+10FFFF above all (names are ASCII). */
static void bind_bounds(struct db_statement *select, const struct event_type_page *page)
{
    static const struct slice lowest = {"", 0};
    static const struct slice highest = {"\xf4\x8f\xbf\xbf", 4};
    db_bind_text(select, 2, page->lower.ptr == NULL ? lowest : page->lower);
    db_bind_text(select, 3, page->upper.ptr == NULL ? highest : page->upper);
}

#define PAGE_FILTER                                                                                \
    " FROM event_type WHERE org = $1 AND name > $2 AND name < $3 AND archived <= $4 ORDER BY name"

static const char *page_query(const struct event_type_page *page)
{
    if (page->is_descending) {
        return page->with_schemas ? "SELECT " COLUMNS PAGE_FILTER " DESC LIMIT $5"
                                  : "SELECT " COLUMNS_WITHOUT_SCHEMAS PAGE_FILTER " DESC LIMIT $5";
    }
    return page->with_schemas ? "SELECT " COLUMNS PAGE_FILTER " LIMIT $5"
                              : "SELECT " COLUMNS_WITHOUT_SCHEMAS PAGE_FILTER " LIMIT $5";
}

enum ph_error event_type_page(struct store *store, struct slice org,
                              const struct event_type_page *page, struct arena *arena,
                              struct diag *diag, struct event_type_row *rows, size_t *ret_count,
                              bool *ret_has_more)
{
    struct db_statement *select = db_prepare(store->db, page_query(page));
    db_bind_text(select, 1, org);
    bind_bounds(select, page);
    db_bind_int64(select, 4, page->with_archived ? 1 : 0);
    db_bind_int64(select, 5, (int64_t)page->limit + 1);
    struct page_scan scan = page_scan(select, page->limit, arena, diag);
    while (page_scan_next(&scan)) {
        scan.error = read_row(select, arena, diag, &rows[scan.count]);
    }
    return page_scan_end(&scan, ret_count, ret_has_more);
}

/* The columns that insert and update share; 1 is the id. */
static void bind_settings(struct db_statement *statement, const struct event_type_row *row)
{
    PH_ASSERT(row->id > 0 && row->description.ptr != NULL);
    db_bind_int64(statement, 1, row->id);
    db_bind_text(statement, 2, row->description);
    db_bind_int64(statement, 3, row->is_archived ? 1 : 0);
    db_bind_int64(statement, 4, row->is_deprecated ? 1 : 0);
    db_bind_text(statement, 5, row->schemas);
    db_bind_text(statement, 6, row->feature_flags);
    db_bind_text(statement, 7, row->group_name);
    db_bind_int64(statement, 8, row->updated_at_us);
    db_bind_int64(statement, 9, row->validates_payload ? 1 : 0);
}

enum ph_error event_type_insert(struct store *store, const struct event_type_row *row,
                                struct diag *diag)
{
    PH_ASSERT(row->org.len > 0 && row->name.len > 0);
    struct db_statement *insert = db_prepare(
        store->db, "INSERT INTO event_type (id, description, archived, deprecated, schemas,"
                   " feature_flags, group_name, updated_at, validate_payload, created_at, org,"
                   " name)"
                   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)");
    bind_settings(insert, row);
    db_bind_int64(insert, 10, row->created_at_us);
    db_bind_text(insert, 11, row->org);
    db_bind_text(insert, 12, row->name);
    enum ph_error error = db_exec(insert, diag);
    if (error == PH_CONFLICT) {
        error = diag_set(diag, PH_CONFLICT, NULL, "An event_type with that name already exists");
        diag_code(diag, "event_type_exists");
    }
    return error;
}

enum ph_error event_type_update(struct store *store, const struct event_type_row *row,
                                struct diag *diag)
{
    struct db_statement *update = db_prepare(
        store->db, "UPDATE event_type SET description = $2, archived = $3, deprecated = $4,"
                   " schemas = $5, feature_flags = $6, group_name = $7, updated_at = $8,"
                   " validate_payload = $9 WHERE id = $1");
    bind_settings(update, row);
    return db_exec(update, diag);
}

/* The first `max` that are active and not kept. */
static enum ph_error find_others(struct store *store, struct slice org,
                                 bool (*is_kept)(void *context, struct slice name), void *context,
                                 size_t max, struct diag *diag, int64_t *ids, size_t *ret_count)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT id, name FROM event_type WHERE org = $1 AND archived = 0"
                              " ORDER BY name");
    db_bind_text(select, 1, org);
    size_t count = 0;
    bool has_row = false;
    enum ph_error error = PH_OK;
    while (count < max && (error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        if (!is_kept(context, db_text(select, 1))) {
            ids[count++] = db_int64(select, 0);
        }
    }
    db_done(select);
    *ret_count = count;
    return error;
}

enum ph_error event_type_archive_others(struct store *store, struct slice org, int64_t now_us,
                                        bool (*is_kept)(void *context, struct slice name),
                                        void *context, size_t max, struct diag *diag,
                                        bool *ret_has_more)
{
    int64_t ids[EVENT_TYPE_ARCHIVE_MAX];
    size_t count;
    PH_ASSERT(max > 0 && max <= PH_ARRAY_LENGTH(ids));
    enum ph_error error = find_others(store, org, is_kept, context, max, diag, ids, &count);
    for (size_t index = 0; error == PH_OK && index < count; index++) {
        struct db_statement *update = db_prepare(
            store->db, "UPDATE event_type SET archived = 1, updated_at = $2 WHERE id = $1");
        db_bind_int64(update, 1, ids[index]);
        db_bind_int64(update, 2, now_us);
        error = db_exec(update, diag);
    }
    *ret_has_more = error == PH_OK && count == max;
    return error;
}

enum ph_error event_type_delete(struct store *store, int64_t id, struct diag *diag)
{
    struct db_statement *statement = db_prepare(store->db, "DELETE FROM event_type WHERE id = $1");
    db_bind_int64(statement, 1, id);
    return db_exec(statement, diag);
}
