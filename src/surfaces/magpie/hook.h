/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running hooks. Each is an endpoint of the application `magpie`, brought in line with the
 * configuration when the server starts and at every reload, all of them in one transaction.
 *
 * Concurrency: a set does not change once it runs; references are counted. Which one runs is under
 * the surface's lock, and of two reloads at once the one that was committed last stays.
 */
#ifndef PH_SURFACES_MAGPIE_HOOK_H
#define PH_SURFACES_MAGPIE_HOOK_H

#include <stdatomic.h>

#include "surfaces/magpie/config.h"
#include "surfaces/magpie/magpie_int.h"

struct magpie_hook_set {
    atomic_int references;
    struct magpie_config config;
    /* Of the transaction that brought the endpoints in line. */
    int64_t version; /* grows */
    int64_t *endpoint_ids;
    size_t added;
    size_t changed;
    size_t removed;
};

/* An empty set with one reference. */
struct magpie_hook_set *magpie_hook_set_new(void);
struct magpie_hook_set *magpie_hook_set_ref(struct magpie_hook_set *set);
void magpie_hook_set_unref(struct magpie_hook_set *set); /* NULL is fine */

/* A set read from the configured path; for the caller to look at its findings. */
struct magpie_hook_set *magpie_hooks_read(const struct magpie *magpie);
/* Writes the findings to the log. */
void magpie_hooks_log(const struct magpie *magpie, const struct magpie_hook_set *set);
/* Inside a transaction: makes, changes and deletes endpoints. What it tells is in the set. The
 * application is made with its first hook. */
PH_NODISCARD enum ph_error magpie_hooks_apply(struct writer_txn *txn,
                                              const struct retry_schedule *schedule,
                                              struct magpie_hook_set *set, struct diag *diag);
/* After its commit: this set runs, unless a later one does. Takes a reference of its own. */
void magpie_hooks_install(struct magpie *magpie, struct magpie_hook_set *set);
/* A reference to the running set. */
struct magpie_hook_set *magpie_hooks_running(struct magpie *magpie);

/* Main thread. With an error the running set stays; its words count the errors, which are logged.
 */
PH_NODISCARD enum ph_error magpie_hooks_start(struct magpie *magpie, struct diag *diag);
PH_NODISCARD enum ph_error magpie_hooks_reload(struct magpie *magpie, struct diag *diag);

#endif
