/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: checkpoints, retention, data keys and the sealing of older secrets, and the upkeep of
 * those above (upkeep.h), in small steps.
 *
 * Concurrency: one thread of its own with a store connection of its own for checkpoints; deletes
 * go through the writer as general jobs, one step at a time, so that ingest is not disturbed.
 */
#ifndef PH_FLOW_KEEP_H
#define PH_FLOW_KEEP_H

#include "flow/settings.h"
#include "flow/upkeep.h"
#include "flow/writer.h"

struct keeper;

/* All of these must outlive the keeper. */
PH_NODISCARD enum ph_error keeper_start(const struct flow_options *options,
                                        struct settings_holder *settings, struct writer *writer,
                                        struct upkeep_list *upkeep, struct diag *diag,
                                        struct keeper **ret_keeper);
/* Ends the thread; the writer must still run. NULL is fine. */
void keeper_stop(struct keeper *keeper);

#endif
