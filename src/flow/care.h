/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Store care that somebody asked for: a backup, and deleting what is older than an age. Both go in
 * small steps through the writer, whose queue is not theirs alone, with pauses in between.
 *
 * Concurrency: called by a thread of the caller's, one at a time, while the flow runs.
 */
#ifndef PH_FLOW_CARE_H
#define PH_FLOW_CARE_H

#include "flow/flow.h"
#include "store/retention.h"

/* Called between two steps, from the caller's own thread. */
struct care_watch {
    /* Waits `pause_ms`; false = give up. `done` of `total`: bytes of a backup; a prune counts
     * messages and does not know its total (0). */
    bool (*goes_on)(void *context, int pause_ms, int64_t done, int64_t total);
    void *context;
};

/*
 * Copies the SQLite store to DIRECTORY/posthorn.db, which must not exist, and syncs it: whole, as
 * of a moment after the call. PH_NOT_IMPLEMENTED on PostgreSQL, PH_SHUTTING_DOWN when the watch
 * gave up; the unfinished file is left to the caller then.
 */
PH_NODISCARD enum ph_error care_copy(struct flow *flow, const char *directory,
                                     const struct care_watch *watch, struct diag *diag,
                                     int64_t *ret_bytes);

struct care_prune {
    int64_t older_than_us;
    bool is_dry_run; /* counts only */
};

struct care_pruned {
    struct retention_tally tally;
    int64_t freed_bytes; /* given back by the database file (SQLite) */
};

/* What was deleted before an error or the watch's end is told too. */
PH_NODISCARD enum ph_error care_prune(struct flow *flow, const struct care_prune *prune,
                                      const struct care_watch *watch, struct diag *diag,
                                      struct care_pruned *ret_pruned);

#endif
