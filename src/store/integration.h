/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integrations of applications and their keys. A key is found by its hash (HMAC-SHA256 under the
 * store's own key) and kept as a value that may be sealed. Thread: the store's owner; functions
 * that write run inside the writer's transaction.
 */
#ifndef PH_STORE_INTEGRATION_H
#define PH_STORE_INTEGRATION_H

#include "base/arena.h"
#include "base/secret.h"
#include "store/page.h"
#include "store/store.h"

struct integration_row {
    int64_t id;
    int64_t application_id;
    struct slice name;
    struct slice feature_flags; /* JSON array of strings, SLICE_NONE = none */
    int64_t created_at_us;
    int64_t updated_at_us;
};

/* PH_NOT_FOUND "Entity not found"; PH_NO_MEMORY at the arena's cap. */
PH_NODISCARD enum ph_error integration_find(struct store *store, int64_t application_id, int64_t id,
                                            struct arena *arena, struct diag *diag,
                                            struct integration_row *ret_row);
/* As application_page. */
PH_NODISCARD enum ph_error integration_page(struct store *store, int64_t application_id,
                                            const struct id_page *page, struct arena *arena,
                                            struct diag *diag, struct integration_row *rows,
                                            size_t *ret_count, bool *ret_has_more);
/* The key's text. PH_NOT_FOUND; PH_STORE when it cannot be opened. */
PH_NODISCARD enum ph_error integration_key(struct store *store, const struct integration_row *row,
                                           struct diag *diag, struct secret *ret_key);

PH_NODISCARD enum ph_error integration_insert(struct store *store,
                                              const struct integration_row *row, struct slice key,
                                              struct diag *diag);
/* Writes name, feature flags and updated_at. */
PH_NODISCARD enum ph_error integration_update(struct store *store,
                                              const struct integration_row *row, struct diag *diag);
/* The former key ends at once. */
PH_NODISCARD enum ph_error integration_set_key(struct store *store,
                                               const struct integration_row *row, struct slice key,
                                               struct diag *diag);
PH_NODISCARD enum ph_error integration_delete(struct store *store, int64_t id, struct diag *diag);
PH_NODISCARD enum ph_error integration_delete_all(struct store *store, int64_t application_id,
                                                  struct diag *diag);

/* Whom a key stands for. */
struct integration_holder {
    int64_t application_id;
    struct slice org;
    struct slice feature_flags; /* as in the row */
};

/* PH_NOT_FOUND when no integration of a live application has the key. */
PH_NODISCARD enum ph_error integration_find_holder(struct store *store, struct slice key,
                                                   struct arena *arena, struct diag *diag,
                                                   struct integration_holder *ret_holder);

#endif
