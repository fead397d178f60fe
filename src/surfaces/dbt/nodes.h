/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What run_results.json says of the nodes of a run. Of files above DBT_RESULTS_BYTES_MAX nothing is
 * told: they are read as a whole. Any thread; the store's owner's where there is a store.
 */
#ifndef PH_SURFACES_DBT_NODES_H
#define PH_SURFACES_DBT_NODES_H

#include "base/buf.h"
#include "base/json_out.h"
#include "store/store.h"

#define DBT_RESULTS_PATH "run_results.json"
#define DBT_RESULTS_BYTES_MAX ((size_t)32 * 1024 * 1024)
#define DBT_NODES_MAX 10000 /* that a list has */
#define DBT_FAILED_MAX 20   /* that an event has */

/* JSON texts of the file, SLICE_NONE where it has none. */
struct dbt_node {
    struct slice unique_id;
    struct slice status;
    struct slice message;
    struct slice execution_time;
    struct slice failures;
};

/* Calls `take` for each element of `results`. PH_INVALID when the text is no such file. */
PH_NODISCARD enum ph_error dbt_nodes_read(struct slice text, struct diag *diag,
                                          void (*take)(void *context, const struct dbt_node *node),
                                          void *context);
bool dbt_node_is_failed(const struct dbt_node *node);
/* `{"total":N,"nodes":[{"unique_id","status","message"}…]}` of the first that failed. PH_INVALID.
 */
PH_NODISCARD enum ph_error dbt_nodes_failed_write(struct slice text, struct diag *diag,
                                                  struct buf *json);
/* The same of a run's artifact; nothing is appended when it has none that can be read so. */
PH_NODISCARD enum ph_error dbt_nodes_failed_find(struct store *store, int64_t run_id,
                                                 struct diag *diag, struct buf *json);
/* One node of a list, texts cut to a length that is fit for it. */
void dbt_node_write(struct json_out *out, const struct dbt_node *node);

#endif
