/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Concurrency: `lock` guards `is_stopping`; the rest is the task thread's. Requests add and cancel
 * tasks in the store only: the thread looks there for its work, and a step moves the row of a task
 * only from where this thread knows it to be.
 */
#include "flow/task.h"

#include <pthread.h>

#include "base/clock.h"
#include "flow/task_int.h"

/* How often new tasks are looked for. */
#define TICK_US (200 * CLOCK_US_PER_MS)
/* Between two steps of a task; callers' writes go in between. */
#define STEP_PAUSE_US (20 * CLOCK_US_PER_MS)
#define COUNT_PAUSE_US (1 * CLOCK_US_PER_MS)
/* Between two looks at what was handed over. */
#define WINDOW_PAUSE_US (10 * CLOCK_US_PER_MS)
#define BUSY_PAUSE_US (200 * CLOCK_US_PER_MS)
#define FAILURE_PAUSE_US (1000 * CLOCK_US_PER_MS)
#define WINDOW_FIRST 32
/* A window that is not half empty after this time is too large for the endpoint. */
#define WINDOW_SLOW_US CLOCK_US_PER_S

struct tasks {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_stopping;
    pthread_t thread;

    const struct flow_options *options;
    struct writer *writer;
    struct store *store;
    struct active_task *active[TASKS_ACTIVE_MAX];
    size_t active_count;
    int64_t look_us; /* boot clock, of the next look for tasks */
    struct task_ref refs[TASKS_UNFINISHED_MAX];
    struct task_turn turn; /* of whose turn it is */
};

static const struct task_kind_row *const kinds[] = {
    [TASK_REPLAY] = &task_replay,
    [TASK_RECOVER] = &task_recover,
    [TASK_BULK_REPLAY] = &task_bulk_replay,
    [TASK_PURGE_CONTENT] = &task_purge_content,
    [TASK_APPLICATION_STATS] = &task_application_stats,
    [TASK_EVENT_TYPES] = &task_event_types,
};
_Static_assert(PH_ARRAY_LENGTH(kinds) == TASK_KIND_COUNT, "one row per kind");

/* --- what kinds ask for ------------------------------------------------------------------------
 */

const struct task_walk *task_walk_of(const struct task_turn *turn)
{
    const struct task_row *row = &turn->active->row;
    PH_ASSERT((size_t)row->progress.walk < kinds[row->kind]->walk_count);
    return &kinds[row->kind]->walks[row->progress.walk];
}

struct replay_range task_range(const struct task_row *row)
{
    int64_t floor = id_floor(row->since_us);
    struct replay_range range = {floor > 0 ? floor - 1 : 0, row->id};
    if (row->until_us < id_time_us(row->id)) {
        range.before_id = id_floor(row->until_us);
    }
    return range;
}

bool task_total_is_known(const struct task_row *row)
{
    const struct task_kind_row *kind = kinds[row->kind];
    return kind->walks[0].is_counting && (size_t)row->progress.walk > 0 &&
           ((size_t)row->progress.walk == kind->walk_count ||
            !kind->walks[row->progress.walk].is_counting);
}

static enum ph_error next_rows(struct task_turn *turn, struct store *store, struct replay_row *rows,
                               size_t limit, struct diag *diag, size_t *ret_count)
{
    const struct task_row *row = &turn->active->row;
    struct replay_range range = task_range(row);
    if (row->progress.cursor_id > range.after_id) {
        range.after_id = row->progress.cursor_id;
    }
    if (task_walk_of(turn)->source == TASK_WALKS_ATTEMPTS) {
        return replay_attempts(store, row->endpoint_id, &range, rows, limit, diag, ret_count);
    }
    return replay_messages(store, row->application_id, &range, rows, limit, diag, ret_count);
}

