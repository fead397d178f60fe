/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of endpoints share. */
#ifndef PH_TESTS_CONTRACT_STORE_ENDPOINT_RIG_H
#define PH_TESTS_CONTRACT_STORE_ENDPOINT_RIG_H

#include "contract/store_rig.h"
#include "store/endpoint.h"

#define APPLICATION 7
#define OTHER_APPLICATION 8

static inline struct endpoint_row endpoint_row_of(int64_t id, const char *uid)
{
    return (struct endpoint_row){
        .id = id,
        .application_id = APPLICATION,
        .uid = slice_of(uid),
        .url = TEXT("https://h.example/a?b=%20c"),
        .description = TEXT(""),
        .version = 1,
        .metadata = TEXT("{}"),
        .headers = TEXT("{}"),
        .created_at_us = NOW_US,
        .updated_at_us = NOW_US,
    };
}

static inline void endpoint_put(struct store_rig *rig, const struct endpoint_row *row)
{
    struct diag diag = {0};
    CONTRACT_OK(endpoint_insert(rig->store, row, &diag), &diag);
}

static inline void endpoint_add(struct store_rig *rig, int64_t id, const char *uid)
{
    const struct endpoint_row row = endpoint_row_of(id, uid);
    endpoint_put(rig, &row);
}

static inline void endpoint_remove(struct store_rig *rig, int64_t id)
{
    struct diag diag = {0};
    CONTRACT_OK(endpoint_delete(rig->store, id, LATER_US, &diag), &diag);
}

static inline struct endpoint_row endpoint_found(struct store_rig *rig, int64_t id)
{
    struct diag diag = {0};
    struct endpoint_row row;
    CONTRACT_OK(
        endpoint_find(rig->store, APPLICATION, id, ENDPOINT_WITH_DELETED, &rig->arena, &diag, &row),
        &diag);
    return row;
}

static inline enum ph_error endpoint_find_error(struct store_rig *rig, int64_t application_id,
                                                int64_t id)
{
    struct endpoint_row row;
    return endpoint_find(rig->store, application_id, id, ENDPOINT_LIVE, &rig->arena, NULL, &row);
}

static inline void endpoint_change(struct store_rig *rig, const struct endpoint_row *row)
{
    struct diag diag = {0};
    CONTRACT_OK(endpoint_update(rig->store, row, &diag), &diag);
}

#endif
