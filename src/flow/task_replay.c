/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three ways of sending again:
 *
 *   recover      what failed and never succeeded, and what was cancelled while the endpoint was
 *                disabled: one manual attempt each, at most TASK_RECOVER_MAX
 *   replay       what the endpoint never got and would get now: ordinary deliveries
 *   bulk-replay  what the endpoint was sent, by a filter: its deliveries become pending anew
 *
 * Deliveries have their whole schedule before them, the endpoint's order, throttle and breaker;
 * manual attempts of tasks heed throttle and breaker too.
 */
#include "base/clock.h"
#include "core/scan.h"
#include "flow/config.h"
#include "flow/task_int.h"
#include "store/attempt_list.h"

static const char gone[] = "the endpoint was disabled or deleted";

/* --- shared ------------------------------------------------------------------------------------
 */

#define PARAMETERS_MAX 8

/* What the messages have to be like, beside what the kind of task says. */
struct replay_filter {
    const struct endpoint_config *config; /* not of a recover */
    struct message_filter message;
    struct slice event_types[LIST_EVENT_TYPES_MAX];
    int64_t status;     /* or ATTEMPT_ANY_STATUS */
    int64_t code_class; /* or ATTEMPT_ANY_CLASS */
};

/* As the API has checked and written it. Texts live as long as the turn. */
static void read_filter(struct task_turn *turn, struct replay_filter *filter)
{
    struct scan_member members[PARAMETERS_MAX];
    size_t count = 0;
    *filter = (struct replay_filter){.status = ATTEMPT_ANY_STATUS, .code_class = ATTEMPT_ANY_CLASS};
    enum ph_error error =
        scan_object(turn->active->row.parameters, members, PARAMETERS_MAX, &count, NULL, NULL);
    PH_ASSERT(error == PH_OK);
    const struct scan_member *member = scan_find(members, count, "channel");
    if (member != NULL) {
        filter->message.channel = (struct slice){member->value.ptr + 1, member->value.len - 2};
    }
    member = scan_find(members, count, "tag"); /* may have a backslash */
    PH_ASSERT(member == NULL ||
              scan_string(member->value, &turn->arena, NULL, &filter->message.tag) == PH_OK);
    member = scan_find(members, count, "status");
    PH_ASSERT(member == NULL || scan_int64(member->value, &filter->status));
    member = scan_find(members, count, "statusCodeClass");
    PH_ASSERT(member == NULL || scan_int64(member->value, &filter->code_class));
    member = scan_find(members, count, "eventTypes");
    filter->message.event_types = filter->event_types;
    if (member != NULL) {
        struct scan_cursor cursor;
        enum scan_type type;
        struct slice value;
        scan_cursor_init(&cursor, member->value);
        while (scan_next_element(&cursor, &type, &value)) {
            PH_ASSERT(filter->message.event_type_count < LIST_EVENT_TYPES_MAX);
            filter->event_types[filter->message.event_type_count++] =
                (struct slice){value.ptr + 1, value.len - 2};
        }
    }
}

/* Whether the message fits the filter and can be sent at all, and what it says. */
static enum ph_error judge_message(struct task_turn *turn, const struct replay_filter *filter,
                                   struct store *store, int64_t message_id, struct diag *diag,
                                   struct replay_message *ret_message,
                                   enum task_judgement *ret_judgement)
{
    enum ph_error error =
        replay_message_find(store, message_id, clock_wall_us(), &turn->arena, diag, ret_message);
    if (error == PH_NOT_FOUND) {
        *ret_judgement = TASK_NOT_WANTED; /* retention was faster */
        return PH_OK;
    }
    if (error == PH_OK && !message_filter_fits(&filter->message, ret_message->event_type,
                                               ret_message->channels, ret_message->tags)) {
        *ret_judgement = TASK_NOT_WANTED;
        return PH_OK;
    }
    *ret_judgement =
        error == PH_OK && ret_message->has_payload ? TASK_WANTED : TASK_WITHOUT_PAYLOAD;
    return error;
}

/* How the endpoint stands now. False when the task cannot go on, or after an error. */
static bool find_endpoint(struct task_turn *turn, struct store *store, struct diag *diag,
                          enum ph_error *ret_error)
{
    *ret_error = replay_endpoint_find(store, turn->active->row.endpoint_id, diag, &turn->endpoint);
    if (*ret_error == PH_NOT_FOUND || (*ret_error == PH_OK && !turn->endpoint.is_live)) {
        *ret_error = PH_OK;
        turn->failure = gone;
        return false;
    }
    return *ret_error == PH_OK;
}

