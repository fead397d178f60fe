/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body that a subscription gets (dbt spec section 5). The message's payload is the run event as
 * native endpoints get it: accountId, eventId, timestamp, eventType, data, and perhaps `run` with
 * what the original does not tell. From it and the endpoint's configuration come the same bytes on
 * every attempt.
 */
#ifndef PH_SURFACES_DBT_FORMAT_H
#define PH_SURFACES_DBT_FORMAT_H

#include "flow/format.h"

extern const struct delivery_format dbt_format;

/* Writes the body of one event for one endpoint; `config` as hook.c made it. PH_INVALID when
 * `payload` is no run event. */
PH_NODISCARD enum ph_error dbt_format_write(const struct format_event *event, struct arena *arena,
                                            struct diag *diag, struct buf *body);

#endif
