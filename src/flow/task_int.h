/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kinds of task share: task.c (thread, turns, limits), task_replay.c, task_content.c,
 * task_statistics.c. Everything belongs to the task thread, but that `write` and the turn's results
 * are the writer's while the thread waits for the step.
 */
#ifndef PH_FLOW_TASK_INT_H
#define PH_FLOW_TASK_INT_H

#include "core/throttle.h"
#include "flow/step.h"
#include "flow/task.h"
#include "store/replay.h"

/* Rows that one turn looks at, and what it does at most. */
#define TASK_SCAN_ROWS 1000
#define TASK_STEP_MESSAGES 100
#define TASK_STEP_RESULTS 50
/* Messages handed over and not tried yet. */
#define TASK_WINDOW_MIN 8
#define TASK_WINDOW_MAX 512
/* Texts of one turn: names of messages, event types of endpoints. */
#define TASK_TURN_BYTES ((size_t)16 * 1024 * 1024)
#define TASK_ROW_BYTES ((size_t)256 * 1024)

enum task_source { TASK_WALKS_ATTEMPTS, TASK_WALKS_MESSAGES, TASK_WALKS_APPLICATIONS };

struct task_walk {
    enum task_source source;
    bool is_counting; /* finds `total`, does nothing */
};

/* One message that is to be handed over. */
struct task_found {
    int64_t message_id;
    int64_t order_key; /* of its delivery */
};

/* A task that takes turns. */
struct active_task {
    struct task_row row;
    struct arena texts;       /* of the row */
    int64_t ready_us;         /* boot clock, of the next turn */
    struct throttle throttle; /* its rate */
    size_t window;
    int64_t filled_us;                            /* boot clock, of the last hand-over */
    bool was_filled;                              /* the window, by it */
    bool must_reopen;                             /* its row is not what is in memory */
    struct replay_handed handed[TASK_WINDOW_MAX]; /* a ring: not yet tried, oldest first */
    size_t handed_first;
    size_t handed_count;
};

/* One turn: what a scan found, and what the step did with it. */
struct task_turn {
    struct step step;
    struct active_task *active;
    struct arena arena;
    size_t room; /* messages that may be handed over */

    /* Of the scan. */
    struct task_found found[TASK_STEP_MESSAGES];
    size_t count;
    int64_t order_key; /* of the row that is being judged */
    int64_t counted;   /* by a counting walk */
    int64_t skipped;   /* wanted, but without a payload */
    int64_t last_id;   /* of what was looked at; the row's cursor when nothing was */
    int64_t subject_id;
    bool is_end; /* of the walk */
    bool is_cut; /* it ends before its end, at a limit */
    struct replay_endpoint endpoint;
    struct task_result results[TASK_STEP_RESULTS];
    size_t result_count;
    int64_t results_done; /* those that are complete */
    const char *failure;  /* not NULL: the task cannot go on */

    /* Of the step. */
    struct task_progress to;
    struct replay_handed handed[TASK_STEP_MESSAGES];
    size_t handed_count;
    bool was_moved;
    bool is_outdated; /* the configuration is newer than the scan */
};

struct task_kind_row {
    const struct task_walk *walks;
    size_t walk_count;
    /* Looks at the next rows of the walk. */
    enum ph_error (*scan)(struct task_turn *turn, struct store *store, struct diag *diag);
    /* Inside the step's transaction: does the work of what was found, unless the walk counts; fills
     * `handed` and adds to to.done. PH_CONFLICT, and is_outdated, when the scan does not hold. */
    enum ph_error (*write)(struct task_turn *turn, struct writer_txn *txn, struct diag *diag);
};

const struct task_walk *task_walk_of(const struct task_turn *turn);
/* Ids of the task's time, those from before the task itself only. */
struct replay_range task_range(const struct task_row *row);
/* The next rows of the walk, which is over attempts or messages: calls `judge` for each until it
 * has found `room` (or `limit` rows were seen), and sets what a scan sets. */
enum task_judgement { TASK_NOT_WANTED, TASK_WANTED, TASK_WITHOUT_PAYLOAD };
typedef enum ph_error(task_judge)(struct task_turn *turn, struct store *store,
                                  const struct replay_row *row, void *context, struct diag *diag,
                                  enum task_judgement *ret_judgement);
PH_NODISCARD enum ph_error task_scan_rows(struct task_turn *turn, struct store *store,
                                          task_judge *judge, void *context, struct diag *diag);

extern const struct task_kind_row task_recover, task_replay, task_bulk_replay;
extern const struct task_kind_row task_purge_content;
extern const struct task_kind_row task_application_stats, task_event_types;

#endif
