/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A second child beside dbt, in the same process group and under its name, that takes signals and
 * does nothing with them: what comes to it as well as to us was sent to the whole group, or to
 * every process of a job, so that dbt has it too. Nothing else tells a signal to us alone from one
 * that dbt has already. It has no files open, and ends with us.
 *
 * Main thread, before other threads start.
 */
#ifndef PH_APP_WRAP_WITNESS_H
#define PH_APP_WRAP_WITNESS_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct wrap_witness {
    pid_t pid; /* -1: there is none */
    int fd;    /* questions and answers */
};

/* `taken` are the signals, which are blocked. `arguments` is dbt's command, of the words that main
 * was given: it takes their place in what lists of processes show, so that who picks dbt by name
 * picks this too, and who picks us does not. Without one (no process, no memory) there are no
 * answers. */
void wrap_witness_start(struct wrap_witness *witness, const sigset_t *taken,
                        char *const *arguments);
/* Whether signal `number` has come to it, or comes within a moment: asked once for each that comes
 * to us. False in `ret_has_it` never stands for "not known": then there is no answer (false). */
bool wrap_witness_ask(struct wrap_witness *witness, int number, bool *ret_has_it);
/* Ends it. */
void wrap_witness_stop(struct wrap_witness *witness);

#endif
