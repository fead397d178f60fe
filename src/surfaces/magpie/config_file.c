/* SPDX-License-Identifier: Apache-2.0 */
/* The only file of the surface that reads files: one of hooks, or a folder of them (magpie spec
 * section 2.2). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "surfaces/magpie/config.h"

#define PATH_TEXT_MAX 8192
#define READ_BYTES 65536
#define PIPE_WAIT_MS 1000 /* for the next bytes of a pipe */

/* Words for a failed call, without the thread's own state. */
static const char *words_of(int code, char *buffer, size_t size)
{
    return strerror_r(code, buffer, size);
}

static void refuse(struct magpie_config *config, const char *path, int code)
{
    char words[128];
    magpie_config_find(config, true, slice_of(path), 0, "cannot be read: %s",
                       words_of(code, words, sizeof words));
}

/* A pipe is read too, as a shell makes one of `<(command)`, but nobody waits long for its writer.
 */
static bool has_more(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (poll(&ready, 1, PIPE_WAIT_MS) > 0) {
        return true;
    }
    errno = ETIMEDOUT;
    return false;
}

/* False with errno set, EFBIG for a file that is too large. */
static bool read_all(int fd, struct buf *text)
{
    for (;;) {
        char *room = buf_reserve(text, READ_BYTES);
        if (room == NULL) {
            errno = EFBIG;
            return false;
        }
        ssize_t length = read(fd, room, READ_BYTES);
        if (length > 0) {
            buf_commit(text, (size_t)length);
        } else if (length == 0) {
            return true;
        } else if (errno == EAGAIN ? !has_more(fd) : errno != EINTR) {
            return false;
        }
    }
}

static void load_file(struct magpie_config *config, const char *path)
{
    BUF_AUTO struct buf text;
    buf_init(&text, MAGPIE_FILE_BYTES_MAX + READ_BYTES);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool is_read = fd >= 0 && read_all(fd, &text);
    int code = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (!is_read) {
        refuse(config, path, code);
    } else if (text.len > MAGPIE_FILE_BYTES_MAX) {
        refuse(config, path, EFBIG);
    } else {
        magpie_config_add(config, slice_of(path), buf_slice(&text));
    }
}

/* --- folders ---------------------------------------------------------------------------------- */

static bool has_known_ending(const char *name)
{
    static const char *const endings[] = {".cfg", ".json", ".yml", ".yaml"};
    const char *ending = strrchr(name, '.');
    for (size_t index = 0; ending != NULL && ending != name && index < PH_ARRAY_LENGTH(endings);
         index++) {
        if (strcmp(ending, endings[index]) == 0) {
            return true;
        }
    }
    return false;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* What is neither a file nor leads to one is passed over. */
static bool is_file(const char *path)
{
    struct stat status;
    return stat(path, &status) != 0 || S_ISREG(status.st_mode);
}

struct names {
    char *items[MAGPIE_FILES_MAX];
    size_t count;
    bool is_too_many;
};

static void read_names(DIR *folder, struct names *names)
{
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        if (!has_known_ending(entry->d_name)) {
            continue;
        }
        if (names->count == MAGPIE_FILES_MAX) {
            names->is_too_many = true;
            return;
        }
        names->items[names->count++] = ph_strdup(entry->d_name);
    }
    qsort(names->items, names->count, sizeof names->items[0], compare_names);
}

static void load_folder(struct magpie_config *config, const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        refuse(config, path, errno);
        return;
    }
    struct names *names = ph_calloc(1, sizeof *names);
    read_names(folder, names);
    (void)closedir(folder);
    if (names->is_too_many) {
        magpie_config_find(config, true, slice_of(path), 0, "there are more than %d files",
                           MAGPIE_FILES_MAX);
    } else if (names->count == 0) {
        magpie_config_find(config, false, slice_of(path), 0,
                           "there is no file with the ending .cfg, .json, .yml or .yaml");
    }
    for (size_t index = 0; index < names->count; index++) {
        char file[PATH_TEXT_MAX];
        size_t length = strlen(path);
        const char *between = length > 0 && path[length - 1] == '/' ? "" : "/";
        int written = snprintf(file, sizeof file, "%s%s%s", path, between, names->items[index]);
        if (written < 0 || (size_t)written >= sizeof file) {
            refuse(config, path, ENAMETOOLONG);
        } else if (!names->is_too_many && is_file(file)) {
            load_file(config, file);
        }
        free(names->items[index]);
    }
    free(names);
}

void magpie_config_load(struct magpie_config *config, const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        refuse(config, path, errno);
    } else if (S_ISDIR(status.st_mode)) {
        load_folder(config, path);
    } else {
        load_file(config, path);
    }
}
