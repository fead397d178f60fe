/* SPDX-License-Identifier: Apache-2.0 */
#include "app/command.h"

static int run_version(int count, char **arguments);

const struct command command_version = {
    .name = "version",
    .run = run_version,
    .help = "print the version",
    .details = "",
    .examples = "",
};

static int run_version(int count, char **arguments)
{
    struct command_line line;
    int code = EXIT_USAGE;
    if (command_read(&line, &command_version, count, arguments, NULL)) {
        (void)puts("posthorn " PH_VERSION);
        code = EXIT_DONE;
    }
    command_line_done(&line);
    return code;
}
