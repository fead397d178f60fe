/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event types: an organisation's catalogue, addressed by name. Thread: the store's owner;
 * functions that write run inside the writer's transaction.
 */
#ifndef PH_STORE_EVENT_TYPE_H
#define PH_STORE_EVENT_TYPE_H

#include "base/arena.h"
#include "store/page.h"
#include "store/store.h"

struct event_type_row {
    int64_t id;
    struct slice org;
    struct slice name;
    struct slice description;
    bool is_archived;
    bool is_deprecated;
    bool validates_payload;
    struct slice schemas;       /* JSON object text, SLICE_NONE = none */
    struct slice feature_flags; /* JSON array of strings, SLICE_NONE = for everybody */
    struct slice group_name;    /* SLICE_NONE = none */
    int64_t created_at_us;
    int64_t updated_at_us;
};

/* A page by name: the rows between the bounds, both exclusive, SLICE_NONE = open. */
struct event_type_page {
    struct slice lower;
    struct slice upper;
    bool is_descending;
    size_t limit; /* 1..250 */
    bool with_archived;
    bool with_schemas; /* else row.schemas is SLICE_NONE */
};

/* Archived ones too. Texts are copied into `arena`. PH_NOT_FOUND; PH_NO_MEMORY at its cap. */
PH_NODISCARD enum ph_error event_type_find(struct store *store, struct slice org, struct slice name,
                                           struct arena *arena, struct diag *diag,
                                           struct event_type_row *ret_row);
/* Whether a type of this name exists and is not archived. */
PH_NODISCARD enum ph_error event_type_is_active(struct store *store, struct slice org,
                                                struct slice name, struct diag *diag,
                                                bool *ret_is_active);
/* `rows` has room for page->limit; they come in the scan's direction. */
PH_NODISCARD enum ph_error event_type_page(struct store *store, struct slice org,
                                           const struct event_type_page *page, struct arena *arena,
                                           struct diag *diag, struct event_type_row *rows,
                                           size_t *ret_count, bool *ret_has_more);

/* Names those that validate payloads and are not archived, of every organisation, `max` at most;
 * the slices are valid during the call only. */
PH_NODISCARD enum ph_error event_type_each_validating(struct store *store, size_t max,
                                                      void (*take)(void *context, struct slice org,
                                                                   struct slice name),
                                                      void *context, struct diag *diag);

/* PH_CONFLICT when the name is taken, by an archived one too. */
PH_NODISCARD enum ph_error event_type_insert(struct store *store, const struct event_type_row *row,
                                             struct diag *diag);
/* Writes everything but organisation, name and creation. */
PH_NODISCARD enum ph_error event_type_update(struct store *store, const struct event_type_row *row,
                                             struct diag *diag);
PH_NODISCARD enum ph_error event_type_delete(struct store *store, int64_t id, struct diag *diag);
#define EVENT_TYPE_ARCHIVE_MAX 256 /* at once */

/* Archives those of the organisation whose name `is_kept` does not know, `max` of them at most;
 * *ret_has_more when there may be more. */
PH_NODISCARD enum ph_error
event_type_archive_others(struct store *store, struct slice org, int64_t now_us,
                          bool (*is_kept)(void *context, struct slice name), void *context,
                          size_t max, struct diag *diag, bool *ret_has_more);

#endif
