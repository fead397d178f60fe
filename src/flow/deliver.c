/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Concurrency: the inbox, its counts, `needs_wake` and `is_quiet` are under `lock`; four flags are
 * atomics; the rest belongs to the deliverer's thread. The writer thread pushes in the order of
 * its commits, and the thread reads the inbox in that order before it reads the store: so a
 * delivery is either in the inbox or already seen in the store, never between the two, and a
 * delivery that came both ways is known by its message id until its record has come back.
 */
#include "flow/deliver.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "flow/deliver_int.h"

/* Attempts started, and time spent, before the loop looks at sockets and inbox again: a lane may
 * page its window from the store first. */
#define PUMP_MAX 256
#define PUMP_MAX_US INT64_C(5000)
#define SWEEP_INTERVAL_US INT64_C(1000000)
/* The wall clock was set, not slewed. */
#define CLOCK_STEP_US INT64_C(1000000)

/* --- inbox: the writer thread --------------------------------------------------------------- */

static void push(struct deliverer *deliverer, struct inbox_entry *entry, enum inbox_type type)
{
    entry->type = type;
    list_append(&deliverer->inbox, &entry->node);
    deliverer->needs_wake = true;
}

void deliverer_push_fresh(struct deliverer *deliverer, struct endpoint_config *config,
                          int64_t message_id, int64_t accepted_us, struct message_body *body)
{
    size_t bytes_max = deliverer->options.flow->settings.window_bytes_max / 2;
    (void)pthread_mutex_lock(&deliverer->lock);
    if (deliverer->inbox_fresh >= DELIVER_INBOX_MAX ||
        deliverer->inbox_bytes + body->length > bytes_max) {
        deliverer->inbox_overflowed = true;
        deliverer->needs_wake = true;
        (void)pthread_mutex_unlock(&deliverer->lock);
        return;
    }
    struct item *item = ph_calloc(1, sizeof *item);
    item->message_id = message_id;
    item->accepted_us = accepted_us;
    item->generation = config->generation;
    item->config = endpoint_config_ref(config);
    item->body = message_body_ref(body);
    deliverer->inbox_fresh++;
    deliverer->inbox_bytes += body->length;
    push(deliverer, &item->entry, INBOX_FRESH);
    (void)pthread_mutex_unlock(&deliverer->lock);
}

static void push_notice(struct deliverer *deliverer, enum inbox_type type,
                        struct endpoint_config *config, int64_t id)
{
    struct inbox_notice *notice = ph_calloc(1, sizeof *notice);
    notice->config = config;
    notice->id = id;
    (void)pthread_mutex_lock(&deliverer->lock);
    push(deliverer, &notice->entry, type);
    (void)pthread_mutex_unlock(&deliverer->lock);
}

void deliverer_push_config(struct deliverer *deliverer, struct endpoint_config *config)
{
    push_notice(deliverer, INBOX_CONFIG, config, config->id);
}

void deliverer_push_due(struct deliverer *deliverer, struct endpoint_config *config, int64_t due_us)
{
    struct inbox_notice *notice = ph_calloc(1, sizeof *notice);
    notice->config = endpoint_config_ref(config);
    notice->due_us = due_us;
    (void)pthread_mutex_lock(&deliverer->lock);
    if (deliverer->inbox_fresh < DELIVER_INBOX_MAX) {
        deliverer->inbox_fresh++;
        push(deliverer, &notice->entry, INBOX_DUE);
        notice = NULL;
    } else {
        deliverer->inbox_overflowed = true;
        deliverer->needs_wake = true;
    }
    (void)pthread_mutex_unlock(&deliverer->lock);
    if (notice != NULL) {
        endpoint_config_unref(notice->config);
        free(notice);
    }
}

void deliverer_push_expunged(struct deliverer *deliverer, int64_t message_id)
{
    push_notice(deliverer, INBOX_EXPUNGED, NULL, message_id);
}

void deliverer_push_manual(struct deliverer *deliverer, int64_t endpoint_id)
{
    push_notice(deliverer, INBOX_MANUAL, NULL, endpoint_id);
}

