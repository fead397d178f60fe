/* SPDX-License-Identifier: Apache-2.0 */
/* Following an application: each event once, in order, whoever else listens, or does not read. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include <stdatomic.h>

#include "flow/live.h"

#define EVENTS_MAX 4096
#define FOREVER_US INT64_MAX
#define MANY 300

/* What one subscriber got. The event's text is its id, a space and its content. */
struct listener {
    struct live_subscriber *subscriber;
    bool wants_attempts;
    atomic_bool is_full;
    atomic_bool is_gone;
    atomic_bool is_banned;
    atomic_int expiries;
    atomic_int departures;
    int64_t ids[EVENTS_MAX];
    atomic_size_t count;
    char content[64]; /* of the last one */
};

static void format(const struct live_event *event, struct buf *text)
{
    buf_append_int64(text, event->row->id);
    buf_append_byte(text, ' ');
    if (event->with_content) {
        buf_append_slice(text, event->content);
    }
}

static bool wants(void *context, const struct event_row *row)
{
    return !row->is_attempt || ((struct listener *)context)->wants_attempts;
}

static bool has_room(void *context)
{
    return !atomic_load(&((struct listener *)context)->is_full);
}

static bool give(void *context, struct slice text)
{
    struct listener *listener = context;
    if (atomic_load(&listener->is_gone)) {
        return false;
    }
    size_t space = slice_find(text, ' ');
    size_t count = atomic_load(&listener->count);
    PH_ASSERT(count < EVENTS_MAX);
    PH_ASSERT(slice_to_int64((struct slice){text.ptr, space}, &listener->ids[count]));
    (void)snprintf(listener->content, sizeof listener->content, "%.*s", (int)(text.len - space - 1),
                   text.ptr + space + 1);
    atomic_store(&listener->count, count + 1);
    return true;
}

static void expire(void *context, int64_t position)
{
    struct listener *listener = context;
    PH_ASSERT(position >= listener->ids[atomic_load(&listener->count) - 1]);
    (void)atomic_fetch_add(&listener->expiries, 1);
}

static enum ph_error may_stay(void *context, struct store *store, struct diag *diag, bool *ret_may)
{
    /* It can be asked, and is no snapshot of a page. */
    PH_ASSERT(!db_in_transaction(store->db));
    int64_t newest;
    enum ph_error error = message_newest_id(store, diag, &newest);
    *ret_may = !atomic_load(&((struct listener *)context)->is_banned);
    return error;
}

static void left(void *context)
{
    (void)atomic_fetch_add(&((struct listener *)context)->departures, 1);
}

static struct live_options options_of(struct flow_rig *rig, struct listener *listener,
                                      int64_t after_id)
{
    return (struct live_options){
        .application_id = rig->application_id,
        .after_id = after_id,
        .until_us = FOREVER_US,
        .format = format,
        .wants = wants,
        .has_room = has_room,
        .give = give,
        .expire = expire,
        .left = left,
        .context = listener,
    };
}

static struct listener *listen_with(struct flow_rig *rig, struct listener *listener,
                                    struct live_options options)
{
    struct diag diag = {0};
    CONTRACT_OK(live_subscribe(flow_live(rig->flow), &options, &diag, &listener->subscriber),
                &diag);
    live_begin(listener->subscriber);
    return listener;
}

static struct listener *listener_new(void)
{
    struct listener *listener = ph_calloc(1, sizeof *listener);
    listener->wants_attempts = true;
    return listener;
}

static struct listener *listen_after(struct flow_rig *rig, int64_t after_id)
{
    struct listener *listener = listener_new();
    return listen_with(rig, listener, options_of(rig, listener, after_id));
}

static void leave(struct listener *listener)
{
    live_leave(listener->subscriber);
    RIG_UNTIL(atomic_load(&listener->departures) == 1);
    free(listener);
}

