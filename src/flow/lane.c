/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/random.h"
#include "flow/cancel.h"
#include "flow/deliver_int.h"
#include "flow/writer.h"
#include "store/delivery.h"
#include "store/message.h"

/* Pause of a lane whose page held only deliveries that wait to be cancelled. */
#define NO_PROGRESS_PAUSE_US INT64_C(100000)
/* Pause before asking again for a cancel, or for a store that failed. */
#define RETRY_INTERVAL_US INT64_C(1000000)
/* After a step of the clock the retries of all endpoints begin within this time. */
#define STEP_SPREAD_US INT64_C(10000000)
#define MANUAL_WINDOW 64
/* A payload has been accepted below the request limit; this only bounds a broken row. */
#define PAYLOAD_ARENA_BYTES (8u << 20)

static size_t window_max(const struct deliverer *deliverer, const struct lane *lane)
{
    return 2 * (size_t)health_max(deliverer, lane);
}

/* --- opening, closing ------------------------------------------------------------------------- */

static int64_t stored_failing_since(struct deliverer *deliverer, int64_t endpoint_id)
{
    struct db_statement *select =
        db_prepare(deliverer->store->db, "SELECT failing_since FROM endpoint WHERE id = $1");
    db_bind_int64(select, 1, endpoint_id);
    bool has_row = false;
    int64_t since_us = 0;
    if (db_step(select, NULL, &has_row) == PH_OK && has_row) {
        since_us = db_int64(select, 0);
    }
    db_done(select);
    return since_us;
}

static void drop_reservation(struct deliverer *deliverer, struct lane *lane)
{
    if (lane->reserved_us != 0) {
        application_throttle_give_back(deliverer->options.application_throttles,
                                       lane->application_throttle);
        lane->reserved_us = 0;
    }
}

static void close_application_throttle(struct deliverer *deliverer, struct lane *lane)
{
    drop_reservation(deliverer, lane);
    application_throttle_close(deliverer->options.application_throttles,
                               lane->application_throttle);
    lane->application_throttle = NULL;
}

static void set_throttles(struct deliverer *deliverer, struct lane *lane)
{
    const struct endpoint_config *config = lane->config;
    int64_t now_us = clock_boot_us();
    throttle_init(&lane->throttle, config->throttle_rate, now_us);
    close_application_throttle(deliverer, lane);
    lane->application_throttle =
        application_throttle_open(deliverer->options.application_throttles, config->application_id,
                                  config->application_throttle_rate, now_us);
}

/* Boot time at which both throttles let a delivery go, as far as is known now. */
static int64_t throttles_ready_at(const struct lane *lane, int64_t now_boot_us)
{
    if (lane->config == NULL) {
        return 0;
    }
    int64_t at_us = throttle_ready_at(&lane->throttle, now_boot_us);
    return at_us > lane->reserved_us ? at_us : lane->reserved_us;
}

static bool take_tokens(struct deliverer *deliverer, struct lane *lane, int64_t now_boot_us)
{
    if (lane->application_throttle != NULL && lane->reserved_us == 0) {
        lane->reserved_us = application_throttle_reserve(deliverer->options.application_throttles,
                                                         lane->application_throttle, now_boot_us);
    }
    if (lane->reserved_us > now_boot_us || !throttle_take(&lane->throttle, now_boot_us)) {
        return false;
    }
    lane->reserved_us = 0;
    return true;
}

struct lane *lane_open(struct deliverer *deliverer, int64_t endpoint_id,
                       struct endpoint_config *config)
{
    struct lane *lane = map_get(&deliverer->lanes, (uint64_t)endpoint_id);
    if (lane != NULL) {
        return lane;
    }
    lane = ph_calloc(1, sizeof *lane);
    lane->endpoint_id = endpoint_id;
    lane->shard = delivery_shard(endpoint_id);
    lane->next_due_us = LANE_NEVER;
    lane->failing_since_us = stored_failing_since(deliverer, endpoint_id);
    map_init(&lane->items);
    list_init(&lane->window);
    list_init(&lane->manual.items);
    list_init(&lane->replays.items);
    list_init(&lane->in_ready);
    list_init(&lane->in_idle);
    health_reset(deliverer, lane);
    tenant_join(deliverer, lane, config == NULL ? TENANT_UNKNOWN : config->application_id);
    if (config != NULL) {
        lane->config = endpoint_config_ref(config);
        set_throttles(deliverer, lane);
    }
    (void)map_set(&deliverer->lanes, (uint64_t)endpoint_id, lane);
    return lane;
}