void deliverer_push_prepared(struct deliverer *deliverer, struct item *item)
{
    (void)pthread_mutex_lock(&deliverer->lock);
    push(deliverer, &item->entry, INBOX_PREPARED);
    (void)pthread_mutex_unlock(&deliverer->lock);
}

void deliverer_push_trial(struct deliverer *deliverer, struct trial *trial)
{
    struct inbox_notice *notice = ph_calloc(1, sizeof *notice);
    notice->trial = trial;
    (void)pthread_mutex_lock(&deliverer->lock);
    push(deliverer, &notice->entry, INBOX_TRIAL);
    (void)pthread_mutex_unlock(&deliverer->lock);
}

void deliverer_push_replayed(struct deliverer *deliverer, int64_t endpoint_id)
{
    push_notice(deliverer, INBOX_REPLAYED, NULL, endpoint_id);
}

void deliverer_push_cancelled(struct deliverer *deliverer, int64_t endpoint_id)
{
    push_notice(deliverer, INBOX_CANCELLED, NULL, endpoint_id);
}

void deliverer_push_recorded(struct deliverer *deliverer, struct record_job *job)
{
    struct item *item = PH_CONTAINER_OF(job, struct attempt, record)->item;
    (void)pthread_mutex_lock(&deliverer->lock);
    push(deliverer, &item->entry, INBOX_RECORDED);
    (void)pthread_mutex_unlock(&deliverer->lock);
}

size_t deliverer_inbox_length(struct deliverer *deliverer)
{
    (void)pthread_mutex_lock(&deliverer->lock);
    size_t length = deliverer->inbox_fresh;
    (void)pthread_mutex_unlock(&deliverer->lock);
    return length;
}

void deliverer_push_settings(struct deliverer *deliverer, const struct flow_settings *settings)
{
    struct inbox_notice *notice = ph_calloc(1, sizeof *notice);
    notice->settings = settings;
    (void)pthread_mutex_lock(&deliverer->lock);
    push(deliverer, &notice->entry, INBOX_SETTINGS);
    (void)pthread_mutex_unlock(&deliverer->lock);
}

static void wake_thread(struct deliverer *deliverer)
{
    uint64_t one = 1;
    ssize_t written = write(deliverer->wake_fd, &one, sizeof one);
    PH_ASSERT(written == sizeof one);
}

void deliverer_wake(struct deliverer *deliverer)
{
    (void)pthread_mutex_lock(&deliverer->lock);
    bool needs_wake = deliverer->needs_wake;
    deliverer->needs_wake = false;
    (void)pthread_mutex_unlock(&deliverer->lock);
    if (needs_wake && atomic_exchange(&deliverer->is_sleeping, false)) {
        wake_thread(deliverer);
    }
}

/* --- items: the deliverer's thread -------------------------------------------------------------
 */

static void attempt_free(struct attempt *attempt)
{
    if (attempt != NULL) {
        message_body_unref(attempt->body);
        buf_done(&attempt->signature);
        buf_done(&attempt->own_signature);
        buf_wipe(&attempt->authorization);
        arena_done(&attempt->arena);
        free(attempt->headers);
        free(attempt->response);
        free(attempt->words);
        free(attempt->output);
        free(attempt);
    }
}

void item_free(struct item *item)
{
    if (item->trial != NULL) {
        trial_refuse(item->trial, "the server stopped before there was an answer");
    }
    attempt_free(item->attempt);
    message_body_unref(item->body);
    endpoint_config_unref(item->config);
    free(item);
}

void deliverer_forget(struct deliverer *deliverer, struct item *item)
{
    struct lane *lane = item->lane;
    int64_t key = item->manual_id != 0 ? item->manual_id : item->message_id;
    PH_ASSERT(map_remove(&lane->items, (uint64_t)key) == item && deliverer->unrecorded > 0);
    deliverer->unrecorded--;
    item_free(item);
    lane_settle(deliverer, lane);
}

