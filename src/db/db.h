/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only place that knows two databases. SQL is written once, in the common subset: `$1`…
 * parameters, ON CONFLICT, RETURNING, BIGINT, TEXT, and fragments in braces for the few real
 * differences ({blob}, {partition:COLUMN}, …; see fragments.c).
 *
 * Threads: a connection and its statements belong to one thread at a time; open one per thread.
 * SQLite: WAL, synchronous=FULL, foreign keys off, busy timeout 5 s, temp_store=memory,
 * wal_autocheckpoint=0 (the keeper checkpoints), auto_vacuum=incremental set before the first
 * table. PostgreSQL: libpq, prepared statements; pipeline mode between db_pipeline_begin/_end.
 * An fsync error reported by SQLite (SQLITE_IOERR_FSYNC) ends the process: what is on disk is
 * not known then.
 *
 * Errors, everywhere: PH_CONFLICT a violated unique constraint; PH_STORE_FULL no space;
 * PH_STORE_BUSY locked too long, deadlock, out of connections; PH_NO_MEMORY; PH_STORE the rest. A
 * failed statement inside a transaction leaves nothing behind but, on PostgreSQL, a transaction
 * that only db_rollback or db_savepoint_rollback can follow: do so on both.
 */
#ifndef PH_DB_DB_H
#define PH_DB_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct db;
struct db_statement;

enum db_kind { DB_SQLITE, DB_POSTGRES };

enum db_mode {
    DB_READ_WRITE, /* creates the SQLite file when it is missing */
    DB_READ_ONLY,
};

/*
 * `address` is `sqlite:DIRECTORY` (the file is DIRECTORY/posthorn.db) or a libpq URI
 * `postgres://…`. Errors: PH_STORE with words that name the address without any password.
 */
PH_NODISCARD enum ph_error db_open(const char *address, enum db_mode mode, struct diag *diag,
                                   struct db **ret_db);
void db_close(struct db *db); /* finalises the statements too; NULL is fine */
enum db_kind db_kind(const struct db *db);
/* Whether the connection is lost for good (PostgreSQL): every further call fails with PH_STORE.
 * Close it and open another one. After a db_commit that failed in this way it is not known whether
 * the transaction was committed. */
bool db_is_broken(const struct db *db);

/* Runs several statements separated by `;`, without parameters; fragments are replaced. */
PH_NODISCARD enum ph_error db_run(struct db *db, const char *sql, struct diag *diag);

/*
 * Prepares once. `sql` must live as long as the connection (a literal): the same pointer gives
 * the same statement, so callers may call this every time (a small hash look-up). The statement
 * belongs to the connection. A statement that does not compile is a programmer error: asserts (on
 * PostgreSQL at its first use). A failure of the database while it compiles is reported by the
 * first db_step or db_exec, and the next call tries again.
 * On PostgreSQL the parameter types follow the first bind of each parameter (int64 → bigint,
 * text → text, blob → bytea, double → double precision) and stay so: another type asserts. There is
 * no boolean parameter: write `$1 <> 0`. Parameters are `$1` to `$128`.
 */
struct db_statement *db_prepare(struct db *db, const char *sql);

/* Parameters count from 1 as in `$1`. Bytes must stay valid until db_done or db_exec of the
 * statement (nothing is copied). A slice with NULL ptr binds NULL. */
void db_bind_int64(struct db_statement *statement, int parameter, int64_t value);
void db_bind_double(struct db_statement *statement, int parameter, double value);
void db_bind_text(struct db_statement *statement, int parameter, struct slice value);
void db_bind_blob(struct db_statement *statement, int parameter, struct slice value);
void db_bind_null(struct db_statement *statement, int parameter);

/* Steps to the next row: *ret_row tells whether there is one. After false, or an error, the
 * statement has been reset and its bindings cleared. */
PH_NODISCARD enum ph_error db_step(struct db_statement *statement, struct diag *diag,
                                   bool *ret_row);
/* Ends a statement early (before db_step returned false). Harmless otherwise. */
void db_done(struct db_statement *statement);
/* Steps to the first row of a query that is to have one: PH_NOT_FOUND with `words` when there is
 * none. After PH_OK the row is the caller's to read, then db_done. */
