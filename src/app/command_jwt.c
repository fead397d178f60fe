/* SPDX-License-Identifier: Apache-2.0 */
/* `jwt generate` and `token create` of the native API: both sign; nothing is stored. */
#include "app/command.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "store/application.h"

#define TOKEN_TEXT_MAX 16384
#define DAY_US (INT64_C(86400) * 1000000)
#define ORGANISATION_TOKEN_US (3650 * DAY_US)
#define APPLICATION_TOKEN_US (7 * DAY_US)

struct jwt_arguments {
    bool is_json;
};

struct wanted_token {
    const char *org;
    const char *application; /* NULL = the organisation's */
    int64_t expires_us;
    const char *prefix; /* words before it */
    bool is_json;
};

static void print_json(const char *token, int64_t expires_us)
{
    BUF_AUTO struct buf text;
    struct json_out out;
    buf_init(&text, 2 * TOKEN_TEXT_MAX);
    json_out_init(&out, &text);
    json_out_begin_object(&out);
    json_out_member_text(&out, "token", token);
    json_out_member_time(&out, "expiresAt", expires_us);
    json_out_end_object(&out);
    (void)puts(buf_text(&text));
}

static int print_token(const struct options *options, const struct wanted_token *wanted)
{
    struct diag diag;
    SECRET_AUTO struct secret secret = SECRET_NONE;
    if (data_jwt_secret(options, &diag, &secret) != PH_OK) {
        command_complain("%s", diag.text);
        return EXIT_FAILED;
    }
    BUF_AUTO struct buf text;
    buf_init(&text, TOKEN_TEXT_MAX);
    token_append(&secret, wanted->org, wanted->application, clock_wall_us(), wanted->expires_us,
                 &text);
    if (wanted->is_json) {
        print_json(buf_text(&text), wanted->expires_us);
    } else {
        (void)printf("%s%s\n", wanted->prefix, buf_text(&text));
    }
    return EXIT_DONE;
}

static int run_jwt(int count, char **arguments);

static const struct flag_row flags[] = {
    FLAG_JSON(struct jwt_arguments, "Prints a JSON object."),
};

static const enum option_id shown_options[] = {OPTION_DATA};

const struct command command_jwt = {
    .name = "jwt",
    .run = run_jwt,
    .arguments = "generate [ORG]",
    .argument_max = 2,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .options = shown_options,
    .option_count = PH_ARRAY_LENGTH(shown_options),
    .help = "print an organisation's token",
    .details = "As the Svix server prints it: `Token (Bearer): ` and the token. `token create` "
               "prints the token alone. The data directory is made when it is missing.",
    .examples = "",
};

static int run_jwt(int count, char **arguments)
{
    struct jwt_arguments given = {0};
    struct command_line line;
    int code = EXIT_USAGE;
    if (command_read(&line, &command_jwt, count, arguments, &given)) {
        const char *org = line.rest_count > 1 ? line.rest[1] : DEFAULT_ORGANISATION;
        if (line.rest_count < 1 || strcmp(line.rest[0], "generate") != 0) {
            code = command_complain_usage(&command_jwt);
        } else if (!slice_starts_with(slice_of(org), "org_")) {
            command_complain("an organisation id begins with org_, not \"%s\"", org);
        } else {
            const struct wanted_token wanted = {
                .org = org,
                .expires_us = clock_wall_us() + ORGANISATION_TOKEN_US,
                .prefix = "Token (Bearer): ",
                .is_json = given.is_json,
            };
            code = print_token(&line.options, &wanted);
        }
    }
    command_line_done(&line);
    return code;
}

/* The application's id as text; it may be named by uid. */
static bool find_application(const struct options *options, const char *name,
                             char ret_text[ID_TEXT_MAX])
{
    struct diag diag = {0};
    struct store *store = NULL;
    int64_t id;
    PH_AUTO_FREE char *address = data_store_address(options);
    enum ph_error error = store_open(address, DB_READ_ONLY, &diag, &store);
    if (error == PH_OK) {
        error =
            application_resolve(store, slice_of(DEFAULT_ORGANISATION), slice_of(name), &diag, &id);
    }
    if (error == PH_OK) {
        (void)id_format(&store->codec, ID_APPLICATION, id, ret_text);
    } else if (error == PH_NOT_FOUND) {
        command_complain("there is no application %s", name);
    } else {
        command_complain("%s", diag.text);
    }
    store_close(store);
    return error == PH_OK;
}

int token_create_native(const struct options *options, const char *application, int64_t expires_us,
                        bool is_json)
{
    char id_text[ID_TEXT_MAX];
    if (expires_us == 0) {
        expires_us =
            clock_wall_us() + (application == NULL ? ORGANISATION_TOKEN_US : APPLICATION_TOKEN_US);
    }
    if (application != NULL && !find_application(options, application, id_text)) {
        return EXIT_FAILED;
    }
    const struct wanted_token wanted = {
        .org = DEFAULT_ORGANISATION,
        .application = application == NULL ? NULL : id_text,
        .expires_us = expires_us,
        .prefix = "",
        .is_json = is_json,
    };
    return print_token(options, &wanted);
}