/* All events of the application so far, as the store has them. */
static size_t events_in_store(struct flow_rig *rig, int64_t ids[EVENTS_MAX])
{
    struct diag diag = {0};
    ARENA_AUTO struct arena arena;
    arena_init(&arena, (size_t)8 << 20);
    static struct event_row rows[2 * EVENT_PAGE_MAX];
    size_t count = 0;
    struct event_end end = {0};
    CONTRACT_OK(db_begin_read(rig->store->db, &diag), &diag);
    do {
        arena_reset(&arena);
        const struct event_query query = {rig->application_id, end.last_id, EVENT_PAGE_MAX, &arena};
        CONTRACT_OK(event_page(rig->store, &query, &diag, rows, &end), &diag);
        for (size_t index = 0; index < end.count; index++) {
            assert_true(count < EVENTS_MAX);
            ids[count++] = rows[index].id;
        }
    } while (end.has_more);
    db_rollback(rig->store->db);
    return count;
}

static bool has_got(struct listener *listener, size_t count)
{
    return atomic_load(&listener->count) >= count;
}

static void assert_got(struct listener *listener, const int64_t *ids, size_t count)
{
    RIG_UNTIL(has_got(listener, count));
    assert_int_equal(atomic_load(&listener->count), count);
    assert_memory_equal(listener->ids, ids, count * sizeof ids[0]);
}

/* Messages without waiting for each; returns when all are committed. */
static void send_many(struct flow_rig *rig, size_t count)
{
    struct rig_message *messages[MANY];
    int64_t id;
    for (size_t index = 0; index < count; index++) {
        messages[index] = rig_message_new(rig, "a", "{\"n\":1}");
        rig_message_submit(messages[index]);
    }
    for (size_t index = 0; index < count; index++) {
        assert_int_equal(rig_message_take(messages[index], &id), PH_OK);
    }
}

static bool is_quiet(struct flow_rig *rig)
{
    return flow_rig_number(rig, "SELECT count(*) FROM delivery WHERE state = 0", 0) == 0;
}

static void test_each_event_once_and_in_order(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    receiver->statuses[0] = 503;
    receiver->statuses[1] = 204;
    receiver->status_count = 2;
    (void)flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    struct listener *early = listen_after(rig, 0);
    send_many(rig, MANY / 2);
    /* Joins amid of it, from the middle. */
    static int64_t ids[EVENTS_MAX];
    size_t known = events_in_store(rig, ids);
    size_t half = known / 2;
    struct listener *late = listen_after(rig, ids[half - 1]);
    struct listener *now = listen_after(rig, ids[known - 1]);
    send_many(rig, MANY / 2 - 10);
    RIG_UNTIL(is_quiet(rig));
    size_t count = events_in_store(rig, ids);
    assert_in_range(count, 2 * MANY - 19, EVENTS_MAX); /* and a retry */
    assert_got(early, ids, count);
    assert_got(late, ids + half, count - half);
    assert_got(now, ids + known, count - known);
    leave(early);
    leave(late);
    leave(now);
    receiver_stop(receiver);
    flow_rig_close(rig);
}

/* What is committed is told at once: the look that the hub takes each second would be too late. */
static void test_a_commit_is_told(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct listener *listener = listen_after(rig, 0);
    int64_t begin_us = clock_boot_us();
    for (size_t round = 1; round <= 20; round++) {
        (void)flow_rig_send(rig, "a", "{}");
        RIG_UNTIL(has_got(listener, round));
    }
    assert_true(clock_boot_us() - begin_us < 10 * CLOCK_US_PER_S);
    leave(listener);
    flow_rig_close(rig);
}

static void test_who_has_no_room_costs_nobody(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct listener *stuck = listen_after(rig, 0);
    struct listener *other = listen_after(rig, 0);
    static int64_t ids[EVENTS_MAX];
    (void)flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(has_got(stuck, 1));
    atomic_store(&stuck->is_full, true);
    send_many(rig, MANY);
    size_t count = events_in_store(rig, ids);
    assert_got(other, ids, count);
    assert_int_equal(atomic_load(&stuck->count), 1);
    atomic_store(&stuck->is_full, false);
    live_wake(stuck->subscriber);
    assert_got(stuck, ids, count);
    leave(stuck);
    leave(other);
    flow_rig_close(rig);
}

