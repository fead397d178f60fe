/* SPDX-License-Identifier: Apache-2.0 */
#include "app/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CHUNK_BYTES 16384
#define PATH_BYTES_MAX 4096
#define COPY_CHUNK_BYTES ((size_t)1 << 20)

enum ph_error file_read_fd(int fd, const char *name, struct buf *text, struct diag *diag)
{
    char chunk[CHUNK_BYTES];
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return diag_set(diag, PH_IO, NULL, "could not read %s: %s", name,
                            strerrordesc_np(errno));
        }
        if (got == 0) {
            return PH_OK;
        }
        buf_append(text, chunk, (size_t)got);
        if (text->failed) {
            return diag_set(diag, PH_TOO_LARGE, NULL, "%s is larger than %zu bytes", name,
                            text->max);
        }
    }
}

enum ph_error file_read(const char *path, struct buf *text, struct diag *diag)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return diag_set(diag, errno == ENOENT ? PH_NOT_FOUND : PH_IO, NULL, "could not open %s: %s",
                        path, strerrordesc_np(errno));
    }
    enum ph_error error = file_read_fd(fd, path, text, diag);
    (void)close(fd);
    return error;
}

enum ph_error file_read_plain(const char *path, struct buf *text, struct diag *diag)
{
    int fd;
    int64_t size_bytes;
    enum ph_error error = file_open(path, diag, &fd, &size_bytes);
    if (error == PH_OK) {
        error = file_read_fd(fd, path, text, diag);
        (void)close(fd);
    }
    return error;
}

enum ph_error file_read_head(const char *path, size_t maximum, struct buf *text, struct diag *diag)
{
    int fd = -1;
    int64_t size_bytes = 0;
    enum ph_error error = file_open(path, diag, &fd, &size_bytes);
    if (error != PH_OK) {
        return error;
    }
    char *place = buf_reserve(text, maximum);
    ssize_t got = place == NULL ? -1 : pread(fd, place, maximum, 0);
    if (got < 0) {
        error = diag_set(diag, PH_IO, NULL, "could not read %s: %s", path, strerrordesc_np(errno));
    } else {
        buf_commit(text, (size_t)got);
    }
    (void)close(fd);
    return error;
}

/* Straight into the caller's memory, which it wipes. */
static enum ph_error read_secret_fd(int fd, const char *path, void *ret_bytes, size_t capacity,
                                    struct diag *diag, size_t *ret_length)
{
    char extra;
    size_t length = 0;
    ssize_t got;
    do {
        got = length < capacity ? read(fd, (char *)ret_bytes + length, capacity - length)
                                : read(fd, &extra, 1);
        if (got > 0 && length == capacity) {
            return diag_set(diag, PH_TOO_LARGE, NULL, "%s is larger than %zu bytes", path,
                            capacity);
        }
        length += got > 0 ? (size_t)got : 0;
    } while (got > 0 || (got < 0 && errno == EINTR));
    if (got < 0) {
        return diag_set(diag, PH_IO, NULL, "could not read %s: %s", path, strerrordesc_np(errno));
    }
    *ret_length = length;
    return PH_OK;
}

enum ph_error file_read_private(const char *path, void *ret_bytes, size_t capacity,
                                struct diag *diag, size_t *ret_length)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        enum ph_error reason = errno == ENOENT ? PH_NOT_FOUND : PH_IO;
        diag_set(diag, reason, NULL, "could not open %s: %s", path, strerrordesc_np(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        return reason;
    }
    enum ph_error error;
    if ((status.st_mode & (S_IRWXO | S_IWGRP)) != 0) {
        error = diag_set(diag, PH_INVALID, NULL,
                         "others may read or change %s (mode %04o): run chmod 600 on it", path,
                         (unsigned)status.st_mode & 07777u);
    } else {
        error = read_secret_fd(fd, path, ret_bytes, capacity, diag, ret_length);
    }
    (void)close(fd);
    return error;
}

