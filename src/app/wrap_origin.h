/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a run of dbt comes from: the system that started it, by the variables that such systems
 * set, and the git branch and commit of the project. Any thread.
 */
#ifndef PH_APP_WRAP_ORIGIN_H
#define PH_APP_WRAP_ORIGIN_H

#include "base/buf.h"

struct wrap_origin {
    struct buf reason;     /* why it runs, for people */
    struct buf href;       /* its page in that system; empty = none */
    struct buf git_branch; /* empty = not known */
    struct buf git_sha;
    const char *job_type; /* "ci", "scheduled" or "other", as dbt Cloud has them */
};

void wrap_origin_init(struct wrap_origin *origin);
void wrap_origin_done(struct wrap_origin *origin);
/* `variable` gives the value of an environment variable, or NULL. */
void wrap_origin_read(struct wrap_origin *origin, const char *(*variable)(const char *name));
/* Asks git, where the variables did not say it. Waits 2 seconds for it at most. */
void wrap_origin_ask_git(struct wrap_origin *origin, const char *folder);
/* The variable of this process, for wrap_origin_read. */
const char *wrap_origin_variable(const char *name);

#endif
