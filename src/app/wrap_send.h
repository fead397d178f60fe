/* SPDX-License-Identifier: Apache-2.0 */
/* Sends what a run's folder in the spool has, in order: reports, artifacts, that they are complete.
 * Any thread; one run at a time. */
#ifndef PH_APP_WRAP_SEND_H
#define PH_APP_WRAP_SEND_H

#include "app/wrap_spool.h"

struct wrap_server {
    const char *url; /* without /dbt */
    int64_t account;
    const char *token;
    /* Asked once a second and between calls: false ends the sending. */
    bool (*goes_on)(void *context);
    void *context;
};

enum wrap_sent {
    WRAP_SENT,         /* all that is there; the run stays as it is */
    WRAP_SENT_AWAY,    /* there was no answer */
    WRAP_SENT_BUSY,    /* the server takes nothing now */
    WRAP_SENT_FAILED,  /* it reported an error of its own for this run */
    WRAP_SENT_DENIED,  /* the token may not do it, whatever the run */
    WRAP_SENT_REFUSED, /* trying again would not help */
    WRAP_SENT_STOPPED, /* `goes_on` said so */
    WRAP_SENT_BROKEN,  /* a file could not be read or written; perhaps later */
    WRAP_SENT_DAMAGED, /* the folder has not what it must have: it can never be sent */
};

/* `words` is emptied, and filled in unless it is WRAP_SENT; what the server did not want of it is
 * added to `notes`. A run that is complete may be removed after WRAP_SENT. */
enum wrap_sent wrap_send_run(const struct wrap_server *server, const struct wrap_run *run,
                             struct buf *words, struct buf *notes);

/* Ends a run whose process died, so that it can be sent: it is taken, and has no end. PH_IO and
 * PH_STORE_FULL may pass; with another error it is damaged. */
PH_NODISCARD enum ph_error wrap_send_cut_off(const struct wrap_run *run, int64_t now_us,
                                             struct diag *diag);

#endif
