/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PH_BENCH_SIGNATURE_H
#define PH_BENCH_SIGNATURE_H

#include "http.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Checks Standard Webhooks signatures: `v1,` + base64 of HMAC-SHA256 over `id.timestamp.body`
 * (standard-webhooks.com, "Verifying signatures"). Written apart from the server's signer on
 * purpose, so that a mistake in one is seen by the other. Each thread has its own verifier.
 */
struct signature_verifier;

/* Makes a verifier from `whsec_` + base64; NULL when the secret is malformed. */
struct signature_verifier *signature_verifier_new(const char *secret);
void signature_verifier_free(struct signature_verifier *verifier);

/* True when one of the space-separated signatures of the message matches. */
bool signature_is_good(struct signature_verifier *verifier, const struct http_message *message);

#endif
