/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target once over every file of the folders and files named on the command line,
 * where libFuzzer is not linked in. Exits 1 when there was nothing to run: an empty corpus proves
 * nothing.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t replay_count;

/* The whole file in memory of exactly its size, so that a sanitizer sees a read past its end. */
static bool replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return false;
    }
    uint8_t *data = malloc(size == 0 ? 1 : size);
    bool is_read = data != NULL && fread(data, 1, size, file) == size;
    (void)fclose(file);
    if (is_read) {
        /* Printed before the run, so that the last name is the culprit of a crash. */
        (void)printf("%s\n", path);
        (void)fflush(stdout);
        (void)LLVMFuzzerTestOneInput(data, size);
        replay_count++;
    } else {
        (void)fprintf(stderr, "%s: cannot be read\n", path);
    }
    free(data);
    return is_read;
}

static bool replay_path(const char *path, bool is_in_folder);

static bool replay_folder(const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0) {
        perror(path);
        return false;
    }
    bool is_good = true;
    for (int i = 0; i < count; i++) {
        char *child = NULL;
        if (entries[i]->d_name[0] != '.') {
            if (asprintf(&child, "%s/%s", path, entries[i]->d_name) < 0) {
                abort();
            }
            is_good = replay_path(child, true) && is_good;
            free(child);
        }
        free(entries[i]);
    }
    free(entries);
    return is_good;
}

static bool replay_path(const char *path, bool is_in_folder)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        perror(path);
        return false;
    }
    if (S_ISDIR(status.st_mode)) {
        return is_in_folder ? true : replay_folder(path);
    }
    return replay_file(path, (size_t)status.st_size);
}

int main(int argc, char **argv)
{
    bool is_good = true;
    for (int i = 1; i < argc; i++) {
        is_good = replay_path(argv[i], false) && is_good;
    }
    (void)printf("%zu inputs\n", replay_count);
    return is_good && replay_count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