static void handle_recorded(struct deliverer *deliverer, struct item *item)
{
    if (item->attempt->record.state == DELIVERY_PENDING) {
        lane_due_at(item->lane, item->attempt->record.next_attempt_at_us);
    } else if (item->lane->config->options->ordering != ENDPOINT_ORDERING_NONE ||
               item->order_key != 0) {
        lane_due_at(item->lane, clock_wall_us()); /* the next one of its order was released */
    }
    deliverer_forget(deliverer, item);
}

static void handle_fresh(struct deliverer *deliverer, struct item *item)
{
    struct lane *lane = lane_open(deliverer, item->config->id, item->config);
    lane_take_fresh(deliverer, lane, item);
    lane_settle(deliverer, lane);
}

static void handle_expunged(struct deliverer *deliverer, int64_t message_id)
{
    size_t position = 0;
    uint64_t key;
    void *value;
    while (map_next(&deliverer->lanes, &position, &key, &value)) {
        struct lane *lane = value;
        lane_drop_message(deliverer, lane, message_id);
        if (lane->config != NULL && lane->config->options->ordering != ENDPOINT_ORDERING_NONE) {
            lane_due_at(lane, clock_wall_us());
        }
        lane_settle(deliverer, value);
    }
}

static struct sink_http_egress egress_of(const struct flow_settings *settings)
{
    return (struct sink_http_egress){
        .proxy_url = settings->egress_proxy == NULL ? "" : settings->egress_proxy,
        .proxy_resolves = settings->egress_proxy_resolves,
    };
}

static void handle_settings(struct deliverer *deliverer, const struct flow_settings *settings)
{
    const struct flow_settings *former = deliverer->settings;
    deliverer->settings = settings;
    if (settings->allow_subnets != former->allow_subnets) {
        sink_http_set_allow_subnets(deliverer->sink, settings->allow_subnets);
    }
    struct sink_http_egress egress = egress_of(settings);
    struct sink_http_egress former_egress = egress_of(former);
    if (egress.proxy_resolves != former_egress.proxy_resolves ||
        strcmp(egress.proxy_url, former_egress.proxy_url) != 0) {
        /* A URL that is not good was refused where the settings were made. */
        PH_ASSERT(sink_http_set_egress(deliverer->sink, &egress, NULL) == PH_OK);
    }
    flow_settings_drop(former);
    lanes_follow_settings(deliverer);
}

static void handle_config(struct deliverer *deliverer, struct inbox_notice *notice)
{
    struct lane *lane = map_get(&deliverer->lanes, (uint64_t)notice->id);
    if (lane != NULL) {
        lane_set_config(deliverer, lane, notice->config);
        lane_settle(deliverer, lane);
    } else {
        endpoint_config_unref(notice->config);
    }
}

/* The store has something for an endpoint that did not come through the inbox. */
static void handle_stored(struct deliverer *deliverer, enum inbox_type type, int64_t endpoint_id)
{
    struct lane *lane = lane_open(deliverer, endpoint_id, NULL);
    if (type == INBOX_MANUAL) {
        lane->manual.more = true;
        lane->replays.more = true;
    } else {
        lane_look_again(deliverer, lane, type == INBOX_CANCELLED);
    }
    lane_settle(deliverer, lane);
}

static void handle_notice(struct deliverer *deliverer, struct inbox_notice *notice)
{
    if (notice->entry.type == INBOX_CONFIG) {
        handle_config(deliverer, notice);
    } else if (notice->entry.type == INBOX_EXPUNGED) {
        handle_expunged(deliverer, notice->id);
    } else if (notice->entry.type == INBOX_DUE) {
        struct lane *lane = lane_open(deliverer, notice->config->id, notice->config);
        endpoint_config_unref(notice->config);
        lane_due_at(lane, notice->due_us);
        lane_settle(deliverer, lane);
    } else if (notice->entry.type == INBOX_TRIAL) {
        trial_start(deliverer, notice->trial);
    } else if (notice->entry.type == INBOX_SETTINGS) {
        handle_settings(deliverer, notice->settings);
    } else {
        handle_stored(deliverer, notice->entry.type, notice->id);
    }
    free(notice);
}