#define TOGETHER 20

static void await_all(struct listener *const listeners[TOGETHER], size_t count)
{
    for (size_t index = 0; index < TOGETHER; index++) {
        RIG_UNTIL(has_got(listeners[index], count));
    }
}

/* Twenty who have caught up cost as much as one. */
static void test_those_at_the_same_place_share_a_read(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct listener *listeners[TOGETHER];
    for (size_t index = 0; index < TOGETHER; index++) {
        listeners[index] = listen_after(rig, 0);
    }
    (void)flow_rig_send(rig, "a", "{}");
    await_all(listeners, 1); /* until now they may have been at different places */
    int64_t before = flow_rig_metric(rig, METRIC_STREAM_PAGES);
    (void)flow_rig_send(rig, "a", "{}");
    await_all(listeners, 2);
    /* The looks of each second may come in between. */
    assert_in_range(flow_rig_metric(rig, METRIC_STREAM_PAGES) - before, 1, 9);
    assert_int_equal(flow_rig_metric(rig, METRIC_STREAM_EVENTS), 2 * TOGETHER);
    for (size_t index = 0; index < TOGETHER; index++) {
        leave(listeners[index]);
    }
    flow_rig_close(rig);
}

static void test_contents_and_wishes(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    (void)flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    struct listener *plain = listen_after(rig, 0);
    struct listener *full = listener_new();
    struct listener *messages = listener_new();
    struct live_options options = options_of(rig, full, 0);
    options.with_content = true;
    (void)listen_with(rig, full, options);
    messages->wants_attempts = false;
    options = options_of(rig, messages, 0);
    options.with_content = true;
    (void)listen_with(rig, messages, options);
    int64_t id = flow_rig_send(rig, "a", "{\"n\":1}");
    RIG_UNTIL(has_got(full, 2) && has_got(plain, 2) && has_got(messages, 1));
    assert_int_equal(messages->ids[0], id);
    assert_string_equal(messages->content, "{\"n\":1}");
    assert_string_equal(plain->content, "");
    assert_true(full->ids[1] > id); /* the attempt, with what the receiver said */
    assert_string_equal(full->content, "answer");
    leave(plain);
    leave(full);
    leave(messages);
    receiver_stop(receiver);
    flow_rig_close(rig);
}

static void test_other_applications_are_not_told(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    int64_t first = rig->application_id;
    struct listener *listener = listen_after(rig, 0);
    rig->application_id = flow_rig_write(rig, rig_add_application, "other");
    struct listener *other = listen_after(rig, 0);
    int64_t id = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(has_got(other, 1));
    assert_int_equal(other->ids[0], id);
    rig->application_id = first;
    id = flow_rig_send(rig, "a", "{}");
    assert_got(listener, &id, 1);
    assert_int_equal(atomic_load(&other->count), 1);
    leave(listener);
    leave(other);
    flow_rig_close(rig);
}

static void test_no_more_than_the_limit(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct listener *listeners[LIVE_PER_APPLICATION_MAX];
    struct live_subscriber *subscriber;
    struct diag diag;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(listeners); index++) {
        listeners[index] = listen_after(rig, 0);
    }
    struct listener *more = listener_new();
    struct live_options options = options_of(rig, more, 0);
    struct live_hub *hub = flow_live(rig->flow);
    assert_int_equal(live_subscribe(hub, &options, &diag, &subscriber), PH_BUSY);
    assert_int_equal(flow_rig_metric(rig, METRIC_HTTP_STREAMS_REFUSED), 1);
    leave(listeners[0]);
    RIG_UNTIL(live_subscribe(hub, &options, &diag, &subscriber) == PH_OK);
    live_cancel(subscriber);
    RIG_UNTIL(live_subscribe(hub, &options, &diag, &subscriber) == PH_OK);
    live_cancel(subscriber);
    for (size_t index = 1; index < PH_ARRAY_LENGTH(listeners); index++) {
        leave(listeners[index]);
    }
    flow_rig_close(rig); /* the hub has taken notice of everybody */
    assert_int_equal(atomic_load(&more->departures), 0);
    free(more);
}

