/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deliveries and manual attempts: what is due, and how an attempt changes it.
 * Thread: the store's owner.
 */
#ifndef PH_STORE_DELIVERY_H
#define PH_STORE_DELIVERY_H

#include "core/delivery_state.h"
#include "store/store.h"

#define DELIVERY_SHARDS 256

/* Shard of an endpoint: fixed when it is made (engineering rule 10). 0..255. */
int64_t delivery_shard(int64_t endpoint_id);

/* next_attempt_at of a delivery that waits for an earlier one with its order key. */
#define DELIVERY_WAITS_US INT64_MAX

struct delivery_insert_row {
    int64_t message_id;
    int64_t endpoint_id;
    int64_t shard;
    int64_t due_us;
    int64_t generation; /* of the endpoint */
    int64_t order_key;  /* 0 = in no order; of one endpoint, equal keys go one after the other */
};

/* A new pending delivery. With an order key it waits while an earlier one of the endpoint's
 * present generation is pending; whoever ends that one releases it. May run in a pipeline. */
PH_NODISCARD enum ph_error
delivery_insert(struct store *store, const struct delivery_insert_row *row, struct diag *diag);

struct delivery_outcome {
    int64_t message_id;
    int64_t endpoint_id;
    enum delivery_state state;
    int64_t next_attempt_at_us; /* used when state is pending */
    bool is_manual;             /* a manual success may also end a failed or cancelled delivery */
    bool has_attempt;           /* false: ended without one, say by a filter */
    enum delivery_reason reason;
    int64_t order_key; /* of the row, 0 = none; not looked at when is_manual */
    int64_t now_us;    /* when the next one of the order is due */
};

/* Moves a pending delivery; one that is not pending any more stays as it is (save for a manual
 * success). When it ends, the next one of its order becomes due. May run in a pipeline. */
PH_NODISCARD enum ph_error
delivery_record(struct store *store, const struct delivery_outcome *outcome, struct diag *diag);

struct due_delivery {
    int64_t message_id;
    int64_t attempts;
    int64_t next_attempt_at_us;
    int64_t generation;
    int64_t order_key; /* 0 = none */
};

/* The first `limit` pending deliveries of an endpoint by due time, those of the future too.
 * `rows` has room for `limit`. */
PH_NODISCARD enum ph_error delivery_page(struct store *store, int64_t shard, int64_t endpoint_id,
                                         struct due_delivery *rows, size_t limit, struct diag *diag,
                                         size_t *ret_count);
/* Skip scan: the next endpoint of a shard after `after_endpoint_id` that has pending work, with
 * its earliest due time. *ret_endpoint_id is 0 at the end. */
PH_NODISCARD enum ph_error delivery_next_endpoint(struct store *store, int64_t shard,
                                                  int64_t after_endpoint_id, struct diag *diag,
                                                  int64_t *ret_endpoint_id, int64_t *ret_due_us);
/* Cancels at most `limit` pending deliveries of an endpoint that are older than `generation`. */
PH_NODISCARD enum ph_error delivery_cancel_old(struct store *store, int64_t shard,
                                               int64_t endpoint_id, int64_t generation,
                                               int64_t limit, struct diag *diag,
                                               int64_t *ret_cancelled);

/* Cancels the pending deliveries of a message, and releases those that waited behind them. */
PH_NODISCARD enum ph_error delivery_cancel_message(struct store *store, int64_t message_id,
                                                   enum delivery_reason reason, int64_t now_us,
                                                   struct diag *diag, int64_t *ret_cancelled);
/* Cancels one delivery if it is pending, and releases the one that waited behind it. */
PH_NODISCARD enum ph_error delivery_cancel(struct store *store, int64_t message_id,
                                           int64_t endpoint_id, enum delivery_reason reason,
                                           int64_t now_us, struct diag *diag);
/* When a replay last made the delivery pending anew, or what its message asked for (deliverAt), 0 =
 * neither. */
PH_NODISCARD enum ph_error delivery_began_at(struct store *store, int64_t message_id,
                                             int64_t endpoint_id, struct diag *diag,
                                             int64_t *ret_began_us);

struct manual_attempt {
    int64_t id;
    int64_t message_id;
};

/* One that was asked for by hand; store/replay.h has those of tasks. */
PH_NODISCARD enum ph_error manual_attempt_insert(struct store *store, int64_t id,
                                                 int64_t message_id, int64_t endpoint_id,
                                                 struct diag *diag);
PH_NODISCARD enum ph_error manual_attempt_delete(struct store *store, int64_t id,
                                                 struct diag *diag);
/* Those of one endpoint: a disabled or deleted endpoint makes no manual attempts. */
PH_NODISCARD enum ph_error manual_attempt_delete_all(struct store *store, int64_t endpoint_id,
                                                     struct diag *diag);
/* Oldest first, after `after_id`: those of tasks (`is_replay`), or those asked for by hand. */
PH_NODISCARD enum ph_error manual_attempt_page(struct store *store, int64_t shard,
                                               int64_t endpoint_id, bool is_replay,
                                               int64_t after_id, struct manual_attempt *rows,
                                               size_t limit, struct diag *diag, size_t *ret_count);
/* The next endpoint of a shard that has manual attempts; 0 at the end. */
PH_NODISCARD enum ph_error manual_attempt_next_endpoint(struct store *store, int64_t shard,
                                                        int64_t after_endpoint_id,
                                                        struct diag *diag,
                                                        int64_t *ret_endpoint_id);

struct attempt_insert_row {
    int64_t id;
    int64_t message_id;
    int64_t endpoint_id;
    bool is_success;
    int64_t response_code;
    int64_t duration_ms;
    bool is_manual;
    int64_t next_attempt_at_us; /* 0 = none */
    struct slice url;
    struct slice response;
};

/* May run in a pipeline. */
PH_NODISCARD enum ph_error attempt_insert(struct store *store, const struct attempt_insert_row *row,
                                          struct diag *diag);

/* A place in the index of pending deliveries; zeros are its beginning. */
struct delivery_cursor {
    int64_t shard;
    int64_t endpoint_id;
    int64_t due_us;
    int64_t message_id;
};

/* Gives the next `limit` pending deliveries behind the cursor, in the order of the index, to
 * `each`; the application is 0 when its endpoint is gone. *ret_is_end when there are no more. */
PH_NODISCARD enum ph_error
delivery_walk(struct store *store, int64_t limit,
              void (*each)(void *context, int64_t application_id, int64_t due_us), void *context,
              struct diag *diag, struct delivery_cursor *cursor, bool *ret_is_end);

/*
 * Looks at the next pending deliveries of cursor->endpoint_id behind the cursor, a step's worth,
 * and cancels those of messages below `before_id`. *ret_is_end when there are no more. What was
 * released from an order by then may have come before the cursor: walk again until nothing is
 * cancelled.
 */
PH_NODISCARD enum ph_error delivery_cancel_before(struct store *store, int64_t before_id,
                                                  int64_t now_us, struct diag *diag,
                                                  struct delivery_cursor *cursor,
                                                  int64_t *ret_cancelled, bool *ret_is_end);

/* Counts for doctor: pending deliveries and the oldest due time (0 when none). */
PH_NODISCARD enum ph_error delivery_backlog(struct store *store, struct diag *diag,
                                            int64_t *ret_pending, int64_t *ret_oldest_due_us);

#endif
