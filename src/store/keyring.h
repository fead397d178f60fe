/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that secrets are sealed with (core/seal.h): one master key from outside, and the data
 * keys of the table `data_key`, which it wraps. A new data key is made each day, or when the newest
 * one may have sealed SEAL_USES_MAX values; the older ones stay, to open what they sealed.
 *
 * A data key is used only once its row is committed: keyring_renew writes the row, keyring_load
 * takes it in afterwards. Uses are counted in blocks that are reserved in the row beforehand.
 *
 * Concurrency: any thread may seal and open; a lock guards the table of keys. The functions that
 * take a `struct db` are called by its owner.
 */
#ifndef PH_STORE_KEYRING_H
#define PH_STORE_KEYRING_H

#include "core/seal.h"
#include "db/db.h"

struct keyring;

/*
 * Looks at a migrated store with the master key at hand (`master` empty = none) and makes the
 * first data key, or the day's. *ret_keyring is NULL when there is no master key and nothing of the
 * store is sealed. PH_INVALID in words: the store is sealed and there is no key, or another one.
 */
PH_NODISCARD enum ph_error keyring_open(const char *address, const struct secret *master,
                                        int64_t now_us, struct diag *diag,
                                        struct keyring **ret_keyring);
/* The same for looking only, on a connection that is open; makes no key. */
PH_NODISCARD enum ph_error keyring_look(struct db *db, const struct secret *master,
                                        struct diag *diag, struct keyring **ret_keyring);
void keyring_free(struct keyring *keyring); /* NULL is fine; wipes the keys */
size_t keyring_count(struct keyring *keyring);
/* Uses that are reserved at once from now on. For tests, which cannot make millions. */
void keyring_set_block(struct keyring *keyring, int64_t uses);

/* Seals with the newest data key. PH_STORE when there is none, PH_STORE_BUSY when all the uses that
 * were reserved are used up: keyring_renew is late. */
PH_NODISCARD enum ph_error keyring_seal(struct keyring *keyring, const struct seal_place *place,
                                        struct slice plain, struct diag *diag, struct buf *sealed);
/* Opens with the key that the value names; one that is not known yet is looked up on `db`.
 * PH_SEALED when it cannot be opened, now and later. */
PH_NODISCARD enum ph_error keyring_unseal(struct keyring *keyring, struct db *db,
                                          const struct seal_place *place, struct slice sealed,
                                          struct diag *diag, struct secret *ret_plain);

/* Whether keyring_renew should be called, then keyring_load after the commit. */
bool keyring_is_due(struct keyring *keyring, int64_t now_us);
/* Inside a transaction: reserves a block of uses of the newest data key, or makes a new one. */
PH_NODISCARD enum ph_error keyring_renew(struct keyring *keyring, struct db *db, int64_t now_us,
                                         struct diag *diag);
/* Takes in the data keys that were committed since, and the reserved block: the rest of the former
 * one is given up. */
PH_NODISCARD enum ph_error keyring_load(struct keyring *keyring, struct db *db, struct diag *diag);

/* Wraps all data keys anew, in one transaction, and retires them, so that new secrets get a new
 * data key. No server may run on the store. PH_NOT_FOUND when the store has no data key. */
PH_NODISCARD enum ph_error keyring_rewrap(struct db *db, const struct secret *former,
                                          const struct secret *next, struct diag *diag,
                                          int64_t *ret_count);

#endif
