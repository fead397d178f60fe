/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Background tasks: replays, purges and statistics that go on in steps while everything else goes
 * on too (svix-api spec sections 7, 9, 12).
 *
 * A task walks over messages, attempts or applications in the order of ids. Each turn reads a page
 * beside the writer, then one step of the writer does the page's work and moves the task's row in
 * the same transaction: after a crash it goes on exactly where it was, and does nothing twice. What
 * it hands over to the deliverers is bounded (a window that follows how fast the endpoint takes
 * it), so a replay of a million messages never stands before what was published meanwhile.
 *
 * Concurrency: one thread of its own with a read-only store; everything it writes goes through the
 * writer. The functions of the second part are called inside `run` of a general job.
 */
#ifndef PH_FLOW_TASK_H
#define PH_FLOW_TASK_H

#include "flow/flow.h"
#include "flow/writer.h"
#include "store/task.h"

/* Tasks that take turns; the others wait. */
#define TASKS_ACTIVE_MAX 16
/* Of one application (or of the organisations' own, together). */
#define TASKS_ACTIVE_OF_OWNER_MAX 4
/* Unfinished tasks of one application (or one organisation's own), and of all. */
#define TASKS_UNFINISHED_OF_OWNER_MAX 32
#define TASKS_UNFINISHED_MAX 1000
/* Messages that one recover sends (spec section 7). */
#define TASK_RECOVER_MAX 10000
/* Applications that one statistics task looks at. */
#define TASK_APPLICATIONS_MAX 10000
#define TASK_RATE_MAX 100000

struct tasks;

PH_NODISCARD enum ph_error tasks_start(const struct flow_options *options, struct writer *writer,
                                       struct diag *diag, struct tasks **ret_tasks);
/* Ends the thread; the writer must still run. NULL is fine. */
void tasks_stop(struct tasks *tasks);

/* --- inside a transaction ----------------------------------------------------------------------
 */

/* A new task from org, application_id, endpoint_id, kind, parameters, since_us, until_us and rate
 * of `row`, which gets the rest. PH_BAD_REQUEST (`limit_reached`) when its owner has too many
 * unfinished ones, PH_BUSY when there are too many in all. */
PH_NODISCARD enum ph_error task_add(struct writer_txn *txn, struct task_row *row,
                                    struct diag *diag);
/* Cancels a running task: what was not handed over stays as it is. One that had ended is left alone
 * (false in *ret_ended). */
PH_NODISCARD enum ph_error task_cancel(struct writer_txn *txn, const struct task_row *row,
                                       struct diag *diag, bool *ret_ended);

/* Whether progress.total of a task that stands there is known. */
bool task_total_is_known(const struct task_row *row);

#endif