/* Where the item waits: NULL = the window. */
static struct lane_queue *queue_of(struct lane *lane, const struct item *item)
{
    if (item->manual_id == 0) {
        return NULL;
    }
    return item->is_replay ? &lane->replays : &lane->manual;
}

static void leave_window(struct deliverer *deliverer, struct lane *lane, struct item *item)
{
    struct lane_queue *queue = queue_of(lane, item);
    list_remove(&item->in_window);
    *(queue != NULL ? &queue->count : &lane->window_count) -= 1;
    deliverer->window_count--;
    deliverer->window_bytes -= item->body == NULL ? 0 : item->body->length;
}

static void enter_window(struct deliverer *deliverer, struct lane *lane, struct item *item)
{
    item->lane = lane;
    int64_t key = item->manual_id != 0 ? item->manual_id : item->message_id;
    PH_ASSERT(map_set(&lane->items, (uint64_t)key, item) == NULL);
    struct lane_queue *queue = queue_of(lane, item);
    list_append(queue != NULL ? &queue->items : &lane->window, &item->in_window);
    *(queue != NULL ? &queue->count : &lane->window_count) += 1;
    deliverer->window_count++;
    deliverer->window_bytes += item->body == NULL ? 0 : item->body->length;
}

/* What the window takes in memory: short payloads cost less than what is kept about them. */
static size_t held_bytes(const struct deliverer *deliverer)
{
    return deliverer->window_bytes + deliverer->window_count * sizeof(struct item);
}

static void drop_item(struct deliverer *deliverer, struct lane *lane, struct item *item)
{
    leave_window(deliverer, lane, item);
    int64_t key = item->manual_id != 0 ? item->manual_id : item->message_id;
    (void)map_remove(&lane->items, (uint64_t)key);
    item_free(item);
}

static void drop_window(struct deliverer *deliverer, struct lane *lane, struct list_node *list)
{
    LIST_FOR_EACH(node, next, list)
    {
        drop_item(deliverer, lane, LIST_ELEMENT(node, struct item, in_window));
    }
}

static void leave_idle(struct deliverer *deliverer, struct lane *lane)
{
    if (!list_is_alone(&lane->in_idle)) {
        list_remove(&lane->in_idle);
        deliverer->idle_count--;
    }
}

void lane_free(struct deliverer *deliverer, struct lane *lane)
{
    drop_window(deliverer, lane, &lane->window);
    drop_window(deliverer, lane, &lane->manual.items);
    drop_window(deliverer, lane, &lane->replays.items);
    PH_ASSERT(lane->items.count == 0);
    health_show_hold(deliverer, lane, HOLD_NONE, 0);
    leave_idle(deliverer, lane);
    health_reset(deliverer, lane);
    tenant_leave(deliverer, lane);
    heap_remove(&deliverer->timers, &lane->timer);
    (void)map_remove(&deliverer->lanes, (uint64_t)lane->endpoint_id);
    map_done(&lane->items);
    close_application_throttle(deliverer, lane);
    token_free(lane->token);
    endpoint_config_unref(lane->config);
    free(lane);
}

/* --- configuration ------------------------------------------------------------------------------
 */

static void ask_cancel(struct deliverer *deliverer, struct lane *lane)
{
    int64_t now_us = clock_boot_us();
    if (lane->cancel_asked_us == 0 || now_us - lane->cancel_asked_us > RETRY_INTERVAL_US) {
        lane->cancel_asked_us = now_us;
        cancel_old_deliveries(deliverer->options.writer, deliverer->options.flow, lane->endpoint_id,
                              lane->config->generation);
    }
}

/* A disabled endpoint, or one of a newer generation, sends nothing that was made before. */
static void drop_old_generation(struct deliverer *deliverer, struct lane *lane)
{
    LIST_FOR_EACH(node, next, &lane->window)
    {
        struct item *item = LIST_ELEMENT(node, struct item, in_window);
        if (item->generation < lane->config->generation || lane->config->is_disabled) {
            drop_item(deliverer, lane, item);
        }
    }
    if (lane->config->is_disabled) {
        drop_window(deliverer, lane, &lane->manual.items);
        drop_window(deliverer, lane, &lane->replays.items);
        lane->manual.more = false;
        lane->replays.more = false;
        lane->more_in_store = false;
        lane->next_due_us = LANE_NEVER;
    }
}

