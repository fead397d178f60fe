/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flow over a fresh store, with one application, driven from the test's thread. Inline, so that
 * only the tests of the flow link it.
 *
 * Concurrency: `lock` guards the is_done flags of jobs and the state of gates; the results of a job
 * belong to the test from is_done on.
 */
#ifndef PH_TESTS_CONTRACT_FLOW_RIG_H
#define PH_TESTS_CONTRACT_FLOW_RIG_H

#include <poll.h>
#include <signal.h>

#include "contract/contract.h"
#include "contract/flow_receiver.h"
#include "flow/flow.h"
#include "flow/writer.h"
#include "store/application.h"

#define TEXT(literal) SLICE_LITERAL(literal)
#define RIG_ORG TEXT("org_rig")

struct flow_rig {
    struct flow_options options; /* may be changed before flow_rig_start */
    struct metrics metrics;
    struct cidr_set loopback;
    struct flow *flow;
    struct store *store; /* the test's own, for reading */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t application_id;
};

/* Waits for a condition that no signal tells of. */
#define RIG_UNTIL(condition)                                                                       \
    do {                                                                                           \
        int64_t until_us = clock_boot_us() + RIG_WAIT_US;                                          \
        while (!(condition)) {                                                                     \
            if (clock_boot_us() > until_us) {                                                      \
                print_error("in vain for: %s\n", #condition);                                      \
                fail();                                                                            \
            }                                                                                      \
            (void)poll(NULL, 0, 2);                                                                \
        }                                                                                          \
    } while (0)

static inline void flow_rig_await(struct flow_rig *rig, const bool *is_done)
{
    struct timespec until = clock_deadline(RIG_WAIT_US);
    int waited = 0;
    (void)pthread_mutex_lock(&rig->lock);
    while (!*is_done && waited == 0) {
        waited = pthread_cond_timedwait(&rig->changed, &rig->lock, &until);
    }
    bool was_done = *is_done;
    (void)pthread_mutex_unlock(&rig->lock);
    assert_true(was_done);
}

static inline void flow_rig_tell(struct flow_rig *rig, bool *is_done)
{
    (void)pthread_mutex_lock(&rig->lock);
    *is_done = true;
    (void)pthread_cond_broadcast(&rig->changed);
    (void)pthread_mutex_unlock(&rig->lock);
}

/* --- writes ----------------------------------------------------------------------------------- */

struct rig_write {
    struct general_job job;
    struct flow_rig *rig;
    enum ph_error (*run)(struct rig_write *write, struct writer_txn *txn, struct diag *diag);
    const void *argument;
    int64_t result;
    bool is_done;
};

static inline enum ph_error rig_write_run(struct general_job *job, struct writer_txn *txn,
                                          struct diag *diag)
{
    struct rig_write *write = PH_CONTAINER_OF(job, struct rig_write, job);
    return write->run(write, txn, diag);
}

static inline void rig_write_done(struct general_job *job, enum ph_error error,
                                  const struct diag *diag)
{
    struct rig_write *write = PH_CONTAINER_OF(job, struct rig_write, job);
    PH_ASSERT(job->error == error && diag != NULL && !write->is_done);
    flow_rig_tell(write->rig, &write->is_done);
}

static inline enum ph_error rig_write_submit(struct rig_write *write, struct diag *diag)
{
    write->job.run = rig_write_run;
    write->job.done = rig_write_done;
    return writer_submit(flow_writer(write->rig->flow), &write->job, diag);
}

/* Runs one write to its commit and returns its result. */
static inline int64_t flow_rig_write(struct flow_rig *rig,
                                     enum ph_error (*run)(struct rig_write *, struct writer_txn *,
                                                          struct diag *),
                                     const void *argument)
{
    struct rig_write *write = ph_calloc(1, sizeof *write);
    struct diag diag = {0};
    *write = (struct rig_write){.rig = rig, .run = run, .argument = argument};
    CONTRACT_OK(rig_write_submit(write, &diag), &diag);
    flow_rig_await(rig, &write->is_done);
    CONTRACT_OK(write->job.error, &write->job.diag);
    int64_t result = write->result;
    free(write);
    return result;
}

/* A write that keeps the writer busy from rig_gate_close to rig_gate_open: what is submitted in
 * between stays in the queue, and becomes one batch. */
struct rig_gate {
    struct rig_write write;
    bool is_entered;
    bool is_open;
};

static inline enum ph_error rig_gate_run(struct rig_write *write, struct writer_txn *txn,
                                         struct diag *diag)
{
    (void)txn;
    (void)diag;
    struct rig_gate *gate = PH_CONTAINER_OF(write, struct rig_gate, write);
    flow_rig_tell(write->rig, &gate->is_entered);
    (void)pthread_mutex_lock(&write->rig->lock);
    while (!gate->is_open) {
        (void)pthread_cond_wait(&write->rig->changed, &write->rig->lock);
    }
    (void)pthread_mutex_unlock(&write->rig->lock);
    return PH_OK;
}

static inline struct rig_gate *rig_gate_close(struct flow_rig *rig)
{
    struct rig_gate *gate = ph_calloc(1, sizeof *gate);
    struct diag diag = {0};
    gate->write = (struct rig_write){.rig = rig, .run = rig_gate_run};
    CONTRACT_OK(rig_write_submit(&gate->write, &diag), &diag);
    flow_rig_await(rig, &gate->is_entered);
    return gate;
}

static inline void rig_gate_open(struct rig_gate *gate)
{
    flow_rig_tell(gate->write.rig, &gate->is_open);
    flow_rig_await(gate->write.rig, &gate->write.is_done);
    CONTRACT_OK(gate->write.job.error, &gate->write.job.diag);
    free(gate);
}

/* --- start and stop --------------------------------------------------------------------------- */

static inline enum ph_error rig_add_application(struct rig_write *write, struct writer_txn *txn,
                                                struct diag *diag)
{
    write->result = writer_txn_new_id(txn);
    const struct application_row row = {
        .id = write->result,
        .org = RIG_ORG,
        .uid = slice_of(write->argument),
        .name = TEXT("rig"),
        .metadata = TEXT("{}"),
        .created_at_us = txn->now_us,
        .updated_at_us = txn->now_us,
    };
    return application_insert(txn->store, &row, diag);
}

/* A store and settings that tests may change; retries come after 5 ms, twice. */
static inline struct flow_rig *flow_rig_new(void **state)
{
    const struct contract_store *fresh = *state;
    struct flow_rig *rig = ph_calloc(1, sizeof *rig);
    struct diag diag = {0};
    int applied;
    (void)signal(SIGPIPE, SIG_IGN); /* as the program does */
    (void)pthread_mutex_init(&rig->lock, NULL);
    clock_cond_init(&rig->changed);
    metrics_init(&rig->metrics);
    CONTRACT_OK(cidr_set_parse(TEXT("127.0.0.0/8"), "allow_subnets", &diag, &rig->loopback), &diag);
    rig->options = (struct flow_options){
        .store_address = fresh->address,
        .metrics = &rig->metrics,
        .settings =
            {
                .retry_schedule = {.delays_us = {5000, 5000}, .count = 2},
                .retry_after_cap_us = CLOCK_US_PER_S,
                .delivery_timeout_ms = RIG_WAIT_US / CLOCK_US_PER_MS,
                .disable_on_gone = true,
                .signature_headers = SIGNATURE_HEADERS_WEBHOOK,
                .allow_subnets = &rig->loopback,
                .max_in_flight = 4,
                .deliver_threads = 2,
                .writer_queue_max = 1000,
                .wal_bytes_max = INT64_C(1) << 30,
                .wal_checkpoint_bytes = 16 << 20,
                .window_bytes_max = (size_t)64 << 20,
                .snapshot_endpoints_max = 100000,
                .retention_us = 30 * 86400 * CLOCK_US_PER_S,
                .payload_retention_us = 30 * 86400 * CLOCK_US_PER_S,
            },
    };
    CONTRACT_OK(store_migrate(fresh->address, &diag, &applied), &diag);
    CONTRACT_OK(store_open(fresh->address, DB_READ_ONLY, &diag, &rig->store), &diag);
    return rig;
}

static inline void flow_rig_start(struct flow_rig *rig)
{
    struct diag diag = {0};
    CONTRACT_OK(flow_start(&rig->options, &diag, &rig->flow), &diag);
    if (rig->application_id == 0) {
        rig->application_id = flow_rig_write(rig, rig_add_application, "rig");
    }
}

/* The usual settings, started. */
static inline struct flow_rig *flow_rig_open(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    flow_rig_start(rig);
    return rig;
}

#define RIG_DRAIN_MS (RIG_WAIT_US / CLOCK_US_PER_MS)

static inline void flow_rig_stop(struct flow_rig *rig, int64_t drain_ms)
{
    flow_stop(rig->flow, drain_ms);
    rig->flow = NULL;
}

static inline void flow_rig_close(struct flow_rig *rig)
{
    flow_rig_stop(rig, RIG_DRAIN_MS);
    store_close(rig->store);
    cidr_set_done(&rig->loopback);
    (void)pthread_cond_destroy(&rig->changed);
    (void)pthread_mutex_destroy(&rig->lock);
    free(rig);
}

static inline int64_t flow_rig_metric(const struct flow_rig *rig, enum metric metric)
{
    return metrics_get(&rig->metrics, metric);
}

#endif
