/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Polled sinks of an application, and how far their named consumers have come. A position is the id
 * of a message (or any id of the writer's clock): what comes after it is not read yet. Thread: the
 * store's owner; functions that write run inside the writer's transaction.
 */
#ifndef PH_STORE_SINK_H
#define PH_STORE_SINK_H

#include "base/arena.h"
#include "store/message_list.h"
#include "store/page.h"
#include "store/store.h"

#define SINK_CONSUMERS_MAX 1000 /* of one sink */

struct sink_row {
    int64_t id;
    int64_t application_id;
    struct slice uid;         /* SLICE_NONE = none */
    struct slice event_types; /* JSON array of names, SLICE_NONE = all */
    struct slice channels;    /* likewise */
    int64_t created_at_us;
    int64_t updated_at_us;
};

/* The sink that a path names by id or uid. PH_NOT_FOUND "Entity not found"; PH_NO_MEMORY at the
 * arena's cap. */
PH_NODISCARD enum ph_error sink_find(struct store *store, int64_t application_id,
                                     struct slice id_or_uid, struct arena *arena, struct diag *diag,
                                     struct sink_row *ret_row);
/* As application_page. */
PH_NODISCARD enum ph_error sink_page(struct store *store, int64_t application_id,
                                     const struct id_page *page, struct arena *arena,
                                     struct diag *diag, struct sink_row *rows, size_t *ret_count,
                                     bool *ret_has_more);
/* Which messages the sink wants; slices into the row, arrays in `arena`. PH_NO_MEMORY. */
PH_NODISCARD enum ph_error sink_filter(const struct sink_row *row, struct arena *arena,
                                       struct diag *diag, struct message_filter *ret_filter);

/* PH_CONFLICT when a sink of the application has the uid. */
PH_NODISCARD enum ph_error sink_insert(struct store *store, const struct sink_row *row,
                                       struct diag *diag);
/* Writes uid, filters and updated_at. PH_CONFLICT as above. */
PH_NODISCARD enum ph_error sink_update(struct store *store, const struct sink_row *row,
                                       struct diag *diag);
/* With its consumers. */
PH_NODISCARD enum ph_error sink_delete(struct store *store, int64_t id, struct diag *diag);
PH_NODISCARD enum ph_error sink_delete_all(struct store *store, int64_t application_id,
                                           struct diag *diag);

struct sink_consumer {
    int64_t position;
    bool is_sought;   /* moved by a seek that it has not followed yet */
    int64_t revision; /* 0 = not stored yet */
};

/* PH_OK with revision 0 and the sink's own id as its position when it is new. */
PH_NODISCARD enum ph_error sink_consumer_find(struct store *store, int64_t sink_id,
                                              struct slice name, struct diag *diag,
                                              struct sink_consumer *ret_consumer);
/*
 * Stores where it is now. `consumer` has the revision that was read before; PH_CONFLICT when it has
 * changed since, PH_NOT_FOUND when the sink is gone, PH_BAD_REQUEST `limit_reached` for one more
 * than SINK_CONSUMERS_MAX.
 */
PH_NODISCARD enum ph_error sink_consumer_put(struct store *store, int64_t sink_id,
                                             struct slice name,
                                             const struct sink_consumer *consumer, int64_t now_us,
                                             struct diag *diag);

#endif
