/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A local receiver that verifies webhooks and prints them: `listen`, and the receiver of --demo.
 * It knows Standard Webhooks, and an HMAC-SHA256 of the body in one header, as dbt Cloud's; a
 * webhook with both has to fit both.
 *
 * Concurrency: the handler runs on the listener's one http thread; keys are added before webhooks
 * for them can arrive, under a lock.
 */
#ifndef PH_APP_INSPECT_H
#define PH_APP_INSPECT_H

#include "base/error.h"
#include "core/signature.h"

struct inspector;

struct inspector_options {
    const char *address; /* to listen on */
    int status;          /* to answer with */
    /* Of the HMAC of the body; NULL: Authorization, when it has 64 hexadecimal digits. */
    const char *signature_header;
    bool is_json;  /* one JSON object per webhook */
    int64_t count; /* webhooks until inspector_wait returns, 0 = no end */
};

PH_NODISCARD enum ph_error inspector_start(const struct inspector_options *options,
                                           struct diag *diag, struct inspector **ret_inspector);
void inspector_stop(struct inspector *inspector); /* NULL is fine */
const char *inspector_address(const struct inspector *inspector);
/* A key that webhooks may be signed with: `whsec_…` and its like, or any text, which is the key of
 * dbt's signatures as it stands. */
PH_NODISCARD enum ph_error inspector_add_key(struct inspector *inspector, struct slice text,
                                             struct diag *diag);
/* Waits for the wanted count. Whether every signature fitted, so far as there was a key. */
bool inspector_wait(struct inspector *inspector);

#endif