enum ph_error task_scan_rows(struct task_turn *turn, struct store *store, task_judge *judge,
                             void *context, struct diag *diag)
{
    struct replay_row rows[TASK_SCAN_ROWS];
    bool is_counting = task_walk_of(turn)->is_counting;
    /* With little room a short look is enough. */
    size_t limit = is_counting ? TASK_SCAN_ROWS : turn->room * 10;
    limit = limit > TASK_SCAN_ROWS ? TASK_SCAN_ROWS : limit;
    size_t count = 0;
    size_t index = 0;
    enum ph_error error = next_rows(turn, store, rows, limit, diag, &count);
    for (; error == PH_OK && index < count && (is_counting || turn->count < turn->room); index++) {
        enum task_judgement judgement = TASK_NOT_WANTED;
        error = judge(turn, store, &rows[index], context, diag, &judgement);
        turn->last_id = rows[index].id;
        if (judgement == TASK_WANTED && is_counting) {
            turn->counted++;
        } else if (judgement == TASK_WANTED) {
            turn->found[turn->count++] =
                (struct task_found){rows[index].message_id, turn->order_key};
        } else if (judgement == TASK_WITHOUT_PAYLOAD && !is_counting) {
            turn->skipped++;
        }
    }
    turn->is_end = index == count && count < limit;
    return error;
}

/* --- one step: the writer thread ----------------------------------------------------------------
 */

static enum ph_error run_turn(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    struct task_turn *turn = PH_CONTAINER_OF(step, struct task_turn, step);
    const struct task_row *row = &turn->active->row;
    turn->to = row->progress;
    turn->to.cursor_id = turn->last_id;
    turn->to.subject_id = turn->subject_id;
    turn->to.total += turn->counted;
    turn->to.skipped += turn->skipped;
    turn->handed_count = 0;
    turn->was_moved = false;
    turn->is_outdated = false;
    if (turn->is_end) {
        turn->to.walk++;
        turn->to.cursor_id = 0;
    }
    enum ph_error error = PH_OK;
    if (!task_walk_of(turn)->is_counting) {
        error = kinds[row->kind]->write(turn, txn, diag);
    }
    if (turn->is_cut) {
        turn->to.walk = (int64_t)kinds[row->kind]->walk_count;
    }
    if (error == PH_OK) {
        error = task_move(txn->store, row->id, &row->progress, &turn->to, txn->now_us, diag,
                          &turn->was_moved);
    }
    if (error == PH_OK && !turn->was_moved) {
        error = diag_set(diag, PH_CONFLICT, NULL, "the task was cancelled");
    }
    return error;
}

static enum ph_error run_end(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    struct task_turn *turn = PH_CONTAINER_OF(step, struct task_turn, step);
    enum task_state state = turn->failure == NULL ? TASK_FINISHED : TASK_FAILED;
    return task_end(txn->store, turn->active->row.id, state, slice_of(turn->failure), txn->now_us,
                    diag, &turn->was_moved);
}

/* --- turns: the task thread ---------------------------------------------------------------------
 */

static void log_failure(struct tasks *tasks, const struct active_task *active,
                        const struct diag *diag)
{
    char id[ID_TEXT_MAX];
    (void)id_format(&tasks->store->codec, ID_TASK, active->row.id, id);
    log_write(tasks->options->log, LOG_TASK_STEP_FAILED, LOG_TEXT("task", id),
              LOG_TEXT("error", diag->text));
}

static void tell_end(struct tasks *tasks, const struct active_task *active, const char *failure)
{
    char id[ID_TEXT_MAX];
    (void)id_format(&tasks->store->codec, ID_TASK, active->row.id, id);
    metrics_add(tasks->options->metrics,
                failure == NULL ? METRIC_TASKS_FINISHED : METRIC_TASKS_FAILED, 1);
    log_write(tasks->options->log, LOG_TASK_ENDED, LOG_TEXT("task", id),
              LOG_TEXT("kind", task_kind_name(active->row.kind)),
              LOG_INT("done", active->row.progress.done),
              LOG_TEXT("failure", failure == NULL ? "" : failure));
}