static bool write_all(int fd, struct slice content)
{
    while (content.len > 0) {
        ssize_t put = write(fd, content.ptr, content.len);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return false;
        }
        content.ptr += put;
        content.len -= (size_t)put;
    }
    return true;
}

static void sync_directory_of(const char *path)
{
    PH_AUTO_FREE char *directory = ph_strdup(path);
    char *slash = strrchr(directory, '/');
    if (slash != NULL) {
        slash[slash == directory ? 1 : 0] = '\0';
    }
    int fd = open(slash == NULL ? "." : directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd); /* the file itself is synced; its name is a matter of comfort */
        (void)close(fd);
    }
}

enum ph_error file_write(const char *path, struct slice content, mode_t mode, bool is_new_only,
                         struct diag *diag)
{
    BUF_AUTO struct buf temporary;
    buf_init(&temporary, PATH_BYTES_MAX);
    buf_append_format(&temporary, "%s.new.%ld", path, (long)getpid());
    if (temporary.failed) {
        return diag_set(diag, PH_INVALID, NULL, "the path %.200s is too long", path);
    }
    int fd =
        open(buf_text(&temporary), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    bool is_written = fd >= 0 && fchmod(fd, mode) == 0 && write_all(fd, content) && fsync(fd) == 0;
    int reason = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    /* A hard link fails where the name exists; a rename would replace what another process has
     * just made. */
    bool is_placed = is_written && (is_new_only ? link(buf_text(&temporary), path) == 0
                                                : rename(buf_text(&temporary), path) == 0);
    if (is_written && !is_placed) {
        reason = errno;
    }
    if (fd >= 0 && (is_new_only || !is_placed)) {
        (void)unlink(buf_text(&temporary));
    }
    if (!is_placed) {
        return diag_set(diag, reason == EEXIST ? PH_CONFLICT : PH_IO, NULL,
                        "could not write %s: %s", path, strerrordesc_np(reason));
    }
    sync_directory_of(path);
    return PH_OK;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

char *file_join(const char *folder, const char *name)
{
    size_t length = strlen(folder) + strlen(name) + 2;
    char *path = ph_malloc(length);
    (void)snprintf(path, length, "%s/%s", folder, name);
    return path;
}

int64_t file_size(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (int64_t)status.st_size : 0;
}

struct file_stamp file_stamp(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return (struct file_stamp){0};
    }
    return (struct file_stamp){
        .inode = (uint64_t)status.st_ino,
        .modified_ns =
            (int64_t)status.st_mtim.tv_sec * INT64_C(1000000000) + status.st_mtim.tv_nsec,
        .size_bytes = (int64_t)status.st_size,
    };
}

bool file_stamp_equal(const struct file_stamp *left, const struct file_stamp *right)
{
    return left->inode == right->inode && left->modified_ns == right->modified_ns &&
           left->size_bytes == right->size_bytes;
}

int64_t file_free_bytes(const char *folder)
{
    struct statvfs space;
    if (statvfs(folder, &space) != 0 || space.f_blocks == 0) {
        return INT64_MAX; /* some network file systems have no number */
    }
    uint64_t blocks_max = (uint64_t)INT64_MAX / space.f_frsize;
    return (int64_t)(space.f_bavail < blocks_max ? space.f_bavail * space.f_frsize
                                                 : (uint64_t)INT64_MAX);
}

static enum ph_error fail(struct diag *diag, const char *what, const char *path)
{
    bool is_full = errno == ENOSPC || errno == EDQUOT;
    return diag_set(diag, is_full ? PH_STORE_FULL : PH_IO, NULL, "could not %s %s: %s", what, path,
                    strerrordesc_np(errno));
}

static enum ph_error copy_content(int from, int to, const char *from_path, const char *to_path,
                                  struct diag *diag)
{
    PH_AUTO_FREE char *chunk = ph_malloc(COPY_CHUNK_BYTES);
    for (;;) {
        ssize_t got = read(from, chunk, COPY_CHUNK_BYTES);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail(diag, "read", from_path);
        }
        if (got == 0) {
            return fsync(to) == 0 ? PH_OK : fail(diag, "sync", to_path);
        }
        if (!write_all(to, (struct slice){chunk, (size_t)got})) {
            return fail(diag, "write", to_path);
        }
    }
}

