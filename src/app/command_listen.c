/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>

#include "app/command.h"
#include "app/inspect.h"

static int run_listen(const struct command_line *line, const char *secret, const char *status,
                      const char *wanted, bool is_json)
{
    struct diag diag;
    int64_t code = 204;
    int64_t count = 0;
    size_t address_count;
    const char *address = option_is_set(&line->options, OPTION_LISTEN)
                              ? option_list(&line->options, OPTION_LISTEN, &address_count)[0]
                              : "127.0.0.1:0";
    if ((status != NULL && !slice_to_int64(slice_of(status), &code)) || code < 200 || code > 599) {
        command_complain("--status wants 200 to 599, not \"%s\"", status);
        return EXIT_USAGE;
    }
    if ((wanted != NULL && !slice_to_int64(slice_of(wanted), &count)) || count < 0) {
        command_complain("--count wants a number from 0, not \"%s\"", wanted);
        return EXIT_USAGE;
    }
    const struct inspector_options options = {
        .address = address, .status = (int)code, .is_json = is_json, .count = count};
    struct inspector *inspector;
    if (inspector_start(&options, &diag, &inspector) != PH_OK) {
        command_complain("%s", diag.text);
        return EXIT_FAILED;
    }
    struct slice rest = slice_of(secret);
    struct slice part;
    while (slice_next(&rest, ',', &part)) {
        if (inspector_add_key(inspector, part, &diag) != PH_OK) {
            command_complain("--secret: %s", diag.text);
            inspector_stop(inspector);
            return EXIT_USAGE;
        }
    }
    /* Everything on stdout is JSON when JSON is asked for. */
    (void)printf(is_json ? "{\"ready\":\"http://%s\"}\n" : "ready http://%s\n",
                 inspector_address(inspector));
    (void)fflush(stdout);
    bool are_verified = inspector_wait(inspector);
    inspector_stop(inspector);
    return are_verified ? EXIT_DONE : EXIT_FAILED;
}

int command_listen(int count, char **arguments)
{
    const char *secret = NULL;
    const char *status = NULL;
    const char *wanted = NULL;
    bool is_json = false;
    const struct command_flag flags[] = {
        {"--secret", &secret, NULL},
        {"--status", &status, NULL},
        {"--count", &wanted, NULL},
        {"--json", NULL, &is_json},
    };
    struct command_line line;
    int code = EXIT_USAGE;
    (void)signal(SIGPIPE, SIG_IGN);
    if (command_line_read(&line, count, arguments, flags, PH_ARRAY_LENGTH(flags), 0)) {
        code = run_listen(&line, secret, status, wanted, is_json);
    }
    command_line_done(&line);
    return code;
}
