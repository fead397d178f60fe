/* SPDX-License-Identifier: Apache-2.0 */
/* `/`, `/docs` and `/openapi.json` (svix-api spec section 0). */
#include "api/documents.h"

#include "api/api_int.h"
#include "api/openapi.h"
#include "api/reference.h"

#define DOCUMENT_MAX ((size_t)4 * 1024 * 1024)
#define POLICY_MAX 512

void documents_init(struct documents *documents, const struct http_route *routes, size_t count)
{
    buf_init(&documents->openapi, DOCUMENT_MAX);
    buf_init(&documents->reference, DOCUMENT_MAX);
    buf_init(&documents->policy, POLICY_MAX);
    json_t *document = openapi_document(routes, count);
    char *text = json_dumps(document, JSON_COMPACT);
    PH_ASSERT(text != NULL);
    buf_append_text(&documents->openapi, text);
    free(text);
    json_decref(document);
    reference_write(&documents->reference, routes, count);
    reference_append_policy(&documents->policy);
    PH_ASSERT(!documents->openapi.failed && !documents->reference.failed &&
              !documents->policy.failed);
}

void documents_done(struct documents *documents)
{
    buf_done(&documents->openapi);
    buf_done(&documents->reference);
    buf_done(&documents->policy);
}

static void answer(struct api_call *call, const char *content_type, const struct buf *text)
{
    struct buf body;
    buf_init(&body, DOCUMENT_MAX);
    buf_append_slice(&body, buf_slice(text));
    http_add_header(call->request, "X-Content-Type-Options", "nosniff");
    http_respond(call->request, 200, content_type, &body);
    buf_done(&body);
}

enum ph_error api_root(struct api_call *call, struct diag *diag)
{
    (void)diag;
    http_add_header(call->request, "Location", "/docs");
    http_respond_empty(call->request, 307);
    return PH_OK;
}

enum ph_error api_openapi(struct api_call *call, struct diag *diag)
{
    (void)diag;
    answer(call, "application/json", &call->api->documents.openapi);
    return PH_OK;
}

enum ph_error api_reference(struct api_call *call, struct diag *diag)
{
    (void)diag;
    const struct documents *documents = &call->api->documents;
    http_add_header(call->request, "Content-Security-Policy", buf_text(&documents->policy));
    http_add_header(call->request, "Referrer-Policy", "no-referrer");
    answer(call, "text/html; charset=utf-8", &documents->reference);
    return PH_OK;
}
