/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts a backup in place of a store. The copy is made and checked beside the store first; then,
 * while the file restore.unfinished stands there (no server starts on it), what is replaced moves
 * aside and the copy gets its name.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/command.h"
#include "app/file.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "store/copy.h"

#define PATH_BYTES_MAX 8192
#define SECRET_FILE_MAX 4096

struct restore {
    const struct options *options;
    const char *file;
    bool is_forced;
    bool is_json;
    char *store;  /* the folder of the store */
    char *folder; /* the working folder in it */
    char *aside;  /* NULL until something moved there */
    struct buf jwt_secret;
    int64_t taken_at_us;
};

static char *join(const char *folder, const char *name)
{
    BUF_AUTO struct buf path;
    buf_init(&path, PATH_BYTES_MAX);
    buf_append_format(&path, "%s/%s", folder, name);
    char *text = buf_take(&path, NULL);
    PH_ASSERT(text != NULL);
    return text;
}

/* Whether the file NAME stands in the folder. */
static bool has(const char *folder, const char *name)
{
    PH_AUTO_FREE char *path = join(folder, name);
    return file_exists(path);
}

/* Pages that are still in a write-ahead log beside the file would be missed. */
static enum ph_error check_file(const struct restore *restore, struct diag *diag)
{
    BUF_AUTO struct buf log;
    struct stat status;
    buf_init(&log, PATH_BYTES_MAX);
    buf_append_format(&log, "%s-wal", restore->file);
    if (stat(buf_text(&log), &status) == 0 && status.st_size > 0) {
        return diag_set(diag, PH_INVALID, NULL,
                        "%s is a store in use, not a backup: its write-ahead log is beside it",
                        restore->file);
    }
    return PH_OK;
}

/* The secret in place; nothing is appended when there is none. */
static enum ph_error read_present_secret(const struct restore *restore, struct buf *secret,
                                         struct diag *diag)
{
    PH_AUTO_FREE char *path = data_path(restore->options, "jwt_secret");
    enum ph_error error = file_read(path, secret, diag);
    return error == PH_NOT_FOUND ? PH_OK : error;
}

static enum ph_error check_place(const struct restore *restore, struct diag *diag)
{
    if (!restore->is_forced && has(restore->store, "posthorn.db")) {
        return diag_set(diag, PH_CONFLICT, NULL,
                        "there is a store in %s already; --force moves it aside", restore->store);
    }
    return PH_OK;
}

/* Makes the copy in the working folder, as it will be in place. */
static enum ph_error prepare(struct restore *restore, struct diag *diag)
{
    struct diag cause = {0};
    PH_AUTO_FREE char *copy = join(restore->folder, "posthorn.db");
    enum ph_error error = file_copy(restore->file, copy, 0600, diag);
    if (error != PH_OK) {
        return error;
    }
    error = store_copy_check(restore->folder, &cause);
    if (error == PH_OK) {
        error =
            store_copy_open(restore->folder, &cause, &restore->taken_at_us, &restore->jwt_secret);
    }
    if (error != PH_OK) {
        return diag_set(diag, error, NULL, "cannot restore %s: %s", restore->file, cause.text);
    }
    return file_sync(copy, diag);
}

/* Another secret than the one in place ends all tokens that were made with it. */
static enum ph_error check_secret(struct restore *restore, struct diag *diag)
{
    BUF_AUTO struct buf present;
    buf_init(&present, SECRET_FILE_MAX);
    enum ph_error error = read_present_secret(restore, &present, diag);
    bool is_other = present.len > 0 && restore->jwt_secret.len > 0 &&
                    !slice_equal(buf_slice(&present), buf_slice(&restore->jwt_secret));
    secret_wipe(present.data, present.len);
    if (error == PH_OK && is_other && !restore->is_forced) {
        error = diag_set(diag, PH_CONFLICT, NULL,
                         "%s has another jwt_secret than the backup; --force moves it aside",
                         option_text(restore->options, OPTION_DATA));
    }
    return error;
}

/* Moves the store and the secret that are replaced into a folder named by the time. */
static enum ph_error move_aside(struct restore *restore, struct diag *diag)
{
    static const char *const names[] = {"posthorn.db", "posthorn.db-wal", "posthorn.db-shm"};
    char time_text[CLOCK_TEXT_MAX];
    clock_format(clock_wall_us(), time_text);
    BUF_AUTO struct buf name;
    buf_init(&name, 128);
    buf_append_format(&name, "replaced-%s", time_text);
    restore->aside = join(restore->store, buf_text(&name));
    if (mkdir(restore->aside, 0700) != 0) {
        return diag_set(diag, PH_IO, NULL, "could not make %s: %s", restore->aside,
                        strerrordesc_np(errno));
    }
    enum ph_error error = PH_OK;
    for (size_t index = 0; error == PH_OK && index < PH_ARRAY_LENGTH(names); index++) {
        PH_AUTO_FREE char *from = join(restore->store, names[index]);
        PH_AUTO_FREE char *to = join(restore->aside, names[index]);
        if (file_exists(from)) {
            error = file_move(from, to, true, diag);
        }
    }
    BUF_AUTO struct buf secret;
    buf_init(&secret, SECRET_FILE_MAX);
    if (error == PH_OK) {
        error = read_present_secret(restore, &secret, diag);
    }
    if (error == PH_OK && secret.len > 0) {
        PH_AUTO_FREE char *to = join(restore->aside, "jwt_secret");
        error = file_write(to, buf_slice(&secret), 0600, true, diag);
    }
    secret_wipe(secret.data, secret.len);
    return error;
}

