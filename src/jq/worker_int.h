/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the worker share: worker.c (socket, loop), cache.c (compiled programs),
 * evaluate.c (the jq library), sandbox.c (limits and system calls). One thread.
 */
#ifndef PH_JQ_WORKER_INT_H
#define PH_JQ_WORKER_INT_H

#include <jq.h>

#include "base/list.h"
#include "jq/frame.h"

/* The most programs that a worker keeps compiled. */
#define CACHE_PROGRAMS_MAX 1024

/* A program as it was compiled, or why it does not compile. */
struct compiled {
    struct compiled *next; /* in its bucket */
    struct list_node in_use_order;
    uint8_t hash[JQ_HASH_BYTES];
    jq_state *state; /* NULL: it does not compile, `words` say why */
    char words[JQ_WORDS_MAX];
};

/* --- sandbox.c ------------------------------------------------------------------------------- */

/* For the rest of the process; says in words what it could not do. */
PH_NODISCARD enum ph_error sandbox_enter(size_t memory_bytes, struct diag *diag);

/* --- evaluate.c ------------------------------------------------------------------------------ */

/* What the jq library calls when memory is out; does not return. Its argument means nothing. */
typedef void evaluate_memory_out(void *nothing);

/* Fills `state` or `words`. `text` ends with a NUL. */
void evaluate_compile(struct compiled *compiled, const char *text, evaluate_memory_out *memory_out);
/* Runs a program that compiles. Appends output or words to `text` (room for `output_bytes_max`
 * and for JQ_WORDS_MAX). All memory of the evaluation is given back. */
PH_NODISCARD enum frame_status evaluate_run(struct compiled *compiled, enum jq_kind kind,
                                            struct slice input, size_t output_bytes_max,
                                            struct buf *text);

/* --- cache.c --------------------------------------------------------------------------------- */

struct cache {
    struct compiled **buckets;
    struct list_node in_use_order; /* the last used one at the end */
    size_t count;
    size_t heap_bytes_max; /* programs are forgotten while more than that is allocated */
    evaluate_memory_out *memory_out;
};

void cache_init(struct cache *cache, size_t heap_bytes_max, evaluate_memory_out *memory_out);
/* NULL when it is not there. */
struct compiled *cache_find(struct cache *cache, const uint8_t hash[JQ_HASH_BYTES]);
/* Compiles and keeps a program that is not there; others may be forgotten for it. NULL when
 * memory is out. */
PH_NODISCARD struct compiled *cache_add(struct cache *cache, const uint8_t hash[JQ_HASH_BYTES],
                                        struct slice text);
/* Whether more memory is allocated than the programs that are kept explain. */
bool cache_is_worn(const struct cache *cache);

#endif
