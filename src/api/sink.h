/* SPDX-License-Identifier: Apache-2.0 */
/* What the files on polled sinks share. Thread: the one that runs the call. */
#ifndef PH_API_SINK_H
#define PH_API_SINK_H

#include "api/api_int.h"
#include "store/sink.h"

/* The sink that the path's `sink_id` names by id or uid, of the path's application. PH_NOT_FOUND.
 */
PH_NODISCARD enum ph_error sink_path_row(struct api_call *call, struct store *store,
                                         struct diag *diag, struct sink_row *ret_row);

#endif