static void handle_entry(struct deliverer *deliverer, struct inbox_entry *entry)
{
    switch (entry->type) {
    case INBOX_FRESH:
        handle_fresh(deliverer, PH_CONTAINER_OF(entry, struct item, entry));
        return;
    case INBOX_RECORDED:
        handle_recorded(deliverer, PH_CONTAINER_OF(entry, struct item, entry));
        return;
    case INBOX_PREPARED:
        prepare_result(deliverer, PH_CONTAINER_OF(entry, struct item, entry));
        return;
    case INBOX_CONFIG:
    case INBOX_EXPUNGED:
    case INBOX_MANUAL:
    case INBOX_DUE:
    case INBOX_REPLAYED:
    case INBOX_CANCELLED:
    case INBOX_TRIAL:
    case INBOX_SETTINGS:
        handle_notice(deliverer, PH_CONTAINER_OF(entry, struct inbox_notice, entry));
        return;
    }
}

/* Everything in the inbox, in order. The overflow flag is read with it: the scan of the store that
 * follows sees what was left out. */
static bool drain_inbox(struct deliverer *deliverer)
{
    struct list_node entries;
    list_init(&entries);
    (void)pthread_mutex_lock(&deliverer->lock);
    list_splice(&entries, &deliverer->inbox);
    deliverer->inbox_fresh = 0;
    deliverer->inbox_bytes = 0;
    bool has_overflowed = deliverer->inbox_overflowed;
    deliverer->inbox_overflowed = false;
    (void)pthread_mutex_unlock(&deliverer->lock);
    bool was_empty = list_is_empty(&entries);
    struct list_node *node;
    while ((node = list_take_first(&entries)) != NULL) {
        handle_entry(deliverer, LIST_ELEMENT(node, struct inbox_entry, node));
    }
    if (has_overflowed) {
        struct diag diag;
        metrics_add(deliverer->options.flow->metrics, METRIC_INBOX_OVERFLOWS, 1);
        if (lanes_scan_store(deliverer, &diag) != PH_OK) {
            log_write(deliverer->options.flow->log, LOG_STORE_FAILED, LOG_TEXT("error", diag.text));
            (void)pthread_mutex_lock(&deliverer->lock);
            deliverer->inbox_overflowed = true; /* tried again in the next round */
            (void)pthread_mutex_unlock(&deliverer->lock);
        }
    }
    return !was_empty;
}

/* --- the loop: the deliverer's thread ------------------------------------------------------------
 */

bool deliverer_may_send(const struct deliverer *deliverer)
{
    return !atomic_load_explicit(&deliverer->is_draining, memory_order_relaxed) &&
           deliverer->in_flight < DELIVER_IN_FLIGHT_MAX &&
           deliverer->unrecorded < DELIVER_UNRECORDED_MAX &&
           !writer_is_failing(deliverer->options.writer);
}

/* Starts attempts of whose turn it is. */
static void pump(struct deliverer *deliverer)
{
    int64_t end_us = clock_boot_us() + PUMP_MAX_US;
    for (size_t count = 0; count < PUMP_MAX && deliverer_may_send(deliverer); count++) {
        if (count > 0 && clock_boot_us() > end_us) {
            return;
        }
        struct lane *lane = fair_next(deliverer);
        if (lane == NULL) {
            return;
        }
        struct item *item = lane_next(deliverer, lane);
        if (item != NULL) {
            fair_charge(lane, item);
            attempt_start(deliverer, item);
        }
        lane_settle(deliverer, lane);
    }
}

static int64_t next_deadline_us(const struct deliverer *deliverer, int64_t sweep_us)
{
    int64_t deadline_us = sink_http_deadline_us(deliverer->sink);
    const struct heap_node *first = heap_first(&deliverer->timers);
    if (first != NULL && first->key < deadline_us) {
        deadline_us = first->key;
    }
    /* The sweep matters only while lanes exist; an idle server sleeps. */
    if ((deliverer->lanes.count > 0 || deliverer->unrecorded > 0) && sweep_us < deadline_us) {
        deadline_us = sweep_us;
    }
    return deadline_us;
}

