/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of one message at each endpoint of its application, to say why it was delivered
 * there or not (api/explain.h draws the conclusions). Read only. Thread: the store's owner.
 */
#ifndef PH_STORE_EXPLAIN_H
#define PH_STORE_EXPLAIN_H

#include "core/delivery_state.h"
#include "store/message_list.h"

/* Of an attempt's response; the whole of it is attempt_find's. */
#define EXPLAIN_RESPONSE_BYTES 500

/* The endpoint as it is now; nothing of it is secret. */
struct explain_endpoint {
    int64_t id;
    struct slice uid; /* SLICE_NONE = none */
    struct slice url;
    int64_t throttle_rate; /* deliveries per second, 0 = none */
    bool is_disabled;
    bool is_deleted;
    struct slice event_types; /* JSON array of names, SLICE_NONE = all */
    struct slice channels;    /* JSON array of names, SLICE_NONE = all */
    struct slice options;     /* JSON object text (flow/endpoint_options.h), SLICE_NONE = none */
    int64_t created_at_us;
    int64_t updated_at_us;
    int64_t generation;
};

struct explain_delivery {
    bool exists;
    enum delivery_state state;
    enum delivery_reason reason;
    int64_t next_attempt_at_us; /* pending: DELIVERY_WAITS_US while it waits for its turn */
    int64_t attempts;           /* by its schedule */
    int64_t generation;
    int64_t order_key;    /* 0 = in no order */
    int64_t waits_for_id; /* the message whose delivery goes first, 0 = none or not waiting */
};

struct explain_attempt {
    int64_t id;            /* of the newest, 0 = none was made */
    bool is_success;       /* and the rest of it */
    int64_t response_code; /* 0 = no HTTP answer */
    bool is_manual;
    struct slice response; /* any bytes, cut to EXPLAIN_RESPONSE_BYTES; SLICE_NONE = expunged */
};

struct explain_row {
    struct explain_endpoint endpoint;
    struct explain_delivery delivery;
    int64_t attempts; /* recorded, those by hand too */
    int64_t resends;  /* attempts that were asked for (resend, recover) and not made yet */
    struct explain_attempt latest;
};

struct explain_query {
    int64_t application_id;
    int64_t message_id;
    struct id_page page; /* of endpoints */
    /* Deleted endpoints that never had to do with the message, too. */
    bool with_all_deleted;
};

/* A page of the application's endpoints in the scan's direction: the live ones, and deleted ones
 * that have a delivery or an attempt of the message. `rows` has room for page.limit. As
 * message_page otherwise. */
PH_NODISCARD enum ph_error explain_page(struct store *store, const struct explain_query *query,
                                        struct arena *arena, struct diag *diag,
                                        struct explain_row *rows, struct list_end *ret_end);

#endif
