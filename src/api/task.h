/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the operations that make background tasks share (svix-api spec section 12).
 * Thread: the request's; `run` and `ended` of jobs as in api_int.h.
 */
#ifndef PH_API_TASK_H
#define PH_API_TASK_H

#include "api/api_int.h"
#include "flow/task.h"

/* What the path names, for task_submit. */
enum task_scope {
    TASK_OF_ORGANISATION,
    TASK_OF_APPLICATION, /* `app_id` */
    TASK_OF_ENDPOINT,    /* and `endpoint_id` */
};

struct task_job {
    struct api_job job;
    enum task_scope scope;
    struct task_row row; /* kind, parameters, since, until and rate are the operation's */
    bool has_unresolved; /* answers `unresolvedAppIds` too */
    const struct slice *unresolved;
    size_t unresolved_count;
    bool was_refused; /* a result */
};

/* Adds the task and answers 202 with it. An `until_us` of 0, or one that is still to come, is set
 * to now. After PH_OK the job must not be touched. */
PH_NODISCARD enum ph_error task_submit(struct api_call *call, struct task_job *task,
                                       struct diag *diag);

#endif
