/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/cancel.h"

#include "store/delivery.h"

#define CANCEL_STEP 1000

struct cancel_job {
    struct general_job job;
    struct writer *writer;
    const struct flow_options *options;
    int64_t endpoint_id;
    int64_t generation;
    int64_t cancelled; /* by this step */
    int64_t total;
};

static enum ph_error cancel_run(struct general_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct cancel_job *cancel = PH_CONTAINER_OF(job, struct cancel_job, job);
    cancel->cancelled = 0;
    return delivery_cancel_old(txn->store, delivery_shard(cancel->endpoint_id), cancel->endpoint_id,
                               cancel->generation, CANCEL_STEP, diag, &cancel->cancelled);
}

static void tell(const struct cancel_job *cancel)
{
    char endpoint[ID_TEXT_MAX];
    (void)id_format(writer_id_codec(cancel->writer), ID_ENDPOINT, cancel->endpoint_id, endpoint);
    log_write(cancel->options->log, LOG_DELIVERIES_CANCELLED, LOG_TEXT("endpoint", endpoint),
              LOG_INT("count", cancel->total));
}

static void cancel_done(struct general_job *job, enum ph_error error, const struct diag *diag)
{
    (void)diag; /* a failed step is asked for again by whoever finds the old deliveries */
    struct cancel_job *cancel = PH_CONTAINER_OF(job, struct cancel_job, job);
    if (error == PH_OK) {
        metrics_add(cancel->options->metrics, METRIC_DELIVERIES_CANCELLED, cancel->cancelled);
        cancel->total += cancel->cancelled;
        if (cancel->cancelled == CANCEL_STEP &&
            writer_submit(cancel->writer, &cancel->job, NULL) == PH_OK) {
            return;
        }
    }
    if (cancel->total > 0) {
        tell(cancel);
    }
    free(cancel);
}

void cancel_old_deliveries(struct writer *writer, const struct flow_options *options,
                           int64_t endpoint_id, int64_t generation)
{
    struct cancel_job *cancel = ph_calloc(1, sizeof *cancel);
    cancel->job.run = cancel_run;
    cancel->job.done = cancel_done;
    cancel->writer = writer;
    cancel->options = options;
    cancel->endpoint_id = endpoint_id;
    cancel->generation = generation;
    if (writer_submit(writer, &cancel->job, NULL) != PH_OK) {
        free(cancel);
    }
}
