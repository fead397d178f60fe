/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/dbt/artifact.h"

#include "surfaces/dbt/dbt_int.h"

bool dbt_artifact_path_is_valid(struct slice path)
{
    struct slice rest = path;
    struct slice part;
    if (path.ptr == NULL || path.len == 0 || path.len > DBT_ARTIFACT_PATH_BYTES_MAX ||
        !slice_is_utf8_text(path)) {
        return false;
    }
    for (size_t index = 0; index < path.len; index++) {
        unsigned char byte = (unsigned char)path.ptr[index];
        if (byte < 0x20 || byte == 0x7f || byte == '\\') {
            return false;
        }
    }
    while (slice_next(&rest, '/', &part)) {
        if (part.len == 0 || slice_equal_text(part, ".") || slice_equal_text(part, "..")) {
            return false;
        }
    }
    return true;
}

/* --- an upload -------------------------------------------------------------------------------- */

static enum ph_error given_up(struct diag *diag)
{
    return diag_set(diag, PH_CONFLICT, NULL, "the upload stood still for too long");
}

/* The one number of a query. */
static enum ph_error read_number(struct db_statement *select, struct diag *diag,
                                 int64_t *ret_number)
{
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error == PH_OK) {
        *ret_number = has_row ? db_int64(select, 0) : 0;
        db_done(select);
    }
    return error;
}

/* Those of other paths; uploads that come are few. */
static enum ph_error count_others(struct store *store, int64_t run_id, struct slice path,
                                  struct diag *diag, int64_t *ret_count)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT count(*) FROM dbt_artifact WHERE run_id = $1"
                              " AND path <> $2 AND state = 1");
    db_bind_int64(select, 1, run_id);
    db_bind_text(select, 2, path);
    return read_number(select, diag, ret_count);
}

enum ph_error dbt_artifact_begin(struct store *store, int64_t id, int64_t run_id, struct slice path,
                                 int64_t now_us, struct diag *diag)
{
    int64_t count;
    enum ph_error error = count_others(store, run_id, path, diag, &count);
    if (error == PH_OK && count >= DBT_ARTIFACTS_MAX) {
        error =
            diag_set(diag, PH_CONFLICT, NULL, "a run has at most %d artifacts", DBT_ARTIFACTS_MAX);
    }
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *insert =
        db_prepare(store->db, "INSERT INTO dbt_artifact (id, run_id, path, state, bytes, chunks,"
                              " touched_at) VALUES ($1, $2, $3, 0, 0, 0, $4)");
    db_bind_int64(insert, 1, id);
    db_bind_int64(insert, 2, run_id);
    db_bind_text(insert, 3, path);
    db_bind_int64(insert, 4, now_us);
    return db_exec(insert, diag);
}

enum ph_error dbt_artifact_add(struct store *store, int64_t id, int64_t number,
                               struct slice content, int64_t now_us, struct diag *diag)
{
    struct db_statement *update =
        db_prepare(store->db, "UPDATE dbt_artifact SET bytes = bytes + $2, chunks = chunks + 1,"
                              " touched_at = $3 WHERE id = $1 AND state = 0");
    db_bind_int64(update, 1, id);
    db_bind_int64(update, 2, (int64_t)content.len);
    db_bind_int64(update, 3, now_us);
    enum ph_error error = db_exec(update, diag);
    if (error == PH_OK && db_changes(store->db) == 0) {
        error = given_up(diag);
    }
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *insert =
        db_prepare(store->db, "INSERT INTO dbt_artifact_chunk (artifact_id, number, content)"
                              " VALUES ($1, $2, $3)");
    db_bind_int64(insert, 1, id);
    db_bind_int64(insert, 2, number);
    db_bind_blob(insert, 3, content);
    return db_exec(insert, diag);
}