/* Opening a pipe would wait for who writes to it, and so would reading. */
static enum ph_error open_now(const char *path, struct diag *diag, int *ret_fd,
                              struct stat *ret_status)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, ret_status) != 0) {
        enum ph_error reason = errno == ENOENT ? PH_NOT_FOUND : PH_IO;
        diag_set(diag, reason, NULL, "could not open %s: %s", path, strerrordesc_np(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        return reason;
    }
    *ret_fd = fd;
    return PH_OK;
}

enum ph_error file_open(const char *path, struct diag *diag, int *ret_fd, int64_t *ret_size_bytes)
{
    struct stat status;
    int fd = -1;
    enum ph_error error = open_now(path, diag, &fd, &status);
    if (error != PH_OK) {
        return error;
    }
    if (!S_ISREG(status.st_mode)) {
        (void)close(fd);
        return diag_set(diag, PH_INVALID, NULL, "%s is not a plain file", path);
    }
    *ret_fd = fd;
    *ret_size_bytes = (int64_t)status.st_size;
    return PH_OK;
}

enum ph_error file_open_pipe(const char *path, struct diag *diag, int *ret_fd, bool *ret_is_pipe)
{
    struct stat status;
    int fd = -1;
    enum ph_error error = open_now(path, diag, &fd, &status);
    if (error != PH_OK) {
        return error;
    }
    if (!S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode)) {
        (void)close(fd);
        return diag_set(diag, PH_INVALID, NULL, "%s is neither a file nor a pipe", path);
    }
    *ret_fd = fd;
    *ret_is_pipe = S_ISFIFO(status.st_mode);
    return PH_OK;
}

enum ph_error file_copy(const char *from, const char *to, mode_t mode, struct diag *diag)
{
    int from_fd = -1;
    int64_t ignored = 0;
    enum ph_error error = file_open(from, diag, &from_fd, &ignored);
    if (error != PH_OK) {
        return error;
    }
    int to_fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (to_fd < 0) {
        error = fail(diag, "make", to);
    } else {
        error = copy_content(from_fd, to_fd, from, to, diag);
        (void)close(to_fd);
    }
    (void)close(from_fd);
    return error;
}

enum ph_error file_sync(const char *path, struct diag *diag)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        enum ph_error error = fail(diag, "sync", path);
        if (fd >= 0) {
            (void)close(fd);
        }
        return error;
    }
    (void)close(fd);
    return PH_OK;
}

enum ph_error file_move(const char *from, const char *to, bool is_new_only, struct diag *diag)
{
    /* A hard link fails where the name exists, on every file system. */
    bool is_placed = is_new_only ? link(from, to) == 0 && unlink(from) == 0 : rename(from, to) == 0;
    if (!is_placed) {
        return errno == EEXIST ? diag_set(diag, PH_CONFLICT, NULL, "%s exists already", to)
                               : fail(diag, "make", to);
    }
    sync_directory_of(to);
    return PH_OK;
}

/* What stood in a working folder that somebody else made is not ours to remove. */
static void empty_working_folder(const char *path)
{
    static const char *const names[] = {"posthorn.db", "posthorn.db-wal", "posthorn.db-shm"};
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    for (size_t index = 0; fd >= 0 && index < PH_ARRAY_LENGTH(names); index++) {
        (void)unlinkat(fd, names[index], 0);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

enum ph_error file_claim_folder(const char *path, struct diag *diag, int *ret_fd)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return fail(diag, "make", path);
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return fail(diag, "open", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(fd);
        return diag_set(diag, PH_CONFLICT, NULL, "another process is at work in %s", path);
    }
    empty_working_folder(path);
    *ret_fd = fd;
    return PH_OK;
}

void file_leave_folder(const char *path, int fd)
{
    empty_working_folder(path);
    (void)rmdir(path);
    (void)close(fd);
}

enum ph_error file_unlink(const char *path, struct diag *diag)
{
    if (unlink(path) != 0) {
        return fail(diag, "remove", path);
    }
    sync_directory_of(path);
    return PH_OK;
}

void file_remove(const char *path)
{
    (void)unlink(path);
}

enum ph_error file_remove_folder(const char *path, struct diag *diag)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    if (rmdir(path) != 0) {
        return diag_set(diag, PH_IO, NULL, "could not remove %s: %s", path, strerrordesc_np(errno));
    }
    return PH_OK;
}

