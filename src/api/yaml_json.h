/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML as far as it can say what JSON says: maps with plain keys, sequences, and scalars by the
 * core schema of YAML 1.2 (`no` is a text). Aliases are copies, `<<` merges maps. Pure; any thread.
 */
#ifndef PH_API_YAML_JSON_H
#define PH_API_YAML_JSON_H

#include <jansson.h>

#include "core/yaml.h"

/* The one document of `text`; a new reference. PH_INVALID at `field` with the line, PH_NO_MEMORY
 * for one that is beyond all measure. */
PH_NODISCARD enum ph_error yaml_to_json(struct slice text, const char *field, struct diag *diag,
                                        json_t **ret_value);

#endif
