/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "app/command.h"
#include "app/file.h"
#include "base/clock.h"
#include "core/signature.h"

#define BODY_MAX ((size_t)64 * 1024 * 1024)

struct verify_arguments {
    const char *secret;
    const char *id;
    const char *timestamp;
    const char *signature;
    const char *file;
    const char *tolerance;
    bool ignores_time;
};

static int judge(const struct verify_arguments *given, struct slice body)
{
    struct diag diag;
    struct signing_key *key;
    int64_t tolerance_s = 300;
    if (given->tolerance != NULL && !slice_to_int64(slice_of(given->tolerance), &tolerance_s)) {
        command_complain("--tolerance wants seconds");
        return EXIT_USAGE;
    }
    if (signing_key_parse_verifier(slice_of(given->secret), "--secret", &diag, &key) != PH_OK) {
        command_complain("--secret: %s", diag.text);
        return EXIT_USAGE;
    }
    int64_t now_s = clock_wall_us() / CLOCK_US_PER_S;
    if (given->ignores_time) {
        (void)slice_to_int64(slice_of(given->timestamp), &now_s);
    }
    const struct signature_received received = {
        .id = slice_of(given->id),
        .timestamp = slice_of(given->timestamp),
        .signatures = slice_of(given->signature),
        .body = body,
    };
    const struct signing_key *keys[] = {key};
    enum ph_error error = signature_verify(keys, 1, &received, now_s, tolerance_s, &diag);
    signing_key_free(key);
    (void)puts(error == PH_OK ? "valid" : diag.text);
    return error == PH_OK ? EXIT_DONE : EXIT_FAILED;
}

static int run(int count, char **arguments);

static const struct flag_row flags[] = {
    {"--secret", FLAG_VALUE, FLAG_REQUIRED, offsetof(struct verify_arguments, secret), "WHSEC",
     "The endpoint's secret (whsec_…, or whpk_… of an Ed25519 one)."},
    {"--id", FLAG_VALUE, FLAG_REQUIRED, offsetof(struct verify_arguments, id), "ID",
     "The header webhook-id."},
    {"--timestamp", FLAG_VALUE, FLAG_REQUIRED, offsetof(struct verify_arguments, timestamp), "T",
     "The header webhook-timestamp."},
    {"--signature", FLAG_VALUE, FLAG_REQUIRED, offsetof(struct verify_arguments, signature), "SIG",
     "The header webhook-signature; one of several signatures has to fit."},
    {"--file", FLAG_VALUE, 0, offsetof(struct verify_arguments, file), "FILE",
     "The body, byte for byte as it was received; else standard input is."},
    {"--tolerance", FLAG_VALUE, 0, offsetof(struct verify_arguments, tolerance), "SECONDS",
     "How far the timestamp may be off, 300 when it is not given."},
    {"--ignore-time", FLAG_SWITCH, 0, offsetof(struct verify_arguments, ignores_time), NULL,
     "The timestamp may be any, for a webhook that was kept."},
};

const struct command command_verify = {
    .name = "verify",
    .run = run,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .help = "verify one webhook's signature",
    .details = "Prints `valid`, or why it is not with exit code 1.",
    .examples = "posthorn verify --secret whsec_… --id msg_… --timestamp 1700000000 --signature "
                "v1,… < body",
};

static int run(int count, char **arguments)
{
    struct verify_arguments given = {0};
    struct command_line line;
    int code = EXIT_USAGE;
    if (command_read(&line, &command_verify, count, arguments, &given)) {
        struct diag diag;
        BUF_AUTO struct buf body;
        buf_init(&body, BODY_MAX);
        if ((given.file != NULL
                 ? file_read(given.file, &body, &diag)
                 : file_read_fd(STDIN_FILENO, "standard input", &body, &diag)) != PH_OK) {
            command_complain("%s", diag.text);
            code = EXIT_FAILED;
        } else {
            code = judge(&given, buf_slice(&body));
        }
    }
    command_line_done(&line);
    return code;
}