/* Several deliverers share the gauges: each adds what changed on its side. */
static void update_gauges(struct deliverer *deliverer)
{
    static const enum metric gauges[] = {METRIC_WINDOW_DELIVERIES, METRIC_WINDOW_BYTES,
                                         METRIC_IN_FLIGHT, METRIC_UNRECORDED, METRIC_LANES};
    const int64_t values[] = {(int64_t)deliverer->window_count, (int64_t)deliverer->window_bytes,
                              (int64_t)deliverer->in_flight,
                              (int64_t)(deliverer->unrecorded - deliverer->in_flight),
                              (int64_t)deliverer->lanes.count};
    _Static_assert(PH_ARRAY_LENGTH(gauges) == PH_ARRAY_LENGTH(deliverer->shown), "one each");
    for (size_t index = 0; index < PH_ARRAY_LENGTH(gauges); index++) {
        if (values[index] != deliverer->shown[index]) {
            metrics_add(deliverer->options.flow->metrics, gauges[index],
                        values[index] - deliverer->shown[index]);
            deliverer->shown[index] = values[index];
        }
    }
}

static bool inbox_is_empty(struct deliverer *deliverer)
{
    (void)pthread_mutex_lock(&deliverer->lock);
    bool is_empty = list_is_empty(&deliverer->inbox) && !deliverer->inbox_overflowed;
    (void)pthread_mutex_unlock(&deliverer->lock);
    return is_empty;
}

static int wait_ms(struct deliverer *deliverer, int64_t deadline_us)
{
    bool has_ready = !list_is_empty(&deliverer->ready) && deliverer_may_send(deliverer);
    if (has_ready || !inbox_is_empty(deliverer)) {
        return 0;
    }
    if (deadline_us == INT64_MAX) {
        return -1;
    }
    int64_t left_us = deadline_us - clock_boot_us();
    if (left_us <= 0) {
        return 0;
    }
    return left_us > INT64_C(3600000000) ? 3600000 : (int)((left_us + 999) / 1000);
}

/* Sleeps until a socket, the inbox or a timer wants something. */
static void wait_for_work(struct deliverer *deliverer, int64_t sweep_us)
{
    struct epoll_event events[2];
    atomic_store(&deliverer->is_sleeping, true);
    int timeout = wait_ms(deliverer, next_deadline_us(deliverer, sweep_us));
    if (atomic_load(&deliverer->must_quiesce)) {
        timeout = 0;
    }
    int count = epoll_wait(deliverer->epoll_fd, events, 2, timeout);
    atomic_store(&deliverer->is_sleeping, false);
    for (int index = 0; index < count; index++) {
        if (events[index].data.fd == deliverer->wake_fd) {
            uint64_t value;
            ssize_t got = read(deliverer->wake_fd, &value, sizeof value);
            (void)got; /* nothing there is fine: the flag was cleared in between */
        }
    }
}

/* Draining is over: nothing is in flight, or the time is. */
static void become_quiet(struct deliverer *deliverer)
{
    sink_http_free(deliverer->sink);
    deliverer->sink = NULL;
    (void)pthread_mutex_lock(&deliverer->lock);
    deliverer->is_quiet = true;
    (void)pthread_cond_broadcast(&deliverer->is_quiet_changed);
    (void)pthread_mutex_unlock(&deliverer->lock);
}

