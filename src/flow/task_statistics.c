/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the applications of an organisation use: messages, deliveries and attempts of a time, and
 * the event types that their endpoints ask for (svix-api spec section 12). All reading is the
 * scan's; the step keeps what was found.
 *
 * progress.subject_id is the application at which the walk stands, cursor_id the last message of it
 * that was counted, WHOLE when there are no more.
 */
#include "core/scan.h"
#include "flow/task_int.h"
#include "store/usage.h"

#define WHOLE INT64_MAX
/* Names that an application's endpoints ask for; more are left out. */
#define NAMES_MAX 10000
#define NAMES_TEXT_MAX ((size_t)4 * 1024 * 1024)

/* The application after `after_id`: of those asked for, in order, or of all. 0 at the end. */
static enum ph_error next_subject(struct task_turn *turn, struct store *store, int64_t after_id,
                                  struct diag *diag, int64_t *ret_id)
{
    const struct task_row *row = &turn->active->row;
    struct scan_member member;
    size_t count = 0;
    enum ph_error error = scan_object(row->parameters, &member, 1, &count, diag, NULL);
    if (error != PH_OK || count == 0) {
        return error != PH_OK ? error
                              : usage_next_application(store, row->org, after_id, diag, ret_id);
    }
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    scan_cursor_init(&cursor, member.value);
    *ret_id = 0;
    while (*ret_id == 0 && scan_next_element(&cursor, &type, &value)) {
        int64_t id;
        PH_ASSERT(scan_int64(value, &id));
        *ret_id = id > after_id ? id : 0;
    }
    return PH_OK;
}

/* Moves on to the next application, or to the end. */
static enum ph_error take_subject(struct task_turn *turn, struct store *store, struct diag *diag)
{
    int64_t id = 0;
    enum ph_error error = next_subject(turn, store, turn->subject_id, diag, &id);
    if (error != PH_OK) {
        return error;
    }
    const struct task_progress *progress = &turn->active->row.progress;
    if (id != 0 && progress->done + turn->results_done >= TASK_APPLICATIONS_MAX) {
        turn->skipped = 1; /* says that there are more */
        id = 0;
    }
    turn->is_end = id == 0;
    if (id != 0) {
        turn->subject_id = id;
        turn->last_id = 0;
    }
    return PH_OK;
}

static enum ph_error write_results(struct task_turn *turn, struct writer_txn *txn,
                                   struct diag *diag)
{
    enum ph_error error = PH_OK;
    for (size_t index = 0; error == PH_OK && index < turn->result_count; index++) {
        error = task_result_add(txn->store, turn->active->row.id, &turn->results[index], diag);
    }
    turn->to.done += turn->results_done;
    return error;
}

/* --- usage -------------------------------------------------------------------------------------
 */

/* Counts on in the application at hand, at most `limit` messages. */
static enum ph_error count_subject(struct task_turn *turn, struct store *store, int64_t limit,
                                   struct diag *diag, int64_t *ret_counted)
{
    struct replay_range range = task_range(&turn->active->row);
    if (turn->last_id > range.after_id) {
        range.after_id = turn->last_id;
    }
    struct usage_messages found;
    enum ph_error error =
        usage_count_messages(store, turn->subject_id, &range, limit, diag, &found);
    if (error != PH_OK) {
        return error;
    }
    turn->results[turn->result_count++] = (struct task_result){
        .application_id = turn->subject_id,
        .messages = found.messages,
        .deliveries = found.deliveries,
        .attempts = found.attempts,
    };
    bool is_whole = found.messages < limit;
    turn->last_id = is_whole ? WHOLE : found.last_id;
    turn->results_done += is_whole;
    *ret_counted = found.messages;
    return PH_OK;
}

static enum ph_error scan_usage(struct task_turn *turn, struct store *store, struct diag *diag)
{
    int64_t left = TASK_SCAN_ROWS;
    enum ph_error error = PH_OK;
    while (error == PH_OK && !turn->is_end && left > 0 && turn->result_count < TASK_STEP_RESULTS) {
        if (turn->subject_id == 0 || turn->last_id == WHOLE) {
            error = take_subject(turn, store, diag);
            continue;
        }
        int64_t counted = 0;
        error = count_subject(turn, store, left, diag, &counted);
        left -= counted;
    }
    return error;
}

