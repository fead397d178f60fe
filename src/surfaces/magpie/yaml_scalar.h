/* SPDX-License-Identifier: Apache-2.0 */
/* Plain scalars of YAML 1.1 by their forms, as the original's reader takes them, and numbers as it
 * writes them. Pure; any thread. */
#ifndef PH_SURFACES_MAGPIE_YAML_SCALAR_H
#define PH_SURFACES_MAGPIE_YAML_SCALAR_H

#include "surfaces/magpie/yaml.h"

/* What a plain scalar is: no sequence and no map. */
enum magpie_yaml_type magpie_scalar_type(struct slice text);
bool magpie_scalar_is_true(struct slice text); /* of a boolean */
/* Appends the value of an integer or a float as JSON has it. False when JSON cannot say it
 * (infinity) or it is a number of another base beyond 64 bits. */
bool magpie_scalar_append_number(struct slice text, struct buf *json);
/* Appends the shortest text that is read as the same number, in the form of the original. */
void magpie_scalar_append_double(double value, struct buf *json);

#endif
