/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As in message_list.c filters are judged here and rows come in steps. What is wide (responses) is
 * read by key for the rows that stay.
 */
#include "store/attempt_list.h"

#include "store/attempt_list_int.h"

#define STEP_ROWS 500

/* --- attempts --------------------------------------------------------------------------------- */

#define SELECT_ATTEMPTS                                                                            \
    "SELECT " ATTEMPT_COLUMNS ", message.event_type, message.event_id, message.channels,"          \
    " message.tags, message.deliver_at"                                                            \
    " FROM attempt JOIN message ON message.id = attempt.message_id"

/* A page while it is gathered. */
struct gathering {
    const struct attempt_query *query;
    struct id_page page; /* its bounds move with each step */
    struct arena *arena;
    struct attempt_row *rows;
    size_t examined;
    int64_t last_id; /* of the newest row examined, 0 = none */
    struct list_end end;
};

static struct db_statement *prepare_page(struct store *store, const struct attempt_filter *filter,
                                         const struct id_page *page)
{
    struct db_statement *select;
    if (filter->message_id != 0) {
        select = db_prepare(store->db, page->is_descending ? SELECT_ATTEMPTS
                                           " WHERE attempt.message_id = $1 AND attempt.id > $2"
                                           " AND attempt.id < $3 ORDER BY attempt.id DESC LIMIT $4"
                                                           : SELECT_ATTEMPTS
                                           " WHERE attempt.message_id = $1 AND attempt.id > $2"
                                           " AND attempt.id < $3 ORDER BY attempt.id LIMIT $4");
        db_bind_int64(select, 1, filter->message_id);
    } else {
        select = db_prepare(store->db, page->is_descending ? SELECT_ATTEMPTS
                                           " WHERE attempt.endpoint_id = $1 AND attempt.id > $2"
                                           " AND attempt.id < $3 ORDER BY attempt.id DESC LIMIT $4"
                                                           : SELECT_ATTEMPTS
                                           " WHERE attempt.endpoint_id = $1 AND attempt.id > $2"
                                           " AND attempt.id < $3 ORDER BY attempt.id LIMIT $4");
        db_bind_int64(select, 1, filter->endpoint_id);
    }
    db_bind_int64(select, 2, page->lower);
    db_bind_int64(select, 3, page->upper);
    return select;
}

static bool fits(const struct attempt_filter *filter, struct db_statement *row)
{
    int64_t code = db_int64(row, 4);
    return (filter->endpoint_id == 0 || db_int64(row, 2) == filter->endpoint_id) &&
           (filter->status == ATTEMPT_ANY_STATUS || db_int64(row, 3) == filter->status) &&
           (filter->code_class == ATTEMPT_ANY_CLASS || code / 100 * 100 == filter->code_class) &&
           message_filter_fits(&filter->message, db_text(row, ATTEMPT_COLUMN_COUNT),
                               db_text(row, ATTEMPT_COLUMN_COUNT + 2),
                               db_text(row, ATTEMPT_COLUMN_COUNT + 3));
}

void attempt_read_columns(struct row_copier *copier, struct attempt_row *ret_row)
{
    struct db_statement *row = copier->row;
    *ret_row = (struct attempt_row){
        .id = db_int64(row, 0),
        .message_id = db_int64(row, 1),
        .endpoint_id = db_int64(row, 2),
        .status = db_int64(row, 3),
        .response_code = db_int64(row, 4),
        .duration_ms = db_int64(row, 5),
        .is_manual = db_int64(row, 6) != 0,
        .url = row_copy_text(copier, 7),
    };
}

static enum ph_error copy_attempt(struct gathering *gathering, struct db_statement *row,
                                  struct diag *diag)
{
    struct row_copier copier = {.row = row, .arena = gathering->arena};
    struct attempt_row *copy = &gathering->rows[gathering->end.count];
    attempt_read_columns(&copier, copy);
    if (gathering->query->with_message) {
        copy->message = (struct message_row){
            .id = copy->message_id,
            .application_id = gathering->query->application_id,
            .event_type = row_copy_text(&copier, ATTEMPT_COLUMN_COUNT),
            .event_id = row_copy_text(&copier, ATTEMPT_COLUMN_COUNT + 1),
            .channels = row_copy_text(&copier, ATTEMPT_COLUMN_COUNT + 2),
            .tags = row_copy_text(&copier, ATTEMPT_COLUMN_COUNT + 3),
            .deliver_at_us = db_int64(row, ATTEMPT_COLUMN_COUNT + 4),
        };
    }
    enum ph_error error = row_copier_end(&copier, diag);
    gathering->end.count += error == PH_OK;
    return error;
}

