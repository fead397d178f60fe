/* SPDX-License-Identifier: Apache-2.0 */
#include "store/task.h"

#include "store/store_int.h"

static const char *const kind_names[] = {
    [TASK_REPLAY] = "endpoint.replay",
    [TASK_RECOVER] = "endpoint.recover",
    [TASK_BULK_REPLAY] = "endpoint.bulk-replay",
    [TASK_PURGE_CONTENT] = "application.purge_content",
    [TASK_APPLICATION_STATS] = "application.stats",
    [TASK_EVENT_TYPES] = "event-type.aggregate",
};
_Static_assert(PH_ARRAY_LENGTH(kind_names) == TASK_KIND_COUNT, "one name per kind");

const char *task_kind_name(enum task_kind kind)
{
    PH_ASSERT((unsigned)kind < TASK_KIND_COUNT);
    return kind_names[kind];
}

enum ph_error task_insert(struct store *store, const struct task_row *row, struct diag *diag)
{
    PH_ASSERT(row->id > 0 && row->org.len > 0 && row->state == TASK_RUNNING);
    struct db_statement *insert = db_prepare(
        store->db, "INSERT INTO task (id, org, application_id, endpoint_id, kind, state,"
                   " parameters, since_at, until_at, rate, walk, cursor_id, subject_id, total,"
                   " done, skipped, updated_at)"
                   " VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8, $9, 0, $10, 0, 0, 0, 0, $11)");
    db_bind_int64(insert, 1, row->id);
    db_bind_text(insert, 2, row->org);
    bind_int64_or_null(insert, 3, row->application_id);
    bind_int64_or_null(insert, 4, row->endpoint_id);
    db_bind_int64(insert, 5, row->kind);
    db_bind_text(insert, 6, row->parameters);
    db_bind_int64(insert, 7, row->since_us);
    db_bind_int64(insert, 8, row->until_us);
    db_bind_int64(insert, 9, row->rate);
    db_bind_int64(insert, 10, row->progress.cursor_id);
    db_bind_int64(insert, 11, row->updated_at_us);
    return db_exec(insert, diag);
}

/* --- reading -----------------------------------------------------------------------------------
 */

#define TASK_COLUMNS                                                                               \
    "id, org, application_id, endpoint_id, kind, state, parameters, since_at, until_at, rate,"     \
    " walk, cursor_id, subject_id, total, done, skipped, failure, started_at, updated_at,"         \
    " finished_at"

static enum ph_error read_row(struct db_statement *row, struct arena *arena, struct diag *diag,
                              struct task_row *ret_row)
{
    struct row_copier copier = {.row = row, .arena = arena};
    int64_t kind = db_int64(row, 4);
    int64_t state = db_int64(row, 5);
    PH_ASSERT(kind >= 0 && kind < TASK_KIND_COUNT && state >= 0 && state <= TASK_CANCELLED);
    struct task_row task = {
        .id = db_int64(row, 0),
        .org = row_copy_text(&copier, 1),
        .application_id = db_int64(row, 2),
        .endpoint_id = db_int64(row, 3),
        .kind = (enum task_kind)kind,
        .state = (enum task_state)state,
        .parameters = row_copy_text(&copier, 6),
        .since_us = db_int64(row, 7),
        .until_us = db_int64(row, 8),
        .rate = db_int64(row, 9),
        .progress = {.walk = db_int64(row, 10),
                     .cursor_id = db_int64(row, 11),
                     .subject_id = db_int64(row, 12),
                     .total = db_int64(row, 13),
                     .done = db_int64(row, 14),
                     .skipped = db_int64(row, 15)},
        .failure = row_copy_text(&copier, 16),
        .started_at_us = db_int64(row, 17),
        .updated_at_us = db_int64(row, 18),
        .finished_at_us = db_int64(row, 19),
    };
    enum ph_error error = row_copier_end(&copier, diag);
    if (error == PH_OK) {
        *ret_row = task;
    }
    return error;
}

enum ph_error task_find(struct store *store, int64_t id, struct arena *arena, struct diag *diag,
                        struct task_row *ret_row)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT " TASK_COLUMNS " FROM task WHERE id = $1");
    db_bind_int64(select, 1, id);
    enum ph_error error = db_find_row(select, "Entity not found", diag);
    if (error == PH_OK) {
        error = read_row(select, arena, diag, ret_row);
        db_done(select);
    }
    return error;
}

#define SELECT_OF_ORG                                                                              \
    "SELECT " TASK_COLUMNS " FROM task WHERE org = $1 AND id > $2 AND id < $3 ORDER BY id"
#define SELECT_OF_APPLICATION                                                                      \
    "SELECT " TASK_COLUMNS " FROM task WHERE application_id = $1 AND id > $2 AND id < $3"          \
    " ORDER BY id"

