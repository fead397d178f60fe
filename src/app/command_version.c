/* SPDX-License-Identifier: Apache-2.0 */
#include "app/command.h"

struct version_arguments {
    bool is_json;
};

static int run(int count, char **arguments);

static const struct flag_row flags[] = {
    FLAG_JSON(struct version_arguments, "Prints a JSON object."),
};

const struct command command_version = {
    .name = "version",
    .run = run,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .help = "print the version",
    .details = "",
    .examples = "",
};

static int run(int count, char **arguments)
{
    struct version_arguments given = {0};
    struct command_line line;
    int code = EXIT_USAGE;
    if (command_read(&line, &command_version, count, arguments, &given)) {
        (void)puts(given.is_json ? "{\"version\":\"" PH_VERSION "\"}" : "posthorn " PH_VERSION);
        code = EXIT_DONE;
    }
    command_line_done(&line);
    return code;
}
