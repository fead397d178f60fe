/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a JSON value is a JSON Schema, judged by the keywords of draft 7 (meta-schema
 * http://json-schema.org/draft-07/schema#). Unknown keywords are allowed; regular expressions and
 * references are not followed. Pure; any thread.
 */
#ifndef PH_API_JSON_SCHEMA_H
#define PH_API_JSON_SCHEMA_H

#include <jansson.h>

/* NULL when it is one, else the first keyword that has a wrong value, or "" when the schema itself
 * is neither an object nor a boolean. Static text. */
const char *json_schema_find_error(json_t *schema);

#endif
