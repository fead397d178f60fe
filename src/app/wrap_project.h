/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dbt project that a command is about: found as dbt finds it, by its command line, the DBT_*
 * variables and its files. Any thread.
 */
#ifndef PH_APP_WRAP_PROJECT_H
#define PH_APP_WRAP_PROJECT_H

#include "app/wrap_line.h"

struct wrap_project {
    char *folder;        /* where dbt_project.yml is, or would be */
    char *target_folder; /* where dbt puts its artifacts */
    char *name;          /* "" when there is no dbt_project.yml */
    char *target;        /* of the profile: "default" when nothing says it */
};

void wrap_project_find(struct wrap_project *project, const struct wrap_line *line);
void wrap_project_done(struct wrap_project *project);

/* The version of dbt that `program` will run, without running it: what is installed beside it, else
 * what the project's manifest was made with. Appends nothing when neither is known. */
void wrap_project_append_version(const struct wrap_project *project, const char *program,
                                 struct buf *text);

#endif
