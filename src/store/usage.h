/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting what was sent, for statistics (svix-api spec sections 7, 12). Read only. Thread: the
 * store's owner.
 */
#ifndef PH_STORE_USAGE_H
#define PH_STORE_USAGE_H

#include "store/replay.h"

/* The newest attempts of an endpoint within the range, from the index alone, `limit` at most. */
struct usage_attempts {
    int64_t success;
    int64_t fail;
    bool is_cut; /* the limit was reached: there may be more */
};
PH_NODISCARD enum ph_error usage_count_attempts(struct store *store, int64_t endpoint_id,
                                                const struct replay_range *range, int64_t limit,
                                                struct diag *diag,
                                                struct usage_attempts *ret_attempts);
/* Pending deliveries of an endpoint of messages within the range; walks those that are pending,
 * `limit` at most. */
struct usage_pending {
    int64_t untried;
    int64_t tried;
    bool is_cut;
};
PH_NODISCARD enum ph_error usage_count_pending(struct store *store, int64_t endpoint_id,
                                               const struct replay_range *range, int64_t limit,
                                               struct diag *diag,
                                               struct usage_pending *ret_pending);

/* The application's next `limit` messages in the range, with what hangs on them. */
struct usage_messages {
    int64_t messages;
    int64_t deliveries;
    int64_t attempts;
    int64_t last_id; /* of these messages, 0 = none */
};
PH_NODISCARD enum ph_error usage_count_messages(struct store *store, int64_t application_id,
                                                const struct replay_range *range, int64_t limit,
                                                struct diag *diag,
                                                struct usage_messages *ret_messages);
/* The live application of `org` after `after_id` (0 = the first), 0 at the end. */
PH_NODISCARD enum ph_error usage_next_application(struct store *store, struct slice org,
                                                  int64_t after_id, struct diag *diag,
                                                  int64_t *ret_id);
/* Calls `each` with the event types (JSON array of names, SLICE_NONE = all) that each endpoint of
 * the application asks for, disabled ones too, until it gives false. */
PH_NODISCARD enum ph_error usage_each_subscription(struct store *store, int64_t application_id,
                                                   bool (*each)(void *context,
                                                                struct slice event_types),
                                                   void *context, struct diag *diag);

#endif