/* --- lines ------------------------------------------------------------------------------------ */

enum ph_error file_lines_open(const char *path, size_t line_max, struct diag *diag,
                              struct file_lines *ret_lines)
{
    bool is_input = strcmp(path, "-") == 0;
    int fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return diag_set(diag, errno == ENOENT ? PH_NOT_FOUND : PH_IO, NULL, "could not open %s: %s",
                        path, strerrordesc_np(errno));
    }
    *ret_lines =
        (struct file_lines){.fd = fd, .name = ph_strdup(is_input ? "standard input" : path)};
    buf_init(&ret_lines->read, line_max + CHUNK_BYTES);
    return PH_OK;
}

void file_lines_close(struct file_lines *lines)
{
    if (lines->fd != STDIN_FILENO) {
        (void)close(lines->fd);
    }
    free(lines->name);
    buf_done(&lines->read);
}

static enum ph_error read_more(struct file_lines *lines, struct diag *diag)
{
    char chunk[CHUNK_BYTES];
    buf_drop(&lines->read, lines->taken);
    lines->taken = 0;
    ssize_t got = read(lines->fd, chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) {
        return PH_BUSY;
    }
    if (got < 0) {
        return diag_set(diag, PH_IO, NULL, "could not read %s: %s", lines->name,
                        strerrordesc_np(errno));
    }
    lines->is_end = got == 0;
    buf_append(&lines->read, chunk, (size_t)got);
    if (lines->read.failed) {
        return diag_set(diag, PH_TOO_LARGE, NULL, "%s, line %lld: more than %zu bytes", lines->name,
                        (long long)lines->number + 1, lines->read.max - CHUNK_BYTES);
    }
    return PH_OK;
}

enum ph_error file_lines_next(struct file_lines *lines, struct diag *diag, struct slice *ret_line,
                              bool *ret_has_line)
{
    size_t looked_at = 0; /* of what is not taken */
    for (;;) {
        struct slice text = buf_slice(&lines->read);
        text = (struct slice){text.ptr + lines->taken, text.len - lines->taken};
        struct slice rest = {text.ptr + looked_at, text.len - looked_at};
        size_t end = looked_at + slice_find(rest, '\n');
        if (end < text.len || (lines->is_end && text.len > 0)) {
            lines->taken += end < text.len ? end + 1 : end;
            lines->number++;
            *ret_line = (struct slice){text.ptr, end};
            *ret_has_line = true;
            return PH_OK;
        }
        if (lines->is_end) {
            *ret_has_line = false;
            return PH_OK;
        }
        looked_at = text.len;
        enum ph_error error = read_more(lines, diag);
        if (error != PH_OK) {
            return error;
        }
    }
}

int64_t file_count_lines(const char *path)
{
    struct stat status;
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd == STDIN_FILENO || fd < 0) {
        return -1;
    }
    char chunk[CHUNK_BYTES];
    int64_t count = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? 0 : -1;
    char last = '\n';
    for (ssize_t got = 0; count >= 0 && (got = read(fd, chunk, sizeof chunk)) != 0;) {
        for (ssize_t index = 0; index < got; index++) {
            count += chunk[index] == '\n';
        }
        last = got > 0 ? chunk[got - 1] : last;
        count = got < 0 ? -1 : count;
    }
    (void)close(fd);
    return count < 0 ? -1 : count + (last == '\n' ? 0 : 1);
}
