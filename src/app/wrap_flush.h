/* SPDX-License-Identifier: Apache-2.0 */
/* Sends what earlier runs left in the spool, the oldest first. One thread. */
#ifndef PH_APP_WRAP_FLUSH_H
#define PH_APP_WRAP_FLUSH_H

#include "app/wrap_send.h"

struct wrap_flush {
    const struct wrap_server *server;
    const struct wrap_spool *spool;
    int64_t sent_count;
    int64_t refused_count; /* set aside, now or before */
    int64_t left_count;    /* not sent */
    int64_t damaged_count; /* put aside, now: they can never be sent */
    bool is_denied;        /* the token may not send them: the rest was not tried */
    int64_t foreign_count; /* of other servers and accounts: they stay */
    struct buf words;      /* why a run was not sent; of several the last one's */
    struct buf notes;      /* what the server did not want of those that were sent */
};

void wrap_flush_init(struct wrap_flush *flush, const struct wrap_server *server,
                     const struct wrap_spool *spool);
void wrap_flush_done(struct wrap_flush *flush);
/* Those that wait, or those that were refused before. Runs that another process has are left to
 * it. False when the server is away or busy, or the server's `goes_on` ended it: then the rest was
 * not tried. */
bool wrap_flush_runs(struct wrap_flush *flush, bool are_rejected);

#endif
