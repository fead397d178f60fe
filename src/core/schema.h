/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON Schema, draft 7 (json-schema.org/draft-07), over JSON as it stands in a text: nothing is
 * turned into a tree, numbers are compared without loss.
 *
 * What is decided here: `$ref` reaches every schema of the same document, by pointer or `$id`, and
 * draft 7's own meta-schema; nothing is fetched. `format`, `contentEncoding` and `contentMediaType`
 * say something and check nothing. Regular expressions are those of PCRE2, in the ways in which it
 * can be told to follow ECMA 262. Of members with the same key each one has to fit. Limits:
 * SCHEMA_* below, and a budget of work for compiling and for each validation.
 *
 * Thread: a compiled schema is immutable; any number of threads may validate with it.
 */
#ifndef PH_CORE_SCHEMA_H
#define PH_CORE_SCHEMA_H

#include "core/scan.h"

#define SCHEMA_TEXT_MAX ((size_t)512 * 1024)
#define SCHEMA_NODES_MAX 10000  /* schemas within it, those that references reach counted once */
#define SCHEMA_IDS_MAX 1000     /* of `$id` */
#define SCHEMA_PATTERN_MAX 4096 /* bytes of one regular expression */
/* Schemas that hold for one value one inside of the other: references, allOf and so on. */
#define SCHEMA_CHAIN_MAX 100

struct schema;

/* What validations may take; several may share one. */
struct schema_budget {
    size_t work;      /* bytes looked at, roughly, each time they are */
    int64_t match_us; /* processor time of matches that are not done at once */
};

/* For values of so many bytes together. */
struct schema_budget schema_budget(size_t bytes);

/* Processor time of the calling thread in microseconds. Asked when an expression is slow. */
typedef int64_t schema_clock(void);

/* The text is copied. PH_INVALID at `field`, with words that begin with the pointer of the place in
 * the schema; PH_NO_MEMORY. */
PH_NODISCARD enum ph_error schema_compile(struct slice text, const char *field, struct diag *diag,
                                          struct schema **ret_schema);
void schema_free(struct schema *schema);          /* NULL is fine */
size_t schema_bytes(const struct schema *schema); /* of memory, about */

/*
 * Whether `value`, JSON that was validated before, fits. PH_INVALID when it does not: `field` (a
 * dotted path or DIAG_PART-separated parts, base/error.h) is continued by the parts of the place in
 * the value, and the words begin with its JSON pointer; a value that takes more than what is left
 * of the budget is PH_INVALID too. No content of the value but its keys gets into the words.
 */
PH_NODISCARD enum ph_error schema_validate(const struct schema *schema, struct slice value,
                                           schema_clock *clock, struct schema_budget *budget,
                                           const char *field, struct diag *diag);

#endif
