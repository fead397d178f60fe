/* SPDX-License-Identifier: Apache-2.0 */
/* Which custom headers an endpoint may have (svix-api spec section 7). Pure; any thread. */
#ifndef PH_CORE_HEADER_RULE_H
#define PH_CORE_HEADER_RULE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"

#define HEADER_NAME_MAX 256
#define HEADER_VALUE_MAX 4096
/* Of one endpoint: headers, and bytes of all names and values. */
#define HEADER_COUNT_MAX 100
#define HEADER_BYTES_MAX 65536

/* The name is a token (RFC 9110 section 5.6.2) and not one of those that belong to the connection,
 * the message, the URL or the signature. PH_INVALID naming `field`. */
PH_NODISCARD enum ph_error header_rule_check_name(struct slice name, const char *field,
                                                  struct diag *diag);
/* At most 4096 bytes without CR, LF, NUL or other control characters save tab. */
PH_NODISCARD enum ph_error header_rule_check_value(struct slice value, const char *field,
                                                   struct diag *diag);
/* Whether the value is never shown again, only the name: it ends in `key`, or has a word such as
 * `token`, `secret`, `password`, `cookie` or `authorization` in it (words are parted by `-` and
 * `_`). More than the original's list, and all of that. */
bool header_rule_is_sensitive(struct slice name);

#endif
