/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backup's copy. The steps run between two batches on the writer's own connection: no read
 * transaction stays open, so the write-ahead log can be used again, and pages that later batches
 * change are taken over by SQLite. The disk is asked to keep the copy bit by bit, from the caller's
 * thread, so that no commit has to wait for all of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "db/care.h"
#include "flow/care_int.h"
#include "flow/step.h"

/* 1 MiB at most, in about 2 ms. */
#define STEP_PAGES 256
#define STEP_PAUSE_MS 3
#define SYNC_BYTES (INT64_C(32) << 20)

struct copy {
    struct step step;
    const char *directory;
    struct db_copy *db_copy;
    struct db_copy_state state;
    int fd; /* to sync with */
};

static enum ph_error begin(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    struct copy *copy = PH_CONTAINER_OF(step, struct copy, step);
    if (db_kind(txn->store->db) != DB_SQLITE) {
        return diag_set(diag, PH_NOT_IMPLEMENTED, NULL,
                        "the store is in PostgreSQL: use pg_dump and pg_restore");
    }
    return db_copy_begin(txn->store->db, copy->directory, diag, &copy->db_copy);
}

static enum ph_error go_on(struct step *step, PH_UNUSED struct writer_txn *txn, struct diag *diag)
{
    struct copy *copy = PH_CONTAINER_OF(step, struct copy, step);
    return db_copy_step(copy->db_copy, STEP_PAGES, diag, &copy->state);
}

static enum ph_error end(struct step *step, PH_UNUSED struct writer_txn *txn,
                         PH_UNUSED struct diag *diag)
{
    struct copy *copy = PH_CONTAINER_OF(step, struct copy, step);
    db_copy_end(copy->db_copy);
    copy->db_copy = NULL;
    return PH_OK;
}

static enum ph_error open_file(struct copy *copy, struct diag *diag)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/posthorn.db", copy->directory);
    copy->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (copy->fd < 0) {
        return diag_set(diag, PH_IO, NULL, "could not open %s: %s", path, strerrordesc_np(errno));
    }
    return PH_OK;
}

static enum ph_error sync_file(const struct copy *copy, struct diag *diag)
{
    if (fdatasync(copy->fd) != 0) {
        bool is_full = errno == ENOSPC || errno == EDQUOT;
        return diag_set(diag, is_full ? PH_STORE_FULL : PH_IO, NULL,
                        "could not sync the copy in %s: %s", copy->directory,
                        strerrordesc_np(errno));
    }
    return PH_OK;
}

static enum ph_error copy_all(struct copy *copy, struct writer *writer,
                              const struct care_watch *watch, struct diag *diag)
{
    int64_t synced_bytes = 0;
    copy->step.run = go_on;
    for (;;) {
        enum ph_error error = step_run_between(&copy->step, writer, diag);
        if (error != PH_OK || copy->state.is_done) {
            return error;
        }
        int64_t done_bytes = copy->state.total_bytes - copy->state.left_bytes;
        if (done_bytes - synced_bytes >= SYNC_BYTES) {
            synced_bytes = done_bytes;
            error = sync_file(copy, diag);
        }
        if (error == PH_OK) {
            error = care_pause(watch, STEP_PAUSE_MS, done_bytes, copy->state.total_bytes, diag);
        }
        if (error != PH_OK) {
            return error;
        }
    }
}

enum ph_error care_copy(struct flow *flow, const char *directory, const struct care_watch *watch,
                        struct diag *diag, int64_t *ret_bytes)
{
    struct copy copy = {.directory = directory, .fd = -1};
    struct writer *writer = flow_writer(flow);
    step_init(&copy.step, begin);
    enum ph_error error = step_run_between(&copy.step, writer, diag);
    if (error == PH_OK) {
        error = open_file(&copy, diag);
    }
    if (error == PH_OK) {
        error = copy_all(&copy, writer, watch, diag);
    }
    if (copy.db_copy != NULL) {
        copy.step.run = end;
        enum ph_error at_end = step_run_between(&copy.step, writer, NULL);
        PH_ASSERT(at_end == PH_OK);
    }
    if (error == PH_OK) {
        error = sync_file(&copy, diag);
    }
    if (copy.fd >= 0) {
        (void)close(copy.fd); /* the database's connection to the file is closed already */
    }
    step_done(&copy.step);
    if (error == PH_OK) {
        *ret_bytes = copy.state.total_bytes;
    }
    return error;
}
