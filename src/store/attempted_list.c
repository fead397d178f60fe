/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of a message at each endpoint, and of the messages of one endpoint. No index leads
 * from an endpoint to all its deliveries (it would cost every ingest), so the second walks the
 * application's messages and looks at each one's delivery by key.
 */
#include "store/attempt_list.h"

#include "store/delivery.h"
#include "store/store_int.h"

/* Messages that one step fetches; also how many views are read before the page is looked at. */
#define STEP_MESSAGES 250

enum attempt_status attempt_status_of(const struct delivery_view *view, bool is_expanded)
{
    bool was_tried = view->latest_status != ATTEMPT_ANY_STATUS;
    if (!view->has_delivery) {
        return view->latest_status == ATTEMPT_SUCCESS ? ATTEMPT_STATUS_SUCCESS
                                                      : ATTEMPT_STATUS_FAIL;
    }
    switch (view->state) {
    case DELIVERY_SUCCEEDED:
        return ATTEMPT_STATUS_SUCCESS;
    case DELIVERY_PENDING:
        return was_tried ? ATTEMPT_STATUS_SENDING : ATTEMPT_STATUS_PENDING;
    case DELIVERY_CANCELLED:
        return was_tried && !is_expanded ? ATTEMPT_STATUS_FAIL : ATTEMPT_STATUS_CANCELED;
    case DELIVERY_FAILED:
    case DELIVERY_STATE_COUNT:
        break;
    }
    return ATTEMPT_STATUS_FAIL;
}

/* `+endpoint_id`: the few attempts of the message are walked, not the many of the endpoint. */
static enum ph_error read_latest(struct store *store, int64_t message_id, int64_t endpoint_id,
                                 struct diag *diag, int64_t *ret_status)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT status FROM attempt WHERE message_id = $1"
                              " AND +endpoint_id = $2 ORDER BY id DESC LIMIT 1");
    db_bind_int64(select, 1, message_id);
    db_bind_int64(select, 2, endpoint_id);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error == PH_OK) {
        *ret_status = has_row ? db_int64(select, 0) : ATTEMPT_ANY_STATUS;
        db_done(select);
    }
    return error;
}

static enum ph_error read_view(struct store *store, int64_t message_id, int64_t endpoint_id,
                               struct diag *diag, struct delivery_view *ret_view)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT state, next_attempt_at FROM delivery"
                              " WHERE message_id = $1 AND endpoint_id = $2");
    db_bind_int64(select, 1, message_id);
    db_bind_int64(select, 2, endpoint_id);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    struct delivery_view view = {.has_delivery = has_row};
    if (has_row) {
        int64_t state = db_int64(select, 0);
        PH_ASSERT(state >= 0 && state < DELIVERY_STATE_COUNT);
        view.state = (enum delivery_state)state;
        int64_t next_us = db_int64(select, 1);
        view.next_attempt_at_us = next_us == DELIVERY_WAITS_US ? 0 : next_us;
        db_done(select);
    }
    error = read_latest(store, message_id, endpoint_id, diag, &view.latest_status);
    if (error == PH_OK) {
        *ret_view = view;
    }
    return error;
}

/* --- messages of an endpoint ------------------------------------------------------------------ */

/* A page while it is gathered. */
struct gathering {
    const struct attempted_query *query;
    struct id_page page; /* its bounds move with each step */
    struct arena *arena;
    struct attempted_message *rows;
    size_t examined;
    struct list_end end;
};

/* The next messages by id alone: most of them are only looked at. */
static enum ph_error next_ids(struct store *store, const struct gathering *gathering, int64_t *ids,
                              struct diag *diag, size_t *ret_count)
{
    const struct id_page *page = &gathering->page;
    struct db_statement *select =
        db_prepare(store->db, page->is_descending
                                  ? "SELECT id FROM message WHERE application_id = $1 AND id > $2"
                                    " AND id < $3 ORDER BY id DESC LIMIT $4"
                                  : "SELECT id FROM message WHERE application_id = $1 AND id > $2"
                                    " AND id < $3 ORDER BY id LIMIT $4");
    db_bind_int64(select, 1, gathering->query->messages.application_id);
    db_bind_int64(select, 2, page->lower);
    db_bind_int64(select, 3, page->upper);
    db_bind_int64(select, 4, STEP_MESSAGES);
    size_t count = 0;
    for (;;) {
        bool has_row;
        enum ph_error error = db_step(select, diag, &has_row);
        if (error != PH_OK) {
            return error;
        }
        if (!has_row) {
            break;
        }
        PH_ASSERT(count < STEP_MESSAGES);
        ids[count++] = db_int64(select, 0);
    }
    *ret_count = count;
    return PH_OK;
}

