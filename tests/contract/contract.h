/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs each test on a fresh SQLite store and on a fresh PostgreSQL database:
 *
 *     static void test_thing(void **state)
 *     {
 *         struct contract_store *store = *state;
 *         … store->address …
 *     }
 *
 *     const struct CMUnitTest tests[] = {CONTRACT_BOTH(test_thing), CONTRACT_SQLITE(test_file)};
 *     return cmocka_run_group_tests(tests, contract_begin, contract_end);
 *
 * Without PostgreSQL the group fails; it is never skipped. The test closes what it opened: a
 * database that still has connections at the end is cut off, not an error.
 */
#ifndef PH_TESTS_CONTRACT_CONTRACT_H
#define PH_TESTS_CONTRACT_CONTRACT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "db/db.h"

struct contract_store {
    const char *name; /* "sqlite" or "postgres" */
    enum db_kind kind;
    char address[256];   /* for db_open and store_migrate; empty, without any table */
    char directory[128]; /* of the SQLite files, empty text on PostgreSQL */
    char database[32];   /* name of the PostgreSQL database */
};

/* Group setup and teardown: the server and the folder of all stores. */
int contract_begin(void **state);
int contract_end(void **state);

/* Makes and removes one store; for tests that need a second one. A failure fails the test. */
void contract_store_open(struct contract_store *store, enum db_kind kind);
void contract_store_close(struct contract_store *store);

/* Test setup and teardown: *state is a fresh store. */
int contract_setup_sqlite(void **state);
int contract_setup_postgres(void **state);
int contract_teardown(void **state);

#define CONTRACT_SQLITE(function)                                                                  \
    {                                                                                              \
#function " on sqlite", function, contract_setup_sqlite, contract_teardown, NULL           \
    }
#define CONTRACT_POSTGRES(function)                                                                \
    {                                                                                              \
#function " on postgres", function, contract_setup_postgres, contract_teardown, NULL       \
    }
#define CONTRACT_BOTH(function) CONTRACT_SQLITE(function), CONTRACT_POSTGRES(function)

/* db_open that fails the test with the error's words. */
struct db *contract_connect(const struct contract_store *store, enum db_mode mode);

/* Fails the test with the words of `diag` unless the call gives PH_OK. */
#define CONTRACT_OK(call, diag) contract_check_ok((call), (diag), __FILE__, __LINE__)
void contract_check_ok(enum ph_error error, const struct diag *diag, const char *file, int line);

/* The first column of the first row of `sql`, a literal, with `id` as its $1 when not 0. */
int64_t contract_number(struct db *db, const char *sql, int64_t id);

/* Runs `body(context)` in a child process and fails the test unless it ends by SIGABRT. */
void contract_expect_abort(void (*body)(void *context), void *context);

#endif
