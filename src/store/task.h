/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Background tasks: what was asked for, where each stands, what it found (svix-api spec section
 * 12; flow/task.h runs them). Thread: the store's owner; functions that write run inside the
 * writer's transaction.
 *
 *                 ┌───────┐ a step
 *                 ▼       │
 *   (insert) ─► running ──┴─► finished | failed | cancelled
 */
#ifndef PH_STORE_TASK_H
#define PH_STORE_TASK_H

#include "base/arena.h"
#include "store/message_list.h"
#include "store/store.h"

/* Stored in the database: append only, never renumber. */
enum task_kind {
    TASK_REPLAY = 0, /* what the endpoint never got */
    TASK_RECOVER = 1,
    TASK_BULK_REPLAY = 2,
    TASK_PURGE_CONTENT = 3,
    TASK_APPLICATION_STATS = 4,
    TASK_EVENT_TYPES = 5,
    TASK_KIND_COUNT
};

/* Stored likewise. */
enum task_state { TASK_RUNNING = 0, TASK_FINISHED = 1, TASK_FAILED = 2, TASK_CANCELLED = 3 };

#define TASK_ANY (-1)

/* "endpoint.recover", as in the API. Static text. */
const char *task_kind_name(enum task_kind kind);

/* Where a task stands. Moved by steps only. */
struct task_progress {
    int64_t walk;       /* which of its walks, from 0 */
    int64_t cursor_id;  /* the last id of that walk that is done with */
    int64_t subject_id; /* the application in whose messages the cursor is; not used by all */
    int64_t total;      /* found by the walks that count */
    int64_t done;
    int64_t skipped;
};

struct task_row {
    int64_t id;
    struct slice org;
    int64_t application_id; /* 0 = the organisation's */
    int64_t endpoint_id;    /* 0 = none */
    enum task_kind kind;
    enum task_state state;
    struct slice parameters; /* JSON object text */
    int64_t since_us;        /* what it is about: messages (attempts) of this time */
    int64_t until_us;
    int64_t rate; /* messages per second, 0 = no limit */
    struct task_progress progress;
    struct slice failure;  /* why it failed, SLICE_NONE = it did not */
    int64_t started_at_us; /* 0 = it waits for its turn */
    int64_t updated_at_us;
    int64_t finished_at_us; /* 0 = not yet */
};

PH_NODISCARD enum ph_error task_insert(struct store *store, const struct task_row *row,
                                       struct diag *diag);
/* Texts are copied into `arena`. PH_NOT_FOUND; PH_NO_MEMORY at its cap. */
PH_NODISCARD enum ph_error task_find(struct store *store, int64_t id, struct arena *arena,
                                     struct diag *diag, struct task_row *ret_row);

struct task_query {
    struct slice org;
    int64_t application_id; /* 0 = all of the organisation's */
    int kind;               /* enum task_kind, or TASK_ANY */
    int state;              /* enum task_state, or TASK_ANY; TASK_FAILED includes cancelled ones */
    struct id_page page;
};
/* As message_page: at most LIST_EXAMINED_MAX rows are looked at. */
PH_NODISCARD enum ph_error task_page(struct store *store, const struct task_query *query,
                                     struct arena *arena, struct diag *diag, struct task_row *rows,
                                     struct list_end *ret_end);

/* A running task and whom it concerns. */
struct task_ref {
    int64_t id;
    int64_t application_id;
    int64_t endpoint_id;
};
/* At most `limit` running tasks, oldest first. */
PH_NODISCARD enum ph_error task_running(struct store *store, struct task_ref *refs, size_t limit,
                                        struct diag *diag, size_t *ret_count);
/* Running tasks of the application (0: the organisation's own), and of all. */
PH_NODISCARD enum ph_error task_count_running(struct store *store, struct slice org,
                                              int64_t application_id, struct diag *diag,
                                              int64_t *ret_owned, int64_t *ret_all);

/*
 * One step of a running task: from where it stood to where it stands now. False in *ret_moved,
 * and nothing written, when it does not stand at `from` any more, or does not run.
 */
PH_NODISCARD enum ph_error task_move(struct store *store, int64_t id,
                                     const struct task_progress *from,
                                     const struct task_progress *to, int64_t now_us,
                                     struct diag *diag, bool *ret_moved);
/* Ends a running task; `failure` SLICE_NONE unless it failed. False when it had ended before. */
PH_NODISCARD enum ph_error task_end(struct store *store, int64_t id, enum task_state state,
                                    struct slice failure, int64_t now_us, struct diag *diag,
                                    bool *ret_ended);
/* Deletes at most `limit` rows of tasks that ended before `before_us`: results first, then tasks. 0
 * in *ret_deleted when none is left. */
PH_NODISCARD enum ph_error task_delete_old(struct store *store, int64_t before_us, int64_t limit,
                                           struct diag *diag, int64_t *ret_deleted);

/* --- what statistics find ----------------------------------------------------------------------
 */

struct task_result {
    int64_t application_id;
    struct slice application_uid; /* read only; SLICE_NONE = none */
    int64_t messages;
    int64_t deliveries;
    int64_t attempts;
    struct slice event_types; /* JSON array of names */
    bool is_catch_all;
};

/* Adds the numbers to those found before; names replace those found before. */
PH_NODISCARD enum ph_error task_result_add(struct store *store, int64_t task_id,
                                           const struct task_result *found, struct diag *diag);
/* Results by application, those after `after_id`, at most `limit`; texts are copied into `arena`.
 */
PH_NODISCARD enum ph_error task_result_page(struct store *store, int64_t task_id, int64_t after_id,
                                            struct arena *arena, struct diag *diag,
                                            struct task_result *rows, size_t limit,
                                            size_t *ret_count);

#endif
