/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event types of an OpenAPI document (3.0 or 3.1): one for each of its `webhooks` and
 * `x-webhooks`, named by the key. Description, `deprecated`, the request body's schema with its
 * examples, and the extensions `x-svix-feature-flag`, `x-svix-feature-flags` and
 * `x-svix-group-name` are taken over. Pure but for the arena; any thread.
 */
#ifndef PH_API_IMPORT_OPENAPI_H
#define PH_API_IMPORT_OPENAPI_H

#include <jansson.h>

#include "base/arena.h"
#include "base/error.h"

/* Of all schemas together, as text: each webhook's schema brings its definitions along. */
#define IMPORT_SCHEMAS_BYTES_MAX ((size_t)16 * 1024 * 1024)

struct import_item {
    struct slice name;
    struct slice description;
    bool is_deprecated;
    struct slice schemas;       /* {"1": …} as text, SLICE_NONE = none */
    struct slice feature_flags; /* JSON array of strings, SLICE_NONE = none */
    struct slice group_name;    /* SLICE_NONE = none */
};

/*
 * Items in the order of the document, in `arena`. PH_INVALID at `field` with words that name the
 * webhook; PH_NO_MEMORY at the arena's cap.
 */
PH_NODISCARD enum ph_error import_openapi(json_t *document, const char *field, struct arena *arena,
                                          struct diag *diag, struct import_item **ret_items,
                                          size_t *ret_count);

#endif
