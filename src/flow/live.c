/* SPDX-License-Identifier: Apache-2.0 */
/* Concurrency: see live.h. */
#include "flow/live.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"

#define PAGE_EVENTS 200
#define ROWS_ARENA_BYTES ((size_t)32 * 1024 * 1024)
#define CONTENT_ARENA_BYTES ((size_t)4 * 1024 * 1024)
#define TEXT_MAX_BYTES ((size_t)8 * 1024 * 1024)
/* Commits that follow each other more quickly are read together. */
#define PACE_US (5 * CLOCK_US_PER_MS)
/* Between two pages, at most. */
#define REST_MAX_US (20 * CLOCK_US_PER_MS)
/* How often everything is looked at, announced or not; also the pause after a failure. */
#define LOOK_US CLOCK_US_PER_S

/* One application with subscribers. */
struct feed {
    int64_t application_id;
    /* Under the hub's lock. */
    size_t subscriber_count; /* also those on their way in */
    bool is_touched;
    /* The hub's thread's. */
    struct list_node node;
    struct list_node subscribers;
};

struct live_subscriber {
    struct list_node node; /* among those on their way in, then in its feed */
    struct live_hub *hub;
    struct feed *feed;
    struct live_options options;
    atomic_bool has_left;
    bool is_cancelled;
    /* The hub's thread's. */
    int64_t position; /* everything up to it was given */
    bool is_behind;   /* there may be more */
    bool is_finished; /* nothing more is given */
    bool is_taking;   /* of the page at hand */
};

struct live_hub {
    const struct flow_options *options;
    pthread_t thread;
    atomic_size_t subscriber_count;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct map feeds_by_id;
    struct list_node joining;
    bool is_woken;
    bool is_stopping;

    /* The hub's thread's. */
    struct store *store; /* NULL until opened, or after it failed */
    struct list_node feeds;
    int64_t looked_us;
    int64_t round_us; /* when the last one began */
    int64_t retry_us; /* after a failure */
    bool has_failed;
    struct arena rows_arena;
    struct arena content_arena;
    struct event_row rows[2 * PAGE_EVENTS];
    struct buf texts[2]; /* of one event: without content, with it */
    bool has_text[2];
};

static void lock(struct live_hub *hub)
{
    PH_ASSERT(pthread_mutex_lock(&hub->lock) == 0);
}

static void unlock(struct live_hub *hub)
{
    PH_ASSERT(pthread_mutex_unlock(&hub->lock) == 0);
}

/* With the lock held. */
static void wake(struct live_hub *hub)
{
    if (!hub->is_woken) {
        hub->is_woken = true;
        PH_ASSERT(pthread_cond_signal(&hub->changed) == 0);
    }
}

/* --- the writer thread ------------------------------------------------------------------------ */

bool live_announce_begin(struct live_hub *hub)
{
    if (hub == NULL || atomic_load_explicit(&hub->subscriber_count, memory_order_acquire) == 0) {
        return false;
    }
    lock(hub);
    return true;
}

void live_announce(struct live_hub *hub, int64_t application_id)
{
    struct feed *feed = map_get(&hub->feeds_by_id, (uint64_t)application_id);
    if (feed != NULL) {
        feed->is_touched = true;
        wake(hub);
    }
}

void live_announce_end(struct live_hub *hub)
{
    unlock(hub);
}

/* --- subscribers: any thread ------------------------------------------------------------------ */

/* With the lock held. */
static struct feed *open_feed(struct live_hub *hub, int64_t application_id)
{
    struct feed *feed = map_get(&hub->feeds_by_id, (uint64_t)application_id);
    if (feed == NULL) {
        feed = ph_calloc(1, sizeof *feed);
        feed->application_id = application_id;
        list_init(&feed->node);
        list_init(&feed->subscribers);
        (void)map_set(&hub->feeds_by_id, (uint64_t)application_id, feed);
    }
    return feed;
}