static struct db_statement *prepare_page(struct store *store, const struct task_query *query)
{
    const struct id_page *page = &query->page;
    struct db_statement *select;
    if (query->application_id == 0) {
        select = db_prepare(store->db, page->is_descending ? SELECT_OF_ORG " DESC LIMIT $4"
                                                           : SELECT_OF_ORG " LIMIT $4");
        db_bind_text(select, 1, query->org);
    } else {
        select = db_prepare(store->db, page->is_descending ? SELECT_OF_APPLICATION " DESC LIMIT $4"
                                                           : SELECT_OF_APPLICATION " LIMIT $4");
        db_bind_int64(select, 1, query->application_id);
    }
    db_bind_int64(select, 2, page->lower);
    db_bind_int64(select, 3, page->upper);
    return select;
}

static bool fits(const struct task_query *query, struct db_statement *row)
{
    int64_t state = db_int64(row, 5);
    if (state == TASK_CANCELLED) {
        state = TASK_FAILED;
    }
    return (query->kind == TASK_ANY || query->kind == db_int64(row, 4)) &&
           (query->state == TASK_ANY || query->state == state);
}

enum ph_error task_page(struct store *store, const struct task_query *query, struct arena *arena,
                        struct diag *diag, struct task_row *rows, struct list_end *ret_end)
{
    bool is_filtered = query->kind != TASK_ANY || query->state != TASK_ANY;
    int64_t examined_max = is_filtered ? LIST_EXAMINED_MAX : (int64_t)query->page.limit + 1;
    struct db_statement *select = prepare_page(store, query);
    db_bind_int64(select, 4, examined_max);
    struct list_end end = {0};
    int64_t examined = 0;
    int64_t last_id = 0;
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        bool is_wanted = fits(query, select);
        if (is_wanted && page_is_full(end.count, query->page.limit, arena)) {
            end.has_more = true;
            break;
        }
        last_id = db_int64(select, 0);
        examined++;
        if (is_wanted) {
            error = read_row(select, arena, diag, &rows[end.count]);
            if (error != PH_OK) {
                break;
            }
            end.count++;
        }
    }
    db_done(select);
    if (error == PH_OK && !end.has_more && is_filtered && examined == examined_max) {
        end.has_more = true;
        end.last_examined_id = last_id;
    }
    if (error == PH_OK) {
        *ret_end = end;
    }
    return error;
}

/* The sign keeps SQLite from walking all tasks in the order of their ids; few of them run. */
enum ph_error task_running(struct store *store, struct task_ref *refs, size_t limit,
                           struct diag *diag, size_t *ret_count)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT id, application_id, endpoint_id FROM task WHERE state = 0"
                              " ORDER BY +id LIMIT $1");
    db_bind_int64(select, 1, (int64_t)limit);
    size_t count = 0;
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        PH_ASSERT(count < limit);
        refs[count++] =
            (struct task_ref){db_int64(select, 0), db_int64(select, 1), db_int64(select, 2)};
    }
    if (error == PH_OK) {
        *ret_count = count;
    }
    return error;
}

/* The number in the only row of a bound statement. */
enum ph_error task_count_running(struct store *store, struct slice org, int64_t application_id,
                                 struct diag *diag, int64_t *ret_owned, int64_t *ret_all)
{
    struct db_statement *select;
    if (application_id != 0) {
        select = db_prepare(store->db,
                            "SELECT count(*) FROM task WHERE state = 0 AND application_id = $1");
        db_bind_int64(select, 1, application_id);
    } else {
        select = db_prepare(store->db, "SELECT count(*) FROM task WHERE state = 0"
                                       " AND application_id IS NULL AND org = $1");
        db_bind_text(select, 1, org);
    }
    enum ph_error error = db_read_int64(select, diag, ret_owned);
    if (error == PH_OK) {
        select = db_prepare(store->db, "SELECT count(*) FROM task WHERE state = 0");
        error = db_read_int64(select, diag, ret_all);
    }
    return error;
}

/* --- moving ------------------------------------------------------------------------------------
 */

enum ph_error task_move(struct store *store, int64_t id, const struct task_progress *from,
                        const struct task_progress *to, int64_t now_us, struct diag *diag,
                        bool *ret_moved)
{
    struct db_statement *update = db_prepare(
        store->db, "UPDATE task SET walk = $5, cursor_id = $6, subject_id = $7, total = $8,"
                   " done = $9, skipped = $10, updated_at = $11,"
                   " started_at = coalesce(started_at, $11)"
                   " WHERE id = $1 AND state = 0 AND walk = $2 AND cursor_id = $3"
                   " AND subject_id = $4");
    db_bind_int64(update, 1, id);
    db_bind_int64(update, 2, from->walk);
    db_bind_int64(update, 3, from->cursor_id);
    db_bind_int64(update, 4, from->subject_id);
    db_bind_int64(update, 5, to->walk);
    db_bind_int64(update, 6, to->cursor_id);
    db_bind_int64(update, 7, to->subject_id);
    db_bind_int64(update, 8, to->total);
    db_bind_int64(update, 9, to->done);
    db_bind_int64(update, 10, to->skipped);
    db_bind_int64(update, 11, now_us);
    enum ph_error error = db_exec(update, diag);
    if (error == PH_OK) {
        *ret_moved = db_changes(store->db) == 1;
    }
    return error;
}

