/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "app/body_signature.h"
#include "app/command.h"
#include "app/file.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "core/signature.h"

#define BODY_MAX ((size_t)64 * 1024 * 1024)
#define SECRET_MAX 4096
#define TEXT_MAX 65536
#define TOLERANCE_S 300
#define SECRET_PREFIX "whsec_"

struct verify_arguments {
    const char *secret;
    const char *secret_file;
    const char *scheme;
    const char *id;
    const char *timestamp;
    const char *signature;
    struct flag_values headers;
    const char *file;
    const char *tolerance;
    bool ignores_time;
    bool is_json;

    bool is_hmac;
    int64_t tolerance_s;
    struct buf secret_text;
    struct arena arena; /* of header values */
};

/* --- what was given --------------------------------------------------------------------------- */

/* Takes the value when the header has this name under either prefix and no flag gave it. */
static bool take_header(struct slice name, struct slice value, const char *wanted,
                        struct verify_arguments *given, const char **place)
{
    static const char *const prefixes[] = {"webhook-", "svix-"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(prefixes); index++) {
        size_t length = strlen(prefixes[index]);
        struct slice rest = {name.ptr + length, name.len - length};
        struct slice head = {name.ptr, length};
        if (name.len > length && slice_equal_nocase(head, slice_of(prefixes[index])) &&
            slice_equal_nocase(rest, slice_of(wanted))) {
            *place = *place == NULL ? arena_dup(&given->arena, value) : *place;
            return true;
        }
    }
    return false;
}

/* False after it has told what was wrong. Headers that have no part in it are let pass. */
static bool read_headers(struct verify_arguments *given)
{
    for (size_t index = 0; index < given->headers.count; index++) {
        struct slice line = slice_of(given->headers.items[index]);
        size_t colon = slice_find(line, ':');
        if (colon == line.len) {
            command_complain("--header wants NAME: VALUE, not \"%.80s\"",
                             given->headers.items[index]);
            return false;
        }
        struct slice name = slice_trim((struct slice){line.ptr, colon});
        struct slice value = slice_trim((struct slice){line.ptr + colon + 1, line.len - colon - 1});
        (void)(take_header(name, value, "id", given, &given->id) ||
               take_header(name, value, "timestamp", given, &given->timestamp) ||
               take_header(name, value, "signature", given, &given->signature));
    }
    return true;
}

static bool check_complete(const struct verify_arguments *given)
{
    BUF_AUTO struct buf missing;
    buf_init(&missing, TEXT_MAX);
    const struct {
        const char *flag;
        bool is_missing;
    } wanted[] = {
        {"--secret or --secret-file", given->secret == NULL && given->secret_file == NULL},
        {"--id", !given->is_hmac && given->id == NULL},
        {"--timestamp", !given->is_hmac && given->timestamp == NULL},
        {"--signature", given->signature == NULL},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(wanted); index++) {
        if (wanted[index].is_missing) {
            buf_append_format(&missing, "%s%s", missing.len == 0 ? "" : ", ", wanted[index].flag);
        }
    }
    if (missing.len > 0) {
        command_complain("verify wants %s; see `posthorn help verify`", buf_text(&missing));
    }
    return missing.len == 0;
}

static bool check_given(struct verify_arguments *given)
{
    given->tolerance_s = TOLERANCE_S;
    if (given->tolerance != NULL &&
        (!slice_to_int64(slice_of(given->tolerance), &given->tolerance_s) ||
         given->tolerance_s < 0)) {
        command_complain("--tolerance wants seconds, not \"%s\"", given->tolerance);
        return false;
    }
    given->is_hmac = given->scheme != NULL && strcmp(given->scheme, "hmac-sha256") == 0;
    if (given->scheme != NULL && !given->is_hmac && strcmp(given->scheme, "standard") != 0) {
        command_complain("--scheme wants standard or hmac-sha256, not \"%s\"", given->scheme);
        return false;
    }
    return read_headers(given) && check_complete(given);
}

static enum ph_error read_secret(struct verify_arguments *given, struct diag *diag)
{
    if (given->secret_file == NULL) {
        buf_append_text(&given->secret_text, given->secret);
        return PH_OK;
    }
    return file_read(given->secret_file, &given->secret_text, diag);
}

/* --- judging ---------------------------------------------------------------------------------- */

static enum ph_error judge_standard(const struct verify_arguments *given, struct slice body,
                                    const struct signing_key *key, struct diag *diag)
{
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
    return signature_verify(&key, 1, &received, now_s, given->tolerance_s, diag);
}

/* Over the body alone. */
static enum ph_error judge_hmac(const struct verify_arguments *given, struct slice body,
                                struct slice key, struct diag *diag)
{
    return body_signature_fits(key, body, slice_of(given->signature))
               ? PH_OK
               : diag_set(diag, PH_UNAUTHORIZED, NULL, "the signature does not fit");
}

static int print_verdict(const struct verify_arguments *given, enum ph_error error,
                         const struct diag *diag)
{
    const char *reason = error == PH_OK ? NULL : diag->text;
    if (given->is_json) {
        BUF_AUTO struct buf text;
        struct json_out out;
        buf_init(&text, TEXT_MAX);
        json_out_init(&out, &text);
        json_out_begin_object(&out);
        json_out_member_bool(&out, "valid", error == PH_OK);
        json_out_member_string(&out, "reason", slice_of(reason));
        json_out_member_string(&out, "id", slice_of(given->id));
        json_out_end_object(&out);
        (void)puts(buf_text(&text));
    } else {
        (void)puts(reason == NULL ? "valid" : reason);
    }
    return error == PH_OK ? EXIT_DONE : EXIT_FAILED;
}