enum ph_error live_subscribe(struct live_hub *hub, const struct live_options *options,
                             struct diag *diag, struct live_subscriber **ret_subscriber)
{
    lock(hub);
    struct feed *feed = open_feed(hub, options->application_id);
    bool has_place = feed->subscriber_count < LIVE_PER_APPLICATION_MAX;
    feed->subscriber_count += has_place;
    unlock(hub);
    if (!has_place) {
        metrics_add(hub->options->metrics, METRIC_HTTP_STREAMS_REFUSED, 1);
        return diag_set(diag, PH_BUSY, NULL, "%d streams of this application are open already",
                        LIVE_PER_APPLICATION_MAX);
    }
    (void)atomic_fetch_add(&hub->subscriber_count, 1);
    struct live_subscriber *subscriber = ph_calloc(1, sizeof *subscriber);
    list_init(&subscriber->node);
    subscriber->hub = hub;
    subscriber->feed = feed;
    subscriber->options = *options;
    subscriber->position = options->after_id;
    subscriber->is_behind = true;
    atomic_init(&subscriber->has_left, false);
    *ret_subscriber = subscriber;
    return PH_OK;
}

static void join(struct live_subscriber *subscriber)
{
    struct live_hub *hub = subscriber->hub;
    lock(hub);
    list_append(&hub->joining, &subscriber->node);
    wake(hub);
    unlock(hub);
}

void live_begin(struct live_subscriber *subscriber)
{
    join(subscriber);
}

void live_cancel(struct live_subscriber *subscriber)
{
    subscriber->is_cancelled = true;
    atomic_store(&subscriber->has_left, true);
    join(subscriber);
}

void live_wake(struct live_subscriber *subscriber)
{
    struct live_hub *hub = subscriber->hub;
    lock(hub);
    wake(hub);
    unlock(hub);
}

void live_leave(struct live_subscriber *subscriber)
{
    struct live_hub *hub = subscriber->hub;
    lock(hub);
    atomic_store(&subscriber->has_left, true); /* it may be freed as soon as the lock is open */
    wake(hub);
    unlock(hub);
}

/* --- coming and going: the hub's thread ------------------------------------------------------- */

static void free_subscriber(struct live_hub *hub, struct live_subscriber *subscriber)
{
    struct feed *feed = subscriber->feed;
    list_remove(&subscriber->node);
    if (!subscriber->is_cancelled) {
        subscriber->options.left(subscriber->options.context);
    }
    free(subscriber);
    (void)atomic_fetch_sub(&hub->subscriber_count, 1);
    lock(hub);
    feed->subscriber_count--;
    bool is_empty = feed->subscriber_count == 0;
    if (is_empty) {
        (void)map_remove(&hub->feeds_by_id, (uint64_t)feed->application_id);
    }
    unlock(hub);
    if (is_empty) {
        list_remove(&feed->node);
        free(feed);
    }
}

/* Frees those that have left, and with the last one the feed. False when it is gone. */
static bool reap(struct live_hub *hub, struct feed *feed)
{
    LIST_FOR_EACH(node, following, &feed->subscribers)
    {
        struct live_subscriber *subscriber = LIST_ELEMENT(node, struct live_subscriber, node);
        if (atomic_load(&subscriber->has_left)) {
            bool is_last = following == &feed->subscribers && node->previous == following;
            free_subscriber(hub, subscriber);
            if (is_last) {
                return false;
            }
        }
    }
    return true;
}

static void take_in(struct live_hub *hub, struct list_node *joined)
{
    struct list_node *node;
    while ((node = list_take_first(joined)) != NULL) {
        struct live_subscriber *subscriber = LIST_ELEMENT(node, struct live_subscriber, node);
        struct feed *feed = subscriber->feed;
        if (list_is_alone(&feed->node)) {
            list_append(&hub->feeds, &feed->node);
        }
        list_append(&feed->subscribers, node);
    }
}

static void look_again(struct feed *feed)
{
    LIST_FOR_EACH(node, following, &feed->subscribers)
    {
        LIST_ELEMENT(node, struct live_subscriber, node)->is_behind = true;
    }
}

static void expire(struct live_subscriber *subscriber)
{
    subscriber->is_finished = true;
    subscriber->options.expire(subscriber->options.context, subscriber->position);
}

static void expire_old(struct feed *feed, int64_t now_us)
{
    LIST_FOR_EACH(node, following, &feed->subscribers)
    {
        struct live_subscriber *subscriber = LIST_ELEMENT(node, struct live_subscriber, node);
        if (!subscriber->is_finished && now_us >= subscriber->options.until_us) {
            expire(subscriber);
        }
    }
}

/* --- reading and giving: the hub's thread ----------------------------------------------------- */