/* Due times are of the wall clock, which somebody may set; timers are of the boot clock. */
static void watch_clock(struct deliverer *deliverer, int64_t now_boot_us)
{
    int64_t offset_us = clock_wall_us() - now_boot_us;
    int64_t step_us = offset_us - deliverer->wall_offset_us;
    if (step_us > -CLOCK_STEP_US && step_us < CLOCK_STEP_US) {
        deliverer->wall_offset_us += step_us / 16; /* slewing is followed */
        return;
    }
    deliverer->wall_offset_us = offset_us;
    metrics_add(deliverer->options.flow->metrics, METRIC_CLOCK_STEPS, 1);
    log_write(deliverer->options.flow->log, LOG_CLOCK_STEPPED,
              LOG_INT("step_ms", step_us / CLOCK_US_PER_MS));
    lanes_clock_stepped(deliverer, step_us);
}

static void *deliverer_main(void *argument)
{
    struct deliverer *deliverer = argument;
    (void)pthread_setname_np(pthread_self(), "deliver");
    int64_t sweep_us = clock_boot_us() + SWEEP_INTERVAL_US;
    deliverer->wall_offset_us = clock_wall_us() - clock_boot_us();
    for (;;) {
        (void)drain_inbox(deliverer);
        sink_http_run(deliverer->sink);
        int64_t now_us = clock_boot_us();
        watch_clock(deliverer, now_us);
        lanes_run_timers(deliverer, now_us);
        pump(deliverer);
        if (now_us >= sweep_us) {
            lanes_sweep_idle(deliverer, now_us);
            sweep_us = now_us + SWEEP_INTERVAL_US;
        }
        update_gauges(deliverer);
        bool is_drained = atomic_load(&deliverer->is_draining) && deliverer->unrecorded == 0;
        if (is_drained || atomic_load(&deliverer->must_quiesce)) {
            become_quiet(deliverer);
            return NULL;
        }
        wait_for_work(deliverer, sweep_us);
    }
}

/* --- start and stop
 * ---------------------------------------------------------------------------------- */

static enum ph_error watch(struct deliverer *deliverer, int fd, struct diag *diag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(deliverer->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        return diag_set(diag, PH_IO, NULL, "could not watch a descriptor");
    }
    return PH_OK;
}

static enum ph_error open_parts(struct deliverer *deliverer, struct diag *diag)
{
    const struct flow_options *flow = deliverer->options.flow;
    enum ph_error error = store_open(flow->store_address, DB_READ_ONLY, diag, &deliverer->store);
    if (error != PH_OK) {
        return error;
    }
    deliverer->store->keyring = flow->keyring;
    const struct sink_http_options options = {
        .allow_subnets = deliverer->settings->allow_subnets,
        .egress = egress_of(deliverer->settings),
        .metrics = flow->metrics,
        .ca_file = flow->settings.ca_file,
        .user_agent = flow->settings.user_agent,
        .read_max_bytes = 65536,
        .keep_max_bytes = 20000,
        .connections_max = DELIVER_IN_FLIGHT_MAX,
        .resolver = deliverer->options.resolver,
        .on_result = attempt_result,
        .context = deliverer,
    };
    error = sink_http_new(&options, diag, &deliverer->sink);
    if (error != PH_OK) {
        return error;
    }
    deliverer->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    deliverer->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (deliverer->epoll_fd < 0 || deliverer->wake_fd < 0) {
        return diag_set(diag, PH_IO, NULL, "could not make the deliverer's descriptors");
    }
    error = watch(deliverer, deliverer->wake_fd, diag);
    if (error == PH_OK) {
        error = watch(deliverer, sink_http_fd(deliverer->sink), diag);
    }
    return error == PH_OK ? lanes_scan_store(deliverer, diag) : error;
}

/* Frees what is left in the inbox; the lanes know the items of records and of programs. */
static void free_inbox(struct deliverer *deliverer)
{
    struct list_node *node;
    while ((node = list_take_first(&deliverer->inbox)) != NULL) {
        struct inbox_entry *entry = LIST_ELEMENT(node, struct inbox_entry, node);
        if (entry->type == INBOX_FRESH) {
            item_free(PH_CONTAINER_OF(entry, struct item, entry));
        } else if (entry->type != INBOX_RECORDED && entry->type != INBOX_PREPARED) {
            struct inbox_notice *notice = PH_CONTAINER_OF(entry, struct inbox_notice, entry);
            endpoint_config_unref(notice->config);
            flow_settings_drop(notice->settings);
            if (notice->trial != NULL) {
                trial_refuse(notice->trial, "not sent: the server stopped");
            }
            free(notice);
        }
    }
}