static int judge(const struct verify_arguments *given, struct slice body)
{
    struct diag diag;
    struct signing_key *key = NULL;
    struct slice secret = slice_trim(buf_slice(&given->secret_text));
    const char *flag = given->secret_file == NULL ? "--secret" : "--secret-file";
    bool is_text = given->is_hmac && !slice_starts_with(secret, SECRET_PREFIX);
    if (secret.len == 0 ||
        (!is_text && signing_key_parse_verifier(secret, flag, &diag, &key) != PH_OK)) {
        command_complain("%s: %s", flag, secret.len == 0 ? "there is no secret in it" : diag.text);
        return EXIT_USAGE;
    }
    enum ph_error error = !given->is_hmac ? judge_standard(given, body, key, &diag)
                          : is_text       ? judge_hmac(given, body, secret, &diag)
                                          : judge_hmac(given, body, signing_key_bytes(key), &diag);
    signing_key_free(key);
    return print_verdict(given, error, &diag);
}

static int run_verify(struct verify_arguments *given)
{
    struct diag diag;
    BUF_AUTO struct buf body;
    buf_init(&body, BODY_MAX);
    if (!check_given(given)) {
        return EXIT_USAGE;
    }
    enum ph_error error = read_secret(given, &diag);
    if (error == PH_OK) {
        error = given->file != NULL ? file_read(given->file, &body, &diag)
                                    : file_read_fd(STDIN_FILENO, "standard input", &body, &diag);
    }
    if (error != PH_OK) {
        command_complain("%s", diag.text);
        return EXIT_FAILED;
    }
    return judge(given, buf_slice(&body));
}

/* --- the command ------------------------------------------------------------------------------ */

static int run(int count, char **arguments);

static const struct flag_row flags[] = {
    {"--secret", FLAG_VALUE, 0, offsetof(struct verify_arguments, secret), "WHSEC",
     "The endpoint's secret: whsec_…, or whpk_… of an Ed25519 one."},
    {"--secret-file", FLAG_VALUE, 0, offsetof(struct verify_arguments, secret_file), "FILE",
     "The secret is in FILE; other users of the machine see command lines."},
    {"--id", FLAG_VALUE, 0, offsetof(struct verify_arguments, id), "ID", "The header webhook-id."},
    {"--timestamp", FLAG_VALUE, 0, offsetof(struct verify_arguments, timestamp), "T",
     "The header webhook-timestamp."},
    {"--signature", FLAG_VALUE, 0, offsetof(struct verify_arguments, signature), "SIG",
     "The header webhook-signature; one of several signatures has to fit."},
    {"--header", FLAG_LIST, 0, offsetof(struct verify_arguments, headers), "LINE",
     "A header as it came, NAME: VALUE: the three above under either name (webhook-id, svix-id …); "
     "others are let pass."},
    {"--file", FLAG_VALUE, 0, offsetof(struct verify_arguments, file), "FILE",
     "The body, byte for byte as it was received; else standard input is."},
    {"--scheme", FLAG_VALUE, 0, offsetof(struct verify_arguments, scheme), "standard|hmac-sha256",
     "How it is signed: by Standard Webhooks, when nothing is said, or with the hmac of the body "
     "alone, in hexadecimal or base64, perhaps with a prefix; then --signature is all it needs, "
     "and "
     "a secret that does not begin with whsec_ is taken as it is."},
    {"--tolerance", FLAG_VALUE, 0, offsetof(struct verify_arguments, tolerance), "SECONDS",
     "How far the timestamp may be off, 300 when it is not given."},
    {"--ignore-time", FLAG_SWITCH, 0, offsetof(struct verify_arguments, ignores_time), NULL,
     "The timestamp may be any, for a webhook that was kept."},
    FLAG_JSON(struct verify_arguments, "Prints a JSON object with valid and reason."),
};

const struct command command_verify = {
    .name = "verify",
    .run = run,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .help = "verify one webhook's signature",
    .details = "Prints `valid`, or why it is not with exit code 1. It wants a secret, and id, "
               "timestamp and signature as flags or as headers.",
    .examples =
        "posthorn verify --secret whsec_… --id msg_… --timestamp 1700000000 --signature "
        "v1,… < body\n"
        "posthorn verify --secret-file key --header 'webhook-id: msg_…' "
        "--header 'webhook-timestamp: …' --header 'webhook-signature: v1,…' --file body\n"
        "posthorn verify --secret-file key --scheme hmac-sha256 --signature sha256=… < body",
};

static int run(int count, char **arguments)
{
    struct verify_arguments given = {0};
    struct command_line line;
    int code = EXIT_USAGE;
    buf_init(&given.secret_text, SECRET_MAX);
    arena_init(&given.arena, TEXT_MAX);
    if (command_read(&line, &command_verify, count, arguments, &given)) {
        code = run_verify(&given);
    }
    command_line_done(&line);
    arena_done(&given.arena);
    buf_wipe(&given.secret_text);
    return code;
}