/* The same with its configuration; NULL in *ret_config when the task cannot go on. */
static enum ph_error load_endpoint(struct task_turn *turn, struct store *store, struct diag *diag,
                                   struct endpoint_config **ret_config)
{
    struct endpoint_config *config = NULL;
    enum ph_error error = endpoint_config_load(store, turn->active->row.endpoint_id, diag, &config);
    if (error == PH_NOT_FOUND || (error == PH_OK && config->is_disabled)) {
        turn->failure = gone;
        endpoint_config_unref(config);
        config = NULL;
        error = PH_OK;
    } else if (error == PH_OK) {
        turn->endpoint = (struct replay_endpoint){
            .is_live = true,
            .generation = config->generation,
            .config_version = config->version,
        };
    }
    *ret_config = config;
    return error;
}

/* For what becomes deliveries: the filter has the endpoint's configuration. */
static enum ph_error scan_filtered(struct task_turn *turn, struct store *store, task_judge *judge,
                                   struct diag *diag)
{
    struct replay_filter filter;
    struct endpoint_config *config;
    enum ph_error error = load_endpoint(turn, store, diag, &config);
    if (error == PH_OK && config != NULL) {
        read_filter(turn, &filter);
        filter.config = config;
        error = task_scan_rows(turn, store, judge, &filter, diag);
        endpoint_config_unref(config);
    }
    return error;
}

typedef enum ph_error(hand_over_function)(struct task_turn *turn, struct writer_txn *txn,
                                          const struct replay_target *target, struct diag *diag,
                                          struct replay_handed *handed, bool *ret_is_made);

/* Hands the found messages over, if the endpoint is as it was when they were found. */
static enum ph_error hand_over(struct task_turn *turn, struct writer_txn *txn,
                               hand_over_function *function, struct diag *diag)
{
    struct replay_endpoint now;
    int64_t endpoint_id = turn->active->row.endpoint_id;
    enum ph_error error = replay_endpoint_find(txn->store, endpoint_id, diag, &now);
    if (error == PH_NOT_FOUND ||
        (error == PH_OK && (!now.is_live || now.config_version != turn->endpoint.config_version))) {
        turn->is_outdated = true;
        return diag_set(diag, PH_CONFLICT, NULL, "the configuration has changed");
    }
    for (size_t index = 0; error == PH_OK && index < turn->count; index++) {
        const struct replay_target target = {
            .message_id = turn->found[index].message_id,
            .endpoint_id = endpoint_id,
            .generation = now.generation,
            .order_key = turn->found[index].order_key,
            .now_us = txn->now_us,
        };
        struct replay_handed handed = {.message_id = target.message_id};
        bool is_made = false;
        error = function(turn, txn, &target, diag, &handed, &is_made);
        if (error == PH_OK && is_made) {
            turn->handed[turn->handed_count++] = handed;
            turn->to.done++;
        }
    }
    return error;
}

/* --- recover -----------------------------------------------------------------------------------
 */

/* A failed attempt counts where it is the last one of its message within the task's time. */
static enum ph_error judge_failed(struct store *store, const struct task_row *task,
                                  const struct replay_row *row, struct diag *diag, bool *ret_fits)
{
    const struct replay_range range = task_range(task);
    int64_t last_id = 0;
    enum ph_error error = PH_OK;
    if (row->is_failed_attempt) {
        error =
            replay_last_attempt(store, row->message_id, task->endpoint_id, &range, diag, &last_id);
    }
    *ret_fits = last_id == row->id;
    return error;
}

/* A delivery that a disabled endpoint left behind, when no attempt of it was judged before. */
static enum ph_error judge_left_behind(struct store *store, const struct task_row *task,
                                       const struct replay_row *row, struct diag *diag,
                                       bool *ret_fits)
{
    struct replay_view view;
    const struct replay_range range = task_range(task);
    int64_t last_id = 0;
    *ret_fits = false;
    enum ph_error error = replay_view_find(store, row->message_id, task->endpoint_id, diag, &view);
    if (error != PH_OK || !view.has_delivery || view.state != DELIVERY_CANCELLED ||
        view.reason != DELIVERY_REASON_GENERATION) {
        return error;
    }
    if (view.has_attempt) {
        error =
            replay_last_attempt(store, row->message_id, task->endpoint_id, &range, diag, &last_id);
    }
    *ret_fits = last_id == 0;
    return error;
}

