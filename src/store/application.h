/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applications (the tenants) of organisations. Deleting one is soft and frees its uid. Thread: the
 * store's owner; functions that write run inside the writer's transaction.
 */
#ifndef PH_STORE_APPLICATION_H
#define PH_STORE_APPLICATION_H

#include "base/arena.h"
#include "store/page.h"
#include "store/store.h"

/* The organisation of tokens that name none, and of what surfaces make. */
#define DEFAULT_ORGANISATION "org_23rb8YdGqMT0qIzpgGwdXfHirMu"

struct application_row {
    int64_t id;
    struct slice org;
    struct slice uid; /* SLICE_NONE = none */
    struct slice name;
    int64_t throttle_rate; /* deliveries per second, 0 = none */
    struct slice metadata; /* JSON object text */
    int64_t created_at_us;
    int64_t updated_at_us;
};

/* Live applications only; texts are copied into `arena`. PH_NOT_FOUND; PH_NO_MEMORY at its cap. */
PH_NODISCARD enum ph_error application_find(struct store *store, struct slice org, int64_t id,
                                            struct arena *arena, struct diag *diag,
                                            struct application_row *ret_row);
/* Id of the live application that a path names by id or uid. PH_NOT_FOUND "Entity not found". */
PH_NODISCARD enum ph_error application_resolve(struct store *store, struct slice org,
                                               struct slice id_or_uid, struct diag *diag,
                                               int64_t *ret_id);
/* Live applications of `org`. `rows` has room for page->limit; they come in the scan's direction.
 * *ret_has_more tells whether another row follows in that direction. */
PH_NODISCARD enum ph_error application_page(struct store *store, struct slice org,
                                            const struct id_page *page, struct arena *arena,
                                            struct diag *diag, struct application_row *rows,
                                            size_t *ret_count, bool *ret_has_more);

/* PH_CONFLICT when a live application of the organisation has the uid. */
PH_NODISCARD enum ph_error application_insert(struct store *store,
                                              const struct application_row *row, struct diag *diag);
/* Writes name, uid, throttle_rate, metadata, updated_at and grows config_version. PH_CONFLICT as
 * above. */
PH_NODISCARD enum ph_error application_update(struct store *store,
                                              const struct application_row *row, struct diag *diag);
/* Marks it deleted and grows config_version. Its endpoints are the caller's (endpoint.h). */
PH_NODISCARD enum ph_error application_delete(struct store *store, int64_t id, int64_t now_us,
                                              struct diag *diag);
/* Grows config_version: ingest reads the endpoints anew. With every change of an endpoint or a
 * secret, in the same transaction. */
PH_NODISCARD enum ph_error application_touch(struct store *store, int64_t id, struct diag *diag);

#endif