/* The one that is read until now. */
static enum ph_error replace(struct store *store, int64_t run_id, struct slice path, int64_t now_us,
                             struct diag *diag, bool *ret_was_there)
{
    struct db_statement *update =
        db_prepare(store->db, "UPDATE dbt_artifact SET state = 2, touched_at = $3"
                              " WHERE run_id = $1 AND path = $2 AND state = 1");
    db_bind_int64(update, 1, run_id);
    db_bind_text(update, 2, path);
    db_bind_int64(update, 3, now_us);
    enum ph_error error = db_exec(update, diag);
    *ret_was_there = error == PH_OK && db_changes(store->db) > 0;
    return error;
}

enum ph_error dbt_artifact_finish(struct store *store, int64_t id, int64_t run_id,
                                  struct slice path, int64_t now_us, struct diag *diag,
                                  bool *ret_is_new)
{
    bool was_there;
    enum ph_error error = replace(store, run_id, path, now_us, diag, &was_there);
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *update =
        db_prepare(store->db, "UPDATE dbt_artifact SET state = 1, touched_at = $2"
                              " WHERE id = $1 AND state = 0");
    db_bind_int64(update, 1, id);
    db_bind_int64(update, 2, now_us);
    error = db_exec(update, diag);
    if (error == PH_OK && db_changes(store->db) == 0) {
        error = given_up(diag);
    }
    *ret_is_new = !was_there;
    return error;
}

enum ph_error dbt_artifact_give_up(struct store *store, int64_t id, struct diag *diag)
{
    struct db_statement *update =
        db_prepare(store->db, "UPDATE dbt_artifact SET state = 2, touched_at = 0"
                              " WHERE id = $1 AND state = 0");
    db_bind_int64(update, 1, id);
    return db_exec(update, diag);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* The one row of a query: id, bytes, chunks. */
static enum ph_error read_one(struct db_statement *select, struct slice path, struct diag *diag,
                              struct dbt_artifact *ret_artifact)
{
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    if (!has_row) {
        return diag_set(diag, PH_NOT_FOUND, NULL, "no such artifact");
    }
    *ret_artifact = (struct dbt_artifact){.id = db_int64(select, 0),
                                          .path = path,
                                          .bytes = db_int64(select, 1),
                                          .chunks = db_int64(select, 2)};
    db_done(select);
    return PH_OK;
}

enum ph_error dbt_artifact_find(struct store *store, int64_t run_id, struct slice path,
                                struct diag *diag, struct dbt_artifact *ret_artifact)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT id, bytes, chunks FROM dbt_artifact WHERE run_id = $1"
                              " AND path = $2 AND state = 1");
    db_bind_int64(select, 1, run_id);
    db_bind_text(select, 2, path);
    return read_one(select, path, diag, ret_artifact);
}

enum ph_error dbt_artifact_find_latest(struct store *store, int64_t account, int64_t job_id,
                                       struct slice path, struct diag *diag,
                                       struct dbt_artifact *ret_artifact)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT dbt_artifact.id, dbt_artifact.bytes, dbt_artifact.chunks"
                              " FROM dbt_run JOIN dbt_artifact ON dbt_artifact.run_id = dbt_run.id"
                              " AND dbt_artifact.path = $3 AND dbt_artifact.state = 1"
                              " WHERE dbt_run.account = $1 AND dbt_run.job_id = $2"
                              " AND dbt_run.ingested_at IS NOT NULL"
                              " ORDER BY dbt_run.id DESC LIMIT 1");
    db_bind_int64(select, 1, account);
    db_bind_int64(select, 2, job_id);
    db_bind_text(select, 3, path);
    return read_one(select, path, diag, ret_artifact);
}

enum ph_error dbt_artifact_list(struct store *store, int64_t run_id, struct arena *arena,
                                struct diag *diag, struct dbt_artifact *rows, size_t *ret_count)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT id, path, bytes, chunks FROM dbt_artifact WHERE run_id = $1"
                              " AND state = 1 ORDER BY path LIMIT $2");
    db_bind_int64(select, 1, run_id);
    db_bind_int64(select, 2, DBT_ARTIFACTS_MAX);
    size_t count = 0;
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        PH_ASSERT(count < DBT_ARTIFACTS_MAX);
        rows[count] = (struct dbt_artifact){.id = db_int64(select, 0),
                                            .path = dbt_copy(arena, db_text(select, 1)),
                                            .bytes = db_int64(select, 2),
                                            .chunks = db_int64(select, 3)};
        if (rows[count].path.ptr == NULL) {
            db_done(select);
            return api_no_memory(diag);
        }
        count++;
    }
    *ret_count = count;
    return error;
}