void lane_set_config(struct deliverer *deliverer, struct lane *lane, struct endpoint_config *config)
{
    if (lane->config != NULL && config->version < lane->config->version) {
        endpoint_config_unref(config);
        return;
    }
    int64_t former_generation = lane->config == NULL ? 0 : lane->config->generation;
    bool has_new_rate =
        lane->config == NULL || config->throttle_rate != lane->config->throttle_rate ||
        config->application_throttle_rate != lane->config->application_throttle_rate;
    if (lane->config == NULL || strcmp(lane->config->url, config->url) != 0) {
        health_reset(deliverer, lane);
    }
    endpoint_config_unref(lane->config);
    lane->config = config;
    token_forget(lane->token);
    lane->is_disabling = false;
    tenant_join(deliverer, lane, config->application_id);
    if (has_new_rate) {
        set_throttles(deliverer, lane);
    }
    if (config->generation != former_generation) {
        drop_old_generation(deliverer, lane);
        lane->cancel_asked_us = 0;
        ask_cancel(deliverer, lane);
    }
}

bool lane_ensure_config(struct deliverer *deliverer, struct lane *lane)
{
    if (lane->config != NULL) {
        return true;
    }
    struct diag diag;
    enum ph_error error =
        endpoint_config_load(deliverer->store, lane->endpoint_id, &diag, &lane->config);
    if (error != PH_OK) {
        char endpoint[ID_TEXT_MAX];
        (void)id_format(&deliverer->store->codec, ID_ENDPOINT, lane->endpoint_id, endpoint);
        log_write(deliverer->options.flow->log, LOG_STORE_FAILED, LOG_TEXT("error", diag.text),
                  LOG_TEXT("endpoint", endpoint));
        lane->not_before_us = clock_boot_us() + RETRY_INTERVAL_US;
        return false;
    }
    tenant_join(deliverer, lane, lane->config->application_id);
    set_throttles(deliverer, lane);
    if (lane->config->is_disabled) {
        drop_old_generation(deliverer, lane);
        ask_cancel(deliverer, lane);
    }
    return true;
}

/* --- items in
 * ------------------------------------------------------------------------------------- */

void lane_take_fresh(struct deliverer *deliverer, struct lane *lane, struct item *item)
{
    bool is_old = lane_ensure_config(deliverer, lane) &&
                  (item->generation < lane->config->generation || lane->config->is_disabled);
    bool is_known = map_get(&lane->items, (uint64_t)item->message_id) != NULL;
    if (is_old || is_known || lane->more_in_store) {
        item_free(item);
        return;
    }
    if (lane->window_count >= window_max(deliverer, lane) ||
        held_bytes(deliverer) + item->body->length > deliverer->settings->window_bytes_max) {
        lane->more_in_store = true; /* from here on the order comes from the store */
        item_free(item);
        return;
    }
    endpoint_config_unref(item->config);
    item->config = NULL;
    enter_window(deliverer, lane, item);
}

void lane_look_again(struct deliverer *deliverer, struct lane *lane, bool is_cancelled)
{
    if (is_cancelled) {
        drop_window(deliverer, lane, &lane->window);
        drop_window(deliverer, lane, &lane->replays.items);
        lane->replays.more = true;
        lane->replays.cursor = 0;
    }
    lane->more_in_store = true;
}

void lane_drop_message(struct deliverer *deliverer, struct lane *lane, int64_t message_id)
{
    struct list_node *const lists[] = {&lane->window, &lane->manual.items, &lane->replays.items};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(lists); index++) {
        LIST_FOR_EACH(node, next, lists[index])
        {
            struct item *item = LIST_ELEMENT(node, struct item, in_window);
            if (item->message_id == message_id) {
                drop_item(deliverer, lane, item);
            }
        }
    }
}

void lane_read_again(struct lane *lane, const struct item *item)
{
    struct lane_queue *queue = queue_of(lane, item);
    if (queue == NULL) {
        lane->more_in_store = true;
    } else {
        queue->more = true;
        if (queue->cursor >= item->manual_id) {
            queue->cursor = item->manual_id - 1;
        }
    }
    lane->not_before_us = clock_boot_us() + RETRY_INTERVAL_US;
}

