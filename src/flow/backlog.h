/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits to be delivered: how much, for how long, and of which applications. Counted from the
 * store in steps of bounded size, so a round over a large backlog takes a while; its result is then
 * as old as that. The keeper's thread.
 */
#ifndef PH_FLOW_BACKLOG_H
#define PH_FLOW_BACKLOG_H

#include "flow/flow.h"
#include "store/store.h"

struct backlog;

/* Neither is owned. */
struct backlog *backlog_new(const struct flow_options *options, struct store *store);
void backlog_free(struct backlog *backlog); /* NULL is fine */
/* One step when it is time for one. A round begins every few seconds and ends in the gauges. */
void backlog_step(struct backlog *backlog);

#endif
