/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Most batches have nothing to tell and pay nothing. One that has asks once whether anybody wants
 * to know (is_anybody_told), then for each endpoint who that is. The answer to the first question
 * is kept for the batch: an application that is made later in it was not there for its causes.
 */
#include "flow/operational.h"

#include "base/json_out.h"
#include "flow/ingest.h"
#include "flow/settings.h"
#include "flow/writer_int.h"
#include "store/event_type.h"

/* Ids, uids and event ids of at most 256 bytes, and what stands between them. */
#define BODY_BYTES_MAX 4096
/* One subject with its texts, and one job, of each notice. */
#define NOTICE_BYTES_MAX 8192

static const struct {
    const char *name;
    const char *description;
} types[] = {
    [OPERATIONAL_ENDPOINT_CREATED] = {"endpoint.created", "An endpoint was created"},
    [OPERATIONAL_ENDPOINT_UPDATED] = {"endpoint.updated",
                                      "An endpoint was changed, or its secret rotated"},
    [OPERATIONAL_ENDPOINT_DELETED] = {"endpoint.deleted", "An endpoint was deleted"},
    [OPERATIONAL_ENDPOINT_DISABLED] = {"endpoint.disabled",
                                       "The server disabled an endpoint that failed for too long, "
                                       "or that asked for it"},
    [OPERATIONAL_ATTEMPT_EXHAUSTED] = {"message.attempt.exhausted",
                                       "The last attempt of a delivery failed"},
    [OPERATIONAL_ATTEMPT_FAILING] = {"message.attempt.failing",
                                     "A delivery failed several times and is tried again"},
    [OPERATIONAL_ATTEMPT_RECOVERED] = {"message.attempt.recovered",
                                       "A delivery succeeded after it had failed several times"},
};
_Static_assert(PH_ARRAY_LENGTH(types) == OPERATIONAL_EVENT_COUNT, "one type each");

/* An endpoint, whose it is, and who is told about it. */
struct subject {
    int64_t endpoint_id; /* 0 = none yet */
    int64_t application_id;
    struct slice org;
    struct slice application_uid;
    struct slice endpoint_uid;
    int64_t failing_since_us;
    int64_t recipient_id; /* the application that gets the message, 0 = nobody */
};

struct telling {
    struct writer_txn *txn;
    struct arena arena;
    struct subject subject; /* of the last notice: often the next one's too */
    struct list_node jobs;
    int64_t retention_us;
};

/* --- who is told -------------------------------------------------------------------------------
 */

static enum ph_error is_anybody_told(struct writer_txn *txn, struct diag *diag, bool *ret_is_told)
{
    struct writer *writer = txn->writer;
    if (writer->operational_batch != writer->batch) {
        struct db_statement *select =
            db_prepare(txn->store->db, "SELECT 1 FROM application WHERE org = '" OPERATIONAL_ORG "'"
                                       " AND deleted_at IS NULL LIMIT 1");
        enum ph_error error = db_read_exists(select, diag, &writer->is_anybody_told);
        if (error != PH_OK) {
            return error;
        }
        writer->operational_batch = writer->batch;
    }
    *ret_is_told = writer->is_anybody_told;
    return PH_OK;
}

static bool copy_text(struct arena *arena, struct slice text, struct slice *ret_copy)
{
    *ret_copy = SLICE_NONE;
    if (text.ptr != NULL) {
        char *copy = arena_dup(arena, text);
        *ret_copy = (struct slice){copy, text.len};
        return copy != NULL;
    }
    return true;
}

