/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow.h"

#include "flow/application_throttle.h"
#include "flow/deliver.h"
#include "flow/hold.h"
#include "flow/keep.h"
#include "flow/live.h"
#include "flow/settings.h"
#include "flow/task.h"
#include "flow/upkeep.h"
#include "flow/writer.h"
#include "jq/pool.h"
#include "sinks/http.h"
#include "sinks/resolver.h"

#define DELIVER_THREADS_MAX 64

struct flow {
    struct flow_options options;
    struct settings_holder *settings;
    struct writer *writer;
    struct resolver *resolver;
    struct jq_pool *jq;
    struct application_throttles *application_throttles;
    struct holds *holds;
    struct deliverer *deliverers[DELIVER_THREADS_MAX];
    size_t deliverer_count;
    struct keeper *keeper;
    struct upkeep_list *upkeep;
    struct live_hub *live;
    struct tasks *tasks;
    bool is_sending;
};

static void free_flow(struct flow *flow, int64_t drain_ms)
{
    tasks_stop(flow->tasks);
    keeper_stop(flow->keeper);
    for (size_t index = 0; index < flow->deliverer_count; index++) {
        deliverer_drain(flow->deliverers[index], drain_ms);
    }
    jq_pool_free(flow->jq); /* no program answers a deliverer from here on */
    writer_stop(flow->writer);
    upkeep_list_free(flow->upkeep); /* the writer's last jobs may still bring some forward */
    live_hub_stop(flow->live);
    for (size_t index = 0; index < flow->deliverer_count; index++) {
        deliverer_free(flow->deliverers[index]);
    }
    application_throttles_free(flow->application_throttles);
    holds_free(flow->holds);
    settings_holder_free(flow->settings);
    resolver_free(flow->resolver);
    if (flow->is_sending) {
        sink_http_global_done();
    }
    free(flow);
}

static enum ph_error start_deliverers(struct flow *flow, struct diag *diag)
{
    unsigned count = flow->options.settings.deliver_threads;
    PH_ASSERT(count >= 1 && count <= DELIVER_THREADS_MAX);
    for (unsigned index = 0; index < count; index++) {
        const struct deliverer_options options = {
            .flow = &flow->options,
            .settings = flow->settings,
            .writer = flow->writer,
            .resolver = flow->resolver,
            .jq = flow->jq,
            .application_throttles = flow->application_throttles,
            .holds = flow->holds,
            .index = index,
            .count = count,
        };
        enum ph_error error = deliverer_new(&options, diag, &flow->deliverers[index]);
        if (error != PH_OK) {
            return error;
        }
        flow->deliverer_count++;
    }
    writer_set_deliverers(flow->writer, flow->deliverers, count);
    for (unsigned index = 0; index < count; index++) {
        enum ph_error error = deliverer_start(flow->deliverers[index], diag);
        if (error != PH_OK) {
            return error;
        }
    }
    return PH_OK;
}

enum ph_error flow_start(const struct flow_options *options, struct diag *diag,
                         struct flow **ret_flow)
{
    enum ph_error error = sink_http_global_init(diag);
    if (error != PH_OK) {
        return error;
    }
    struct flow *flow = ph_calloc(1, sizeof *flow);
    flow->options = *options;
    flow->settings = settings_holder_new(&options->settings);
    flow->is_sending = true;
    flow->upkeep = upkeep_list_new();
    flow->application_throttles = application_throttles_new();
    flow->holds = holds_new();
    struct jq_pool_options jq = options->settings.jq;
    jq.metrics = options->metrics;
    jq.log = options->log;
    flow->jq = jq_pool_new(&jq);
    error = writer_start(&flow->options, flow->settings, diag, &flow->writer);
    if (error == PH_OK) {
        error = live_hub_start(&flow->options, diag, &flow->live);
    }
    if (error == PH_OK) {
        writer_set_live(flow->writer, flow->live);
        const struct resolver_options names = {.metrics = options->metrics};
        error = resolver_new(&names, diag, &flow->resolver);
    }
    if (error == PH_OK) {
        error = start_deliverers(flow, diag);
    }
    if (error == PH_OK) {
        error = keeper_start(&flow->options, flow->settings, flow->writer, flow->upkeep, diag,
                             &flow->keeper);
    }
    if (error == PH_OK) {
        error = tasks_start(&flow->options, flow->writer, diag, &flow->tasks);
    }
    if (error != PH_OK) {
        free_flow(flow, 0);
        return error;
    }
    *ret_flow = flow;
    return PH_OK;
}

enum ph_error flow_start_writer(const struct flow_options *options, struct diag *diag,
                                struct flow **ret_flow)
{
    struct flow *flow = ph_calloc(1, sizeof *flow);
    flow->options = *options;
    flow->settings = settings_holder_new(&options->settings);
    enum ph_error error = writer_start(&flow->options, flow->settings, diag, &flow->writer);
    if (error != PH_OK) {
        free_flow(flow, 0);
        return error;
    }
    *ret_flow = flow;
    return PH_OK;
}

void flow_stop(struct flow *flow, int64_t drain_ms)
{
    if (flow != NULL) {
        free_flow(flow, drain_ms);
    }
}

struct writer *flow_writer(struct flow *flow)
{
    return flow->writer;
}

struct jq_pool *flow_jq(struct flow *flow)
{
    return flow->jq;
}

struct live_hub *flow_live(struct flow *flow)
{
    return flow->live;
}

struct holds *flow_holds(struct flow *flow)
{
    return flow->holds;
}

struct upkeep *flow_upkeep_add(struct flow *flow, const struct upkeep_work *work)
{
    return upkeep_list_add(flow->upkeep, work);
}

const char *flow_store_address(const struct flow *flow)
{
    return flow->options.store_address;
}

const struct flow_settings *flow_settings_take(struct flow *flow)
{
    return settings_take(flow->settings);
}

void flow_reload(struct flow *flow, const struct flow_settings *settings)
{
    settings_change(flow->settings, settings);
    for (size_t index = 0; index < flow->deliverer_count; index++) {
        deliverer_push_settings(flow->deliverers[index], settings_take(flow->settings));
        deliverer_wake(flow->deliverers[index]);
    }
}

const struct id_codec *flow_id_codec(const struct flow *flow)
{
    return writer_id_codec(flow->writer);
}

void flow_refresh_gauges(struct flow *flow)
{
    metrics_set(flow->options.metrics, METRIC_WRITER_QUEUE,
                (int64_t)writer_queue_length(flow->writer));
    size_t waiting = 0;
    for (size_t index = 0; index < flow->deliverer_count; index++) {
        waiting += deliverer_inbox_length(flow->deliverers[index]);
    }
    metrics_set(flow->options.metrics, METRIC_INBOX_DELIVERIES, (int64_t)waiting);
}