/* Looks at one message and takes it when it belongs to the page. */
static enum ph_error examine(struct store *store, struct gathering *gathering, int64_t message_id,
                             struct diag *diag)
{
    const struct attempted_query *query = gathering->query;
    struct delivery_view view;
    enum ph_error error = read_view(store, message_id, query->endpoint_id, diag, &view);
    if (error != PH_OK || view.latest_status == ATTEMPT_ANY_STATUS ||
        (query->is_wanted != NULL && !query->is_wanted(query->context, &view))) {
        return error;
    }
    struct attempted_message row = {.view = view};
    struct message_query bare = query->messages;
    bare.with_payload = false;
    error = message_item_find(store, &bare, message_id, gathering->arena, diag, &row.message);
    if (error != PH_OK || !message_filter_fits(&query->messages.filter, row.message.row.event_type,
                                               row.message.row.channels, row.message.row.tags)) {
        return error;
    }
    if (page_is_full(gathering->end.count, gathering->page.limit, gathering->arena)) {
        gathering->end.has_more = true;
        return PH_OK;
    }
    if (query->messages.with_payload) {
        error = message_item_find(store, &query->messages, message_id, gathering->arena, diag,
                                  &row.message);
    }
    if (error == PH_OK) {
        gathering->rows[gathering->end.count++] = row;
    }
    return error;
}

static enum ph_error step(struct store *store, struct gathering *gathering, struct diag *diag,
                          bool *ret_ended)
{
    int64_t ids[STEP_MESSAGES];
    size_t count = 0;
    enum ph_error error = next_ids(store, gathering, ids, diag, &count);
    for (size_t index = 0; error == PH_OK && index < count && !gathering->end.has_more; index++) {
        error = examine(store, gathering, ids[index], diag);
    }
    gathering->examined += count;
    if (count > 0 && gathering->page.is_descending) {
        gathering->page.upper = ids[count - 1];
    } else if (count > 0) {
        gathering->page.lower = ids[count - 1];
    }
    *ret_ended = gathering->end.has_more || count < STEP_MESSAGES;
    return error;
}

enum ph_error attempted_message_page(struct store *store, const struct attempted_query *query,
                                     struct arena *arena, struct diag *diag,
                                     struct attempted_message *rows, struct list_end *ret_end)
{
    struct gathering gathering = {
        .query = query,
        .page = query->messages.page,
        .arena = arena,
        .rows = rows,
    };
    bool has_ended = false;
    enum ph_error error = PH_OK;
    while (error == PH_OK && !has_ended && gathering.examined < LIST_EXAMINED_MAX) {
        error = step(store, &gathering, diag, &has_ended);
    }
    if (error != PH_OK) {
        return error;
    }
    if (!has_ended) {
        const struct id_page *page = &gathering.page;
        gathering.end.has_more = true;
        gathering.end.last_examined_id = page->is_descending ? page->upper : page->lower;
    }
    *ret_end = gathering.end;
    return PH_OK;
}

/* --- endpoints of a message ------------------------------------------------------------------- */

#define SELECT_ENDPOINTS                                                                           \
    "SELECT " ENDPOINT_ROW_COLUMNS " FROM endpoint WHERE id IN"                                    \
    " (SELECT delivery.endpoint_id FROM delivery WHERE delivery.message_id = $1"                   \
    " UNION SELECT attempt.endpoint_id FROM attempt WHERE attempt.message_id = $1)"                \
    " AND id > $2 AND id < $3"

enum ph_error attempted_endpoint_page(struct store *store, int64_t message_id,
                                      const struct id_page *page, struct arena *arena,
                                      struct diag *diag, struct attempted_endpoint *rows,
                                      struct list_end *ret_end)
{
    struct db_statement *select =
        db_prepare(store->db, page->is_descending ? SELECT_ENDPOINTS " ORDER BY id DESC LIMIT $4"
                                                  : SELECT_ENDPOINTS " ORDER BY id LIMIT $4");
    db_bind_int64(select, 1, message_id);
    bind_page(select, 2, page);
    struct page_scan scan = page_scan(select, page->limit, arena, diag);
    while (page_scan_next(&scan)) {
        scan.error = endpoint_read_row(store, select, 0, arena, diag, &rows[scan.count].endpoint);
    }
    struct list_end end = {0};
    enum ph_error error = page_scan_end(&scan, &end.count, &end.has_more);
    for (size_t index = 0; error == PH_OK && index < end.count; index++) {
        error = read_view(store, message_id, rows[index].endpoint.id, diag, &rows[index].view);
    }
    if (error == PH_OK) {
        *ret_end = end;
    }
    return error;
}
