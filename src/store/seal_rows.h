/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing what was stored in plain before there was a master key, and looking over what is sealed.
 * Thread: the store's owner; steps run inside the writer's transaction.
 */
#ifndef PH_STORE_SEAL_ROWS_H
#define PH_STORE_SEAL_ROWS_H

#include "store/store.h"

/* Rows that one step looks at; fewer when they have more bytes than that. */
#define SEAL_ROWS_STEP 100
#define SEAL_ROWS_STEP_BYTES ((size_t)2 * 1024 * 1024)

/* Where a walk over all columns that may be sealed stands; begin with zeroes. */
struct seal_walk {
    int column; /* in the module's table */
    int64_t row;
    uint8_t key[16];
    bool is_done;
};

/* Whether all of the store was sealed once: nothing in plain comes after that. */
PH_NODISCARD enum ph_error seal_rows_are_done(struct store *store, struct diag *diag,
                                              bool *ret_is_done);
/* Seals the plain rows among the next SEAL_ROWS_STEP, which *ret_sealed counts. The step that finds
 * the end notes in the store that all is sealed. A row that another node changes meanwhile is left
 * alone: that node seals it. */
PH_NODISCARD enum ph_error seal_rows_step(struct store *store, struct seal_walk *walk,
                                          struct diag *diag, int64_t *ret_sealed);

/* Writes the store anew (on PostgreSQL the tables with sealed columns), so that nothing in plain is
 * left in its free space. Outside a transaction, with no server running; needs as much space as the
 * store. PH_CONFLICT unless all is sealed. */
PH_NODISCARD enum ph_error seal_rows_clean(struct store *store, struct diag *diag);

struct seal_counts {
    int64_t sealed;
    int64_t plain;
    int64_t broken; /* sealed and cannot be opened */
};

/* Opens the sealed values among the next rows and counts; `diag` says of the last broken one what
 * is wrong with it. Reads only. */
PH_NODISCARD enum ph_error seal_rows_check(struct store *store, struct seal_walk *walk,
                                           struct diag *diag, struct seal_counts *counts);

#endif
