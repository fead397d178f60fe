/* SPDX-License-Identifier: Apache-2.0 */
/* Numbered migrations, embedded in the binary from sql/NNNN_name.sql. */
#ifndef PH_DB_MIGRATIONS_H
#define PH_DB_MIGRATIONS_H

#include <stddef.h>

#include "db/db.h"

struct db_migration {
    int number; /* from 1, without gaps */
    const char *name;
    const char *text; /* shared SQL with fragments; statements end with `;`, no triggers */
};

extern const struct db_migration sql_migrations[];
extern const size_t sql_migrations_count;

/*
 * Applies what is missing, each in a transaction of its own, and records it in the table
 * `schema_migration(number, name, applied_at)`. Refuses (PH_STORE) a store whose newest migration
 * is newer than this binary knows. *ret_applied counts those applied now. Two processes that do
 * this at once are kept apart (PostgreSQL: by an advisory lock). The words of a failed migration
 * name its number and the line where the statement begins; nothing of it is kept, those before it
 * are.
 */
PH_NODISCARD enum ph_error db_migrate(struct db *db, const struct db_migration *migrations,
                                      size_t count, struct diag *diag, int *ret_applied);
/* PH_STORE unless the store's newest migration is `count`, and when no migration was ever there. */
PH_NODISCARD enum ph_error db_check_version(struct db *db, size_t count, struct diag *diag);

#endif
