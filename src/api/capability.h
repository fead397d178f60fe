/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the token of an application may do beyond belonging to it: the capabilities of the portal
 * (AppPortalCapability of the SDKs). A token without the claim has all of them. Pure; any thread.
 */
#ifndef PH_API_CAPABILITY_H
#define PH_API_CAPABILITY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum capability {
    CAPABILITY_VIEW_BASE = 1 << 0,              /* read, but no secrets of endpoints */
    CAPABILITY_VIEW_ENDPOINT_SECRET = 1 << 1,   /* read secrets */
    CAPABILITY_MANAGE_ENDPOINT_SECRET = 1 << 2, /* read and rotate secrets */
    CAPABILITY_MANAGE_TRANSFORMATIONS = 1 << 3, /* change transformations */
    CAPABILITY_CREATE_ATTEMPTS = 1 << 4,        /* resend, recover, replay, send examples */
    CAPABILITY_MANAGE_ENDPOINT = 1 << 5,        /* all of an endpoint's fields, secrets too */
    CAPABILITY_ALL = (1 << 6) - 1,
};

#define CAPABILITY_COUNT 6

/* The bit of a name such as "ViewBase"; 0 for other texts. */
unsigned capability_parse(struct slice name);
/* Names in the order of the bits; index 0..CAPABILITY_COUNT-1. Static text. */
const char *capability_name(size_t index);
/* What is left of capabilities in read-only mode; `capabilities` 0 = none were named. */
unsigned capability_read_only(unsigned capabilities);

#endif