/* A write of the turn; sets when the task goes on. False when it did not happen. */
static bool run_write(struct tasks *tasks,
                      enum ph_error (*run)(struct step *, struct writer_txn *, struct diag *))
{
    struct active_task *active = tasks->turn.active;
    struct diag diag = {0};
    step_init(&tasks->turn.step, run);
    enum ph_error error = step_run(&tasks->turn.step, tasks->writer, &diag);
    step_done(&tasks->turn.step);
    int64_t now_us = clock_boot_us();
    if (error == PH_OK) {
        active->ready_us = now_us + STEP_PAUSE_US;
    } else if (error == PH_BUSY || error == PH_SHUTTING_DOWN) {
        active->ready_us = now_us + BUSY_PAUSE_US; /* callers go first */
    } else if (error == PH_CONFLICT) {
        active->ready_us = now_us + STEP_PAUSE_US;
        if (!tasks->turn.is_outdated) {
            active->must_reopen = true; /* cancelled, or not where it was thought to be */
            tasks->look_us = 0;
        }
    } else {
        log_failure(tasks, active, &diag);
        active->ready_us = now_us + FAILURE_PAUSE_US;
    }
    return error == PH_OK;
}

static void end_task(struct tasks *tasks, const char *failure)
{
    struct task_turn *turn = &tasks->turn;
    turn->failure = failure;
    if (run_write(tasks, run_end) && turn->was_moved) {
        tell_end(tasks, turn->active, failure);
    }
    tasks->look_us = 0;
}

/* Forgets what was tried meanwhile. What goes out goes about in this order. */
static enum ph_error settle_handed(struct tasks *tasks, struct active_task *active,
                                   struct diag *diag)
{
    enum ph_error error = PH_OK;
    bool is_waiting = false;
    while (error == PH_OK && active->handed_count > 0 && !is_waiting) {
        const struct replay_handed *oldest = &active->handed[active->handed_first];
        error = oldest->manual_id != 0
                    ? replay_is_waiting(tasks->store, oldest->manual_id, diag, &is_waiting)
                    : replay_is_untried(tasks->store, oldest->message_id, active->row.endpoint_id,
                                        clock_wall_us(), diag, &is_waiting);
        if (error == PH_OK && !is_waiting) {
            active->handed_first = (active->handed_first + 1) % TASK_WINDOW_MAX;
            active->handed_count--;
        }
    }
    return error;
}

/* Messages that the window and the rate let go now, at most TASK_STEP_MESSAGES; else when. */
static size_t find_room(struct active_task *active, int64_t now_us)
{
    if (active->handed_count > active->window / 2) {
        if (now_us - active->filled_us > WINDOW_SLOW_US) {
            active->window /= active->window > TASK_WINDOW_MIN ? 2 : 1;
            active->filled_us = now_us;
        }
        active->ready_us = now_us + WINDOW_PAUSE_US;
        return 0;
    }
    if (active->handed_count == 0 && active->was_filled) {
        active->was_filled = false;
        active->window *= active->window < TASK_WINDOW_MAX ? 2 : 1;
    }
    size_t most = active->window - active->handed_count;
    most = most < TASK_STEP_MESSAGES ? most : TASK_STEP_MESSAGES;
    size_t room = 0;
    while (room < most && throttle_take(&active->throttle, now_us)) {
        room++;
    }
    if (room == 0) {
        active->ready_us = throttle_ready_at(&active->throttle, now_us);
    }
    return room;
}

static void keep_handed(struct active_task *active, const struct task_turn *turn)
{
    for (size_t index = 0; index < turn->handed_count; index++) {
        PH_ASSERT(active->handed_count < TASK_WINDOW_MAX);
        size_t last = (active->handed_first + active->handed_count++) % TASK_WINDOW_MAX;
        active->handed[last] = turn->handed[index];
    }
    active->filled_us = clock_boot_us();
    active->was_filled = active->handed_count >= active->window;
}

