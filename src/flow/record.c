/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/record.h"

#include "flow/operational.h"
#include "flow/writer_int.h"
#include "store/delivery.h"

static enum ph_error insert_attempt(struct writer *writer, struct record_job *job,
                                    struct diag *diag)
{
    job->attempt_id = writer_txn_new_id(&writer->txn);
    const struct attempt_insert_row row = {
        .id = job->attempt_id,
        .message_id = job->message_id,
        .endpoint_id = job->endpoint_id,
        .is_success = job->is_success,
        .response_code = job->status_code,
        .duration_ms = job->duration_ms,
        .is_manual = job->manual_id != 0,
        .next_attempt_at_us = job->state == DELIVERY_PENDING ? job->next_attempt_at_us : 0,
        .url = job->url,
        .response = job->response,
    };
    return attempt_insert(writer->store, &row, diag);
}

static enum ph_error move_delivery(struct writer *writer, const struct record_job *job,
                                   struct diag *diag)
{
    bool is_manual = job->manual_id != 0;
    enum ph_error error = PH_OK;
    if (is_manual) {
        error = manual_attempt_delete(writer->store, job->manual_id, diag);
    }
    if (error != PH_OK || (is_manual && !job->is_success)) {
        return error;
    }
    const struct delivery_outcome outcome = {
        .message_id = job->message_id,
        .endpoint_id = job->endpoint_id,
        .state = job->state,
        .next_attempt_at_us = job->next_attempt_at_us,
        .is_manual = is_manual,
        .has_attempt = job->has_attempt,
        .reason = job->reason,
        .order_key = job->order_key,
        .now_us = writer->txn.now_us,
    };
    return delivery_record(writer->store, &outcome, diag);
}

static enum ph_error set_failing_since(struct writer *writer, int64_t endpoint_id, int64_t since_us,
                                       struct diag *diag)
{
    struct db_statement *update =
        db_prepare(writer->store->db, "UPDATE endpoint SET failing_since = $2 WHERE id = $1");
    db_bind_int64(update, 1, endpoint_id);
    if (since_us == 0) {
        db_bind_null(update, 2);
    } else {
        db_bind_int64(update, 2, since_us);
    }
    return db_exec(update, diag);
}

/* The server disables an endpoint: its generation grows, so that nothing pending is sent any more,
 * and its application's configuration version, so that ingest sees it. */
static enum ph_error disable_endpoint(struct writer *writer, const struct record_job *job,
                                      struct diag *diag)
{
    struct db_statement *update = db_prepare(
        writer->store->db, "UPDATE endpoint SET disabled = 1, generation = generation + 1,"
                           " updated_at = $2 WHERE id = $1 AND disabled = 0");
    db_bind_int64(update, 1, job->endpoint_id);
    db_bind_int64(update, 2, writer->txn.now_us);
    enum ph_error error = db_exec(update, diag);
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *bump = db_prepare(
        writer->store->db, "UPDATE application SET config_version = config_version + 1"
                           " WHERE id = (SELECT application_id FROM endpoint WHERE id = $1)");
    db_bind_int64(bump, 1, job->endpoint_id);
    error = db_exec(bump, diag);
    if (error == PH_OK) {
        error = manual_attempt_delete_all(writer->store, job->endpoint_id, diag);
    }
    writer_txn_endpoint_changed(&writer->txn, job->endpoint_id);
    return error;
}

static enum ph_error record_one(struct writer *writer, struct record_job *job, struct diag *diag)
{
    enum ph_error error = job->has_attempt ? insert_attempt(writer, job, diag) : PH_OK;
    if (error == PH_OK) {
        error = move_delivery(writer, job, diag);
    }
    if (error == PH_OK && (job->set_failing_since_us != 0 || job->clear_failing_since)) {
        error = set_failing_since(writer, job->endpoint_id, job->set_failing_since_us, diag);
    }
    if (error == PH_OK && job->disable_reason != NULL) {
        error = disable_endpoint(writer, job, diag);
    }
    return error;
}

/* Tells the surfaces of what was recorded; they may read and write. */
static enum ph_error tell_formats(struct writer *writer, struct list_node *jobs, struct diag *diag)
{
    enum ph_error error = PH_OK;
    LIST_FOR_EACH(node, next, jobs)
    {
        const struct record_job *job = LIST_ELEMENT(node, struct record_job, node);
        if (error != PH_OK || job->format == NULL || job->format->recorded == NULL ||
            !job->has_attempt) {
            continue;
        }
        const struct format_outcome outcome = {
            .message_id = job->message_id,
            .endpoint_id = job->endpoint_id,
            .state = job->state,
            .is_manual = job->manual_id != 0,
            .is_success = job->is_success,
            .status_code = job->status_code,
            .duration_ms = job->duration_ms,
            .attempt_id = job->attempt_id,
        };
        error = job->format->recorded(&writer->txn, &outcome, diag);
    }
    return error;
}

