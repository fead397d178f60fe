/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Artifacts of runs: rows of chunks. An upload writes under an id of its own, which nobody can read
 * until it is finished; then it takes the place of the former one, whose chunks the sweep deletes
 * later, so that whoever reads them can read on. Thread: the store's owner; what writes runs inside
 * the writer's transaction.
 */
#ifndef PH_SURFACES_DBT_ARTIFACT_H
#define PH_SURFACES_DBT_ARTIFACT_H

#include "base/arena.h"
#include "base/buf.h"
#include "http/upload.h"
#include "store/store.h"

#define DBT_ARTIFACTS_MAX 1000 /* of one run */
#define DBT_ARTIFACT_PATH_BYTES_MAX 1024
#define DBT_ARTIFACT_CHUNK_BYTES HTTP_UPLOAD_PIECE_BYTES /* each piece is one */
#define DBT_ARTIFACT_GRACE_US INT64_C(600000000) /* of uploads that stand still, and of readers */

struct dbt_artifact {
    int64_t id;
    struct slice path;
    int64_t bytes;
    int64_t chunks;
};

/* A relative path of names, without `.` and `..`. */
bool dbt_artifact_path_is_valid(struct slice path);

/* --- an upload -------------------------------------------------------------------------------- */

/* PH_CONFLICT when the run has DBT_ARTIFACTS_MAX others already. */
PH_NODISCARD enum ph_error dbt_artifact_begin(struct store *store, int64_t id, int64_t run_id,
                                              struct slice path, int64_t now_us, struct diag *diag);
/* PH_CONFLICT when the upload was given up meanwhile. */
PH_NODISCARD enum ph_error dbt_artifact_add(struct store *store, int64_t id, int64_t number,
                                            struct slice content, int64_t now_us,
                                            struct diag *diag);
/* From now on it is what is read; likewise. *ret_is_new: the run had none at this path. */
PH_NODISCARD enum ph_error dbt_artifact_finish(struct store *store, int64_t id, int64_t run_id,
                                               struct slice path, int64_t now_us, struct diag *diag,
                                               bool *ret_is_new);
/* Nothing becomes of the upload. */
PH_NODISCARD enum ph_error dbt_artifact_give_up(struct store *store, int64_t id, struct diag *diag);

/* --- reading ---------------------------------------------------------------------------------- */

/* PH_NOT_FOUND. */
PH_NODISCARD enum ph_error dbt_artifact_find(struct store *store, int64_t run_id, struct slice path,
                                             struct diag *diag, struct dbt_artifact *ret_artifact);
/* That of the account's latest run of a job that has one and is ingested. PH_NOT_FOUND. */
PH_NODISCARD enum ph_error dbt_artifact_find_latest(struct store *store, int64_t account,
                                                    int64_t job_id, struct slice path,
                                                    struct diag *diag,
                                                    struct dbt_artifact *ret_artifact);
/* By path; `rows` has room for DBT_ARTIFACTS_MAX. */
PH_NODISCARD enum ph_error dbt_artifact_list(struct store *store, int64_t run_id,
                                             struct arena *arena, struct diag *diag,
                                             struct dbt_artifact *rows, size_t *ret_count);
/* Calls `take` with one chunk. PH_NOT_FOUND when it is gone. */
PH_NODISCARD enum ph_error dbt_artifact_chunk(struct store *store, int64_t id, int64_t number,
                                              struct diag *diag,
                                              void (*take)(void *context, struct slice content),
                                              void *context);
/* The whole of a small one. PH_TOO_LARGE above the buffer's maximum. */
PH_NODISCARD enum ph_error dbt_artifact_read(struct store *store,
                                             const struct dbt_artifact *artifact, struct diag *diag,
                                             struct buf *content);

/* --- retention -------------------------------------------------------------------------------- */

#define DBT_ARTIFACT_SWEEP_CHUNKS 16

/* Deletes at most DBT_ARTIFACT_SWEEP_CHUNKS chunks of one that cannot be read and was not touched
 * since `before_us`. *ret_is_more: call again. */
PH_NODISCARD enum ph_error dbt_artifact_sweep(struct store *store, int64_t before_us,
                                              struct diag *diag, bool *ret_is_more);

#endif