/* Items whose records never came back: in the map, in no window. */
static void free_unrecorded(struct deliverer *deliverer, struct lane *lane)
{
    size_t position = 0;
    uint64_t key;
    void *value;
    while (map_next(&lane->items, &position, &key, &value)) {
        struct item *item = value;
        if (item->in_window.next == NULL || list_is_alone(&item->in_window)) {
            (void)map_remove(&lane->items, key);
            deliverer->unrecorded--;
            item_free(item);
            position = 0;
        }
    }
}

static void free_deliverer(struct deliverer *deliverer)
{
    sink_http_free(deliverer->sink);
    free_inbox(deliverer);
    size_t position = 0;
    uint64_t key;
    void *value;
    while (map_next(&deliverer->lanes, &position, &key, &value)) {
        free_unrecorded(deliverer, value);
        lane_free(deliverer, value);
        position = 0;
    }
    map_done(&deliverer->lanes);
    map_done(&deliverer->tenants);
    heap_done(&deliverer->timers);
    store_close(deliverer->store);
    if (deliverer->wake_fd >= 0) {
        (void)close(deliverer->wake_fd);
    }
    if (deliverer->epoll_fd >= 0) {
        (void)close(deliverer->epoll_fd);
    }
    free(deliverer->page);
    flow_settings_drop(deliverer->settings);
    (void)pthread_cond_destroy(&deliverer->is_quiet_changed);
    (void)pthread_mutex_destroy(&deliverer->lock);
    free(deliverer);
}

enum ph_error deliverer_new(const struct deliverer_options *options, struct diag *diag,
                            struct deliverer **ret_deliverer)
{
    struct deliverer *deliverer = ph_calloc(1, sizeof *deliverer);
    deliverer->options = *options;
    deliverer->settings = settings_take(options->settings);
    deliverer->epoll_fd = -1;
    deliverer->wake_fd = -1;
    list_init(&deliverer->inbox);
    list_init(&deliverer->ready);
    list_init(&deliverer->held);
    map_init(&deliverer->tenants);
    list_init(&deliverer->idle);
    map_init(&deliverer->lanes);
    heap_init(&deliverer->timers);
    (void)pthread_mutex_init(&deliverer->lock, NULL);
    clock_cond_init(&deliverer->is_quiet_changed);
    enum ph_error error = open_parts(deliverer, diag);
    if (error != PH_OK) {
        free_deliverer(deliverer);
        return error;
    }
    *ret_deliverer = deliverer;
    return PH_OK;
}

enum ph_error deliverer_start(struct deliverer *deliverer, struct diag *diag)
{
    if (pthread_create(&deliverer->thread, NULL, deliverer_main, deliverer) != 0) {
        return diag_set(diag, PH_INTERNAL, NULL, "could not start a deliverer thread");
    }
    deliverer->is_started = true;
    return PH_OK;
}

void deliverer_drain(struct deliverer *deliverer, int64_t drain_ms)
{
    if (!deliverer->is_started) {
        return;
    }
    atomic_store(&deliverer->is_draining, true);
    wake_thread(deliverer);
    struct timespec until = clock_deadline(drain_ms * CLOCK_US_PER_MS);
    (void)pthread_mutex_lock(&deliverer->lock);
    int waited = 0;
    while (!deliverer->is_quiet && waited == 0) {
        waited = pthread_cond_timedwait(&deliverer->is_quiet_changed, &deliverer->lock, &until);
    }
    (void)pthread_mutex_unlock(&deliverer->lock);
    atomic_store(&deliverer->must_quiesce, true);
    wake_thread(deliverer);
    (void)pthread_join(deliverer->thread, NULL);
}

void deliverer_free(struct deliverer *deliverer)
{
    if (deliverer != NULL) {
        free_deliverer(deliverer);
    }
}
