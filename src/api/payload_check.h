/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holding payloads against the schemas of their event types (EventTypeIn.validatePayload). Each
 * http thread remembers which types want it, as hashes, and the schemas that it has compiled; a
 * change of any event type makes it look again. As long as no type wants it, a message costs one
 * look at a counter and at the clock.
 *
 * Limits: of more than PAYLOAD_TYPES_MAX types that want it, it is no longer remembered which they
 * are, and every message's type is looked up; compiled schemas are forgotten, the longest unused
 * first, beyond PAYLOAD_ENTRIES_MAX of them or PAYLOAD_ENTRIES_BYTES. Thread: the owner.
 */
#ifndef PH_API_PAYLOAD_CHECK_H
#define PH_API_PAYLOAD_CHECK_H

#include "base/error.h"
#include "base/slice.h"

#define PAYLOAD_TYPES_MAX 4096
#define PAYLOAD_ENTRIES_MAX 256
#define PAYLOAD_ENTRIES_BYTES ((size_t)32 * 1024 * 1024)
/* Changes that another process made to the store are seen after this time at the latest. */
#define PAYLOAD_TYPES_US (INT64_C(60) * 1000000)

struct api_call;
struct api_job;
struct payload_checks;
struct schema_budget;

PH_NODISCARD struct payload_checks *payload_checks_new(void);
void payload_checks_free(struct payload_checks *checks); /* NULL is fine */

/* Whether a message may be accepted. PH_INVALID at body.payload and what is in it; errors of the
 * store. `payload` is JSON that was validated; `budget` is the request's. */
PH_NODISCARD enum ph_error payload_check(struct api_call *call, struct slice event_type,
                                         struct slice payload, struct schema_budget *budget,
                                         struct diag *diag);
/* Whether the call's organisation has a type of this name that wants it. */
PH_NODISCARD enum ph_error payload_is_checked(struct api_call *call, struct slice event_type,
                                              struct diag *diag, bool *ret_is_checked);

/* `schemas` is EventTypeIn's, SLICE_NONE = none: the newest version must be there and compile.
 * PH_INVALID at `field`. */
PH_NODISCARD enum ph_error payload_schemas_verify(struct slice schemas, const char *field,
                                                  struct diag *diag);

/* For api_job.committed of whatever changes event types. */
void payload_types_changed(struct api_job *job);

#endif