void lane_due_at(struct lane *lane, int64_t due_us)
{
    if (due_us < lane->next_due_us) {
        lane->next_due_us = due_us;
    }
}

/* --- paging
 * ----------------------------------------------------------------------------------------- */

static struct message_body *load_body(struct deliverer *deliverer, int64_t message_id,
                                      enum ph_error *ret_error)
{
    ARENA_AUTO struct arena arena;
    arena_init(&arena, PAYLOAD_ARENA_BYTES);
    struct slice sent;
    struct slice stored;
    *ret_error = message_sent(deliverer->store, message_id, &arena, NULL, &sent, &stored);
    if (*ret_error != PH_OK) {
        return NULL;
    }
    const struct trace trace = trace_from_bytes(stored);
    return message_body_new(sent, &trace);
}

/* When the delivery began: with its message, at the time that the message asked for, or when a
 * replay made it pending anew. Before its first attempt it has been due since then; later only one
 * that seems to have outlived its schedule needs a look at its row. */
static int64_t begin_time(struct deliverer *deliverer, const struct lane *lane,
                          const struct due_delivery *row)
{
    if (row->attempts == 0) {
        return row->next_attempt_at_us;
    }
    int64_t accepted_us = id_time_us(row->message_id);
    int64_t age_us = clock_wall_us() - accepted_us;
    int64_t began_us = 0;
    if (age_us > health_schedule_us(deliverer, lane) &&
        delivery_began_at(deliverer->store, row->message_id, lane->endpoint_id, NULL, &began_us) ==
            PH_OK &&
        began_us > accepted_us) {
        return began_us;
    }
    return accepted_us;
}

/* Loads one stored delivery (`row`) or manual attempt into the window. False when the store
 * failed. */
static bool load_item(struct deliverer *deliverer, struct lane *lane, int64_t message_id,
                      int64_t manual_id, bool is_replay, const struct due_delivery *row)
{
    enum ph_error error;
    struct message_body *body = load_body(deliverer, message_id, &error);
    if (error != PH_OK && error != PH_NOT_FOUND && error != PH_SEALED) {
        lane->not_before_us = clock_boot_us() + RETRY_INTERVAL_US;
        return false;
    }
    struct item *item = ph_calloc(1, sizeof *item);
    item->message_id = message_id;
    item->manual_id = manual_id;
    item->body = body;
    item->accepted_us = id_time_us(message_id);
    item->is_replay = is_replay;
    item->is_unreadable = error == PH_SEALED;
    if (row != NULL) {
        item->attempts = row->attempts;
        item->generation = row->generation;
        item->order_key = row->order_key;
        item->accepted_us = begin_time(deliverer, lane, row);
    }
    enter_window(deliverer, lane, item);
    return true;
}

static struct due_delivery *page_rows(struct deliverer *deliverer, size_t count)
{
    if (count > deliverer->page_capacity) {
        deliverer->page = ph_realloc(deliverer->page, count * sizeof deliverer->page[0]);
        deliverer->page_capacity = count;
    }
    return deliverer->page;
}

/* Takes what is due from the rows; returns whether more due rows may follow. */
static bool take_rows(struct deliverer *deliverer, struct lane *lane,
                      const struct due_delivery *rows, size_t count, bool is_full_page)
{
    int64_t now_us = clock_wall_us();
    size_t old_count = 0;
    size_t taken = 0;
    for (size_t index = 0; index < count; index++) {
        const struct due_delivery *row = &rows[index];
        if (map_get(&lane->items, (uint64_t)row->message_id) != NULL) {
            continue;
        }
        if (row->generation < lane->config->generation) {
            old_count++;
            continue;
        }
        if (row->next_attempt_at_us > now_us) {
            lane_due_at(lane, row->next_attempt_at_us);
            return false;
        }
        bool is_over_bytes = held_bytes(deliverer) >= deliverer->settings->window_bytes_max &&
                             lane->window_count > 0;
        if (is_over_bytes || lane->window_count >= window_max(deliverer, lane) ||
            !load_item(deliverer, lane, row->message_id, 0, false, row)) {
            return true;
        }
        taken++;
    }
    if (old_count > 0) {
        ask_cancel(deliverer, lane);
        if (taken == 0) {
            lane->not_before_us = clock_boot_us() + NO_PROGRESS_PAUSE_US;
        }
    }
    return is_full_page;
}

