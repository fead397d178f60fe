/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts that describe the API, made when the server starts and read-only from then on: the
 * OpenAPI document and the reference page. Any thread may read them.
 */
#ifndef PH_API_DOCUMENTS_H
#define PH_API_DOCUMENTS_H

#include "base/buf.h"
#include "http/server.h"

struct documents {
    struct buf openapi;   /* JSON */
    struct buf reference; /* HTML */
    struct buf policy;    /* Content-Security-Policy of the page */
};

/* Makes the texts of a route table whose `data` are struct api_operation. */
void documents_init(struct documents *documents, const struct http_route *routes, size_t count);
void documents_done(struct documents *documents);

#endif