static enum ph_error open_store(struct live_hub *hub, struct diag *diag)
{
    enum ph_error error = PH_OK;
    if (hub->store == NULL) {
        error = store_open(hub->options->store_address, DB_READ_ONLY, diag, &hub->store);
        if (error == PH_OK) {
            hub->store->keyring = hub->options->keyring;
        }
    }
    return error;
}

/* A failure is told once, and the store opened again. */
static void tell_outcome(struct live_hub *hub, enum ph_error error, const struct diag *diag,
                         int64_t now_us)
{
    if (error == PH_OK) {
        hub->has_failed = false;
        return;
    }
    if (!hub->has_failed) {
        log_write(hub->options->log, LOG_STREAMS_FAILED, LOG_TEXT("error", diag->text));
    }
    hub->has_failed = true;
    hub->retry_us = now_us + LOOK_US;
    store_close(hub->store);
    hub->store = NULL;
}

/* Ends those who may not follow any more. Each asks the store as it is now, not as of a page. */
static enum ph_error expire_ended(struct live_hub *hub, struct feed *feed, struct diag *diag)
{
    enum ph_error error = PH_OK;
    LIST_FOR_EACH(node, following, &feed->subscribers)
    {
        struct live_subscriber *subscriber = LIST_ELEMENT(node, struct live_subscriber, node);
        bool may_stay = true;
        if (error == PH_OK && !subscriber->is_finished && subscriber->options.may_stay != NULL) {
            error = subscriber->options.may_stay(subscriber->options.context, hub->store, diag,
                                                 &may_stay);
        }
        if (error == PH_OK && !may_stay) {
            expire(subscriber);
        }
    }
    return error;
}

static bool is_ready(const struct live_subscriber *subscriber)
{
    return subscriber->is_behind && !subscriber->is_finished &&
           subscriber->options.has_room(subscriber->options.context);
}

/* The first one that wants to read on; it stands last then, so that each has its turn. */
static struct live_subscriber *choose(struct feed *feed)
{
    LIST_FOR_EACH(node, following, &feed->subscribers)
    {
        struct live_subscriber *subscriber = LIST_ELEMENT(node, struct live_subscriber, node);
        if (is_ready(subscriber)) {
            list_remove(node);
            list_append(&feed->subscribers, node);
            return subscriber;
        }
    }
    return NULL;
}

/* Everybody who is at the same place takes the same page. */
static void choose_takers(struct feed *feed, int64_t position)
{
    LIST_FOR_EACH(node, following, &feed->subscribers)
    {
        struct live_subscriber *subscriber = LIST_ELEMENT(node, struct live_subscriber, node);
        subscriber->is_taking = subscriber->position == position && is_ready(subscriber);
    }
}

/* The event in words, with or without its content; each once for all who take it. */
static enum ph_error put_into_words(struct live_hub *hub, const struct event_row *row,
                                    const struct live_subscriber *subscriber, struct diag *diag)
{
    bool with_content = subscriber->options.with_content;
    if (hub->has_text[with_content]) {
        return PH_OK;
    }
    struct live_event event = {
        .row = row,
        .codec = &hub->store->codec,
        .with_content = with_content,
        .content = SLICE_NONE,
    };
    enum ph_error error = PH_OK;
    if (with_content) {
        arena_reset(&hub->content_arena);
        error = event_content(hub->store, row, clock_wall_us(), &hub->content_arena, diag,
                              &event.content);
    }
    if (error == PH_OK) {
        buf_clear(&hub->texts[with_content]);
        subscriber->options.format(&event, &hub->texts[with_content]);
        PH_ASSERT(!hub->texts[with_content].failed); /* requests are much smaller */
        hub->has_text[with_content] = true;
    }
    return error;
}