/* The page was found: its step, and what follows from its commit. */
static void do_step(struct tasks *tasks)
{
    struct task_turn *turn = &tasks->turn;
    struct active_task *active = turn->active;
    bool is_counting = task_walk_of(turn)->is_counting;
    bool is_sending = !is_counting && active->row.endpoint_id != 0;
    bool is_done = run_write(tasks, run_turn);
    size_t used = is_done ? turn->handed_count : 0;
    for (size_t index = used; is_sending && index < turn->room; index++) {
        throttle_give_back(&active->throttle);
    }
    if (!is_done) {
        return;
    }
    active->row.progress = turn->to;
    metrics_add(tasks->options->metrics, METRIC_TASK_STEPS, 1);
    if (is_counting) {
        active->ready_us = clock_boot_us() + COUNT_PAUSE_US;
    }
    if (is_sending && turn->handed_count > 0) {
        keep_handed(active, turn);
        metrics_add(tasks->options->metrics, METRIC_TASK_MESSAGES, (int64_t)turn->handed_count);
        if (turn->handed[0].manual_id == 0) {
            metrics_add(tasks->options->metrics, METRIC_DELIVERIES_CREATED,
                        (int64_t)turn->handed_count);
        }
    }
}

/* True when the task may look for more now; `turn.room` is set then. */
static bool may_go_on(struct tasks *tasks, struct active_task *active, struct diag *diag,
                      enum ph_error *ret_error)
{
    int64_t now_us = clock_boot_us();
    *ret_error = settle_handed(tasks, active, diag);
    if (*ret_error != PH_OK) {
        return false;
    }
    if ((size_t)active->row.progress.walk == kinds[active->row.kind]->walk_count) {
        if (active->handed_count == 0) {
            end_task(tasks, NULL);
        } else {
            active->ready_us = now_us + WINDOW_PAUSE_US;
        }
        return false;
    }
    bool is_sending = active->row.endpoint_id != 0 && !task_walk_of(&tasks->turn)->is_counting;
    tasks->turn.room = is_sending ? find_room(active, now_us) : TASK_STEP_MESSAGES;
    return tasks->turn.room > 0;
}

static void take_turn(struct tasks *tasks, struct active_task *active)
{
    struct task_turn *turn = &tasks->turn;
    struct diag diag = {0};
    *turn = (struct task_turn){
        .active = active,
        .last_id = active->row.progress.cursor_id,
        .subject_id = active->row.progress.subject_id,
    };
    enum ph_error error;
    if (may_go_on(tasks, active, &diag, &error)) {
        arena_init(&turn->arena, TASK_TURN_BYTES);
        error = kinds[active->row.kind]->scan(turn, tasks->store, &diag);
        if (error == PH_OK && turn->failure != NULL) {
            end_task(tasks, turn->failure);
        } else if (error == PH_OK) {
            do_step(tasks);
        }
        arena_done(&turn->arena);
    }
    if (error != PH_OK) {
        log_failure(tasks, active, &diag);
        active->ready_us = clock_boot_us() + FAILURE_PAUSE_US;
    }
}

/* --- which tasks are active ---------------------------------------------------------------------
 */

static void close_task(struct active_task *active)
{
    arena_done(&active->texts);
    free(active);
}

/* What the task handed over before this thread knew it: its end waits for that, too. */
static enum ph_error find_handed(struct tasks *tasks, struct active_task *active, struct diag *diag)
{
    const struct task_row *row = &active->row;
    if (row->endpoint_id == 0 || row->progress.done == 0) {
        return PH_OK;
    }
    if (row->kind == TASK_RECOVER) {
        return replay_untried_attempts(tasks->store, row->id, row->endpoint_id, diag,
                                       active->handed, TASK_WINDOW_MAX, &active->handed_count);
    }
    return replay_untried_deliveries(tasks->store, row->started_at_us, row->endpoint_id, diag,
                                     active->handed, TASK_WINDOW_MAX, &active->handed_count);
}