static enum ph_error put_in_place(struct restore *restore, struct diag *diag)
{
    PH_AUTO_FREE char *mark = join(restore->store, DATA_UNFINISHED);
    PH_AUTO_FREE char *copy = join(restore->folder, "posthorn.db");
    PH_AUTO_FREE char *place = join(restore->store, "posthorn.db");
    PH_AUTO_FREE char *secret = data_path(restore->options, "jwt_secret");
    bool is_replacing =
        has(restore->store, "posthorn.db") || has(restore->store, "posthorn.db-wal");
    enum ph_error error = file_write(mark, slice_of(restore->file), 0600, false, diag);
    if (error == PH_OK && is_replacing) {
        error = move_aside(restore, diag);
    }
    if (error == PH_OK) {
        error = file_move(copy, place, true, diag);
    }
    if (error == PH_OK && restore->jwt_secret.len > 0) {
        error = file_write(secret, buf_slice(&restore->jwt_secret), 0600, false, diag);
    }
    if (error == PH_OK) {
        error = file_unlink(mark, diag);
    }
    return error;
}

static enum ph_error run_steps(struct restore *restore, struct diag *diag)
{
    int fd;
    enum ph_error error = check_file(restore, diag);
    if (error == PH_OK) {
        error = check_place(restore, diag);
    }
    if (error == PH_OK) {
        error = file_claim_folder(restore->folder, diag, &fd);
    }
    if (error != PH_OK) {
        return error;
    }
    error = prepare(restore, diag);
    if (error == PH_OK) {
        error = check_secret(restore, diag);
    }
    if (error == PH_OK) {
        error = put_in_place(restore, diag);
    }
    file_leave_folder(restore->folder, fd);
    return error;
}

static void print_json(const struct restore *restore)
{
    BUF_AUTO struct buf text;
    struct json_out out;
    buf_init(&text, 4 * PATH_BYTES_MAX);
    json_out_init(&out, &text);
    json_out_begin_object(&out);
    json_out_member_text(&out, "store", restore->store);
    if (restore->taken_at_us > 0) {
        json_out_member_time(&out, "takenAt", restore->taken_at_us);
    } else {
        json_out_member_null(&out, "takenAt");
    }
    json_out_member_string(&out, "replaced", slice_of(restore->aside));
    json_out_end_object(&out);
    (void)puts(buf_text(&text));
}

static void print_outcome(const struct restore *restore)
{
    if (restore->is_json) {
        print_json(restore);
        return;
    }
    char time_text[CLOCK_TEXT_MAX] = "an unknown time";
    if (restore->taken_at_us > 0) {
        clock_format(restore->taken_at_us, time_text);
    }
    (void)printf("restored the store of %s to %s\n", time_text, restore->store);
    if (restore->aside != NULL) {
        (void)printf("what was there is in %s\n", restore->aside);
    }
}

struct restore_arguments {
    bool is_forced;
    bool is_json;
};

static int run_restore(const struct options *options, const char *file,
                       const struct restore_arguments *given)
{
    struct diag diag = {0};
    int lock_fd = -1;
    struct restore restore = {
        .options = options, .file = file, .is_forced = given->is_forced, .is_json = given->is_json};
    restore.store = data_store_directory(options);
    if (restore.store == NULL) {
        command_complain("the store is in PostgreSQL: use pg_restore, and put the file jwt_secret "
                         "in its place");
        return EXIT_FAILED;
    }
    restore.folder = join(restore.store, "restore.partial");
    buf_init(&restore.jwt_secret, SECRET_FILE_MAX);
    enum ph_error error = data_make(options, &diag);
    if (error == PH_OK) {
        error = data_lock(options, &diag, &lock_fd);
        if (error == PH_CONFLICT) {
            error = diag_set(&diag, PH_CONFLICT, NULL,
                             "a server runs on the data directory %s: stop it first",
                             option_text(options, OPTION_DATA));
        }
    }
    if (error == PH_OK) {
        error = run_steps(&restore, &diag);
    }
    if (error == PH_OK) {
        print_outcome(&restore);
    } else {
        command_complain("%s", diag.text);
    }
    if (lock_fd >= 0) {
        (void)close(lock_fd);
    }
    secret_wipe(restore.jwt_secret.data, restore.jwt_secret.len);
    buf_done(&restore.jwt_secret);
    free(restore.store);
    free(restore.folder);
    free(restore.aside);
    return error == PH_OK ? EXIT_DONE : EXIT_FAILED;
}

static int run(int count, char **arguments);

static const struct flag_row flags[] = {
    {"--force", FLAG_SWITCH, 0, offsetof(struct restore_arguments, is_forced), NULL,
     "Moves the store and jwt_secret that are there into a folder replaced-TIME."},
    FLAG_JSON(struct restore_arguments, "Prints a JSON object."),
};

static const enum option_id shown_options[] = {OPTION_DATA};

const struct command command_restore = {
    .name = "restore",
    .run = run,
    .arguments = "FILE",
    .argument_max = 1,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .options = shown_options,
    .option_count = PH_ARRAY_LENGTH(shown_options),
    .help = "check a backup and put it in place of the store",
    .details = "Refused while a server runs, when the file is damaged or of a newer version, and "
               "when there is a store or another jwt_secret. What was pending at the time of the "
               "backup is sent again. For PostgreSQL use pg_restore.",
    .examples = "posthorn restore /backup/posthorn.db --data /var/lib/posthorn",
};

static int run(int count, char **arguments)
{
    struct restore_arguments given = {0};
    struct command_line line;
    int code = EXIT_USAGE;
    if (command_read(&line, &command_restore, count, arguments, &given)) {
        code = line.rest_count == 1 ? run_restore(&line.options, line.rest[0], &given)
                                    : command_complain_usage(&command_restore);
    }
    command_line_done(&line);
    return code;
}
