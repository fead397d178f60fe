/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live: what happens in an application goes, as soon as it is committed, to those who follow it.
 *
 * The store is the truth here too. A subscriber is a position in the application's events
 * (store/event_list.h): the hub reads on from there, page by page, and hands each event out once
 * and in order. The writer only tells which applications have something new. So catching up with
 * the past, following the present and falling behind are one and the same; nothing is queued but in
 * the subscriber's own bounded buffer, and whoever does not read is not read for. Subscribers at
 * the same place, which all that have caught up are, share one read.
 *
 * Concurrency: one thread with a store of its own. `lock` guards the table of applications, the
 * subscribers on their way in, and the wake-up; the rest is the hub's thread's. The writer takes
 * the lock only while there are subscribers.
 */
#ifndef PH_FLOW_LIVE_H
#define PH_FLOW_LIVE_H

#include "base/buf.h"
#include "flow/flow.h"
#include "store/event_list.h"

#define LIVE_PER_APPLICATION_MAX 64 /* subscribers */

struct live_hub;
struct live_subscriber;

/* An event as it is put into words. */
struct live_event {
    const struct event_row *row;
    const struct id_codec *codec;
    bool with_content;
    struct slice content; /* with_content; SLICE_NONE = it is gone */
};

/* All functions are called by the hub's thread. */
struct live_options {
    int64_t application_id;
    int64_t after_id; /* events above it are given */
    bool with_content;
    int64_t until_us; /* boot clock; it ends then */
    /* The same function for all subscribers: they share its text. */
    void (*format)(const struct live_event *event, struct buf *text);
    bool (*wants)(void *context, const struct event_row *row);
    /* Whether it may still follow, as `store` says now; false ends it like the end of its time.
     * Asked before each page and every second at least, so it should remember. NULL = it may. */
    enum ph_error (*may_stay)(void *context, struct store *store, struct diag *diag, bool *ret_may);
    /* Whether more should be given. When there is room again live_wake tells the hub. */
    bool (*has_room)(void *context);
    /* False when it leads nowhere any more. */
    bool (*give)(void *context, struct slice text);
    /* Its time is over, or it may not stay: nothing is given any more; everything up to `position`
     * was. */
    void (*expire)(void *context, int64_t position);
    /* The last call, some time after live_leave. */
    void (*left)(void *context);
    void *context;
};

PH_NODISCARD enum ph_error live_hub_start(const struct flow_options *options, struct diag *diag,
                                          struct live_hub **ret_hub);
/* After the writer has ended and everybody has left. NULL is fine. */
void live_hub_stop(struct live_hub *hub);

/* --- subscribers, any thread ------------------------------------------------------------------ */

/* PH_BUSY when the application has too many. Nothing is called before live_begin. */
PH_NODISCARD enum ph_error live_subscribe(struct live_hub *hub, const struct live_options *options,
                                          struct diag *diag,
                                          struct live_subscriber **ret_subscriber);
void live_begin(struct live_subscriber *subscriber);
/* In place of live_begin: `left` is not called. */
void live_cancel(struct live_subscriber *subscriber);
void live_wake(struct live_subscriber *subscriber);
/* Gives the subscriber up. */
void live_leave(struct live_subscriber *subscriber);

/* --- the writer thread, after a commit -------------------------------------------------------- */

/* False when nobody listens, which costs nothing; else any number of live_announce and then
 * live_announce_end must follow. NULL is nobody. */
bool live_announce_begin(struct live_hub *hub);
void live_announce(struct live_hub *hub, int64_t application_id);
void live_announce_end(struct live_hub *hub);

#endif
