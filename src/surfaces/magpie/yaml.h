/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents as the original reads them (magpie spec section 2.2): the scalars of YAML 1.1, of which
 * `no` is a boolean, 010 is 8 and 1:30 is 90; texts and keys with variables of the environment; and
 * all of it as JSON. Pure but for the environment; any thread that does not change that.
 */
#ifndef PH_SURFACES_MAGPIE_YAML_H
#define PH_SURFACES_MAGPIE_YAML_H

#include "base/buf.h"
#include "core/yaml.h"

#define MAGPIE_YAML_MEMBERS_MAX 1000 /* of one map */
#define MAGPIE_YAML_TEXT_MAX 65536   /* of one text with its variables */

enum magpie_yaml_type {
    MAGPIE_YAML_NULL,
    MAGPIE_YAML_BOOL,
    MAGPIE_YAML_INTEGER,
    MAGPIE_YAML_FLOAT,
    MAGPIE_YAML_TIME,
    MAGPIE_YAML_TEXT,
    MAGPIE_YAML_SEQUENCE,
    MAGPIE_YAML_MAP,
};

/* Reading of a document. The first fault has its words in `diag`, and its line. */
struct magpie_yaml {
    struct arena *arena;
    struct diag *diag;
    size_t line; /* of the fault */
};

struct magpie_yaml_member {
    struct slice key;
    size_t line; /* of the key */
    struct yaml_node *value;
};

/* What a node is, by its tag or its form. Only for nodes that magpie_yaml_check took. */
enum magpie_yaml_type magpie_yaml_type_of(const struct yaml_node *node);
/* "an integer" */
const char *magpie_yaml_type_name(enum magpie_yaml_type type);
/* Whether it counts as nothing: null, false, 0, and what is empty. */
bool magpie_yaml_is_falsy(const struct yaml_node *node);

/* Refuses what the original's reader refuses anywhere in a document: keys that are maps or
 * sequences, unknown tags, tags that do not fit, merges of what is no map. PH_INVALID. */
PH_NODISCARD enum ph_error magpie_yaml_check(struct magpie_yaml *yaml,
                                             const struct yaml_node *root);
/* Puts the environment's variables into every text and key below; refuses keys that are no texts,
 * and dates and times. Once for a tree. PH_INVALID. */
PH_NODISCARD enum ph_error magpie_yaml_expand(struct magpie_yaml *yaml, struct yaml_node *node);
/* The members of a map with those that it merges, in the order and with the values that the
 * original's dictionary has: of equal keys the place of the first and the value of the last.
 * PH_INVALID for too many, PH_NO_MEMORY. */
PH_NODISCARD enum ph_error magpie_yaml_members(struct magpie_yaml *yaml,
                                               const struct yaml_node *map,
                                               struct magpie_yaml_member **ret_members,
                                               size_t *ret_count);
/* The value of a key of the map or of what it merges; NULL when there is none. */
struct yaml_node *magpie_yaml_find(const struct yaml_node *map, const char *key);
/* Appends the node as JSON. PH_INVALID for what JSON cannot say, PH_NO_MEMORY; whether `json`
 * failed is the caller's to look at. */
PH_NODISCARD enum ph_error magpie_yaml_write(struct magpie_yaml *yaml, const struct yaml_node *node,
                                             struct buf *json);

#endif
