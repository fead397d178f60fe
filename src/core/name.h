/* SPDX-License-Identifier: Apache-2.0 */
/* Names that callers choose (svix-api spec sections 2, 7, 8). Pure; any thread. Each function
 * returns PH_INVALID naming `field` (such as "body.uid") when the text is not valid. */
#ifndef PH_CORE_NAME_H
#define PH_CORE_NAME_H

#include "base/error.h"
#include "base/slice.h"
#include "core/id.h"

#define NAME_UID_MAX 256
#define NAME_EVENT_TYPE_MAX 256
#define NAME_CHANNEL_MAX 128

/* 1..256 of a-z A-Z 0-9 - _ . and not starting with the prefix of `kind`'s ids. */
PH_NODISCARD enum ph_error name_check_uid(struct slice text, enum id_kind kind, const char *field,
                                          struct diag *diag);
/* 1..256 of a-z A-Z 0-9 - _ . */
PH_NODISCARD enum ph_error name_check_event_type(struct slice text, const char *field,
                                                 struct diag *diag);
/* 1..128 of a-z A-Z 0-9 - _ . */
PH_NODISCARD enum ph_error name_check_channel(struct slice text, const char *field,
                                              struct diag *diag);

#endif
