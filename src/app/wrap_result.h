/* SPDX-License-Identifier: Apache-2.0 */
/* What dbt's artifacts say of a run: run_results.json, and the head of each. Pure. */
#ifndef PH_APP_WRAP_RESULT_H
#define PH_APP_WRAP_RESULT_H

#include "base/buf.h"
#include "base/error.h"

struct wrap_result {
    int64_t generated_at_us; /* 0 = it does not say */
    int64_t node_count;
    int64_t passed_count;
    int64_t warned_count;
    int64_t failed_count;
    int64_t skipped_count;
    struct buf dbt_version;
    struct buf failed; /* "model orders, test not_null_orders_id and 3 more" */
    struct buf log;    /* a line for each node that failed, then the counts */
};

void wrap_result_init(struct wrap_result *result);
void wrap_result_done(struct wrap_result *result);
/* Reads run_results.json; PH_INVALID when it is none. */
PH_NODISCARD enum ph_error wrap_result_read(struct wrap_result *result, struct slice text,
                                            struct diag *diag);

/* "model orders" of "model.shop.orders", "test not_null_orders_id" of
 * "test.shop.not_null_orders_id.6c0b2b8f5e". */
void wrap_result_append_node(struct slice unique_id, struct buf *text);
/* metadata.dbt_version of an artifact, or of its beginning; nothing when it does not say. */
void wrap_result_append_version(struct slice head, struct buf *text);

#endif
