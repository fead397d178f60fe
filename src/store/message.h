/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages, payloads and the deliveries made with them: the write side, and reads by key.
 * Lists for the API are in message_list.h, how they end in retention.h. Thread: the store's owner.
 */
#ifndef PH_STORE_MESSAGE_H
#define PH_STORE_MESSAGE_H

#include "base/arena.h"
#include "store/store.h"

struct message_row {
    int64_t id;
    int64_t application_id;
    struct slice event_type;
    struct slice event_id; /* SLICE_NONE when the publisher gave none */
    struct slice channels; /* JSON array text, SLICE_NONE = none */
    struct slice tags;     /* likewise */
    int64_t payload_expires_at_us;
    int64_t deliver_at_us; /* not before then, 0 = at once */
    int64_t order_key;     /* of its orderingKey, as in deliveries; 0 = none. Not read back */
    struct slice auto_key; /* 16 bytes or SLICE_NONE */
};

/* Writes; inside a transaction of the writer. May run in a pipeline. */
PH_NODISCARD enum ph_error message_insert(struct store *store, const struct message_row *row,
                                          struct diag *diag);
/* `raw_body` SLICE_NONE: the payload itself is sent. `trace` as stored (core/trace.h) or
 * SLICE_NONE. With a keyring both are sealed. */
PH_NODISCARD enum ph_error message_insert_payload(struct store *store, int64_t message_id,
                                                  struct slice payload, struct slice raw_body,
                                                  struct slice trace, struct diag *diag);
/* Claims an eventId: false in *ret_is_new when a message of the application has it already. Not
 * inside a pipeline. */
PH_NODISCARD enum ph_error message_claim_event_id(struct store *store, int64_t application_id,
                                                  struct slice event_id, int64_t message_id,
                                                  struct diag *diag, bool *ret_is_new);

/* One message of an application. Texts are copied into `arena`. PH_NOT_FOUND. */
PH_NODISCARD enum ph_error message_find(struct store *store, int64_t application_id,
                                        int64_t message_id, struct arena *arena, struct diag *diag,
                                        struct message_row *ret_row);
/* Id of the message that has this eventId. PH_NOT_FOUND. */
PH_NODISCARD enum ph_error message_find_by_event_id(struct store *store, int64_t application_id,
                                                    struct slice event_id, struct diag *diag,
                                                    int64_t *ret_message_id);
/* The payload as it is shown. PH_NOT_FOUND when it expired or was expunged. `ret_payload` may be
 * NULL, to know whether it is there. Copied into `arena`; PH_NO_MEMORY past its cap. PH_SEALED when
 * it is sealed and cannot be opened. */
PH_NODISCARD enum ph_error message_payload(struct store *store, int64_t message_id,
                                           struct arena *arena, struct diag *diag,
                                           struct slice *ret_payload);
/* What is sent (the payload unless raw bytes were given), and the trace as stored (SLICE_NONE
 * without one). As message_payload. */
PH_NODISCARD enum ph_error message_sent(struct store *store, int64_t message_id,
                                        struct arena *arena, struct diag *diag,
                                        struct slice *ret_sent, struct slice *ret_trace);
/* Removes the payload and cancels what is pending: then a deliverer may hold it, and true in
 * *ret_was_pending. PH_NOT_FOUND when there was no payload. */
PH_NODISCARD enum ph_error message_expunge(struct store *store, int64_t message_id, int64_t now_us,
                                           struct diag *diag, bool *ret_was_pending);
/* Newest id in the tables that hold ids of the writer's clock, 0 in an empty store. */
PH_NODISCARD enum ph_error message_newest_id(struct store *store, struct diag *diag,
                                             int64_t *ret_id);
/* Calls `each` for the messages from `oldest_id` on that have an auto key. */
PH_NODISCARD enum ph_error message_each_auto_key(struct store *store, int64_t oldest_id,
                                                 void (*each)(void *context, struct slice key,
                                                              int64_t message_id),
                                                 void *context, struct diag *diag);

#endif
