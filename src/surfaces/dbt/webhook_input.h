/* SPDX-License-Identifier: Apache-2.0 */
/* The body of create and update (dbt spec section 3.3). Thread: the request's. */
#ifndef PH_SURFACES_DBT_WEBHOOK_INPUT_H
#define PH_SURFACES_DBT_WEBHOOK_INPUT_H

#include "surfaces/dbt/dbt_int.h"

struct dbt_webhook_input {
    struct slice name;
    struct slice client_url; /* as it was given */
    struct slice url;        /* its normal form */
    struct slice description;
    struct slice event_types; /* JSON array */
    struct slice channels;    /* JSON array of "job.N", SLICE_NONE = all jobs */
    bool has_active;
    bool is_active;
};

PH_NODISCARD enum ph_error dbt_webhook_read(struct api_call *call, struct diag *diag,
                                            struct dbt_webhook_input *ret_input);

#endif
