/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <unistd.h>

#include "app/care.h"
#include "app/command.h"
#include "base/json_out.h"

#define PATH_BYTES_MAX 4096

/* The server has another working directory. NULL when the path is too long. */
static char *absolute_path(const char *path)
{
    char folder[PATH_BYTES_MAX];
    BUF_AUTO struct buf text;
    buf_init(&text, PATH_BYTES_MAX);
    if (path[0] != '/') {
        if (getcwd(folder, sizeof folder) == NULL) {
            return NULL;
        }
        buf_append_format(&text, "%s/", folder);
    }
    buf_append_text(&text, path);
    return text.failed ? NULL : buf_take(&text, NULL);
}

static bool is_sqlite(const struct options *options)
{
    PH_AUTO_FREE char *address = data_store_address(options);
    return slice_starts_with(slice_of(address), "sqlite:");
}

struct backup_arguments {
    bool is_forced;
    bool is_json;
};

static void print_result(const char *file, const struct buf *result, bool is_json)
{
    int64_t bytes = care_result_number(result, "bytes");
    bool has_secret = care_result_number(result, "has_jwt_secret") != 0;
    if (!is_json) {
        (void)printf("%s: %lld bytes%s\n", file, (long long)bytes,
                     has_secret ? "" : ", without a secret of tokens: keep the option jwt_secret");
        return;
    }
    BUF_AUTO struct buf text;
    struct json_out out;
    buf_init(&text, CARE_RESULT_BYTES_MAX);
    json_out_init(&out, &text);
    json_out_begin_object(&out);
    json_out_member_text(&out, "file", file);
    json_out_member_int(&out, "bytes", bytes);
    json_out_member_bool(&out, "hasJwtSecret", has_secret);
    json_out_end_object(&out);
    (void)puts(buf_text(&text));
}

static int run_backup(const struct options *options, const char *file,
                      const struct backup_arguments *given)
{
    struct diag diag;
    BUF_AUTO struct buf result;
    buf_init(&result, CARE_RESULT_BYTES_MAX);
    if (!is_sqlite(options)) {
        command_complain("the store is in PostgreSQL: use pg_dump, and keep the file jwt_secret");
        return EXIT_FAILED;
    }
    if (!slice_is_utf8_text(slice_of(file))) {
        command_complain("the file's name must be UTF-8"); /* as JSON is, its way to the server */
        return EXIT_FAILED;
    }
    struct care_request request = {
        .kind = CARE_BACKUP, .path = absolute_path(file), .is_forced = given->is_forced};
    if (request.path == NULL) {
        command_complain("the path %.200s is too long", file);
        return EXIT_FAILED;
    }
    enum ph_error error = care_perform(options, &request, &diag, &result);
    if (error == PH_OK) {
        print_result(file, &result, given->is_json);
    } else {
        command_complain("%s", diag.text);
    }
    care_request_done(&request);
    return error == PH_OK ? EXIT_DONE : EXIT_FAILED;
}

static int run(int count, char **arguments);

static const struct flag_row flags[] = {
    {"--force", FLAG_SWITCH, 0, offsetof(struct backup_arguments, is_forced), NULL,
     "Replaces an existing FILE."},
    FLAG_JSON(struct backup_arguments, "Prints a JSON object."),
};

static const enum option_id shown_options[] = {OPTION_DATA};

const struct command command_backup = {
    .name = "backup",
    .run = run,
    .arguments = "FILE",
    .argument_max = 1,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .options = shown_options,
    .option_count = PH_ARRAY_LENGTH(shown_options),
    .help = "copy the SQLite store to one file, while the server runs or not",
    .details =
        "The running server makes the copy, with its rights, in small steps that let ingest go on; "
        "without a server this command does. Every message acknowledged before is in it, and the "
        "file jwt_secret of the data directory; a master key is not. Until it is whole and synced "
        "it is in FILE.partial. For PostgreSQL use pg_dump.",
    .examples = "posthorn backup /backup/posthorn.db --force --data /var/lib/posthorn",
};

static int run(int count, char **arguments)
{
    struct backup_arguments given = {0};
    struct command_line line;
    int code = EXIT_USAGE;
    if (command_read(&line, &command_backup, count, arguments, &given)) {
        const char *file = line.rest_count == 1 ? line.rest[0] : "";
        size_t length = strlen(file);
        if (length == 0 || file[length - 1] == '/') {
            code = command_complain_usage(&command_backup);
        } else {
            code = run_backup(&line.options, file, &given);
        }
    }
    command_line_done(&line);
    return code;
}
