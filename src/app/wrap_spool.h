/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool of `posthorn dbt`: what is reported of runs lies here until the server has it. One
 * folder for each run, whose name sorts by time:
 *
 *     lock            held by the process that reports the run or sends it
 *     target.json     {"url", "account", "run"}: where it is to go. No token.
 *     report-1.json   that it is on; report-1.sent once the server has it
 *     report-2.json   how it ended; report-2.sent once the server has it
 *     artifact.NAME   one that the server does not have yet
 *     complete        all that there will be is here; `done` once the server knows
 *
 * A folder is named when its first report is in it, and removed when the server has everything.
 * What the server refuses moves to `rejected/`, where `--flush` tries again; what is damaged moves
 * to `damaged/`, where nobody looks but the limits of the spool. Files are written
 * beside, synced and put in place: a reader sees whole ones. Several processes share a spool; each
 * run is one process's at a time. Functions of one run: one thread.
 */
#ifndef PH_APP_WRAP_SPOOL_H
#define PH_APP_WRAP_SPOOL_H

#include "app/folder.h"
#include "base/buf.h"

#define WRAP_SPOOL_RUNS_MAX 1000
#define WRAP_SPOOL_BYTES ((int64_t)1024 * 1024 * 1024)
#define WRAP_ARTIFACT_PREFIX "artifact."

struct wrap_spool {
    char *path;
    char *rejected_path;
    char *damaged_path;
    int64_t bytes_max;
    bool is_temporary; /* it goes with this process: what is not sent then is lost */
};

/* `path` NULL: the usual place, $XDG_STATE_HOME/posthorn/dbt or ~/.local/state/posthorn/dbt. A
 * folder that cannot be made is replaced by a temporary one, and a line in `ret_words` says so. */
PH_NODISCARD enum ph_error wrap_spool_open(struct wrap_spool *spool, const char *path,
                                           int64_t bytes_max, struct buf *ret_words,
                                           struct diag *diag);
/* One that goes with this process, in place of one that takes nothing; a line says why. */
PH_NODISCARD enum ph_error wrap_spool_open_temporary(struct wrap_spool *spool,
                                                     const struct diag *reason, struct buf *words,
                                                     struct diag *diag);
void wrap_spool_close(struct wrap_spool *spool);

struct wrap_run {
    char *path;
    char *name; /* of its folder */
    int lock_fd;
    bool is_rejected;
    char *url;
    int64_t account;
    int64_t run_id;
};

struct wrap_start {
    const char *url;
    int64_t account;
    int64_t run_id;
    int64_t started_at_us; /* wall clock */
    struct slice report;   /* the first */
};

/* A new run of this process. */
PH_NODISCARD enum ph_error wrap_spool_add(const struct wrap_spool *spool,
                                          const struct wrap_start *start, struct diag *diag,
                                          struct wrap_run *ret_run);
/* Names of the folders of runs, the oldest first. */
PH_NODISCARD enum ph_error wrap_spool_list(const struct wrap_spool *spool, bool are_rejected,
                                           struct diag *diag, struct folder_names *ret_names);
/* Takes one. PH_CONFLICT while another process has it, PH_NOT_FOUND when it is gone, PH_IO when a
 * file cannot be read now; with another error it is damaged. */
PH_NODISCARD enum ph_error wrap_spool_take(const struct wrap_spool *spool, const char *name,
                                           bool is_rejected, struct diag *diag,
                                           struct wrap_run *ret_run);
/* Moves a folder that is no whole run out of the way. */
PH_NODISCARD enum ph_error wrap_spool_put_aside(const struct wrap_spool *spool, const char *name,
                                                bool is_rejected, struct diag *diag);
/* Removes old runs, the damaged and the rejected ones first, so that `needed_bytes` more can be
 * added; never `own`. Appends what was lost, in words. Gives the bytes that there is room for. */
int64_t wrap_spool_trim(const struct wrap_spool *spool, const struct wrap_run *own,
                        int64_t needed_bytes, struct buf *words);

/* --- one run -----------------------------------------------------------------------------------
 */

enum wrap_file {
    WRAP_FILE_REPORT_1,
    WRAP_FILE_SENT_1,
    WRAP_FILE_REPORT_2,
    WRAP_FILE_SENT_2,
    WRAP_FILE_COMPLETE,
    WRAP_FILE_DONE,
};

bool wrap_run_has(const struct wrap_run *run, enum wrap_file file);
/* Appends a report. */
PH_NODISCARD enum ph_error wrap_run_read(const struct wrap_run *run, enum wrap_file file,
                                         struct buf *text, struct diag *diag);
/* How it ended. */
PH_NODISCARD enum ph_error wrap_run_end(const struct wrap_run *run, struct slice report,
                                        struct diag *diag);
/* Copies an artifact: what made it may write it anew. */
PH_NODISCARD enum ph_error wrap_run_attach(const struct wrap_run *run, const char *name,
                                           const char *from, struct diag *diag);
PH_NODISCARD enum ph_error wrap_run_complete(const struct wrap_run *run, struct diag *diag);
/* The server has a report, or knows that the run is complete. */
PH_NODISCARD enum ph_error wrap_run_mark_sent(const struct wrap_run *run, enum wrap_file file,
                                              struct diag *diag);
/* WRAP_ARTIFACT_PREFIX and name, of those that the server does not have. */
PH_NODISCARD enum ph_error wrap_run_artifacts(const struct wrap_run *run, struct diag *diag,
                                              struct folder_names *ret_names);
/* Freed by the caller. */
PH_NODISCARD char *wrap_run_path(const struct wrap_run *run, const char *file);
/* Sets it aside, with the reason in a file. */
PH_NODISCARD enum ph_error wrap_run_reject(const struct wrap_spool *spool, struct wrap_run *run,
                                           struct slice reason, struct diag *diag);
/* The server has everything. */
void wrap_run_remove(struct wrap_run *run);
/* Lets go of it, for another process. */
void wrap_run_done(struct wrap_run *run);

#endif