static void page_window(struct deliverer *deliverer, struct lane *lane)
{
    /* Rows that are in memory already stand in the store too, often first. */
    size_t limit = window_max(deliverer, lane) - lane->window_count + lane->items.count + 1;
    struct due_delivery *rows = page_rows(deliverer, limit);
    size_t count;
    struct diag diag;
    metrics_add(deliverer->options.flow->metrics, METRIC_WINDOW_PAGES, 1);
    enum ph_error error =
        delivery_page(deliverer->store, lane->shard, lane->endpoint_id, rows, limit, &diag, &count);
    if (error != PH_OK) {
        log_write(deliverer->options.flow->log, LOG_STORE_FAILED, LOG_TEXT("error", diag.text));
        lane->not_before_us = clock_boot_us() + RETRY_INTERVAL_US;
        return;
    }
    lane->next_due_us = LANE_NEVER;
    lane->more_in_store = take_rows(deliverer, lane, rows, count, count == limit);
}

static void page_manual(struct deliverer *deliverer, struct lane *lane, struct lane_queue *queue)
{
    bool is_replay = queue == &lane->replays;
    struct manual_attempt rows[MANUAL_WINDOW];
    size_t count;
    enum ph_error error =
        manual_attempt_page(deliverer->store, lane->shard, lane->endpoint_id, is_replay,
                            queue->cursor, rows, MANUAL_WINDOW, NULL, &count);
    if (error != PH_OK) {
        lane->not_before_us = clock_boot_us() + RETRY_INTERVAL_US;
        return;
    }
    for (size_t index = 0; index < count; index++) {
        bool is_known = map_get(&lane->items, (uint64_t)rows[index].id) != NULL;
        if (!is_known &&
            !load_item(deliverer, lane, rows[index].message_id, rows[index].id, is_replay, NULL)) {
            return;
        }
        queue->cursor = rows[index].id;
    }
    queue->more = count == MANUAL_WINDOW;
}

static void refill(struct deliverer *deliverer, struct lane *lane)
{
    if (!lane_ensure_config(deliverer, lane)) {
        return;
    }
    if (lane->config->is_disabled) {
        drop_old_generation(deliverer, lane);
        return;
    }
    struct lane_queue *const queues[] = {&lane->manual, &lane->replays};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(queues); index++) {
        if (queues[index]->more && queues[index]->count == 0) {
            page_manual(deliverer, lane, queues[index]);
        }
    }
    if (lane->next_due_us <= clock_wall_us()) {
        lane->more_in_store = true;
    }
    if (lane->more_in_store && lane->window_count <= window_max(deliverer, lane) / 4) {
        page_window(deliverer, lane);
    }
}

/* --- scheduling
 * ----------------------------------------------------------------------------------- */

static bool has_queued(const struct lane_queue *queue)
{
    return queue->count > 0 || queue->more;
}

static bool has_work(const struct lane *lane)
{
    return lane->window_count > 0 || lane->more_in_store || has_queued(&lane->manual) ||
           has_queued(&lane->replays);
}

/* When the breaker lets a delivery go, or the first one has waited too long behind it. */
static int64_t breaker_wake_time(const struct deliverer *deliverer, const struct lane *lane,
                                 int64_t now_boot_us)
{
    int64_t at_us = breaker_ready_at(&lane->breaker, now_boot_us);
    if (at_us > now_boot_us && lane->window_count > 0) {
        const struct item *first = LIST_ELEMENT(lane->window.next, struct item, in_window);
        int64_t overdue_us = health_overdue_at(deliverer, lane, first, now_boot_us);
        at_us = overdue_us < at_us ? overdue_us : at_us;
    }
    return at_us;
}

