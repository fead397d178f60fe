/* SPDX-License-Identifier: Apache-2.0 */
/* Health and metrics (svix-api spec section 11). None of them asks for a token. */
#include "api/api_int.h"
#include "base/usage.h"

#define METRICS_TEXT_MAX ((size_t)1024 * 1024)

enum ph_error api_health_live(struct api_call *call, struct diag *diag)
{
    (void)diag;
    struct api_answer answer;
    api_answer_init(&answer);
    json_out_begin_object(&answer.out);
    json_out_member_text(&answer.out, "status", "ok");
    json_out_end_object(&answer.out);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

enum ph_error api_health_ping(struct api_call *call, struct diag *diag)
{
    (void)diag;
    http_respond_empty(call->request, 204);
    return PH_OK;
}

static void write_part(struct json_out *out, const char *name, bool is_ok)
{
    json_out_key(out, name);
    json_out_begin_object(out);
    json_out_member_text(out, "status", is_ok ? "ok" : "error");
    json_out_end_object(out);
}

static void answer_parts(struct api_call *call, bool is_store_ok, bool is_writer_ok)
{
    bool is_ok = is_store_ok && is_writer_ok;
    struct api_answer answer;
    api_answer_init(&answer);
    json_out_begin_object(&answer.out);
    write_part(&answer.out, "database", is_store_ok);
    write_part(&answer.out, "queue", is_writer_ok);
    write_part(&answer.out, "cache", true);
    json_out_end_object(&answer.out);
    api_answer_send(call, is_ok ? 200 : 500, &answer);
}

/* Reads the store for real. */
static bool store_is_readable(struct api_call *call)
{
    struct store *store;
    struct diag diag;
    bool has_row = false;
    if (api_begin_read(call, &diag, &store) != PH_OK) {
        return false;
    }
    struct db_statement *select = db_prepare(store->db, "SELECT value FROM meta LIMIT 1");
    enum ph_error error = db_step(select, &diag, &has_row);
    db_done(select);
    return error == PH_OK && has_row;
}

struct health_job {
    struct general_job job;
    struct api_call *call;
    bool is_store_ok;
};

static enum ph_error run_health(struct general_job *job, struct writer_txn *txn, struct diag *diag)
{
    (void)job;
    struct db_statement *select = db_prepare(txn->store->db, "SELECT value FROM meta LIMIT 1");
    bool has_row;
    return db_read_exists(select, diag, &has_row);
}

static void finish_health(struct general_job *job, enum ph_error error, const struct diag *diag)
{
    (void)diag;
    struct health_job *health = PH_CONTAINER_OF(job, struct health_job, job);
    answer_parts(health->call, health->is_store_ok, error == PH_OK);
}

/* Touches the store from this thread, then goes once through the writer. */
enum ph_error api_health(struct api_call *call, struct diag *diag)
{
    struct health_job *health = arena_calloc(call->arena, 1, sizeof *health);
    if (health == NULL) {
        return api_no_memory(diag);
    }
    health->call = call;
    health->is_store_ok = store_is_readable(call);
    if (call->thread->store != NULL) {
        db_rollback(call->thread->store->db);
    }
    health->job.run = run_health;
    health->job.done = finish_health;
    http_suspend(call->request);
    if (writer_submit(flow_writer(call->api->flow), &health->job, diag) != PH_OK) {
        answer_parts(call, health->is_store_ok, false);
    }
    return PH_OK;
}

enum ph_error api_health_ready(struct api_call *call, struct diag *diag)
{
    return api_health(call, diag);
}

enum ph_error api_metrics(struct api_call *call, struct diag *diag)
{
    (void)diag;
    struct buf text;
    buf_init(&text, METRICS_TEXT_MAX);
    flow_refresh_gauges(call->api->flow);
    usage_refresh(call->api->metrics);
    metrics_format(call->api->metrics, &text);
    http_respond(call->request, 200, "text/plain; version=0.0.4; charset=utf-8", &text);
    buf_done(&text);
    return PH_OK;
}

/* In the original failed tasks of its queue go round once more. There is no such queue here: what
 * is due is read from the store until it ends, so there is never anything to do. */
enum ph_error api_redrive(struct api_call *call, struct diag *diag)
{
    (void)diag;
    http_respond_empty(call->request, 204);
    return PH_OK;
}
