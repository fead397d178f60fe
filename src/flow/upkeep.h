/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that comes due by itself, of those above the flow: a surface's deadlines and its old rows.
 * The keeper does it between its own steps.
 *
 * Concurrency: `run` and `done` are called on the keeper's thread; the time is atomic, so that any
 * thread may bring it forward.
 */
#ifndef PH_FLOW_UPKEEP_H
#define PH_FLOW_UPKEEP_H

#include "flow/flow.h"

#define UPKEEP_MAX 16

struct upkeep;

struct upkeep_work {
    /* Does a bounded piece: what it writes goes through the writer in a step (step.h), as rows are
     * found. Gives the microseconds until it wants to be called again, 0 = soon. */
    int64_t (*run)(void *context);
    void (*done)(void *context); /* the flow ends: `run` is not called any more. May be NULL */
    void *context;
};

/* Called soon, and from then on as it says. At most UPKEEP_MAX of them (asserted). The result
 * lives as long as the flow. Main thread. */
struct upkeep *flow_upkeep_add(struct flow *flow, const struct upkeep_work *work);
/* It is called `wait_us` from now at the latest. Any thread, while the flow runs. */
void upkeep_due(struct upkeep *upkeep, int64_t wait_us);

/* --- for flow.c and keep.c
 * ------------------------------------------------------------------------------- */

struct upkeep_list;

struct upkeep_list *upkeep_list_new(void);
void upkeep_list_free(struct upkeep_list *list); /* calls each `done`; NULL is fine */
struct upkeep *upkeep_list_add(struct upkeep_list *list, const struct upkeep_work *work);
/* Calls what is due, each once. Gives the microseconds until the next one is, at most `max_us`. */
int64_t upkeep_list_run(struct upkeep_list *list, int64_t max_us);

#endif
