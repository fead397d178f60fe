/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A schema of an OpenAPI document as a JSON Schema (draft 7) that stands alone: what it refers to
 * in the document comes along as `definitions`, and the words of OpenAPI 3.0 that mean something
 * else in JSON Schema (`nullable`, boolean `exclusiveMinimum`, `example`) are put into its own.
 * Pure; any thread.
 */
#ifndef PH_API_IMPORT_SCHEMA_H
#define PH_API_IMPORT_SCHEMA_H

#include <jansson.h>

#include "base/error.h"

/* References that lead to references. */
#define IMPORT_HOPS_MAX 16

/* What a reference such as "#/components/schemas/Pet" points to in the document, through several of
 * them: `value` itself when it is none. A borrowed reference, NULL when nothing is there. */
json_t *import_resolve(json_t *document, json_t *value);

/*
 * A new reference. `whose` names the schema for people. PH_INVALID at `field`: a reference that
 * leads nowhere or out of the document, or a result that is no JSON Schema.
 */
PH_NODISCARD enum ph_error import_schema(json_t *document, json_t *schema, const char *field,
                                         const char *whose, struct diag *diag, json_t **ret_schema);

#endif
