/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a user's jq program with its hash: made once, when configuration is read, and then
 * shared. Nothing is compiled here; that happens in a worker.
 *
 * Concurrency: immutable and counted; any thread.
 */
#ifndef PH_JQ_PROGRAM_H
#define PH_JQ_PROGRAM_H

#include <stdatomic.h>

#include "base/error.h"
#include "base/slice.h"

#define JQ_PROGRAM_BYTES_MAX ((size_t)64 * 1024)
#define JQ_HASH_BYTES 32

struct jq_program {
    atomic_uint references;
    uint8_t hash[JQ_HASH_BYTES]; /* SHA-256 of the text */
    struct slice text;           /* a NUL stands behind it */
};

/* Copies the text. PH_INVALID naming `field`: empty, longer than JQ_PROGRAM_BYTES_MAX, not UTF-8,
 * or with a NUL. Whether it is a jq program is found out by JQ_CHECK (jq/pool.h). */
PH_NODISCARD enum ph_error jq_program_new(struct slice text, const char *field, struct diag *diag,
                                          struct jq_program **ret_program);
struct jq_program *jq_program_ref(struct jq_program *program);
void jq_program_unref(struct jq_program *program); /* NULL is fine */

#endif