static enum ph_error open_task(struct tasks *tasks, int64_t id, struct diag *diag)
{
    struct active_task *active = ph_calloc(1, sizeof *active);
    arena_init(&active->texts, TASK_ROW_BYTES);
    enum ph_error error = task_find(tasks->store, id, &active->texts, diag, &active->row);
    if (error == PH_OK) {
        error = find_handed(tasks, active, diag);
    }
    if (error != PH_OK || active->row.state != TASK_RUNNING) {
        close_task(active);
        return error == PH_NOT_FOUND ? PH_OK : error; /* gone in the meantime */
    }
    active->window = WINDOW_FIRST;
    active->filled_us = clock_boot_us();
    throttle_init_smooth(&active->throttle, active->row.rate, active->filled_us);
    tasks->active[tasks->active_count++] = active;
    return PH_OK;
}

static bool is_listed(const struct tasks *tasks, size_t ref_count, int64_t id)
{
    for (size_t index = 0; index < ref_count; index++) {
        if (tasks->refs[index].id == id) {
            return true;
        }
    }
    return false;
}

/* One at a time for each endpoint, so that a later one sees what an earlier one did. */
static bool may_start(const struct tasks *tasks, const struct task_ref *ref)
{
    size_t of_owner = 0;
    for (size_t index = 0; index < tasks->active_count; index++) {
        const struct task_row *row = &tasks->active[index]->row;
        if (row->id == ref->id || (ref->endpoint_id != 0 && row->endpoint_id == ref->endpoint_id)) {
            return false;
        }
        of_owner += row->application_id == ref->application_id;
    }
    return of_owner < TASKS_ACTIVE_OF_OWNER_MAX;
}

/* Drops the tasks that ended, and starts those whose turn has come. */
static void look_for_tasks(struct tasks *tasks)
{
    struct diag diag = {0};
    size_t count = 0;
    enum ph_error error =
        task_running(tasks->store, tasks->refs, TASKS_UNFINISHED_MAX, &diag, &count);
    if (error == PH_OK) {
        size_t kept = 0;
        for (size_t index = 0; index < tasks->active_count; index++) {
            if (!tasks->active[index]->must_reopen &&
                is_listed(tasks, count, tasks->active[index]->row.id)) {
                tasks->active[kept++] = tasks->active[index];
            } else {
                close_task(tasks->active[index]);
            }
        }
        tasks->active_count = kept;
    }
    for (size_t index = 0;
         error == PH_OK && index < count && tasks->active_count < TASKS_ACTIVE_MAX; index++) {
        if (may_start(tasks, &tasks->refs[index])) {
            error = open_task(tasks, tasks->refs[index].id, &diag);
        }
    }
    if (error != PH_OK) {
        log_write(tasks->options->log, LOG_STORE_FAILED, LOG_TEXT("error", diag.text));
        return;
    }
    metrics_set(tasks->options->metrics, METRIC_TASKS_ACTIVE, (int64_t)tasks->active_count);
    metrics_set(tasks->options->metrics, METRIC_TASKS_WAITING,
                (int64_t)(count - tasks->active_count));
}

/* --- the thread ----------------------------------------------------------------------------------
 */

/* Waits until the boot time, or until it has to stop. False when it stops. */
static bool wait_until(struct tasks *tasks, int64_t at_us)
{
    int64_t wait_us = at_us - clock_boot_us();
    struct timespec until = clock_deadline(wait_us > 0 ? wait_us : 0);
    (void)pthread_mutex_lock(&tasks->lock);
    int waited = 0;
    while (!tasks->is_stopping && waited == 0 && wait_us > 0) {
        waited = pthread_cond_timedwait(&tasks->changed, &tasks->lock, &until);
    }
    bool goes_on = !tasks->is_stopping;
    (void)pthread_mutex_unlock(&tasks->lock);
    return goes_on;
}

static int64_t next_time(const struct tasks *tasks)
{
    int64_t at_us = tasks->look_us;
    for (size_t index = 0; index < tasks->active_count; index++) {
        int64_t ready_us = tasks->active[index]->ready_us;
        at_us = ready_us < at_us ? ready_us : at_us;
    }
    return at_us;
}

