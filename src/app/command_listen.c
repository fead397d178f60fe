/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>

#include "app/command.h"
#include "app/inspect.h"

struct listen_arguments {
    const char *secret;
    const char *signature_header;
    const char *status;
    const char *wanted;
    bool is_json;
};

static int run_listen(const struct command_line *line, const struct listen_arguments *given)
{
    struct diag diag;
    int64_t code = 204;
    int64_t count = 0;
    size_t address_count;
    const char *address = option_is_set(&line->options, OPTION_LISTEN)
                              ? option_list(&line->options, OPTION_LISTEN, &address_count)[0]
                              : "127.0.0.1:0";
    if ((given->status != NULL && !slice_to_int64(slice_of(given->status), &code)) || code < 200 ||
        code > 599) {
        command_complain("--status wants 200 to 599, not \"%s\"", given->status);
        return EXIT_USAGE;
    }
    if ((given->wanted != NULL && !slice_to_int64(slice_of(given->wanted), &count)) || count < 0) {
        command_complain("--count wants a number from 0, not \"%s\"", given->wanted);
        return EXIT_USAGE;
    }
    const struct inspector_options options = {
        .address = address,
        .status = (int)code,
        .signature_header = given->signature_header,
        .is_json = given->is_json,
        .count = count,
    };
    struct inspector *inspector;
    if (inspector_start(&options, &diag, &inspector) != PH_OK) {
        command_complain("%s", diag.text);
        return EXIT_FAILED;
    }
    struct slice rest = slice_of(given->secret);
    struct slice part;
    while (slice_next(&rest, ',', &part)) {
        if (inspector_add_key(inspector, part, &diag) != PH_OK) {
            command_complain("--secret: %s", diag.text);
            inspector_stop(inspector);
            return EXIT_USAGE;
        }
    }
    /* Everything on stdout is JSON when JSON is asked for. */
    (void)printf(given->is_json ? "{\"ready\":\"http://%s\"}\n" : "ready http://%s\n",
                 inspector_address(inspector));
    (void)fflush(stdout);
    bool are_verified = inspector_wait(inspector);
    inspector_stop(inspector);
    return are_verified ? EXIT_DONE : EXIT_FAILED;
}

static int run(int count, char **arguments);

static const struct flag_row flags[] = {
    {"--secret", FLAG_VALUE, 0, offsetof(struct listen_arguments, secret), "SECRET",
     "The endpoint's secret (whsec_…, or the hmac_secret of a dbt webhook), or several with commas "
     "between; without one signatures are not checked."},
    {"--signature-header", FLAG_VALUE, 0, offsetof(struct listen_arguments, signature_header),
     "NAME",
     "The header in which every webhook has the HMAC-SHA256 of its body; Authorization when it is "
     "not given and there are 64 hexadecimal digits in it, as dbt signs."},
    {"--status", FLAG_VALUE, 0, offsetof(struct listen_arguments, status), "N",
     "What every POST is answered with; 204 when it is not given."},
    {"--count", FLAG_VALUE, 0, offsetof(struct listen_arguments, wanted), "N",
     "Ends it after so many, with exit code 1 when a signature did not fit."},
    FLAG_JSON(struct listen_arguments, "Prints one JSON object per line."),
};

static const enum option_id shown_options[] = {OPTION_LISTEN};

const struct command command_listen = {
    .name = "listen",
    .run = run,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .options = shown_options,
    .option_count = PH_ARRAY_LENGTH(shown_options),
    .help = "receive webhooks, verify and print them",
    .details =
        "It prints `ready URL` first; without --listen it takes a free port of the loopback. A "
        "server delivers to private addresses only with allow_subnets. Each webhook's line says "
        "which signature fitted: that of Standard Webhooks, or the HMAC-SHA256 of the body; one "
        "with both has to fit both.",
    .examples =
        "posthorn listen --listen 127.0.0.1:9000 --secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"
        "posthorn listen --listen 127.0.0.1:9000 --secret \"$HMAC_SECRET\"",
};

static int run(int count, char **arguments)
{
    struct listen_arguments given = {0};
    struct command_line line;
    int code = EXIT_USAGE;
    (void)signal(SIGPIPE, SIG_IGN);
    if (command_read(&line, &command_listen, count, arguments, &given)) {
        code = run_listen(&line, &given);
    }
    command_line_done(&line);
    return code;
}
