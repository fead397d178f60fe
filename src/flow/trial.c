/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/trial.h"

#include "base/clock.h"
#include "base/random.h"
#include "flow/deliver_int.h"
#include "flow/writer_int.h"
#include "store/delivery.h"

int64_t trial_message_id(void)
{
    return id_floor(clock_wall_us()) | (int64_t)(random_u64() & 0xffff);
}

void flow_try(struct flow *flow, struct trial *trial)
{
    struct deliverer *deliverer =
        writer_deliverer_of(flow_writer(flow), delivery_shard(trial->endpoint_id));
    deliverer_push_trial(deliverer, trial);
    deliverer_wake(deliverer);
}

static void end(struct trial *trial, struct trial_outcome *outcome, struct slice words)
{
    (void)snprintf(outcome->words, sizeof outcome->words, "%.*s",
                   (int)(words.len < TRIAL_WORDS_MAX ? words.len : TRIAL_WORDS_MAX - 1), words.ptr);
    trial->done(trial, outcome);
}

void trial_refuse(struct trial *trial, const char *words)
{
    struct trial_outcome outcome = {0};
    end(trial, &outcome, slice_of(words));
}

void trial_start(struct deliverer *deliverer, struct trial *trial)
{
    if (!deliverer_may_send(deliverer)) {
        trial_refuse(trial, "not sent: the server is busy or stopping");
        return;
    }
    struct lane *lane = lane_open(deliverer, trial->endpoint_id, NULL);
    if (!lane_ensure_config(deliverer, lane)) {
        trial_refuse(trial, "not sent: the endpoint's configuration could not be read");
        lane_settle(deliverer, lane);
        return;
    }
    struct item *item = ph_calloc(1, sizeof *item);
    item->lane = lane;
    item->message_id = trial->message_id;
    item->manual_id = -++deliverer->trial_count; /* the store has none below 0 */
    item->accepted_us = clock_wall_us();
    item->body = message_body_new(trial->payload, NULL);
    item->trial = trial;
    PH_ASSERT(map_set(&lane->items, (uint64_t)item->manual_id, item) == NULL);
    metrics_add(deliverer->options.flow->metrics, METRIC_TRIALS, 1);
    attempt_start(deliverer, item);
    lane_settle(deliverer, lane);
}

void trial_result(struct deliverer *deliverer, struct item *item, const struct sink_result *result)
{
    struct trial *trial = item->trial;
    struct trial_outcome outcome = {
        .status_code = result->status_code,
        .duration_ms = result->duration_us / CLOCK_US_PER_MS,
        .is_success = result->failure == ATTEMPT_ANSWERED && result->status_code >= 200 &&
                      result->status_code < 300,
    };
    struct slice words = result->error_text;
    if (result->failure == ATTEMPT_ANSWERED) {
        words = SLICE_NONE;
    } else if (result->failure == ATTEMPT_CANCELLED && words.len == 0) {
        words = SLICE_LITERAL("not sent: the server is busy or stopping");
    }
    item->trial = NULL;
    end(trial, &outcome, words);
    deliverer_forget(deliverer, item);
}
