/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this folder share: the table of functions that a driver fills, the fragments,
 * and cutting SQL into statements. A driver's structs begin with `struct db` and
 * `struct db_statement`. Threads: as db.h says.
 */
#ifndef PH_DB_DB_INT_H
#define PH_DB_DB_INT_H

#include "base/buf.h"
#include "base/map.h"
#include "db/db.h"

/* Parameters of one statement; a limit that keeps the maps small. */
#define DB_PARAMETERS_MAX 128

/* One row per driver. Each function does what the db.h function of its name says; db.c has checked
 * what both databases need checked. */
struct db_driver {
    enum db_kind kind;
    void (*close)(struct db *db);
    enum ph_error (*run)(struct db *db, const char *sql, struct diag *diag); /* without fragments */
    /* `sql` is expanded already and freed by the caller; `parameters` is the highest $n. */
    struct db_statement *(*prepare)(struct db *db, const char *sql, int parameters);
    void (*statement_free)(struct db_statement *statement);

    void (*bind_int64)(struct db_statement *statement, int parameter, int64_t value);
    void (*bind_double)(struct db_statement *statement, int parameter, double value);
    void (*bind_text)(struct db_statement *statement, int parameter, struct slice value);
    void (*bind_blob)(struct db_statement *statement, int parameter, struct slice value);
    void (*bind_null)(struct db_statement *statement, int parameter);

    enum ph_error (*step)(struct db_statement *statement, struct diag *diag, bool *ret_row);
    void (*done)(struct db_statement *statement);
    enum ph_error (*exec)(struct db_statement *statement, struct diag *diag);

    bool (*is_null)(struct db_statement *statement, int column);
    int64_t (*get_int64)(struct db_statement *statement, int column);
    double (*get_double)(struct db_statement *statement, int column);
    struct slice (*get_bytes)(struct db_statement *statement, int column); /* text and blob */

    const char *begin_sql;
    const char *begin_read_sql;
    enum ph_error (*commit)(struct db *db, struct diag *diag);
    bool (*in_transaction)(const struct db *db);
    bool (*is_broken)(const struct db *db);
    enum ph_error (*pipeline_begin)(struct db *db, struct diag *diag);
    enum ph_error (*pipeline_end)(struct db *db, struct diag *diag);
    enum ph_error (*checkpoint)(struct db *db, struct diag *diag, int64_t *ret_left_bytes);
};

struct db {
    const struct db_driver *driver;
    struct map statements; /* address of the SQL literal → struct db_statement */
    int64_t changes;
    int64_t wal_bytes;
    bool is_read_only;
    bool is_pipeline;
};

struct db_statement {
    struct db *db;
    const struct db_driver *driver;
    int parameters; /* highest $n */
};

/* `directory` without the scheme. */
PH_NODISCARD enum ph_error sqlite_open(const char *directory, enum db_mode mode, struct diag *diag,
                                       struct db **ret_db);
PH_NODISCARD enum ph_error postgres_open(const char *url, enum db_mode mode, struct diag *diag,
                                         struct db **ret_db);

/* A statement that does not compile: prints it with the database's words, then aborts. */
PH_NORETURN void db_refuse_sql(const char *sql, const char *words);

/*
 * Appends `sql` with its fragments replaced. Quoted text, quoted names and comments are taken as
 * they are, and line breaks stay where they are. `{name}` or `{name:COLUMN}` with a name that the
 * table does not have asserts; other braces (JSON, arrays) are left alone.
 */
void fragments_expand(enum db_kind kind, const char *sql, struct buf *text);

/* Length of the quoted text, quoted name, dollar-quoted text or comment at the start of `sql`; 0
 * when something else stands there. One that does not end goes to the end of the text. */
size_t sql_skip_quoted(const char *sql);
/* The highest $n outside of quotes, 0 without parameters. */
int sql_count_parameters(const char *sql);
/*
 * Takes the next statement off `*rest`, without its `;` and without what stands before it. False
 * at the end. *line is the line of *rest and is moved along; *ret_line is the line where the
 * statement begins. A trigger's body (BEGIN … END) is not understood.
 */
bool sql_next_statement(const char **rest, int *line, struct slice *ret_statement, int *ret_line);

#endif
