/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An attempt's row does not name its application, and there is no index over an application's
 * attempts: each endpoint has one, and a page must merge them by id. So the page is a span of ids,
 * found first by counting in those indexes: wide when little happened, narrow when much did, down
 * to the one id that always fits. Then its rows are read in one go.
 */
#include "store/event_list.h"

#include "store/attempt_list_int.h"
#include "store/store_int.h"

/* About two seconds of ids. */
#define FIRST_WIDTH (INT64_C(1) << 32)
#define WIDTH_FACTOR 8

static enum ph_error newest_attempt(struct store *store, struct diag *diag, int64_t *ret_id)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT id FROM attempt ORDER BY id DESC LIMIT 1");
    return db_read_int64(select, diag, ret_id);
}

/* Attempts of one application with ids above `lower`, up to `upper`. */
struct span {
    int64_t application_id;
    int64_t lower;
    int64_t upper;
};

/* How many there are, at most `most`. The order of the join is meant: from each endpoint into its
 * own index. */
static enum ph_error count_attempts(struct store *store, const struct span *span, size_t most,
                                    struct diag *diag, size_t *ret_count)
{
    struct db_statement *select = db_prepare(
        store->db, "SELECT count(*) FROM (SELECT 1 FROM endpoint CROSS JOIN attempt"
                   " WHERE endpoint.application_id = $1 AND attempt.endpoint_id = endpoint.id"
                   " AND attempt.id > $2 AND attempt.id <= $3 LIMIT $4) AS found");
    db_bind_int64(select, 1, span->application_id);
    db_bind_int64(select, 2, span->lower);
    db_bind_int64(select, 3, span->upper);
    db_bind_int64(select, 4, (int64_t)most);
    int64_t count;
    enum ph_error error = db_read_int64(select, diag, &count);
    if (error == PH_OK) {
        *ret_count = (size_t)count;
    }
    return error;
}

/* The greatest id up to which there are no more attempts than the limit, as far as the spans tell;
 * `last` when that is all. */
static enum ph_error find_bound(struct store *store, const struct event_query *query, int64_t last,
                                struct diag *diag, int64_t *ret_bound)
{
    int64_t bound = query->after_id;
    int64_t width = FIRST_WIDTH;
    size_t found = 0;
    while (bound < last) {
        int64_t to = last - bound > width ? bound + width : last;
        const struct span span = {query->application_id, bound, to};
        size_t count;
        enum ph_error error = count_attempts(store, &span, query->limit - found + 1, diag, &count);
        if (error != PH_OK) {
            return error;
        }
        if (found + count <= query->limit) {
            found += count;
            bound = to;
            width = width > INT64_MAX / WIDTH_FACTOR ? INT64_MAX : width * WIDTH_FACTOR;
        } else if (found > 0) {
            break;
        } else {
            width = (to - bound + WIDTH_FACTOR - 1) / WIDTH_FACTOR;
        }
    }
    *ret_bound = bound;
    return PH_OK;
}

static enum ph_error copy_attempt(struct db_statement *select, const struct event_query *query,
                                  struct diag *diag, struct event_row *ret_row)
{
    struct row_copier copier = {.row = select, .arena = query->arena};
    *ret_row = (struct event_row){.is_attempt = true};
    attempt_read_columns(&copier, &ret_row->attempt);
    ret_row->id = ret_row->attempt.id;
    ret_row->message.id = ret_row->attempt.message_id;
    ret_row->message.application_id = query->application_id;
    ret_row->message.event_type = row_copy_text(&copier, ATTEMPT_COLUMN_COUNT);
    return row_copier_end(&copier, diag);
}

