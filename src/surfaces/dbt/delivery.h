/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How one subscription wants its deliveries beyond what dbt's clients can say: the object of the
 * extension call …/subscriptions/{id}/delivery, kept as JSON beside the subscription. Pure; any
 * thread; slices into the text or the arena.
 */
#ifndef PH_SURFACES_DBT_DELIVERY_H
#define PH_SURFACES_DBT_DELIVERY_H

#include "api/input.h"
#include "base/json_out.h"

#define DBT_FILTER_ITEMS_MAX 1000
#define DBT_REGEX_BYTES_MAX 512

enum dbt_scheme {
    DBT_SCHEME_DBT,      /* hex HMAC alone, in signatureHeader */
    DBT_SCHEME_STANDARD, /* Standard Webhooks in its own headers, nothing in Authorization */
    DBT_SCHEME_BOTH,
    DBT_SCHEME_COUNT
};

struct dbt_delivery {
    enum dbt_scheme scheme;
    struct slice signature_header; /* never SLICE_NONE */
    struct slice *environment_ids; /* digits */
    size_t environment_count;      /* 0 = all */
    struct slice *project_ids;
    size_t project_count;
    struct slice *statuses; /* as they were given */
    size_t status_count;
    struct slice job_name_regex; /* SLICE_NONE = all */
    bool collapses;              /* errored and completed of one run are one event */
    bool waits_for_artifacts;    /* errored comes when the artifacts can be read */
    bool is_enriched;
};

/* From a request's body, or from what dbt_delivery_write gave: absent members are the defaults. */
PH_NODISCARD enum ph_error dbt_delivery_read(struct input *input,
                                             struct dbt_delivery *ret_delivery);
/* The stored text. PH_STORE when it is none of ours. */
PH_NODISCARD enum ph_error dbt_delivery_parse(struct slice json, struct arena *arena,
                                              struct diag *diag, struct dbt_delivery *ret_delivery);
void dbt_delivery_write(struct json_out *out, const struct dbt_delivery *delivery);
/* Appends the jq program that says what is sent to a subscription of these event types (a JSON
 * array of names); nothing when all is. */
void dbt_delivery_filter(const struct dbt_delivery *delivery, struct slice event_types,
                         struct buf *program);
/* Appends a jq program that fails when job_name_regex, which must be there, is no regular
 * expression of jq's. */
void dbt_delivery_trial(const struct dbt_delivery *delivery, struct buf *program);
/* Run status code that a name or a number stands for ("Success", "errored", "30"); 0 = none. */
int64_t dbt_status_code(struct slice text);

#endif
