/* SPDX-License-Identifier: Apache-2.0 */
/* The delivery format `magpie`: a hook's request, made of its payload and the parameters of an
 * event (magpie spec sections 4 and 5). */
#ifndef PH_SURFACES_MAGPIE_FORMAT_H
#define PH_SURFACES_MAGPIE_FORMAT_H

#include "flow/format.h"
#include "surfaces/magpie/config.h"

extern const struct delivery_format magpie_format;

/* What the format needs to know of a hook. */
struct magpie_request {
    const char *method; /* static */
    const struct magpie_body_format *format;
    struct slice payload; /* JSON, SLICE_NONE = no body */
};

/* Appends the body; nothing for one without. PH_INVALID, PH_NO_MEMORY. */
PH_NODISCARD enum ph_error magpie_body_render(const struct magpie_request *request,
                                              const struct magpie_parameters *parameters,
                                              struct arena *arena, struct diag *diag,
                                              struct buf *ret_body);

#endif
