/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passwords as they are stored: scrypt (RFC 7914) as text, "$scrypt$ln=14,r=8,p=5$salt$hash" with
 * salt and hash in URL-safe base64. It takes a quarter of a second of a processor and 16 MiB, so it
 * belongs on threads of its own (api/password.h). Pure; any thread.
 */
#ifndef PH_CORE_PASSWORD_HASH_H
#define PH_CORE_PASSWORD_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

#define PASSWORD_SALT_BYTES 16
#define PASSWORD_TEXT_MAX 128 /* with the NUL */

/* PH_NO_MEMORY when scrypt has none. */
PH_NODISCARD enum ph_error password_hash(struct slice password,
                                         const uint8_t salt[PASSWORD_SALT_BYTES], struct diag *diag,
                                         char ret_text[PASSWORD_TEXT_MAX]);
/* Whether `stored` was made of this password; false too for a text that is none of ours, after as
 * much work. */
bool password_matches(struct slice password, struct slice stored);

#endif
