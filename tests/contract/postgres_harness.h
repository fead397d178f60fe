/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private PostgreSQL server for one test program: made with initdb in a fresh folder below /tmp,
 * reached by a socket in there, without TCP. It and the folder are gone when the program ends,
 * however it ends: a supervisor process notices. As root the server runs as user postgres or
 * nobody. Single-threaded: start it before the first thread.
 */
#ifndef PH_TESTS_CONTRACT_POSTGRES_HARNESS_H
#define PH_TESTS_CONTRACT_POSTGRES_HARNESS_H

#include <stdbool.h>
#include <stddef.h>

struct postgres_harness;

/* NULL after a failure, which was told on stderr. */
struct postgres_harness *postgres_harness_start(void);
/* Ends the server and removes the folder; NULL is fine. */
void postgres_harness_stop(struct postgres_harness *harness);
/* A folder that is removed with the server; for SQLite stores, as one may ask without end. */
const char *postgres_harness_folder(const struct postgres_harness *harness);
/* The postgres:// URL of a database of that name. */
void postgres_harness_url(const struct postgres_harness *harness, const char *database,
                          char *ret_url, size_t capacity);

#endif