/* One event to each taker; those without room stay where they are. */
static enum ph_error give(struct live_hub *hub, struct feed *feed, const struct event_row *row,
                          struct diag *diag, bool *ret_taken)
{
    hub->has_text[0] = false;
    hub->has_text[1] = false;
    *ret_taken = false;
    LIST_FOR_EACH(node, following, &feed->subscribers)
    {
        struct live_subscriber *subscriber = LIST_ELEMENT(node, struct live_subscriber, node);
        const struct live_options *options = &subscriber->options;
        if (!subscriber->is_taking) {
            continue;
        }
        if (options->wants(options->context, row)) {
            if (!options->has_room(options->context)) {
                subscriber->is_taking = false;
                continue;
            }
            enum ph_error error = put_into_words(hub, row, subscriber, diag);
            if (error != PH_OK) {
                return error;
            }
            if (!options->give(options->context, buf_slice(&hub->texts[options->with_content]))) {
                subscriber->is_taking = false;
                subscriber->is_finished = true;
                continue;
            }
            metrics_add(hub->options->metrics, METRIC_STREAM_EVENTS, 1);
        }
        subscriber->position = row->id;
        *ret_taken = true;
    }
    return PH_OK;
}

static void end_page(struct feed *feed, const struct event_end *end)
{
    LIST_FOR_EACH(node, following, &feed->subscribers)
    {
        struct live_subscriber *subscriber = LIST_ELEMENT(node, struct live_subscriber, node);
        if (subscriber->is_taking) {
            subscriber->position = end->last_id;
            subscriber->is_behind = end->has_more;
        }
    }
}

static enum ph_error give_page(struct live_hub *hub, struct feed *feed, int64_t position,
                               struct diag *diag)
{
    struct event_end end = {0};
    arena_reset(&hub->rows_arena);
    const struct event_query query = {feed->application_id, position, PAGE_EVENTS,
                                      &hub->rows_arena};
    enum ph_error error = event_page(hub->store, &query, diag, hub->rows, &end);
    bool is_taken = true;
    for (size_t index = 0; error == PH_OK && is_taken && index < end.count; index++) {
        error = give(hub, feed, &hub->rows[index], diag, &is_taken);
    }
    if (error == PH_OK) {
        end_page(feed, &end);
    }
    metrics_add(hub->options->metrics, METRIC_STREAM_PAGES, 1);
    return error;
}

/* One page for whoever is first. *ret_is_busy is false when there is nothing to do. */
static enum ph_error give_first(struct live_hub *hub, struct feed *feed, struct diag *diag,
                                bool *ret_is_busy)
{
    const struct live_subscriber *first = choose(feed);
    *ret_is_busy = first != NULL;
    if (first == NULL) {
        return PH_OK;
    }
    int64_t position = first->position;
    enum ph_error error = db_begin_read(hub->store->db, diag);
    if (error == PH_OK) {
        choose_takers(feed, position);
        error = give_page(hub, feed, position, diag);
        db_rollback(hub->store->db);
    }
    return error;
}

/* Whether somebody waits for a page. */
static bool is_wanted(const struct feed *feed)
{
    LIST_FOR_EACH(node, following, &feed->subscribers)
    {
        if (is_ready(LIST_ELEMENT(node, struct live_subscriber, node))) {
            return true;
        }
    }
    return false;
}

/* Judges who may stay, which `is_due` once in a while, and gives one page. False when there is
 * nothing to do. */
static bool serve(struct live_hub *hub, struct feed *feed, bool is_due, int64_t now_us)
{
    if (now_us < hub->retry_us || (!is_due && !is_wanted(feed))) {
        return false;
    }
    struct diag diag;
    bool is_busy = false;
    enum ph_error error = open_store(hub, &diag);
    if (error == PH_OK) {
        error = expire_ended(hub, feed, &diag);
    }
    if (error == PH_OK) {
        error = give_first(hub, feed, &diag, &is_busy);
    }
    tell_outcome(hub, error, &diag, now_us);
    return error == PH_OK && is_busy;
}

/* --- the thread ------------------------------------------------------------------------------- */

/* With the lock held: whatever happens, unless the hub stops. */
static void rest(struct live_hub *hub, int64_t wait_us)
{
    struct timespec until = clock_deadline(wait_us);
    int waited = 0;
    while (!hub->is_stopping && waited == 0) {
        waited = pthread_cond_timedwait(&hub->changed, &hub->lock, &until);
    }
}

/* With the lock held. */
static void wait_for_work(struct live_hub *hub)
{
    int64_t now_us = clock_boot_us();
    bool has_feeds = !list_is_empty(&hub->feeds);
    int64_t left_us = hub->looked_us + LOOK_US - now_us;
    struct timespec until = clock_deadline(left_us > 0 ? left_us : 0);
    int waited = 0;
    while (!hub->is_woken && !hub->is_stopping && waited == 0) {
        waited = has_feeds ? pthread_cond_timedwait(&hub->changed, &hub->lock, &until)
                           : pthread_cond_wait(&hub->changed, &hub->lock);
    }
}

