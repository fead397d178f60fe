/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures that are an HMAC-SHA256 of the body alone, as dbt and many others sign. Pure; any
 * thread. */
#ifndef PH_APP_BODY_SIGNATURE_H
#define PH_APP_BODY_SIGNATURE_H

#include <stdbool.h>

#include "base/slice.h"

/* Whether `signature` ends with the HMAC of `body` under `key`, in hexadecimal or base64; what
 * stands before it is a prefix such as `sha256=`. */
bool body_signature_fits(struct slice key, struct slice body, struct slice signature);

#endif
