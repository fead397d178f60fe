/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line of a dbt command says, as far as `posthorn dbt` needs it. Pure. */
#ifndef PH_APP_WRAP_LINE_H
#define PH_APP_WRAP_LINE_H

#include "base/buf.h"

/* Values as they stand in the arguments; NULL = not said. Of several the last one counts, as dbt
 * has it. */
struct wrap_line {
    const char *project_dir;
    const char *profiles_dir;
    const char *profile;
    const char *target;
    const char *target_path;
};

/* The command may have other words in front of dbt: `uv run dbt build`, `python -m dbt build`. */
void wrap_line_read(struct wrap_line *line, size_t count, const char *const *arguments);

/* The command for people: the program without its folder, the arguments, without the values of
 * --vars and --args, which change with each run and are nobody's business. At most 200 bytes. */
void wrap_line_append_command(size_t count, const char *const *arguments, struct buf *text);

/* Appends at most so many bytes of it, whole characters; what is no UTF-8, and NUL, as U+FFFD. */
void wrap_line_append_cut(struct slice words, size_t bytes_max, struct buf *text);

/* A number for a name: the same one always and everywhere, 1 to 2^53 - 1. */
int64_t wrap_line_id(struct slice name);

/* The name of a job, environment or project as it was given: a number is an id, words are a name
 * whose id is wrap_line_id. `ret_name` is SLICE_NONE for a number. */
void wrap_line_read_id(const char *given, int64_t *ret_id, struct slice *ret_name);

#endif
