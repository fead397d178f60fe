/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoint URLs: http and https only, normalised as a WHATWG URL parser does. Stricter than it in
 * what it takes: no tabs, line breaks or control characters anywhere, no spaces in front or in the
 * host (elsewhere they are encoded, at the end of the text too), `//` after the scheme, no
 * backslash in front of the path, hosts in ASCII (punycode is fine), port 1..65535. Pure; any
 * thread.
 */
#ifndef PH_CORE_URL_H
#define PH_CORE_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define URL_LENGTH_MAX 2048 /* before and after normalising */

/*
 * Appends to `normal` the normal form: scheme and host in lower case, `/` as the least path, no
 * default port, dot segments resolved, IPv4 numbers as dotted quad, IPv6 in its shortest form,
 * everything else percent-encoded where the standard asks. User info and fragment stay. PH_INVALID
 * naming `field`; then nothing was appended.
 */
PH_NODISCARD enum ph_error url_normalise(struct slice text, const char *field, struct diag *diag,
                                         struct buf *normal);

/* Parts of a normal form; slices into it, SLICE_NONE when absent. Nothing is decoded. */
struct url_parts {
    bool is_https;
    uint16_t port; /* the default one when none is written */
    struct slice username;
    struct slice password;
    struct slice host; /* IPv6 without brackets */
    struct slice path;
    struct slice query;    /* without `?` */
    struct slice fragment; /* without `#` */
};

/* False when `url` does not have the shape that url_normalise makes. */
bool url_split(struct slice url, struct url_parts *ret_parts);
/* Appends `part` with %XX decoded, for user name and password. Other bytes stay as they are. */
void url_append_decoded(struct slice part, struct buf *text);
/* Appends the URL as logs may show it: scheme, host, port and path; no user info, query or
 * fragment. What is no URL becomes "(not a url)". */
void url_redact(struct slice url, struct buf *text);

#endif
