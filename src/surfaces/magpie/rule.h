/* SPDX-License-Identifier: Apache-2.0 */
/* What names and texts may be (magpie spec section 8, field rules). Pure; any thread. */
#ifndef PH_SURFACES_MAGPIE_RULE_H
#define PH_SURFACES_MAGPIE_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define MAGPIE_USER_NAME_MAX 64
#define MAGPIE_NAME_MAX 256 /* of groups, services and resources */
#define MAGPIE_TEXT_MAX 1024
#define MAGPIE_URL_MAX 2048
#define MAGPIE_PASSWORD_MIN 12 /* characters */

/* Words of a-z and 0-9 with one `_`, `-` or `.` between. */
bool magpie_is_user_name(struct slice text);
/* Words of letters and digits (ASCII) with one white space, `_`, `-` or `.` between. */
bool magpie_is_group_name(struct slice text);
/* The same with `:` too. */
bool magpie_is_resource_name(struct slice text);
/* Something, one @, something; no white space and no control characters. */
bool magpie_is_email(struct slice text);
/* http or https with a host. */
bool magpie_is_service_url(struct slice text);
/* Characters of UTF-8. */
size_t magpie_character_count(struct slice text);
/* No control characters, at most MAGPIE_TEXT_MAX bytes. */
bool magpie_is_text(struct slice text);

/* Users' status; the numbers are the original's and stored. */
enum magpie_status {
    MAGPIE_STATUS_OK = 1,
    MAGPIE_STATUS_WEBHOOK_ERROR = 2,
    MAGPIE_STATUS_PENDING = 4,
};
#define MAGPIE_STATUS_ALL 7

const char *magpie_status_name(int64_t status); /* "WebhookError" */
/* A number, or a name in exact, lower, upper or title case. */
bool magpie_status_parse(struct slice text, int64_t *ret_status);
/* The same with commas between, or all, All, ALL: a set of bits. */
bool magpie_status_parse_filter(struct slice text, int64_t *ret_set);

#endif
