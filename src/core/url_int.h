/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by url.c (the parts) and url_host.c (the host). */
#ifndef PH_CORE_URL_INT_H
#define PH_CORE_URL_INT_H

#include <stdbool.h>

#include "base/buf.h"

#define URL_HOST_MAX 253 /* of a DNS name, RFC 1035 */

/* Appends the normal form of a host as written in a URL (IPv6 in brackets). On failure *ret_words
 * says why. */
bool url_append_host(struct slice host, struct buf *normal, const char **ret_words);
/* Value of a hexadecimal digit, or -1. */
int url_hex_digit(char byte);

#endif
