/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cancels the pending deliveries of an endpoint that are older than its generation, in steps that
 * do not disturb ingest. Any thread may ask; the work is a chain of general jobs on the writer.
 */
#ifndef PH_FLOW_CANCEL_H
#define PH_FLOW_CANCEL_H

#include "flow/writer.h"

/* Asks; when the writer is too busy nothing happens and the asker will ask again. */
void cancel_old_deliveries(struct writer *writer, const struct flow_options *options,
                           int64_t endpoint_id, int64_t generation);

#endif
