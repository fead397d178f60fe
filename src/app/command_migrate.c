/* SPDX-License-Identifier: Apache-2.0 */
#include "app/command.h"
#include "store/store.h"

struct migrate_arguments {
    bool is_json;
};

static int run(int count, char **arguments);

static const struct flag_row flags[] = {
    FLAG_JSON(struct migrate_arguments, "Prints a JSON object."),
};

static const enum option_id shown_options[] = {OPTION_DATA, OPTION_STORE};

const struct command command_migrate = {
    .name = "migrate",
    .run = run,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .options = shown_options,
    .option_count = PH_ARRAY_LENGTH(shown_options),
    .help = "bring the store's schema up to date",
    .details = "`serve` does that itself.",
    .examples = "",
};

static int run(int count, char **arguments)
{
    struct migrate_arguments given = {0};
    struct command_line line;
    int code = EXIT_USAGE;
    if (command_read(&line, &command_migrate, count, arguments, &given)) {
        struct diag diag;
        int applied = 0;
        PH_AUTO_FREE char *address = data_store_address(&line.options);
        enum ph_error error = data_check_restored(&line.options, &diag);
        if (error == PH_OK) {
            error = data_make(&line.options, &diag);
        }
        if (error == PH_OK) {
            error = store_migrate(address, &diag, &applied);
        }
        if (error == PH_OK) {
            (void)printf(given.is_json ? "{\"applied\":%d}\n" : "%d migrations applied\n", applied);
        } else {
            command_complain("%s", diag.text);
        }
        code = error == PH_OK ? EXIT_DONE : EXIT_FAILED;
    }
    command_line_done(&line);
    return code;
}
