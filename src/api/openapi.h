/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OpenAPI 3.1 document, made from the table of operations (operations.def) and the components
 * that schemas.json holds. What is wrong in either is a programmer's error: asserted here, and
 * found by tests/unit/test_openapi.c. Runs once, on the thread that starts the server.
 */
#ifndef PH_API_OPENAPI_H
#define PH_API_OPENAPI_H

#include <jansson.h>

#include "http/server.h"

/* Longest names of tags and of parameters, with the NUL. */
#define OPENAPI_NAME_MAX 64

/* Parameters, responses and schemas as they stand in schemas.json. A new reference. */
PH_NODISCARD json_t *openapi_components(void);
/* The whole document. The `data` of the routes are struct api_operation. A new reference. */
PH_NODISCARD json_t *openapi_document(const struct http_route *routes, size_t count);

/* The group of an operation: the part of its id behind "v1.", or "server". */
void openapi_tag(const char *id, char ret_tag[OPENAPI_NAME_MAX]);
/* What `{"$ref":"#/components/…/…"}` points to, through several of them; others are given back. A
 * borrowed reference. */
json_t *openapi_resolve(json_t *components, json_t *value);
/* Takes the next word off a list with spaces between; false at its end. */
bool openapi_next_name(struct slice *list, char ret_name[OPENAPI_NAME_MAX]);
/* Takes the next `{name}` off a path. */
bool openapi_next_path_parameter(struct slice *path, char ret_name[OPENAPI_NAME_MAX]);
/* Whether the operation answers anything but 501. */
bool openapi_is_built(const struct http_route *route);
/* Whether the summary says "(deprecated)". */
bool openapi_is_deprecated(const struct http_route *route);
/* Who may call it, in words. */
const char *openapi_callers(const struct http_route *route);
const char *openapi_method(const struct http_route *route); /* "get" */

#endif
