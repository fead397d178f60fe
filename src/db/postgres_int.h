/* SPDX-License-Identifier: Apache-2.0 */
/* What postgres.c and its parts share: connection, statement, words of errors, values. */
#ifndef PH_DB_POSTGRES_INT_H
#define PH_DB_POSTGRES_INT_H

#include <libpq-fe.h>

#include "db/db_int.h"

/* Types of parameters: numbers of pg_type.dat. */
enum {
    POSTGRES_TYPE_UNKNOWN = 0, /* the server infers it */
    POSTGRES_TYPE_BYTEA = 17,
    POSTGRES_TYPE_INT8 = 20,
    POSTGRES_TYPE_TEXT = 25,
    POSTGRES_TYPE_FLOAT8 = 701,
};

/* What was sent in a pipeline and has an answer to come. */
struct postgres_sent {
    struct postgres_statement *statement;
    bool is_prepare;
};

struct postgres {
    struct db base;
    PGconn *connection;
    unsigned statement_names; /* given so far */
    struct postgres_sent *sent;
    size_t sent_count;
    size_t sent_capacity;
};

struct postgres_statement {
    struct db_statement base;
    char *sql;
    char name[24];
    bool is_prepared;
    /* Per parameter, [0] is $1. */
    Oid *types;          /* of the first bind, kept */
    Oid *prepared_types; /* what the server was told */
    const char **values;
    int *lengths;
    int *formats;      /* all 1: binary */
    uint64_t *numbers; /* in network order; `values` points here for numbers */
    PGresult *result;  /* of the step that is going on, or NULL */
    int row;
};

static inline struct postgres *postgres_of(struct db *db)
{
    return PH_CONTAINER_OF(db, struct postgres, base);
}

/* Whether the class of the SQLSTATE is 42: wrong text, an unknown table or column. */
bool postgres_is_wrong_sql(const PGresult *result);
/* Records and words the failure that `result` (may be NULL) tells. */
PH_NODISCARD enum ph_error postgres_fail(struct db *db, const PGresult *result, struct diag *diag);

/* NULL gives 0, 0.0, SLICE_NONE. Other types than db.h names assert. */
int64_t postgres_value_int64(const PGresult *result, int row, int column);
double postgres_value_double(const PGresult *result, int row, int column);
struct slice postgres_value_bytes(const PGresult *result, int row, int column);

/* The driver's functions that postgres_statement.c holds. */
struct db_statement *postgres_prepare(struct db *db, const char *sql, int parameters);
void postgres_statement_free(struct db_statement *statement);
void postgres_bind_int64(struct db_statement *statement, int parameter, int64_t value);
void postgres_bind_double(struct db_statement *statement, int parameter, double value);
void postgres_bind_text(struct db_statement *statement, int parameter, struct slice value);
void postgres_bind_blob(struct db_statement *statement, int parameter, struct slice value);
void postgres_bind_null(struct db_statement *statement, int parameter);
PH_NODISCARD enum ph_error postgres_step(struct db_statement *statement, struct diag *diag,
                                         bool *ret_row);
void postgres_done(struct db_statement *statement);
PH_NODISCARD enum ph_error postgres_exec(struct db_statement *statement, struct diag *diag);
bool postgres_is_null(struct db_statement *statement, int column);
int64_t postgres_get_int64(struct db_statement *statement, int column);
double postgres_get_double(struct db_statement *statement, int column);
struct slice postgres_get_bytes(struct db_statement *statement, int column);
PH_NODISCARD enum ph_error postgres_pipeline_begin(struct db *db, struct diag *diag);
PH_NODISCARD enum ph_error postgres_pipeline_end(struct db *db, struct diag *diag);

#endif
