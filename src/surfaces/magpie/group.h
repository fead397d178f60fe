/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of groups. Thread: the store's owner. */
#ifndef PH_SURFACES_MAGPIE_GROUP_H
#define PH_SURFACES_MAGPIE_GROUP_H

#include "base/arena.h"
#include "store/store.h"

struct magpie_group {
    int64_t id;
    struct slice name;
    struct slice description; /* may be empty, like the terms */
    bool is_discoverable;
    struct slice terms;
};

/* PH_NOT_FOUND naming `group_name`. Texts are copied into `arena`. */
PH_NODISCARD enum ph_error magpie_group_find(struct store *store, struct slice name,
                                             struct arena *arena, struct diag *diag,
                                             struct magpie_group *ret_group);

#endif
