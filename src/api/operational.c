/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operational webhooks (svix-api spec sections 12 and 14): the endpoints on which an organisation
 * is told about its own. They are endpoints of that application of the management organisation
 * whose uid is the organisation's id, made with the first of them; what is told is
 * flow/operational.h's.
 */
#include "flow/operational.h"

#include "api/api_int.h"

/* From here on the call acts in the management organisation, on one application. */
static void enter(struct api_call *call)
{
    call->operational_uid = call->principal.org;
    call->principal.org = SLICE_LITERAL(OPERATIONAL_ORG);
}

enum ph_error api_operational_list(struct api_call *call, struct diag *diag)
{
    enter(call);
    return api_endpoint_list(call, diag);
}

enum ph_error api_operational_create(struct api_call *call, struct diag *diag)
{
    enter(call);
    return api_endpoint_create(call, diag);
}

enum ph_error api_operational_get(struct api_call *call, struct diag *diag)
{
    enter(call);
    return api_endpoint_get(call, diag);
}

enum ph_error api_operational_put(struct api_call *call, struct diag *diag)
{
    enter(call);
    return api_endpoint_put(call, diag);
}

enum ph_error api_operational_delete(struct api_call *call, struct diag *diag)
{
    enter(call);
    return api_endpoint_delete(call, diag);
}

enum ph_error api_operational_secret_get(struct api_call *call, struct diag *diag)
{
    enter(call);
    return api_endpoint_secret_get(call, diag);
}

enum ph_error api_operational_secret_rotate(struct api_call *call, struct diag *diag)
{
    enter(call);
    return api_endpoint_secret_rotate(call, diag);
}

enum ph_error api_operational_headers_get(struct api_call *call, struct diag *diag)
{
    enter(call);
    return api_endpoint_headers_get(call, diag);
}

enum ph_error api_operational_headers_put(struct api_call *call, struct diag *diag)
{
    enter(call);
    return api_endpoint_headers_put(call, diag);
}
