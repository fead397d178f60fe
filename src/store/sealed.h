/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Columns that may be sealed. Each has a twin whose name begins with `sealed_`: with a keyring the
 * value goes there and the column itself is left empty; rows of both kinds stand side by side.
 * Thread: the store's owner.
 */
#ifndef PH_STORE_SEALED_H
#define PH_STORE_SEALED_H

#include "core/seal.h"
#include "store/store.h"

/* Sealed values are short but for payloads, custom headers and kept answers. */
#define SEALED_BYTES_MAX ((size_t)128 * 1024 * 1024)

/* What a value is bound to. A secret stays with its endpoint and headers with their application, so
 * that nobody who can write the store moves them to where they may be read. */
struct seal_place sealed_secret_place(int64_t id, int64_t endpoint_id);
struct seal_place sealed_headers_place(int64_t endpoint_id, int64_t application_id);
struct seal_place sealed_credentials_place(int64_t endpoint_id, int64_t application_id);
struct seal_place sealed_key_place(int64_t integration_id, int64_t application_id);
struct seal_place sealed_response_place(int64_t hour, struct slice key_hash);
/* A payload stays with its message. */
struct seal_place sealed_body_place(int64_t message_id);
struct seal_place sealed_raw_body_place(int64_t message_id);

/*
 * Before a write: with a keyring, appends the sealed value to `sealed` and replaces *value by
 * `empty`. Without one, or for a value that is `empty` already, nothing changes. Bind *value, and
 * sealed_twin for the twin.
 */
PH_NODISCARD enum ph_error sealed_make(struct store *store, const struct seal_place *place,
                                       struct slice empty, struct slice *value, struct buf *sealed,
                                       struct diag *diag);
/* NULL for the database when nothing was sealed. */
static inline struct slice sealed_twin(const struct buf *sealed)
{
    return sealed->len > 0 ? buf_slice(sealed) : SLICE_NONE;
}

/* After a read: when `twin` is not NULL, opens it into `opened`, which *value points into then.
 * PH_SEALED when it cannot be opened, now and later. */
PH_NODISCARD enum ph_error sealed_read(struct store *store, const struct seal_place *place,
                                       struct slice twin, struct slice *value,
                                       struct secret *opened, struct diag *diag);

#endif
