/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only file of src/app that reads and writes files. Any thread. Errors are PH_IO with words
 * that name the path and the reason.
 */
#ifndef PH_APP_FILE_H
#define PH_APP_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

/* Appends the whole file. PH_NOT_FOUND when there is none; PH_TOO_LARGE past the buffer's maximum.
 */
PH_NODISCARD enum ph_error file_read(const char *path, struct buf *text, struct diag *diag);
/* The same for an open descriptor; `name` stands for it in errors. */
PH_NODISCARD enum ph_error file_read_fd(int fd, const char *name, struct buf *text,
                                        struct diag *diag);
/* As file_read, of a plain file only: one that waits for a writer is PH_INVALID. */
PH_NODISCARD enum ph_error file_read_plain(const char *path, struct buf *text, struct diag *diag);
/* The first `maximum` bytes, or all when it has fewer. */
PH_NODISCARD enum ph_error file_read_head(const char *path, size_t maximum, struct buf *text,
                                          struct diag *diag);
/* Reads a small file that nobody but its owner (and readers of its group) may open: PH_INVALID when
 * others may read it, or anybody but the owner may change it; PH_TOO_LARGE when it does not fit. */
PH_NODISCARD enum ph_error file_read_private(const char *path, void *ret_bytes, size_t capacity,
                                             struct diag *diag, size_t *ret_length);
/* Writes a new file beside `path`, syncs it and puts it in place, so that a reader sees the old
 * content or the new, never a part. With `is_new_only` an existing file stays: PH_CONFLICT. */
PH_NODISCARD enum ph_error file_write(const char *path, struct slice content, mode_t mode,
                                      bool is_new_only, struct diag *diag);
bool file_exists(const char *path);
/* "FOLDER/NAME"; freed by the caller. */
PH_NODISCARD char *file_join(const char *folder, const char *name);
int64_t file_size(const char *path); /* bytes; 0 when it is not there */
/* What changes when a file is written anew or replaced; all 0 when it is not there. */
struct file_stamp {
    uint64_t inode;
    int64_t modified_ns;
    int64_t size_bytes;
};
struct file_stamp file_stamp(const char *path);
bool file_stamp_equal(const struct file_stamp *left, const struct file_stamp *right);
/* Opens a plain file to read from. The descriptor is the caller's. */
PH_NODISCARD enum ph_error file_open(const char *path, struct diag *diag, int *ret_fd,
                                     int64_t *ret_size_bytes);
/* Opens a plain file or a pipe to read from, without waiting for who writes; reads of it do not
 * wait either. The descriptor is the caller's. */
PH_NODISCARD enum ph_error file_open_pipe(const char *path, struct diag *diag, int *ret_fd,
                                          bool *ret_is_pipe);
/* Bytes that may still be written to the file system of the folder; INT64_MAX when it does not
 * tell. */
int64_t file_free_bytes(const char *folder);
/* Copies a plain file to a new one and syncs it. */
PH_NODISCARD enum ph_error file_copy(const char *from, const char *to, mode_t mode,
                                     struct diag *diag);
PH_NODISCARD enum ph_error file_sync(const char *path, struct diag *diag);
/* Gives a synced file its name for good. With `is_new_only` an existing file stays: PH_CONFLICT. */
PH_NODISCARD enum ph_error file_move(const char *from, const char *to, bool is_new_only,
                                     struct diag *diag);
/* Makes `path` a folder of this process alone (0700) for the files of a store; one that a killed
 * process left is taken over, without its store. PH_CONFLICT while another process has it. */
PH_NODISCARD enum ph_error file_claim_folder(const char *path, struct diag *diag, int *ret_fd);
void file_leave_folder(const char *path, int fd); /* removes it with its store */
/* Removes a folder and the files in it. */
PH_NODISCARD enum ph_error file_remove_folder(const char *path, struct diag *diag);
/* Removes a file for good. */
PH_NODISCARD enum ph_error file_unlink(const char *path, struct diag *diag);
void file_remove(const char *path); /* no error when it is not there */

/* A text read line by line. */
struct file_lines {
    int fd;
    char *name;
    struct buf read;
    size_t taken; /* bytes of it that the last line had */
    bool is_end;
    int64_t number; /* of the last line, from 1 */
};

/* "-" is standard input. Lines may have `line_max` bytes. Finish with file_lines_close. */
PH_NODISCARD enum ph_error file_lines_open(const char *path, size_t line_max, struct diag *diag,
                                           struct file_lines *ret_lines);
/* The next line, without its end; valid until the next call. False at the end. PH_TOO_LARGE, which
 * names the line; PH_BUSY without words when a signal came while it waited. */
PH_NODISCARD enum ph_error file_lines_next(struct file_lines *lines, struct diag *diag,
                                           struct slice *ret_line, bool *ret_has_line);
void file_lines_close(struct file_lines *lines);
/* How many lines a plain file has; -1 when it is none (a pipe, a terminal), or cannot be read. */
int64_t file_count_lines(const char *path);

#endif
