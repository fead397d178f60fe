/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the option table: from text to value. Pure. */
#ifndef PH_APP_OPTION_INT_H
#define PH_APP_OPTION_INT_H

#include "app/option.h"

/* Parses by the row's type and range. On failure (PH_INVALID) `reason` says what is wrong in words
 * that follow the quoted value: "is not a number". *ret_value owns memory on success. */
PH_NODISCARD enum ph_error option_parse(const struct option_row *row, struct slice text,
                                        struct diag *reason, struct option_value *ret_value);

#endif
