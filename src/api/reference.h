/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference as one HTML page, made from the table of operations and the components of
 * schemas.json (openapi.h). It needs no script and nothing from elsewhere; its style stands within
 * it. Runs once, on the thread that starts the server.
 */
#ifndef PH_API_REFERENCE_H
#define PH_API_REFERENCE_H

#include <jansson.h>

#include "base/buf.h"
#include "http/server.h"

/* Appends the page. The `data` of the routes are struct api_operation. */
void reference_write(struct buf *page, const struct http_route *routes, size_t count);
/* Appends the Content-Security-Policy under which the page works: its own style and no more. */
void reference_append_policy(struct buf *policy);

/* --- pieces, in reference_schema.c ------------------------------------------------------------ */

/* Appends text, escaped for HTML. */
void reference_text(struct buf *page, const char *text);
/* The type of a schema and what it allows, named schemas as links. */
void reference_type(struct buf *page, json_t *schema);
/* What `description` says, and the default. */
void reference_remark(struct buf *page, json_t *schema);
/* A section for each schema, with a table of its members. */
void reference_schemas(struct buf *page, json_t *components);
/* Appends a JSON value that fits the schema: what is required, and what has examples. */
void reference_example(struct buf *text, json_t *components, json_t *schema);

#endif