/* What those who run the application are told of an attempt (svix-api spec section 14). Attempts
 * that were asked for by hand have an asker who sees for himself. */
static bool attempt_event(const struct record_job *job, enum operational_event *ret_event)
{
    if (!job->has_attempt || job->manual_id != 0) {
        return false;
    }
    if (job->state == DELIVERY_FAILED) {
        *ret_event = OPERATIONAL_ATTEMPT_EXHAUSTED;
        return true;
    }
    if (job->is_success) {
        *ret_event = OPERATIONAL_ATTEMPT_RECOVERED;
        return job->attempts >= OPERATIONAL_FAILED_ATTEMPTS;
    }
    *ret_event = OPERATIONAL_ATTEMPT_FAILING;
    return job->attempts == OPERATIONAL_FAILED_ATTEMPTS - 1;
}

/* At most two. Returns how many. */
static size_t notices_of(const struct record_job *job, struct operational_notice ret_notices[2])
{
    size_t count = 0;
    enum operational_event event;
    if (attempt_event(job, &event)) {
        ret_notices[count++] = (struct operational_notice){
            .event = event,
            .endpoint_id = job->endpoint_id,
            .message_id = job->message_id,
            .attempt_id = job->attempt_id,
            .status_code = job->status_code,
        };
    }
    if (job->disable_reason != NULL) {
        ret_notices[count++] = (struct operational_notice){.event = OPERATIONAL_ENDPOINT_DISABLED,
                                                           .endpoint_id = job->endpoint_id};
    }
    return count;
}

static enum ph_error tell_operators(struct writer *writer, struct list_node *jobs,
                                    struct diag *diag)
{
    struct operational_notice few[2];
    size_t count = 0;
    LIST_FOR_EACH(node, next, jobs)
    {
        count += notices_of(LIST_ELEMENT(node, struct record_job, node), few);
    }
    if (count == 0) {
        return PH_OK;
    }
    struct operational_notice *notices = ph_calloc(count, sizeof *notices);
    size_t filled = 0;
    LIST_FOR_EACH(node, next, jobs)
    {
        filled += notices_of(LIST_ELEMENT(node, struct record_job, node), &notices[filled]);
    }
    enum ph_error error = operational_tell(&writer->txn, notices, filled, diag);
    free(notices);
    return error;
}

enum ph_error record_batch(struct writer *writer, struct list_node *jobs, struct diag *diag)
{
    enum ph_error error = db_pipeline_begin(writer->store->db, diag);
    LIST_FOR_EACH(node, next, jobs)
    {
        if (error == PH_OK) {
            error = record_one(writer, LIST_ELEMENT(node, struct record_job, node), diag);
        }
    }
    enum ph_error end_error = db_pipeline_end(writer->store->db, error == PH_OK ? diag : NULL);
    error = error != PH_OK ? error : end_error;
    if (error == PH_OK) {
        error = tell_formats(writer, jobs, diag);
    }
    return error != PH_OK ? error : tell_operators(writer, jobs, diag);
}

static void count(struct metrics *metrics, const struct record_job *job)
{
    if (!job->has_attempt) {
        metrics_add(metrics, METRIC_DELIVERIES_FILTERED, 1);
        return;
    }
    metrics_add(metrics, METRIC_ATTEMPTS_RECORDED, 1);
    metrics_add(metrics, job->is_success ? METRIC_ATTEMPTS_SUCCEEDED : METRIC_ATTEMPTS_FAILED, 1);
    if (job->manual_id == 0 && job->state == DELIVERY_SUCCEEDED) {
        metrics_add(metrics, METRIC_DELIVERIES_SUCCEEDED, 1);
    } else if (job->manual_id == 0 && job->state == DELIVERY_FAILED) {
        metrics_add(metrics, METRIC_DELIVERIES_FAILED, 1);
    }
    if (job->disable_reason != NULL) {
        metrics_add(metrics, METRIC_ENDPOINTS_DISABLED, 1);
    }
}

void record_finish(struct writer *writer, struct list_node *jobs)
{
    struct list_node *node;
    while ((node = list_take_first(jobs)) != NULL) {
        struct record_job *job = LIST_ELEMENT(node, struct record_job, node);
        count(writer->options.metrics, job);
        deliverer_push_recorded(job->deliverer, job);
    }
}