enum ph_error task_end(struct store *store, int64_t id, enum task_state state, struct slice failure,
                       int64_t now_us, struct diag *diag, bool *ret_ended)
{
    PH_ASSERT(state != TASK_RUNNING && (failure.ptr != NULL) == (state == TASK_FAILED));
    struct db_statement *update =
        db_prepare(store->db, "UPDATE task SET state = $2, failure = $3, updated_at = $4,"
                              " finished_at = $4 WHERE id = $1 AND state = 0");
    db_bind_int64(update, 1, id);
    db_bind_int64(update, 2, state);
    db_bind_text(update, 3, failure);
    db_bind_int64(update, 4, now_us);
    enum ph_error error = db_exec(update, diag);
    if (error == PH_OK) {
        *ret_ended = db_changes(store->db) == 1;
    }
    return error;
}

/* Runs a deletion of at most `limit` rows of tasks that ended before a time. */
static enum ph_error delete_some(struct store *store, const char *sql, int64_t before_us,
                                 int64_t limit, struct diag *diag, int64_t *ret_deleted)
{
    struct db_statement *statement = db_prepare(store->db, sql);
    db_bind_int64(statement, 1, before_us);
    db_bind_int64(statement, 2, limit);
    enum ph_error error = db_exec(statement, diag);
    if (error == PH_OK) {
        *ret_deleted = db_changes(store->db);
    }
    return error;
}

enum ph_error task_delete_old(struct store *store, int64_t before_us, int64_t limit,
                              struct diag *diag, int64_t *ret_deleted)
{
    int64_t deleted = 0;
    enum ph_error error = delete_some(
        store,
        "DELETE FROM task_result WHERE (task_id, application_id) IN (SELECT task_result.task_id,"
        " task_result.application_id FROM task CROSS JOIN task_result"
        " WHERE task.finished_at < $1 AND task_result.task_id = task.id LIMIT $2)",
        before_us, limit, diag, &deleted);
    if (error == PH_OK && deleted == 0) {
        error = delete_some(store,
                            "DELETE FROM task WHERE id IN (SELECT id FROM task"
                            " WHERE finished_at < $1 ORDER BY finished_at, id LIMIT $2)",
                            before_us, limit, diag, &deleted);
    }
    if (error == PH_OK) {
        *ret_deleted = deleted;
    }
    return error;
}

/* --- results -----------------------------------------------------------------------------------
 */

enum ph_error task_result_add(struct store *store, int64_t task_id, const struct task_result *found,
                              struct diag *diag)
{
    struct db_statement *insert = db_prepare(
        store->db, "INSERT INTO task_result (task_id, application_id, messages, deliveries,"
                   " attempts, event_types, is_catch_all) VALUES ($1, $2, $3, $4, $5, $6, $7)"
                   " ON CONFLICT (task_id, application_id) DO UPDATE SET"
                   " messages = task_result.messages + excluded.messages,"
                   " deliveries = task_result.deliveries + excluded.deliveries,"
                   " attempts = task_result.attempts + excluded.attempts,"
                   " event_types = excluded.event_types, is_catch_all = excluded.is_catch_all");
    db_bind_int64(insert, 1, task_id);
    db_bind_int64(insert, 2, found->application_id);
    db_bind_int64(insert, 3, found->messages);
    db_bind_int64(insert, 4, found->deliveries);
    db_bind_int64(insert, 5, found->attempts);
    db_bind_text(insert, 6, found->event_types);
    db_bind_int64(insert, 7, found->is_catch_all);
    return db_exec(insert, diag);
}

enum ph_error task_result_page(struct store *store, int64_t task_id, int64_t after_id,
                               struct arena *arena, struct diag *diag, struct task_result *rows,
                               size_t limit, size_t *ret_count)
{
    struct db_statement *select = db_prepare(
        store->db, "SELECT task_result.application_id, application.uid, messages, deliveries,"
                   " attempts, event_types, is_catch_all FROM task_result LEFT JOIN application"
                   " ON application.id = task_result.application_id"
                   " WHERE task_id = $1 AND task_result.application_id > $2"
                   " ORDER BY task_result.application_id LIMIT $3");
    db_bind_int64(select, 1, task_id);
    db_bind_int64(select, 2, after_id);
    db_bind_int64(select, 3, (int64_t)limit);
    struct row_copier copier = {.row = select, .arena = arena};
    size_t count = 0;
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        PH_ASSERT(count < limit);
        rows[count++] = (struct task_result){
            .application_id = db_int64(select, 0),
            .application_uid = row_copy_text(&copier, 1),
            .messages = db_int64(select, 2),
            .deliveries = db_int64(select, 3),
            .attempts = db_int64(select, 4),
            .event_types = row_copy_text(&copier, 5),
            .is_catch_all = db_int64(select, 6) != 0,
        };
    }
    if (error == PH_OK) {
        error = row_copier_end(&copier, diag);
    }
    if (error == PH_OK) {
        *ret_count = count;
    }
    return error;
}
