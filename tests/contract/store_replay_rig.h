/* SPDX-License-Identifier: Apache-2.0 */
/* Messages, deliveries and attempts of one endpoint, as tasks find them. */
#ifndef TESTS_CONTRACT_STORE_REPLAY_RIG_H
#define TESTS_CONTRACT_STORE_REPLAY_RIG_H

#include "contract/contract.h"
#include "contract/store_endpoint_rig.h"

#include "store/application.h"
#include "store/delivery.h"
#include "store/message.h"
#include "store/replay.h"

#define ENDPOINT 11
#define OTHER_ENDPOINT 12
#define TASK 99

static const struct replay_range everything = {0, INT64_MAX};

static inline void add_message(struct store_rig *rig, int64_t id)
{
    struct diag diag = {0};
    const struct message_row row = {
        .id = id,
        .application_id = APPLICATION,
        .event_type = TEXT("a.b"),
        .channels = id % 2 == 0 ? TEXT("[\"x\"]") : SLICE_NONE,
        .payload_expires_at_us = LATER_US,
    };
    CONTRACT_OK(message_insert(rig->store, &row, &diag), &diag);
    CONTRACT_OK(message_insert_payload(rig->store, id, TEXT("{}"), SLICE_NONE, SLICE_NONE, &diag),
                &diag);
}

static inline void add_attempt(struct store_rig *rig, int64_t id, int64_t message_id, int64_t code)
{
    struct diag diag = {0};
    const struct attempt_insert_row row = {
        .id = id,
        .message_id = message_id,
        .endpoint_id = ENDPOINT,
        .is_success = code == 200,
        .response_code = code,
        .url = TEXT("http://h/"),
        .response = TEXT("r"),
    };
    CONTRACT_OK(attempt_insert(rig->store, &row, &diag), &diag);
}

static inline void add_ordered(struct store_rig *rig, int64_t message_id, int64_t order_key)
{
    struct diag diag = {0};
    const struct delivery_insert_row row = {
        .message_id = message_id,
        .endpoint_id = ENDPOINT,
        .shard = delivery_shard(ENDPOINT),
        .due_us = NOW_US,
        .generation = 1,
        .order_key = order_key,
    };
    CONTRACT_OK(delivery_insert(rig->store, &row, &diag), &diag);
}

static inline void add_delivery(struct store_rig *rig, int64_t message_id)
{
    add_ordered(rig, message_id, 0);
}

static inline void record_ordered(struct store_rig *rig, int64_t message_id,
                                  enum delivery_state state, int64_t order_key)
{
    struct diag diag = {0};
    const struct delivery_outcome outcome = {
        .message_id = message_id,
        .endpoint_id = ENDPOINT,
        .state = state,
        .next_attempt_at_us = LATER_US,
        .has_attempt = true,
        .order_key = order_key,
        .now_us = NOW_US,
    };
    CONTRACT_OK(delivery_record(rig->store, &outcome, &diag), &diag);
}

static inline void record(struct store_rig *rig, int64_t message_id, enum delivery_state state)
{
    record_ordered(rig, message_id, state, 0);
}

static inline void cancel(struct store_rig *rig, int64_t generation)
{
    struct diag diag = {0};
    int64_t cancelled;
    CONTRACT_OK(delivery_cancel_old(rig->store, delivery_shard(ENDPOINT), ENDPOINT, generation, 10,
                                    &diag, &cancelled),
                &diag);
}

static inline void add_application(struct store_rig *rig, int64_t id)
{
    struct diag diag = {0};
    const struct application_row row = {
        .id = id,
        .org = TEXT("org_a"),
        .name = TEXT("n"),
        .metadata = TEXT("{}"),
        .created_at_us = NOW_US,
        .updated_at_us = NOW_US,
    };
    CONTRACT_OK(application_insert(rig->store, &row, &diag), &diag);
}

#endif
