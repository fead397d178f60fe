/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a copy of a SQLite store (a backup) carries besides the tables: when it was made and the
 * secret that signs tokens, as rows of `meta`. `directory` is where the copy's posthorn.db is; it
 * belongs to nobody else. Any thread.
 */
#ifndef PH_STORE_COPY_H
#define PH_STORE_COPY_H

#include "base/buf.h"
#include "store/store.h"

/* Adds the rows to a new copy. `jwt_secret` SLICE_NONE: the store's owner keeps it elsewhere. */
PH_NODISCARD enum ph_error store_copy_seal(const char *directory, int64_t taken_at_us,
                                           struct slice jwt_secret, struct diag *diag);
/* Whether the copy is whole, a store of ours, and not of a newer version; reads all of it. PH_STORE
 * with words otherwise. */
PH_NODISCARD enum ph_error store_copy_check(const char *directory, struct diag *diag);
/* Takes the rows out again. *ret_taken_at_us is 0 and nothing is appended when they are missing. */
PH_NODISCARD enum ph_error store_copy_open(const char *directory, struct diag *diag,
                                           int64_t *ret_taken_at_us, struct buf *ret_jwt_secret);

#endif