/* The attempts up to a bound that was found. */
static enum ph_error read_attempts(struct store *store, const struct event_query *query,
                                   int64_t bound, struct diag *diag, struct event_row *rows,
                                   size_t *ret_count)
{
    struct db_statement *select = db_prepare(
        store->db, "SELECT " ATTEMPT_COLUMNS ", message.event_type FROM endpoint"
                   " CROSS JOIN attempt JOIN message ON message.id = attempt.message_id"
                   " WHERE endpoint.application_id = $1 AND attempt.endpoint_id = endpoint.id"
                   " AND attempt.id > $2 AND attempt.id <= $3 ORDER BY attempt.id");
    db_bind_int64(select, 1, query->application_id);
    db_bind_int64(select, 2, query->after_id);
    db_bind_int64(select, 3, bound);
    size_t count = 0;
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        PH_ASSERT(count < query->limit); /* they were counted in the same snapshot */
        error = copy_attempt(select, query, diag, &rows[count++]);
        if (error != PH_OK) {
            break;
        }
    }
    db_done(select);
    *ret_count = count;
    return error;
}

/* Merges `messages` up to `bound` into the `attempts` rows that stand at the front, from the end.
 * Returns the number of rows. */
static size_t merge(struct event_row *rows, size_t attempts, const struct message_item *messages,
                    size_t message_count, int64_t bound)
{
    while (message_count > 0 && messages[message_count - 1].row.id > bound) {
        message_count--;
    }
    size_t total = attempts + message_count;
    for (size_t place = total; message_count > 0; place--) {
        const struct message_row *message = &messages[message_count - 1].row;
        if (attempts > 0 && rows[attempts - 1].id > message->id) {
            rows[place - 1] = rows[--attempts];
        } else {
            rows[place - 1] = (struct event_row){.id = message->id, .message = *message};
            message_count--;
        }
    }
    return total;
}

enum ph_error event_page(struct store *store, const struct event_query *query, struct diag *diag,
                         struct event_row *rows, struct event_end *ret_end)
{
    PH_ASSERT(query->limit >= 1 && query->limit <= EVENT_PAGE_MAX);
    PH_AUTO_FREE struct message_item *messages = ph_calloc(query->limit, sizeof *messages);
    const struct message_query wanted = {
        .application_id = query->application_id,
        .page = {.lower = query->after_id, .upper = INT64_MAX, .limit = query->limit},
    };
    struct list_end end = {0};
    int64_t last = 0;
    enum ph_error error = message_page(store, &wanted, query->arena, diag, messages, &end);
    if (error == PH_OK) {
        error = newest_attempt(store, diag, &last);
    }
    if (error != PH_OK) {
        return error;
    }
    int64_t last_message = end.count > 0 ? messages[end.count - 1].row.id : 0;
    if (end.has_more || last_message > last) {
        last = last_message;
    }
    int64_t bound = last;
    size_t count = 0;
    error = find_bound(store, query, last, diag, &bound);
    if (error == PH_OK) {
        error = read_attempts(store, query, bound, diag, rows, &count);
    }
    if (error == PH_OK) {
        *ret_end = (struct event_end){
            .count = merge(rows, count, messages, end.count, bound),
            .last_id = bound,
            .has_more = end.has_more || bound < last,
        };
    }
    return error;
}

enum ph_error event_content(struct store *store, const struct event_row *row, int64_t now_us,
                            struct arena *arena, struct diag *diag, struct slice *ret_content)
{
    *ret_content = SLICE_NONE;
    if (row->is_attempt) {
        return attempt_response(store, row->id, arena, diag, ret_content);
    }
    if (row->message.payload_expires_at_us <= now_us) {
        return PH_OK;
    }
    enum ph_error error = message_payload(store, row->id, arena, diag, ret_content);
    return error == PH_NOT_FOUND || error == PH_SEALED ? PH_OK : error;
}

enum ph_error event_exists(struct store *store, int64_t application_id, bool is_attempt, int64_t id,
                           struct diag *diag, bool *ret_exists)
{
    struct db_statement *select =
        is_attempt
            ? db_prepare(store->db, "SELECT 1 FROM attempt JOIN endpoint"
                                    " ON endpoint.id = attempt.endpoint_id"
                                    " WHERE attempt.id = $1"
                                    " AND endpoint.application_id = $2")
            : db_prepare(store->db, "SELECT 1 FROM message WHERE id = $1 AND application_id = $2");
    db_bind_int64(select, 1, id);
    db_bind_int64(select, 2, application_id);
    return db_read_exists(select, diag, ret_exists);
}
