/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compiled schema: nodes in an arena, one for each schema of the document. What a schema does not
 * say is left out of its node: NULL, 0, or the first value of an enum.
 */
#ifndef PH_CORE_SCHEMA_INT_H
#define PH_CORE_SCHEMA_INT_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/buf.h"
#include "base/map.h"
#include "core/schema.h"
#include "core/schema_value.h"

/* Types as bits; an integer is also a number. */
enum schema_types {
    SCHEMA_OBJECT = 1 << 0,
    SCHEMA_ARRAY = 1 << 1,
    SCHEMA_STRING = 1 << 2,
    SCHEMA_NUMBER = 1 << 3,
    SCHEMA_INTEGER = 1 << 4,
    SCHEMA_BOOLEAN = 1 << 5,
    SCHEMA_NULL = 1 << 6,
};
#define SCHEMA_TYPE_COUNT 7

struct schema_node;

struct schema_list {
    struct schema_node **nodes;
    size_t count;
};

/* A value of `enum` or `const`. */
struct schema_constant {
    enum scan_type type;
    struct slice value;
};

struct schema_pattern {
    const pcre2_code *code;   /* owned by the schema */
    struct schema_node *node; /* of patternProperties */
};

struct schema_property {
    struct slice name; /* decoded */
    struct schema_node *node;
    const char *text_ptr; /* where its schema stands */
};

struct schema_dependency {
    struct slice name;
    struct schema_node *node; /* or */
    struct slice *names;
    size_t count;
};

struct number_rules {
    bool has_multiple_of;
    bool has_maximum;
    bool has_exclusive_maximum;
    bool has_minimum;
    bool has_exclusive_minimum;
    struct decimal multiple_of;
    struct decimal maximum;
    struct decimal exclusive_maximum;
    struct decimal minimum;
    struct decimal exclusive_minimum;
};

/* Limits of size: INT64_MAX and 0 where there are none. */
struct size_rules {
    int64_t maximum;
    int64_t minimum;
};

#define SIZE_RULES_NONE ((struct size_rules){INT64_MAX, 0})

struct string_rules {
    struct size_rules length;
    const pcre2_code *pattern;
};

struct array_rules {
    struct size_rules items;
    bool is_unique;
    struct schema_node *each; /* `items` as one schema */
    bool has_positions;       /* `items` is an array: */
    struct schema_list positions;
    struct schema_node *additional; /* beyond the positions */
    struct schema_node *contains;
};

struct object_rules {
    struct size_rules members;
    struct slice *required; /* sorted */
    size_t required_count;
    struct schema_property *properties; /* sorted */
    size_t property_count;
    struct schema_pattern *patterns;
    size_t pattern_count;
    struct schema_node *additional;
    struct schema_node *names;
    struct schema_dependency *dependencies;
    size_t dependency_count;
};

struct combination {
    struct schema_list all;
    struct schema_list any;
    struct schema_list one;
    struct schema_node *none; /* `not` */
    struct schema_node *condition;
    struct schema_node *consequence;
    struct schema_node *otherwise;
};

enum node_kind { NODE_RULES, NODE_ANYTHING, NODE_NOTHING, NODE_REFERENCE };

struct schema_node {
    enum node_kind kind;
    unsigned types; /* 0 = all */
    struct schema_constant *constant;
    struct schema_constant *values; /* of `enum`; not NULL when there is one */
    size_t value_count;
    struct schema_node *target; /* of a reference */
    struct number_rules *number;
    struct string_rules *string;
    struct array_rules *array;
    struct object_rules *object;
    struct combination *combination;
    /* The compiler's. */
    struct slice text;
    struct slice reference; /* decoded `$ref` */
    size_t base;            /* index of the resource that it belongs to */
    unsigned height;        /* longest chain below it; 0 = not known yet */
    bool is_on_path;
};

/* What PCRE2 allocated. */
struct schema_code {
    struct schema_code *next;
    pcre2_code *code;
};

struct schema {
    struct arena arena;
    struct schema_node *root;
    struct schema_code *codes;
    size_t code_bytes;
};

/* --- compiling ----------------------------------------------------------------------------------
 */

/* A schema with a URI of its own. */
struct resource {
    struct slice uri;  /* absolute, without fragment; empty for a document without `$id` */
    struct slice text; /* the schema's */
};

/* A name that `$id: "#name"` gave. */
struct schema_anchor {
    size_t base;
    struct slice name;
    struct schema_node *node;
};

struct compiler {
    struct schema *schema;
    struct arena scratch; /* for as long as it is compiled */
    struct map nodes;     /* by the place of their text */
    struct map indexes;   /* of the members of objects that references lead through, likewise */
    struct resource *resources;
    size_t resource_count;
    struct schema_anchor *anchors;
    size_t anchor_count;
    struct schema_node **order; /* all nodes; references are resolved in this order */
    size_t node_count;
    unsigned depth;        /* of the chain that is being followed */
    size_t work;           /* bytes looked at */
    struct slice document; /* of the schema; errors tell a place in it */
    pcre2_compile_context *patterns;
    const char *field;
    struct diag *diag;
    enum ph_error error; /* the first one */
};

/* The text of draft 7's meta-schema and its URI. */
extern const char schema_meta_text[];
extern const char schema_meta_uri[];

/* The node of the schema that `text` is, made when there is none yet. NULL after an error. */
struct schema_node *schema_compile_node(struct compiler *compiler, enum scan_type type,
                                        struct slice text, size_t base);
/* Reads the keywords of an object into the node. */
void schema_read_keywords(struct compiler *compiler, struct schema_node *node);
/* How expressions are compiled; freed by the caller. */
pcre2_compile_context *schema_pattern_context(void);
/* Compiles a regular expression, a string value of the schema. NULL after an error. */
const pcre2_code *schema_pattern(struct compiler *compiler, struct slice value);
/* Memory of the schema, cleared; NULL and an error at its limit. */
void *schema_alloc(struct compiler *compiler, size_t count, size_t size_bytes);
/* A decoded string of the schema. */
struct slice schema_text(struct compiler *compiler, struct slice value);
/* The last member of an object with this name. */
bool schema_member(struct compiler *compiler, struct slice object, const char *name,
                   struct scan_member *ret_member);
/* Counts work; an error when it was too much. */
void schema_work(struct compiler *compiler, struct slice text);
/* The first error sticks. `at` is where in the document it is. */
PH_PRINTF(3, 4)
void schema_refuse(struct compiler *compiler, struct slice at, const char *format, ...);
/* Adds a resource and gives its index; an index of the past when the URI is known. */
size_t schema_add_resource(struct compiler *compiler, struct slice uri, struct slice text);

#endif