static enum ph_error judge_recover(struct task_turn *turn, struct store *store,
                                   const struct replay_row *row, void *context, struct diag *diag,
                                   enum task_judgement *ret_judgement)
{
    const struct replay_filter *filter = context;
    const struct task_row *task = &turn->active->row;
    bool fits = false;
    bool has_success = false;
    enum ph_error error = task_walk_of(turn)->source == TASK_WALKS_ATTEMPTS
                              ? judge_failed(store, task, row, diag, &fits)
                              : judge_left_behind(store, task, row, diag, &fits);
    if (error == PH_OK && fits) {
        error = replay_has_success(store, row->message_id, task->endpoint_id, diag, &has_success);
    }
    if (error == PH_OK && fits && !has_success) {
        struct replay_message message;
        error = judge_message(turn, filter, store, row->message_id, diag, &message, ret_judgement);
    }
    return error;
}

static enum ph_error scan_recover(struct task_turn *turn, struct store *store, struct diag *diag)
{
    enum ph_error error;
    if (!find_endpoint(turn, store, diag, &error)) {
        return error;
    }
    int64_t left = TASK_RECOVER_MAX - turn->active->row.progress.done;
    if (!task_walk_of(turn)->is_counting && (int64_t)turn->room >= left) {
        turn->room = (size_t)left;
    }
    struct replay_filter filter;
    read_filter(turn, &filter);
    return task_scan_rows(turn, store, judge_recover, &filter, diag);
}

static enum ph_error add_attempt(struct task_turn *turn, struct writer_txn *txn,
                                 const struct replay_target *target, struct diag *diag,
                                 struct replay_handed *handed, bool *ret_is_made)
{
    handed->manual_id = writer_txn_new_id(txn);
    return replay_add_attempt(txn->store, handed->manual_id, turn->active->row.id, target, diag,
                              ret_is_made);
}

static enum ph_error write_recover(struct task_turn *turn, struct writer_txn *txn,
                                   struct diag *diag)
{
    enum ph_error error = hand_over(turn, txn, add_attempt, diag);
    if (error == PH_OK && turn->handed_count > 0) {
        writer_txn_manual_added(txn, turn->active->row.endpoint_id);
    }
    turn->is_cut = turn->to.done >= TASK_RECOVER_MAX;
    return error;
}

/* --- replay: what was missing ------------------------------------------------------------------
 */

#define CHANNELS_MAX 64

static enum ph_error judge_missing(struct task_turn *turn, struct store *store,
                                   const struct replay_row *row, void *context, struct diag *diag,
                                   enum task_judgement *ret_judgement)
{
    const struct replay_filter *filter = context;
    struct replay_view view;
    struct replay_message message;
    enum ph_error error =
        replay_view_find(store, row->message_id, turn->active->row.endpoint_id, diag, &view);
    if (error != PH_OK || view.has_attempt ||
        (view.has_delivery && view.state != DELIVERY_CANCELLED)) {
        return error;
    }
    error = judge_message(turn, filter, store, row->message_id, diag, &message, ret_judgement);
    if (error != PH_OK || *ret_judgement == TASK_NOT_WANTED) {
        return error;
    }
    /* Stored channels are names, which no JSON escape is needed for. */
    struct slice channels[CHANNELS_MAX];
    size_t count = 0;
    if (message.channels.ptr != NULL) {
        struct scan_cursor cursor;
        enum scan_type type;
        struct slice value;
        scan_cursor_init(&cursor, message.channels);
        while (count < CHANNELS_MAX && scan_next_element(&cursor, &type, &value)) {
            channels[count++] = (struct slice){value.ptr + 1, value.len - 2};
        }
    }
    if (!endpoint_config_matches(filter->config, message.event_type, channels, count)) {
        *ret_judgement = TASK_NOT_WANTED;
    }
    turn->order_key = endpoint_order_key(filter->config, message.order_key, row->message_id);
    return PH_OK;
}

static enum ph_error scan_missing(struct task_turn *turn, struct store *store, struct diag *diag)
{
    return scan_filtered(turn, store, judge_missing, diag);
}