PH_NODISCARD enum ph_error db_find_row(struct db_statement *statement, const char *words,
                                       struct diag *diag);
/* Whether there is a row; the first column of the first row, 0 without a row. Both have ended the
 * statement when they return. */
PH_NODISCARD enum ph_error db_read_exists(struct db_statement *statement, struct diag *diag,
                                          bool *ret_exists);
PH_NODISCARD enum ph_error db_read_int64(struct db_statement *statement, struct diag *diag,
                                         int64_t *ret_value);
/* Runs a statement whose rows do not matter and resets it, after an error too. Inside a pipeline on
 * PostgreSQL the call only queues (bytes are copied then) and errors appear at db_pipeline_end. */
PH_NODISCARD enum ph_error db_exec(struct db_statement *statement, struct diag *diag);
/* Rows changed by the last db_exec outside a pipeline. */
int64_t db_changes(const struct db *db);

/* Columns count from 0; valid until the next db_step, db_done. NULL gives 0 / SLICE_NONE; an empty
 * text or blob has a ptr that is not NULL. db_int64 and db_double read any number (PostgreSQL's
 * numeric, as sum() gives it, without its fraction) and boolean; another type asserts on
 * PostgreSQL. */
bool db_is_null(struct db_statement *statement, int column);
int64_t db_int64(struct db_statement *statement, int column);
double db_double(struct db_statement *statement, int column);
struct slice db_text(struct db_statement *statement, int column);
struct slice db_blob(struct db_statement *statement, int column);

/*
 * Transactions. To write: BEGIN IMMEDIATE on SQLite, READ COMMITTED on PostgreSQL. To read: the
 * snapshot is taken by the first query. db_begin needs a connection that is not read only.
 * A failed db_commit leaves no transaction open; nothing of it was kept (see db_is_broken for the
 * one exception). Savepoints nest; release and rollback take the innermost one.
 */
PH_NODISCARD enum ph_error db_begin(struct db *db, struct diag *diag);      /* to write */
PH_NODISCARD enum ph_error db_begin_read(struct db *db, struct diag *diag); /* one snapshot */
PH_NODISCARD enum ph_error db_commit(struct db *db, struct diag *diag);
void db_rollback(struct db *db); /* harmless when the transaction is gone already */
PH_NODISCARD enum ph_error db_savepoint(struct db *db, struct diag *diag);
PH_NODISCARD enum ph_error db_savepoint_release(struct db *db, struct diag *diag);
void db_savepoint_rollback(struct db *db); /* rolls back to the savepoint and releases it */
/* Whether a transaction is open. False after a failed step when the database rolled back the
 * whole transaction by itself (SQLITE_FULL, IOERR, NOMEM; engineering rule 2). */
bool db_in_transaction(const struct db *db);

/* On PostgreSQL db_exec calls between the two are sent without waiting; db_pipeline_end waits
 * and reports the first error, after which nothing else of the pipeline has run: roll back. Inside
 * a transaction only; nothing but db_prepare, db_bind_*, db_exec and db_rollback (which ends the
 * pipeline) between the two. On SQLite db_exec runs and reports at once as ever. */
PH_NODISCARD enum ph_error db_pipeline_begin(struct db *db, struct diag *diag);
PH_NODISCARD enum ph_error db_pipeline_end(struct db *db, struct diag *diag);

/*
 * SQLite: one PASSIVE checkpoint; *ret_left_bytes is what could not be copied into the database
 * file, because readers need an older state or another connection writes on. When nothing is left
 * the next commit begins the WAL anew. PH_STORE_BUSY while another checkpoint runs. PostgreSQL:
 * nothing, 0.
 */
PH_NODISCARD enum ph_error db_checkpoint(struct db *db, struct diag *diag, int64_t *ret_left_bytes);

/* Bytes of the WAL in use after the last commit of this connection (SQLite; else 0): tells the
 * writer without a system call when a checkpoint is due. */
int64_t db_wal_bytes(const struct db *db);

#endif
