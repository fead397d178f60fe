/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes and checks passwords (core/password_hash.h) on a few threads of its own, which start with
 * the first job, so that neither an http thread nor the writer ever waits for one.
 *
 * Concurrency: password_submit from any thread; `done` is called on a thread of the pool.
 */
#ifndef PH_API_PASSWORD_H
#define PH_API_PASSWORD_H

#include "base/list.h"
#include "base/metrics.h"
#include "core/password_hash.h"

#define PASSWORD_THREADS 2
#define PASSWORD_WAITING_MAX 32
#define PASSWORD_BYTES_MAX 1024 /* longer ones are for the caller to refuse */

struct passwords;

/* Owned by the submitter, with all that it points to, until `done`. */
struct password_job {
    struct list_node node;
    struct slice password;
    bool is_check;       /* hold it against `stored`, else hash it */
    struct slice stored; /* SLICE_NONE: nobody's, the answer is no after as much work */
    /* Results. */
    enum ph_error error; /* PH_SHUTTING_DOWN, PH_NO_MEMORY */
    struct diag diag;
    bool is_match;
    char text[PASSWORD_TEXT_MAX];           /* of what was hashed */
    void (*done)(struct password_job *job); /* exactly once; gives the job up */
};

PH_NODISCARD struct passwords *passwords_new(struct metrics *metrics);
/* PH_BUSY when PASSWORD_WAITING_MAX wait, PH_SHUTTING_DOWN at the end: `done` is not called then.
 */
PH_NODISCARD enum ph_error passwords_submit(struct passwords *passwords, struct password_job *job,
                                            struct diag *diag);
/* Ends the threads; what waits ends with PH_SHUTTING_DOWN. While what `done` needs still runs. */
void passwords_stop(struct passwords *passwords);
void passwords_free(struct passwords *passwords); /* stops first; NULL is fine */

#endif
