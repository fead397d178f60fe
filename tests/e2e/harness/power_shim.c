/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a server under test: remembers what a loss of power would take away. For each file
 * below $POWER_SHIM's directory that SQLite writes, the bytes that stood there before each write
 * since the last sync go to FILE.undo; a sync that has succeeded empties it. Whoever applies the
 * .undo files backwards after a kill has the disk as it is after a loss of power, when nothing that
 * was not synced has reached it. With $POWER_SHIM_LIES syncs do not count: then what was
 * acknowledged must be missing, or the test that uses this proves nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FDS_MAX 4096

/* One write, followed by `old_bytes` of the file's former content. */
struct entry {
    uint64_t offset;
    uint64_t file_bytes; /* size of the file before */
    uint64_t old_bytes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* By descriptor: of the .undo file; 0 = not looked at yet, -1 = not of interest. */
static int undo_of[FDS_MAX];

static int open_undo(int fd)
{
    char link[64];
    char path[PATH_MAX];
    const char *folder = getenv("POWER_SHIM");
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 8);
    if (length <= 0 || folder == NULL || strncmp(path, folder, strlen(folder)) != 0) {
        return -1;
    }
    path[length] = '\0';
    const char *dot = strrchr(path, '.');
    if (dot == NULL || (strcmp(dot, ".db") != 0 && strcmp(dot, ".db-wal") != 0)) {
        return -1;
    }
    (void)snprintf(path + length, sizeof path - (size_t)length, ".undo");
    return open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int undo_for(int fd)
{
    if (fd < 0 || fd >= FDS_MAX) {
        return -1;
    }
    if (undo_of[fd] == 0) {
        undo_of[fd] = open_undo(fd);
    }
    return undo_of[fd];
}

static void remember(int fd, int undo, off64_t offset, size_t length)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        abort();
    }
    struct entry entry = {(uint64_t)offset, (uint64_t)status.st_size, 0};
    char *record = malloc(sizeof entry + length);
    ssize_t got = pread64(fd, record + sizeof entry, length, offset);
    entry.old_bytes = got > 0 ? (uint64_t)got : 0;
    memcpy(record, &entry, sizeof entry);
    size_t total = sizeof entry + (size_t)entry.old_bytes;
    if (write(undo, record, total) != (ssize_t)total) {
        abort();
    }
    free(record);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset)
{
    (void)pthread_mutex_lock(&lock);
    int undo = undo_for(fd);
    if (undo > 0) {
        remember(fd, undo, offset, length);
    }
    ssize_t written = syscall(SYS_pwrite64, fd, data, length, offset);
    int error = errno;
    (void)pthread_mutex_unlock(&lock);
    errno = error;
    return written;
}

/* Cutting a file off is a write of what stood behind. */
int ftruncate64(int fd, off64_t length)
{
    (void)pthread_mutex_lock(&lock);
    int undo = undo_for(fd);
    struct stat status;
    if (undo > 0 && fstat(fd, &status) == 0 && status.st_size > length) {
        remember(fd, undo, length, (size_t)(status.st_size - length));
    }
    int result = (int)syscall(SYS_ftruncate, fd, length);
    (void)pthread_mutex_unlock(&lock);
    return result;
}

static int sync_file(int fd, long number)
{
    (void)pthread_mutex_lock(&lock);
    int undo = undo_for(fd);
    int result = (int)syscall(number, fd);
    if (result == 0 && undo > 0 && getenv("POWER_SHIM_LIES") == NULL &&
        syscall(SYS_ftruncate, undo, 0) != 0) {
        abort();
    }
    (void)pthread_mutex_unlock(&lock);
    return result;
}

int fdatasync(int fd)
{
    return sync_file(fd, SYS_fdatasync);
}

int fsync(int fd)
{
    return sync_file(fd, SYS_fsync);
}

/* A closed descriptor's number is used again, for another file. */
int close(int fd)
{
    if (fd >= 0 && fd < FDS_MAX) {
        (void)pthread_mutex_lock(&lock);
        if (undo_of[fd] > 0) {
            (void)syscall(SYS_close, undo_of[fd]);
        }
        undo_of[fd] = 0;
        (void)pthread_mutex_unlock(&lock);
    }
    return (int)syscall(SYS_close, fd);
}