/* Boot time at which the lane wants to run again, LANE_NEVER when nothing but answers can help. */
static int64_t wake_time(const struct deliverer *deliverer, const struct lane *lane,
                         int64_t now_boot_us)
{
    if (has_work(lane)) {
        if (lane->in_flight >= health_cap(deliverer, lane) || lane->is_disabling) {
            return LANE_NEVER;
        }
        int64_t at_us = throttles_ready_at(lane, now_boot_us);
        if (!has_queued(&lane->manual)) {
            int64_t breaker_us = breaker_wake_time(deliverer, lane, now_boot_us);
            at_us = breaker_us > at_us ? breaker_us : at_us;
        }
        return at_us > lane->not_before_us ? at_us : lane->not_before_us;
    }
    if (lane->next_due_us == LANE_NEVER) {
        return LANE_NEVER;
    }
    int64_t wait_us = lane->next_due_us - clock_wall_us();
    int64_t at_us = now_boot_us + (wait_us < 0 ? 0 : wait_us);
    return at_us > lane->not_before_us ? at_us : lane->not_before_us;
}

/* Shows what keeps the lane's due deliveries back. */
static void show_hold(struct deliverer *deliverer, struct lane *lane, int64_t now_boot_us)
{
    int64_t breaker_us = breaker_ready_at(&lane->breaker, now_boot_us);
    int64_t throttle_us = throttles_ready_at(lane, now_boot_us);
    if (has_work(lane) && breaker_us > now_boot_us) {
        health_show_hold(deliverer, lane, HOLD_BREAKER, breaker_us);
    } else if (has_work(lane) && throttle_us > now_boot_us) {
        bool is_application = throttle_us == lane->reserved_us;
        health_show_hold(deliverer, lane,
                         is_application ? HOLD_APPLICATION_THROTTLE : HOLD_THROTTLE, throttle_us);
    } else {
        health_show_hold(deliverer, lane, HOLD_NONE, 0);
    }
}

void lane_settle(struct deliverer *deliverer, struct lane *lane)
{
    int64_t now_us = clock_boot_us();
    int64_t at_us = wake_time(deliverer, lane, now_us);
    show_hold(deliverer, lane, now_us);
    bool is_ready = at_us <= now_us;
    bool is_idle = at_us == LANE_NEVER && lane->items.count == 0 && !has_work(lane);
    fair_set_ready(deliverer, lane, is_ready);
    if (!is_ready && at_us != LANE_NEVER) {
        heap_set(&deliverer->timers, &lane->timer, at_us);
    } else {
        heap_remove(&deliverer->timers, &lane->timer);
    }
    if (!has_work(lane)) {
        drop_reservation(deliverer, lane);
    }
    if (!is_idle) {
        leave_idle(deliverer, lane);
    } else if (list_is_alone(&lane->in_idle)) {
        lane->idle_since_us = now_us;
        list_append(&deliverer->idle, &lane->in_idle);
        deliverer->idle_count++;
    }
}

/* By hand comes first; then replays and the window take turns, so that neither waits for the end of
 * the other. */
static struct list_node *next_list(struct lane *lane)
{
    if (lane->manual.count > 0) {
        return &lane->manual.items;
    }
    bool is_replays_turn = lane->window_count == 0 || !lane->was_replay;
    return lane->replays.count > 0 && is_replays_turn ? &lane->replays.items : &lane->window;
}

/* The delivery that has waited too long behind the breaker, if there is one. */
static struct item *overdue_item(const struct deliverer *deliverer, const struct lane *lane,
                                 int64_t now_us)
{
    if (lane->window_count == 0) {
        return NULL;
    }
    struct item *item = LIST_ELEMENT(lane->window.next, struct item, in_window);
    item->is_overdue = health_overdue_at(deliverer, lane, item, now_us) <= now_us;
    return item->is_overdue ? item : NULL;
}

struct item *lane_next(struct deliverer *deliverer, struct lane *lane)
{
    int64_t now_us = clock_boot_us();
    if (lane->in_flight >= health_cap(deliverer, lane) || lane->not_before_us > now_us ||
        lane->is_disabling) {
        return NULL;
    }
    refill(deliverer, lane);
    struct list_node *list = next_list(lane);
    if (list_is_empty(list) || lane->config == NULL || lane->config->is_disabled) {
        return NULL;
    }
    struct item *item = LIST_ELEMENT(list->next, struct item, in_window);
    /* Somebody who sends again by hand wants to know now. */
    bool needs_breaker = item->manual_id == 0 || item->is_replay;
    if (needs_breaker && breaker_ready_at(&lane->breaker, now_us) > now_us) {
        item = overdue_item(deliverer, lane, now_us);
        if (item == NULL) {
            return NULL;
        }
    } else if (!take_tokens(deliverer, lane, now_us) ||
               (needs_breaker && !breaker_take(&lane->breaker, now_us))) {
        return NULL;
    }
    leave_window(deliverer, lane, item);
    lane->was_replay = item->is_replay;
    return item;
}

