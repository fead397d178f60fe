/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the SQLite driver share. Threads: as db.h says. */
#ifndef PH_DB_SQLITE_INT_H
#define PH_DB_SQLITE_INT_H

#include <sqlite3.h>

#include "db/db_int.h"

struct sqlite {
    struct db base;
    sqlite3 *handle;
    int64_t frame_bytes; /* one page in the WAL */
};

/* Records and words the error of a call that has just failed on this connection. */
PH_NODISCARD enum ph_error sqlite_fail(struct db *db, int code, struct diag *diag);
/* Makes an empty file that only its owner may read, unless there is one. SQLite would make it
 * readable by all that the umask lets through. */
void sqlite_create_private_file(const char *path);

#endif
