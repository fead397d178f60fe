/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML documents as trees, before anybody says what their scalars mean: that is a schema, of which
 * there are several (YAML 1.1 and 1.2 disagree on `no`). Aliases are not copied: a node may stand
 * at several places, never inside itself. Pure; any thread.
 */
#ifndef PH_CORE_YAML_H
#define PH_CORE_YAML_H

#include "base/arena.h"
#include "base/error.h"

#define YAML_DEPTH_MAX 128
/* Scalars, maps and sequences, those that aliases repeat counted again. */
#define YAML_NODES_MAX 200000
#define YAML_ANCHORS_MAX 1000
/* What an arena should allow beside the text itself. */
#define YAML_ARENA_BYTES ((size_t)64 * 1024 * 1024)

enum yaml_node_kind { YAML_NODE_SCALAR, YAML_NODE_SEQUENCE, YAML_NODE_MAP };

struct yaml_entry;

struct yaml_node {
    enum yaml_node_kind kind;
    bool is_plain;            /* a scalar without quotes, not a block one */
    bool is_marked;           /* the reader's own, for what is to be done once */
    size_t line;              /* from 1 */
    struct slice tag;         /* as it is resolved, SLICE_NONE = none */
    struct slice text;        /* of a scalar; may hold NUL bytes */
    struct yaml_entry *first; /* what it has, in order */
    size_t count;
    size_t weight;  /* itself and all below it, repeated ones again */
    unsigned depth; /* levels below it */
};

struct yaml_entry {
    struct yaml_node *key; /* NULL in a sequence */
    struct yaml_node *value;
    struct yaml_entry *next;
};

/* For `for`. */
#define YAML_FOR_EACH(entry, node)                                                                 \
    for (const struct yaml_entry *entry = (node)->first; (entry) != NULL; (entry) = (entry)->next)

/* The one document of `text`, in memory of `arena`. PH_INVALID with words, and the line in
 * *ret_line; PH_NO_MEMORY at the arena's cap. The diag has no field. */
PH_NODISCARD enum ph_error yaml_read(struct slice text, struct arena *arena, struct diag *diag,
                                     size_t *ret_line, struct yaml_node **ret_root);
/* A plain `<<` as key: the value's members are merged into the map. */
bool yaml_is_merge(const struct yaml_node *key);

#endif
