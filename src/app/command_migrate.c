/* SPDX-License-Identifier: Apache-2.0 */
#include "app/command.h"
#include "store/store.h"

int command_migrate(int count, char **arguments)
{
    struct command_line line;
    int code = EXIT_USAGE;
    if (command_line_read(&line, count, arguments, NULL, 0, 0)) {
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
            (void)printf("%d migrations applied\n", applied);
        } else {
            command_complain("%s", diag.text);
        }
        code = error == PH_OK ? EXIT_DONE : EXIT_FAILED;
    }
    command_line_done(&line);
    return code;
}