/* Forward, what became due at once is spread over the lanes; backward, it waits as long as its wall
 * time says, and nothing that was recorded comes again. */
void lanes_clock_stepped(struct deliverer *deliverer, int64_t step_us)
{
    int64_t now_us = clock_boot_us();
    size_t position = 0;
    uint64_t key;
    void *value;
    while (map_next(&deliverer->lanes, &position, &key, &value)) {
        struct lane *lane = value;
        if (lane->next_due_us == LANE_NEVER) {
            continue;
        }
        lane->more_in_store = true;
        if (step_us > 0) {
            int64_t spread_us = step_us < STEP_SPREAD_US ? step_us : STEP_SPREAD_US;
            lane->not_before_us = now_us + (int64_t)(random_unit() * (double)spread_us);
        }
        lane_settle(deliverer, lane);
    }
}

void lanes_run_timers(struct deliverer *deliverer, int64_t now_boot_us)
{
    struct heap_node *first;
    while ((first = heap_first(&deliverer->timers)) != NULL && first->key <= now_boot_us) {
        struct lane *lane = PH_CONTAINER_OF(first, struct lane, timer);
        heap_remove(&deliverer->timers, first);
        if (lane->next_due_us <= clock_wall_us()) {
            lane->more_in_store = true;
        }
        lane_settle(deliverer, lane);
    }
}

void lanes_sweep_idle(struct deliverer *deliverer, int64_t now_boot_us)
{
    while (!list_is_empty(&deliverer->idle)) {
        struct lane *lane = LIST_ELEMENT(deliverer->idle.next, struct lane, in_idle);
        if (now_boot_us - lane->idle_since_us < DELIVER_IDLE_LANE_US &&
            deliverer->idle_count <= DELIVER_IDLE_LANES_MAX) {
            return;
        }
        lane_free(deliverer, lane);
    }
}

void lanes_follow_settings(struct deliverer *deliverer)
{
    bool has_breakers = deliverer->settings->breaker.min_attempts > 0;
    size_t position = 0;
    uint64_t key;
    void *value;
    while (map_next(&deliverer->lanes, &position, &key, &value)) {
        struct lane *lane = value;
        if (!has_breakers && lane->breaker.state != BREAKER_CLOSED) {
            health_reset(deliverer, lane); /* no report would ever close it */
        }
        lane_settle(deliverer, lane);
    }
}

static enum ph_error scan_shard(struct deliverer *deliverer, int64_t shard, struct diag *diag)
{
    int64_t endpoint_id = 0;
    int64_t due_us;
    do {
        enum ph_error error = delivery_next_endpoint(deliverer->store, shard, endpoint_id, diag,
                                                     &endpoint_id, &due_us);
        if (error != PH_OK) {
            return error;
        }
        if (endpoint_id != 0) {
            struct lane *lane = lane_open(deliverer, endpoint_id, NULL);
            lane->more_in_store = lane->more_in_store || due_us <= clock_wall_us();
            lane_due_at(lane, due_us);
            lane_settle(deliverer, lane);
        }
    } while (endpoint_id != 0);
    do {
        enum ph_error error =
            manual_attempt_next_endpoint(deliverer->store, shard, endpoint_id, diag, &endpoint_id);
        if (error != PH_OK) {
            return error;
        }
        if (endpoint_id != 0) {
            struct lane *lane = lane_open(deliverer, endpoint_id, NULL);
            lane->manual.more = true;
            lane->replays.more = true;
            lane_settle(deliverer, lane);
        }
    } while (endpoint_id != 0);
    return PH_OK;
}

enum ph_error lanes_scan_store(struct deliverer *deliverer, struct diag *diag)
{
    for (int64_t shard = 0; shard < DELIVERY_SHARDS; shard++) {
        if ((uint64_t)shard % deliverer->options.count == deliverer->options.index) {
            enum ph_error error = scan_shard(deliverer, shard, diag);
            if (error != PH_OK) {
                return error;
            }
        }
    }
    return PH_OK;
}