/* One query of at most `count` rows. *ret_ended: the page is complete, or nothing is left. */
static enum ph_error step(struct store *store, struct gathering *gathering, size_t count,
                          struct diag *diag, bool *ret_ended)
{
    struct id_page *page = &gathering->page;
    struct db_statement *select = prepare_page(store, &gathering->query->filter, page);
    db_bind_int64(select, 4, (int64_t)count);
    size_t taken = 0;
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        bool is_wanted = fits(&gathering->query->filter, select);
        if (is_wanted && page_is_full(gathering->end.count, page->limit, gathering->arena)) {
            gathering->end.has_more = true;
            break;
        }
        gathering->last_id = db_int64(select, 0);
        gathering->examined++;
        taken++;
        if (is_wanted) {
            error = copy_attempt(gathering, select, diag);
            if (error != PH_OK) {
                break;
            }
        }
    }
    db_done(select);
    if (gathering->last_id != 0 && page->is_descending) {
        page->upper = gathering->last_id;
    } else if (gathering->last_id != 0) {
        page->lower = gathering->last_id;
    }
    *ret_ended = gathering->end.has_more || taken < count;
    return error;
}

enum ph_error attempt_response(struct store *store, int64_t attempt_id, struct arena *arena,
                               struct diag *diag, struct slice *ret_response)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT response FROM attempt WHERE id = $1");
    db_bind_int64(select, 1, attempt_id);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK || !has_row) {
        return error;
    }
    struct slice response = db_blob(select, 0);
    if (response.ptr != NULL) {
        response.ptr = arena_dup(arena, response);
        if (response.ptr == NULL) {
            error =
                diag_set(diag, PH_NO_MEMORY, NULL, "the rows need more memory than their limit");
        }
    }
    db_done(select);
    if (error == PH_OK) {
        *ret_response = response;
    }
    return error;
}

/* Whether rows may be examined that do not get into the page. */
static bool is_filtered(const struct attempt_filter *filter)
{
    return filter->status != ATTEMPT_ANY_STATUS || filter->code_class != ATTEMPT_ANY_CLASS ||
           (filter->endpoint_id != 0 && filter->message_id != 0) ||
           !message_filter_is_empty(&filter->message);
}

enum ph_error attempt_page(struct store *store, const struct attempt_query *query,
                           struct arena *arena, struct diag *diag, struct attempt_row *rows,
                           struct list_end *ret_end)
{
    PH_ASSERT(query->filter.endpoint_id != 0 || query->filter.message_id != 0);
    struct gathering gathering = {
        .query = query,
        .page = query->page,
        .arena = arena,
        .rows = rows,
    };
    size_t step_rows = is_filtered(&query->filter) ? STEP_ROWS : query->page.limit + 1;
    bool has_ended = false;
    enum ph_error error = PH_OK;
    while (error == PH_OK && !has_ended && gathering.examined < LIST_EXAMINED_MAX) {
        error = step(store, &gathering, step_rows, diag, &has_ended);
    }
    struct list_end *end = &gathering.end;
    if (!has_ended) {
        end->has_more = true;
        end->last_examined_id = gathering.last_id;
    }
    size_t count = query->with_response ? end->count : 0;
    for (size_t index = 0; error == PH_OK && index < count; index++) {
        if (index > 0 && arena->used_bytes > PAGE_BYTES_MAX) {
            *end = (struct list_end){.count = index, .has_more = true};
            break;
        }
        error = attempt_response(store, rows[index].id, arena, diag, &rows[index].response);
    }
    if (error == PH_OK) {
        *ret_end = *end;
    }
    return error;
}

enum ph_error attempt_find(struct store *store, int64_t message_id, int64_t attempt_id,
                           struct arena *arena, struct diag *diag, struct attempt_row *ret_row)
{
    struct db_statement *select = db_prepare(
        store->db, "SELECT " ATTEMPT_COLUMNS " FROM attempt WHERE id = $1 AND message_id = $2");
    db_bind_int64(select, 1, attempt_id);
    db_bind_int64(select, 2, message_id);
    enum ph_error error = db_find_row(select, "Entity not found", diag);
    if (error != PH_OK) {
        return error;
    }
    struct row_copier copier = {.row = select, .arena = arena};
    struct attempt_row row;
    attempt_read_columns(&copier, &row);
    error = row_copier_end(&copier, diag);
    db_done(select);
    if (error == PH_OK) {
        error = attempt_response(store, attempt_id, arena, diag, &row.response);
    }
    if (error == PH_OK) {
        *ret_row = row;
    }
    return error;
}

enum ph_error attempt_expunge(struct store *store, int64_t message_id, int64_t attempt_id,
                              struct diag *diag)
{
    struct db_statement *update = db_prepare(
        store->db, "UPDATE attempt SET response = NULL WHERE id = $1 AND message_id = $2");
    db_bind_int64(update, 1, attempt_id);
    db_bind_int64(update, 2, message_id);
    enum ph_error error = db_exec(update, diag);
    if (error == PH_OK && db_changes(store->db) == 0) {
        error = entity_not_found(diag);
    }
    return error;
}