static void test_ends(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct listener *expiring = listener_new();
    struct live_options options = options_of(rig, expiring, 0);
    options.until_us = clock_boot_us() + 2 * CLOCK_US_PER_S;
    (void)listen_with(rig, expiring, options);
    struct listener *vanished = listen_after(rig, 0);
    struct listener *steady = listen_after(rig, 0);
    (void)flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(has_got(expiring, 1) && has_got(vanished, 1) && has_got(steady, 1));
    atomic_store(&vanished->is_gone, true);
    RIG_UNTIL(atomic_load(&expiring->expiries) == 1);
    (void)flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(has_got(steady, 2));
    assert_int_equal(atomic_load(&expiring->count), 1);
    assert_int_equal(atomic_load(&expiring->expiries), 1);
    assert_int_equal(atomic_load(&vanished->count), 1);
    assert_int_equal(atomic_load(&vanished->departures), 0); /* that is for its owner to say */
    leave(expiring);
    leave(vanished);
    leave(steady);
    flow_rig_close(rig);
}

/* Whoever reads the store loses the connection, and makes another one. */
static void test_a_lost_connection(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct listener *listener = listen_after(rig, 0);
    int64_t ids[2];
    ids[0] = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(has_got(listener, 1));
    /* The hub has opened its own last of all. */
    assert_int_equal(
        flow_rig_number(rig,
                        "SELECT count(pg_terminate_backend(pid)) FROM"
                        " (SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                        " ORDER BY backend_start DESC LIMIT 1) AS newest",
                        0),
        1);
    ids[1] = flow_rig_send(rig, "a", "{}");
    assert_got(listener, ids, 2);
    leave(listener);
    flow_rig_close(rig);
}

/* Who may not stay is told so soon, with room or without, and gets nothing more; others stay. */
static void test_who_may_not_stay_is_ended(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct listener *banned[2];
    for (size_t index = 0; index < 2; index++) {
        banned[index] = listener_new();
        struct live_options options = options_of(rig, banned[index], 0);
        options.may_stay = may_stay;
        (void)listen_with(rig, banned[index], options);
    }
    struct listener *other = listener_new();
    struct live_options options = options_of(rig, other, 0);
    options.may_stay = may_stay;
    (void)listen_with(rig, other, options);
    (void)flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(has_got(banned[0], 1) && has_got(banned[1], 1) && has_got(other, 1));
    atomic_store(&banned[0]->is_full, true);
    atomic_store(&banned[0]->is_banned, true);
    atomic_store(&banned[1]->is_banned, true);
    int64_t later = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(has_got(other, 2));
    assert_int_equal(other->ids[1], later);
    RIG_UNTIL(atomic_load(&banned[0]->expiries) == 1 && atomic_load(&banned[1]->expiries) == 1);
    atomic_store(&banned[0]->is_full, false);
    live_wake(banned[0]->subscriber);
    (void)flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(has_got(other, 3));
    for (size_t index = 0; index < 2; index++) {
        assert_int_equal(atomic_load(&banned[index]->count), 1);
        assert_int_equal(atomic_load(&banned[index]->expiries), 1);
        leave(banned[index]);
    }
    assert_int_equal(atomic_load(&other->expiries), 0);
    leave(other);
    flow_rig_close(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_each_event_once_and_in_order),
        CONTRACT_BOTH(test_a_commit_is_told),
        CONTRACT_BOTH(test_who_has_no_room_costs_nobody),
        CONTRACT_BOTH(test_those_at_the_same_place_share_a_read),
        CONTRACT_BOTH(test_contents_and_wishes),
        CONTRACT_BOTH(test_other_applications_are_not_told),
        CONTRACT_BOTH(test_no_more_than_the_limit),
        CONTRACT_BOTH(test_who_may_not_stay_is_ended),
        CONTRACT_BOTH(test_ends),
        CONTRACT_POSTGRES(test_a_lost_connection),
    };
    return cmocka_run_group_tests_name("flow_live", tests, contract_begin, contract_end);
}
