/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is reported of a run of dbt: the body of `PUT …/dbt/api/posthorn/accounts/{a}/runs/{r}`,
 * flat, the whole run each time. Pure.
 */
#ifndef PH_APP_WRAP_REPORT_H
#define PH_APP_WRAP_REPORT_H

#include "app/wrap_origin.h"
#include "base/error.h"

enum wrap_report_status {
    WRAP_REPORT_RUNNING = 3,
    WRAP_REPORT_SUCCESS = 10,
    WRAP_REPORT_ERROR = 20,
    WRAP_REPORT_CANCELLED = 30,
};

#define WRAP_REPORT_BYTES_MAX ((size_t)512 * 1024)

/* Who runs what. Owns its texts. */
struct wrap_facts {
    int64_t job_id;
    int64_t environment_id;
    int64_t project_id;
    struct buf job_name;
    struct buf environment_name;
    struct buf project_name;
    struct buf dbt_version; /* empty = not known */
    struct buf command;     /* for people */
    struct wrap_origin origin;
    int64_t started_at_us; /* wall clock */
};

/* How it ended. */
struct wrap_end {
    enum wrap_report_status status;
    int64_t finished_at_us;
    struct slice message; /* empty = nothing to say */
    struct slice log;
};

void wrap_facts_init(struct wrap_facts *facts);
void wrap_facts_done(struct wrap_facts *facts);

/* The report of a run that is on, or with `end` of one that has ended. */
void wrap_report_compose(const struct wrap_facts *facts, const struct wrap_end *end,
                         struct buf *text);
/* The report of a run whose wrapper died, made of the one that said it was on. */
PH_NODISCARD enum ph_error wrap_report_cut_off(struct slice report, int64_t finished_at_us,
                                               struct buf *text, struct diag *diag);

#endif
