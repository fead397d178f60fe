/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main job behind one door: owns the writer thread, the deliver threads, the keeper and the
 * thread of background tasks.
 *
 *   http thread ──job──► writer ──after commit──► deliverer ──result──► writer (record) ─► …
 *
 * Concurrency: flow_start and flow_stop are called by the main thread; writer.h and deliver.h say
 * what other threads may call.
 */
#ifndef PH_FLOW_FLOW_H
#define PH_FLOW_FLOW_H

#include "base/log.h"
#include "base/metrics.h"
#include "core/address.h"
#include "core/breaker.h"
#include "core/id.h"
#include "core/retry.h"
#include "core/signature.h"
#include "jq/pool.h"

struct flow;
struct holds;
struct keyring;
struct live_hub;
struct writer;
struct resolver;

enum signature_headers {
    SIGNATURE_HEADERS_WEBHOOK,
    SIGNATURE_HEADERS_SVIX,
    SIGNATURE_HEADERS_BOTH
};

/* What the options say. Copied by flow_start and flow_reload, the subnets and the proxy too; the
 * other texts must outlive the flow. */
struct flow_settings {
    struct retry_schedule retry_schedule;
    int64_t retry_after_cap_us;
    int64_t delivery_timeout_ms;
    struct breaker_settings breaker;
    int64_t disable_after_us; /* endpoint_failure_disable_after; 0 = never */
    bool disable_on_gone;
    bool endpoint_https_only;
    enum signature_scheme default_signature_type;
    enum signature_headers signature_headers;
    const struct cidr_set *allow_subnets;
    const char *egress_proxy; /* sinks/policy.h; a good one, or NULL or empty = none */
    bool egress_proxy_resolves;
    unsigned max_in_flight;       /* per endpoint */
    int64_t retention_us;         /* messages, deliveries, attempts */
    int64_t payload_retention_us; /* default payload retention */

    /* Fixed: flow_reload leaves these as they are. */
    const char *ca_file; /* NULL = the system's */
    const char *user_agent;
    unsigned deliver_threads;      /* 1.. */
    size_t writer_queue_max;       /* jobs; above it callers get PH_BUSY */
    int64_t wal_bytes_max;         /* write-ahead log; above it callers get PH_BUSY */
    int64_t wal_checkpoint_bytes;  /* size of it from which on it is copied into the database */
    size_t window_bytes_max;       /* of deliveries in memory, over all endpoints, 64 MiB */
    size_t snapshot_endpoints_max; /* in the writer's snapshots of applications */
    struct jq_pool_options jq;     /* metrics and log are filled in by flow_start */
};

struct flow_options {
    const char *store_address;     /* "sqlite:DIR" or "postgres://…"; migrated already */
    struct flow_settings settings; /* at the start */
    struct keyring *keyring;       /* store/keyring.h; NULL = secrets are stored in plain */
    struct log *log;
    struct metrics *metrics;
};

/* Starts all threads. Errors: the store cannot be opened. */
PH_NODISCARD enum ph_error flow_start(const struct flow_options *options, struct diag *diag,
                                      struct flow **ret_flow);
/* Starts the writer and nothing else, for the work of care.h in a process that is no server. */
PH_NODISCARD enum ph_error flow_start_writer(const struct flow_options *options, struct diag *diag,
                                             struct flow **ret_flow);
/* Lets attempts in flight end and be recorded for at most `drain_ms`, then ends the threads and
 * frees. No API request may be running any more. */
void flow_stop(struct flow *flow, int64_t drain_ms);

struct writer *flow_writer(struct flow *flow);
struct jq_pool *flow_jq(struct flow *flow);
struct live_hub *flow_live(struct flow *flow);
/* What holds endpoints back now (flow/hold.h); any thread. */
struct holds *flow_holds(struct flow *flow);
/* Takes new settings while running. Attempts in flight end under the former ones; changed subnets
 * close kept connections. Main thread. */
void flow_reload(struct flow *flow, const struct flow_settings *settings);
/* A reference to the present settings, which never change; flow_settings_drop gives it back. Any
 * thread. */
const struct flow_settings *flow_settings_take(struct flow *flow);
void flow_settings_drop(const struct flow_settings *settings); /* NULL is fine */
const char *flow_store_address(const struct flow *flow);
const struct id_codec *flow_id_codec(const struct flow *flow);
/* Rates and texts for doctor and metrics refresh: updates the gauges. */
void flow_refresh_gauges(struct flow *flow);

#endif