static void *tasks_main(void *argument)
{
    struct tasks *tasks = argument;
    (void)pthread_setname_np(pthread_self(), "task");
    while (wait_until(tasks, next_time(tasks))) {
        int64_t now_us = clock_boot_us();
        if (tasks->look_us <= now_us) {
            tasks->look_us = now_us + TICK_US;
            look_for_tasks(tasks);
        }
        for (size_t index = 0; index < tasks->active_count; index++) {
            if (tasks->active[index]->ready_us <= now_us) {
                take_turn(tasks, tasks->active[index]);
            }
        }
    }
    return NULL;
}

static void free_tasks(struct tasks *tasks)
{
    for (size_t index = 0; index < tasks->active_count; index++) {
        close_task(tasks->active[index]);
    }
    store_close(tasks->store);
    (void)pthread_cond_destroy(&tasks->changed);
    (void)pthread_mutex_destroy(&tasks->lock);
    free(tasks);
}

enum ph_error tasks_start(const struct flow_options *options, struct writer *writer,
                          struct diag *diag, struct tasks **ret_tasks)
{
    struct tasks *tasks = ph_calloc(1, sizeof *tasks);
    tasks->options = options;
    tasks->writer = writer;
    (void)pthread_mutex_init(&tasks->lock, NULL);
    clock_cond_init(&tasks->changed);
    enum ph_error error = store_open(options->store_address, DB_READ_ONLY, diag, &tasks->store);
    if (error == PH_OK) {
        tasks->store->keyring = options->keyring;
    }
    if (error == PH_OK && pthread_create(&tasks->thread, NULL, tasks_main, tasks) != 0) {
        error = diag_set(diag, PH_INTERNAL, NULL, "could not start the task thread");
    }
    if (error != PH_OK) {
        free_tasks(tasks);
        return error;
    }
    *ret_tasks = tasks;
    return PH_OK;
}

void tasks_stop(struct tasks *tasks)
{
    if (tasks == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&tasks->lock);
    tasks->is_stopping = true;
    (void)pthread_cond_broadcast(&tasks->changed);
    (void)pthread_mutex_unlock(&tasks->lock);
    (void)pthread_join(tasks->thread, NULL);
    free_tasks(tasks);
}

/* --- inside a transaction -----------------------------------------------------------------------
 */

enum ph_error task_add(struct writer_txn *txn, struct task_row *row, struct diag *diag)
{
    int64_t owned;
    int64_t all;
    enum ph_error error =
        task_count_running(txn->store, row->org, row->application_id, diag, &owned, &all);
    if (error != PH_OK) {
        return error;
    }
    if (owned >= TASKS_UNFINISHED_OF_OWNER_MAX) {
        error = diag_set(diag, PH_BAD_REQUEST, NULL,
                         "%lld background tasks are unfinished already: wait for one or cancel it",
                         (long long)owned);
        diag_code(diag, "limit_reached");
        return error;
    }
    if (all >= TASKS_UNFINISHED_MAX) {
        return diag_set(diag, PH_BUSY, NULL,
                        "too many background tasks are unfinished; try again later");
    }
    row->id = writer_txn_new_id(txn);
    row->state = TASK_RUNNING;
    row->updated_at_us = txn->now_us;
    return task_insert(txn->store, row, diag);
}

enum ph_error task_cancel(struct writer_txn *txn, const struct task_row *row, struct diag *diag,
                          bool *ret_ended)
{
    enum ph_error error =
        task_end(txn->store, row->id, TASK_CANCELLED, SLICE_NONE, txn->now_us, diag, ret_ended);
    if (error == PH_OK && *ret_ended && row->kind == TASK_RECOVER) {
        error = replay_forget_attempts(txn->store, row->id, row->endpoint_id, diag);
        writer_txn_deliveries_cancelled(txn, row->endpoint_id);
    }
    return error;
}
