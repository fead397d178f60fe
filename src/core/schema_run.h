/* SPDX-License-Identifier: Apache-2.0 */
/* One validation: what its files share. Belongs to one thread. */
#ifndef PH_CORE_SCHEMA_RUN_H
#define PH_CORE_SCHEMA_RUN_H

#include "core/schema_int.h"

/* Where in the value a check is. */
struct place {
    const struct place *up; /* NULL at the root */
    struct slice key;       /* as written between the quotes; ptr NULL for an element */
    size_t index;
};

struct run {
    schema_clock *clock;
    struct schema_budget *budget;
    struct arena scratch;
    struct buf text; /* of the string that is being matched */
    unsigned depth;
    unsigned quiet; /* above 0 nothing is reported: a failure here decides nothing yet */
    bool is_exhausted;
    char *seen; /* a stack of flags for members that are required */
    size_t seen_count;
    size_t seen_capacity;
    pcre2_match_context *context;
    pcre2_match_data *matches;
    const char *field;
    struct diag *diag;
};

/* Whether a value fits. False after too much work too: then run->is_exhausted. */
bool schema_check(struct run *run, const struct schema_node *node, const struct place *place,
                  enum scan_type type, struct slice value);
/* Says why it does not; returns false. */
PH_PRINTF(3, 4)
bool schema_fail(struct run *run, const struct place *place, const char *format, ...);
/* Counts work; false when it is too much. */
bool schema_spend(struct run *run, size_t amount);

bool schema_check_object(struct run *run, const struct object_rules *rules,
                         const struct place *place, struct slice value);
bool schema_check_array(struct run *run, const struct array_rules *rules, const struct place *place,
                        struct slice value);
/* Whether the expression matches in a decoded text. */
bool schema_matches(struct run *run, const pcre2_code *code, struct slice text);
/* Appends what is written between the quotes of a string; half of a surrogate pair becomes U+FFFD.
 */
void schema_decode(struct slice inside, struct buf *text);

#endif
