/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters are judged here, not in SQL, so that a page knows how many rows it has examined and
 * where it stopped. Rows come in steps: PostgreSQL sends a whole result at once.
 */
#include "store/message_list.h"

#include "core/scan.h"
#include "store/store_int.h"

/* Rows of one query while a filter is on. */
#define STEP_ROWS 500

bool message_filter_is_empty(const struct message_filter *filter)
{
    return filter->channel.ptr == NULL && filter->tag.ptr == NULL &&
           filter->event_type_count == 0 && filter->channel_count == 0 &&
           (filter->also == NULL || message_filter_is_empty(filter->also));
}

static bool is_name(struct slice json, struct slice name)
{
    size_t at = 1; /* behind the quote */
    for (size_t index = 0; index < name.len; index++, at++) {
        at += name.ptr[index] == '\\';
        if (at + 1 >= json.len || json.ptr[at] != name.ptr[index]) {
            return false;
        }
    }
    return at + 1 == json.len;
}

/* A channel needs no JSON escape, so the quoted texts compare; a tag may have a backslash. */
static bool has_name(struct slice names, struct slice name)
{
    if (names.ptr == NULL) {
        return false;
    }
    struct scan_cursor cursor;
    scan_cursor_init(&cursor, names);
    enum scan_type type;
    struct slice value;
    while (scan_next_element(&cursor, &type, &value)) {
        if (type == SCAN_STRING && is_name(value, name)) {
            return true;
        }
    }
    return false;
}

bool message_filter_fits(const struct message_filter *filter, struct slice event_type,
                         struct slice channels, struct slice tags)
{
    bool fits = filter->event_type_count == 0;
    for (size_t index = 0; !fits && index < filter->event_type_count; index++) {
        fits = slice_equal(filter->event_types[index], event_type);
    }
    fits = fits && (filter->channel.ptr == NULL || has_name(channels, filter->channel)) &&
           (filter->tag.ptr == NULL || has_name(tags, filter->tag));
    bool has_channel = filter->channel_count == 0;
    for (size_t index = 0; fits && !has_channel && index < filter->channel_count; index++) {
        has_channel = has_name(channels, filter->channels[index]);
    }
    return fits && has_channel &&
           (filter->also == NULL || message_filter_fits(filter->also, event_type, channels, tags));
}

/* A page while it is gathered. */
struct gathering {
    const struct message_query *query;
    struct id_page page; /* its bounds move with each step */
    struct arena *arena;
    struct message_item *items;
    size_t examined;
    int64_t last_id; /* of the newest row examined, 0 = none */
    struct list_end end;
};

static enum ph_error copy_row(struct gathering *gathering, struct db_statement *select,
                              struct diag *diag)
{
    struct row_copier copier = {.row = select, .arena = gathering->arena};
    struct message_item *item = &gathering->items[gathering->end.count];
    *item = (struct message_item){
        .row = {.id = db_int64(select, 0),
                .application_id = gathering->query->application_id,
                .event_type = row_copy_text(&copier, 1),
                .event_id = row_copy_text(&copier, 2),
                .channels = row_copy_text(&copier, 3),
                .payload_expires_at_us = db_int64(select, 4),
                .tags = row_copy_text(&copier, 5),
                .deliver_at_us = db_int64(select, 6)},
    };
    enum ph_error error = row_copier_end(&copier, diag);
    gathering->end.count += error == PH_OK;
    return error;
}

#define PAGE_COLUMNS                                                                               \
    "SELECT id, event_type, event_id, channels, payload_expires_at, tags, deliver_at FROM message" \
    " WHERE application_id = $1 AND id > $2 AND id < $3"

static const char *page_query(bool is_descending, bool is_following)
{
    if (is_following) {
        PH_ASSERT(!is_descending);
        return PAGE_COLUMNS " AND {is_settled:tx} ORDER BY id LIMIT $4";
    }
    return is_descending ? PAGE_COLUMNS " ORDER BY id DESC LIMIT $4"
                         : PAGE_COLUMNS " ORDER BY id LIMIT $4";
}

