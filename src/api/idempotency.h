/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Idempotency keys of POST requests (svix-api spec section 5): the 16-byte hash that stands for
 * Authorization, key and URI. Keeping and replaying answers is api_submit's (api_int.h); messages
 * have a way of their own in flow/ingest.h. Thread: the request's.
 */
#ifndef PH_API_IDEMPOTENCY_H
#define PH_API_IDEMPOTENCY_H

#include "core/id.h"
#include "http/server.h"

/* False when the request is no POST or has no `idempotency-key`. *ret_is_auto: the key begins with
 * `auto_`, as those that SDKs make for every POST. The hash is keyed by the store's key. */
bool api_idempotency_hash(struct http_request *request, const struct id_codec *codec,
                          uint8_t ret_hash[16], bool *ret_is_auto);

#endif
