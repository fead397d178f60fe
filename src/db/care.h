/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only a database in files needs: copies of it while it is written to, a check of its pages,
 * and making the file smaller. SQLite only: asserted.
 *
 * A copy goes in steps on the thread of the connection that writes. Between two steps no read
 * transaction is open, so the write-ahead log can be used again; pages that this connection
 * changes meanwhile are taken over by SQLite itself. (A change through another connection, or
 * a transaction that is rolled back, begins the copy anew.) The copy is as of the last step.
 */
#ifndef PH_DB_CARE_H
#define PH_DB_CARE_H

#include "db/db.h"

struct db_copy;

struct db_copy_state {
    int64_t total_bytes;
    int64_t left_bytes;
    bool is_done;
};

/* Makes the file DIRECTORY/posthorn.db, mode 0600; an existing one is PH_CONFLICT. Nothing of it
 * is synced. */
PH_NODISCARD enum ph_error db_copy_begin(struct db *db, const char *directory, struct diag *diag,
                                         struct db_copy **ret_copy);
/* Outside of a transaction. Takes at most `pages` more pages along. A store that is locked at the
 * moment is no error: nothing was taken then. */
PH_NODISCARD enum ph_error db_copy_step(struct db_copy *copy, int pages, struct diag *diag,
                                        struct db_copy_state *ret_state);
/* On the connection's thread, before the connection is closed. NULL is fine. The file stays. */
void db_copy_end(struct db_copy *copy);

enum db_soundness { DB_WHOLE, DB_DAMAGED, DB_NOT_ALL_CHECKED };

/* Reads all pages for at most `limit_ms` (0: as long as it takes), inside one read transaction.
 * DB_DAMAGED: *diag says what was found. */
PH_NODISCARD enum ph_error db_quick_check(struct db *db, int64_t limit_ms, struct diag *diag,
                                          enum db_soundness *ret_soundness);

/* Inside a transaction: gives at most DB_SHRINK_PAGES free pages back; *ret_freed_bytes 0 = none is
 * left. The file shrinks with the next checkpoint. */
#define DB_SHRINK_PAGES 128
PH_NODISCARD enum ph_error db_shrink(struct db *db, struct diag *diag, int64_t *ret_freed_bytes);
/* Bytes of the database, free pages included, after all that was committed. */
PH_NODISCARD enum ph_error db_size(struct db *db, struct diag *diag, int64_t *ret_bytes);

#endif