/* One query of at most `rows` rows. *ret_ended: the page is complete, or nothing is left. */
static enum ph_error step(struct store *store, struct gathering *gathering, size_t rows,
                          struct diag *diag, bool *ret_ended)
{
    struct id_page *page = &gathering->page;
    struct db_statement *select =
        db_prepare(store->db, page_query(page->is_descending, gathering->query->is_following));
    db_bind_int64(select, 1, gathering->query->application_id);
    db_bind_int64(select, 2, page->lower);
    db_bind_int64(select, 3, page->upper);
    db_bind_int64(select, 4, (int64_t)rows);
    size_t taken = 0;
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        bool fits = message_filter_fits(&gathering->query->filter, db_text(select, 1),
                                        db_text(select, 3), db_text(select, 5));
        if (fits && page_is_full(gathering->end.count, page->limit, gathering->arena)) {
            gathering->end.has_more = true;
            break;
        }
        gathering->last_id = db_int64(select, 0);
        gathering->examined++;
        taken++;
        if (fits) {
            error = copy_row(gathering, select, diag);
            if (error != PH_OK) {
                break;
            }
        }
    }
    db_done(select);
    *ret_ended = gathering->end.has_more || taken < rows;
    return error;
}

static enum ph_error gather(struct store *store, struct gathering *gathering, struct diag *diag)
{
    bool is_filtered = !message_filter_is_empty(&gathering->query->filter);
    size_t rows = is_filtered ? STEP_ROWS : gathering->page.limit + 1;
    bool has_ended = false;
    enum ph_error error = PH_OK;
    while (error == PH_OK && !has_ended && gathering->examined < LIST_EXAMINED_MAX) {
        error = step(store, gathering, rows, diag, &has_ended);
        if (gathering->last_id != 0 && gathering->page.is_descending) {
            gathering->page.upper = gathering->last_id;
        } else if (gathering->last_id != 0) {
            gathering->page.lower = gathering->last_id;
        }
    }
    if (!has_ended) {
        gathering->end.has_more = true;
        gathering->end.last_examined_id = gathering->last_id;
    }
    gathering->end.passed_id = gathering->last_id;
    return error;
}

/* PH_OK with SLICE_NONE when it is gone, or cannot be opened: one bad row ends no list. */
static enum ph_error read_payload(struct store *store, struct message_item *item, int64_t now_us,
                                  struct arena *arena, struct diag *diag)
{
    if (item->row.payload_expires_at_us <= now_us) {
        return PH_OK;
    }
    enum ph_error error = message_payload(store, item->row.id, arena, diag, &item->payload);
    return error == PH_NOT_FOUND || error == PH_SEALED ? PH_OK : error;
}

enum ph_error message_page(struct store *store, const struct message_query *query,
                           struct arena *arena, struct diag *diag, struct message_item *items,
                           struct list_end *ret_end)
{
    struct gathering gathering = {
        .query = query,
        .page = query->page,
        .arena = arena,
        .items = items,
    };
    enum ph_error error = gather(store, &gathering, diag);
    size_t count = query->with_payload ? gathering.end.count : 0;
    for (size_t index = 0; error == PH_OK && index < count; index++) {
        if (index > 0 && arena->used_bytes > PAGE_BYTES_MAX) {
            gathering.end = (struct list_end){
                .count = index, .has_more = true, .passed_id = items[index - 1].row.id};
            break;
        }
        error = read_payload(store, &items[index], query->now_us, arena, diag);
    }
    if (error == PH_OK) {
        *ret_end = gathering.end;
    }
    return error;
}

enum ph_error message_item_find(struct store *store, const struct message_query *query,
                                int64_t message_id, struct arena *arena, struct diag *diag,
                                struct message_item *ret_item)
{
    struct message_item item = {0};
    enum ph_error error =
        message_find(store, query->application_id, message_id, arena, diag, &item.row);
    if (error == PH_OK && query->with_payload) {
        error = read_payload(store, &item, query->now_us, arena, diag);
    }
    if (error == PH_OK) {
        *ret_item = item;
    }
    return error;
}
