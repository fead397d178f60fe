/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attempts, and what became of messages and endpoints, as the API lists them (svix-api spec
 * section 10). Pages examine at most LIST_EXAMINED_MAX rows (message_list.h). Read only, but for
 * attempt_expunge. Thread: the store's owner.
 */
#ifndef PH_STORE_ATTEMPT_LIST_H
#define PH_STORE_ATTEMPT_LIST_H

#include "core/delivery_state.h"
#include "store/endpoint.h"
#include "store/message_list.h"

/* As stored in attempt.status. */
#define ATTEMPT_SUCCESS 0
#define ATTEMPT_FAIL 2
#define ATTEMPT_ANY_STATUS (-1)
#define ATTEMPT_ANY_CLASS (-1)

struct attempt_row {
    int64_t id;
    int64_t message_id;
    int64_t endpoint_id;
    int64_t status;        /* ATTEMPT_SUCCESS or ATTEMPT_FAIL */
    int64_t response_code; /* 0 = no HTTP answer */
    int64_t duration_ms;
    bool is_manual;
    struct slice url;
    struct slice response;      /* any bytes; SLICE_NONE: not wanted, or expunged */
    struct message_row message; /* id 0: not wanted */
};

struct attempt_filter {
    int64_t endpoint_id; /* at least one of the two is not 0 */
    int64_t message_id;
    int64_t status;                /* or ATTEMPT_ANY_STATUS */
    int64_t code_class;            /* 0 (codes 0-99), 100, 200 … or ATTEMPT_ANY_CLASS */
    struct message_filter message; /* of the attempt's message */
};

struct attempt_query {
    int64_t application_id;
    struct attempt_filter filter;
    struct id_page page;
    bool with_response; /* what is read beside the attempt itself */
    bool with_message;
};

/* A page of attempts; as message_page. */
PH_NODISCARD enum ph_error attempt_page(struct store *store, const struct attempt_query *query,
                                        struct arena *arena, struct diag *diag,
                                        struct attempt_row *rows, struct list_end *ret_end);
/* One attempt of a message. PH_NOT_FOUND. */
PH_NODISCARD enum ph_error attempt_find(struct store *store, int64_t message_id, int64_t attempt_id,
                                        struct arena *arena, struct diag *diag,
                                        struct attempt_row *ret_row);
/* Its response alone, copied into `arena`. It is left as it is when it was expunged, or when there
 * is no such attempt. */
PH_NODISCARD enum ph_error attempt_response(struct store *store, int64_t attempt_id,
                                            struct arena *arena, struct diag *diag,
                                            struct slice *ret_response);
/* Forgets the response; in the writer's transaction. PH_NOT_FOUND when the message has no such
 * attempt; doing it twice is no error. */
PH_NODISCARD enum ph_error attempt_expunge(struct store *store, int64_t message_id,
                                           int64_t attempt_id, struct diag *diag);

/* How a message stands with an endpoint: its delivery, and the newest attempt. */
struct delivery_view {
    bool has_delivery; /* false: only sent by hand, the endpoint did not want it */
    enum delivery_state state;
    int64_t next_attempt_at_us; /* 0 = none */
    int64_t latest_status;      /* of the newest attempt, ATTEMPT_ANY_STATUS = none yet */
};

/*
 * MessageStatus of the API. An attempt is a success or a failure. Whether a message is still on its
 * way to an endpoint is said by its delivery:
 *
 *   delivery     tried before   shown as
 *   none         yes            the newest attempt (it was only sent by hand)
 *   succeeded    -              success
 *   failed       -              fail
 *   pending      yes            sending, with the time of the next attempt
 *   pending      no             pending, likewise
 *   cancelled    no             canceled
 *   cancelled    yes            fail, or canceled for clients that know it (expanded_statuses)
 */
enum attempt_status {
    ATTEMPT_STATUS_SUCCESS = 0,
    ATTEMPT_STATUS_PENDING = 1,
    ATTEMPT_STATUS_FAIL = 2,
    ATTEMPT_STATUS_SENDING = 3,
    ATTEMPT_STATUS_CANCELED = 4,
    ATTEMPT_STATUS_COUNT
};
enum attempt_status attempt_status_of(const struct delivery_view *view, bool is_expanded);

struct attempted_message {
    struct message_item message;
    struct delivery_view view;
};

/* Decides whether a message with this view is wanted. */
typedef bool delivery_view_wanted(const void *context, const struct delivery_view *view);

struct attempted_query {
    struct message_query messages;
    int64_t endpoint_id;
    delivery_view_wanted *is_wanted; /* NULL = all */
    const void *context;
};

/*
 * Messages with at least one attempt to the endpoint, by message id. Walks the application's
 * messages, so a page of an endpoint that gets few of them may come back short of its limit.
 * As message_page otherwise.
 */
PH_NODISCARD enum ph_error attempted_message_page(struct store *store,
                                                  const struct attempted_query *query,
                                                  struct arena *arena, struct diag *diag,
                                                  struct attempted_message *rows,
                                                  struct list_end *ret_end);

struct attempted_endpoint {
    struct endpoint_row endpoint;
    struct delivery_view view;
};

/* Endpoints that have a delivery or an attempt of the message, deleted ones too, by endpoint id. */
PH_NODISCARD enum ph_error attempted_endpoint_page(struct store *store, int64_t message_id,
                                                   const struct id_page *page, struct arena *arena,
                                                   struct diag *diag,
                                                   struct attempted_endpoint *rows,
                                                   struct list_end *ret_end);

#endif
