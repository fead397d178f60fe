/* SPDX-License-Identifier: Apache-2.0 */
/* What the config files share while one document is read. */
#ifndef PH_SURFACES_MAGPIE_CONFIG_INT_H
#define PH_SURFACES_MAGPIE_CONFIG_INT_H

#include "surfaces/magpie/config.h"
#include "surfaces/magpie/yaml.h"

/* One document. */
struct magpie_reading {
    struct magpie_config *config;
    struct slice file;
    struct magpie_yaml yaml; /* its arena ends with the document */
    struct slice hook;       /* the name of the present one, SLICE_NONE = not known */
};

/* Notes something about the present hook, or about none. */
PH_PRINTF(4, 5)
void magpie_reading_find(struct magpie_reading *reading, bool is_error, size_t line,
                         const char *format, ...);
/* One item of the list, number `place` of its file (from 1): section 2.3. */
void magpie_reading_hook(struct magpie_reading *reading, const struct yaml_node *node,
                         size_t place);

#endif