static enum ph_error find_subject(struct telling *telling, int64_t endpoint_id, struct diag *diag)
{
    struct subject *subject = &telling->subject;
    if (subject->endpoint_id == endpoint_id) {
        return PH_OK;
    }
    struct db_statement *select =
        db_prepare(telling->txn->store->db,
                   "SELECT application.id, application.org, application.uid, endpoint.uid,"
                   " endpoint.failing_since, recipient.id FROM endpoint"
                   " JOIN application ON application.id = endpoint.application_id"
                   " LEFT JOIN application AS recipient ON recipient.org = '" OPERATIONAL_ORG "'"
                   " AND recipient.uid = application.org AND recipient.deleted_at IS NULL"
                   " WHERE endpoint.id = $1");
    db_bind_int64(select, 1, endpoint_id);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    *subject = (struct subject){.endpoint_id = endpoint_id};
    bool is_copied = true;
    if (has_row) {
        subject->application_id = db_int64(select, 0);
        is_copied = copy_text(&telling->arena, db_text(select, 1), &subject->org) &&
                    copy_text(&telling->arena, db_text(select, 2), &subject->application_uid) &&
                    copy_text(&telling->arena, db_text(select, 3), &subject->endpoint_uid);
        subject->failing_since_us =
            db_is_null(select, 4) ? telling->txn->now_us : db_int64(select, 4);
        bool is_itself = slice_equal_text(subject->org, OPERATIONAL_ORG);
        subject->recipient_id = is_itself ? 0 : db_int64(select, 5);
    }
    db_done(select);
    return is_copied ? PH_OK : diag_set(diag, PH_NO_MEMORY, NULL, "too much to tell at once");
}

/* --- what is told ------------------------------------------------------------------------------
 */

static void write_id(struct telling *telling, struct json_out *out, const char *key,
                     enum id_kind kind, int64_t id)
{
    char text[ID_TEXT_MAX];
    size_t length = id_format(&telling->txn->store->codec, kind, id, text);
    json_out_member_string(out, key, (struct slice){text, length});
}

static enum ph_error write_attempt(struct telling *telling, struct json_out *out,
                                   const struct operational_notice *notice, struct diag *diag)
{
    struct db_statement *select =
        db_prepare(telling->txn->store->db, "SELECT event_id FROM message WHERE id = $1");
    db_bind_int64(select, 1, notice->message_id);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    write_id(telling, out, "msgId", ID_MESSAGE, notice->message_id);
    json_out_member_string(out, "msgEventId", has_row ? db_text(select, 0) : SLICE_NONE);
    db_done(select);
    write_id(telling, out, "endpointId", ID_ENDPOINT, notice->endpoint_id);
    json_out_key(out, "lastAttempt");
    json_out_begin_object(out);
    write_id(telling, out, "id", ID_ATTEMPT, notice->attempt_id);
    json_out_member_int(out, "responseStatusCode", notice->status_code);
    json_out_member_time(out, "timestamp", id_time_us(notice->attempt_id));
    json_out_end_object(out);
    return PH_OK;
}

static enum ph_error write_body(struct telling *telling, const struct operational_notice *notice,
                                struct diag *diag, struct buf *body)
{
    const struct subject *subject = &telling->subject;
    enum ph_error error = PH_OK;
    struct json_out out;
    json_out_init(&out, body);
    json_out_begin_object(&out);
    json_out_member_text(&out, "type", types[notice->event].name);
    json_out_key(&out, "data");
    json_out_begin_object(&out);
    write_id(telling, &out, "appId", ID_APPLICATION, subject->application_id);
    json_out_member_string(&out, "appUid", subject->application_uid);
    if (notice->event >= OPERATIONAL_ATTEMPT_EXHAUSTED) {
        error = write_attempt(telling, &out, notice, diag);
    } else {
        write_id(telling, &out, "endpointId", ID_ENDPOINT, subject->endpoint_id);
        json_out_member_string(&out, "endpointUid", subject->endpoint_uid);
    }
    if (notice->event == OPERATIONAL_ENDPOINT_DISABLED) {
        json_out_member_time(&out, "failSince", subject->failing_since_us);
    }
    json_out_end_object(&out);
    json_out_end_object(&out);
    PH_ASSERT(error != PH_OK || !body->failed);
    return error;
}

static enum ph_error add_job(struct telling *telling, const struct operational_notice *notice,
                             struct diag *diag)
{
    BUF_AUTO struct buf body;
    buf_init(&body, BODY_BYTES_MAX);
    struct ingest_job *job = arena_alloc(&telling->arena, sizeof *job);
    if (job == NULL) {
        return diag_set(diag, PH_NO_MEMORY, NULL, "too much to tell at once");
    }
    enum ph_error error = write_body(telling, notice, diag, &body);
    if (error != PH_OK) {
        return error;
    }
    *job = (struct ingest_job){
        .application_id = telling->subject.recipient_id,
        .event_type = slice_of(types[notice->event].name),
        .payload_retention_us = telling->retention_us,
        .body = message_body_new(buf_slice(&body), NULL),
    };
    job->payload = message_body_slice(job->body);
    effects_hold_body(&telling->txn->writer->effects, job->body);
    list_append(&telling->jobs, &job->node);
    return PH_OK;
}