static enum ph_error add_delivery(struct task_turn *turn, struct writer_txn *txn,
                                  const struct replay_target *target, struct diag *diag,
                                  struct replay_handed *handed, bool *ret_is_made)
{
    (void)turn;
    (void)handed;
    return replay_add_delivery(txn->store, target, diag, ret_is_made);
}

/* Deliveries of a page are in the store: the endpoint's deliverer is told. */
static enum ph_error write_deliveries(struct task_turn *turn, struct writer_txn *txn,
                                      hand_over_function *function, struct diag *diag)
{
    enum ph_error error = hand_over(turn, txn, function, diag);
    if (error == PH_OK && turn->handed_count > 0) {
        writer_txn_deliveries_due(txn, turn->active->row.endpoint_id);
    }
    return error;
}

static enum ph_error write_missing(struct task_turn *turn, struct writer_txn *txn,
                                   struct diag *diag)
{
    return write_deliveries(turn, txn, add_delivery, diag);
}

/* --- bulk-replay: by a filter ------------------------------------------------------------------
 */

static bool fits_filter(const struct replay_filter *filter, const struct replay_view *view)
{
    const struct delivery_view status = {
        .has_delivery = view->has_delivery,
        .state = view->state,
        .latest_status = !view->has_attempt ? ATTEMPT_ANY_STATUS
                         : view->is_success ? ATTEMPT_SUCCESS
                                            : ATTEMPT_FAIL,
    };
    bool fits_status = filter->status == ATTEMPT_ANY_STATUS ||
                       (int64_t)attempt_status_of(&status, true) == filter->status;
    bool fits_class = filter->code_class == ATTEMPT_ANY_CLASS ||
                      (view->has_attempt && view->response_code / 100 * 100 == filter->code_class);
    return fits_status && fits_class;
}

static enum ph_error judge_sent(struct task_turn *turn, struct store *store,
                                const struct replay_row *row, void *context, struct diag *diag,
                                enum task_judgement *ret_judgement)
{
    const struct replay_filter *filter = context;
    struct replay_view view;
    struct replay_message message;
    enum ph_error error =
        replay_view_find(store, row->message_id, turn->active->row.endpoint_id, diag, &view);
    bool was_sent = view.has_attempt || (view.has_delivery && view.state != DELIVERY_PENDING);
    if (error != PH_OK || !was_sent || !fits_filter(filter, &view)) {
        return error;
    }
    error = judge_message(turn, filter, store, row->message_id, diag, &message, ret_judgement);
    if (error != PH_OK || *ret_judgement == TASK_NOT_WANTED) {
        return error;
    }
    turn->order_key = endpoint_order_key(filter->config, message.order_key, row->message_id);
    return error;
}

static enum ph_error scan_sent(struct task_turn *turn, struct store *store, struct diag *diag)
{
    return scan_filtered(turn, store, judge_sent, diag);
}

static enum ph_error renew_delivery(struct task_turn *turn, struct writer_txn *txn,
                                    const struct replay_target *target, struct diag *diag,
                                    struct replay_handed *handed, bool *ret_is_made)
{
    (void)turn;
    (void)handed;
    return replay_renew_delivery(txn->store, target, diag, ret_is_made);
}

static enum ph_error write_sent(struct task_turn *turn, struct writer_txn *txn, struct diag *diag)
{
    return write_deliveries(turn, txn, renew_delivery, diag);
}

/* --- the kinds ---------------------------------------------------------------------------------
 */

static const struct task_walk recover_walks[] = {
    {TASK_WALKS_ATTEMPTS, true},
    {TASK_WALKS_MESSAGES, true},
    {TASK_WALKS_ATTEMPTS, false},
    {TASK_WALKS_MESSAGES, false},
};
static const struct task_walk message_walks[] = {
    {TASK_WALKS_MESSAGES, true},
    {TASK_WALKS_MESSAGES, false},
};

const struct task_kind_row task_recover = {recover_walks, PH_ARRAY_LENGTH(recover_walks),
                                           scan_recover, write_recover};
const struct task_kind_row task_replay = {message_walks, PH_ARRAY_LENGTH(message_walks),
                                          scan_missing, write_missing};
const struct task_kind_row task_bulk_replay = {message_walks, PH_ARRAY_LENGTH(message_walks),
                                               scan_sent, write_sent};
