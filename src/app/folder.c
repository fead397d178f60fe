/* SPDX-License-Identifier: Apache-2.0 */
#include "app/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

#define PATH_BYTES_MAX 4096
#define BLOCK_BYTES 4096

static enum ph_error fail(struct diag *diag, const char *what, const char *path)
{
    bool is_full = errno == ENOSPC || errno == EDQUOT;
    return diag_set(diag, is_full ? PH_STORE_FULL : PH_IO, NULL, "could not %s %s: %s", what, path,
                    strerrordesc_np(errno));
}

enum ph_error folder_make(const char *path, struct diag *diag)
{
    PH_AUTO_FREE char *part = ph_strdup(path);
    for (char *at = part; *at != '\0'; at++) {
        bool is_end = at > part && at[0] != '/' && (at[1] == '/' || at[1] == '\0');
        if (is_end) {
            char after = at[1];
            at[1] = '\0';
            /* What may not be made may be there: then the next part works. */
            if (mkdir(part, 0700) != 0 && errno != EEXIST && after == '\0') {
                return fail(diag, "make", path);
            }
            at[1] = after;
        }
    }
    struct stat status;
    if (stat(path, &status) != 0) {
        return fail(diag, "make", path);
    }
    return S_ISDIR(status.st_mode) ? PH_OK
                                   : diag_set(diag, PH_IO, NULL, "%s is not a folder", path);
}

enum ph_error folder_make_temporary(struct diag *diag, char **ret_path)
{
    const char *above = secure_getenv("TMPDIR");
    BUF_AUTO struct buf path;
    buf_init(&path, PATH_BYTES_MAX);
    buf_append_format(&path, "%s/posthorn-XXXXXX",
                      above == NULL || above[0] == '\0' ? "/tmp" : above);
    char *text = buf_take(&path, NULL);
    if (text == NULL || mkdtemp(text) == NULL) {
        enum ph_error error = fail(diag, "make a folder in", above == NULL ? "/tmp" : above);
        free(text);
        return error;
    }
    *ret_path = text;
    return PH_OK;
}

bool folder_exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

enum ph_error folder_list(const char *path, size_t maximum, struct diag *diag,
                          struct folder_names *ret_names)
{
    struct folder_names names = {0};
    DIR *folder = opendir(path);
    if (folder == NULL && errno != ENOENT) {
        return fail(diag, "read", path);
    }
    const struct dirent *entry;
    while (folder != NULL && names.count < maximum && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            names.items = ph_realloc(names.items, (names.count + 1) * sizeof *names.items);
            names.items[names.count++] = ph_strdup(entry->d_name);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    if (names.count > 0) {
        qsort(names.items, names.count, sizeof *names.items, compare_names);
    }
    *ret_names = names;
    return PH_OK;
}

void folder_names_done(struct folder_names *names)
{
    for (size_t index = 0; index < names->count; index++) {
        free(names->items[index]);
    }
    free(names->items);
    *names = (struct folder_names){0};
}

int64_t folder_bytes(const char *path)
{
    int64_t bytes = 0;
    DIR *folder = opendir(path);
    const struct dirent *entry;
    struct stat status;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(status.st_mode)) {
            bytes += (status.st_size + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return bytes;
}

enum ph_error folder_lock(const char *path, bool is_new, struct diag *diag, int *ret_fd)
{
    BUF_AUTO struct buf name;
    buf_init(&name, PATH_BYTES_MAX);
    buf_append_format(&name, "%s/lock", path);
    int fd = open(buf_text(&name), O_RDWR | O_CLOEXEC | O_NOFOLLOW | (is_new ? O_CREAT : 0), 0600);
    if (fd < 0) {
        return errno == ENOENT ? diag_set(diag, PH_NOT_FOUND, NULL, "%s is not there", path)
                               : fail(diag, "open", buf_text(&name));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(fd);
        return diag_set(diag, PH_CONFLICT, NULL, "another process is at work in %s", path);
    }
    /* Who had it before may have removed the folder, or given it another name. */
    struct stat ours;
    struct stat theirs;
    if (fstat(fd, &ours) != 0 || stat(buf_text(&name), &theirs) != 0 ||
        ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev) {
        (void)close(fd);
        return diag_set(diag, PH_NOT_FOUND, NULL, "%s is not there", path);
    }
    *ret_fd = fd;
    return PH_OK;
}
