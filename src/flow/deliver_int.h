/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the deliverer share: deliver.c (thread, inbox, loop), fair.c (whose turn it
 * is), lane.c (one endpoint's window, paging, timers), health.c (breaker, adaptive limit),
 * attempt.c (send, judge) and render.c (body, headers, signature).
 *
 * A lane is what the deliverer knows of one endpoint:
 *
 *      idle ──fresh item, due time──► ready ──pump──► waiting for answers ──recorded──► idle
 *                                       ▲                   │
 *                                       └── throttle, cap ──┘
 */
#ifndef PH_FLOW_DELIVER_INT_H
#define PH_FLOW_DELIVER_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "core/breaker.h"
#include "core/concurrency.h"
#include "core/throttle.h"
#include "flow/application_throttle.h"
#include "flow/deliver.h"
#include "flow/hold.h"
#include "flow/trial.h"
#include "jq/event.h"
#include "jq/pool.h"
#include "sinks/http.h"

/* Attempts in flight of one deliverer; also its open sockets. */
#define DELIVER_IN_FLIGHT_MAX 1024
/* Attempts in flight or finished and not yet committed. */
#define DELIVER_UNRECORDED_MAX 8192
/* Fresh deliveries waiting in the inbox; above it the deliverer re-reads the store. */
#define DELIVER_INBOX_MAX 32768
/* Lanes that are kept though idle, and for how long. */
#define DELIVER_IDLE_LANES_MAX 10000
#define DELIVER_IDLE_LANE_US INT64_C(60000000)
#define LANE_NEVER INT64_MAX

enum inbox_type {
    INBOX_FRESH,
    INBOX_CONFIG,
    INBOX_EXPUNGED,
    INBOX_MANUAL,
    INBOX_DUE,
    INBOX_REPLAYED,
    INBOX_CANCELLED,
    INBOX_SETTINGS,
    INBOX_PREPARED,
    INBOX_TRIAL,
    INBOX_RECORDED
};

struct inbox_entry {
    struct list_node node;
    enum inbox_type type;
};

/* An inbox entry without a delivery. */
struct inbox_notice {
    struct inbox_entry entry;
    struct endpoint_config *config;       /* INBOX_CONFIG, INBOX_DUE */
    const struct flow_settings *settings; /* INBOX_SETTINGS */
    int64_t id;                           /* message or endpoint */
    int64_t due_us;                       /* INBOX_DUE */
    struct trial *trial;                  /* INBOX_TRIAL */
};

/* Content-Type, Content-Encoding, two sets of signature headers and one more, trace,
 * Authorization. */
#define ITEM_HEADERS_FIXED 12

/* A delivery in memory: in the inbox, in a lane's window, in flight, or being recorded. */
struct item {
    struct inbox_entry entry;
    struct list_node in_window;
    struct lane *lane;
    int64_t message_id;
    int64_t manual_id;  /* not 0: a manual attempt */
    bool is_replay;     /* a manual attempt that a task asked for, not somebody by hand */
    bool is_overdue;    /* older than its schedule behind an open breaker: fails unsent */
    bool is_unreadable; /* the payload is there, sealed, and cannot be opened: likewise */
    int64_t attempts;   /* made before this one */
    int64_t generation;
    int64_t order_key; /* 0 = in no order */
    int64_t accepted_us;
    struct message_body *body;      /* NULL: the payload is gone or unreadable */
    struct endpoint_config *config; /* of the inbox entry, then of the attempt */
    struct attempt *attempt;        /* from its start to its record; NULL before */
    struct trial *trial;            /* not NULL: in no store, with a manual_id below 0 (trial.h) */
};

/* How far an attempt has come before it is sent. */
enum attempt_stage {
    ATTEMPT_STAGE_NEW,
    ATTEMPT_STAGE_FILTERED,    /* the filter said yes, or there is none */
    ATTEMPT_STAGE_TRANSFORMED, /* likewise */
};

/* What the `user` of a request to the sink points to: an attempt or a token. */
struct sent {
    bool is_token;
};

/* One attempt: what is sent, and the record of it. */
struct attempt {
    struct sent sent;
    struct item *item;
    struct record_job record;
    enum attempt_stage stage;
    bool is_unsent; /* failed before anything went out: says nothing about the receiver */
    char id_text[ID_TEXT_MAX];
    char timestamp_text[24];
    char trace_parent[TRACE_PARENT_TEXT_MAX];
    struct sink_header *headers;
    struct buf signature;
    struct buf own_signature;  /* hmac */
    struct buf authorization;  /* value of the header, empty = none */
    struct message_body *body; /* what is sent instead of the item's, NULL = the item's */
    char *response;            /* copy for the record */

    /* Of the endpoint's programs. */
    enum jq_outcome outcome; /* set by the pool's thread, read after INBOX_PREPARED */
    char *words;
    char *output;
    size_t output_len;
    struct arena arena; /* of `transformed` */
    bool is_transformed;
    struct jq_transformed transformed;
    char *url;           /* of the transform, NULL = the endpoint's */
    struct slice method; /* the transform's or the endpoint's */

    struct list_node in_token; /* of the lane's token, while it waits for one */
};

/* Stands for the application of lanes whose configuration is not read yet. */
#define TENANT_UNKNOWN 1

/* An application's share of a deliverer. */
struct tenant {
    int64_t application_id;
    size_t lanes;
    size_t in_flight;
    int64_t deficit;           /* cost units, see fair.c */
    struct list_node ready;    /* lanes */
    struct list_node in_ready; /* of the deliverer's ready or held; alone without ready lanes */
};

struct token;

/* Manual attempts of one sort: those in memory, and where the store is read on. */
struct lane_queue {
    struct list_node items;
    size_t count;
    bool more; /* there may be some behind `cursor` */
    int64_t cursor;
};

struct lane {
    int64_t endpoint_id;
    struct tenant *tenant;
    int64_t deficit;
    struct breaker breaker;
    struct concurrency concurrency;
    int64_t shard;
    struct endpoint_config *config; /* NULL until first needed */
    struct map items;               /* by message id, manual ones by manual id */
    struct list_node window;        /* ready to send */
    struct lane_queue manual;       /* asked for by hand: sent first, past the breaker */
    struct lane_queue replays;      /* asked for by tasks: take turns with the window */
    bool was_replay;                /* the last turn of the two was a replay's */
    size_t window_count;
    size_t in_flight;
    bool more_in_store;  /* due deliveries that are not in memory */
    int64_t next_due_us; /* wall clock, of the earliest retry in the store; LANE_NEVER */
    int64_t failing_since_us;
    bool is_disabling;       /* an attempt has decided so; the new configuration is on its way */
    int64_t not_before_us;   /* boot clock; after a page without progress, or a failing store */
    int64_t idle_since_us;   /* boot clock, while on the idle list */
    int64_t cancel_asked_us; /* boot clock, last time that old deliveries were to be cancelled */
    struct token *token;     /* OAuth2; NULL until the first is needed */
    struct throttle throttle;
    struct application_throttle *application_throttle; /* NULL = no limit */
    int64_t reserved_us;       /* boot clock, of a reservation in it; 0 = none */
    enum hold_kind hold;       /* as shown to others */
    int64_t hold_until_us;     /* boot clock, likewise */
    struct list_node in_ready; /* of its tenant's ready, or alone */
    struct list_node in_idle;
    struct heap_node timer; /* boot clock */
};

struct deliverer {
    /* The inbox, under `lock`. */
    pthread_mutex_t lock;
    pthread_cond_t is_quiet_changed;
    struct list_node inbox;
    size_t inbox_fresh;
    size_t inbox_bytes;
    bool inbox_overflowed;
    bool needs_wake;
    bool is_quiet; /* after draining: nothing is sent or recorded any more */

    atomic_bool is_draining;
    atomic_bool must_quiesce; /* the time to drain is over */
    atomic_bool is_sleeping;
    int wake_fd;
    int epoll_fd;
    pthread_t thread;
    bool is_started; /* the main thread's */

    /* The deliverer thread's own. */
    struct deliverer_options options;
    const struct flow_settings *settings; /* a reference, exchanged by INBOX_SETTINGS */
    struct store *store;
    struct sink_http *sink;
    struct map lanes;
    struct map tenants;
    struct list_node ready; /* tenants */
    struct list_node held;  /* tenants with too many attempts in flight */
    struct list_node idle;
    struct heap timers;
    size_t idle_count;
    int64_t wall_offset_us; /* wall clock minus boot clock */
    size_t in_flight;
    size_t unrecorded; /* in flight ones too */
    size_t window_count;
    size_t window_bytes;
    int64_t trial_count;
    int64_t shown[5];          /* what this deliverer added to the gauges */
    struct due_delivery *page; /* scratch */
    size_t page_capacity;
};

/* --- deliver.c ----------------------------------------------------------------------------------
 */

/* Frees the item and what it holds; it must be in no list and no map. */
void item_free(struct item *item);
/* Whether an attempt may begin now. */
bool deliverer_may_send(const struct deliverer *deliverer);
/* The item's attempt is over and needs no record (shutdown), or its record is committed. */
void deliverer_forget(struct deliverer *deliverer, struct item *item);

/* --- lane.c -------------------------------------------------------------------------------------
 */

/* Finds or opens; never NULL. `config` may be NULL (it is read when needed). */
struct lane *lane_open(struct deliverer *deliverer, int64_t endpoint_id,
                       struct endpoint_config *config);
/* Frees the lane and its items that are not in flight; for shutdown all items. */
void lane_free(struct deliverer *deliverer, struct lane *lane);
/* Reads the configuration when the lane was opened without one. False when it cannot be had now;
 * the lane is tried again a little later. */
bool lane_ensure_config(struct deliverer *deliverer, struct lane *lane);
/* Takes a fresh item into the window, or drops it because the store has it anyway. */
void lane_take_fresh(struct deliverer *deliverer, struct lane *lane, struct item *item);
/* A newer configuration; takes the reference. */
void lane_set_config(struct deliverer *deliverer, struct lane *lane,
                     struct endpoint_config *config);
/* The store has changed beside the deliverer: it has more that is due, or part of what waits here
 * was cancelled there; what is in flight ends as ever. */
void lane_look_again(struct deliverer *deliverer, struct lane *lane, bool is_cancelled);
/* Drops a message's items that are not in flight. */
void lane_drop_message(struct deliverer *deliverer, struct lane *lane, int64_t message_id);
/* The earliest stored due time became `due_us` (wall clock). */
void lane_due_at(struct lane *lane, int64_t due_us);
/* An item that was taken and neither sent nor recorded: it comes back from the store, a second
 * later. */
void lane_read_again(struct lane *lane, const struct item *item);
/* Puts the lane on the ready list, the timer heap or the idle list, as its state says. */
void lane_settle(struct deliverer *deliverer, struct lane *lane);
/* The next item to send, off the window; NULL when the lane must wait (lane_settle knows why).
 * Pages from the store when the window runs low. */
struct item *lane_next(struct deliverer *deliverer, struct lane *lane);
/* The wall clock was set: due times are looked at again, by `step_us`. */
void lanes_clock_stepped(struct deliverer *deliverer, int64_t step_us);
/* Timers that are due. */
void lanes_run_timers(struct deliverer *deliverer, int64_t now_boot_us);
/* Frees lanes that were idle for long, or are too many. */
void lanes_sweep_idle(struct deliverer *deliverer, int64_t now_boot_us);
/* After new settings: each lane is judged by them. */
void lanes_follow_settings(struct deliverer *deliverer);
/* Opens a lane for every endpoint of this deliverer's shards that has work in the store. */
PH_NODISCARD enum ph_error lanes_scan_store(struct deliverer *deliverer, struct diag *diag);

/* --- fair.c -------------------------------------------------------------------------------------
 */

void tenant_join(struct deliverer *deliverer, struct lane *lane, int64_t application_id);
/* NULL as tenant is fine. */
void tenant_leave(struct deliverer *deliverer, struct lane *lane);
/* Whether the lane wants a turn. */
void fair_set_ready(struct deliverer *deliverer, struct lane *lane, bool is_ready);
/* The lane whose turn it is, still ready; NULL when nobody may send now. */
struct lane *fair_next(struct deliverer *deliverer);
void fair_charge(struct lane *lane, const struct item *item);
/* An attempt of the lane begins, and ends. */
void fair_started(struct deliverer *deliverer, struct lane *lane);
void fair_ended(struct deliverer *deliverer, struct lane *lane);

/* --- health.c -----------------------------------------------------------------------------------
 */

/* As if nothing were known: a new lane, another url. */
void health_reset(struct deliverer *deliverer, struct lane *lane);
/* The most attempts that the endpoint gets at the same time: its own limit or the server's. */
unsigned health_max(const struct deliverer *deliverer, const struct lane *lane);
/* Attempts that it gets at the same time now: 1..health_max. */
unsigned health_cap(const struct deliverer *deliverer, const struct lane *lane);
/* Boot time from which an item that the breaker holds back fails unsent: it has outlived its whole
 * schedule and the longest time that a breaker stays open, so that short schedules meet a probe
 * first. LANE_NEVER while the breaker is closed. */
int64_t health_overdue_at(const struct deliverer *deliverer, const struct lane *lane,
                          const struct item *item, int64_t now_boot_us);
/* From the first attempt of a delivery to its last retry. */
int64_t health_schedule_us(const struct deliverer *deliverer, const struct lane *lane);
/* An attempt has ended, and no longer counts in lane->in_flight. */
void health_report(struct deliverer *deliverer, struct lane *lane, const struct sink_result *result,
                   bool counts_for_breaker);

/* Shows others (hold.h) what holds the lane's due deliveries back, until when (boot time, INT64_MAX
 * = not known). Cheap when it is what is shown already. */
void health_show_hold(struct deliverer *deliverer, struct lane *lane, enum hold_kind kind,
                      int64_t until_boot_us);

/* --- attempt.c ----------------------------------------------------------------------------------
 */

/* Prepares, renders, signs and sends; the result comes to attempt_result. */
void attempt_start(struct deliverer *deliverer, struct item *item);
void attempt_result(void *deliverer, const struct sink_result *result);
/* What is sent is complete. */
void attempt_send(struct deliverer *deliverer, struct item *item);
/* It ends before anything was sent, as a failed attempt with these words. */
void attempt_fail_unsent(struct deliverer *deliverer, struct item *item, const char *words);
/* It is given up without a record, and made again from the store a second later. */
void attempt_put_off(struct deliverer *deliverer, struct item *item);
/* The endpoint's program does not want it: the delivery ends without an attempt. */
void attempt_drop(struct deliverer *deliverer, struct item *item);

/* --- prepare.c ----------------------------------------------------------------------------------
 */

/* The next step before sending: filter, transform, token, then attempt_send. */
void prepare(struct deliverer *deliverer, struct item *item);
/* INBOX_PREPARED: a program has ended. */
void prepare_result(struct deliverer *deliverer, struct item *item);

/* --- trial.c ------------------------------------------------------------------------------------
 */

/* INBOX_TRIAL. */
void trial_start(struct deliverer *deliverer, struct trial *trial);
/* The end of its attempt: answers, and frees the item. */
void trial_result(struct deliverer *deliverer, struct item *item, const struct sink_result *result);
/* It ends unsent, without an item. */
void trial_refuse(struct trial *trial, const char *words);

/* --- token.c ------------------------------------------------------------------------------------
 */

/* True when the lane has a token that is valid now. Else one is asked for, and the attempt goes on
 * (attempt_send) or fails when the answer is there. */
bool token_is_ready(struct deliverer *deliverer, struct item *item);
struct slice token_text(const struct lane *lane);
/* `sent` is the token's. */
void token_result(struct deliverer *deliverer, struct sent *sent, const struct sink_result *result);
/* The token is no good: credentials changed, or the receiver refused it. NULL is fine. */
void token_forget(struct token *token);
void token_free(struct token *token); /* NULL is fine */

/* --- render.c -----------------------------------------------------------------------------------
 */

/* Puts body and headers into the request, signed with the keys that are valid now. The request
 * points into the attempt. An error says why it cannot be sent. */
PH_NODISCARD enum ph_error render(struct deliverer *deliverer, struct attempt *attempt,
                                  struct sink_request *request, struct diag *diag);

#endif
