/* SPDX-License-Identifier: Apache-2.0 */
/* The columns of an attempt in queries that list them. Thread: the store's owner. */
#ifndef PH_STORE_ATTEMPT_LIST_INT_H
#define PH_STORE_ATTEMPT_LIST_INT_H

#include "store/attempt_list.h"
#include "store/store_int.h"

#define ATTEMPT_COLUMNS                                                                            \
    "attempt.id, attempt.message_id, attempt.endpoint_id, attempt.status, attempt.response_code,"  \
    " attempt.duration_ms, attempt.trigger_type, attempt.url"
#define ATTEMPT_COLUMN_COUNT 8

/* From the first columns of the copier's row. */
void attempt_read_columns(struct row_copier *copier, struct attempt_row *ret_row);

#endif