/* --- telling -----------------------------------------------------------------------------------
 */

static enum ph_error tell_all(struct telling *telling, const struct operational_notice *notices,
                              size_t count, struct diag *diag)
{
    enum ph_error error = PH_OK;
    for (size_t index = 0; error == PH_OK && index < count; index++) {
        error = find_subject(telling, notices[index].endpoint_id, diag);
        if (error == PH_OK && telling->subject.recipient_id != 0) {
            error = add_job(telling, &notices[index], diag);
        }
    }
    if (error == PH_OK && !list_is_empty(&telling->jobs)) {
        error = ingest_list_in(telling->txn, &telling->jobs, diag);
    }
    return error;
}

static enum ph_error tell_in_savepoint(struct telling *telling,
                                       const struct operational_notice *notices, size_t count,
                                       struct diag *diag)
{
    struct writer *writer = telling->txn->writer;
    struct db *db = telling->txn->store->db;
    const struct batch_effects mark = writer->effects;
    enum ph_error error = db_savepoint(db, diag);
    if (error != PH_OK) {
        return error;
    }
    error = tell_all(telling, notices, count, diag);
    if (error == PH_OK) {
        return db_savepoint_release(db, diag);
    }
    if (!db_in_transaction(db) || error == PH_STORE_FULL || error == PH_STORE_BUSY) {
        return error;
    }
    db_savepoint_rollback(db);
    effects_cut(writer, &mark);
    metrics_add(writer->options.metrics, METRIC_OPERATIONAL_LOST, (int64_t)count);
    log_write(writer->options.log, LOG_OPERATIONAL_LOST,
              LOG_TEXT("event", types[notices->event].name), LOG_INT("count", (int64_t)count),
              LOG_TEXT("error", diag->text));
    return PH_OK;
}

enum ph_error operational_tell(struct writer_txn *txn, const struct operational_notice *notices,
                               size_t count, struct diag *diag)
{
    bool is_told = false;
    enum ph_error error = count == 0 ? PH_OK : is_anybody_told(txn, diag, &is_told);
    if (error != PH_OK || !is_told) {
        return error;
    }
    const struct flow_settings *settings = settings_take(txn->writer->settings);
    struct telling telling = {.txn = txn, .retention_us = settings->payload_retention_us};
    flow_settings_drop(settings);
    arena_init(&telling.arena, count * NOTICE_BYTES_MAX);
    list_init(&telling.jobs);
    error = tell_in_savepoint(&telling, notices, count, diag);
    arena_done(&telling.arena);
    return error;
}

enum ph_error operational_tell_endpoint(struct writer_txn *txn, enum operational_event event,
                                        int64_t endpoint_id, struct diag *diag)
{
    const struct operational_notice notice = {.event = event, .endpoint_id = endpoint_id};
    return operational_tell(txn, &notice, 1, diag);
}

/* --- the catalogue -----------------------------------------------------------------------------
 */

enum ph_error operational_add_event_types(struct writer_txn *txn, struct diag *diag)
{
    ARENA_AUTO struct arena arena;
    arena_init(&arena, (size_t)1 << 20);
    enum ph_error error = PH_OK;
    for (size_t index = 0; error == PH_OK && index < PH_ARRAY_LENGTH(types); index++) {
        struct event_type_row row;
        arena_reset(&arena);
        error = event_type_find(txn->store, SLICE_LITERAL(OPERATIONAL_ORG),
                                slice_of(types[index].name), &arena, diag, &row);
        if (error != PH_NOT_FOUND) {
            continue;
        }
        row = (struct event_type_row){
            .id = writer_txn_new_id(txn),
            .org = SLICE_LITERAL(OPERATIONAL_ORG),
            .name = slice_of(types[index].name),
            .description = slice_of(types[index].description),
            .created_at_us = txn->now_us,
            .updated_at_us = txn->now_us,
        };
        error = event_type_insert(txn->store, &row, diag);
    }
    return error;
}