enum ph_error dbt_artifact_chunk(struct store *store, int64_t id, int64_t number, struct diag *diag,
                                 void (*take)(void *context, struct slice content), void *context)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT content FROM dbt_artifact_chunk WHERE artifact_id = $1"
                              " AND number = $2");
    db_bind_int64(select, 1, id);
    db_bind_int64(select, 2, number);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    if (!has_row) {
        return diag_set(diag, PH_NOT_FOUND, NULL, "a part of the artifact is gone");
    }
    take(context, db_blob(select, 0));
    db_done(select);
    return PH_OK;
}

static void append(void *context, struct slice content)
{
    buf_append_slice(context, content);
}

enum ph_error dbt_artifact_read(struct store *store, const struct dbt_artifact *artifact,
                                struct diag *diag, struct buf *content)
{
    enum ph_error error = PH_OK;
    if (artifact->bytes > (int64_t)content->max) {
        return diag_set(diag, PH_TOO_LARGE, NULL, "the artifact is larger than %zu bytes",
                        content->max);
    }
    for (int64_t number = 0; error == PH_OK && number < artifact->chunks; number++) {
        error = dbt_artifact_chunk(store, artifact->id, number, diag, append, content);
    }
    if (error == PH_OK && content->failed) {
        error = api_no_memory(diag);
    }
    return error;
}

/* --- retention -------------------------------------------------------------------------------- */

static enum ph_error delete_chunks(struct store *store, int64_t id, struct diag *diag,
                                   int64_t *ret_deleted)
{
    struct db_statement *statement =
        db_prepare(store->db, "DELETE FROM dbt_artifact_chunk WHERE artifact_id = $1 AND number IN"
                              " (SELECT number FROM dbt_artifact_chunk WHERE artifact_id = $1"
                              " ORDER BY number LIMIT $2)");
    db_bind_int64(statement, 1, id);
    db_bind_int64(statement, 2, DBT_ARTIFACT_SWEEP_CHUNKS);
    enum ph_error error = db_exec(statement, diag);
    *ret_deleted = error == PH_OK ? db_changes(store->db) : 0;
    return error;
}

static enum ph_error delete_row(struct store *store, int64_t id, struct diag *diag)
{
    struct db_statement *statement =
        db_prepare(store->db, "DELETE FROM dbt_artifact WHERE id = $1");
    db_bind_int64(statement, 1, id);
    return db_exec(statement, diag);
}

/* An upload that stands still is given up, or it would go on between two steps. */
static enum ph_error mark_gone(struct store *store, int64_t id, struct diag *diag)
{
    struct db_statement *update =
        db_prepare(store->db, "UPDATE dbt_artifact SET state = 2 WHERE id = $1 AND state = 0");
    db_bind_int64(update, 1, id);
    return db_exec(update, diag);
}

enum ph_error dbt_artifact_sweep(struct store *store, int64_t before_us, struct diag *diag,
                                 bool *ret_is_more)
{
    int64_t id = 0;
    int64_t deleted = 0;
    struct db_statement *select =
        db_prepare(store->db, "SELECT id FROM dbt_artifact WHERE state <> 1 AND touched_at < $1"
                              " ORDER BY touched_at LIMIT 1");
    db_bind_int64(select, 1, before_us);
    *ret_is_more = false;
    enum ph_error error = read_number(select, diag, &id);
    if (error != PH_OK || id == 0) {
        return error;
    }
    *ret_is_more = true;
    error = mark_gone(store, id, diag);
    if (error == PH_OK) {
        error = delete_chunks(store, id, diag, &deleted);
    }
    return error == PH_OK && deleted < DBT_ARTIFACT_SWEEP_CHUNKS ? delete_row(store, id, diag)
                                                                 : error;
}