/* Takes what has changed; waits for something to do unless there is. Whoever catches up with a long
 * past takes at most half of the thread's time: deliveries have more need of the processor. False
 * at the end. */
static bool follow(struct live_hub *hub, bool is_busy)
{
    struct list_node joined;
    list_init(&joined);
    int64_t spent_us = clock_boot_us() - hub->round_us;
    lock(hub);
    if (is_busy) {
        rest(hub, spent_us < REST_MAX_US ? spent_us : REST_MAX_US);
    } else {
        rest(hub, spent_us < PACE_US ? PACE_US : 0);
        wait_for_work(hub);
    }
    hub->is_woken = false;
    bool goes_on = !hub->is_stopping;
    list_splice(&joined, &hub->joining);
    LIST_FOR_EACH(node, following, &hub->feeds)
    {
        struct feed *feed = LIST_ELEMENT(node, struct feed, node);
        if (feed->is_touched) {
            feed->is_touched = false;
            look_again(feed);
        }
    }
    unlock(hub);
    take_in(hub, &joined);
    return goes_on;
}

static void *hub_main(void *argument)
{
    struct live_hub *hub = argument;
    (void)pthread_setname_np(pthread_self(), "live");
    bool is_busy = false;
    while (follow(hub, is_busy)) {
        int64_t now_us = clock_boot_us();
        hub->round_us = now_us;
        bool looks = now_us - hub->looked_us >= LOOK_US;
        is_busy = false;
        LIST_FOR_EACH(node, following, &hub->feeds)
        {
            struct feed *feed = LIST_ELEMENT(node, struct feed, node);
            if (!reap(hub, feed)) {
                continue;
            }
            if (looks) {
                look_again(feed);
                expire_old(feed, now_us);
            }
            is_busy = serve(hub, feed, looks, now_us) || is_busy;
        }
        hub->looked_us = looks ? now_us : hub->looked_us;
    }
    return NULL;
}

static void free_hub(struct live_hub *hub)
{
    store_close(hub->store);
    map_done(&hub->feeds_by_id);
    arena_done(&hub->rows_arena);
    arena_done(&hub->content_arena);
    buf_done(&hub->texts[0]);
    buf_done(&hub->texts[1]);
    PH_ASSERT(pthread_cond_destroy(&hub->changed) == 0);
    PH_ASSERT(pthread_mutex_destroy(&hub->lock) == 0);
    free(hub);
}

enum ph_error live_hub_start(const struct flow_options *options, struct diag *diag,
                             struct live_hub **ret_hub)
{
    struct live_hub *hub = ph_calloc(1, sizeof *hub);
    hub->options = options;
    atomic_init(&hub->subscriber_count, 0);
    PH_ASSERT(pthread_mutex_init(&hub->lock, NULL) == 0);
    clock_cond_init(&hub->changed);
    map_init(&hub->feeds_by_id);
    list_init(&hub->joining);
    list_init(&hub->feeds);
    arena_init(&hub->rows_arena, ROWS_ARENA_BYTES);
    arena_init(&hub->content_arena, CONTENT_ARENA_BYTES);
    buf_init(&hub->texts[0], TEXT_MAX_BYTES);
    buf_init(&hub->texts[1], TEXT_MAX_BYTES);
    if (pthread_create(&hub->thread, NULL, hub_main, hub) != 0) {
        free_hub(hub);
        return diag_set(diag, PH_INTERNAL, NULL, "could not start the thread of the streams");
    }
    *ret_hub = hub;
    return PH_OK;
}

void live_hub_stop(struct live_hub *hub)
{
    if (hub == NULL) {
        return;
    }
    lock(hub);
    hub->is_stopping = true;
    PH_ASSERT(pthread_cond_signal(&hub->changed) == 0);
    unlock(hub);
    PH_ASSERT(pthread_join(hub->thread, NULL) == 0);
    take_in(hub, &hub->joining);
    LIST_FOR_EACH(node, following, &hub->feeds)
    {
        (void)reap(hub, LIST_ELEMENT(node, struct feed, node));
    }
    PH_ASSERT(atomic_load(&hub->subscriber_count) == 0);
    free_hub(hub);
}
