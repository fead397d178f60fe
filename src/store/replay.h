/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tasks read and write of messages, deliveries and attempts (flow/task.h): walks in the order
 * of ids, what one message was to an endpoint, and handing it over again. No query here looks at
 * more than the rows it gives, by a key or an index; tests/contract/test_store_replay.c sees to
 * that. Thread: the store's owner; functions that write run inside the writer's transaction.
 */
#ifndef PH_STORE_REPLAY_H
#define PH_STORE_REPLAY_H

#include "base/arena.h"
#include "core/delivery_state.h"
#include "store/store.h"

/* Ids of one walk: exclusive bounds. */
struct replay_range {
    int64_t after_id;
    int64_t before_id;
};

struct replay_row {
    int64_t id; /* of the walk: an attempt or a message */
    int64_t message_id;
    bool is_failed_attempt; /* walks over messages: false */
};

/* The endpoint's next attempts, oldest first, successes too. `rows` has room for `limit`. */
PH_NODISCARD enum ph_error replay_attempts(struct store *store, int64_t endpoint_id,
                                           const struct replay_range *range,
                                           struct replay_row *rows, size_t limit, struct diag *diag,
                                           size_t *ret_count);
/* The application's next messages, oldest first. */
PH_NODISCARD enum ph_error replay_messages(struct store *store, int64_t application_id,
                                           const struct replay_range *range,
                                           struct replay_row *rows, size_t limit, struct diag *diag,
                                           size_t *ret_count);

/* What a message was to an endpoint so far. */
struct replay_view {
    bool has_delivery;
    enum delivery_state state;
    enum delivery_reason reason;
    bool has_attempt;
    bool is_success;       /* of the newest attempt, as the next one */
    int64_t response_code; /* 0 = no HTTP answer */
};
PH_NODISCARD enum ph_error replay_view_find(struct store *store, int64_t message_id,
                                            int64_t endpoint_id, struct diag *diag,
                                            struct replay_view *ret_view);
/* Whether any attempt succeeded. */
PH_NODISCARD enum ph_error replay_has_success(struct store *store, int64_t message_id,
                                              int64_t endpoint_id, struct diag *diag,
                                              bool *ret_has_success);
/* The newest attempt within the range, 0 = none. */
PH_NODISCARD enum ph_error replay_last_attempt(struct store *store, int64_t message_id,
                                               int64_t endpoint_id,
                                               const struct replay_range *range, struct diag *diag,
                                               int64_t *ret_attempt_id);

struct replay_message {
    struct slice event_type;
    struct slice channels; /* JSON array of names, SLICE_NONE = none */
    struct slice tags;     /* likewise */
    int64_t order_key;     /* of its orderingKey, 0 = none */
    bool has_payload;      /* neither expired nor expunged */
};
/* Texts are copied into `arena`. PH_NOT_FOUND when retention was faster; PH_NO_MEMORY. */
PH_NODISCARD enum ph_error replay_message_find(struct store *store, int64_t message_id,
                                               int64_t now_us, struct arena *arena,
                                               struct diag *diag,
                                               struct replay_message *ret_message);

/* How an endpoint stands, to see in a transaction that what was read before it still holds. */
struct replay_endpoint {
    bool is_live; /* neither deleted nor disabled */
    int64_t generation;
    int64_t config_version; /* of its application */
};
/* PH_NOT_FOUND. */
PH_NODISCARD enum ph_error replay_endpoint_find(struct store *store, int64_t endpoint_id,
                                                struct diag *diag,
                                                struct replay_endpoint *ret_endpoint);

/* --- handing over ------------------------------------------------------------------------------
 */

/* Where one message goes. */
struct replay_target {
    int64_t message_id;
    int64_t endpoint_id;
    int64_t generation; /* of the endpoint */
    int64_t order_key;  /* as of delivery_insert; not used by attempts */
    int64_t now_us;
};

/* A manual attempt of a task, unless the message succeeded or lost its payload meanwhile: then
 * false in *ret_is_made. */
PH_NODISCARD enum ph_error replay_add_attempt(struct store *store, int64_t id, int64_t task_id,
                                              const struct replay_target *target, struct diag *diag,
                                              bool *ret_is_made);
/* A delivery, due now (or when its message asked for, or its order lets it), where there was none
 * or one that was cancelled before its first attempt. Else, or without a payload, false in
 * *ret_is_made. */
PH_NODISCARD enum ph_error replay_add_delivery(struct store *store,
                                               const struct replay_target *target,
                                               struct diag *diag, bool *ret_is_made);
/* Makes the delivery pending anew, with its whole schedule before it, or adds one where the message
 * was only sent by hand. One that is pending anyway is due now, unless it waits for its order.
 * Without a payload false in *ret_is_made. */
PH_NODISCARD enum ph_error replay_renew_delivery(struct store *store,
                                                 const struct replay_target *target,
                                                 struct diag *diag, bool *ret_is_made);
/* Whether the delivery still waits for its first attempt since it was handed over, other than for a
 * time that its message asked for. */
PH_NODISCARD enum ph_error replay_is_untried(struct store *store, int64_t message_id,
                                             int64_t endpoint_id, int64_t now_us, struct diag *diag,
                                             bool *ret_is_untried);
/* Whether the manual attempt was not made yet. */
PH_NODISCARD enum ph_error replay_is_waiting(struct store *store, int64_t manual_id,
                                             struct diag *diag, bool *ret_is_waiting);
/* What a task handed over: a delivery, or a manual attempt. */
struct replay_handed {
    int64_t message_id;
    int64_t manual_id; /* 0 = as a delivery */
};
/* Of an endpoint's pending deliveries, as many are looked at to find those of a task. */
#define REPLAY_HANDED_EXAMINED 2000
/* What a task that began at `since_us` handed over to its endpoint and nobody has tried yet, as
 * manual attempts or as deliveries; at most `limit`. There is one task of an endpoint at a time. */
PH_NODISCARD enum ph_error replay_untried_attempts(struct store *store, int64_t task_id,
                                                   int64_t endpoint_id, struct diag *diag,
                                                   struct replay_handed *rows, size_t limit,
                                                   size_t *ret_count);
PH_NODISCARD enum ph_error replay_untried_deliveries(struct store *store, int64_t since_us,
                                                     int64_t endpoint_id, struct diag *diag,
                                                     struct replay_handed *rows, size_t limit,
                                                     size_t *ret_count);
/* Forgets a task's manual attempts to an endpoint that were not made yet. */
PH_NODISCARD enum ph_error replay_forget_attempts(struct store *store, int64_t task_id,
                                                  int64_t endpoint_id, struct diag *diag);

#endif