/* --- event types -------------------------------------------------------------------------------
 */

/* Sorted, each once; the quotes belong to them. */
struct names {
    struct arena *arena;
    struct slice *texts;
    size_t count;
    bool is_catch_all;
};

/* False when there is no room for one more. */
static bool add_name(struct names *names, struct slice name)
{
    size_t low = 0;
    size_t high = names->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = slice_compare(names->texts[middle], name);
        if (order == 0) {
            return true;
        }
        *(order < 0 ? &low : &high) = order < 0 ? middle + 1 : middle;
    }
    name.ptr = names->count < NAMES_MAX ? arena_dup(names->arena, name) : NULL;
    if (name.ptr == NULL) {
        return false;
    }
    memmove(&names->texts[low + 1], &names->texts[low],
            (names->count - low) * sizeof names->texts[0]);
    names->texts[low] = name;
    names->count++;
    return true;
}

static bool add_names(void *context, struct slice event_types)
{
    struct names *names = context;
    if (event_types.ptr == NULL) {
        names->is_catch_all = true;
        return true;
    }
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    bool has_room = true;
    scan_cursor_init(&cursor, event_types);
    while (has_room && scan_next_element(&cursor, &type, &value)) {
        has_room = add_name(names, value);
    }
    return has_room;
}

/* As a JSON array. */
static struct slice write_names(const struct names *names)
{
    BUF_AUTO struct buf text;
    buf_init(&text, NAMES_TEXT_MAX);
    buf_append_byte(&text, '[');
    for (size_t index = 0; index < names->count; index++) {
        buf_append_text(&text, index > 0 ? "," : "");
        buf_append_slice(&text, names->texts[index]);
    }
    buf_append_byte(&text, ']');
    struct slice whole = buf_slice(&text);
    whole.ptr = text.failed ? NULL : arena_dup(names->arena, whole);
    return whole;
}

static enum ph_error find_names(struct task_turn *turn, struct store *store, struct diag *diag)
{
    struct names names = {
        .arena = &turn->arena,
        .texts = arena_calloc(&turn->arena, NAMES_MAX, sizeof names.texts[0]),
    };
    enum ph_error error = PH_OK;
    if (names.texts != NULL) {
        error = usage_each_subscription(store, turn->subject_id, add_names, &names, diag);
    }
    if (error != PH_OK) {
        return error;
    }
    struct task_result *result = &turn->results[turn->result_count];
    *result = (struct task_result){
        .application_id = turn->subject_id,
        .event_types = names.texts == NULL ? SLICE_NONE : write_names(&names),
        .is_catch_all = names.is_catch_all,
    };
    if (result->event_types.ptr == NULL) {
        return diag_set(diag, PH_NO_MEMORY, NULL, "the event types need more memory than allowed");
    }
    turn->result_count++;
    turn->results_done++;
    turn->last_id = WHOLE;
    return PH_OK;
}

static enum ph_error scan_event_types(struct task_turn *turn, struct store *store,
                                      struct diag *diag)
{
    enum ph_error error = PH_OK;
    while (error == PH_OK && !turn->is_end && turn->result_count < TASK_STEP_RESULTS &&
           turn->arena.used_bytes < TASK_TURN_BYTES / 2) {
        error = turn->subject_id == 0 || turn->last_id == WHOLE ? take_subject(turn, store, diag)
                                                                : find_names(turn, store, diag);
    }
    return error;
}

/* --- the kinds ---------------------------------------------------------------------------------
 */

static const struct task_walk walks[] = {{TASK_WALKS_APPLICATIONS, false}};

const struct task_kind_row task_application_stats = {walks, PH_ARRAY_LENGTH(walks), scan_usage,
                                                     write_results};
const struct task_kind_row task_event_types = {walks, PH_ARRAY_LENGTH(walks), scan_event_types,
                                               write_results};
