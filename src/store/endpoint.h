/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints. Deleting one is soft and frees its uid; its attempts stay. Disable and delete grow
 * `generation`, so that no older delivery is sent (engineering rule 12). Thread: the store's
 * owner; functions that write run inside the writer's transaction.
 *
 * Whoever changes an endpoint also calls application_touch and writer_txn_endpoint_changed.
 */
#ifndef PH_STORE_ENDPOINT_H
#define PH_STORE_ENDPOINT_H

#include "base/arena.h"
#include "store/page.h"
#include "store/store.h"

struct endpoint_row {
    int64_t id;
    int64_t application_id;
    struct slice uid; /* SLICE_NONE = none */
    struct slice url; /* normalised */
    struct slice description;
    int64_t throttle_rate; /* deliveries per second, 0 = none */
    int64_t version;
    bool is_disabled;
    bool is_deleted;          /* read only */
    struct slice event_types; /* JSON array of names, SLICE_NONE = all */
    struct slice channels;    /* JSON array of names, SLICE_NONE = all */
    struct slice metadata;    /* JSON object text */
    struct slice headers;     /* JSON object text, opened when it is sealed */
    struct slice options;     /* JSON object text (flow/endpoint_options.h), SLICE_NONE = none */
    struct slice credentials; /* likewise, opened when it is sealed */
    int64_t created_at_us;
    int64_t updated_at_us;
    int64_t generation; /* read only */
};

/* The columns that endpoint_read_row wants, for other queries with a table or alias `endpoint`. */
#define ENDPOINT_ROW_COLUMNS                                                                       \
    "endpoint.id, endpoint.application_id, endpoint.uid, endpoint.url, endpoint.description,"      \
    " endpoint.throttle_rate, endpoint.version, endpoint.disabled, endpoint.deleted_at,"           \
    " endpoint.event_types, endpoint.channels, endpoint.metadata, endpoint.headers,"               \
    " endpoint.created_at, endpoint.updated_at, endpoint.generation,"                              \
    " endpoint.sealed_headers, endpoint.options, endpoint.credentials,"                            \
    " endpoint.sealed_credentials"
#define ENDPOINT_ROW_COLUMN_COUNT 20

/* Copies ENDPOINT_ROW_COLUMNS of the current row, the first at `column`, into `arena`. */
PH_NODISCARD enum ph_error endpoint_read_row(struct store *store, struct db_statement *row,
                                             int column, struct arena *arena, struct diag *diag,
                                             struct endpoint_row *ret_row);

enum endpoint_scope { ENDPOINT_LIVE, ENDPOINT_WITH_DELETED };

/* Id of the endpoint that a path names by id or uid; a deleted one by its id only, and only with
 * ENDPOINT_WITH_DELETED. PH_NOT_FOUND "Entity not found". */
PH_NODISCARD enum ph_error endpoint_resolve(struct store *store, int64_t application_id,
                                            struct slice id_or_uid, enum endpoint_scope scope,
                                            struct diag *diag, int64_t *ret_id);
/* PH_NOT_FOUND; PH_NO_MEMORY at the arena's cap. */
PH_NODISCARD enum ph_error endpoint_find(struct store *store, int64_t application_id, int64_t id,
                                         enum endpoint_scope scope, struct arena *arena,
                                         struct diag *diag, struct endpoint_row *ret_row);
/* Live endpoints; as application_page. */
PH_NODISCARD enum ph_error endpoint_page(struct store *store, int64_t application_id,
                                         const struct id_page *page, struct arena *arena,
                                         struct diag *diag, struct endpoint_row *rows,
                                         size_t *ret_count, bool *ret_has_more);

/* Sets the shard and generation 1. PH_CONFLICT when a live endpoint of the application has the
 * uid. */
PH_NODISCARD enum ph_error endpoint_insert(struct store *store, const struct endpoint_row *row,
                                           struct diag *diag);
/*
 * Writes everything but application, creation and generation. Going from enabled to disabled grows
 * the generation and drops its manual attempts; going back forgets since when it fails.
 * PH_CONFLICT as above.
 */
PH_NODISCARD enum ph_error endpoint_update(struct store *store, const struct endpoint_row *row,
                                           struct diag *diag);
/* Disables it if it is enabled (*ret_was_enabled), by the server and not by its owner: grows the
 * generation, drops its manual attempts and grows its application's config_version. */
PH_NODISCARD enum ph_error endpoint_disable(struct store *store, int64_t id, int64_t now_us,
                                            struct diag *diag, bool *ret_was_enabled);
/* Marks it deleted, grows the generation, drops its manual attempts. */
PH_NODISCARD enum ph_error endpoint_delete(struct store *store, int64_t id, int64_t now_us,
                                           struct diag *diag);
/* The live endpoint after `id` (0 = the first) in the order of ids, 0 at the end. */
PH_NODISCARD enum ph_error endpoint_next_live(struct store *store, int64_t application_id,
                                              int64_t id, struct diag *diag, int64_t *ret_id);
/* Deletes all live endpoints of an application and calls `each` for every one. */
PH_NODISCARD enum ph_error endpoint_delete_all(struct store *store, int64_t application_id,
                                               int64_t now_us,
                                               void (*each)(void *context, int64_t endpoint_id),
                                               void *context, struct diag *diag);

#endif
