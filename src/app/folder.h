/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folders that several processes share: made, listed, locked. Any thread. Errors are PH_IO with
 * words that name the path and the reason.
 */
#ifndef PH_APP_FOLDER_H
#define PH_APP_FOLDER_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/* Makes a folder of this user alone (0700), and those above it. One that is there stays as it is.
 */
PH_NODISCARD enum ph_error folder_make(const char *path, struct diag *diag);
bool folder_exists(const char *path); /* a symbolic link to one counts */
/* Makes a new one with a name of its own below the folder for temporary files; freed by the caller.
 */
PH_NODISCARD enum ph_error folder_make_temporary(struct diag *diag, char **ret_path);

/* Names in a folder, sorted by their bytes. */
struct folder_names {
    char **items;
    size_t count;
};

/* All but "." and "..", at most `maximum`; a folder that is not there has none. */
PH_NODISCARD enum ph_error folder_list(const char *path, size_t maximum, struct diag *diag,
                                       struct folder_names *ret_names);
void folder_names_done(struct folder_names *names);
/* What its files take on the disk, in whole blocks of 4 KiB; 0 when it is not there. */
int64_t folder_bytes(const char *path);

/* Takes the lock of a folder, its file `lock`; the descriptor keeps it, and its close or the end of
 * the process frees it. With `is_new` the file is made. PH_CONFLICT while another has it,
 * PH_NOT_FOUND when the folder or its lock is not there, or was removed meanwhile. */
PH_NODISCARD enum ph_error folder_lock(const char *path, bool is_new, struct diag *diag,
                                       int *ret_fd);

#endif
