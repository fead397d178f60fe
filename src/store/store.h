/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the core's store: connection, schema and what all its queries share.
 * One `struct store` per thread that uses the database.
 */
#ifndef PH_STORE_STORE_H
#define PH_STORE_STORE_H

#include "core/id.h"
#include "db/db.h"

struct keyring;

struct store {
    struct db *db;
    struct id_codec codec; /* key of the ids' tails, read from the store */
    /* Set after opening by whoever needs secrets; shared, not owned. NULL: they are in plain. */
    struct keyring *keyring;
};

/* Brings the schema up to date and makes the store's own keys on first use. Once at start, before
 * any store_open. *ret_applied counts migrations applied now. */
PH_NODISCARD enum ph_error store_migrate(const char *address, struct diag *diag, int *ret_applied);

/* PH_STORE with words when the schema is not of this version. */
PH_NODISCARD enum ph_error store_open(const char *address, enum db_mode mode, struct diag *diag,
                                      struct store **ret_store);
void store_close(struct store *store);

#endif
