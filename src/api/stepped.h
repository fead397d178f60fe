/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job that would hold the writer for too long: steps of it run each in a transaction of its own,
 * with others' work between them, and at last the job itself, which answers. What the steps did
 * stays when a later one fails or is refused, so it has to be harmless to do all of it again.
 *
 * Threads as of an api_job (call.h).
 */
#ifndef PH_API_STEPPED_H
#define PH_API_STEPPED_H

#include "api/call.h"

/* What a step writes at most, and counts in the writer's queue; and the bytes after which it takes
 * no more rows. */
#define STEPPED_ROWS_MAX 200
#define STEPPED_BYTES_MAX ((size_t)256 * 1024)

/* Embed it first in the struct that api_job_new gave. */
struct stepped_job {
    struct api_job job;
    /* One step: begins at `position`, sets `next` and `has_more`, which count after the commit.
     * Perhaps called more than once. Not called when the request's key got its answer before. */
    enum ph_error (*step)(struct stepped_job *stepped, struct writer_txn *txn, struct diag *diag);
    size_t position; /* 0 at first; what it counts is the operation's own */
    size_t next;
    bool has_more;
    /* stepped.c's. */
    struct general_job general;
};

/* As api_submit; `run` comes after the last step. job.committed is called after each. */
PH_NODISCARD enum ph_error stepped_submit(
    struct api_call *call, struct stepped_job *stepped,
    enum ph_error (*step)(struct stepped_job *stepped, struct writer_txn *txn, struct diag *diag),
    enum ph_error (*run)(struct api_job *job, struct writer_txn *txn, struct diag *diag));

#endif
