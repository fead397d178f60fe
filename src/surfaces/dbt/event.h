/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of runs (dbt spec section 5), emitted inside the transaction that changed the run. Thread:
 * the writer's.
 */
#ifndef PH_SURFACES_DBT_EVENT_H
#define PH_SURFACES_DBT_EVENT_H

#include "base/json_out.h"
#include "flow/writer.h"

struct dbt_settings;

enum dbt_event_type {
    DBT_EVENT_STARTED,
    DBT_EVENT_COMPLETED,
    DBT_EVENT_ERRORED,
    DBT_EVENT_CANCELED,
    DBT_EVENT_TYPE_COUNT
};

/* Codes of the Admin API. */
enum dbt_run_status {
    DBT_RUN_QUEUED = 1,
    DBT_RUN_STARTING = 2,
    DBT_RUN_RUNNING = 3,
    DBT_RUN_SUCCESS = 10,
    DBT_RUN_ERROR = 20,
    DBT_RUN_CANCELLED = 30,
};

/* What a run is at the moment of the event. Texts may be SLICE_NONE: then they are "". */
struct dbt_run_facts {
    int64_t account;
    int64_t job_id;
    int64_t run_id;
    int64_t environment_id;
    int64_t project_id;
    struct slice job_name;
    struct slice environment_name;
    struct slice project_name;
    struct slice dbt_version;
    struct slice status_message; /* SLICE_NONE or empty: "None" */
    struct slice reason;
    enum dbt_run_status status;
    int64_t started_at_us;  /* 0 = unknown */
    int64_t finished_at_us; /* likewise */
    /* JSON object of what the original does not tell (run link, branch, failed nodes …), for those
     * who asked for it; SLICE_NONE = nothing. */
    struct slice details;
};

const char *dbt_event_type_name(enum dbt_event_type type); /* "job.run.started" */
/* "Success", as events spell it. */
const char *dbt_run_status_name(enum dbt_run_status status, bool is_american);

/* Writes the `data` object of the event, keys in the original's order. */
void dbt_event_write_data(enum dbt_event_type type, const struct dbt_run_facts *run,
                          const struct dbt_settings *settings, struct json_out *out);

/* Emits the event to all of the account's application, which is made anew when it is gone. */
PH_NODISCARD enum ph_error dbt_event_emit(struct writer_txn *txn, enum dbt_event_type type,
                                          const struct dbt_run_facts *run,
                                          const struct dbt_settings *settings, struct diag *diag);
/* Emits `errored` to those subscriptions that wait until the artifacts can be read, each by a
 * message of its own. Once for a failed run, when they can be, beside `completed`. */
PH_NODISCARD enum ph_error dbt_event_emit_ready(struct writer_txn *txn,
                                                const struct dbt_run_facts *run,
                                                const struct dbt_settings *settings,
                                                struct diag *diag);

#endif
